//! Venue fees and sets of contracts, against figures computed by other code.

use super::reference::{list, number, numbers, vectors};
use super::{Table, close};
use serde_json::Value;
use std::collections::BTreeMap;
use tragen_domain::agents::scanner::{EventView, Listing, NoSide, ScannerRules, SetKind, scan};
use tragen_domain::agents::top_of_book::{Offer, TopOfBook};
use tragen_domain::agents::venue_fee::{VenueFee, back_lay, commission};
use tragen_domain::money::Money;

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A rate like "0.0175" in parts per million.
fn ppm(value: &Value) -> i64 {
    text(value).parse::<Money>().expect("a decimal").micros()
}

#[test]
fn fees_are_those_of_the_venues() {
    let Some(reference) = vectors("fees_arbitrage") else { return };
    let mut compared = 0;
    for case in list(&reference["fees"]) {
        let money = |name: &str| text(&case[name]).parse::<Money>().expect("money");
        match text(&case["venue"]) {
            "polymarket" => {
                let fee = VenueFee::polymarket(ppm(&case["rate"]));
                let (price, shares) = (text(&case["price"]).parse(), text(&case["shares"]).parse());
                let got = fee.taker(price.expect("a price"), shares.expect("a quantity"));
                assert_eq!(got, Ok(money("taker_fee_floor5")), "{case}");
            }
            "kalshi" => {
                let fee = VenueFee::kalshi(ppm(&case["rate"]));
                let (price, contracts) = (text(&case["price"]).parse(), text(&case["contracts"]).parse());
                let (price, contracts) = (price.expect("a price"), contracts.expect("a quantity"));
                assert_eq!(fee.taker(price, contracts), Ok(money("trade_fee_ceil4")), "{case}");
                let whole_cents = VenueFee { grid: Money::from_micros(10_000), ..fee };
                assert_eq!(whole_cents.taker(price, contracts), Ok(money("legacy_round_up_cent")), "{case}");
            }
            "betfair" => {
                let [stake, odds, rate, net] = ["stake", "odds", "commission", "net_win"].map(|f| number(&case[f]));
                let won: Money = format!("{:.6}", stake * (odds - 1.0)).parse().expect("money");
                let rate_ppm = format!("{rate:.6}").parse::<Money>().expect("a decimal").micros();
                let kept = won.minus(commission(won, rate_ppm).expect("fits")).expect("fits");
                close(kept.to_string().parse().expect("a number"), net, "net win");
            }
            other => panic!("an unknown venue {other}"),
        }
        compared += 1;
    }
    println!("{compared} fees compared");
    assert!(compared >= 14);
}

