//! Configured agents on bars.

use super::{PATIENCE, order_of, rig, scalper};
use futures::StreamExt as _;
use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tragen_bus::{CoreSubject, Stream};
use tragen_contracts::v1;

/// Long enough for a bar to be handed to somebody else, and for that one to act.
const HANDED_ON: Duration = Duration::from_millis(3_500);

#[tokio::test(flavor = "multi_thread")]
async fn agents_trade_a_signal_once_however_many_workers_see_the_bar() {
    let mut rig = rig(2).await;
    rig.world.put_instrument("GBPUSD").await;
    rig.world.put_agent("a1").await;
    rig.world.put_agent("a2").await;
    rig.world.quiet_bars("GBPUSD").await;
    rig.world.falling_bar("GBPUSD").await;
    let mut orders = BTreeMap::<String, Vec<v1::OrderTerms>>::new();
    while orders.values().map(Vec::len).sum::<usize>() < 2 {
        let proposals = rig.next(PATIENCE).await;
        assert!(!proposals.is_empty(), "both agents act: {orders:?}");
        for proposal in proposals {
            let order = order_of(&proposal).clone();
            assert_eq!((order.agent.as_str(), order.pool.as_str()), ("tradingAgent", "scalper"));
            orders.entry(order.agent_id.clone()).or_default().extend(order.terms);
        }
    }
    assert_eq!(orders.keys().collect::<Vec<_>>(), ["a1", "a2"]);
    assert!(orders.values().flatten().all(|terms| terms.side() == v1::Side::Buy), "{orders:?}");
    let more = rig.next(HANDED_ON).await;
    assert!(more.is_empty(), "one worker acts on a bar: {more:?}");
    let bars = rig.world.bus.last_sequence(Stream::Bars).await.expect("readable");
    assert_eq!(bars, 61);
    rig.stop().await;
}

/// The fall is a third of a trend: a confidence of 0.625.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_sure_enough_proposes_nothing() {
    let mut rig = rig(1).await;
    rig.world.put_instrument("GBPUSD").await;
    for (agent_id, risk_tolerance) in [("careful", 5), ("bold", 6)] {
        let agent = v1::Agent { risk_tolerance, ..scalper(agent_id, vec!["GBPUSD".into()], agent_id) };
        rig.world.store(&agent).await;
    }
    rig.world.quiet_bars("GBPUSD").await;
    rig.world.bar("GBPUSD", 60, 1_498_800).await;
    let proposal = rig.next_one().await;
    let order = order_of(&proposal);
    assert_eq!((order.agent_id.as_str(), order.confidence_ppm), ("bold", Some(625_000)));
    let more = rig.next(HANDED_ON).await;
    assert!(more.is_empty(), "0.65 is asked for: {more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_one_account_share_its_position() {
    let mut rig = rig(1).await;
    rig.world.put_instrument("GBPUSD").await;
    for agent in ["a1", "a2", "a3"] {
        rig.world.put_agent_of(agent, vec!["GBPUSD".into()], "fund").await;
    }
    rig.world.put_agent("b1").await;
    rig.world.quiet_bars("GBPUSD").await;
    rig.world.falling_bar("GBPUSD").await;
    let mut agents = Vec::new();
    while agents.len() < 2 {
        let proposals = rig.next(PATIENCE).await;
        assert!(!proposals.is_empty(), "{agents:?}");
        agents.extend(proposals.iter().map(|proposal| order_of(proposal).agent_id.clone()));
    }
    agents.sort();
    assert_eq!(agents, ["a1", "b1"], "the first one buys for the account");
    let more = rig.next(Duration::from_millis(500)).await;
    assert!(more.is_empty(), "{more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_waits_for_a_ledger_that_does_not_answer() {
    let mut rig = rig(1).await;
    rig.world.put_instrument("GBPUSD").await;
    rig.world.put_agent("a1").await;
    rig.world.is_ledger_alive.store(false, Ordering::SeqCst);
    rig.world.quiet_bars("GBPUSD").await;
    rig.world.falling_bar("GBPUSD").await;
    let early = rig.next(Duration::from_millis(700)).await;
    assert!(early.is_empty(), "nobody knows what the account has: {early:?}");
    rig.world.is_ledger_alive.store(true, Ordering::SeqCst);
    assert_eq!(order_of(&rig.next_one().await).agent_id, "a1");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_agent_is_counted_and_not_evaluated() {
    let mut rig = rig(1).await;
    rig.world.put_instrument("GBPUSD").await;
    rig.world.put_agent("a1").await;
    rig.world.put_agent("a2").await;
    let mut acks = rig.world.bus.listen::<v1::ControlAck>(&CoreSubject::ControlAcks).await.expect("listening");
    let mut halted = async |kind, id: &str| {
        rig.world.halt(kind, id).await;
        tokio::time::timeout(PATIENCE, acks.next()).await.expect("in time").expect("an ack")
    };
    // The registry is read beside: halted again, with something else in between, until it is there.
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "the worker knows its agents");
        let ack = halted(v1::ScopeKind::Agent, "a1").await;
        assert!(ack.stopped_agents <= 1, "only one is stopped: {ack:?}");
        if ack.stopped_agents == 1 {
            break;
        }
        assert_eq!(halted(v1::ScopeKind::Account, "nobody").await.stopped_agents, 0);
    }
    let again = halted(v1::ScopeKind::Agent, "a1").await;
    assert_eq!(again.stopped_agents, 0, "it was stopped before: {again:?}");
    rig.world.quiet_bars("GBPUSD").await;
    rig.world.falling_bar("GBPUSD").await;
    let proposal = rig.next_one().await;
    assert_eq!(order_of(&proposal).agent_id, "a2");
    let more = rig.next(Duration::from_millis(500)).await;
    assert!(more.is_empty(), "{more:?}");
    rig.stop().await;
}
