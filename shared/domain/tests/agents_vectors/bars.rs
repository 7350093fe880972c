//! Oscillators, volatilities and the market maker's quotes, against figures computed by other code.

use super::reference::{list, number, numbers, vectors};
use super::{INDICATOR, Table, close, within};
use serde_json::Value;
use std::collections::BTreeMap;
use tragen_domain::agents::bar::{Bar, Ohlc};
use tragen_domain::agents::conservative::Conservative;
use tragen_domain::agents::indicators::{Bollinger, EfficiencyRatio, Macd};
use tragen_domain::agents::market_maker::{MarketMakerRules, QuoteModel, QuotedMarket, centre, quote};
use tragen_domain::agents::scout::MatchPhase;
use tragen_domain::agents::top_of_book::{Offer, TopOfBook};
use tragen_domain::agents::volatility::{
    EwmaDeviation, annualized, close_to_close, garman_klass, parkinson, root_mean_square,
};
use tragen_domain::agents::wilder::{Adx, Rsi};
use tragen_domain::money::Price;
use tragen_domain::portfolio::{mean, sample_deviation};

/// The oscillators after each bar; the names are those of the reference.
fn rows(bars: &[Ohlc]) -> Vec<Vec<(&'static str, Option<f64>)>> {
    let (mut macd, mut bollinger, mut rsi, mut adx) =
        (Macd::default(), Bollinger::<20>::default(), Rsi::<14>::default(), Adx::<14>::default());
    let row = |bar: &Ohlc| {
        let (lines, band) = (macd.update(bar.close), bollinger.update(bar.close));
        adx.update(bar);
        vec![
            ("macd", lines.map(|lines| lines.macd)),
            ("macd_signal9", lines.and_then(|lines| lines.signal)),
            ("bb_mid", band.map(|band| band.middle)),
            ("bb_up", band.map(|band| band.upper)),
            ("bb_lo", band.map(|band| band.lower)),
            ("rsi14", rsi.update(bar.close)),
            ("plus_di14", adx.lines().map(|lines| lines.plus)),
            ("minus_di14", adx.lines().map(|lines| lines.minus)),
        ]
    };
    bars.iter().map(row).collect()
}

fn check(name: &str, bars: &[Ohlc], expected: &Value) {
    let mut compared = 0;
    for (index, row) in rows(bars).iter().enumerate() {
        for (indicator, got) in row {
            match (got, expected[*indicator].get(index.to_string())) {
                (_, None) => continue,
                (Some(got), Some(value)) => {
                    within(INDICATOR, *got, number(value), &format!("{name} {indicator}[{index}]"));
                }
                (None, Some(value)) => assert!(value.is_null(), "{name} {indicator}[{index}] is missing"),
            }
            compared += 1;
        }
    }
    let mut ewma = EwmaDeviation::default();
    let last = bars.iter().filter_map(|bar| ewma.update(bar.close)).last();
    let volatilities = [
        ("rv_cc_ann", close_to_close(bars)),
        ("rv_rms_ann", root_mean_square(bars)),
        ("rv_parkinson_ann", parkinson(bars)),
        ("rv_garman_klass_ann", garman_klass(bars)),
        ("ewma_vol_094_ann", last),
    ];
    for (volatility, got) in volatilities {
        let got = annualized(got.expect("defined"), number(&expected["ann_factor"]));
        within(INDICATOR, got, number(&expected[volatility]), &format!("{name} {volatility}"));
        compared += 1;
    }
    println!("{name}: {compared} values compared");
    assert!(compared >= 80);
}

#[test]
fn oscillators_and_volatilities_are_those_of_the_reference() {
    let Some(reference) = vectors("indicators") else { return };
    let (Some(eurusd), Some(gbpusd), Some(bitcoin)) =
        (Table::read("eurusd_h4_2012-2022"), Table::read("gbpusd_m1_2012-02"), Table::read("btcperp_m1_2022-01"))
    else {
        return;
    };
    let mids = |table: &Table| table.mid_bars(0.0).iter().map(|bar| *bar.mid()).collect::<Vec<_>>();
    let bids: Vec<Ohlc> = gbpusd.quote_bars().iter().map(|bar| *bar.bid()).collect();
    let eurusd = mids(&eurusd);
    for (name, bars) in [
        ("eurusd_h4_last1000", &eurusd[eurusd.len() - 1000..]),
        ("gbpusd_m1_first1440_bid", &bids[..1440]),
        ("btcperp_m1_first2880", &mids(&bitcoin)[..2880]),
    ] {
        check(name, bars, &reference[name]);
    }
    let example = &reference["rsi_stockcharts"];
    let mut rsi = Rsi::<14>::default();
    for (value, expected) in numbers(&example["close"]).iter().zip(list(&example["rsi14"])) {
        match rsi.update(*value) {
            Some(got) => close(got, number(expected), "RSI of the published sheet"),
            None => assert!(expected.is_null()),
        }
    }
}

