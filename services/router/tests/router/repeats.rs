//! One request, one outcome: repeats at the same time, later, with another
//! payload, by another account, after the caller has gone.

use crate::stage::{
    DENIED, FILLS, HASTY, RESTS, SILENT, Stage, UNHEARD, eventually, expect_refusal, generous, order, place,
    request_id, request_id_at,
};
use std::{collections::BTreeSet, time::Duration};
use tonic::Code::{AlreadyExists, DeadlineExceeded, NotFound, ResourceExhausted};
use tonic_types::StatusExt as _;
use tragen_contracts::v1::{
    CancelTradeRequest, DenialCode, GetTradeRequest, Trade, TradeStatus, WatchTradesRequest, get_trade_request::Key,
};
use tragen_domain::tier::Tier;
use tragen_router::{Config, token::Role};

fn by_trade_id(id: &str) -> GetTradeRequest {
    GetTradeRequest { key: Some(Key::TradeId(id.to_owned())) }
}

fn by_request_id(id: &str) -> GetTradeRequest {
    GetTradeRequest { key: Some(Key::RequestId(id.to_owned())) }
}

#[tokio::test]
async fn fifty_parallel_copies_are_one_request_and_get_equal_answers() {
    let stage = Stage::start(generous()).await;
    let id = request_id();
    let copies = (0..50).map(|_| stage.place("alice", place(&id, order(FILLS))));
    let answers: Vec<Trade> =
        futures::future::join_all(copies).await.into_iter().collect::<Result<_, _>>().expect("all are answered");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].status(), TradeStatus::Filled);
    let later = stage.place("alice", place(&id.to_uppercase(), order(FILLS))).await.expect("known");
    assert_eq!(later, answers[0]);
    assert_eq!(stage.requests_of(&answers[0].trade_id), 1);
}

#[tokio::test]
async fn an_id_stands_for_one_payload_of_one_account() {
    let stage = Stage::start(generous()).await;
    let id = request_id();
    let first = stage.place("alice", place(&id, order(FILLS))).await.expect("placed");
    let mut other = order(FILLS);
    other.quantity_micros += 1_000_000;
    let again = stage.place("alice", place(&id, other.clone())).await;
    expect_refusal("another quantity", again, AlreadyExists, "REQUEST_ID_REUSED");
    let bob = stage.place("bob", place(&id, other)).await.expect("another account's id is another id");
    assert_ne!(first.trade_id, bob.trade_id);

    // While the first is still on its way, too.
    let id = request_id();
    let (mut client, request) = (stage.trading(), stage.from("alice", place(&id, order(SILENT))));
    let waiting = tokio::spawn(async move { client.place_trade(request).await });
    eventually("the request is on its lane", || {
        stage
            .books
            .lock()
            .expect("books")
            .last_request
            .as_ref()
            .is_some_and(|r| r.key.as_ref().is_some_and(|k| k.request_id == id))
    })
    .await;
    let again = stage.place("alice", place(&id, order(FILLS))).await;
    expect_refusal("another instrument", again, AlreadyExists, "REQUEST_ID_REUSED");
    waiting.abort();
}

