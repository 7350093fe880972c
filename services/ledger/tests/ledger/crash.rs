//! A crash at the worst moment changes nothing, and two ledgers never write.

use super::rig::{BOTH, Kind, Rig, TAKEN_OVER_MAX, fill, id, report, trade_of};
use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use std::time::Instant;
use tragen_contracts::v1::{Side, TradeStatus};

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
async fn a_second_ledger_stands_by_and_takes_over() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let first = rig.doomed().await;
        rig.funded("alice", 1).await;
        rig.start().await;
        // The second one is there, but the first one writes.
        rig.funded("bob", 1).await;
        let epoch = rig.number("SELECT epoch FROM shard").await;
        first.shutdown_background();
        let torn_away = Instant::now();
        rig.repeat_until_funded("carol", 1).await;
        let waited = torn_away.elapsed();
        assert!(waited < TAKEN_OVER_MAX, "{kind:?}: nobody took over for {waited:?}");
        assert_eq!(rig.number("SELECT epoch FROM shard").await, epoch + 1);
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_epoch_is_over_commits_nothing() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100_000_000).await;
        rig.sql("UPDATE shard SET epoch = epoch + 1").await;
        let epoch = rig.number("SELECT epoch FROM shard").await;
        let fills = vec![fill("e1", 500_000, 10_000_000, 0)];
        rig.report(vec![report("alice", "r", Side::Buy, TradeStatus::Filled, fills)]).await;
        rig.told(&[id("alice", "r")]).await;
        // It has noticed, and taken over with an epoch of its own before it wrote.
        assert_eq!(rig.number("SELECT epoch FROM shard").await, epoch + 1, "{kind:?}");
        assert_eq!(rig.account("alice").await.cash_micros, 95_000_000);
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_fell_silent_in_the_middle_of_a_copy_does_not_keep_the_shard() {
    let mut rig = Rig::started(Kind::Postgres).await;
    rig.funded("alice", 1).await;
    rig.stop().await;
    // As the server sees an owner whose wire was cut without a word.
    let options: PgConnectOptions = rig.url.parse().expect("a url");
    let options = options.application_name("tragen-ledger writer of shard 0").options([("search_path", "shard_0")]);
    let mut silent = PgConnection::connect_with(&options).await.expect("a connection");
    silent.execute("BEGIN").await.expect("begun");
    silent.execute("UPDATE shard SET epoch = epoch").await.expect("locked");
    let copying = silent.copy_in_raw("COPY batch FROM STDIN").await.expect("copying");

    let started = Instant::now();
    rig.start().await;
    rig.repeat_until_funded("bob", 1).await;
    let waited = started.elapsed();
    assert!(waited < TAKEN_OVER_MAX, "the shard was kept for {waited:?}");
    copying.finish().await.expect_err("the session has ended");
    rig.verified().await;
    rig.stop().await;
}
