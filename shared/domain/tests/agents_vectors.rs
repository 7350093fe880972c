//! The agent rules against reference figures computed by other code from real prices.

#[path = "agents_vectors/advisor.rs"]
mod advisor;
#[path = "agents_vectors/arbitrage.rs"]
mod arbitrage;
#[path = "agents_vectors/bars.rs"]
mod bars;
#[path = "agents_vectors/context.rs"]
mod context;
#[path = "agents_vectors/datasets.rs"]
mod datasets;
#[path = "agents_vectors/football.rs"]
mod football;
#[path = "agents_vectors/football_properties.rs"]
mod football_properties;
#[path = "agents_vectors/inplay.rs"]
mod inplay;
#[path = "agents_vectors/news.rs"]
mod news;
#[path = "agents_vectors/pools.rs"]
mod pools;
#[path = "agents_vectors/portfolio.rs"]
mod portfolio;
#[path = "agents_vectors/properties.rs"]
mod properties;
mod reference;
#[path = "agents_vectors/value.rs"]
mod value;

use reference::{list, number, numbers, reference, vectors};
use serde_json::Value;
use tragen_domain::agents::bar::{Bar, Ohlc};
use tragen_domain::agents::consensus::SHARP_WEIGHT;
use tragen_domain::agents::devig::{DevigMethod, devig};
use tragen_domain::agents::fair_line::Book;
use tragen_domain::agents::indicators::{Donchian, EfficiencyRatio, Ema, Sma, ZScore};
use tragen_domain::agents::kelly::{fee_per_share, kelly_for_odds, price_edge, stake_fraction};
use tragen_domain::agents::personality::{AnalysisStyle, Personality};
use tragen_domain::agents::scalper::Scalper;
use tragen_domain::agents::scout::{MatchPhase, MatchView, Quote, ScoutRules, scout};
use tragen_domain::agents::signal::{ClosedTrade, Direction, Reason, Signal};
use tragen_domain::agents::sizing::{LotRule, StopRisk, stop_risk_quantity, volatility_leverage};
use tragen_domain::agents::swing::{Swing, SwingParams};
use tragen_domain::agents::wilder::{Adx, Atr};

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}

/// What the reference states of a formula in closed form: a share of the figure. Margins that are found by iteration and
/// profits of backtests, of which it states 1e-9, come out as exactly.
const CLOSED_FORM: f64 = 1e-12;
/// What it states of indicators: sums that roll over thousands of bars of nearly equal prices differ in their last digits.
const INDICATOR: f64 = 1e-9;

/// Checks a figure of a formula in closed form.
#[track_caller]
fn close(got: f64, expected: f64, what: &str) {
    within(CLOSED_FORM, got, expected, what);
}

/// Checks a figure to a share of itself; one that should be zero to the share of 1.
#[track_caller]
fn within(share: f64, got: f64, expected: f64, what: &str) {
    let scale = if expected == 0.0 { 1.0 } else { expected.abs() };
    assert!((got - expected).abs() <= share * scale, "{what}: {got} is not {expected}");
}

/// The rows of a CSV file as (column name -> cell).
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(name: &str) -> Option<Self> {
        let text = reference(&format!("data/{name}.csv"))?;
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let names = lines.next().expect("a header");
        Some(Self { names, rows: lines.collect() })
    }

    fn column(&self, name: &str) -> usize {
        self.names.iter().position(|n| n == name).unwrap_or_else(|| panic!("no column {name}"))
    }

    /// Decimal odds of home, draw and away of a price source; None where one is missing.
    fn odds(&self, row: &[String], source: &str) -> Option<[f64; 3]> {
        let cell = |suffix: &str| row[self.column(&format!("{source}_{suffix}"))].parse::<f64>().ok();
        Some([cell("h")?, cell("d")?, cell("a")?])
    }

    fn ohlc(&self, row: &[String], columns: [&str; 4]) -> Ohlc {
        let [open, high, low, close] = columns.map(|c| row[self.column(c)].parse::<f64>().expect("a price"));
        Ohlc { open, high, low, close }
    }

    fn mid_bars(&self, half_spread: f64) -> Vec<Bar> {
        let mid = |row: &Vec<String>| self.ohlc(row, ["open", "high", "low", "close"]);
        self.rows.iter().map(|row| Bar::from_mid(mid(row), half_spread).expect("a valid bar")).collect()
    }

    fn quote_bars(&self) -> Vec<Bar> {
        let bid = |row: &Vec<String>| self.ohlc(row, ["bid_o", "bid_h", "bid_l", "bid_c"]);
        let ask = |row: &Vec<String>| self.ohlc(row, ["ask_o", "ask_h", "ask_l", "ask_c"]);
        self.rows.iter().map(|row| Bar::from_bid_ask(bid(row), ask(row)).expect("a valid bar")).collect()
    }
}

