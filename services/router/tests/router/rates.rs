//! Rate limits: exact, per account and tier, apart for cancels and reads, free
//! for repeats, and shared by routers through Valkey.

use crate::{
    stage::{FILLS, RESTS, Stage, expect_refusal, order, place, request_id, with_token},
    valkey::Valkey,
};
use std::time::Duration;
use tonic::{Code::ResourceExhausted, Status, transport::Channel};
use tonic_types::StatusExt as _;
use tragen_contracts::v1::{
    CancelTradeRequest, GetTradeRequest, Trade, get_trade_request::Key, trading_client::TradingClient,
};
use tragen_domain::tier::Tier;
use tragen_router::{Config, token::Role};

async fn place_on(channel: &Channel, token: &str, id: &str, instrument: &str) -> Result<Trade, Status> {
    let request = with_token(token, place(id, order(instrument)));
    Ok(TradingClient::new(channel.clone()).place_trade(request).await?.into_inner().trade.expect("a trade"))
}

#[tokio::test]
async fn the_eleventh_trade_of_a_minute_is_refused_and_told_when_to_return() {
    let stage = Stage::start(Config::default()).await;
    let token = stage.token("alice", Tier::Free, Role::Trader);
    let first = request_id();
    let trade = place_on(&stage.channel, &token, &first, RESTS).await.expect("placed");
    for _ in 0..9 {
        place_on(&stage.channel, &token, &request_id(), FILLS).await.expect("placed");
    }
    let answer = place_on(&stage.channel, &token, &request_id(), FILLS).await;
    let status = expect_refusal("the eleventh", answer, ResourceExhausted, "RATE_LIMIT");
    let details = status.get_error_details();
    let wait = details.retry_info().and_then(|info| info.retry_delay).expect("RetryInfo");
    assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60), "{wait:?}");
    assert_eq!(details.quota_failure().expect("QuotaFailure").violations[0].subject, "requests:place");
    let header = |name: &str| status.metadata().get(name).and_then(|v| v.to_str().ok()).expect("a header").to_owned();
    assert_eq!((header("ratelimit-limit"), header("ratelimit-remaining")), ("10".to_owned(), "0".to_owned()));
    assert_eq!(header("grpc-retry-pushback-ms"), wait.as_millis().to_string());

    // A repeat costs nothing, another account and another budget are not touched.
    assert_eq!(place_on(&stage.channel, &token, &first, RESTS).await.expect("known"), trade);
    let bob = stage.token("bob", Tier::Free, Role::Trader);
    place_on(&stage.channel, &bob, &request_id(), FILLS).await.expect("placed");
    let cancel = with_token(&token, CancelTradeRequest { trade_id: trade.trade_id.clone() });
    stage.trading().cancel_trade(cancel).await.expect("cancels have their own budget");
    let read = with_token(&token, GetTradeRequest { key: Some(Key::TradeId(trade.trade_id)) });
    stage.trading().get_trade(read).await.expect("reads have their own budget");
}

#[tokio::test]
async fn exactly_the_limit_passes_in_a_burst_and_joined_repeats_count_once() {
    let stage = Stage::start(Config { standard_trades_per_minute: 25, ..Config::default() }).await;
    let token = stage.token("alice", Tier::Standard, Role::Trader);
    let shared = request_id();
    let copies = (0..20).map(|_| place_on(&stage.channel, &token, &shared, FILLS));
    assert!(futures::future::join_all(copies).await.iter().all(Result::is_ok));
    let ids: Vec<String> = (0..100).map(|_| request_id()).collect();
    let burst = ids.iter().map(|id| place_on(&stage.channel, &token, id, FILLS));
    let answers = futures::future::join_all(burst).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 24);
}

#[tokio::test]
async fn reads_are_limited_too() {
    let stage = Stage::start(Config { reads_per_minute: 2, ..Config::default() }).await;
    let read = || async {
        let request = stage.from("alice", tragen_contracts::v1::GetAccountRequest::default());
        stage.accounts().get_account(request).await.map(drop)
    };
    read().await.expect("read");
    read().await.expect("read");
    expect_refusal("the third", read().await, ResourceExhausted, "RATE_LIMIT");
}

#[tokio::test]
async fn two_routers_share_a_limit_and_go_on_without_valkey() {
    let mut valkey = Valkey::start().await;
    let config = Config { cache_url: valkey.url(), ..Config::default() };
    let stage = Stage::start(config.clone()).await;
    let second = stage.second_router(config).await;
    let token = stage.token("alice", Tier::Free, Role::Trader);
    let mut passed = 0;
    for number in 0..15 {
        let channel = if number % 2 == 0 { &stage.channel } else { &second };
        passed += u32::from(place_on(channel, &token, &request_id(), FILLS).await.is_ok());
    }
    assert_eq!(passed, 10);

    valkey.stop();
    let mut passed = 0;
    for _ in 0..15 {
        passed += u32::from(place_on(&second, &token, &request_id(), FILLS).await.is_ok());
    }
    assert_eq!(passed, 10, "limited by the process, never unlimited");
}
