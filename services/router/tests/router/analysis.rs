//! Questions to agents: their shape, who may ask, that what is about a market is asked once for
//! everybody and what is about an account never is; and the market of a match as a stream.

use crate::stage::{Backstage, PATIENCE, Stage, expect_refusal, generous, with_token};
use futures::FutureExt as _;
use std::sync::{Arc, Mutex};
use tonic::{
    Code::{FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable},
    Status,
};
use tragen_bus::Ask;
use tragen_contracts::v1::{
    self, AnalyzeRequest, WorkerAnswer, WorkerQuestion, analyze_request::Kind, analyze_response::Result as Finding,
    worker_answer::Answer, worker_question::Question,
};
use tragen_domain::tier::Tier;
use tragen_host::trace::Spans;
use tragen_router::{Config, token::Role};

const MATCH: &str = "EPL-2026-ARS-MCI";

/// What the workers were asked, and what they know of the match.
#[derive(Default)]
struct Workers {
    asked: Mutex<Vec<WorkerQuestion>>,
    minute: Mutex<i32>,
}

impl Workers {
    fn answer(&self, question: WorkerQuestion) -> Answer {
        let answer = match &question.question {
            Some(Question::Analyze(AnalyzeRequest { kind: Some(kind) })) => self.analysis(kind, &question.account_id),
            Some(Question::Market(asked)) if asked.match_id == MATCH => Answer::Market(self.view()),
            Some(Question::Market(_)) => unknown_match(),
            Some(Question::Analyze(AnalyzeRequest { kind: None })) | None => panic!("the router asks for something"),
        };
        self.asked.lock().expect("not poisoned").push(question);
        answer
    }

    fn analysis(&self, kind: &Kind, account: &str) -> Answer {
        let result = match kind {
            Kind::Scout(asked) if asked.match_id == "IN-PLAY" => {
                return error(9, "MATCH_IN_PLAY", "the match is in play");
            }
            Kind::Scout(asked) if asked.match_id != MATCH => return unknown_match(),
            Kind::Scout(_) => Finding::Scout(v1::ScoutResult::default()),
            Kind::Research(_) => Finding::Research(v1::ResearchResult::default()),
            Kind::WhatIf(_) => Finding::WhatIf(v1::WhatIfResult::default()),
            Kind::Portfolio(_) => Finding::Portfolio(v1::PortfolioResult::default()),
            Kind::Calibration(_) => Finding::Calibration(v1::CalibrationResult::default()),
            Kind::Scan(_) => Finding::Scan(v1::ScanResult::default()),
            Kind::Sentiment(_) => Finding::Sentiment(v1::SentimentResult::default()),
        };
        let info = v1::AnalysisInfo { agent: format!("for {account:?}"), ..v1::AnalysisInfo::default() };
        Answer::Analysis(v1::AnalyzeResponse { info: Some(info), result: Some(result) })
    }

    fn view(&self) -> v1::MarketView {
        let minute = *self.minute.lock().expect("not poisoned");
        let status = if minute >= 90 { v1::MatchStatus::Finished } else { v1::MatchStatus::InPlay };
        v1::MarketView {
            r#match: Some(v1::Match {
                minute,
                status: status.into(),
                // Changes with every look and is no news.
                published_at_micros: tragen_host::clock::now_micros(),
                ..v1::Match::default()
            }),
            ..v1::MarketView::default()
        }
    }

    fn questions(&self) -> usize {
        self.asked.lock().expect("not poisoned").len()
    }
}

fn error(code: i32, reason: &str, message: &str) -> Answer {
    Answer::Error(v1::AskError { code, reason: reason.to_owned(), message: message.to_owned() })
}

fn unknown_match() -> Answer {
    error(5, "MATCH_NOT_FOUND", "there is no match; the nearest are EPL-2026-ARS-MCI")
}

async fn stage(config: Config) -> (Stage, Arc<Workers>) {
    let stage = Stage::start_with(config, Backstage::Asleep, 10, Spans::default()).await;
    let workers = Arc::new(Workers::default());
    let own = Arc::clone(&workers);
    let answering = stage.bus.answer(&stage.context, Ask::Worker, move |question: WorkerQuestion| {
        let answer = own.answer(question);
        async move { WorkerAnswer { answer: Some(answer) } }.boxed()
    });
    answering.await.expect("the workers answer");
    (stage, workers)
}