#[test]
fn margins_are_removed_as_in_the_reference() {
    let Some(reference) = vectors("devig") else { return };
    let methods = [
        ("shin", DevigMethod::Shin, "z"),
        ("power", DevigMethod::Power, "k"),
        ("odds_ratio", DevigMethod::OddsRatio, "c"),
        ("additive", DevigMethod::Additive, ""),
        ("multiplicative", DevigMethod::Multiplicative, ""),
    ];
    for case in list(&reference["cases"]) {
        for (name, method, parameter) in methods {
            let fair = devig(method, &numbers(&case["odds"])).expect("readable odds");
            let expected = if parameter.is_empty() { &case[name] } else { &case[name]["p"] };
            for (p, expected) in fair.probabilities.iter().zip(numbers(expected)) {
                close(*p, expected, &format!("{name} of {}", case["tag"]));
            }
            close(fair.overround, number(&case["overround"]), "overround");
            match fair.parameter {
                Some(solved) => close(solved, number(&case[name][parameter]), &format!("{name} of {}", case["tag"])),
                None => assert!(parameter.is_empty()),
            }
        }
    }
}

#[test]
fn fair_odds_forecast_a_season_as_well_as_in_the_reference() {
    let (Some(reference), Some(matches)) = (vectors("forecast_eval"), Table::read("epl_matches")) else { return };
    let check = |name: &str, source: &str, method: DevigMethod| {
        let (mut log_loss, mut rps, mut n) = (0.0, 0.0, 0.0);
        for row in matches.rows.iter().filter(|row| row[matches.column("season")] == "2024-25") {
            let odds = matches.odds(row, source).expect("complete odds");
            let p = devig(method, &odds).expect("readable odds").probabilities;
            let result = ["H", "D", "A"].map(|r| if row[matches.column("ftr")] == r { 1.0 } else { 0.0 });
            log_loss -= p.iter().zip(result).map(|(p, won)| won * p.ln()).sum::<f64>();
            rps += ((p[0] - result[0]).powi(2) + (p[2] - result[2]).powi(2)) / 2.0;
            n += 1.0;
        }
        let expected = &reference["results"]["2024-25"][name];
        close(n, number(&expected["n"]), "matches");
        close(log_loss / n, number(&expected["logloss"]), name);
        close(rps / n, number(&expected["rps"]), name);
        println!("{name}: {n} matches, log-loss {:.6}", log_loss / n);
    };
    check("ps_open_shin", "ps", DevigMethod::Shin);
    check("avg_open_shin", "avg", DevigMethod::Shin);
    check("psc_close_shin", "psc", DevigMethod::Shin);
    check("avg_close_shin", "avgc", DevigMethod::Shin);
    check("avg_close_power", "avgc", DevigMethod::Power);
    check("avg_close_mult", "avgc", DevigMethod::Multiplicative);
}

#[test]
fn stakes_and_fees_are_those_of_the_reference() {
    let (Some(kelly), Some(fees)) = (vectors("kelly"), vectors("fees_arbitrage")) else { return };
    for case in list(&kelly["odds"]) {
        let full = kelly_for_odds(number(&case["p"]), number(&case["odds"])).expect("valid bet");
        close(full, number(&case["full"]), "full");
        close(stake_fraction(full, 0.25, 1.0), number(&case["stake_quarter"]), "quarter");
        close(stake_fraction(full, 0.25, 0.05), number(&case["capped_5pct"]), "capped");
    }
    for case in list(&kelly["binary"]) {
        let [p, price, rate] = ["p", "price", "fee_rate"].map(|name| number(&case[name]));
        let priced = price_edge(p, price, rate).expect("valid price");
        let got = [priced.fee, priced.cost, priced.edge, priced.edge_ratio, priced.kelly];
        for (got, name) in got.into_iter().zip(["fee_per_share", "cost", "ev_per_share", "roi", "kelly"]) {
            close(got, number(&case[name]), name);
        }
    }
    let of_venue: Vec<_> = list(&fees["fees"]).iter().filter(|case| case["venue"] == "polymarket").collect();
    assert!(of_venue.len() >= 3, "{}", of_venue.len());
    for case in of_venue {
        let [shares, price, rate] = ["shares", "price", "rate"].map(|name| number(&case[name]));
        close(shares * fee_per_share(rate, price), number(&case["taker_fee_raw"]), "taker fee");
    }
}

