//! What came of a run, as one message: everything the page shows, for programs.

use super::{
    Outcome,
    conditions::Conditions,
    figures::{Figures, TradeRow},
    forecasts::ForecastReport,
    seat::units,
};
use serde::Serialize;
use std::collections::BTreeMap;
use tragen_domain::{
    agents::evaluation::closing_line::mean_with_t,
    kpi::{ClosedTrades, Kpi, sharpe, sortino},
    money::{Money, Rounding},
    order::Side,
    portfolio::{Confidence, ScoreInputs, Undefined, historical_tail, performance_score, sample_deviation},
    time::Timestamp,
};
use tragen_market_data::file::{FileReport, Intake};

/// Trades in the message; later ones are only counted.
const TRADES_SHOWN: usize = 100_000;

/// Everything that came of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// SHA-256 of every decision: two runs on the same files have the same.
    pub(crate) hash: String,
    /// First and last moment, UTC.
    pub(crate) from: String,
    pub(crate) to: String,
    /// Everything is in this currency.
    pub(crate) currency: String,
    pub(crate) files: Vec<FileLine>,
    /// All agents together.
    pub(crate) total: Standing,
    pub(crate) kpis: Vec<KpiLine>,
    pub(crate) agents: Vec<Standing>,
    /// Net profit by pool, largest first.
    pub(crate) strategies: Vec<Share>,
    /// Net profit by month.
    pub(crate) months: Vec<Share>,
    pub(crate) costs: Costs,
    /// Why orders were denied, and how often.
    pub(crate) denials: BTreeMap<&'static str, u64>,
    /// What was left out.
    pub(crate) notes: Vec<String>,
    /// Ends of days.
    pub(crate) equity: Vec<Point>,
    /// Closed trades by the time they closed.
    pub(crate) trades: Vec<TradeLine>,
    /// Trades that are counted but not listed.
    pub(crate) trades_left_out: u64,
}

/// What became of the rows of a file.
#[derive(Debug, Serialize)]
pub(crate) struct FileLine {
    pub(crate) file: String,
    pub(crate) accepted: u64,
    pub(crate) skipped: u64,
    /// Bars of instruments that shorter bars are used of.
    pub(crate) left_out: u64,
    pub(crate) repaired: u64,
    /// Share of the rows that is used as it is; none where all are left out.
    pub(crate) accuracy: Option<f64>,
    /// The first faults as `file:line:field: reason`.
    pub(crate) faults: Vec<String>,
    /// Columns that nobody knows.
    pub(crate) unread: Vec<String>,
}

/// A figure, or why there is none.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undefined: Option<String>,
}

/// A KPI and how it stands.
#[derive(Debug, Serialize)]
pub(crate) struct KpiLine {
    pub(crate) kpi: &'static str,
    #[serde(flatten)]
    pub(crate) figure: Figure,
    pub(crate) target: f64,
    pub(crate) critical: f64,
    pub(crate) status: &'static str,
}

/// How an agent, or all together, did.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    pub(crate) agent: String,
    pub(crate) pool: String,
    pub(crate) start: String,
    pub(crate) end: String,
    /// Profit after fees.
    pub(crate) net: String,
    pub(crate) fees: String,
    pub(crate) trades: u64,
    pub(crate) win_rate: Figure,
    pub(crate) profit_factor: Figure,
    pub(crate) sharpe: Figure,
    pub(crate) sortino: Figure,
    pub(crate) max_drawdown: f64,
    pub(crate) value_at_risk_95: Figure,
    pub(crate) expected_shortfall_95: Figure,
    pub(crate) value_at_risk_99: Figure,
    /// What a pool would share its capital out by.
    pub(crate) performance_score: Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bets: Option<Bets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forecasts: Option<ForecastReport>,
    /// Matches it did not look at, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) skipped: BTreeMap<&'static str, u64>,
}

