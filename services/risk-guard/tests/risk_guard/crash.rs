//! Killed at any point: nothing is lost, nothing is done twice.

use crate::rig::{HOME, ONE, Rig, buy, eventually, order, trade_of};
use std::{collections::BTreeMap, time::Duration};
use tragen_contracts::v1;
use tragen_risk_guard::Config;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_never_reached_the_venue_expires_and_is_not_sent_late() {
    let mut rig = Rig::start().await;
    let slow = Config { venue_latency_micros_min: 60_000_000, venue_latency_micros_max: 60_000_000, ..rig.config() };
    let guard = rig.standby(slow);
    guard.wait_ready().await;
    let proposed = buy("r-1", 10, 550_000);
    let trade = trade_of(&proposed);
    rig.propose(vec![proposed]).await;
    eventually("the approval is journaled", async || rig.risk_state().await.open_orders == 1).await;
    guard.kill();
    let next = rig.guard().await;
    assert_eq!(rig.outcomes.of(&trade).await.status(), v1::TradeStatus::Expired);
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;
    assert_eq!(rig.venue_lines(), Vec::<String>::new());
    next.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_every_trade_has_one_outcome() {
    const TRADES: usize = 300;
    let mut rig = Rig::start().await;
    let proposals: Vec<_> = (0..TRADES).map(|n| buy(&format!("r-{n}"), 1, 520_000)).collect();
    let mut waiting = proposals.chunks(3);
    // Prime times, so that the kills fall on different steps.
    for millis in [3_u64, 7, 13, 23, 37] {
        let guard = rig.guard().await;
        for chunk in waiting.by_ref().take(20) {
            rig.propose(chunk.to_vec()).await;
        }
        tokio::time::sleep(Duration::from_millis(millis)).await;
        guard.kill();
    }
    let guard = rig.guard().await;
    rig.outcomes.until(|outcomes| outcomes.finished() == TRADES).await;
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;

    let mut filled = 0;
    let mut statuses = BTreeMap::new();
    for proposal in &proposals {
        let trade = trade_of(proposal);
        let report = rig.outcomes.last(&trade).expect("an outcome");
        *statuses.entry(report.status().as_str_name()).or_insert(0) += 1;
        let all = rig.outcomes.reports[&trade].iter().filter_map(|report| match &report.kind {
            Some(v1::execution_report::Kind::Trade(report)) => Some(report.status),
            _ => None,
        });
        assert!(all.clone().all(|status| status == report.status), "{trade}: {:?}", all.collect::<Vec<_>>());
        filled += rig.outcomes.filled(&trade);
    }
    println!("{TRADES} trades through five kills: {statuses:?}");
    // What the venue executed is what was told and what is booked.
    let executed = rig.venue_lines().iter().filter(|line| line.contains(" filled 1 ")).count();
    assert_eq!(i64::try_from(executed).expect("few"), filled);
    eventually("the ledger has booked all of it", async || rig.ledger.contracts("alice", HOME) == filled).await;
    assert!(filled > 0);
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_has_the_same_state_and_decides_nothing_again() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let resting = order("resting", v1::Side::Buy, 10, 400_000, v1::TimeInForce::Gtc);
    let resting_trade = trade_of(&resting);
    let done: Vec<_> = (0..20).map(|n| buy(&format!("r-{n}"), 10, 520_000)).collect();
    rig.propose(done.clone()).await;
    rig.propose(vec![resting]).await;
    rig.outcomes.until(|outcomes| outcomes.finished() == 20 && outcomes.reports.contains_key(&resting_trade)).await;
    let all_posted =
        async |rig: &Rig| rig.risk_state().await.open_orders == 1 && rig.ledger.contracts("alice", HOME) == 200;
    eventually("all is posted", async || all_posted(&rig).await).await;
    let before = rig.risk_state().await;
    guard.stop().await;

    let guard = rig.guard().await;
    let after = rig.risk_state().await;
    assert_eq!((after.open_orders, after.held_micros), (before.open_orders, before.held_micros));
    assert_eq!((after.epoch, after.global_state, &after.scopes), (before.epoch, before.global_state, &before.scopes));
    let approvals = rig.approvals_after(0).await;
    rig.propose(done).await;
    rig.outcomes.during(Duration::from_millis(500)).await;
    assert_eq!(rig.approvals_after(0).await, approvals, "a known trade is never decided again");
    assert_eq!(rig.ledger.contracts("alice", HOME), 200);

    // The resting order is still ours.
    rig.quote(380_000, 390_000, 1_000).await;
    assert_eq!(rig.outcomes.of(&resting_trade).await.status(), v1::TradeStatus::Filled);
    eventually("it is booked", async || rig.ledger.contracts("alice", HOME) == 210).await;
    assert!(rig.ledger.cash("alice") < 1_000 * ONE);
    guard.stop().await;
    rig.stop().await;
}