#[test]
fn sizes_are_those_of_the_reference() {
    let Some(reference) = vectors("sizing") else { return };
    for case in list(&reference["cases"]) {
        let field = |name: &str| number(&case[name]);
        let risk = StopRisk {
            capital: field("capital"),
            risk_per_trade: field("risk_pct"),
            entry: field("entry"),
            stop: field("stop"),
            point_value: field("point_value"),
        };
        let lots = LotRule { min_quantity: field("min_qty"), max_quantity: field("max_qty"), step: field("step") };
        close(stop_risk_quantity(&risk, &lots).expect("valid trade"), field("qty"), "quantity");
    }
    for case in list(&reference["vol_target"]) {
        let [target, realized, cap] = ["target_ann_vol", "realised_ann_vol", "cap"].map(|name| number(&case[name]));
        close(volatility_leverage(target, realized, cap).expect("valid"), number(&case["leverage"]), "leverage");
    }
    for case in list(&reference["personality"]["vectors"]) {
        let tolerance = u8::try_from(case["risk_tolerance"].as_u64().expect("a number")).expect("1..=10");
        let agent = Personality::new(tolerance, AnalysisStyle::Swing, 10).expect("valid personality");
        close(agent.risk_per_trade(), number(&case["risk_per_trade"]), "risk per trade");
    }
}

/// Every indicator after each bar; the names are those of the reference.
fn indicator_rows(bars: &[Ohlc]) -> Vec<Vec<(&'static str, Option<f64>)>> {
    let (mut sma20, mut ema20, mut ema12, mut ema26) =
        (Sma::<20>::default(), Ema::<20>::default(), Ema::<12>::default(), Ema::<26>::default());
    let (mut z20, mut ratio10) = (ZScore::<20>::default(), EfficiencyRatio::<10>::default());
    let (mut atr14, mut adx14, mut donchian20) =
        (Atr::<14>::default(), Adx::<14>::default(), Donchian::<20>::default());
    let row = |bar: &Ohlc| {
        let channel = donchian20.update(bar.high, bar.low);
        vec![
            ("sma20", sma20.update(bar.close)),
            ("ema20", ema20.update(bar.close)),
            ("ema12", ema12.update(bar.close)),
            ("ema26", ema26.update(bar.close)),
            ("zscore20", z20.update(bar.close)),
            ("eff_ratio10", ratio10.update(bar.close)),
            ("atr14", atr14.update(bar)),
            ("adx14", adx14.update(bar)),
            ("donchian20_upper_prev", channel.map(|c| c.upper)),
            ("donchian20_lower_prev", channel.map(|c| c.lower)),
        ]
    };
    bars.iter().map(row).collect()
}

#[test]
fn indicators_are_those_of_the_reference() {
    let Some(reference) = vectors("indicators") else { return };
    let check = |name: &str, bars: &[Ohlc]| {
        let expected = &reference[name];
        close(bars[0].close, number(&expected["first_close"]), "first close");
        close(bars[bars.len() - 1].close, number(&expected["last_close"]), "last close");
        let mut compared = 0;
        for (index, row) in indicator_rows(bars).iter().enumerate() {
            for (indicator, got) in row {
                match (got, expected[*indicator].get(index.to_string())) {
                    (_, None) => continue,
                    // A score counts deviations: where the close is the mean, the reference's digits are left over from
                    // rounding the prices (4.7e-10 instead of 0).
                    (Some(got), Some(value)) if *indicator == "zscore20" => {
                        assert!((got - number(value)).abs() <= INDICATOR, "{name} {indicator}[{index}]: {got}");
                    }
                    (Some(got), Some(value)) => {
                        within(INDICATOR, *got, number(value), &format!("{name} {indicator}[{index}]"));
                    }
                    (None, Some(value)) => assert!(value.is_null(), "{name} {indicator}[{index}] is missing"),
                }
                compared += 1;
            }
        }
        println!("{name}: {compared} values compared");
        assert!(compared >= 100);
    };
    let (Some(eurusd), Some(gbpusd), Some(bitcoin)) =
        (Table::read("eurusd_h4_2012-2022"), Table::read("gbpusd_m1_2012-02"), Table::read("btcperp_m1_2022-01"))
    else {
        return;
    };
    let mids = |table: &Table| table.mid_bars(0.0).iter().map(|bar| *bar.mid()).collect::<Vec<_>>();
    let bids: Vec<Ohlc> = gbpusd.quote_bars().iter().map(|bar| *bar.bid()).collect();
    let eurusd = mids(&eurusd);
    check("eurusd_h4_last1000", &eurusd[eurusd.len() - 1000..]);
    check("gbpusd_m1_first1440_bid", &bids[..1440]);
    check("btcperp_m1_first2880", &mids(&bitcoin)[..2880]);
}