/// How bets did.
#[derive(Debug, Serialize)]
pub(crate) struct Bets {
    pub(crate) bets: u64,
    pub(crate) wins: u64,
    pub(crate) staked: String,
    /// Profit after fees for each unit of stake.
    pub(crate) return_on_stake: Figure,
    /// How many standard errors the mean return of a bet is from 0.
    pub(crate) return_t: Figure,
    pub(crate) mean_edge: Figure,
    /// Mean of `p_close / price - 1` over bets whose match has a closing line.
    pub(crate) closing_value: Figure,
    pub(crate) closing_value_t: Figure,
}

/// A name and the profit that belongs to it.
#[derive(Debug, Serialize)]
pub(crate) struct Share {
    pub(crate) name: String,
    pub(crate) net: String,
    /// For drawing.
    #[serde(skip)]
    pub(crate) micros: i64,
}

/// What trading and running cost.
#[derive(Debug, Serialize)]
pub(crate) struct Costs {
    pub(crate) turnover: String,
    pub(crate) fees: String,
    /// Fees for each unit of turnover.
    pub(crate) fee_share_of_turnover: Figure,
    /// Fees for each unit that was won or lost before them.
    pub(crate) fee_share_of_gross: Figure,
    /// What running the agents costs over the run, where the conditions say it.
    pub(crate) running: Option<String>,
}

/// The end of a day.
#[derive(Debug, Serialize)]
pub(crate) struct Point {
    pub(crate) day: String,
    pub(crate) equity: String,
    /// Below the highest end of a day so far, share of it.
    pub(crate) drawdown: f64,
    /// For drawing.
    #[serde(skip)]
    pub(crate) micros: i64,
}

/// A closed trade.
#[derive(Debug, Serialize)]
pub(crate) struct TradeLine {
    pub(crate) agent: String,
    pub(crate) instrument: String,
    pub(crate) side: &'static str,
    pub(crate) quantity: String,
    pub(crate) opened: String,
    pub(crate) closed: String,
    pub(crate) entry: String,
    pub(crate) exit: String,
    pub(crate) fees: String,
    pub(crate) net: String,
    pub(crate) why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edge: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) closing_value: Option<f64>,
}

/// Everything of a run in one message.
pub(crate) fn report(outcome: &Outcome, intake: &Intake, conditions: &Conditions) -> Report {
    let days = outcome.span.map_or(0, |(first, last)| last.utc_day() - first.utc_day() + 1);
    let running = conditions.running_cost_per_day.and_then(|cost| cost.scaled(days, 1, Rounding::Up).ok());
    let mut all: Vec<&TradeRow> = outcome.seats.iter().flat_map(|seat| &seat.figures.rows).collect();
    all.sort_by(|a, b| (a.closed_at, &a.agent, &a.instrument).cmp(&(b.closed_at, &b.agent, &b.instrument)));
    let left_out: u64 = outcome.seats.iter().map(|seat| seat.figures.rows_left_out).sum();
    let hidden = u64::try_from(all.len().saturating_sub(TRADES_SHOWN)).unwrap_or_default();
    let total = Standing::total(outcome);
    Report {
        hash: outcome.hash.clone(),
        from: outcome.span.map_or_else(String::new, |(first, _)| moment(first)),
        to: outcome.span.map_or_else(String::new, |(_, last)| moment(last)),
        currency: conditions.currency.to_string(),
        files: FileLine::all_of(intake),
        kpis: kpis(outcome, intake, &total, running),
        agents: agents(outcome),
        strategies: strategies(outcome),
        months: outcome.all.months.iter().map(|(month, net)| Share::of(month_name(*month), *net)).collect(),
        costs: costs(outcome, running),
        denials: outcome.denials.clone(),
        notes: outcome.notes.clone(),
        equity: curve(&outcome.all),
        trades: all.iter().take(TRADES_SHOWN).map(|row| TradeLine::of(row)).collect(),
        trades_left_out: left_out + hidden,
        total,
    }
}

