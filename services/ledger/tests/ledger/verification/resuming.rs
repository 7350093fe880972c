//! Verification goes on from where it was, also after it was interrupted, and
//! while the ledger writes.

use super::{unlock, verified_with};
use crate::ledger::{
    accounting::Tables,
    rig::{BOTH, Rig, fill, id, report, withdrawal},
};
use std::path::Path;
use tragen_contracts::v1::{Side, TradeStatus};
use tragen_ledger::VerifyOptions;

fn with_state(path: &Path) -> VerifyOptions {
    VerifyOptions { state_file: Some(path.to_owned()), ..VerifyOptions::default() }
}

/// `count` trades of `account`, two transfers each.
async fn trade(rig: &mut Rig, account: &str, names: std::ops::Range<u32>) {
    let reports = names.clone().map(|name| {
        let fills = vec![fill(&format!("{account}-{name}"), 500_000, 1_000_000, 5)];
        report(account, &format!("r{name}"), Side::Buy, TradeStatus::Filled, fills)
    });
    rig.report(reports.collect()).await;
    rig.told(&names.map(|name| id(account, &format!("r{name}"))).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_looks_only_at_what_is_new() {
    for kind in BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let mut rig = Rig::started(kind).await;
        for account in ["alice", "idle"] {
            rig.funded(account, 100_000_000).await;
        }
        // A trade that goes on after it was verified.
        let working = report("alice", "w", Side::Buy, TradeStatus::Working, vec![fill("w1", 500_000, 4_000_000, 1)]);
        rig.report(vec![working]).await;
        trade(&mut rig, "alice", 0..10).await;
        let first = verified_with(&rig, with_state(&state)).await;
        assert_eq!((first.first_bad_row, first.transfers, first.trades), (None, 24, 11));
        let again = verified_with(&rig, with_state(&state)).await;
        assert_eq!((again.first_bad_row, again.transfers, again.trades, again.wallets), (None, 0, 0, 2));

        trade(&mut rig, "alice", 10..13).await;
        let fills = vec![fill("w1", 500_000, 4_000_000, 1), fill("w2", 600_000, 6_000_000, 1)];
        rig.report(vec![report("alice", "w", Side::Buy, TradeStatus::Filled, fills)]).await;
        rig.report(vec![withdrawal("alice", "out", 1_000_000, None)]).await;
        rig.told(&[id("alice", "w"), id("alice", "out")]).await;
        let more = verified_with(&rig, with_state(&state)).await;
        assert_eq!((more.first_bad_row, more.transfers, more.trades), (None, 9, 4), "{kind:?}");
        assert_eq!((more.executions, more.cash_movements), (4, 1));
        rig.stop().await;

        let tables = Tables::of(&rig);
        unlock(&tables).await;
        // What was verified before is found by a run without a state.
        rig.sql("UPDATE transfer SET amount = amount + 1 WHERE sequence = 4").await;
        assert_eq!(verified_with(&rig, with_state(&state)).await.first_bad_row, None);
        let whole = verified_with(&rig, VerifyOptions::default()).await.first_bad_row.expect("it is found");
        assert_eq!((whole.table, whole.key.as_str()), ("transfer", "4"));
        rig.sql("UPDATE transfer SET amount = amount - 1 WHERE sequence = 4").await;
        // Wallets are compared whole, whoever they belong to.
        rig.sql("UPDATE wallet SET cash = cash + 1 WHERE account_id = 'idle'").await;
        let found = verified_with(&rig, with_state(&state)).await.first_bad_row.expect("it is found");
        assert_eq!((found.table, found.key.as_str()), ("wallet", "idle/USD"));
        rig.sql("UPDATE wallet SET cash = cash - 1 WHERE account_id = 'idle'").await;
        // The chain must go on from what was verified.
        rig.sql("UPDATE batch SET hash = previous_hash WHERE sequence = (SELECT MAX(sequence) FROM batch)").await;
        let found = verified_with(&rig, with_state(&state)).await.first_bad_row.expect("it is found");
        assert_eq!(found.table, "batch", "{}", found.problem);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_is_taken_up_again() {
    for kind in BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 1_000_000_000).await;
        // In several batches: where one ends, a run can be taken up again.
        for first in (0..800).step_by(100) {
            trade(&mut rig, "alice", first..first + 100).await;
        }
        rig.stop().await;
        let (tables, shards) = (Tables::of(&rig), rig.config().shards());
        unlock(&tables).await;
        // Something far behind is wrong, so the first run ends there.
        rig.sql("UPDATE transfer SET amount = amount + 1 WHERE sequence = 1501").await;
        let options = VerifyOptions { checkpoint_postings: 1, ..with_state(&state) };
        let broken = tragen_ledger::verify_shards(&shards, options.clone(), |_| {}).await.expect("a report");
        let found = broken.first_bad_row.expect("it is found");
        assert_eq!((found.table, found.key.as_str()), ("transfer", "1501"));
        rig.sql("UPDATE transfer SET amount = amount - 1 WHERE sequence = 1501").await;

        let rest = tragen_ledger::verify_shards(&shards, options, |_| {}).await.expect("a report");
        assert_eq!(rest.first_bad_row, None, "{kind:?}");
        assert!((1..1_601).contains(&rest.transfers), "{kind:?}: {} transfers again", rest.transfers);
        assert_eq!((rest.trades, rest.wallets), (800, 1), "{kind:?}: trades are compared with all of their fills");
        // A trade whose fills were verified by the first run.
        std::fs::remove_file(&state).expect("a state");
        rig.sql("UPDATE trade SET fee = fee + 1 WHERE sequence = 3").await;
        let found = verified_with(&rig, with_state(&state)).await.first_bad_row.expect("it is found");
        assert_eq!(found.table, "trade", "{}", found.problem);
        rig.sql("UPDATE trade SET fee = fee - 1 WHERE sequence = 3").await;
        std::fs::write(&state, b"tragenv\x01something else").expect("written");
        let refused = tragen_ledger::verify_shards(&shards, with_state(&state), |_| {}).await.expect_err("refused");
        assert!(format!("{refused:#}").contains("damaged"), "{refused:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn books_are_verified_while_the_ledger_writes() {
    for kind in BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 1_000_000_000).await;
        let (shards, mut seen) = (rig.config().shards(), 0);
        for round in 0..10 {
            let reports = (0..50).map(|name| {
                let name = format!("{round}-{name}");
                report("alice", &name, Side::Buy, TradeStatus::Filled, vec![fill(&name, 500_000, 1_000_000, 5)])
            });
            // Nobody waits for it: it is booked while verification reads.
            rig.report(reports.collect()).await;
            let whole =
                tragen_ledger::verify_shards(&shards, VerifyOptions::default(), |_| {}).await.expect("a report");
            assert_eq!(whole.first_bad_row, None, "{kind:?}");
            let new = tragen_ledger::verify_shards(&shards, with_state(&state), |_| {}).await.expect("a report");
            assert_eq!(new.first_bad_row, None, "{kind:?}");
            seen += new.transfers;
        }
        rig.all_acked().await;
        let last = tragen_ledger::verify_shards(&shards, with_state(&state), |_| {}).await.expect("a report");
        assert_eq!((last.first_bad_row, seen + last.transfers), (None, 1_001), "{kind:?}");
        rig.stop().await;
    }
}