/// Plays bars through a state machine: the trades it closed and the index of the bar that closed each.
fn trades(bars: &[Bar], mut on_bar: impl FnMut(&Bar) -> Signal) -> Vec<(usize, ClosedTrade)> {
    bars.iter().enumerate().filter_map(|(index, bar)| on_bar(bar).closed.map(|trade| (index, trade))).collect()
}

fn check_trades(name: &str, trades: &[(usize, ClosedTrade)], expected: &Value) {
    let how_many =
        |predicate: &dyn Fn(&ClosedTrade) -> bool| trades.iter().filter(|(_, trade)| predicate(trade)).count();
    let sum = |sign: f64| trades.iter().map(|(_, trade)| (sign * trade.pnl()).max(0.0)).sum::<f64>();
    let exact = [
        ("trades", trades.len()),
        ("stops", how_many(&|trade| trade.reason == Reason::Stop)),
        ("longs", how_many(&|trade| trade.direction == Direction::Long)),
    ];
    for (what, got) in exact {
        assert_eq!(Some(got), count(&expected[what]), "{name} {what}");
    }
    close(sum(1.0) - sum(-1.0), number(&expected["total"]), "total");
    close(sum(1.0), number(&expected["gross_profit"]), "gross profit");
    close(sum(-1.0), number(&expected["gross_loss"]), "gross loss");
    let ends =
        trades.iter().take(3).chain(trades.last()).zip(list(&expected["first3"]).iter().chain([&expected["last"]]));
    for ((bar, trade), expected) in ends {
        close(trade.direction.sign(), number(&expected["side"]), "side");
        close(trade.entry_price, number(&expected["entry"]), "entry");
        close(trade.exit_price, number(&expected["exit"]), "exit");
        assert_eq!(count(&expected["bar"]), Some(*bar), "{name}");
        assert_eq!(expected["why"] == "stop", trade.reason == Reason::Stop, "{name}");
    }
    println!("{name}: {} trades, total {:.12}", trades.len(), sum(1.0) - sum(-1.0));
}

#[test]
fn strategies_trade_as_in_the_reference() {
    let Some(reference) = vectors("strategies") else { return };
    let (Some(eurusd), Some(gbpusd)) = (Table::read("eurusd_h4_2012-2022"), Table::read("gbpusd_m1_2012-02")) else {
        return;
    };
    let bars = eurusd.mid_bars(0.000_05);
    // The second run trades the last 3,000 bars only, with indicators that have seen them all.
    let late = u32::try_from(bars.len() - 3_000).expect("a small count");
    for (name, warmup_bars) in [("full", 100), ("last3000", late)] {
        let mut swing = Swing::new(SwingParams { warmup_bars, ..SwingParams::default() }).expect("valid parameters");
        check_trades(name, &trades(&bars, |bar| swing.on_bar(bar)), &reference["swing_eurusd_h4"][name]);
    }
    let quotes = gbpusd.quote_bars();
    let mids: Vec<Bar> = quotes.iter().map(|bar| Bar::from_mid(*bar.mid(), 0.0).expect("a valid bar")).collect();
    for (name, bars) in [("real_spread", &quotes), ("mid_no_spread", &mids)] {
        let mut scalper = Scalper::default();
        check_trades(name, &trades(bars, |bar| scalper.on_bar(bar)), &reference["scalper_gbpusd_m1"][name]);
    }
}

