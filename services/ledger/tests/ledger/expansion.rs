//! The next version has been at the tables already: it added a column and a table,
//! and this version goes on as if nothing were. So versions are rolled out, and
//! back, one process after the other.

use super::{
    accounting::{Market, balanced, sending, settlement, traded},
    rig::{BOTH, Kind, Rig, fill, id, report, trade_of, withdrawal},
};
use tempfile::TempDir;
use tragen_contracts::v1::{Side, TradeStatus};

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

/// Takes the tables back to what the version before had.
async fn contract(rig: &Rig) {
    for table in ["trade", "execution", "cash_movement", "settlement", "payout"] {
        rig.sql(&format!("ALTER TABLE {table} DROP COLUMN seal")).await;
    }
    rig.sql("ALTER TABLE shard DROP COLUMN seals").await;
    rig.sql("DELETE FROM _sqlx_migrations WHERE version = 3").await;
}

/// What the version before does when the trade `request_id` ends: it knows no seal.
async fn end_as_before(rig: &Rig, request_id: &str) {
    rig.sql("UPDATE shard SET epoch = epoch + 1, fact_sequence = fact_sequence + 1, posted_at = posted_at + 1").await;
    rig.sql(&format!(
        "UPDATE trade SET status = {}, rejection = 'by the version before',
            fact_sequence = (SELECT fact_sequence FROM shard), updated_at = (SELECT posted_at FROM shard)
         WHERE request_id = '{request_id}'",
        i32::from(TradeStatus::PartiallyFilled)
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_version_before_are_no_fault_and_those_of_this_one_are_sealed() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100 * USD).await;
        let working = |name: &str, number: i64| {
            let fills =
                (0..number).map(|fill_number| fill(&format!("{name}-{fill_number}"), USD / 2, USD, 0)).collect();
            report("alice", name, Side::Buy, TradeStatus::Working, fills)
        };
        rig.report(vec![working("goes-on", 1), working("ends", 1)]).await;
        rig.all_acked().await;
        rig.stop().await;
        let folder = TempDir::new().expect("a folder");
        let old_copy = folder.path().join("old");
        contract(&rig).await;
        if kind == Kind::Sqlite {
            // Not the file alone: the newest changes may be in its log.
            rig.sql(&format!("VACUUM INTO '{}'", old_copy.display())).await;
        }
        let refused = tragen_ledger::verify(&rig.url, |_| {}).await.expect_err("the tables are old");
        assert!(format!("{refused:#}").contains("older version"), "{refused:#}");

        rig.start().await;
        // Whoever books has updated the tables.
        rig.funded("bob", USD).await;
        rig.verified().await;
        let unsealed = "SELECT COUNT(*) FROM trade WHERE length(seal) = 0";
        assert_eq!(rig.number(unsealed).await, 2);
        rig.report(vec![working("goes-on", 2), working("new", 1)]).await;
        rig.all_acked().await;
        assert_eq!(rig.number(unsealed).await, 1, "what goes on is sealed");
        rig.verified().await;
        rig.stop().await;

        // The version before serves the shard again, and goes on with a trade that is sealed.
        end_as_before(&rig, "goes-on").await;
        end_as_before(&rig, "ends").await;
        rig.verified().await;
        // And this version again: a late fill is sealed with the trade.
        rig.start().await;
        rig.report(vec![working("goes-on", 3)]).await;
        rig.all_acked().await;
        rig.stop().await;
        rig.verified().await;
        rig.sql("UPDATE trade SET rejection = '' WHERE request_id = 'goes-on'").await;
        let found =
            tragen_ledger::verify(&rig.url, |_| {}).await.expect("a report").first_bad_row.expect("it is found");
        assert_eq!((found.table, found.key), ("trade", id("alice", "goes-on")), "{}", found.problem);

        // A copy from before the migration can be put back.
        if kind == Kind::Sqlite {
            let url = format!("sqlite://{}", folder.path().join("restored.db").display());
            tragen_ledger::restore(&url, 0, &old_copy).await.unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(tragen_ledger::verify(&url, |_| {}).await.expect("a report").first_bad_row, None);
        }
    }
}