/// A listing whose YES asks `ask`, or, for `NO`, whose YES bids `1 - ask`, with the other side a cent away.
fn listing(venue: &'static str, outcome: usize, contract: &str, (ask, fee_rate): (f64, f64)) -> Listing<'static> {
    let offer = |price: f64| Some(Offer { price, size: 320.0 });
    let yes = match contract {
        "YES" => TopOfBook { bid: offer(ask - 0.01), ask: offer(ask), age_ms: 0 },
        _ => TopOfBook { bid: offer(1.0 - ask), ask: offer(1.0 - ask + 0.01), age_ms: 0 },
    };
    Listing { venue, outcome, yes, no: NoSide::Mirrored(None), fee_rate, volume: 1e3, liquidity: 1e3 }
}

#[test]
fn sets_are_found_as_in_the_reference() {
    let Some(reference) = vectors("fees_arbitrage") else { return };
    let mut compared = 0;
    for case in list(&reference["arb"]) {
        let kind = text(&case["kind"]);
        if kind == "back/lay" {
            let [stake, back, lay, rate] =
                ["back_stake", "back_odds", "lay_odds", "commission"].map(|name| number(&case[name]));
            let safe = back_lay(stake, back, lay, rate).expect("valid");
            close(safe.lay_stake, number(&case["lay_stake"]), "lay stake");
            close(safe.profit, number(&case["profit_if_back_wins"]), "profit of both ways");
            compared += 1;
            continue;
        }
        let rates = numbers(&case["fee_rates"]);
        let (listings, wanted, names) = match kind {
            "YES+NO" => {
                let asks = [number(&case["yes_ask"]), number(&case["no_ask"])];
                let listings =
                    vec![listing("a", 0, "YES", (asks[0], rates[0])), listing("b", 0, "NO", (asks[1], rates[1]))];
                (listings, SetKind::YesNo { outcome: 0 }, ["cost_per_pair", "profit_per_pair"])
            }
            "3-way buy all YES" | "3-way buy all NO (pays 2)" => {
                let (contract, asks, wanted) = if kind.contains("YES") {
                    ("YES", &case["asks"], SetKind::AllYes)
                } else {
                    ("NO", &case["no_asks"], SetKind::AllNo)
                };
                let asks = numbers(asks).into_iter().zip(rates).enumerate();
                let listings = asks.map(|(outcome, ask)| listing("a", outcome, contract, ask)).collect();
                (listings, wanted, ["cost_per_set", "profit_per_set"])
            }
            other => panic!("an unknown kind {other}"),
        };
        let outcomes = if listings.len() == 2 { 2 } else { 3 };
        let report = scan(&EventView { outcomes, listings: &listings }, &ScannerRules::default()).expect("scannable");
        assert!(report.skipped.is_empty() && report.implausible.is_empty(), "{report:?}");
        let found = report.found.iter().find(|set| set.kind == wanted);
        assert_eq!(found.is_some(), case["is_arb"] == true, "{case}");
        if let Some(set) = found {
            close(set.cost, number(&case[names[0]]), "cost");
            close(set.profit, number(&case[names[1]]), "profit of a set");
            if let Some(roi) = case["roi"].as_f64() {
                close(set.return_on_cost, roi, "return on the cost");
            }
            if let (Some(sets), Some(profit)) = (case["max_sets"].as_f64(), case["profit"].as_f64()) {
                close(sets * set.profit, profit, "profit of all sets");
            }
        }
        compared += 1;
    }
    println!("{compared} sets compared");
    assert!(compared >= 10);
}

/// Both views of each market of an event, by name.
type Markets = BTreeMap<String, [Option<TopOfBook>; 2]>;

/// Real books: 25 snapshots of Premier League matches. Both views of every market agree, and there is nothing to take.
#[test]
fn real_books_hold_no_arbitrage() {
    let Some(quotes) = Table::read("polymarket_epl_bbo") else { return };
    let cell = |row: &[String], name: &str| row[quotes.column(name)].clone();
    let mut events: BTreeMap<(String, String), Markets> = BTreeMap::new();
    for row in &quotes.rows {
        let offer = |side: &str| {
            let price = cell(row, &format!("best_{side}")).parse().ok()?;
            Some(Offer { price, size: cell(row, &format!("best_{side}_size")).parse().ok()? })
        };
        let book = TopOfBook { bid: offer("bid"), ask: offer("ask"), age_ms: 0 };
        let event = events.entry((cell(row, "ts_utc"), cell(row, "event_slug"))).or_default();
        let sides = event.entry(cell(row, "market_slug")).or_default();
        sides[usize::from(cell(row, "outcome") == "No")] = Some(book);
    }
    let (mut scanned, mut skipped, mut sets) = (0, BTreeMap::<String, u32>::new(), 0);
    for markets in events.values().filter(|markets| markets.len() == 3) {
        let listings: Vec<Listing<'_>> = markets
            .values()
            .enumerate()
            .filter_map(|(outcome, [yes, no])| {
                let (yes, no) = ((*yes)?, NoSide::Mirrored(*no));
                Some(Listing { venue: "p", outcome, yes, no, fee_rate: 0.0, volume: 1e3, liquidity: 1e3 })
            })
            .collect();
        let report =
            scan(&EventView { outcomes: 3, listings: &listings }, &ScannerRules::default()).expect("scannable");
        sets += report.found.len() + report.implausible.len();
        for (_, skip) in &report.skipped {
            let name = format!("{skip:?}");
            *skipped.entry(name.split([' ', '(']).next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        scanned += 1;
    }
    println!("{scanned} events, {sets} sets; listings left out: {skipped:?}");
    assert!(scanned > 400 && sets == 0, "{scanned} {sets}");
    assert!(!skipped.contains_key("SidesDisagree"), "one book, two views: {skipped:?}");
}