impl Figure {
    pub(crate) fn of(value: Result<f64, Undefined>) -> Self {
        match value {
            Ok(value) if value.is_finite() => Self { value: Some(value), undefined: None },
            Ok(_) => Self::because(Undefined::OutOfRange.to_string()),
            Err(undefined) => Self::because(undefined.to_string()),
        }
    }

    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self { value: None, undefined: Some(reason.into()) }
    }
}

impl FileLine {
    /// What was read of every file.
    pub(crate) fn all_of(intake: &Intake) -> Vec<Self> {
        intake.reports().iter().map(Self::of).collect()
    }

    fn of(report: &FileReport) -> Self {
        Self {
            file: report.file.clone(),
            accepted: report.accepted,
            skipped: report.skipped,
            left_out: report.left_out,
            repaired: report.repaired,
            accuracy: report.accuracy(),
            faults: report.faults.clone(),
            unread: report.unread.clone(),
        }
    }
}

impl Share {
    fn of(name: String, net: Money) -> Self {
        Self { name, net: net.to_string(), micros: net.micros() }
    }
}

impl TradeLine {
    fn of(row: &TradeRow) -> Self {
        Self {
            agent: row.agent.to_string(),
            instrument: row.instrument.to_string(),
            side: match row.side {
                Side::Buy => "long",
                Side::Sell => "short",
            },
            quantity: row.quantity.to_string(),
            opened: moment(row.opened_at),
            closed: moment(row.closed_at),
            entry: row.entry.to_string(),
            exit: row.exit.to_string(),
            fees: row.fees.to_string(),
            net: row.net.to_string(),
            why: row.why.as_str(),
            edge: row.bet.map(|bet| bet.edge),
            closing_value: row.bet.and_then(|bet| bet.closing_value),
        }
    }
}

impl Standing {
    fn total(outcome: &Outcome) -> Self {
        let mut all = Self::of(&outcome.all, "all".to_owned(), String::new());
        // Trades are counted where they were made.
        let mut trades = ClosedTrades::default();
        let added = outcome.seats.iter().try_for_each(|seat| trades.add(&seat.figures.trades));
        all.trades = trades.count();
        all.win_rate = Figure::of(added.map_err(Undefined::from).and_then(|()| trades.win_rate()));
        all.profit_factor = Figure::of(added.map_err(Undefined::from).and_then(|()| trades.profit_factor()));
        let score = added.map_err(Undefined::from).and_then(|()| score(&outcome.all, &trades));
        all.performance_score = Figure::of(score);
        all
    }

    fn of(figures: &Figures, agent: String, pool: String) -> Self {
        let returns = figures.daily_returns();
        let tail = |confidence| historical_tail(&returns, confidence);
        let net = figures.equity.minus(figures.start).unwrap_or_default();
        Self {
            agent,
            pool,
            start: figures.start.to_string(),
            end: figures.equity.to_string(),
            net: net.to_string(),
            fees: figures.fees.to_string(),
            trades: figures.trades.count(),
            win_rate: Figure::of(figures.trades.win_rate()),
            profit_factor: Figure::of(figures.trades.profit_factor()),
            sharpe: Figure::of(sharpe(&returns, figures.calendar)),
            sortino: Figure::of(sortino(&returns, figures.calendar)),
            max_drawdown: figures.drawdown.figures().worst.fraction(),
            value_at_risk_95: Figure::of(tail(Confidence::P95).map(|tail| tail.value_at_risk)),
            expected_shortfall_95: Figure::of(tail(Confidence::P95).map(|tail| tail.expected_shortfall)),
            value_at_risk_99: Figure::of(tail(Confidence::P99).map(|tail| tail.value_at_risk)),
            performance_score: Figure::of(score(figures, &figures.trades)),
            bets: None,
            forecasts: None,
            skipped: BTreeMap::new(),
        }
    }
}

fn score(figures: &Figures, trades: &ClosedTrades) -> Result<f64, Undefined> {
    performance_score(&ScoreInputs {
        trades: usize::try_from(trades.count()).unwrap_or(usize::MAX),
        profit_factor: trades.profit_factor(),
        win_rate: trades.win_rate(),
        sharpe: sharpe(&figures.daily_returns(), figures.calendar),
        max_drawdown: Ok(figures.drawdown.figures().worst.fraction()),
    })
}

