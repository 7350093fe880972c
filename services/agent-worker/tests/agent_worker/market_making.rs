//! Configured market makers quoting contracts on matches.

use super::{
    MATCH, PATIENCE, Rig, World,
    bets::{HANDED_ON, MINUTE, NOON, with_workers},
    guard::Guard,
    handover, order_of, rig,
};
use prost::Message as _;
use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tragen_bus::{Bucket, Consumer};
use tragen_contracts::v1::{self, proposal::Kind};
use tragen_host::clock;

/// Of 10,000 a full inventory of 20 lots risks 0.95 %.
const LOT: i64 = 4_000_000;

impl World {
    async fn put_maker(&self, agent_id: &str, account_id: &str, named: &str) {
        let agent = v1::Agent {
            agent_id: agent_id.into(),
            strategy: v1::Strategy::MarketMaker.into(),
            instrument_ids: vec![named.into()],
            timeframe: "1m".into(),
            risk_tolerance: 5,
            max_trades_per_day: 2_000,
            account_id: account_id.into(),
            is_enabled: true,
            ..v1::Agent::default()
        };
        let agents = self.bus.bucket(Bucket::Agents).await.expect("a bucket");
        agents.put(agent_id, agent.encode_to_vec().into()).await.expect("stored");
    }
}

/// The next `count` proposals.
async fn gather(rig: &mut Rig, count: usize) -> Vec<v1::Proposal> {
    let mut found = Vec::new();
    while found.len() < count {
        let proposals = rig.next(PATIENCE).await;
        assert!(!proposals.is_empty(), "{} of {count} came: {found:?}", found.len());
        found.extend(proposals);
    }
    assert_eq!(found.len(), count, "{found:?}");
    found
}

/// Quotes as `side price x contracts`, sorted.
fn told(proposals: &[v1::Proposal]) -> BTreeSet<String> {
    let told = |proposal: &v1::Proposal| {
        let terms = order_of(proposal).terms.clone().expect("terms");
        format!("{:?} {} x {}", terms.side(), terms.limit_price_micros, terms.quantity_micros)
    };
    proposals.iter().map(told).collect()
}

fn quotes<const N: usize>(quotes: [(v1::Side, i64, i64); N]) -> BTreeSet<String> {
    quotes.map(|(side, price, quantity)| format!("{side:?} {price} x {quantity}")).into()
}

fn trades(proposals: &[v1::Proposal]) -> BTreeSet<String> {
    proposals.iter().map(|proposal| proposal.key.as_ref().expect("a key").trade_id.clone()).collect()
}

/// The trades that are to end; every proposal must be a cancel.
fn canceled(proposals: &[v1::Proposal]) -> BTreeSet<String> {
    let trade = |proposal: &v1::Proposal| match &proposal.kind {
        Some(Kind::Cancel(cancel)) => cancel.trade_id.clone(),
        other => panic!("not a cancel: {other:?}"),
    };
    proposals.iter().map(trade).collect()
}

