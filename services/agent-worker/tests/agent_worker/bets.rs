//! Configured agents betting on matches.

use super::{MATCH, PATIENCE, Rig, World, guard::Guard, handover, order_of, rig};
use prost::Message as _;
use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tragen_agent_worker::Config;
use tragen_bus::{Bucket, Bus, Consumer, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::id::MatchId;
use tragen_host::{clock, trace::Spans};

/// The same market in play.
const IN_PLAY: &str = "EPL-2026-LIV-CHE";
/// Long enough for odds to be handed to somebody else, and for that one to act.
pub(super) const HANDED_ON: Duration = Duration::from_millis(3_500);
/// Market time of the first day, microseconds.
pub(super) const NOON: i64 = (20_000 * 86_400 + 43_200) * 1_000_000;
pub(super) const MINUTE: i64 = 60_000_000;
const DAY: i64 = 86_400_000_000;

impl World {
    async fn put_bettor(&self, agent_id: &str, account_id: &str, beginnings: &[&str], risk_tolerance: i32) {
        let agent = v1::Agent {
            agent_id: agent_id.into(),
            strategy: v1::Strategy::Value.into(),
            instrument_ids: beginnings.iter().map(ToString::to_string).collect(),
            timeframe: "1d".into(),
            risk_tolerance,
            max_trades_per_day: 20,
            account_id: account_id.into(),
            is_enabled: true,
            ..v1::Agent::default()
        };
        let agents = self.bus.bucket(Bucket::Agents).await.expect("a bucket");
        agents.put(agent_id, agent.encode_to_vec().into()).await.expect("stored");
    }

    /// Tells that the odds of a match have changed.
    pub(super) async fn tell_match(&self, match_id: &str, status: v1::MatchStatus, event_time_micros: i64) {
        let game = v1::Match {
            match_id: match_id.into(),
            home: "Arsenal".into(),
            away: "Man City".into(),
            kickoff_micros: NOON + 4 * DAY,
            status: status.into(),
            published_at_micros: clock::now_micros(),
            event_time_micros,
            ..v1::Match::default()
        };
        let subject = Subject::Match(MatchId::new(match_id).expect("an id"));
        self.bus.publish(&subject, &game, &PublishOptions::default(), PATIENCE).await.expect("stored");
    }

    pub(super) async fn new_odds(&self, event_time_micros: i64) {
        self.tell_match(MATCH, v1::MatchStatus::Scheduled, event_time_micros).await;
    }
}

/// Starts workers that know every agent stored so far.
pub(super) async fn with_workers(count: usize, rig: &Rig) {
    with_workers_of(Config::default(), count, rig).await;
}

async fn with_workers_of(config: Config, count: usize, rig: &Rig) {
    for _ in 0..count {
        let worker = rig.lifecycle.context("agent-worker", Spans::default());
        let bus = Bus::connect(rig.server.url(), "agent-worker").await.expect("a connection");
        tragen_agent_worker::run(worker, bus, config.clone()).await.expect("a started worker");
    }
    rig.lifecycle.health().wait_ready("agent-worker").await;
}

/// The next `count` proposals, sorted by agent.
async fn orders(rig: &mut Rig, count: usize) -> Vec<v1::Proposal> {
    let mut found = Vec::new();
    while found.len() < count {
        let proposals = rig.next(PATIENCE).await;
        assert!(!proposals.is_empty(), "{} of {count} came: {found:?}", found.len());
        found.extend(proposals);
    }
    found.sort_by_key(|proposal| order_of(proposal).agent_id.clone());
    found
}

fn agents_of(proposals: &[v1::Proposal]) -> Vec<&str> {
    proposals.iter().map(|proposal| order_of(proposal).agent_id.as_str()).collect()
}

fn trades_of(proposals: &[v1::Proposal]) -> BTreeSet<String> {
    proposals.iter().filter_map(|proposal| Some(proposal.key.as_ref()?.trade_id.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bettors_bet_on_new_odds_once_however_many_workers_hear_of_them() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_bettor("a1", "one", &[], 5).await;
    rig.world.put_bettor("a2", "two", &["EPL-2025", "EPL-2026-ARS"], 5).await;
    rig.world.put_bettor("bold", "three", &["EPL-2026"], 10).await;
    rig.world.put_bettor("other", "four", &["EPL-2025"], 5).await;
    // Nothing is on its way for longer than the test waits.
    with_workers_of(Config { proposal_valid_ms: 100, ..Config::default() }, 3, &rig).await;
    rig.world.new_odds(NOON).await;
    let first = orders(&mut rig, 3).await;
    assert_eq!(agents_of(&first), ["a1", "a2", "bold"]);
    for proposal in &first {
        let order = order_of(proposal);
        let terms = order.terms.as_ref().expect("terms");
        assert_eq!(
            (order.agent.as_str(), order.pool.as_str(), order.timeframe.as_str()),
            ("eplScoutAgent", "value", "1d")
        );
        assert_eq!((terms.instrument_id.as_str(), terms.side()), (format!("{MATCH}-HOME").as_str(), v1::Side::Buy));
        assert_eq!((terms.limit_price_micros, terms.time_in_force()), (450_000, v1::TimeInForce::Ioc));
        assert_eq!((order.max_trades_per_day, terms.is_reduce_only), (20, false));
        assert!(order.is_first_on_match, "the guard denies whatever comes second");
        // At most 5 % of 10,000 at 0.45 and its fee.
        assert!(terms.quantity_micros % 1_000_000 == 0 && terms.quantity_micros <= 1_093_000_000, "{terms:?}");
        assert!(terms.quantity_micros >= 100_000_000, "{terms:?}");
        assert!(order.rationale.contains("edge") && order.rationale.contains("fee"), "{}", order.rationale);
    }
    let more = rig.next(HANDED_ON).await;
    assert!(more.is_empty(), "one worker acts on odds: {more:?}");
    assert_eq!(rig.world.snapshots_asked.load(Ordering::SeqCst), 1, "one look for all agents of all workers");
    assert_eq!(guard.asked.load(Ordering::SeqCst), 1, "one question for all accounts and contracts");

    // Later odds of the same day are the same trades, which the guard decides once; the next day's are others.
    rig.world.new_odds(NOON + 10 * MINUTE).await;
    assert_eq!(trades_of(&orders(&mut rig, 3).await), trades_of(&first));
    // The guard has approved them, and the ledger has booked nothing of them: nobody bets again, whatever the slot.
    guard.take(&first);
    rig.world.new_odds(NOON + DAY).await;
    let more = rig.next(HANDED_ON).await;
    assert!(more.is_empty(), "an open order counts as held: {more:?}");
    guard.forget();
    rig.world.new_odds(NOON + DAY).await;
    let next_day = orders(&mut rig, 3).await;
    assert!(trades_of(&next_day).is_disjoint(&trades_of(&first)), "another slot");

    // Whoever holds some of the match lets it be, booked or not.
    guard.held_micros.store(5_000_000, Ordering::SeqCst);
    rig.world.new_odds(NOON + 2 * DAY).await;
    let more = rig.next(Duration::from_secs(1)).await;
    assert!(more.is_empty(), "{more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bet_that_nobody_has_decided_yet_counts_as_held() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_bettor("a1", "one", &[], 5).await;
    with_workers_of(Config { proposal_valid_ms: 60_000, ..Config::default() }, 1, &rig).await;
    rig.world.new_odds(NOON).await;
    let first = orders(&mut rig, 1).await;
    // Two slots on, and the guard has not come to it: it knows of no order.
    assert!(guard.open().is_empty());
    rig.world.new_odds(NOON + DAY).await;
    rig.world.new_odds(NOON + 2 * DAY).await;
    let more = rig.next(HANDED_ON).await;
    assert!(more.is_empty(), "{more:?}");
    // The same slot is the same trade, which may be sent again.
    rig.world.new_odds(NOON + MINUTE).await;
    assert_eq!(trades_of(&orders(&mut rig, 1).await), trades_of(&first));
    rig.stop().await;
}

/// A worker cannot know what another one has proposed in the slot before, and the two slots make two trades of it: both say
/// that only the first on the match may pass. That the guard approves one of two is in its own tests and in a drill.
#[tokio::test(flavor = "multi_thread")]
async fn bets_on_both_sides_of_a_slots_border_say_that_only_the_first_may_pass() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_bettor("a1", "one", &[], 5).await;
    // What is on its way is forgotten at once, so it is all one which of them gets which odds.
    with_workers_of(Config { proposal_valid_ms: 100, ..Config::default() }, 2, &rig).await;
    let midnight = NOON + DAY / 2;
    let mut both = Vec::new();
    for at in [midnight - 1, midnight] {
        rig.world.new_odds(at).await;
        both.extend(orders(&mut rig, 1).await);
        rig.next(Duration::from_millis(150)).await;
    }
    assert!(guard.open().is_empty(), "the guard has decided neither");
    assert_eq!(trades_of(&both).len(), 2, "a trade for each slot: {both:?}");
    for proposal in &both {
        let order = order_of(proposal);
        assert!(order.agent_id == "a1" && order.is_first_on_match, "{order:?}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_bets_once_the_ball_rolls_and_one_account_bets_once() {
    let mut rig = rig(0).await;
    Guard::start(&rig.world).await;
    rig.world.put_bettor("a1", "fund", &[], 5).await;
    rig.world.put_bettor("a2", "fund", &[], 7).await;
    with_workers(1, &rig).await;
    rig.world.tell_match(MATCH, v1::MatchStatus::InPlay, NOON).await;
    // Nobody says so, but it is past its kick-off.
    rig.world.new_odds(NOON + 4 * DAY).await;
    // The odds were told before the kick-off, and are looked at after it.
    rig.world.tell_match(IN_PLAY, v1::MatchStatus::Scheduled, NOON).await;
    let early = rig.next(Duration::from_secs(1)).await;
    assert!(early.is_empty(), "{early:?}");
    assert_eq!(rig.world.snapshots_asked.load(Ordering::SeqCst), 1, "of a match in play nothing is asked");
    rig.world.new_odds(NOON).await;
    assert_eq!(order_of(&rig.next_one().await).agent_id, "a1", "the first one bets for the account");
    let more = rig.next(Duration::from_secs(1)).await;
    assert!(more.is_empty(), "{more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_bettor_does_not_bet_and_one_without_a_place_neither() {
    let mut rig = rig(0).await;
    Guard::start(&rig.world).await;
    for (agent, account) in [("a1", "one"), ("a2", "two"), ("a3", "three")] {
        rig.world.put_bettor(agent, account, &[], 5).await;
    }
    let benched = v1::BenchedAgent { agent_id: "a2".into(), ..v1::BenchedAgent::default() };
    let pool = v1::PoolState { benched: vec![benched], ..v1::PoolState::default() };
    let pools = rig.world.bus.bucket(Bucket::Pools).await.expect("a bucket");
    pools.put("value", pool.encode_to_vec().into()).await.expect("stored");
    rig.world.halt(v1::ScopeKind::Agent, "a1").await;
    with_workers(1, &rig).await;
    rig.world.new_odds(NOON).await;
    assert_eq!(order_of(&rig.next_one().await).agent_id, "a3");
    let more = rig.next(Duration::from_secs(1)).await;
    assert!(more.is_empty(), "{more:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odds_in_the_hands_of_a_killed_worker_are_acted_on_by_another() {
    let mut rig = rig(0).await;
    let guard = Guard::start(&rig.world).await;
    rig.world.put_bettor("a1", "one", &[], 5).await;
    guard.is_dead.store(true, Ordering::SeqCst);
    let url = rig.server.url().to_owned();
    let dying = handover::worker(&rig.world.bus, url, Consumer::WorkerMatches).await;
    rig.world.new_odds(NOON).await;
    handover::until("the odds are in hand", async || guard.asked.load(Ordering::SeqCst) > 0).await;
    dying.shutdown_background();
    with_workers(1, &rig).await;
    guard.is_dead.store(false, Ordering::SeqCst);
    let started = Instant::now();
    assert_eq!(order_of(&rig.next_one().await).agent_id, "a1");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    rig.stop().await;
}
