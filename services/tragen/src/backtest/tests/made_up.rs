//! Small files, made for one question each.

use super::{agent, conditions, intake, play};
use crate::backtest::{
    BacktestError, Plan, Trail,
    conditions::{Conditions, Reference},
    future::{self, FutureError},
    page::page,
    report::report,
    run,
};
use tragen_domain::{agents::personality::AnalysisStyle, market::Timeframe, money::Money};
use tragen_market_data::file::Intake;

const MATCHES: &str = "Div,Date,Time,HomeTeam,AwayTeam,FTHG,FTAG,FTR,PSH,PSD,PSA,MaxH,MaxD,MaxA,PSCH,PSCD,PSCA";

/// A season of teams nobody has heard of; the home side is always offered too high, and wins every second match.
fn season() -> Intake {
    let rows: Vec<String> = (0..60)
        .map(|number| {
            let (day, month) = (number % 28 + 1, 8 + number / 28);
            let score = if number % 2 == 0 { "2,1,H" } else { "0,1,A" };
            format!(
                "E0,{day:02}/{month:02}/2031,15:00,New Town {number},Old Port {number},{score},2.0,3.6,4.2,2.2,3.6,4.2,1.9,3.8,4.6"
            )
        })
        .collect();
    intake(&[("unseen.csv", format!("{MATCHES}\n{}\n", rows.join("\n")))])
}

fn bettor() -> Conditions {
    conditions("[matches]\nprice = \"best\"\nreference = \"sharp\"\nstake_ppm = 10000\nmin_edge_bps = 100\n")
}

/// Minutes of a price that swings, so that the scalper finds something to do.
fn minutes() -> Intake {
    let mut rows = Vec::new();
    let mut last = 15_000_i64;
    for minute in 0..3_000_i64 {
        let next = 15_000 + (minute * 7_919 % 41 - 20) + if minute % 29 == 0 { 60 } else { 0 };
        let (high, low) = (last.max(next) + 2, last.min(next) - 2);
        let price = |points: i64| format!("{}.{:04}", points / 10_000, points % 10_000);
        let (day, hour, clock) = (minute / 1_440 + 1, minute / 60 % 24, minute % 60);
        rows.push(format!(
            "2030-01-{day:02}T{hour:02}:{clock:02}:00Z,{},{},{},{}",
            price(last),
            price(high),
            price(low),
            price(next)
        ));
        last = next;
    }
    intake(&[("gbpusd_m1.csv", format!("ts_utc,open,high,low,close\n{}\n", rows.join("\n")))])
}

#[test]
fn two_runs_on_the_same_files_are_the_same() {
    let intake = minutes();
    let agents = [agent("a", AnalysisStyle::Scalper, "GBPUSD", Timeframe::Minute1)];
    let own = Conditions::default();
    let (one, other) = (play(&intake, &agents, &own), play(&intake, &agents, &own));
    assert!(one.filled_orders > 10, "{} orders", one.filled_orders);
    assert_eq!(one.hash, other.hash);
    assert_eq!(one.all.equity, other.all.equity);
    let dearer = play(&intake, &agents, &conditions("[bars]\nfee_ppm = 1000\n"));
    assert_ne!(one.hash, dearer.hash);
    assert!(dearer.all.equity < one.all.equity);
}

#[test]
fn a_season_of_unknown_teams_is_traded() {
    let intake = season();
    let agents = [agent("sharp", AnalysisStyle::Value, "EPL", Timeframe::Day1)];
    let outcome = play(&intake, &agents, &bettor());
    assert_eq!(outcome.seats[0].figures.trades.count(), 60, "{:?} {:?}", outcome.denials, outcome.notes);
    let bet = outcome.seats[0].figures.rows[0].bet.expect("a bet");
    // Bought at 1 / 2.2, and the closing line makes it better than even.
    assert!(bet.edge > 0.05 && bet.closing_value.is_some_and(|value| value > 0.1), "{bet:?}");
    assert_eq!(outcome.seats[0].figures.rows[0].why.as_str(), "settled");
}

