//! A crash at the worst moment changes nothing, and two ledgers never write.

use super::rig::{BOTH, PATIENCE, Rig, fill, id, report, trade_of};
use std::time::Duration;
use tragen_bus::Bus;
use tragen_contracts::v1::{Side, TradeStatus};
use tragen_host::{Lifecycle, trace::Spans};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_commit_and_ack_books_once_and_tells_after_all() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let doomed = rig.doomed().await;
        rig.funded("alice", 100_000_000).await;
        rig.told(&[id("alice", "deposit/fund-alice")]).await;
        // Without the stream of facts the ledger commits but can neither tell nor ack.
        let client = async_nats::connect(rig.nats_url()).await.expect("a connection");
        async_nats::jetstream::new(client).delete_stream("LEDGER").await.expect("deleted");
        let fills = vec![fill("e1", 500_000, 10_000_000, 5)];
        rig.report(vec![report("alice", "r", Side::Buy, TradeStatus::Filled, fills)]).await;
        rig.wait_for("SELECT COUNT(*) FROM execution", 1).await;
        doomed.shutdown_background();

        let before = rig.books().await;
        rig.bus.apply(1_000).await.expect("streams");
        rig.start().await;
        let fact = rig.told(&[id("alice", "r")]).await.remove(&id("alice", "r")).expect("told");
        assert_eq!(trade_of(&fact).cash_change_micros, -5_000_005);
        // The report comes again, because it was never acked; it is told again and books nothing.
        rig.told(&[id("alice", "r")]).await;
        assert_eq!(rig.books().await, before, "{kind:?}");
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ledger_takes_over_and_the_first_stops() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let lifecycle = Lifecycle::new(10);
        let bus = Bus::connect(rig.nats_url(), "first").await.expect("a connection");
        let context = lifecycle.context("ledger", Spans::default());
        tragen_ledger::run(context, bus, rig.config()).await.expect("a first ledger");
        let first = tokio::spawn(lifecycle.run());
        rig.start().await;
        // Whichever is asked, the first must not write; deposits reach both in turn.
        let mut number = 0;
        while !first.is_finished() {
            number += 1;
            let request_id = format!("d{number}");
            let asked = rig.deposit("alice", &request_id, 1);
            let _ = tokio::time::timeout(Duration::from_secs(1), asked).await;
            assert!(number < 100, "the first ledger still runs");
        }
        let ended = tokio::time::timeout(PATIENCE, first).await.expect("in time").expect("no panic");
        assert!(format!("{:#}", ended.expect_err("fenced")).contains("another ledger writes to this store"));
        rig.funded("bob", 1).await;
        rig.verified().await;
        rig.stop().await;
    }
}
