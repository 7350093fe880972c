//! The registry of agents and the pools, as operators see them.

use crate::stage::{Backstage, PATIENCE, Stage, expect_refusal, generous, with_token};
use prost::Message as _;
use tonic::Code::{Aborted, InvalidArgument, PermissionDenied};
use tonic_types::StatusExt as _;
use tragen_bus::Bucket;
use tragen_contracts::v1;
use tragen_domain::tier::Tier;
use tragen_host::trace::Spans;
use tragen_router::token::Role;

fn agent(id: &str, account: &str) -> v1::Agent {
    v1::Agent {
        agent_id: id.into(),
        strategy: v1::Strategy::Conservative.into(),
        instrument_ids: vec!["GBPUSD".into()],
        timeframe: "1d".into(),
        risk_tolerance: 3,
        max_trades_per_day: 5,
        account_id: account.into(),
        is_enabled: true,
        ..v1::Agent::default()
    }
}

#[tokio::test]
async fn pools_are_shown_as_they_were_left_with_what_waits_for_the_workers() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 100, Spans::default()).await;
    let operator = stage.token("olga", Tier::Standard, Role::Operator);
    let sized = |pool_id: &str| v1::PoolSized { pool_id: pool_id.into(), agents: 17, ..v1::PoolSized::default() };
    let bucket = stage.bus.bucket(Bucket::Pools).await.expect("a bucket");
    for pool in ["swing", "scalper"] {
        let state = v1::PoolState { sized: Some(sized(pool)), active: 9, ..v1::PoolState::default() };
        bucket.put(pool, state.encode_to_vec().into()).await.expect("stored");
    }
    let answer = stage.agents().list_pools(with_token(&operator, v1::ListPoolsRequest {})).await;
    let answer = answer.expect("an answer").into_inner();
    let names: Vec<&str> =
        answer.pools.iter().filter_map(|p| p.sized.as_ref()).map(|sized| sized.pool_id.as_str()).collect();
    assert_eq!(names, ["scalper", "swing"]);
    let lanes: Vec<_> = answer.lanes.iter().map(|lane| (lane.tier(), lane.waiting, lane.in_hand)).collect();
    assert_eq!(lanes, [(v1::Tier::Premium, 0, 0), (v1::Tier::Standard, 0, 0), (v1::Tier::Free, 0, 0)]);
    let trader = stage.token("alice", Tier::Premium, Role::Trader);
    let refused = stage.agents().list_pools(with_token(&trader, v1::ListPoolsRequest {})).await;
    expect_refusal("a trader", refused, PermissionDenied, "ROLE_REQUIRED");
}

#[tokio::test]
async fn an_agent_is_only_replaced_in_the_version_that_was_read() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 100, Spans::default()).await;
    let operator = stage.token("olga", Tier::Standard, Role::Operator);
    let put = async |agent: v1::Agent| {
        let answer = stage.agents().put_agent(with_token(&operator, v1::PutAgentRequest { agent: Some(agent) })).await;
        answer.map(|answer| answer.into_inner().agent.expect("an agent"))
    };
    let first = put(agent("a1", "fund")).await.expect("stored");
    assert_eq!(first.version, 1);
    let second = put(v1::Agent { risk_tolerance: 4, ..first.clone() }).await.expect("stored");
    assert_eq!(second.version, 2);
    expect_refusal("an old version", put(first).await, Aborted, "AGENT_VERSION_MISMATCH");
    let greedy = v1::Agent { max_trades_per_day: 10_001, ..agent("a2", "fund") };
    expect_refusal("too many trades", put(greedy).await, InvalidArgument, "MAX_TRADES_TOO_MANY");

    let maker = v1::Agent {
        strategy: v1::Strategy::MarketMaker.into(),
        instrument_ids: vec!["EPL-2026-ARS-MCI-HOME".into()],
        is_enabled: true,
        ..agent("a3", "fund")
    };
    assert!(put(maker.clone()).await.expect("stored").is_enabled);
    let nowhere = v1::Agent { instrument_ids: Vec::new(), ..maker };
    expect_refusal("a market maker of nothing", put(nowhere).await, InvalidArgument, "INSTRUMENT_MISSING");
    let bettor = v1::Agent { strategy: v1::Strategy::Value.into(), instrument_ids: vec![], ..agent("a4", "fund") };
    put(bettor).await.expect("a bettor names no match and bets on all");
}