async fn ask(stage: &Stage, account: &str, kind: Kind) -> Result<v1::AnalyzeResponse, Status> {
    let request = AnalyzeRequest { kind: Some(kind) };
    Ok(stage.trading().analyze(stage.from(account, request)).await?.into_inner())
}

fn scout(match_id: &str) -> Kind {
    Kind::Scout(v1::ScoutRequest { match_id: match_id.to_owned(), min_edge_bps: 0 })
}

fn what_if(quantity_micros: i64) -> Kind {
    Kind::WhatIf(v1::WhatIfRequest {
        instrument_id: "EPL-2026-ARS-MCI-HOME".to_owned(),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros,
        limit_price_micros: 450_000,
        ..v1::WhatIfRequest::default()
    })
}

#[tokio::test]
async fn what_is_about_a_market_is_asked_once_and_what_is_about_an_account_never_shared() {
    let (stage, workers) = stage(Config { quote_analysis_age_ms: 60_000, ..generous() }).await;
    let (alice, bob) = tokio::join!(ask(&stage, "alice", scout(MATCH)), ask(&stage, "bob", scout(MATCH)));
    for answer in [alice, bob, ask(&stage, "carol", scout(MATCH)).await] {
        let info = answer.expect("an answer").info.expect("info");
        assert_eq!(info.agent, "for \"\"", "no account goes with it");
    }
    assert_eq!(workers.questions(), 1);
    for account in ["alice", "bob", "alice"] {
        let info = ask(&stage, account, what_if(10_000_000)).await.expect("an answer").info.expect("info");
        assert_eq!(info.agent, format!("for {account:?}"));
        let portfolio = Kind::Portfolio(v1::PortfolioRequest::default());
        let info = ask(&stage, account, portfolio).await.expect("an answer").info.expect("info");
        assert_eq!(info.agent, format!("for {account:?}"));
    }
    assert_eq!(workers.questions(), 7);
    {
        let asked = workers.asked.lock().expect("not poisoned");
        assert!(asked.iter().all(|question| question.deadline_micros > 0), "every question has its deadline");
    }

    // What is refused is told to whoever asked, and asked again.
    for _ in 0..2 {
        let unknown =
            expect_refusal("unknown", ask(&stage, "alice", scout("EPL-X")).await, NotFound, "MATCH_NOT_FOUND");
        assert!(unknown.message().contains(MATCH), "the nearest names are told: {}", unknown.message());
    }
    assert_eq!(workers.questions(), 9);
    expect_refusal("in play", ask(&stage, "alice", scout("IN-PLAY")).await, FailedPrecondition, "MATCH_IN_PLAY");
}

