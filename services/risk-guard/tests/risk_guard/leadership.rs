//! One guard decides; another takes over; a deposed one is fenced.

use crate::rig::{Rig, buy, eventually, trade_of};
use std::time::{Duration, Instant};
use tragen_bus::{PublishOptions, Subject};
use tragen_contracts::v1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_from_a_killed_leader() {
    let mut rig = Rig::start().await;
    let first = rig.guard().await;
    let second = rig.standby(rig.config());
    let proposed = buy("r-1", 1, 520_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    rig.outcomes.of(&trade).await;
    assert!(first.context.health.is_ready());
    assert!(!second.context.health.is_ready(), "only one leads");

    let killed = Instant::now();
    first.kill();
    let proposed = buy("r-2", 1, 520_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Filled);
    println!("the standby had filled a trade {} ms after the leader was killed", killed.elapsed().as_millis());
    second.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_end_hands_over_at_once() {
    let rig = Rig::start().await;
    let mut leader = rig.guard().await;
    let mut took = Vec::new();
    // The best of three: one alone may fall into a moment in which the machine does something else.
    for _ in 0..3 {
        let next = rig.standby(rig.config());
        let stopping = Instant::now();
        leader.stop().await;
        next.wait_ready().await;
        took.push(stopping.elapsed());
        leader = next;
    }
    // A lease that nobody gives back has at least a second and a half to go.
    assert!(took.iter().min() < Some(&Duration::from_millis(1_500)), "the lease had to end: {took:?}");
    leader.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_has_not_seen_the_whole_journal_decides_nothing() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    // Somebody else leads and halts: this guard does not know.
    let halted = v1::ScopeState {
        scope: Some(v1::Scope { kind: v1::ScopeKind::Global.into(), id: String::new() }),
        state: v1::TradingState::Halted.into(),
        epoch: 2,
        changed_by: "the other guard".into(),
        reason: "test".into(),
        changed_at_micros: 1,
        resume_from_micros: 1,
    };
    let record = v1::JournalRecord { kind: Some(v1::journal_record::Kind::StateChanged(halted)), ..Default::default() };
    let batch = v1::JournalBatch {
        leader_id: "the other guard".into(),
        decided_at_micros: 1,
        records: vec![record],
        ..Default::default()
    };
    let options = PublishOptions::default();
    rig.bus.publish(&Subject::Journal, &batch, &options, Duration::from_secs(5)).await.expect("stored");

    let proposed = buy("r-1", 1, 520_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    let report = rig.outcomes.of(&trade).await;
    assert_eq!(report.denial.expect("a denial").code(), v1::DenialCode::TradingHalted, "it obeys what it had missed");
    assert_eq!(rig.venue_lines(), Vec::<String>::new(), "and nothing of the fenced decision was sent");
    eventually("it leads again", async || guard.context.health.is_ready()).await;
    guard.stop().await;
    rig.stop().await;
}