fn agents(outcome: &Outcome) -> Vec<Standing> {
    let standings = outcome.seats.iter().enumerate().map(|(place, seat)| {
        let mut standing = Standing::of(&seat.figures, seat.agent.id.to_string(), seat.agent.pool.to_string());
        if let Some(bettor) = outcome.bettors.iter().find(|bettor| bettor.seat == place) {
            standing.bets = Some(bets(&seat.figures));
            standing.forecasts = Some(bettor.forecasts.report());
            standing.skipped = bettor.skipped.clone();
        }
        standing
    });
    standings.collect()
}

fn bets(figures: &Figures) -> Bets {
    let mut staked = Money::ZERO;
    let (mut returns, mut edges, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut wins = 0;
    for row in &figures.rows {
        let Some(bet) = row.bet else { continue };
        let Ok(stake) = row.entry.times(row.quantity, Rounding::Up) else { continue };
        staked = staked.plus(stake).unwrap_or(staked);
        wins += u64::from(row.net > Money::ZERO);
        returns.push(units(row.net.micros()) / units(stake.micros()));
        edges.push(bet.edge);
        values.extend(bet.closing_value);
    }
    let net: Money = figures.rows.iter().fold(Money::ZERO, |sum, row| sum.plus(row.net).unwrap_or(sum));
    let on_stake =
        if staked.is_zero() { Err(Undefined::NoTrades) } else { Ok(units(net.micros()) / units(staked.micros())) };
    let ((_, return_t), (mean_edge, _)) = (mean_and_t(&returns), mean_and_t(&edges));
    let (closing_value, closing_value_t) = mean_and_t(&values);
    Bets {
        bets: u64::try_from(returns.len()).unwrap_or(u64::MAX),
        wins,
        staked: staked.to_string(),
        return_on_stake: Figure::of(on_stake),
        return_t,
        mean_edge,
        closing_value,
        closing_value_t,
    }
}

/// A mean, and how many standard errors it is from 0.
fn mean_and_t(values: &[f64]) -> (Figure, Figure) {
    match mean_with_t(values) {
        None => (Figure::of(Err(Undefined::NoTrades)), Figure::of(Err(Undefined::NoTrades))),
        Some(own) => (Figure::of(Ok(own.mean)), Figure::of(own.t.ok_or(Undefined::NoVariance))),
    }
}

fn strategies(outcome: &Outcome) -> Vec<Share> {
    let mut pools: BTreeMap<&str, Money> = BTreeMap::new();
    for seat in &outcome.seats {
        let net = seat.figures.equity.minus(seat.figures.start).unwrap_or_default();
        let pool = pools.entry(seat.agent.pool.as_str()).or_default();
        *pool = pool.plus(net).unwrap_or(*pool);
    }
    let mut shares: Vec<Share> = pools.into_iter().map(|(name, net)| Share::of(name.to_owned(), net)).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.micros));
    shares
}

fn costs(outcome: &Outcome, running: Option<Money>) -> Costs {
    let fees = outcome.all.fees;
    let net = outcome.all.equity.minus(outcome.all.start).unwrap_or_default();
    let gross = net.plus(fees).and_then(Money::magnitude).unwrap_or_default();
    let share = |whole: Money| {
        if whole.is_zero() { Err(Undefined::NoTrades) } else { Ok(units(fees.micros()) / units(whole.micros())) }
    };
    Costs {
        turnover: outcome.turnover.to_string(),
        fees: fees.to_string(),
        fee_share_of_turnover: Figure::of(share(outcome.turnover)),
        fee_share_of_gross: Figure::of(share(gross)),
        running: running.map(|running| running.to_string()),
    }
}