#[tokio::test]
async fn a_malformed_question_reaches_nobody() {
    let (stage, workers) = stage(generous()).await;
    let research = |match_id: &str, home: &str, away: &str| {
        let (match_id, home_team, away_team) = (match_id.to_owned(), home.to_owned(), away.to_owned());
        Kind::Research(v1::ResearchRequest { match_id, home_team, away_team })
    };
    let day = |days: i64| Some(pbjson_types::Timestamp { seconds: days * 86_400, nanos: 0 });
    let calibration =
        |model: &str, from, to| Kind::Calibration(v1::CalibrationRequest { model: model.to_owned(), from, to });
    let scan = |min_liquidity_micros, limit| {
        Kind::Scan(v1::ScanRequest { match_id: String::new(), min_liquidity_micros, limit })
    };
    let sentiment = |items: usize, text: &str| {
        let item = v1::SentimentText { source: "bbc".to_owned(), text: text.to_owned(), published_at: day(1) };
        let entities = vec!["Arsenal".to_owned()];
        Kind::Sentiment(v1::SentimentRequest { items: vec![item; items], entities, match_id: String::new() })
    };
    let edge = Kind::Scout(v1::ScoutRequest { match_id: MATCH.to_owned(), min_edge_bps: -1 });
    let gtd = Kind::WhatIf(v1::WhatIfRequest {
        instrument_id: "GBPUSD".to_owned(),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: 1,
        limit_price_micros: 1,
        time_in_force: v1::TimeInForce::Gtd.into(),
        is_reduce_only: false,
        is_post_only: false,
    });
    let cases = [
        ("no match", scout(""), "MATCH_MISSING"),
        ("a match of another world", scout("EPL 2026"), "MATCH_BAD_CHARSET"),
        ("a negative edge", edge, "EDGE_OUT_OF_BOUNDS"),
        ("neither match nor teams", research("", "", ""), "TEAMS_OR_MATCH"),
        ("match and teams", research(MATCH, "Arsenal", "Fulham"), "TEAMS_OR_MATCH"),
        ("one team", research("", "Arsenal", ""), "TEAM_INVALID"),
        ("a team against itself", research("", "Arsenal", "Arsenal"), "TEAM_INVALID"),
        ("a team that moves the cursor", research("", "\u{1b}[2J", "Fulham"), "TEAM_INVALID"),
        ("nothing to trade", what_if(0), "QUANTITY_NOT_POSITIVE"),
        ("less than nothing", what_if(i64::MIN), "QUANTITY_NOT_POSITIVE"),
        ("a fortune", what_if(i64::MAX), "ORDER_SIZE_LIMIT"),
        ("an order with an end", gtd, "EXPIRY_MISSING"),
        ("no model", calibration("gpt", day(1), day(2)), "MODEL_UNKNOWN"),
        ("no period", calibration("elo", None, day(2)), "PERIOD_INVALID"),
        ("a period backwards", calibration("elo", day(2), day(1)), "PERIOD_INVALID"),
        ("a century", calibration("elo", day(1), day(36_500)), "PERIOD_TOO_LONG"),
        ("negative liquidity", scan(-1, 0), "FILTER_OUT_OF_BOUNDS"),
        ("too many findings", scan(0, 501), "FILTER_OUT_OF_BOUNDS"),
        ("too many texts", sentiment(101, "x"), "ITEMS_OUT_OF_BOUNDS"),
        ("an empty text", sentiment(1, " "), "TEXT_INVALID"),
        ("a book", sentiment(1, &"x".repeat(2_001)), "TEXT_INVALID"),
        (
            "a currency of another world",
            Kind::Portfolio(v1::PortfolioRequest { currency: "U$".into() }),
            "CURRENCY_INVALID",
        ),
    ];
    for (name, kind, reason) in cases {
        expect_refusal(name, ask(&stage, "alice", kind).await, InvalidArgument, reason);
    }
    let nothing = stage.trading().analyze(stage.from("alice", AnalyzeRequest { kind: None })).await;
    expect_refusal("nothing", nothing, InvalidArgument, "KIND_MISSING");
    let watched = v1::WatchMarketRequest { match_id: "a b".to_owned() };
    let watched = stage.trading().watch_market(stage.from("alice", watched)).await;
    expect_refusal("a match of another world", watched, InvalidArgument, "MATCH_BAD_CHARSET");
    assert_eq!(workers.questions(), 0);
}

#[tokio::test]
async fn questions_are_counted_and_silence_is_named() {
    let stage =
        Stage::start_with(Config { analyses_per_minute: 2, ..generous() }, Backstage::Asleep, 10, Spans::default())
            .await;
    for _ in 0..2 {
        expect_refusal("nobody works", ask(&stage, "alice", scout(MATCH)).await, Unavailable, "PART_UNAVAILABLE");
    }
    expect_refusal("a third", ask(&stage, "alice", scout(MATCH)).await, ResourceExhausted, "RATE_LIMIT");
    let token = stage.token("bob", Tier::Free, Role::Trader);
    let request = AnalyzeRequest { kind: Some(scout(MATCH)) };
    let other = stage.trading().analyze(with_token(&token, request)).await;
    expect_refusal("another account", other, Unavailable, "PART_UNAVAILABLE");
}

#[tokio::test]
async fn a_market_is_told_when_it_changes_until_the_match_is_over() {
    let (stage, workers) = stage(generous()).await;
    let watch = |match_id: &str| v1::WatchMarketRequest { match_id: match_id.to_owned() };
    let unknown = stage.trading().watch_market(stage.from("alice", watch("EPL-X"))).await;
    expect_refusal("unknown", unknown, NotFound, "MATCH_NOT_FOUND");
    let mut views = stage.trading().watch_market(stage.from("alice", watch(MATCH))).await.expect("open").into_inner();
    let mut next = async || {
        let answer = tokio::time::timeout(PATIENCE, views.message()).await.expect("in time").expect("no failure");
        answer.map(|answer| answer.view.expect("a view").r#match.expect("a match").minute)
    };
    assert_eq!(next().await, Some(0));
    for minute in [1, 45, 90] {
        *workers.minute.lock().expect("not poisoned") = minute;
        assert_eq!(next().await, Some(minute), "only what is different is told");
    }
    assert_eq!(next().await, None, "the match is over");
    let asked = workers.asked.lock().expect("not poisoned");
    assert!(asked.iter().all(|question| question.account_id == "alice"), "the advice is about the caller's holdings");
}