#[test]
fn money_is_neither_made_nor_lost_on_the_way() {
    let intake = season();
    let agents = [agent("sharp", AnalysisStyle::Value, "EPL", Timeframe::Day1)];
    let outcome = play(&intake, &agents, &bettor());
    let rows = &outcome.seats[0].figures.rows;
    let net = rows.iter().fold(Money::ZERO, |sum, row| sum.plus(row.net).expect("fits"));
    assert_eq!(outcome.all.equity.minus(outcome.all.start), Ok(net));
    let by_month = outcome.all.months.values().fold(Money::ZERO, |sum, own| sum.plus(*own).expect("fits"));
    assert_eq!(by_month, net);
}

#[test]
fn a_model_that_peeks_at_the_next_result_is_found_out() {
    let intake = season();
    let agents = [agent("sharp", AnalysisStyle::Value, "EPL", Timeframe::Day1)];
    let honest = bettor();
    let plan = Plan { intake: &intake, agents: &agents, conditions: &honest, trail: Trail::Hashed };
    let compared = future::check(&plan, 5, 1).expect("no decision knows the future");
    assert!(compared > 60, "{compared} decisions compared");
    let mut leaking = bettor();
    leaking.matches.reference = Reference::Peeking;
    let plan = Plan { conditions: &leaking, ..plan };
    let found = future::check(&plan, 5, 1).expect_err("the leak is found");
    assert!(matches!(found, FutureError::Known { .. }), "{found}");
    assert!(found.to_string().starts_with("look-ahead: "), "{found}");
}

#[test]
fn rules_on_bars_do_not_know_the_future() {
    let intake = minutes();
    let agents = [agent("a", AnalysisStyle::Scalper, "GBPUSD", Timeframe::Minute1)];
    let own = Conditions::default();
    let plan = Plan { intake: &intake, agents: &agents, conditions: &own, trail: Trail::Hashed };
    assert!(future::check(&plan, 3, 7).expect("no decision knows the future") > 10);
}

#[test]
fn nothing_to_trade_says_why() {
    let intake = minutes();
    let check = |wanted: &str, timeframe: Timeframe, own: &str, expected: &str| {
        let agents = [agent("a", AnalysisStyle::Scalper, wanted, timeframe)];
        let own = conditions(own);
        let plan = Plan { intake: &intake, agents: &agents, conditions: &own, trail: Trail::Hashed };
        let refused = run(&plan, &mut |_| ()).expect_err("refused");
        assert!(
            matches!(&refused, BacktestError::NothingToTrade { notes, .. } if notes.contains(expected)),
            "{refused}"
        );
    };
    check("EURUSD", Timeframe::Minute1, "", "a: EURUSD is not in the files");
    check("GBPUSD", Timeframe::Minute1, "currency = \"EUR\"", "settles in USD");
}

#[test]
fn a_page_needs_nothing_else_and_trusts_no_file() {
    let rows = "2030-01-01,1.5,1.6,1.4,1.55\n2030-01-02,1.55,1.6,1.5,1.52\nevil,<script>,1,1,1\n";
    let intake = intake(&[(
        "gbp<b>usd_d1.csv",
        format!("date,open,high,low,close,symbol\n{}", rows.replace('\n', ",GBPUSD\n")),
    )]);
    let agents = [agent("a", AnalysisStyle::Swing, "GBPUSD", Timeframe::Day1)];
    let own = Conditions::default();
    let outcome = play(&intake, &agents, &own);
    let report = report(&outcome, &intake, &own);
    let html = page(&report);
    assert!(html.contains("gbp&lt;b&gt;usd_d1.csv:4:time"), "the bad row is named");
    for outside in ["<script", "http://", "https://", "src=", "href=", "url("] {
        assert!(!html.contains(outside), "the page has {outside}");
    }
    let accuracy = report.kpis.iter().find(|own| own.kpi == "data_accuracy").expect("a KPI");
    assert_eq!((accuracy.status, accuracy.figure.value.map(|value| (value * 3.0).round())), ("CRITICAL", Some(2.0)));
    let sharpe = report.kpis.iter().find(|own| own.kpi == "sharpe").expect("a KPI");
    assert_eq!((sharpe.status, sharpe.figure.undefined.as_deref().is_some()), ("UNDEFINED", true));
}