#[tokio::test]
async fn a_denied_trade_stays_denied() {
    let stage = Stage::start(generous()).await;
    let id = request_id();
    for _ in 0..2 {
        let trade = stage.place("alice", place(&id, order(DENIED))).await.expect("a business no is an answer");
        assert_eq!(trade.status(), TradeStatus::Denied);
        assert_eq!(trade.denial.expect("a denial").code(), DenialCode::InsufficientFunds);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_finds_its_trade_later() {
    let stage = Stage::start(generous()).await;
    let id = request_id();
    // The client's own timer may be the first to ring; then it asks again, and nothing is doubled.
    let status = loop {
        let mut request = stage.from("alice", place(&id, order(SILENT)));
        request.set_timeout(Duration::from_millis(300));
        let status = stage.trading().place_trade(request).await.expect_err("no outcome in time");
        if status.code() == DeadlineExceeded {
            break status;
        }
        assert_eq!(status.code(), tonic::Code::Cancelled, "{status:?}");
    };
    let trade_id = status.get_error_details().error_info().expect("info").metadata["trade_id"].clone();

    let read = |key| async {
        stage.trading().get_trade(stage.from("alice", key)).await.map(|a| a.into_inner().trade.expect("a trade"))
    };
    let pending = read(by_trade_id(&trade_id)).await.expect("on its way");
    assert_eq!((pending.status(), pending.request_id.as_str()), (TradeStatus::Pending, id.as_str()));
    let foreign = stage.trading().get_trade(stage.from("bob", by_trade_id(&trade_id))).await;
    expect_refusal("a foreign trade", foreign, NotFound, "TRADE_NOT_FOUND");

    let key = stage.books.lock().expect("books").last_request.clone().expect("a request").key.expect("a key");
    let trade = Trade { status: TradeStatus::Filled.into(), ..pending };
    stage.post(trade.clone(), key.payload_hash).await;
    assert_eq!(read(by_request_id(&id)).await.expect("stored"), trade);
    let repeated = stage.place("alice", place(&id, order(SILENT))).await.expect("the same id has the outcome");
    assert_eq!(repeated, trade);
    assert_eq!(stage.requests_of(&trade_id), 1);
    let foreign = stage.trading().get_trade(stage.from("bob", by_trade_id(&trade_id))).await;
    expect_refusal("a foreign stored trade", foreign, NotFound, "TRADE_NOT_FOUND");
}

#[tokio::test]
async fn a_fact_that_was_not_heard_is_asked_for() {
    let stage = Stage::start(generous()).await;
    let trade = stage.place("alice", place(&request_id(), order(UNHEARD))).await.expect("found in the ledger");
    assert_eq!(trade.status(), TradeStatus::Filled);
}

#[tokio::test]
async fn an_old_id_is_looked_up_before_it_is_used() {
    let stage = Stage::start(Config { recent_answer_secs: 1, ..generous() }).await;
    let id = request_id_at(-600);
    let first = stage.place("alice", place(&id, order(FILLS))).await.expect("placed");
    let second = stage.second_router(generous()).await;
    let request = stage.from("alice", place(&id, order(FILLS)));
    let mut client = tragen_contracts::v1::trading_client::TradingClient::new(second);
    let again = client.place_trade(request).await.expect("known to the ledger").into_inner().trade.expect("a trade");
    assert_eq!(again, first);
    let mut other = order(FILLS);
    other.limit_price_micros += 1;
    let reused = client.place_trade(stage.from("bob", place(&id, other.clone()))).await;
    reused.expect("another account");
    let reused = client.place_trade(stage.from("alice", place(&id, other))).await;
    expect_refusal("another price", reused, AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(stage.requests_of(&first.trade_id), 1);
}

#[tokio::test]
async fn a_resting_trade_is_answered_then_canceled_then_final() {
    let stage = Stage::start(generous()).await;
    let working = stage.place("alice", place(&request_id(), order(RESTS))).await.expect("placed");
    assert_eq!(working.status(), TradeStatus::Working);
    let cancel = |account: &'static str| {
        let request = CancelTradeRequest { trade_id: working.trade_id.clone() };
        let request = stage.from(account, request);
        async { stage.trading().cancel_trade(request).await }
    };
    expect_refusal("a foreign trade", cancel("bob").await, NotFound, "TRADE_NOT_FOUND");
    for _ in 0..2 {
        let canceled = cancel("alice").await.expect("canceled").into_inner().trade.expect("a trade");
        assert_eq!(canceled, Trade { status: TradeStatus::Canceled.into(), ..working.clone() });
    }
}

#[tokio::test]
async fn a_denied_cancel_is_told_at_once_and_the_trade_goes_on() {
    let stage = Stage::start(generous()).await;
    let working = stage.place(HASTY, place(&request_id(), order(RESTS))).await.expect("placed");
    let request = stage.from(HASTY, CancelTradeRequest { trade_id: working.trade_id.clone() });
    let answer = stage.trading().cancel_trade(request).await;
    let refused = expect_refusal("a cancel too many", answer, ResourceExhausted, "CANCEL_RATE");
    let details = refused.get_error_details();
    let numbers = &details.error_info().expect("ErrorInfo").metadata;
    assert_eq!((numbers["limit"].as_str(), numbers["observed"].as_str()), ("2", "3"));
    assert!(details.retry_info().and_then(|info| info.retry_delay).is_some());
    let key = Some(Key::TradeId(working.trade_id.clone()));
    let read = stage.trading().get_trade(stage.from(HASTY, GetTradeRequest { key })).await.expect("known");
    assert_eq!(read.into_inner().trade, Some(working));
}

#[tokio::test]
async fn watchers_see_their_own_trades_and_operators_all() {
    let stage = Stage::start(generous()).await;
    let watch = |role, is_all_accounts| {
        let token = stage.token("alice", Tier::Standard, role);
        let request = crate::stage::with_token(&token, WatchTradesRequest { is_all_accounts });
        async { stage.trading().watch_trades(request).await }
    };
    let refused = watch(Role::Trader, true).await.map(drop);
    expect_refusal("all accounts", refused, tonic::Code::PermissionDenied, "ROLE_REQUIRED");
    let mut own = watch(Role::Trader, false).await.expect("watching").into_inner();
    let mut all = watch(Role::Operator, true).await.expect("watching").into_inner();
    let bob = stage.place("bob", place(&request_id(), order(FILLS))).await.expect("placed");
    let alice = stage.place("alice", place(&request_id(), order(FILLS))).await.expect("placed");
    let first = own.message().await.expect("a change").expect("a change").trade.expect("a trade");
    assert_eq!(first.trade_id, alice.trade_id);
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        seen.insert(all.message().await.expect("a change").expect("a change").trade.expect("a trade").trade_id);
    }
    assert_eq!(seen, BTreeSet::from([alice.trade_id, bob.trade_id]));
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_is_cut_off() {
    let stage = Stage::start(Config { watch_buffer_max: 2, ..generous() }).await;
    let mut client = stage.trading().max_decoding_message_size(1 << 20);
    let mut changes =
        client.watch_trades(stage.from("alice", WatchTradesRequest::default())).await.expect("watching").into_inner();
    // More than fits into the connection's window while nobody reads.
    let rationale = "x".repeat(200_000);
    for number in 0..40 {
        let trade = Trade {
            trade_id: format!("t{number}"),
            account_id: "alice".to_owned(),
            rationale: rationale.clone(),
            ..Trade::default()
        };
        stage.post(trade, bytes::Bytes::new()).await;
    }
    let status = loop {
        match changes.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a reason"),
            Err(status) => break status,
        }
    };
    expect_refusal("a slow reader", Err::<(), _>(status), tonic::Code::ResourceExhausted, "SLOW_READER");
}
