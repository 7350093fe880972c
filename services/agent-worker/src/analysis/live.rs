//! liveTradingAgent: the chances of a match in play, and what to do with what is held of it.
//! Before the kick-off the chances are the bookmakers'; a model of the one never prices the
//! other.

use super::{
    Caller, Desk,
    figures::{bps, micros, ppm, share_ppm, whole_micros},
    match_view::{as_of, books, contract_id, fee_rate, match_state, phase, quote, score_age_ms, top_of_book, word},
    refused::Refused,
    scout,
};
use crate::bars::as_units;
use std::time::Duration;
use tragen_cache::FlightCache;
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        fair_line::Outcome,
        football::MatchDay,
        implied_goals::{ClosingOdds, implied_goals},
        inplay::{GoalRates, InPlayModel},
        kelly::{fee_per_share, price_edge},
        live_trading::{
            Held, KeepReason, LeaveReason, LiveDecision, LiveEvent, LiveRefusal, LiveReport, LiveRules, LiveView,
            WaysOut, live_trading,
        },
        scout::MatchPhase,
    },
    time::Timestamp,
};
use tragen_host::clock;

/// The shared agent.
const AGENT: &str = "liveTradingAgent";
/// Version of the arithmetic; it changes when equal data would give other numbers.
const MODEL_VERSION: &str = "goal-birth-process-1";
/// Matches whose expected goals are remembered, and how long: a match with its break.
const RATES_KEPT: (u64, Duration) = (1_000, Duration::from_secs(3 * 3_600));

/// The in-play model, worked out once, and the goals expected of matches.
#[derive(Debug)]
pub(super) struct LiveDesk {
    model: InPlayModel,
    rates: FlightCache<String, (GoalRates, v1::AnalysisSource)>,
}

impl Default for LiveDesk {
    fn default() -> Self {
        let (entries_max, time_to_live) = RATES_KEPT;
        Self { model: InPlayModel::default(), rates: FlightCache::new("goal_rates", entries_max, time_to_live) }
    }
}

/// Chances of home, draw and away, and what they rest on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chances {
    pub(super) chances: [f64; 3],
    pub(super) agent: &'static str,
    pub(super) model_version: &'static str,
    pub(super) source: v1::AnalysisSource,
    /// Share of the inputs that were there.
    pub(super) confidence_ppm: i32,
}

/// The market of a match, and what the caller should do with what it holds of it.
pub(super) async fn view(desk: &Desk, caller: &Caller, match_id: &str) -> Result<v1::MarketView, Refused> {
    let snapshot = desk.sources.snapshot(match_id, &caller.traceparent).await?;
    let held = held(&desk.sources.positions(caller).await?, &snapshot);
    let now = Timestamp::from_micros(clock::now_micros());
    match phase(&snapshot) {
        MatchPhase::PreMatch => Ok(before_kickoff(&snapshot, &held, now)),
        MatchPhase::InPlay => in_play(desk, &snapshot, &held, now).await,
        MatchPhase::Finished => Ok(v1::MarketView {
            info: Some(info(&snapshot, None, "The match is over.".to_owned())),
            unpriced_reason: Refused::Finished.reason().to_owned(),
            r#match: snapshot.r#match,
            ..v1::MarketView::default()
        }),
    }
}

/// Chances of a match that is not over, by the model of its phase.
pub(super) async fn chances(desk: &Desk, snapshot: &v1::MatchSnapshot) -> Result<Chances, Refused> {
    match phase(snapshot) {
        MatchPhase::PreMatch => fair(snapshot, Timestamp::from_micros(clock::now_micros())),
        MatchPhase::InPlay => {
            let (rates, source) = goal_rates(desk, snapshot).await?;
            let state = match_state(snapshot).ok_or_else(|| unpriceable(&"the score is not known"))?;
            let chances = desk.live.model.chances(rates, &state).map_err(|error| unpriceable(&error))?;
            Ok(Chances { chances, agent: AGENT, model_version: MODEL_VERSION, source, confidence_ppm: 1_000_000 })
        }
        MatchPhase::Finished => Err(Refused::Finished),
    }
}

fn fair(snapshot: &v1::MatchSnapshot, now: Timestamp) -> Result<Chances, Refused> {
    let report = scout::report(snapshot, 0, now)?;
    Ok(Chances {
        chances: report.fair,
        agent: scout::AGENT,
        model_version: scout::MODEL_VERSION,
        source: v1::AnalysisSource::Model,
        confidence_ppm: scout::confidence_ppm(&report),
    })
}