#[test]
fn flat_series_are_those_of_the_reference() {
    let Some(reference) = vectors("indicators") else { return };
    let edge = &reference["edge"];
    let (mut rsi, mut adx, mut ratio) = (Rsi::<14>::default(), Adx::<14>::default(), EfficiencyRatio::<10>::default());
    let flat = Ohlc { open: 1.0, high: 1.0, low: 1.0, close: 1.0 };
    let last = (0..60).map(|_| (rsi.update(1.0), adx.update(&flat), ratio.update(1.0))).last().expect("sixty bars");
    close(last.0.expect("defined"), number(&edge["flat_series_rsi"]), "RSI");
    close(last.2.expect("defined"), number(&edge["eff_ratio_flat"]), "efficiency");
    assert_eq!((last.1, adx.lines()), (None, None));
}

#[test]
fn quotes_are_those_of_the_reference() {
    let Some(reference) = vectors("market_making") else { return };
    let same = |got: f64, case: &Value, name: &str| {
        close(got, number(&case[name]), &format!("{name} of {case}"));
    };
    for case in list(&reference["classic"]) {
        let [s, q, gamma, sigma, horizon, kappa] =
            ["s", "q", "gamma", "sigma", "T_minus_t", "kappa"].map(|name| number(&case[name]));
        let got = centre(s, q, &QuoteModel { gamma, sigma, horizon, kappa }).expect("valid");
        same(got.reservation, case, "reservation");
        same(2.0 * got.half_spread, case, "spread");
        same(got.reservation - got.half_spread, case, "bid");
        same(got.reservation + got.half_spread, case, "ask");
    }
    for case in list(&reference["logit"]) {
        let [fair, inventory, gamma, sigma, horizon, kappa, tick] =
            ["p", "q", "gamma", "sigma_logit", "T_minus_t", "kappa", "tick"].map(|name| number(&case[name]));
        let model = QuoteModel { gamma, sigma, horizon, kappa };
        let rules = MarketMakerRules { model, ..MarketMakerRules::default() };
        let edge = |price| Some(Offer { price, size: 1.0 });
        let market = QuotedMarket {
            fair,
            fair_phase: MatchPhase::PreMatch,
            phase: MatchPhase::PreMatch,
            kick_off_in_ms: None,
            last_event: None,
            inventory,
            book: TopOfBook { bid: edge(0.000_1), ask: edge(0.999_9), age_ms: 0 },
            tick: format!("{tick}").parse::<Price>().expect("a price"),
        };
        let got = quote(&market, &rules).expect("quoted");
        same(got.centre.reservation, case, "reservation_logit");
        same(got.centre.half_spread, case, "half_spread_logit");
        for (side, name) in [(got.bid, "bid"), (got.ask, "ask")] {
            let price = side.expect("quoted").price;
            let expected: Price = format!("{}", number(&case[name])).parse().expect("a price");
            assert_eq!(price, expected, "{name} of {case}");
        }
    }
}

/// Ten years of daily bars of twelve currency pairs, with half a spread of 0.005 %. There are no reference figures for
/// this style: what is checked is what it promises, a steady volatility below the target, and few trades.
#[test]
fn conservative_style_keeps_its_volatility_on_ten_years_of_currencies() {
    let Some(table) = Table::read("fx_d1_2012-2022") else { return };
    let mut by_pair: BTreeMap<String, Vec<Bar>> = BTreeMap::new();
    for row in &table.rows {
        let mid = table.ohlc(row, ["open", "high", "low", "close"]);
        let bar = Bar::from_mid(mid, mid.close * 0.000_05).expect("a valid bar");
        by_pair.entry(row[table.column("symbol")].clone()).or_default().push(bar);
    }
    let (mut all, mut orders, mut days) = (Vec::new(), 0, 0);
    for (pair, bars) in &by_pair {
        let (mut rules, mut held, mut returns, mut changes) = (Conservative::default(), 0.0, Vec::new(), 0);
        for (bar, next) in bars.iter().zip(&bars[1..]) {
            let signal = rules.on_bar(bar);
            let wanted = f64::from(signal.direction()) * signal.exposure.unwrap_or(0.0);
            let cost = (wanted - held).abs() * 0.000_05;
            changes += usize::from(signal.changed());
            held = wanted;
            returns.push(held * (next.mid().close / bar.mid().close - 1.0) - cost);
        }
        let active: Vec<f64> = returns.iter().copied().filter(|r| *r != 0.0).collect();
        let n = f64::from(u32::try_from(active.len()).expect("a small count"));
        let (sum, squares) = (active.iter().sum::<f64>(), active.iter().map(|r| r * r).sum::<f64>());
        let volatility = annualized((squares / n).sqrt(), 252.0);
        println!(
            "{pair}: {n} days, {:+.1} % in all, volatility {:.1} %, {changes} changes",
            100.0 * sum,
            100.0 * volatility
        );
        assert!((0.05..0.125).contains(&volatility), "{pair}: {volatility}");
        (orders, days) = (orders + changes, days + bars.len());
        all.extend(returns);
    }
    let (mean, deviation) = (mean(&all).expect("days"), sample_deviation(&all).expect("days"));
    println!(
        "all pairs: sharpe {:.2} by pair and day, {orders} orders in {days} days",
        mean / deviation * 252.0_f64.sqrt()
    );
    assert!(by_pair.len() == 12 && orders * 3 < days, "{orders} orders in {days} days");
}
