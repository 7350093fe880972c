//! The cache that routers share may be gone or full of nonsense: what people see is asked for again, and what is
//! about money never came from it.

use crate::{
    stage::{FILLS, Stage, expect_refusal, generous, order, place, request_id, with_token},
    valkey::Valkey,
};
use futures::FutureExt as _;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tonic::Code::ResourceExhausted;
use tragen_bus::Ask;
use tragen_cache::{AnswerKey, BalanceKey, Budget, RateKey};
use tragen_contracts::v1::{self, analyze_request::Kind};
use tragen_domain::{
    id::{AccountId, Currency},
    tier::Tier,
};
use tragen_router::{Config, token::Role};

/// A worker that counts what it is asked.
async fn worker(stage: &Stage) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answering = stage.bus.answer(&stage.context, Ask::Worker, move |_: v1::WorkerQuestion| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let info = v1::AnalysisInfo { explanation: format!("answer {number}"), ..v1::AnalysisInfo::default() };
        let result = Some(v1::analyze_response::Result::Research(v1::ResearchResult::default()));
        let answer = v1::AnalyzeResponse { info: Some(info), result };
        async move { v1::WorkerAnswer { answer: Some(v1::worker_answer::Answer::Analysis(answer)) } }.boxed()
    });
    answering.await.expect("the worker answers");
    asked
}

fn research() -> v1::AnalyzeRequest {
    let asked = v1::ResearchRequest {
        home_team: "Arsenal".into(),
        away_team: "Fulham".into(),
        ..v1::ResearchRequest::default()
    };
    v1::AnalyzeRequest { kind: Some(Kind::Research(asked)) }
}

async fn explanation(channel: &tonic::transport::Channel, stage: &Stage) -> String {
    let mut client = v1::trading_client::TradingClient::new(channel.clone());
    let answer = client.analyze(stage.from("alice", research())).await.expect("an answer").into_inner();
    answer.info.expect("info").explanation
}

#[tokio::test]
async fn routers_share_answers_about_results() {
    let valkey = Valkey::start().await;
    let config = Config { cache_url: valkey.url(), ..generous() };
    let stage = Stage::start(config.clone()).await;
    let second = stage.second_router(config).await;
    let asked = worker(&stage).await;
    assert_eq!(explanation(&stage.channel, &stage).await, "answer 1");
    assert_eq!(explanation(&second, &stage).await, "answer 1", "told by the first router");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nonsense_in_the_cache_and_no_cache_at_all_change_no_decision_about_money() {
    let mut valkey = Valkey::start().await;
    let key = AnswerKey::of(&prost::Message::encode_to_vec(&research())).to_string();
    let (account, currency) = (AccountId::new("alice").expect("an id"), Currency::new("USD").expect("a currency"));
    let balance = BalanceKey { account: account.clone(), currency }.to_string();
    let rate = RateKey { budget: Budget::Place, account }.to_string();
    // One trade a minute is allowed: neither nonsense nor silence may make it two, or none.
    let config = Config { cache_url: valkey.url(), free_trades_per_minute: 1, ..Config::default() };
    for state in ["nonsense", "gone"] {
        for (key, value) in [(&key, "\u{1}nonsense"), (&balance, "9 9 999999999999 0 free"), (&rate, "nonsense")] {
            if state == "nonsense" {
                valkey.set(key, value).await;
            }
        }
        if state == "gone" {
            valkey.stop();
        }
        // A router of its own, so that nothing is in its process.
        let stage = Stage::start(config.clone()).await;
        let asked = worker(&stage).await;
        assert_eq!(explanation(&stage.channel, &stage).await, "answer 1", "{state}: the agent is asked");
        assert_eq!(asked.load(Ordering::SeqCst), 1);

        let read = stage.from("alice", v1::GetAccountRequest::default());
        let books = stage.accounts().get_account(read).await.expect("books").into_inner().account.expect("an account");
        assert_eq!(books.version, 7, "{state}: who asks for the books gets the books");
        let token = stage.token("alice", Tier::Free, Role::Trader);
        let trade = || stage.trading();
        let placed = trade().place_trade(with_token(&token, place(&request_id(), order(FILLS)))).await;
        let placed = placed.expect("placed").into_inner().trade.expect("a trade");
        assert_eq!(placed.status(), v1::TradeStatus::Filled, "{state}");
        let second = trade().place_trade(with_token(&token, place(&request_id(), order(FILLS)))).await;
        expect_refusal(state, second, ResourceExhausted, "RATE_LIMIT");
    }
}
