//! The same request id is the same trade, however often it is asked for.

use crate::rig::{INSTRUMENT, Platform, order};
use futures::future::join_all;
use tragen_contracts::v1;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_parallel_repeats_are_one_trade_and_fifty_equal_answers() {
    let mut platform = Platform::all_in_one(&[]).await;
    let mut alice = platform.trader("alice", 1_000).await;
    let ask = alice.quote(INSTRUMENT).await.ask_price_micros;
    let request = order(v1::Side::Buy, 10, ask);
    let answers = join_all((0..50).map(|_| {
        let (mut caller, request) = (alice.clone(), request.clone());
        async move { caller.trading.place_trade(request).await.expect("an answer").into_inner().trade.expect("set") }
    }))
    .await;
    assert_eq!(answers[0].status(), v1::TradeStatus::Filled, "{:?}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "all answers are equal");

    let mut other = request.clone();
    if let Some(v1::place_trade_request::Intent::Order(order)) = &mut other.intent {
        order.quantity_micros += 1_000_000;
    }
    let refused = alice.trading.place_trade(other).await.expect_err("another payload");
    assert_eq!(refused.code(), tonic::Code::AlreadyExists, "{refused}");

    // Keys belong to the account: the same id of somebody else is another trade.
    let mut bob = platform.trader("bob", 1_000).await;
    let bobs = bob.place_surely(&request).await;
    assert_ne!(bobs.trade_id, answers[0].trade_id);

    // A router that has forgotten everything gives the stored answer.
    platform.restart("up").await;
    let mut alice = platform.caller("alice", tragen_router::token::Role::Trader);
    assert_eq!(alice.place_surely(&request).await, answers[0]);
    assert_eq!(alice.trades().await, [answers[0].clone()]);
    let account = alice.account(0).await;
    assert_eq!(account.cash_micros, 1_000_000_000 + answers[0].cash_change_micros);
    platform.stop();
    platform.verify();
}