fn before_kickoff(snapshot: &v1::MatchSnapshot, held: &[Option<Held>; 3], now: Timestamp) -> v1::MarketView {
    let (info, outcomes, unpriced_reason) = match fair(snapshot, now) {
        Ok(fair) => {
            let explanation = "The chances are the bookmakers' without their margins; exits begin at the kick-off.";
            let info = info(snapshot, Some(&fair), explanation.to_owned());
            (info, outcomes(snapshot, Some(&fair.chances)), String::new())
        }
        Err(refused) => {
            let info = info(snapshot, None, refused.to_string());
            (info, outcomes(snapshot, None), refused.reason().to_owned())
        }
    };
    let holdings = Outcome::ALL.into_iter().filter_map(|outcome| {
        let held = outcome.of(held)?;
        let (action, reason) = (v1::HoldingAction::Keep, v1::HoldingReason::NotStarted);
        Some(holding(snapshot, outcome, held, (action, reason)))
    });
    v1::MarketView {
        info: Some(info),
        outcomes,
        holdings: holdings.collect(),
        unpriced_reason,
        r#match: snapshot.r#match.clone(),
    }
}

/// What the agent sees of a match in play and says of what is held, and where the goals come from that it expects.
async fn report(
    desk: &Desk,
    snapshot: &v1::MatchSnapshot,
    (held, ways): (&[Option<Held>; 3], WaysOut),
    now: Timestamp,
) -> Result<(LiveView, LiveReport, v1::AnalysisSource), Refused> {
    let (rates, source) = goal_rates(desk, snapshot).await?;
    let state = match_state(snapshot).ok_or_else(|| unpriceable(&"the score is not known"))?;
    let rules = LiveRules { fee_rate: fee_rate(snapshot), ways, ..LiveRules::default() };
    let view = LiveView {
        phase: MatchPhase::InPlay,
        rates,
        state,
        score_age_ms: score_age_ms(snapshot, now),
        last_event: last_event(snapshot),
        books: Outcome::ALL.map(|outcome| top_of_book(snapshot, outcome, now)),
        held: *held,
    };
    let report = live_trading(&desk.live.model, &view, &rules).map_err(|refusal| match refusal {
        LiveRefusal::NotStarted | LiveRefusal::Finished => Refused::Finished,
        LiveRefusal::Unpriceable(_) | LiveRefusal::InvalidNumber { .. } => unpriceable(&refusal),
    })?;
    Ok((view, report, source))
}

/// What to do with contracts that are held of a match in play; the prices that were paid for them the ledger knows.
pub(super) async fn decide(
    desk: &Desk,
    caller: &Caller,
    snapshot: &v1::MatchSnapshot,
    (standing, ways): (&v1::Standing, WaysOut),
) -> Result<[LiveDecision; 3], Refused> {
    let booked = desk.sources.positions(caller).await?;
    let of_match = |own: &&v1::StandingPosition| {
        own.quantity_micros > 0 && snapshot.instruments.iter().any(|known| known.instrument_id == own.instrument_id)
    };
    let mut positions = Vec::with_capacity(3);
    for own in standing.positions.iter().filter(of_match) {
        let booked = booked.iter().find(|booked| booked.instrument_id == own.instrument_id);
        let booked = booked.filter(|booked| booked.average_price_micros > 0);
        let booked = booked.ok_or_else(|| unpriceable(&"what was paid for a contract is not booked yet"))?;
        // How much is held the guard knows first.
        positions.push(v1::Position { quantity_micros: own.quantity_micros, ..booked.clone() });
    }
    let held = held(&positions, snapshot);
    let now = Timestamp::from_micros(clock::now_micros());
    Ok(report(desk, snapshot, (&held, ways), now).await?.1.decisions)
}

