//! What shards say of each other is compared too.

use super::unlock;
use crate::ledger::{
    accounting::sending,
    pair::{PAIRS, Pair, USD, account_in, bought},
};
use tragen_ledger::{BadRow, MoveProgress, VerifyOptions, VerifyReport};

/// The slot that moves; it begins in shard 0. Slot 200 stays in shard 1.
const SLOT: u16 = 17;

async fn verified(pair: &Pair) -> VerifyReport {
    let options = VerifyOptions::default();
    tragen_ledger::verify_shards(&pair.config.shards, options, |_| {}).await.expect("a report")
}

async fn bad_row(pair: &Pair) -> BadRow {
    verified(pair).await.first_bad_row.expect("it is found")
}

#[tokio::test(flavor = "multi_thread")]
async fn money_on_its_way_is_listed_until_it_is_there() {
    for kinds in PAIRS {
        let mut pair = Pair::started(kinds).await;
        let (from, to) = (account_in(SLOT, 0), account_in(200, 0));
        pair.funded(&[from.clone(), to.clone()], "fund", 100 * USD).await;
        pair.hold_back(1).await;
        pair.rig.report(vec![sending(&from, "s", (&to, 30 * USD), None)]).await;
        pair.wait_for("SELECT COUNT(*) FROM cash_movement WHERE kind = 3", 1).await;
        let report = verified(&pair).await;
        assert_eq!(report.first_bad_row, None, "{kinds:?}");
        let listed: Vec<_> = report.in_flight.iter().map(|way| (way.between.as_str(), way.amount_micros)).collect();
        assert_eq!(listed, [("between/0-1/USD", 30 * USD)], "{kinds:?}");
        pair.let_go(1).await;
        pair.wait_for("SELECT COUNT(*) FROM cash_movement WHERE kind = 4", 1).await;
        let report = verified(&pair).await;
        assert_eq!((report.first_bad_row, report.in_flight.len()), (None, 0), "{kinds:?}");
        pair.stop().await;

        // Whoever receives what was not sent is found out, even if his own books agree.
        unlock(&pair.tables(1)).await;
        pair.tables(1).change("UPDATE cash_movement SET counterparty_account_id = 'x' WHERE kind = 4").await;
        assert_eq!((bad_row(&pair).await.shard, bad_row(&pair).await.table), (1, "cash_movement"), "{kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moved_is_the_same_in_both_shards() {
    for kinds in PAIRS {
        let mut pair = Pair::started(kinds).await;
        let own = account_in(SLOT, 0);
        pair.funded(&[own.clone(), account_in(200, 0)], "fund", 100 * USD).await;
        pair.rig.report(vec![bought(&own, "before")]).await;
        pair.wait_for("SELECT COUNT(*) FROM execution", 1).await;
        pair.moved(SLOT, 1).await.expect("it was elsewhere");
        pair.rig.report(vec![bought(&own, "after")]).await;
        pair.wait_for("SELECT COUNT(*) FROM execution WHERE posting_sequence IS NOT NULL", 2).await;
        pair.all_acked().await;
        pair.verified().await;
        pair.stop().await;

        let sides = [pair.tables(0), pair.tables(1)];
        for tables in &sides {
            unlock(tables).await;
        }
        for (shard, table, column, other, which) in [
            (1, "execution", "price", "price + 1", "posting_sequence IS NULL"),
            (1, "cash_movement", "cash_after", "cash_after + 1", "posting_sequence IS NULL"),
            (0, "trade", "rationale", "rationale || 'x'", "request_id = 'before'"),
            (1, "trade", "rationale", "rationale || 'x'", "request_id = 'before'"),
            (1, "trade", "seal", "substr(seal, 1, 0)", "request_id = 'before'"),
            (1, "execution", "seal", "substr(seal, 1, 0)", "posting_sequence IS NULL"),
            (1, "cash_movement", "seal", "substr(seal, 1, 0)", "posting_sequence IS NULL"),
            (0, "moved_wallet", "version", "version + 1", "slot = 17"),
            (0, "moved_wallet", "peer_shard", "0", "slot = 17"),
            (1, "moved_wallet", "cash", "cash + 1", "slot = 17"),
            (1, "moved_position", "fees", "fees + 1", "account_version > 0"),
            (0, "moved_position", "style", "style + 1", "account_version > 0"),
            (0, "slot", "peer_shard", "2", "slot = 17"),
            (1, "slot", "came_from", "0", "slot = 200"),
            (0, "slot", "state", "1", "slot = 17"),
        ] {
            let tables = &sides[shard];
            tables.change(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
            tables.change(&format!("UPDATE {table} SET {column} = {other} WHERE {which}")).await;
            let found = verified(&pair).await.first_bad_row;
            assert!(found.is_some(), "{kinds:?}: {column} of {table} in shard {shard}");
            tables
                .change(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept"))
                .await;
        }
        pair.verified().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_on_its_way_is_no_fault() {
    for kinds in PAIRS {
        let mut pair = Pair::started(kinds).await;
        let own = account_in(SLOT, 0);
        pair.funded(std::slice::from_ref(&own), "fund", 100 * USD).await;
        pair.rig.report(vec![bought(&own, "before")]).await;
        pair.wait_for("SELECT COUNT(*) FROM execution", 1).await;
        for step in [MoveProgress::Claimed, MoveProgress::Left, MoveProgress::Arrived, MoveProgress::Paid] {
            assert!(pair.cut_short(SLOT, 1, move |seen| seen == step).await, "{kinds:?}: {step:?}");
            let report = verified(&pair).await;
            assert_eq!(report.first_bad_row, None, "{kinds:?} after {step:?}");
            let is_arrived = matches!(step, MoveProgress::Arrived | MoveProgress::Paid);
            assert_eq!(report.in_flight.len(), usize::from(is_arrived), "{kinds:?} after {step:?}");
        }
        pair.moved(SLOT, 1).await;
        let report = verified(&pair).await;
        assert_eq!((report.first_bad_row, report.in_flight.len()), (None, 0), "{kinds:?}");
        pair.stop().await;
    }
}
