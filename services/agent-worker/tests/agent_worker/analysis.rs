//! Questions to agents reach the agent of their kind, and what must not be priced is refused.

use super::{MATCH, PATIENCE, Rig, World, denial_of, mandate, order_of, rig};
use futures::FutureExt as _;
use std::time::Duration;
use tragen_bus::Ask;
use tragen_contracts::v1::{
    self, analyze_request::Kind, analyze_response::Result as Finding, market_question, worker_answer::Answer,
    worker_question::Question,
};
use tragen_domain::agents::devig::{DevigMethod, devig};
use tragen_host::clock;

/// The match of [`MATCH`], being played: 1-0 after an hour.
const IN_PLAY: &str = "EPL-2026-LIV-CHE";
/// The same, over.
const OVER: &str = "EPL-2026-MUN-TOT";
const TEAMS: [&str; 12] = [
    "Arsenal",
    "Brighton",
    "Chelsea",
    "Everton",
    "Fulham",
    "Leeds",
    "Liverpool",
    "Man City",
    "Newcastle",
    "Sunderland",
    "Tottenham",
    "Wolves",
];
/// The day it is in the made-up market.
const TODAY: i32 = 20_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// The last odds of home, draw and away, tenths.
const CLOSING_ODDS: [i64; 3] = [20, 36, 42];

/// `snapshot` of [`MATCH`] as another match.
pub(super) fn other_match(match_id: &str, snapshot: &v1::MatchSnapshot) -> Option<v1::MatchSnapshot> {
    let status = match match_id {
        IN_PLAY => v1::MatchStatus::InPlay,
        OVER => v1::MatchStatus::Finished,
        _ => return None,
    };
    let now = clock::now_micros();
    let mut own = snapshot.clone();
    own.r#match = Some(v1::Match {
        match_id: match_id.into(),
        home: "Liverpool".into(),
        away: "Chelsea".into(),
        kickoff_micros: i64::from(TODAY) * DAY_MICROS,
        status: status.into(),
        minute: 60,
        home_goals: 1,
        published_at_micros: now,
        ..v1::Match::default()
    });
    own.closing_books = std::mem::take(&mut own.books);
    own.over_under_odds_micros = vec![1_900_000, 1_950_000];
    own.event_time_micros = i64::from(TODAY) * DAY_MICROS + 3_600_000_000;
    (own.minutes_played, own.minute_left_ppm) = (60, 1_000_000);
    Some(own)
}

/// What market-data says to the other questions.
pub(super) fn market_answer(question: &v1::MarketQuestion, snapshot: &v1::MatchSnapshot) -> v1::MarketAnswer {
    use v1::market_answer::Answer;
    let answer = match &question.question {
        Some(market_question::Question::History(asked)) => Answer::History(history(asked)),
        Some(market_question::Question::Matches(_)) => {
            Answer::Matches(v1::MatchesPage { matches: vec![snapshot.clone()], next_match_id: String::new() })
        }
        Some(market_question::Question::Quote(asked)) => {
            let known = snapshot.instruments.iter().find(|own| own.instrument_id == asked.instrument_id).cloned();
            let message = format!("there is no instrument {:?}; the nearest are {MATCH}-HOME", asked.instrument_id);
            match known {
                Some(_) => Answer::Quote(v1::GetQuoteResponse { instrument: known, quote: None }),
                None => Answer::Error(v1::AskError { code: 5, reason: "INSTRUMENT_NOT_FOUND".into(), message }),
            }
        }
        Some(market_question::Question::MatchSnapshot(_) | market_question::Question::Instruments(_)) | None => {
            panic!("not asked by the worker")
        }
    };
    v1::MarketAnswer { answer: Some(answer) }
}

