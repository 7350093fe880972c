//! What goes out: the right lane, the right envelope, and a clear answer when
//! there is no room or nobody there.

use crate::stage::{Backstage, FILLS, SILENT, Stage, expect_refusal, generous, order, place, request_id, with_token};
use std::time::{Duration, Instant};
use tonic::Code::{ResourceExhausted, Unavailable};
use tonic_types::StatusExt as _;
use tragen_bus::Consumer;
use tragen_contracts::v1::{self, TradeRequestedBatch};
use tragen_domain::tier::Tier;
use tragen_host::trace::Spans;
use tragen_router::{Config, token::Role};

#[tokio::test]
async fn a_full_lane_is_overloaded_and_says_when_to_return() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 2, Spans::default()).await;
    let mut overloaded = None;
    for _ in 0..5 {
        let mut request = stage.from("alice", place(&request_id(), order(FILLS)));
        request.set_timeout(Duration::from_millis(300));
        let status = stage.trading().place_trade(request).await.expect_err("nobody works");
        if status.code() == ResourceExhausted {
            overloaded = Some(status);
            break;
        }
    }
    let status = overloaded.expect("two messages fill the lane");
    let status = expect_refusal("a full lane", Err::<(), _>(status), ResourceExhausted, "OVERLOADED");
    let wait = status.get_error_details().retry_info().and_then(|info| info.retry_delay).expect("RetryInfo");
    assert!(wait >= Duration::from_millis(250) && wait <= Duration::from_millis(1_100), "{wait:?}");
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    // The other lanes are not touched.
    let token = stage.token("bob", Tier::Free, Role::Trader);
    let mut request = with_token(&token, place(&request_id(), order(FILLS)));
    request.set_timeout(Duration::from_millis(300));
    let status = stage.trading().place_trade(request).await.expect_err("nobody works");
    // The client's own timer may be the first to ring.
    assert!(matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled), "{status:?}");
}

#[tokio::test]
async fn a_full_desk_is_overloaded_before_anything_is_sent() {
    let stage = Stage::start(Config { waiting_trades_max: 1, ..generous() }).await;
    let mut request = stage.from("alice", place(&request_id(), order(SILENT)));
    request.set_timeout(Duration::from_millis(200));
    stage.trading().place_trade(request).await.expect_err("no outcome");
    let answer = stage.place("alice", place(&request_id(), order(FILLS))).await;
    expect_refusal("a second wait", answer, ResourceExhausted, "OVERLOADED");
    assert_eq!(stage.books.lock().expect("books").requests.len(), 1);
}

#[tokio::test]
async fn a_request_carries_what_the_services_behind_need() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 100, Spans::default()).await;
    let id = request_id();
    let token = stage.token("alice", Tier::Standard, Role::Trader);
    let mut request = with_token(&token, place(&id, order(FILLS)));
    request.set_timeout(Duration::from_millis(200));
    stage.trading().place_trade(request).await.expect_err("nobody works");
    let mut lane = stage.bus.pull::<TradeRequestedBatch>(&stage.context, Consumer::WorkerStandard);
    let delivery = lane.next().await.expect("a message");
    let [request] = delivery.message.requests.as_slice() else { panic!("not one request") };
    let (key, meta) = (request.key.as_ref().expect("a key"), request.meta.as_ref().expect("an envelope"));
    assert_eq!(key.trade_id, tragen_contracts::trade_id("alice", &id).to_string());
    assert_eq!(
        (key.request_id.as_str(), key.account_id.as_str(), key.tier()),
        (id.as_str(), "alice", v1::Tier::Standard)
    );
    assert_eq!(key.payload_hash.len(), 32);
    assert_eq!((meta.causation_id.as_str(), meta.traceparent.as_str()), (id.as_str(), ""));
    let wait = meta.deadline_micros - key.created_at_micros;
    assert!((100_000..=200_000).contains(&wait), "{wait}");
    assert_eq!(request.intent, Some(v1::trade_requested::Intent::Order(order(FILLS))));
}

#[tokio::test]
async fn a_part_that_is_not_there_is_unavailable() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 100, Spans::default()).await;
    let read = stage.accounts().get_account(stage.from("alice", v1::GetAccountRequest::default())).await;
    expect_refusal("no ledger", read, Unavailable, "PART_UNAVAILABLE");
    let token = stage.token("root", Tier::Standard, Role::Operator);
    let halt = stage.risk().halt(with_token(&token, v1::HaltRequest::default())).await;
    expect_refusal("no guard", halt, Unavailable, "PART_UNAVAILABLE");
}

#[tokio::test]
async fn callers_are_told_when_the_router_stops() {
    let stage = Stage::start(Config { drain_ms: 200, ..generous() }).await;
    let (mut client, request) = (stage.trading(), stage.from("alice", place(&request_id(), order(SILENT))));
    let waiting = tokio::spawn(async move { client.place_trade(request).await });
    crate::stage::eventually("the request is on its lane", || {
        stage.books.lock().expect("books").last_request.is_some()
    })
    .await;
    stage.stop.cancel();
    let answer = waiting.await.expect("answered");
    expect_refusal("a wait", answer, Unavailable, "SHUTTING_DOWN");
}

#[tokio::test]
async fn what_the_bus_loses_is_sent_again_while_somebody_waits() {
    let mut stage = Stage::start_with(generous(), Backstage::Asleep, 100, Spans::default()).await;
    let (waits, gone) = (request_id(), request_id());
    let caller = |id: &str, seconds| {
        let (mut client, mut request) = (stage.trading(), stage.from("alice", place(id, order(FILLS))));
        request.set_timeout(Duration::from_secs(seconds));
        tokio::spawn(async move { client.place_trade(request).await })
    };
    let (waiting, left) = (caller(&waits, 30), caller(&gone, 1));
    let mut lane = stage.bus.pull::<TradeRequestedBatch>(&stage.context, Consumer::WorkerPremium);
    let mut lost = Vec::new();
    while lost.len() < 2 {
        let delivery = lane.next().await.expect("a message");
        lost.extend(delivery.message.requests.clone());
    }
    lane.give_back().await;
    left.await.expect("joined").expect_err("nobody works");

    stage.restart_bus(100).await;

    let mut lane = stage.bus.pull::<TradeRequestedBatch>(&stage.context, Consumer::WorkerPremium);
    let delivery = lane.next().await.expect("a message");
    let [again] = delivery.message.requests.as_slice() else { panic!("not one request: {:?}", delivery.message) };
    let trade_id = tragen_contracts::trade_id("alice", &waits).to_string();
    let first = lost.iter().find(|request| request.key == again.key).expect("one of the two");
    assert_eq!(again.key.as_ref().map(|key| key.trade_id.as_str()), Some(trade_id.as_str()));
    assert_eq!((&again.intent, &again.meta), (&first.intent, &first.meta));
    let key = again.key.clone().expect("a key");
    let trade = v1::Trade {
        trade_id,
        status: v1::TradeStatus::Filled.into(),
        request_id: waits.clone(),
        account_id: key.account_id,
        ..v1::Trade::default()
    };
    // The router follows the facts again some time after the restart, and here no ledger tells them again.
    let end = Instant::now() + Duration::from_secs(20);
    while !waiting.is_finished() {
        assert!(Instant::now() < end, "the router does not hear of the outcome");
        stage.post(trade.clone(), key.payload_hash.clone()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = waiting.await.expect("joined").expect("an outcome").into_inner();
    assert_eq!(answer.trade.map(|trade| trade.request_id), Some(waits));
}
