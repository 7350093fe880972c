//! Whose trade goes on next while too much is asked for.

use crate::stage::{Backstage, FILLS, SILENT, Stage, expect_refusal, generous, order, place, request_id, with_token};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tragen_bus::{Consumer, Puller};
use tragen_contracts::v1::TradeRequestedBatch;
use tragen_domain::tier::Tier;
use tragen_host::trace::Spans;
use tragen_router::{Config, token::Role};

/// Asks in the background; nobody answers.
fn ask(stage: &Stage, account: &str, tier: Tier) -> tokio::task::JoinHandle<Result<(), Status>> {
    let token = stage.token(account, tier, Role::Trader);
    let (mut client, request) = (stage.trading(), with_token(&token, place(&request_id(), order(FILLS))));
    tokio::spawn(async move { client.place_trade(request).await.map(drop) })
}

/// The accounts of the next `count` requests of a lane.
async fn accounts(lane: &mut Puller<TradeRequestedBatch>, count: usize) -> Vec<String> {
    let mut accounts = Vec::new();
    while accounts.len() < count {
        let delivery = tokio::time::timeout(Duration::from_secs(20), lane.next()).await;
        let delivery = delivery.expect("in time").expect("a message");
        delivery.ack().await;
        accounts.extend(delivery.message.requests.iter().filter_map(|r| r.key.clone()).map(|key| key.account_id));
    }
    accounts
}

#[tokio::test]
async fn a_burst_of_one_account_stays_behind_and_others_pass() {
    let config = Config { in_flight_per_account_max: 2, in_flight_ms_max: 300, ..generous() };
    let stage = Stage::start_with(config, Backstage::Asleep, 1_000, Spans::default()).await;
    let noisy: Vec<_> = (0..50).map(|_| ask(&stage, "noisy", Tier::Premium)).collect();
    let mut lane = stage.bus.pull::<TradeRequestedBatch>(&stage.context, Consumer::WorkerPremium);
    assert_eq!(accounts(&mut lane, 2).await, ["noisy", "noisy"]);
    let quiet = ask(&stage, "quiet", Tier::Premium);
    let mut seen = accounts(&mut lane, 1).await;
    if !seen.contains(&"quiet".to_owned()) {
        // Places of trades without an outcome are free again after a while, so some of the noisy ones may be between.
        seen.extend(accounts(&mut lane, 2).await);
    }
    assert!(seen.contains(&"quiet".to_owned()), "48 trades of the noisy account wait, not the quiet one: {seen:?}");
    noisy.into_iter().chain([quiet]).for_each(|asked| asked.abort());
}

#[tokio::test]
async fn free_is_sent_away_first_and_told_when_to_return() {
    // Of 16 places 8 are reserved: 4 for premium, 2 for standard, at least 1 for free.
    let config = Config {
        in_flight_max: 1,
        in_flight_min: 1,
        in_flight_per_account_max: 1,
        waiting_trades_max: 17,
        ..generous()
    };
    let stage = Stage::start_with(config, Backstage::Asleep, 1_000, Spans::default()).await;
    let first = ask(&stage, "first", Tier::Premium);
    let mut lane = stage.bus.pull::<TradeRequestedBatch>(&stage.context, Consumer::WorkerPremium);
    assert_eq!(accounts(&mut lane, 1).await, ["first"], "the one place is taken");
    let mut waiting = vec![first];
    let mut shed = None;
    for number in 0..16 {
        let mut asked = ask(&stage, &format!("free-{number}"), Tier::Free);
        match tokio::time::timeout(Duration::from_millis(300), &mut asked).await {
            Err(_) => waiting.push(asked),
            Ok(answer) => {
                shed = Some((number, answer.expect("joined").expect_err("refused")));
                break;
            }
        }
    }
    let (number, status) = shed.expect("free is shed before everything is full");
    assert!((1..12).contains(&number), "{number} of free wait");
    let status = expect_refusal("free", Err::<(), _>(status), Code::ResourceExhausted, "OVERLOADED");
    assert!(status.get_error_details().retry_info().is_some_and(|info| info.retry_delay.is_some()), "RetryInfo");
    let mut premium = ask(&stage, "premium", Tier::Premium);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut premium).await;
    assert!(early.is_err(), "there is room for premium: {early:?}");
    waiting.push(premium);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_trade_without_an_outcome_does_not_hold_its_place_for_ever() {
    let config = Config { in_flight_max: 1, in_flight_min: 1, in_flight_ms_max: 200, ..generous() };
    let stage = Stage::start(config).await;
    let mut request = stage.from("alice", place(&request_id(), order(SILENT)));
    request.set_timeout(Duration::from_millis(100));
    stage.trading().place_trade(request).await.expect_err("no outcome");
    let trade = stage.place("bob", place(&request_id(), order(FILLS))).await.expect("a trade");
    assert_eq!(trade.status(), tragen_contracts::v1::TradeStatus::Filled);
}
