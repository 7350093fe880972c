//! What agents that bet on a match have seen of it is stored before they propose.

use super::{
    MATCH, Rig, World,
    bets::{HANDED_ON, NOON, with_workers},
    guard::Guard,
    order_of, rig,
};
use prost::Message as _;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tragen_agent_worker::match_look;
use tragen_bus::{Bucket, StartAt, Stream, server::PAYLOAD_BYTES_MAX};
use tragen_contracts::v1;

impl World {
    /// An agent that bets on every match with the money of `account_id`.
    async fn put_looking(&self, agent_id: &str, account_id: &str, strategy: v1::Strategy) {
        let agent = v1::Agent {
            agent_id: agent_id.into(),
            strategy: strategy.into(),
            timeframe: "1d".into(),
            risk_tolerance: 5,
            max_trades_per_day: 20,
            account_id: account_id.into(),
            is_enabled: true,
            ..v1::Agent::default()
        };
        let agents = self.bus.bucket(Bucket::Agents).await.expect("a bucket");
        agents.put(agent_id, agent.encode_to_vec().into()).await.expect("stored");
    }

    /// Every look that is stored, with its subject.
    async fn looks(&self) -> Vec<(String, v1::MatchLooked)> {
        let Some(newest) = self.bus.newest(Stream::Looks).await.expect("a stream") else { return Vec::new() };
        let mut stored =
            self.bus.follow(&self.context, Stream::Looks, "", StartAt::Beginning).await.expect("a follower");
        let mut found = Vec::new();
        loop {
            let message = stored.next().await.expect("a look");
            found.push((message.subject.clone(), v1::MatchLooked::decode(message.payload).expect("a look")));
            if message.sequence >= newest {
                return found;
            }
        }
    }
}

/// The next `count` proposals as trade and terms, sorted.
async fn orders(rig: &mut Rig, count: usize) -> Vec<(String, v1::OrderTerms)> {
    let mut found = Vec::new();
    while found.len() < count {
        let proposals = rig.next(super::PATIENCE).await;
        assert!(!proposals.is_empty(), "{} of {count} came", found.len());
        let order = |own: &v1::Proposal| Some((own.key.as_ref()?.trade_id.clone(), order_of(own).terms.clone()?));
        found.extend(proposals.iter().filter_map(order));
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

/// The bets of a look as trade and terms, sorted.
fn decided(look: &v1::MatchLooked) -> Vec<(String, v1::OrderTerms)> {
    let bet = |own: &v1::MatchBettor| own.bet.as_ref().and_then(|bet| Some((bet.trade_id.clone(), bet.terms.clone()?)));
    let mut bets: Vec<_> = look.bettors.iter().filter_map(bet).collect();
    bets.sort_by(|one, other| one.0.cmp(&other.0));
    bets
}

/// What the same functions make of a stored look, as trade and terms, sorted.
fn again(look: &v1::MatchLooked) -> Vec<(String, v1::OrderTerms)> {
    let bets = match_look::bets(look, &match_look::wishes(look));
    let mut bets: Vec<_> = bets.iter().map(|bet| (bet.trade_id.clone(), (&bet.terms).into())).collect();
    bets.sort_by(|one, other| one.0.cmp(&other.0));
    bets
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_has_all_bettors_and_what_they_propose_can_be_decided_again_from_it() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    for (agent, account, strategy) in [
        ("a1", "one", v1::Strategy::Value),
        ("a2", "one", v1::Strategy::Value),
        ("a3", "two", v1::Strategy::Value),
        ("maker", "three", v1::Strategy::ValueMaker),
    ] {
        rig.world.put_looking(agent, account, strategy).await;
    }
    with_workers(2, &rig).await;
    rig.world.new_odds(NOON).await;
    let proposed = orders(&mut rig, 3).await;
    let looks = rig.world.looks().await;
    let [(subject, look)] = looks.as_slice() else { panic!("one look for all: {looks:?}") };
    assert_eq!(
        (subject.as_str(), look.match_id.as_str(), look.told_at_micros),
        (&*format!("look.{MATCH}"), MATCH, NOON)
    );
    assert_eq!(look.bettors.iter().map(|own| own.agent_id.as_str()).collect::<Vec<_>>(), ["a1", "a2", "a3", "maker"]);
    assert!(look.bettors.iter().all(|own| own.standing.is_some()) && look.bettors[1].bet.is_none(), "{look:?}");
    assert_eq!((decided(look), again(look)), (proposed.clone(), proposed));
    assert!(!look.meta.as_ref().expect("an envelope").event_id.is_empty());

    // Who holds some of the match is considered, and bets nothing.
    guard.held_micros.store(5_000_000, Ordering::SeqCst);
    rig.world.new_odds(NOON + 1).await;
    let started = Instant::now();
    while rig.world.looks().await.len() < 2 {
        assert!(started.elapsed() < super::PATIENCE, "no second look");
    }
    let (_, look) = rig.world.looks().await.remove(1);
    assert_eq!((decided(&look), again(&look)), (Vec::new(), Vec::new()));
    assert_eq!(look.bettors[0].standing.as_ref().expect("an answer").held_micros, [5_000_000]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_proposed_before_its_look_is_stored() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_looking("a1", "one", v1::Strategy::Value).await;
    with_workers(1, &rig).await;
    let client = async_nats::connect(rig.server.url()).await.expect("a connection");
    async_nats::jetstream::new(client).delete_stream(Stream::Looks.as_str()).await.expect("deleted");
    rig.world.new_odds(NOON).await;
    let early = rig.next(HANDED_ON).await;
    assert!(
        early.is_empty() && guard.asked.load(Ordering::SeqCst) > 0,
        "they were decided on, and not sent: {early:?}"
    );
    rig.world.bus.apply_stream(Stream::Looks).await.expect("a stream");
    let proposed = orders(&mut rig, 1).await;
    let looks = rig.world.looks().await;
    assert!(looks.iter().any(|(_, look)| decided(look) == proposed), "{looks:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_bets_by_a_look_that_the_bus_does_not_take() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_looking("a1", "one", v1::Strategy::Value).await;
    with_workers(1, &rig).await;
    let text = "x".repeat(PAYLOAD_BYTES_MAX - (32 << 10));
    let long = v1::MatchSnapshot { news: vec![v1::NewsItem { text, ..v1::NewsItem::default() }], ..super::snapshot() };
    rig.world.shown.lock().expect("not poisoned").insert(MATCH.to_owned(), long);
    rig.world.new_odds(NOON).await;
    let more = rig.next(Duration::from_secs(3)).await;
    assert!(more.is_empty() && rig.world.looks().await.is_empty(), "{more:?}");
    assert_eq!(guard.asked.load(Ordering::SeqCst), 1, "it is not tried again");
    rig.world.shown.lock().expect("not poisoned").clear();
    rig.world.new_odds(NOON + 1).await;
    assert_eq!(orders(&mut rig, 1).await.len(), 1, "the next one is as usual");
    rig.stop().await;
}