/// The outcome of flat bets of 10; `edge` and `closing_value` are sums over the bets.
#[derive(Debug, Default)]
struct FlatBets {
    bets: usize,
    wins: usize,
    pnl: f64,
    edge: f64,
    closing_value: f64,
    worst_drawdown: f64,
}

/// Bets a flat stake of 10 on everything the scout finds, best price against the sharp book's fair line.
fn bet_flat(matches: &Table, (sharp, best, closing): (&str, &str, &str), min_edge_bps: u32) -> FlatBets {
    let rules = ScoutRules { fee_rate: 0.0, min_edge_bps, ..ScoutRules::default() };
    let mut rows: Vec<&Vec<String>> = matches.rows.iter().collect();
    rows.sort_by_key(|row| (&row[matches.column("date")], &row[matches.column("home")]));
    let (mut total, mut peak) = (FlatBets::default(), 1_000.0_f64);
    for row in rows {
        let (Some(odds), Some(offered)) = (matches.odds(row, sharp), matches.odds(row, best)) else { continue };
        let books = [Book { bookmaker: sharp.to_owned(), weight: SHARP_WEIGHT, odds }];
        let quotes = offered.map(|odds| Some(Quote { ask: 1.0 / odds, ask_size: 1e6, bid: None, age_ms: None }));
        let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
        let mut found = scout(&view, &rules).expect("a readable book").opportunities;
        found.sort_by_key(|bet| bet.outcome);
        for bet in found {
            let odds = bet.outcome.of(&offered);
            let has_won = row[matches.column("ftr")] == bet.outcome.of(&["H", "D", "A"]);
            total.bets += 1;
            total.wins += usize::from(has_won);
            total.pnl += if has_won { 10.0 * (odds - 1.0) } else { -10.0 };
            total.edge += bet.priced.edge_ratio;
            if let Some(last) = matches.odds(row, closing) {
                let fair = devig(DevigMethod::Shin, &last).expect("readable odds").probabilities;
                let fair: [f64; 3] = fair.try_into().expect("three outcomes");
                total.closing_value += bet.outcome.of(&fair) * odds - 1.0;
            }
            peak = peak.max(1_000.0 + total.pnl);
            total.worst_drawdown = total.worst_drawdown.max((peak - 1_000.0 - total.pnl) / peak);
        }
    }
    total
}

/// The reference covers 21 seasons. Where the last one (2025-26) is missing from the prices, the bets of the 20 others
/// are held against figures that a separate script counted from the same file; the worst drawdowns lie before the
/// missing season, so the reference's own figure must still come out.
#[test]
fn sharp_anchor_finds_the_bets_of_the_reference() {
    let (Some(reference), Some(matches)) = (vectors("backtest_sharp_anchor"), Table::read("epl_matches")) else {
        return;
    };
    let is_complete = matches.rows.len() == 7_980;
    let twenty_seasons = [(100, 3_584, 1_274, 1_188.7), (200, 1_985, 645, 1_348.7), (400, 714, 197, 1_251.5)];
    for (min_edge_bps, bets, wins, pnl) in twenty_seasons {
        let got = bet_flat(&matches, ("ps", "max", "psc"), min_edge_bps);
        let run = list(&reference["runs"])
            .iter()
            .find(|run| {
                let edge = number(&run["edge"]) * 10_000.0;
                run["ref"] == "ps" && run["bet"] == "max" && (edge - f64::from(min_edge_bps)).abs() < 0.5
            })
            .expect("a run for this edge");
        close(got.worst_drawdown, number(&run["max_dd"]), "drawdown");
        let n = f64::from(u32::try_from(got.bets).expect("a small count"));
        let (roi, closing_value) = (got.pnl / n / 10.0, got.closing_value / n);
        if is_complete {
            assert_eq!((Some(got.bets), Some(got.wins)), (count(&run["bets"]), count(&run["wins"])));
            for (got, name) in
                [(got.pnl, "pnl"), (roi, "roi"), (got.edge / n, "mean_edge"), (closing_value, "mean_clv")]
            {
                close(got, number(&run[name]), name);
            }
        } else {
            assert_eq!((matches.rows.len(), got.bets, got.wins), (7_600, bets, wins));
            close(got.pnl, pnl, "pnl");
        }
        println!(
            "edge >= {min_edge_bps} bps: {} bets, ROI {:.2} %, CLV {:.2} %",
            got.bets,
            100.0 * roi,
            100.0 * closing_value
        );
    }
}
