//! Whatever is changed behind the ledger's back is found and named.

use super::rig::{BOTH, Kind, Rig, fill, id, report, withdrawal};
use tragen_contracts::v1::{Side, TradeStatus};

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
        for table in ["transfer", "execution", "cash_movement", "batch"] {
            rig.sql(&match kind {
                Kind::Sqlite => format!("DROP TRIGGER {table}_is_history; DROP TRIGGER {table}_stays"),
                Kind::Postgres => format!("ALTER TABLE {table} DISABLE TRIGGER USER"),
            })
            .await;
        }
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
            let report = tragen_ledger::verify(&rig.url, |_| {}).await.expect("a report");
            let found = report.first_bad_row.expect("the row is found");
            assert_eq!((found.table, found.key.as_str()), (table, key), "{change}: {}", found.problem);
            rig.sql(&format!("UPDATE {table} SET {undo}")).await;
            rig.verified().await;
        }
        check_consistent_forgery(&rig).await;
    }
}

/// A forger who changes every row that follows still breaks the hash chain.
async fn check_consistent_forgery(rig: &Rig) {
    rig.sql("UPDATE transfer SET posted_at = posted_at + 1 WHERE sequence = 1").await;
    rig.sql("UPDATE cash_movement SET posted_at = posted_at + 1 WHERE amount > 0").await;
    let report = tragen_ledger::verify(&rig.url, |_| {}).await.expect("a report");
    let found = report.first_bad_row.expect("the batch is found");
    assert_eq!((found.table, found.key.as_str()), ("batch", "1"));
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