/// Every KPI; those that only a running system has are not defined, and say so.
fn kpis(outcome: &Outcome, intake: &Intake, total: &Standing, running: Option<Money>) -> Vec<KpiLine> {
    const LIVE: &str = "only a running system has it";
    let filled = units(i64::try_from(outcome.filled_orders).unwrap_or(i64::MAX).saturating_mul(1_000_000));
    let cost = match running {
        None => Figure::because("the conditions do not say what running the agents costs"),
        Some(_) if outcome.filled_orders == 0 => Figure::of(Err(Undefined::NoTrades)),
        Some(running) => Figure::of(Ok(units(running.micros()) / filled)),
    };
    let line = |kpi: Kpi| {
        let figure = match kpi {
            Kpi::WinRate => total.win_rate.clone(),
            Kpi::ProfitFactor => total.profit_factor.clone(),
            Kpi::Sharpe => total.sharpe.clone(),
            Kpi::MaxDrawdown => Figure::of(Ok(total.max_drawdown)),
            Kpi::ValueAtRisk => total.value_at_risk_95.clone(),
            Kpi::CorrelationFactor => Figure::of(together(outcome)),
            Kpi::CostPerTrade => cost.clone(),
            Kpi::DataAccuracy => Figure::of(data_accuracy(intake)),
            Kpi::ResourceUtilization
            | Kpi::AgentProductivity
            | Kpi::TradesPerSecond
            | Kpi::AnalysesPerMinute
            | Kpi::ApiRequestsPerSecond
            | Kpi::Uptime
            | Kpi::ErrorRate => Figure::because(LIVE),
        };
        let (target, critical) = kpi.thresholds();
        let status = figure.value.map_or("UNDEFINED", |value| kpi.status(Ok(value)).as_str());
        KpiLine { kpi: kpi.as_str(), figure, target, critical, status }
    };
    Kpi::ALL.into_iter().map(line).collect()
}

/// Rows that are used as they are, of all rows, files together.
pub(crate) fn data_accuracy(intake: &Intake) -> Result<f64, Undefined> {
    let counts = intake.reports().iter().map(FileReport::sound_of_all);
    let (sound, rows) = counts.fold((0_u64, 0_u64), |sum, own| (sum.0 + own.0, sum.1 + own.1));
    let float = |rows: u64| f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
    if rows == 0 { Err(Undefined::TooFewPoints { needed: 1, have: 0 }) } else { Ok(float(sound) / float(rows)) }
}

/// How far the agents move together, weighed by what they risk.
fn together(outcome: &Outcome) -> Result<f64, Undefined> {
    use tragen_domain::portfolio::{correlation, correlation_factor};
    let shortest = outcome.seats.iter().map(|seat| seat.figures.days.len()).min().unwrap_or(0);
    let tails: Vec<Vec<f64>> = outcome
        .seats
        .iter()
        .map(|seat| {
            let returns = seat.figures.daily_returns();
            returns[returns.len() - shortest..].to_vec()
        })
        .collect();
    // Every agent began with the same capital, so its risk is the deviation of its returns.
    let risks = tails.iter().map(|own| sample_deviation(own)).collect::<Result<Vec<f64>, _>>()?;
    correlation_factor(&risks, |a, b| correlation(&tails[a], &tails[b]))
}

fn curve(figures: &Figures) -> Vec<Point> {
    let mut peak = figures.start;
    let points = figures.days.iter().map(|end| {
        peak = peak.max(end.equity);
        let fallen = units(peak.micros()) - units(end.equity.micros());
        let drawdown = if peak > Money::ZERO { fallen / units(peak.micros()) } else { 0.0 };
        Point { day: day_name(end.day), equity: end.equity.to_string(), drawdown, micros: end.equity.micros() }
    });
    points.collect()
}

/// `2012-02-01T00:01:00Z`.
fn moment(at: Timestamp) -> String {
    let text =
        jiff::Timestamp::from_microsecond(at.micros()).map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    text.unwrap_or_default()
}

fn day_name(day: i64) -> String {
    moment(Timestamp::from_micros(day.saturating_mul(86_400_000_000))).chars().take(10).collect()
}

fn month_name(month: i64) -> String {
    format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1)
}