/// Two seasons in which earlier teams of the alphabet are better, everybody twice against everybody.
fn history(asked: &v1::HistoryQuestion) -> v1::HistoryPage {
    let mut rows = Vec::new();
    for season in 0..2_i32 {
        for round in 0..22_usize {
            for pair in 0..6_usize {
                let turn = |place: usize| if place == 0 { 0 } else { 1 + (place - 1 + round) % 11 };
                let (first, second) = (turn(pair), turn(11 - pair));
                let (home, away) = if round >= 11 { (second, first) } else { (first, second) };
                let goals = |own: usize, other: usize| i32::try_from((14 - own + other + round) % 4).expect("small");
                rows.push(v1::HistoryRow {
                    day: TODAY - 700 + season * 350 + i32::try_from(round).expect("small") * 7,
                    season_first_year: 2022 + season,
                    home: TEAMS[home].into(),
                    away: TEAMS[away].into(),
                    is_played: true,
                    home_goals: goals(home, away),
                    away_goals: goals(away, home) / 2,
                    closing_odds_micros: CLOSING_ODDS.map(|odds| odds * 100_000).to_vec(),
                    match_id: format!("EPL-{season}-{round}-{pair}"),
                });
            }
        }
    }
    let newest = i64::try_from(rows.len()).expect("small");
    let after = if asked.history_id == "h" { asked.after } else { 0 };
    rows.drain(..usize::try_from(after).expect("a place"));
    let event_time_micros = i64::from(TODAY) * DAY_MICROS;
    v1::HistoryPage { history_id: "h".into(), rows, last: newest, newest, event_time_micros }
}

async fn ask_worker(world: &World, question: Question) -> Answer {
    let question = v1::WorkerQuestion { account_id: "alice".into(), question: Some(question), ..Default::default() };
    let answer: v1::WorkerAnswer = world.bus.ask(Ask::Worker, &question, PATIENCE).await.expect("an answer");
    answer.answer.expect("set")
}

pub(super) async fn ask(rig: &Rig, kind: Kind) -> (v1::AnalysisInfo, Finding) {
    let request = v1::AnalyzeRequest { kind: Some(kind) };
    match ask_worker(&rig.world, Question::Analyze(request)).await {
        Answer::Analysis(v1::AnalyzeResponse { info: Some(info), result: Some(result) }) => (info, result),
        other @ (Answer::Analysis(_) | Answer::Market(_) | Answer::Error(_)) => panic!("{other:?}"),
    }
}

async fn refused(rig: &Rig, kind: Kind) -> v1::AskError {
    let request = v1::AnalyzeRequest { kind: Some(kind) };
    let Answer::Error(error) = ask_worker(&rig.world, Question::Analyze(request)).await else { panic!("answered") };
    error
}

pub(super) fn scout(match_id: &str) -> Kind {
    Kind::Scout(v1::ScoutRequest { match_id: match_id.into(), min_edge_bps: 0 })
}

