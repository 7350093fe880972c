//! Figures of whole data sets: how well each way of removing margins forecast all seasons, and what real books of two
//! venues look like. And that no list of the reference is shorter or longer than it was when its test was written.

use super::reference::{list, number, vectors};
use super::{Table, close};
use serde_json::Value;
use std::collections::BTreeMap;
use tragen_domain::agents::devig::{DevigMethod, devig};
use tragen_domain::agents::top_of_book::{Offer, TopOfBook};

/// Name, way, and what the closing average of the last season by it is called, where it is known.
const METHODS: [(&str, DevigMethod, Option<&str>); 5] = [
    ("shin", DevigMethod::Shin, Some("avg_close_shin")),
    ("power", DevigMethod::Power, Some("avg_close_power")),
    ("multiplicative", DevigMethod::Multiplicative, Some("avg_close_mult")),
    ("additive", DevigMethod::Additive, None),
    ("odds_ratio", DevigMethod::OddsRatio, None),
];

/// Matches, log-loss and ranked probability score, both summed.
fn scored(matches: &Table, source: &str, method: DevigMethod) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for row in &matches.rows {
        let Some(odds) = matches.odds(row, source) else { continue };
        let p = devig(method, &odds).expect("readable odds").probabilities;
        let won = ["H", "D", "A"].map(|result| if row[matches.column("ftr")] == result { 1.0 } else { 0.0 });
        let log_loss: f64 = p.iter().zip(won).map(|(p, won)| -won * p.ln()).sum();
        let rps = f64::midpoint((p[0] - won[0]).powi(2), (p[2] - won[2]).powi(2));
        for (sum, value) in sums.iter_mut().zip([1.0, log_loss, rps]) {
            *sum += value;
        }
    }
    sums
}

