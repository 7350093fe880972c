//! Seals that are taken away are missed, also together with a change of their row.

use super::{bad_row, unlock, verified_with};
use crate::ledger::{
    accounting::{Market, Tables, settlement, traded},
    rig::{BOTH, Kind, Rig, fill, id, report, withdrawal},
};
use tragen_contracts::v1::{Side, TradeStatus};
use tragen_ledger::VerifyOptions;

const USD: i64 = 1_000_000;

/// Books with a row of everything that is sealed.
async fn sealed(kind: Kind) -> Rig {
    let rig = Rig::started(kind).await;
    rig.funded("alice", 100 * USD).await;
    let fills = vec![fill("e1", USD / 2, 2 * USD, 0)];
    rig.report(vec![traded(Market::prediction("M"), ("alice", "t"), Side::Buy, fills)]).await;
    rig.all_acked().await;
    rig.report(vec![settlement("end", "M", Some(USD))]).await;
    rig.wait_for("SELECT COUNT(*) FROM payout", 1).await;
    rig.all_acked().await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_is_gone_is_missed() {
    for kind in BOTH {
        let mut rig = sealed(kind).await;
        rig.verified().await;
        rig.stop().await;
        let tables = Tables::of(&rig);
        unlock(&tables).await;
        for (table, column, changed) in [
            ("trade", "seal", "rationale = rationale || 'x'"),
            ("execution", "seal", "executed_at = executed_at + 1"),
            ("cash_movement", "seal", "traceparent = traceparent || 'x'"),
            ("settlement", "seal", "reason = reason || 'x'"),
            ("payout", "seal", "traceparent = traceparent || 'x'"),
            ("shard", "seals", "seals = seals"),
        ] {
            let none = tables.number(&format!("SELECT COUNT(*) FROM {table} WHERE length({column}) = 0")).await;
            assert_eq!(none, 0, "{kind:?}: rows of {table} without a seal");
            tables.change(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
            let gone = format!("{column} = substr({column}, 1, 0)");
            for change in [gone.clone(), format!("{changed}, {gone}")].iter().take(if table == "shard" { 1 } else { 2 })
            {
                tables.change(&format!("UPDATE {table} SET {change}")).await;
                let found = bad_row(&rig).await.expect("it is found");
                assert_eq!((found.table, found.key.as_str()), ("shard", "0"), "{kind:?}: {change}: {}", found.problem);
                tables.change(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept")).await;
            }
            tables.change("DROP TABLE kept").await;
        }
        rig.verified().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_misses_a_seal_of_what_is_new() {
    for kind in BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let with_state = || VerifyOptions {
            state_file: Some(folder.path().join("state")),
            checkpoint_postings: 1,
            ..VerifyOptions::default()
        };
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let bought = |name: &str, status| report("alice", name, Side::Buy, status, vec![fill(name, USD / 2, USD, 0)]);
        rig.report(vec![bought("goes-on", TradeStatus::Working), bought("old", TradeStatus::Canceled)]).await;
        rig.told(&[id("alice", "goes-on"), id("alice", "old")]).await;
        assert_eq!(verified_with(&rig, with_state()).await.first_bad_row, None, "{kind:?}");

        rig.report(vec![bought("goes-on", TradeStatus::Canceled), bought("new", TradeStatus::Canceled)]).await;
        rig.report(vec![withdrawal("alice", "out", USD, None)]).await;
        rig.told(&[id("alice", "goes-on"), id("alice", "new"), id("alice", "out")]).await;
        rig.stop().await;
        let tables = Tables::of(&rig);
        unlock(&tables).await;
        std::fs::copy(folder.path().join("state"), folder.path().join("kept")).expect("a state");
        for (table, column, other, which) in [
            ("execution", "seal", "substr(seal, 1, 0)", "execution_id = 'new'"),
            ("execution", "executed_at", "executed_at + 1", "execution_id = 'new'"),
            ("cash_movement", "seal", "substr(seal, 1, 0)", "request_id = 'out'"),
            ("trade", "rationale", "rationale || 'x'", "request_id = 'new'"),
            ("trade", "rationale", "rationale || 'x'", "request_id = 'goes-on'"),
        ] {
            tables.change(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
            tables.change(&format!("UPDATE {table} SET {column} = {other} WHERE {which}")).await;
            let found = verified_with(&rig, with_state()).await.first_bad_row;
            assert!(found.is_some(), "{kind:?}: {column} of {table}, {which}");
            tables
                .change(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept"))
                .await;
            std::fs::copy(folder.path().join("kept"), folder.path().join("state")).expect("a state");
        }
        assert_eq!(verified_with(&rig, with_state()).await.first_bad_row, None, "{kind:?}");
        rig.verified().await;
    }
}