fn research(match_id: &str, home: &str, away: &str) -> Kind {
    let (match_id, home_team, away_team) = (match_id.into(), home.into(), away.into());
    Kind::Research(v1::ResearchRequest { match_id, home_team, away_team })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scout_tells_value_after_ask_and_fee_before_the_kick_off_only() {
    let rig = rig(1).await;
    let (info, Finding::Scout(found)) = ask(&rig, scout(MATCH)).await else { panic!("not a scout") };
    assert_eq!((info.agent.as_str(), info.source()), ("eplScoutAgent", v1::AnalysisSource::Model));
    assert!(info.confidence_ppm > 0 && !info.model_version.is_empty() && info.explanation.contains("HOME"));
    let [best] = found.opportunities.as_slice() else { panic!("{found:?}") };
    assert_eq!((best.outcome.as_str(), best.ask_price_micros, best.fee_micros), ("HOME", 450_000, 7_425));
    // The edge is of ask plus fee, not of the ask and not of the middle.
    let cost = f64::from(457_425);
    let edge = (f64::from(best.fair_ppm) - cost) / cost * 10_000.0;
    assert!((f64::from(best.edge_bps) - edge).abs() <= 1.0, "{} is not {edge}", best.edge_bps);
    assert!((found.fair_ppm.iter().sum::<i32>() - 1_000_000).abs() <= 2, "{:?}", found.fair_ppm);

    let unknown = refused(&rig, scout("EPL-2026-ARS-MCX")).await;
    assert_eq!((unknown.code, unknown.reason.as_str()), (5, "MATCH_NOT_FOUND"));
    assert!(unknown.message.contains(MATCH), "{}", unknown.message);
    let in_play = refused(&rig, scout(IN_PLAY)).await;
    assert_eq!((in_play.code, in_play.reason.as_str()), (9, "MATCH_IN_PLAY"));
    assert_eq!(refused(&rig, scout(OVER)).await.reason, "MATCH_FINISHED");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn research_learns_from_results_and_prices_nothing_in_play() {
    let rig = rig(1).await;
    let (info, Finding::Research(found)) = ask(&rig, research("", "Arsenal", "Tottenham")).await else { panic!("no") };
    assert_eq!((info.agent.as_str(), found.matches_used), ("eplResearchAgent", 264));
    let chances: Vec<i32> = found.outcomes.iter().map(|own| own.ppm).collect();
    assert!((chances.iter().sum::<i32>() - 1_000_000).abs() <= 2, "{chances:?}");
    assert!(found.outcomes.iter().all(|own| own.low_ppm < own.ppm && own.ppm < own.high_ppm));
    assert_eq!((found.over.len(), found.home_matches, found.data_version.len()), (6, 44, 32));
    assert!(found.home_form.is_some_and(|form| form.won + form.drawn + form.lost == 5));
    // The same results give the same answer.
    let (_, Finding::Research(again)) = ask(&rig, research("", "Arsenal", "Tottenham")).await else { panic!("no") };
    assert_eq!(again, found);

    let unknown = refused(&rig, research("", "Arsnal", "Tottenham")).await;
    assert_eq!((unknown.code, unknown.reason.as_str()), (5, "TEAM_NOT_FOUND"));
    assert!(unknown.message.contains("Arsenal"), "the nearest names are told: {}", unknown.message);
    assert_eq!(refused(&rig, research(IN_PLAY, "", "")).await.reason, "MATCH_IN_PLAY");
    assert_eq!(refused(&rig, research(OVER, "", "")).await.reason, "MATCH_FINISHED");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forecasts_are_judged_next_to_the_closing_line() {
    let rig = rig(1).await;
    let day = |days: i32| Some(pbjson_types::Timestamp { seconds: i64::from(days) * 86_400, nanos: 0 });
    let calibration = |model: &str, from: i32, to: i32| {
        Kind::Calibration(v1::CalibrationRequest { model: model.into(), from: day(from), to: day(to) })
    };
    let season = (TODAY - 350, TODAY);
    let (info, Finding::Calibration(line)) = ask(&rig, calibration("closing-line", season.0, season.1)).await else {
        panic!("not a calibration")
    };
    assert_eq!((info.agent.as_str(), line.matches, line.skipped), ("researchAgent", 132, 0));
    assert_eq!(line.log_loss_micros, line.closing_log_loss_micros, "it is the closing line");
    for model in ["dixon-coles", "elo"] {
        let (_, Finding::Calibration(own)) = ask(&rig, calibration(model, season.0, season.1)).await else {
            panic!("not a calibration")
        };
        assert_eq!((own.matches, own.skipped), (132, 0), "a whole season came before: {own:?}");
        assert!(own.log_loss_micros > 0 && own.closing_log_loss_micros == line.log_loss_micros, "{own:?}");
    }
    let nothing = refused(&rig, calibration("elo", TODAY + 1, TODAY + 2)).await;
    assert_eq!(nothing.reason, "UNPRICEABLE");
    rig.stop().await;
}

fn bets_on(match_id: &str, bets: &[(&str, &str, i64)]) -> v1::MatchBets {
    let bet = |(agent, agent_id, paid_micros): &(&str, &str, i64)| v1::AgentBet {
        agent: (*agent).into(),
        agent_id: (*agent_id).into(),
        outcome: "HOME".into(),
        trades: 1,
        quantity_micros: 10_000_000,
        paid_micros: *paid_micros,
    };
    v1::MatchBets { match_id: match_id.into(), bets: bets.iter().map(bet).collect(), ..v1::MatchBets::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_paid_is_judged_by_the_closing_line() {
    let rig = rig(1).await;
    let day = |days: i32| Some(pbjson_types::Timestamp { seconds: i64::from(days) * 86_400, nanos: 0 });
    let season = v1::CalibrationRequest { model: "closing-line".into(), from: day(TODAY - 350), to: day(TODAY) };
    let ask_for_it = async || match ask(&rig, Kind::Calibration(season.clone())).await {
        (_, Finding::Calibration(said)) => said,
        other => panic!("{other:?}"),
    };
    let alone = ask_for_it().await;
    assert!(alone.agents.is_empty() && alone.agents_unknown.contains("cost-monitor"), "{alone:?}");
    assert_eq!(alone.matches, 132, "the model is judged all the same");

    let bets = |asked: v1::BetsQuestion| {
        let first = [
            bets_on("EPL-1-3-0", &[("eplScoutAgent", "", 4_500_000)]),
            bets_on("EPL-1-4-1", &[("eplScoutAgent", "", 5_000_000), ("eplTradingAgent", "", 4_500_000)]),
        ];
        let mut never =
            bets_on("EPL-1-99-0", &[("eplScoutAgent", "", 3_000_000), ("eplScoutAgent", "seven", 3_000_000)]);
        never.late = vec![v1::LatePurchases { agent: "eplScoutAgent".into(), trades: 2, ..Default::default() }];
        assert_eq!((asked.from_micros, asked.to_micros), (days_micros(TODAY - 350), days_micros(TODAY)));
        let (matches, next_match_id) = if asked.after_match_id.is_empty() {
            (first.to_vec(), "EPL-1-4-1".into())
        } else {
            (vec![never], String::new())
        };
        std::future::ready(v1::BetsAnswer { matches, next_match_id }).boxed()
    };
    rig.world.bus.answer(&rig.world.context, Ask::Bets, bets).await.expect("listening");
    let told = ask_for_it().await;
    assert_eq!(told.agents_unknown, "");
    let names: Vec<(&str, &str)> = told.agents.iter().map(|own| (own.agent.as_str(), own.agent_id.as_str())).collect();
    assert_eq!(names, [("eplScoutAgent", ""), ("eplScoutAgent", "seven"), ("eplTradingAgent", "")]);
    let [scout, seven, trading] = told.agents.as_slice() else { panic!("{told:?}") };
    let fair = devig(DevigMethod::Shin, &[2.0, 3.6, 4.2]).expect("odds").probabilities[0];
    assert!((fair - 0.494_07).abs() < 1e-5, "{fair}");
    let is_near = |ppm: Option<i64>, expected: f64| {
        let ppm = ppm.and_then(|ppm| i32::try_from(ppm).ok()).map(f64::from).expect("a mean");
        assert!((ppm / 1e6 - expected).abs() < 1e-6, "{ppm} {expected}");
    };
    assert_eq!((scout.bets, scout.without_closing_line, scout.late_trades), (3, 1, 2));
    is_near(scout.mean_ppm, (fair / 0.45 + fair / 0.5) / 2.0 - 1.0);
    assert!(scout.t_micros.is_some() && scout.why_none.is_empty());
    is_near(trading.mean_ppm, fair / 0.45 - 1.0);
    assert_eq!(trading.t_micros, None, "one bet says nothing of luck");
    assert_eq!((seven.bets, seven.mean_ppm), (1, None));
    assert_eq!(seven.why_none, "none of 1 bets has a closing line yet");
    rig.stop().await;
}

fn days_micros(days: i32) -> i64 {
    i64::from(days) * DAY_MICROS
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_in_play_is_priced_by_the_score() {
    let rig = rig(1).await;
    let view = async |match_id: &str| {
        let asked = v1::WatchMarketRequest { match_id: match_id.into() };
        match ask_worker(&rig.world, Question::Market(asked)).await {
            Answer::Market(view) => view,
            other @ (Answer::Analysis(_) | Answer::Error(_)) => panic!("{other:?}"),
        }
    };
    let live = view(IN_PLAY).await;
    let info = live.info.clone().expect("info");
    assert_eq!((info.agent.as_str(), info.source()), ("liveTradingAgent", v1::AnalysisSource::Model));
    let chances: Vec<i32> = live.outcomes.iter().map(|own| own.chance_ppm).collect();
    assert!(chances[0] > 700_000 && (chances.iter().sum::<i32>() - 1_000_000).abs() <= 2, "{chances:?}");
    assert!(live.outcomes[0].edge_bps > 0, "1-0 is worth more than the 0.45 asked: {:?}", live.outcomes);
    let before = view(MATCH).await;
    assert_eq!(before.info.expect("info").agent, "eplScoutAgent", "before the kick-off the bookmakers know more");
    let over = view(OVER).await;
    assert_eq!((over.unpriced_reason.as_str(), over.outcomes.len()), ("MATCH_FINISHED", 0));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_answers_what_is_about_an_account() {
    let rig = rig(1).await;
    let answering = rig.world.bus.answer(&rig.world.context, Ask::Risk, |question: v1::RiskQuestion| {
        use v1::{risk_answer::Answer, risk_question::Question};
        let answer = match question.question {
            Some(Question::WhatIf(asked)) => {
                assert_eq!(asked.account_id, "alice");
                let verdict = v1::WhatIfVerdict::Scale.into();
                let result = v1::WhatIfResult { verdict, largest_quantity_micros: 7_000_000, ..Default::default() };
                Answer::WhatIf(result)
            }
            Some(Question::AccountRisk(asked)) => {
                assert_eq!((asked.account_id.as_str(), asked.currency.as_str()), ("alice", "USD"));
                let holding = |instrument_id: &str| v1::HoldingRisk {
                    instrument_id: instrument_id.into(),
                    quantity_micros: 100_000_000,
                    entry_notional_micros: 58_000_000,
                    exposure_micros: 58_000_000,
                };
                let holdings = [format!("{MATCH}-HOME"), format!("{OVER}-HOME"), "GBPUSD".into()];
                Answer::AccountRisk(v1::AccountRisk {
                    capital_micros: 200_000_000,
                    holdings: holdings.iter().map(|id| holding(id)).collect(),
                    match_max_ppm: 200_000,
                    ..Default::default()
                })
            }
            Some(Question::Standings(_)) | None => panic!("nothing is asked"),
        };
        async move { v1::RiskAnswer { answer: Some(answer) } }.boxed()
    });
    answering.await.expect("listening");
    let (info, Finding::WhatIf(said)) = ask(&rig, Kind::WhatIf(v1::WhatIfRequest::default())).await else {
        panic!("not a what-if")
    };
    assert_eq!((info.agent.as_str(), said.largest_quantity_micros), ("riskManagerAgent", 7_000_000));
    let (info, Finding::Portfolio(book)) = ask(&rig, Kind::Portfolio(v1::PortfolioRequest::default())).await else {
        panic!("not a portfolio")
    };
    assert_eq!(info.agent, "eplPortfolioAgent");
    let [own] = book.matches.as_slice() else { panic!("{book:?}") };
    assert_eq!((own.at_risk_micros, own.share_ppm), (58_000_000, 290_000));
    assert_eq!(own.profit_micros, [42_000_000, -58_000_000, -58_000_000]);
    assert_eq!(book.value_at_risk_95_micros, 58_000_000);
    let reasons: Vec<&str> = book.unvalued.iter().map(|own| own.reason.as_str()).collect();
    assert_eq!(reasons, ["NOT_A_MATCH", "MATCH_FINISHED"]);
    let too_much = book.reductions.iter().find(|own| own.reason() == v1::ReductionReason::MatchShare);
    assert!(too_much.is_some(), "29 % is more than the guard's fifth: {:?}", book.reductions);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scanner_looks_at_every_match_and_a_late_question_is_not_answered() {
    let rig = rig(1).await;
    let scan = Kind::Scan(v1::ScanRequest { match_id: IN_PLAY.into(), ..Default::default() });
    let (info, Finding::Scan(found)) = ask(&rig, scan).await else { panic!("not a scan") };
    assert_eq!((info.agent.as_str(), found.matches_scanned), ("scannerAgent", 1));
    let [set] = found.findings.as_slice() else { panic!("0.45 + 0.27 + 0.26 and fees are below 1: {found:?}") };
    assert_eq!((set.set(), set.pays_micros, set.sets_micros), (v1::ScanSet::AllYes, 1_000_000, 500_000_000));
    let (_, Finding::Scan(all)) = ask(&rig, Kind::Scan(v1::ScanRequest::default())).await else { panic!("no scan") };
    assert_eq!((all.matches_scanned, all.findings.len(), all.faults.len()), (1, 1, 0), "{all:?}");

    let kind = Some(scout(MATCH));
    let late = v1::WorkerQuestion {
        deadline_micros: 1,
        question: Some(Question::Analyze(v1::AnalyzeRequest { kind })),
        ..Default::default()
    };
    let answer: v1::WorkerAnswer = rig.world.bus.ask(Ask::Worker, &late, PATIENCE).await.expect("an answer");
    let Some(Answer::Error(error)) = answer.answer else { panic!("answered") };
    assert_eq!((error.code, error.reason.as_str()), (4, "DEADLINE_PASSED"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mandate_is_served_by_the_agent_it_names() {
    let mut rig = rig(1).await;
    for (number, agent) in ["eplScoutAgent", "eplTradingAgent", "contextAwareAgent"].into_iter().enumerate() {
        rig.world.request(&format!("m-{number}"), mandate(MATCH, agent)).await;
        let proposal = rig.next_one().await;
        let order = order_of(&proposal);
        let terms = order.terms.clone().expect("terms");
        assert_eq!((order.agent.as_str(), terms.limit_price_micros), (agent, 450_000));
        assert_eq!(terms.instrument_id, format!("{MATCH}-HOME"));
        // No agent opens anything once the ball rolls.
        rig.world.request(&format!("p-{number}"), mandate(IN_PLAY, agent)).await;
        let proposal = rig.next_one().await;
        let Some(v1::proposal::Kind::NoTrade(nothing)) = proposal.kind else { panic!("{agent} trades in play") };
        assert!(nothing.agent == agent && nothing.rationale.contains("in play"), "{nothing:?}");
    }
    for (agent, said) in [
        ("liveTradingAgent", "opens nothing"),
        ("sentimentAnalystAgent", "never trades"),
        ("eplScoutAgnet", "eplScoutAgent"),
    ] {
        rig.world.request(&format!("r-{agent}"), mandate(MATCH, agent)).await;
        let proposal = rig.next_one().await;
        let denial = denial_of(&proposal);
        assert_eq!(denial.code(), v1::DenialCode::UnknownAgent);
        assert!(denial.message.contains(said), "{}", denial.message);
    }
    assert!(rig.next(Duration::from_millis(100)).await.is_empty(), "one proposal each");
    rig.stop().await;
}