/// The reference counts one season more than the file of matches has. What is missing must be that season: of the
/// averaged closing odds its score is known exactly, of the others it lies where a season lies.
#[test]
fn fair_odds_score_all_seasons_as_in_the_reference() {
    let (Some(reference), Some(evaluated), Some(matches)) =
        (vectors("devig"), vectors("forecast_eval"), Table::read("epl_matches"))
    else {
        return;
    };
    let mut compared = 0;
    for (source, of_file, missing) in [("psc", 4_940.0, 210.0), ("avgc", 2_280.0, 380.0), ("b365", 7_600.0, 380.0)] {
        for (name, method, last) in METHODS {
            let told = &reference["dataset_scores"][source];
            let [n, log_loss, rps] = scored(&matches, source, method);
            assert_eq!((n, number(&told["n"])), (of_file, of_file + missing), "{source}");
            let rest = |figure: &str, own: f64| (number(&told[name][figure]) * (n + missing) - own) / missing;
            let rest = [rest("logloss", log_loss), rest("rps", rps)];
            match last.filter(|_| source == "avgc") {
                Some(last) => {
                    let season = &evaluated["results"]["2025-26"][last];
                    close(rest[0], number(&season["logloss"]), &format!("log-loss of {source} {name}"));
                    close(rest[1], number(&season["rps"]), &format!("score of {source} {name}"));
                }
                None => {
                    let is_a_season = (0.95..1.05).contains(&rest[0]) && (0.18..0.22).contains(&rest[1]);
                    assert!(is_a_season, "{source} {name}: {rest:?}");
                }
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 15);
}

fn offer(table: &Table, row: &[String], price: &str, size: &str) -> Option<Offer> {
    let cell = |name: &str| row[table.column(name)].parse().ok();
    Some(Offer { price: cell(price)?, size: cell(size)? })
}

/// Whether both are the same offers, to the last digit that a venue writes.
fn is_same(one: &TopOfBook, other: &TopOfBook) -> bool {
    let same = |one: Option<Offer>, other: Option<Offer>| match (one, other) {
        (Some(one), Some(other)) => (one.price - other.price).abs() < 1e-9 && (one.size - other.size).abs() < 1e-9,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    same(one.bid, other.bid) && same(one.ask, other.ask)
}

/// How many, their mean, least and most.
fn summed(sums: &[f64]) -> (usize, f64, f64, f64) {
    let count = f64::from(u32::try_from(sums.len()).expect("few"));
    let least = sums.iter().copied().fold(f64::INFINITY, f64::min);
    (sums.len(), sums.iter().sum::<f64>() / count, least, sums.iter().copied().fold(0.0, f64::max))
}

fn check(sums: &[f64], told: &Value, count: usize) {
    let (n, mean, least, most) = summed(sums);
    assert_eq!(n, count);
    // Means are written to five digits.
    assert!((mean - number(&told["mean"])).abs() < 5.1e-5, "{mean} {told}");
    assert!((most - number(&told["max"])).abs() < 1e-9, "{most} {told}");
    assert!(told["min"].is_null() || (least - number(&told["min"])).abs() < 1e-9, "{least} {told}");
}

#[test]
fn a_venue_shows_one_book_from_two_sides_as_observed() {
    let (Some(reference), Some(quotes)) = (vectors("fees_arbitrage"), Table::read("polymarket_epl_bbo")) else {
        return;
    };
    let observed = &reference["observed"]["polymarket_epl"];
    let mut views: BTreeMap<[String; 3], BTreeMap<String, TopOfBook>> = BTreeMap::new();
    for row in &quotes.rows {
        let cell = |name: &str| row[quotes.column(name)].clone();
        let [bid, ask] =
            ["bid", "ask"].map(|side| offer(&quotes, row, &format!("best_{side}"), &format!("best_{side}_size")));
        let of = views.entry(["ts_utc", "event_slug", "market_slug"].map(cell)).or_default();
        of.insert(cell("outcome"), TopOfBook { bid, ask, age_ms: 0 });
    }
    let is_whole = |book: &&TopOfBook| book.bid.is_some() && book.ask.is_some();
    let (mut pairs, mut same) = (0, 0);
    let mut events: BTreeMap<[String; 2], Vec<TopOfBook>> = BTreeMap::new();
    for ([at, event, _], of) in &views {
        if let (Some(yes), Some(no)) = (of.get("Yes").filter(is_whole), of.get("No").filter(is_whole)) {
            pairs += 1;
            same += usize::from(is_same(&yes.opposite(), no));
        }
        events.entry([at.clone(), event.clone()]).or_default().extend(of.get("Yes").copied());
    }
    // One ask was read while its size changed; the reference rounds that away.
    assert_eq!((pairs, same), (1_437, 1_436));
    close(number(&observed["pairs"]), 1_437.0, "pairs");
    let shares = ["bid_yes_equals_1_minus_ask_no", "sizes_equal"].map(|name| number(&observed[name]));
    assert!(shares.iter().all(|share| (share - 1.0).abs() < 1e-12), "{shares:?}");
    let sums = |price: fn(&TopOfBook) -> Option<f64>| -> Vec<f64> {
        let whole = events.values().filter(|books| books.len() == 3);
        whole.filter_map(|books| books.iter().map(price).sum()).collect()
    };
    let asks = sums(|book| Some(book.ask?.price));
    check(&asks, &observed["three_way_sum_asks"], 479);
    check(&sums(|book| Some(book.bid?.price)), &observed["three_way_sum_bids"], 479);
    let below = asks.iter().filter(|sum| **sum < 1.0 - 1e-9).count();
    assert_eq!(Some(below), observed["sum_asks_below_1"].as_u64().and_then(|n| usize::try_from(n).ok()));
}

#[test]
fn another_venue_shows_the_same_as_observed() {
    let (Some(reference), Some(quotes)) = (vectors("fees_arbitrage"), Table::read("kalshi_mls_quotes")) else {
        return;
    };
    let observed = &reference["observed"]["kalshi_mls"];
    let (mut equal, mut games) = (0, BTreeMap::<String, BTreeMap<String, f64>>::new());
    for row in &quotes.rows {
        let cell = |name: &str| row[quotes.column(name)].clone();
        let [ask, no_bid] = ["yes_ask", "no_bid"].map(|name| cell(name).parse::<f64>().expect("a price"));
        equal += usize::from((ask + no_bid - 1.0).abs() < 1e-9);
        if cell("series") == "KXMLSGAME" {
            games.entry(cell("event_ticker")).or_default().insert(cell("ticker"), ask);
        }
    }
    assert_eq!((quotes.rows.len(), equal), (930, 930));
    close(number(&observed["quotes"]), 930.0, "quotes");
    close(number(&observed["yes_ask_plus_no_bid_equals_1"]), 1.0, "share");
    let sums: Vec<f64> = games.values().filter(|asks| asks.len() == 3).map(|asks| asks.values().sum()).collect();
    check(&sums, &observed["game_3way_sum_asks"], 15);
    close(number(&observed["game_3way_sum_asks"]["n"]), 15.0, "games");
}

/// Every list of cases in the reference, and its length: a loop over one that has become empty would pass.
const LENGTHS: &[(&str, &str, usize)] = &[
    ("backtest_sharp_anchor", "/runs", 21),
    ("backtest_value", "/runs", 24),
    ("bad_inputs", "/cases", 113),
    ("circuit_breakers", "/paths", 4),
    ("circuit_breakers", "/api_failure", 3),
    ("circuit_breakers", "/correlation", 3),
    ("cost", "/llm", 3),
    ("cost", "/agent_day", 3),
    ("cost", "/alerts", 9),
    ("cost", "/cost_per_trade", 2),
    ("cost", "/allocation", 8),
    ("cost", "/utilisation", 2),
    ("cost", "/productivity", 3),
    ("devig", "/cases", 13),
    ("dixon_coles", "/predictions", 3),
    ("dixon_coles", "/predictions_ridge5", 1),
    ("dixon_coles", "/decayed_xi0.0018_ridge0/predictions", 2),
    ("dixon_coles", "/decayed_xi0.0018_ridge5/predictions", 2),
    ("dixon_coles", "/low_level", 4),
    ("fees_arbitrage", "/fees", 14),
    ("fees_arbitrage", "/arb", 10),
    ("forecast_eval", "/elo_final_top5", 5),
    ("inplay", "/cases", 9),
    ("inplay", "/lambda_from_odds", 6),
    ("kelly", "/odds", 8),
    ("kelly", "/binary", 6),
    ("kelly", "/exclusive", 5),
    ("llm_guard_cases", "/cases", 21),
    ("market_making", "/classic", 4),
    ("market_making", "/logit", 5),
    ("performance", "/corr_250", 6),
    ("performance", "/corr_30", 6),
    ("performance", "/trades", 6),
    ("performance_score", "/cases", 5),
    ("pnl", "/settlement", 5),
    ("portfolio_risk", "/binary/positions", 3),
    ("portfolio_risk", "/stop_risk/C", 3),
    ("portfolio_risk", "/pretrade", 3),
    ("portfolio_risk", "/binary_five/holdings", 5),
    ("sizing", "/cases", 4),
    ("sizing", "/vol_target", 3),
    ("sizing", "/personality/vectors", 6),
    ("strategies", "/pool_metrics_eurusd_h4/samples", 5),
    ("trading_cases", "/cases", 75),
];

#[test]
fn no_list_of_cases_has_become_shorter() {
    let mut known: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, place, length) in LENGTHS {
        if !known.contains_key(name) {
            let Some(read) = vectors(name) else { return };
            known.insert(name, read);
        }
        let cases = known[name].pointer(place).unwrap_or_else(|| panic!("{name} has no {place}"));
        assert_eq!(list(cases).len(), *length, "{name} {place}");
    }
}