async fn in_play(
    desk: &Desk,
    snapshot: &v1::MatchSnapshot,
    held: &[Option<Held>; 3],
    now: Timestamp,
) -> Result<v1::MarketView, Refused> {
    let (view, report, source) = report(desk, snapshot, (held, WaysOut::SellOrHedge), now).await?;
    let quoted = view.books.iter().flatten().count();
    let chances = Chances {
        chances: report.chances,
        agent: AGENT,
        model_version: MODEL_VERSION,
        source,
        confidence_ppm: share_ppm(1 + quoted, 4),
    };
    let holdings = Outcome::ALL
        .into_iter()
        .filter_map(|outcome| Some(decided(snapshot, outcome, outcome.of(held)?, &outcome.of(&report.decisions))));
    let explanation = explanation(snapshot, &report);
    Ok(v1::MarketView {
        info: Some(info(snapshot, Some(&chances), explanation)),
        outcomes: outcomes(snapshot, Some(&report.chances)),
        holdings: holdings.collect(),
        unpriced_reason: String::new(),
        r#match: snapshot.r#match.clone(),
    })
}

fn explanation(snapshot: &v1::MatchSnapshot, report: &LiveReport) -> String {
    let of = snapshot.r#match.clone().unwrap_or_default();
    let [home, draw, away] = report.chances.map(|chance| chance * 100.0);
    format!(
        "{} {}-{} {} in minute {}: home {home:.1} %, draw {draw:.1} %, away {away:.1} %.",
        of.home, of.home_goals, of.away_goals, of.away, of.minute
    )
}

/// Goals that the closing odds expected; without them, what past results expect.
async fn goal_rates(desk: &Desk, snapshot: &v1::MatchSnapshot) -> Result<(GoalRates, v1::AnalysisSource), Refused> {
    let of = snapshot.r#match.clone().unwrap_or_default();
    let making = async {
        if let Some(rates) = closing_rates(snapshot) {
            return Ok::<_, Refused>((rates, v1::AnalysisSource::Model));
        }
        let known = desk.results.now(&desk.sources).await?;
        let day = MatchDay::of(Timestamp::from_micros(of.kickoff_micros));
        let (home, away) = (known.history.team(&of.home)?, known.history.team(&of.away)?);
        let model = desk.models.before(&known.history, day).await?;
        let rates = model.fit().rates(home, away).ok_or(Refused::NoGoalRates)?;
        Ok((GoalRates { home: rates.home, away: rates.away }, v1::AnalysisSource::Fallback))
    };
    // The same id at another kick-off is another match.
    let key = format!("{}@{}", of.match_id, of.kickoff_micros);
    let made = desk.live.rates.get_or_try(key, making).await;
    made.map_err(|refused: std::sync::Arc<Refused>| Refused::clone(&refused))
}

/// `None` when nobody quoted, or when the odds contradict each other.
fn closing_rates(snapshot: &v1::MatchSnapshot) -> Option<GoalRates> {
    let closing = &snapshot.closing_books;
    let sharp = closing.iter().find(|book| book.is_sharp).or(closing.first())?;
    let over_under: [i64; 2] = snapshot.over_under_odds_micros.as_slice().try_into().ok()?;
    let outcomes = books(std::slice::from_ref(sharp)).first()?.odds;
    let odds = ClosingOdds { outcomes, over_under: over_under.map(as_units) };
    implied_goals(&odds).ok().map(|implied| implied.rates)
}

fn last_event(snapshot: &v1::MatchSnapshot) -> Option<(LiveEvent, i64)> {
    let event = match snapshot.last_event() {
        v1::MatchEvent::Unspecified => return None,
        v1::MatchEvent::Goal => LiveEvent::Goal,
        v1::MatchEvent::RedCard => LiveEvent::RedCard,
    };
    let (then, now) = (snapshot.last_event_micros, snapshot.event_time_micros);
    Some((event, Timestamp::from_micros(now).millis_since(Timestamp::from_micros(then))))
}

/// What is held of each contract of the match, at its price and the fee of that price.
fn held(positions: &[v1::Position], snapshot: &v1::MatchSnapshot) -> [Option<Held>; 3] {
    let rate = fee_rate(snapshot);
    Outcome::ALL.map(|outcome| {
        let id = contract_id(snapshot, outcome);
        let position =
            positions.iter().find(|position| position.instrument_id == id && position.quantity_micros > 0)?;
        let price = as_units(position.average_price_micros);
        let cost = (price + fee_per_share(rate, price)).clamp(0.0, 1.0);
        Some(Held { contracts: as_units(position.quantity_micros), cost })
    })
}

