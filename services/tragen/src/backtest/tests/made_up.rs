//! Small files, made for one question each.

use super::{agent, conditions, intake, play};
use crate::backtest::{
    BacktestError, Plan, Trail,
    conditions::{Conditions, Reference},
    future::{self, FutureError},
    models::{Models, Wanted},
    page::page,
    report::report,
    run,
};
use std::cmp::Ordering;
use tragen_domain::{agents::personality::AnalysisStyle, kpi::Kpi, market::Timeframe, money::Money};
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

/// Five seasons of eight teams, so that models have something to be fitted to: the better team mostly wins.
fn league() -> Intake {
    let mut rows = Vec::new();
    for season in 0..5_usize {
        let pairs = (0..8_usize).flat_map(|home| (0..8_usize).map(move |away| (home, away)));
        for (day, (home, away)) in pairs.filter(|(home, away)| home != away).enumerate() {
            let luck = (day * 7 + season * 3 + home * 5) % 4;
            let (scored, conceded) = ((8 - home) / 3 + luck / 2, (8 - away) / 3 + luck % 2);
            let result = match scored.cmp(&conceded) {
                Ordering::Less => "A",
                Ordering::Equal => "D",
                Ordering::Greater => "H",
            };
            rows.push(format!(
                "E0,{:02}/{:02}/{},15:00,Team {home},Team {away},{scored},{conceded},{result},2.4,3.4,3.0,2.6,3.6,3.2,2.4,3.4,3.0",
                day % 28 + 1,
                day / 28 + 8,
                2031 + season
            ));
        }
    }
    intake(&[("league.csv", format!("{MATCHES}\n{}\n", rows.join("\n")))])
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
fn models_that_are_fitted_on_the_way_do_not_know_the_future() {
    let intake = league();
    let agents = [agent("model", AnalysisStyle::Value, "EPL", Timeframe::Day1)];
    for reference in [Reference::DixonColes, Reference::Elo, Reference::Pool] {
        let mut own = bettor();
        own.matches.reference = reference;
        let plan = Plan { intake: &intake, agents: &agents, conditions: &own, trail: Trail::Hashed };
        let compared = future::check(&plan, 3, 11).unwrap_or_else(|error| panic!("{reference:?}: {error}"));
        assert!(compared > 10, "{reference:?}: {compared} decisions compared");
        let report = report(&play(&intake, &agents, &own), &intake, &own);
        let believed = report.agents[0].forecasts.as_ref().expect("forecasts").matches;
        assert!(believed > 20, "{reference:?}: {believed} matches forecast");
    }
}

#[test]
fn a_model_is_told_no_result_before_the_match_is_over() {
    let intake = league();
    let row = &intake.matches()[0];
    let mut models = Models::new(Wanted { dixon_coles: true, elo: true });
    let over = row.kickoff.plus_millis(120 * 60_000);
    let refused = models.learn(row, over.plus_millis(-1)).expect_err("too early");
    assert!(refused.to_string().starts_with("look-ahead: the result of"), "{refused}");
    models.learn(row, over).expect("it is over");
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
fn who_trades_by_books_that_no_history_has_is_left_out_by_name() {
    let intake = season();
    let (maker, value) = (AnalysisStyle::ValueMaker, AnalysisStyle::Value);
    for style in [AnalysisStyle::MarketMaker, AnalysisStyle::LiveExit, maker] {
        let agents = [agent("sharp", value, "EPL", Timeframe::Day1), agent("waits", style, "EPL", Timeframe::Minute5)];
        let own = bettor();
        let report = report(&play(&intake, &agents, &own), &intake, &own);
        let expected = format!("waits: no history has the books that a {} agent trades by", style.as_str());
        assert_eq!((report.agents.len(), report.notes), (1, vec![expected]));
    }
}

/// The part of a page below a heading.
fn part<'a>(html: &'a str, heading: &str) -> &'a str {
    let (_, below) = html.split_once(&format!("<h2>{heading}</h2>")).unwrap_or_else(|| panic!("no {heading}: {html}"));
    below.split_once("<h2>").map_or(below, |(own, _)| own)
}

#[test]
fn a_page_shows_all_that_came_of_a_season() {
    let intake = season();
    let agents = [agent("sharp", AnalysisStyle::Value, "EPL", Timeframe::Day1)];
    let own = Conditions { running_cost_per_day: Some(Money::from_micros(250_000)), ..bettor() };
    let report = report(&play(&intake, &agents, &own), &intake, &own);
    let html = page(&report);
    for drawn in ["Equity", "Drawdown, %", "Profit by month", "Profit by strategy", "Profit by agent"] {
        assert!(part(&html, drawn).contains("<svg"), "{drawn} is not drawn");
    }
    let believed = part(&html, "What sharp believed");
    assert!(believed.starts_with("<p>60 matches: log-loss 1.") && believed.contains("<circle"), "{believed}");
    let kpis = part(&html, "KPIs");
    for kpi in Kpi::ALL {
        assert!(kpis.contains(&format!("<td>{}</td>", kpi.as_str())), "{} is not shown", kpi.as_str());
    }
    assert_eq!(kpis.matches("<td class=\"").count(), Kpi::ALL.len());
    // Sixty trades, half of them won: all of them count for the score.
    let score = report.agents[0].performance_score.value.expect("a score");
    assert!(part(&html, "Agents").contains(&format!("<td>{score:.4}</td>")), "no score {score}");
    assert_eq!(report.total.performance_score.value, Some(score));
    let bets = report.agents[0].bets.as_ref().expect("bets");
    let shown = part(&html, "Bets");
    for figure in [&bets.return_on_stake, &bets.closing_value] {
        assert!(shown.contains(&format!("<td>{:.4}</td>", figure.value.expect("a figure"))), "{shown}");
    }
    let costs = part(&html, "Costs");
    for shown in [&report.costs.turnover, report.costs.running.as_ref().expect("given")] {
        assert!(costs.contains(&format!("<td>{shown}</td>")), "{shown} is not in {costs}");
    }
    assert!(
        costs.contains("Fees of turnover") && part(&html, "Data").contains("<td>unseen.csv</td><td>60</td><td>0</td>")
    );
    let trades = part(&html, "Trades");
    assert_eq!(trades.matches("<td>settled</td>").count(), 60);
    let first = &report.trades[0];
    for cell in [&first.instrument, &first.entry, &first.net] {
        assert!(trades.contains(&format!("<td>{cell}</td>")), "{cell} is not in the table");
    }
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
