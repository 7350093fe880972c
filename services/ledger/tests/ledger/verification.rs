//! Whatever is changed behind the ledger's back is found and named.

mod columns;
mod heads;
mod reconciliation;
mod resuming;
mod seals;
mod shards;

use super::{
    accounting::Tables,
    rig::{BOTH, Kind, Rig, fill, id, report, withdrawal},
};
use tragen_contracts::v1::{Side, TradeStatus};
use tragen_ledger::{BadRow, VerifyOptions, VerifyReport};

/// Tables whose rows are never changed, each with what keeps them from it.
const HISTORY: [&str; 8] =
    ["transfer", "execution", "cash_movement", "batch", "payout", "moved_wallet", "moved_position", "cash_checkpoint"];

/// Takes the locks off history, as somebody with the rights of an owner may.
async fn unlock(tables: &Tables) {
    for table in HISTORY {
        let unlock = if tables.url.starts_with("sqlite") {
            format!("DROP TRIGGER {table}_is_history; DROP TRIGGER {table}_stays")
        } else {
            format!("ALTER TABLE {table} DISABLE TRIGGER USER")
        };
        tables.change(&unlock).await;
    }
}

/// What verification says, with `options`.
async fn verified_with(rig: &Rig, options: VerifyOptions) -> VerifyReport {
    tragen_ledger::verify_shards(&rig.config().shards(), options, |_| {}).await.expect("a report")
}

/// The first bad row.
async fn bad_row(rig: &Rig) -> Option<BadRow> {
    verified_with(rig, VerifyOptions::default()).await.first_bad_row
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_row_is_named() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100_000_000).await;
        let fills = vec![fill("e1", 500_000, 10_000_000, 5)];
        rig.report(vec![report("alice", "r", Side::Buy, TradeStatus::Filled, fills)]).await;
        rig.report(vec![withdrawal("alice", "out", 1_000_000, None)]).await;
        rig.told(&[id("alice", "r"), id("alice", "out")]).await;
        rig.verified().await;
        rig.stop().await;

        let refused = tamper_as_is(&rig).await;
        assert!(refused.contains("history"), "{refused}");
        unlock(&Tables::of(&rig)).await;
        for (table, key, change, undo) in [
            ("transfer", "2", "amount = amount + 1 WHERE sequence = 2", "amount = amount - 1 WHERE sequence = 2"),
            (
                "transfer",
                "2",
                "credit_account = 'fees/USD' WHERE sequence = 2",
                "credit_account = 'venue/paper/USD' WHERE sequence = 2",
            ),
            ("execution", "e1", "price = price + 1", "price = price - 1"),
            ("execution", "e1", "cash_change = cash_change + 1", "cash_change = cash_change - 1"),
            (
                "cash_movement",
                &id("alice", "out"),
                "amount = -2 WHERE amount < 0",
                "amount = -1000000 WHERE amount < 0",
            ),
            ("wallet", "alice/USD", "cash = cash + 1", "cash = cash - 1"),
            ("position", "alice/EPL-2026-ARS-MCI-HOME", "quantity = quantity + 1", "quantity = quantity - 1"),
            ("trade", &id("alice", "r"), "cash_change = 0", "cash_change = -5000005"),
            ("trade", &id("alice", "r"), "average_price = 1", "average_price = 500000"),
            ("shard", "0", "transfer_sequence = 9", "transfer_sequence = 4"),
        ] {
            rig.sql(&format!("UPDATE {table} SET {change}")).await;
            let found = bad_row(&rig).await.expect("the row is found");
            assert_eq!((found.table, found.key.as_str()), (table, key), "{change}: {}", found.problem);
            rig.sql(&format!("UPDATE {table} SET {undo}")).await;
            rig.verified().await;
        }
        // A forger who changes every row that follows still breaks the hash chain.
        rig.sql("UPDATE transfer SET posted_at = posted_at - 1 WHERE sequence = 1").await;
        rig.sql("UPDATE cash_movement SET posted_at = posted_at - 1, seal = substr(seal, 1, 0) WHERE amount > 0").await;
        rig.sql("UPDATE batch SET posted_at = posted_at - 1 WHERE sequence = 1").await;
        let found = bad_row(&rig).await.expect("the batch is found");
        assert_eq!((found.table, found.key.as_str()), ("batch", "1"), "{}", found.problem);
    }
}

/// The error of changing history without taking the locks off first.
async fn tamper_as_is(rig: &Rig) -> String {
    use sqlx::Connection as _;
    let change = "UPDATE transfer SET amount = 1";
    let error = match rig.kind {
        Kind::Sqlite => {
            let mut db = sqlx::SqliteConnection::connect(&rig.url).await.expect("a connection");
            sqlx::query(change).execute(&mut db).await.expect_err("refused")
        }
        Kind::Postgres => {
            let mut db = sqlx::PgConnection::connect(&rig.url).await.expect("a connection");
            sqlx::query(change).execute(&mut db).await.expect_err("refused")
        }
    };
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_row_is_missed() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        for account in ["alice", "bob"] {
            rig.funded(account, 100_000_000).await;
            let fills = vec![fill(&format!("e-{account}"), 500_000, 10_000_000, 5)];
            rig.report(vec![report(account, "r", Side::Buy, TradeStatus::Filled, fills)]).await;
            rig.told(&[id(account, "r")]).await;
        }
        rig.stop().await;
        let tables = Tables::of(&rig);
        unlock(&tables).await;
        for table in ["transfer", "execution", "cash_movement", "batch", "wallet", "position", "trade", "slot", "shard"]
        {
            let last = match table {
                "wallet" | "position" => "account_id = 'bob'",
                "execution" => "execution_id = 'e-bob'",
                "cash_movement" => "account_id = 'bob'",
                "trade" => "account_id = 'bob'",
                "slot" => "slot = 255",
                "shard" => "shard_id = 0",
                _ => "sequence = (SELECT MAX(sequence) FROM transfer) OR sequence = (SELECT MAX(sequence) FROM batch)",
            };
            let put_back = format!("INSERT INTO {table} SELECT * FROM taken; DROP TABLE taken");
            tables.change(&format!("CREATE TABLE taken AS SELECT * FROM {table} WHERE {last}")).await;
            tables.change(&format!("DELETE FROM {table} WHERE {last}")).await;
            assert!(bad_row(&rig).await.is_some(), "{kind:?}: a row of {table} is gone");
            tables.change(&put_back).await;
        }
        rig.verified().await;
    }
}