#[tokio::test]
async fn a_large_registry_is_listed_in_order_and_page_by_page() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 100, Spans::default()).await;
    let bucket = stage.bus.bucket(Bucket::Agents).await.expect("a bucket");
    for number in 0..120 {
        let id = format!("a{number:03}");
        let account = if number % 2 == 0 { "alice" } else { "bob" };
        bucket.put(&id, agent(&id, account).encode_to_vec().into()).await.expect("stored");
    }
    let operator = stage.token("olga", Tier::Standard, Role::Operator);
    let alice = stage.token("alice", Tier::Premium, Role::Trader);
    let list = async |token: &str| {
        let (mut ids, mut page_token) = (Vec::new(), String::new());
        loop {
            let question = v1::ListAgentsRequest { page_size: 50, page_token };
            let page = stage.agents().list_agents(with_token(token, question)).await.expect("a page").into_inner();
            ids.extend(page.agents.into_iter().map(|agent| agent.agent_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return ids;
            }
        }
    };
    let all = list(&operator).await;
    assert_eq!(all.len(), 120);
    assert!(all.is_sorted());
    assert_eq!(list(&alice).await.len(), 60, "a trader sees those of the own account");
}

#[tokio::test]
async fn an_agent_that_would_make_its_kind_too_common_is_refused_with_limit_and_observed_value() {
    let config =
        tragen_router::Config { strategy_share_max_ppm: 300_000, timeframe_share_max_ppm: 400_000, ..generous() };
    let stage = Stage::start_with(config, Backstage::Asleep, 100, Spans::default()).await;
    let operator = stage.token("olga", Tier::Standard, Role::Operator);
    let put = async |agent: v1::Agent| {
        let answer = stage.agents().put_agent(with_token(&operator, v1::PutAgentRequest { agent: Some(agent) })).await;
        answer.map(|answer| answer.into_inner().agent.expect("an agent"))
    };
    for number in 0..9 {
        put(agent(&format!("a{number}"), "fund")).await.expect("nine say nothing of shares");
    }
    let refused = put(agent("a9", "fund")).await.expect_err("the tenth of one strategy");
    let details = refused.get_error_details();
    let info = details.error_info().expect("a reason");
    let told = |key: &str| info.metadata.get(key).map(String::as_str);
    assert_eq!((refused.code(), info.reason.as_str()), (tonic::Code::FailedPrecondition, "STRATEGY_SHARE"));
    assert_eq!((told("limit"), told("observed"), told("trading_agents")), (Some("3"), Some("10"), Some("10")));
    let swing = v1::Agent { strategy: v1::Strategy::Swing.into(), ..agent("a9", "fund") };
    expect_refusal("a timeframe", put(swing.clone()).await, tonic::Code::FailedPrecondition, "TIMEFRAME_SHARE");
    put(v1::Agent { is_enabled: false, ..agent("a9", "fund") }).await.expect("who does not trade is in nobody's way");
    put(v1::Agent { timeframe: "4h".into(), ..swing }).await.expect("another kind");
    // Written by somebody else: the router hears of it and counts it too.
    let stored = stage.bus.bucket(Bucket::Agents).await.expect("a bucket");
    for number in 0..3 {
        let more = v1::Agent { strategy: v1::Strategy::Scalper.into(), timeframe: "1h".into(), ..agent("", "fund") };
        stored.put(format!("s{number}"), more.encode_to_vec().into()).await.expect("stored");
    }
    let started = std::time::Instant::now();
    let scalper = v1::Agent { strategy: v1::Strategy::Scalper.into(), timeframe: "5m".into(), ..agent("", "fund") };
    for number in 0.. {
        let next = v1::Agent { agent_id: format!("n{number}"), ..scalper.clone() };
        if let Err(refused) = put(next).await {
            assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused:?}");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the bucket is followed");
    }
}