fn outcomes(snapshot: &v1::MatchSnapshot, chances: Option<&[f64; 3]>) -> Vec<v1::OutcomeView> {
    let rate = fee_rate(snapshot);
    let of = |outcome: Outcome| {
        let (bid, ask) = quote(snapshot, outcome).map_or((0, 0), |q| (q.bid_price_micros, q.ask_price_micros));
        let chance = chances.map(|chances| outcome.of(chances));
        let edge = chance.filter(|_| ask > 0).and_then(|p| price_edge(p, as_units(ask), rate).ok());
        v1::OutcomeView {
            instrument_id: contract_id(snapshot, outcome),
            outcome: word(outcome).to_owned(),
            chance_ppm: chance.map_or(0, ppm),
            bid_price_micros: bid,
            ask_price_micros: ask,
            edge_bps: edge.map_or(0, |edge| bps(edge.edge_ratio)),
        }
    };
    Outcome::ALL.map(of).to_vec()
}

fn decided(snapshot: &v1::MatchSnapshot, outcome: Outcome, held: Held, decision: &LiveDecision) -> v1::HoldingView {
    use v1::HoldingAction as Action;
    match decision {
        LiveDecision::Keep(why) => holding(snapshot, outcome, held, (Action::Keep, keep_reason(why))),
        LiveDecision::Exit { reason, contracts, limit } => v1::HoldingView {
            trade_quantity_micros: whole_micros(*contracts),
            limit_price_micros: limit.map_or(0, micros),
            ..holding(snapshot, outcome, held, (Action::Exit, leave_reason(reason)))
        },
        LiveDecision::Hedge { reason, contracts, legs, locked } => v1::HoldingView {
            trade_quantity_micros: whole_micros(*contracts),
            legs: {
                let leg = |leg: &tragen_domain::agents::live_trading::HedgeLeg| v1::HedgeLeg {
                    instrument_id: contract_id(snapshot, leg.outcome),
                    limit_price_micros: micros(leg.limit),
                };
                legs.iter().map(leg).collect()
            },
            locked_micros: micros(*locked),
            ..holding(snapshot, outcome, held, (Action::Hedge, leave_reason(reason)))
        },
    }
}

fn holding(
    snapshot: &v1::MatchSnapshot,
    outcome: Outcome,
    held: Held,
    (action, reason): (v1::HoldingAction, v1::HoldingReason),
) -> v1::HoldingView {
    let bid = quote(snapshot, outcome).map_or(0, |quote| quote.bid_price_micros);
    let price = as_units(bid);
    let proceeds = if bid > 0 { price - fee_per_share(fee_rate(snapshot), price) } else { 0.0 };
    v1::HoldingView {
        instrument_id: contract_id(snapshot, outcome),
        quantity_micros: micros(held.contracts),
        cost_micros: micros(held.cost),
        action: action.into(),
        reason: reason.into(),
        proceeds_micros: micros(proceeds),
        ..v1::HoldingView::default()
    }
}

const fn keep_reason(why: &KeepReason) -> v1::HoldingReason {
    match why {
        KeepReason::NothingHeld | KeepReason::WithinBand { .. } => v1::HoldingReason::WithinBand,
        KeepReason::Covered => v1::HoldingReason::Covered,
        KeepReason::Frozen { .. } => v1::HoldingReason::Frozen,
        KeepReason::NoWayOut(_) => v1::HoldingReason::NoWayOut,
    }
}

const fn leave_reason(why: &LeaveReason) -> v1::HoldingReason {
    match why {
        LeaveReason::TakeProfit { .. } => v1::HoldingReason::TakeProfit,
        LeaveReason::Stop { .. } => v1::HoldingReason::Stop,
        LeaveReason::StaleScore { .. } => v1::HoldingReason::StaleScore,
        LeaveReason::UnusableBook(_) => v1::HoldingReason::UnusableBook,
        LeaveReason::NoBook => v1::HoldingReason::NoBook,
    }
}

fn info(snapshot: &v1::MatchSnapshot, chances: Option<&Chances>, explanation: String) -> v1::AnalysisInfo {
    v1::AnalysisInfo {
        agent: chances.map_or(AGENT, |chances| chances.agent).to_owned(),
        model_version: chances.map_or(MODEL_VERSION, |chances| chances.model_version).to_owned(),
        data_asof: as_of(snapshot),
        confidence_ppm: chances.map_or(0, |chances| chances.confidence_ppm),
        source: chances.map_or(v1::AnalysisSource::Model, |chances| chances.source).into(),
        explanation,
    }
}

fn unpriceable(why: &dyn std::fmt::Display) -> Refused {
    Refused::Unpriceable(why.to_string())
}