/// The market asks 0.45 and bids 0.43 for what is worth 0.5: the bid stays below the ask.
fn both() -> BTreeSet<String> {
    quotes([(v1::Side::Buy, 440_000, LOT), (v1::Side::Sell, 520_000, LOT)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maker_quotes_both_sides_once_a_slot_however_many_workers_there_are() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_maker("m1", "one", &format!("{MATCH}-HOME")).await;
    rig.world.put_maker("m2", "one", "EPL-2026-ARS-MCI-HO").await;
    rig.world.put_maker("elsewhere", "two", "EPL-2026-LIV").await;
    with_workers(3, &rig).await;
    rig.world.new_odds(NOON).await;
    let first = gather(&mut rig, 2).await;
    assert_eq!(told(&first), both());
    for proposal in &first {
        let order = order_of(proposal);
        let terms = order.terms.as_ref().expect("terms");
        assert_eq!((order.agent.as_str(), order.agent_id.as_str()), ("tradingAgent", "m1"), "the first of the account");
        assert_eq!((order.pool.as_str(), order.timeframe.as_str()), ("market_maker", "1m"));
        assert!(terms.is_post_only && terms.time_in_force() == v1::TimeInForce::Gtd, "{terms:?}");
        let life = Duration::from_micros((terms.expire_at_micros - clock::now_micros()).unsigned_abs());
        assert!(life > Duration::from_secs(90) && life <= Duration::from_secs(120), "two slots: {life:?}");
    }
    guard.take(&first);
    // What is told again within the slot finds everything as it should be.
    rig.world.new_odds(NOON + 1_000_000).await;
    let more = rig.next(HANDED_ON).await;
    assert!(more.is_empty(), "{more:?}");
    // Filled or refused meanwhile: asked for again, it is the same trade, which the guard decides once.
    guard.forget();
    rig.world.new_odds(NOON + 2_000_000).await;
    assert_eq!(trades(&gather(&mut rig, 2).await), trades(&first));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_new_slot_the_old_quotes_go_before_new_ones_come_and_in_play_all_go() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_maker("m1", "one", &format!("{MATCH}-HOME")).await;
    with_workers(2, &rig).await;
    rig.world.new_odds(NOON).await;
    let first = gather(&mut rig, 2).await;
    guard.take(&first);
    rig.world.new_odds(NOON + MINUTE).await;
    let cancels = gather(&mut rig, 2).await;
    assert_eq!(canceled(&cancels), trades(&first));
    assert!(cancels.iter().all(|cancel| cancel.key.as_ref().is_some_and(|key| key.account_id == "one")));
    let early = rig.next(Duration::from_secs(1)).await;
    assert!(early.is_empty(), "the old ones are in the book still, and each is canceled once: {early:?}");
    guard.take(&cancels);
    let second = gather(&mut rig, 2).await;
    assert_eq!(told(&second), both());
    assert!(trades(&second).is_disjoint(&trades(&first)));
    guard.take(&second);
    rig.world.tell_match(MATCH, v1::MatchStatus::InPlay, NOON + MINUTE + 1_000_000).await;
    let gone = gather(&mut rig, 2).await;
    assert_eq!(canceled(&gone), trades(&second));
    guard.take(&gone);
    let more = rig.next(HANDED_ON).await;
    assert!(more.is_empty(), "the odds of before price no match in play: {more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_inventory_limit_only_the_other_side_is_quoted() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_maker("m1", "one", &format!("{MATCH}-HOME")).await;
    with_workers(1, &rig).await;
    let mut slot = NOON;
    let mut check = async |rig: &mut Rig, held: i64, expected: &[(v1::Side, i64)]| {
        guard.held_micros.store(held, Ordering::SeqCst);
        slot += MINUTE;
        rig.world.new_odds(slot).await;
        let found = gather(rig, expected.len()).await;
        let sides: BTreeSet<String> = found
            .iter()
            .map(|proposal| {
                let terms = order_of(proposal).terms.clone().expect("terms");
                format!("{:?} {}", terms.side(), terms.quantity_micros)
            })
            .collect();
        let expected: BTreeSet<String> = expected.iter().map(|(side, size)| format!("{side:?} {size}")).collect();
        assert_eq!(sides, expected, "{held}");
    };
    // Nothing the guard is asked for stays in its book here, so no quote has to go first.
    let (buy, sell) = (v1::Side::Buy, v1::Side::Sell);
    check(&mut rig, 20 * LOT, &[(sell, LOT)]).await;
    check(&mut rig, -20 * LOT, &[(buy, LOT)]).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_maker_does_not_quote_and_one_without_a_place_only_closes() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    guard.held_micros.store(3_000_000, Ordering::SeqCst);
    for (agent, account) in [("m1", "one"), ("m2", "two")] {
        rig.world.put_maker(agent, account, &format!("{MATCH}-HOME")).await;
    }
    let benched = v1::BenchedAgent { agent_id: "m2".into(), ..v1::BenchedAgent::default() };
    let pool = v1::PoolState { benched: vec![benched], ..v1::PoolState::default() };
    let pools = rig.world.bus.bucket(Bucket::Pools).await.expect("a bucket");
    pools.put("market_maker", pool.encode_to_vec().into()).await.expect("stored");
    rig.world.halt(v1::ScopeKind::Agent, "m1").await;
    with_workers(1, &rig).await;
    rig.world.new_odds(NOON).await;
    let only = gather(&mut rig, 1).await;
    assert_eq!(order_of(&only[0]).agent_id, "m2");
    let terms = order_of(&only[0]).terms.clone().expect("terms");
    assert_eq!((terms.side(), terms.quantity_micros), (v1::Side::Sell, 3_000_000), "all that is held, and no more");
    let more = rig.next(Duration::from_secs(1)).await;
    assert!(more.is_empty(), "{more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_in_the_hands_of_a_killed_worker_is_quoted_by_another() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_maker("m1", "one", &format!("{MATCH}-HOME")).await;
    guard.is_dead.store(true, Ordering::SeqCst);
    let url = rig.server.url().to_owned();
    let dying = handover::worker(&rig.world.bus, url, Consumer::WorkerMatches).await;
    rig.world.new_odds(NOON).await;
    handover::until("the match is in hand", async || guard.asked.load(Ordering::SeqCst) > 0).await;
    dying.shutdown_background();
    with_workers(1, &rig).await;
    guard.is_dead.store(false, Ordering::SeqCst);
    let started = Instant::now();
    assert_eq!(told(&gather(&mut rig, 2).await), both());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    rig.stop().await;
}
