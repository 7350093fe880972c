//! The next version has been at the tables already: it added a column and a table,
//! and this version goes on as if nothing were. So versions are rolled out, and
//! back, one process after the other.

use super::{
    accounting::{Market, balanced, sending, settlement, traded},
    rig::{BOTH, Kind, Rig, fill, id, trade_of, withdrawal},
};
use tempfile::TempDir;
use tragen_contracts::v1::Side;

const USD: i64 = 1_000_000;

/// What the next version's migration does to the tables, and that it was done.
async fn expand(rig: &Rig) {
    let tables = [
        "shard",
        "slot",
        "wallet",
        "position",
        "trade",
        "execution",
        "cash_movement",
        "settlement",
        "payout",
        "transfer",
        "batch",
        "rejected_report",
    ];
    let text = if rig.kind == Kind::Sqlite { "TEXT" } else { "text" };
    for table in tables {
        rig.sql(&format!("ALTER TABLE {table} ADD COLUMN note {text}")).await;
    }
    let number = if rig.kind == Kind::Sqlite { "INTEGER" } else { "bigint" };
    rig.sql(&format!("CREATE TABLE tax (account_id {text} NOT NULL, amount {number} NOT NULL)")).await;
    let (checksum, success) = if rig.kind == Kind::Sqlite { ("x'02'", "1") } else { ("'\\x02'", "true") };
    rig.sql(&format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9, 'tax', {success}, {checksum}, 1)"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_version_goes_on_with_tables_that_the_next_one_has_expanded() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let bought = |name: &str| {
            let fills = vec![fill(&format!("e-{name}"), USD / 2, 2 * USD, 0)];
            traded(Market::prediction("M"), ("alice", name), Side::Buy, fills)
        };
        rig.report(vec![bought("before")]).await;
        rig.all_acked().await;
        // While it runs, as in a rollout.
        expand(&rig).await;
        rig.report(vec![bought("during")]).await;
        rig.all_acked().await;
        rig.stop().await;
        // And it starts again, as when the rollout is taken back.
        rig.start().await;
        rig.funded("bob", USD).await;
        rig.report(vec![bought("before"), bought("after"), sending("alice", "s", ("bob", USD), None)]).await;
        rig.report(vec![withdrawal("bob", "out", USD, None)]).await;
        rig.all_acked().await;
        rig.report(vec![settlement("end", "M", Some(USD))]).await;
        rig.all_acked().await;
        let facts = rig.told(&[id("alice", "before")]).await;
        assert_eq!(trade_of(&facts[&id("alice", "before")]).filled_quantity_micros, 2 * USD);
        assert_eq!(rig.account("alice").await.cash_micros, 102 * USD);
        assert_eq!(rig.number("SELECT COUNT(*) FROM execution").await, 3);
        assert_eq!(rig.number("SELECT COUNT(*) FROM execution WHERE note IS NOT NULL").await, 0);
        assert_eq!(rig.number("SELECT MAX(version) FROM _sqlx_migrations").await, 9);
        balanced(&rig).await;
        rig.stop().await;

        // What this version knows of the books can be exported and copied too.
        let folder = TempDir::new().expect("a folder");
        let (file, copy) = (folder.path().join("file"), folder.path().join("copy"));
        let exported = tragen_ledger::export(&rig.url, 0, &file, |_, _| {}).await.expect("a file");
        let url = format!("sqlite://{}", folder.path().join("other.db").display());
        assert_eq!(tragen_ledger::import(&url, &file, |_, _| {}).await.expect("books"), exported);
        assert_eq!(tragen_ledger::verify(&url, |_| {}).await.expect("a report"), rig.verified().await);
        let copied = tragen_ledger::backup(&rig.url, 0, &copy, |_, _| {}).await.expect("a copy");
        assert_eq!(copied.head_hash, exported.head_hash);
    }
}
