//! Every column of every table in turn is changed in rows of every kind: it is
//! found, or docs/ledger.md says why it cannot be.

use super::{bad_row, unlock};
use crate::ledger::{
    accounting::{Market, Tables, adjustment, correction, sending, settlement, traded, unfreezing},
    rig::{BOTH, Kind, Rig, fill, id, report, with, withdrawal},
};
use std::collections::BTreeSet;
use tragen_contracts::v1::{self, Side, TradeStatus};

const USD: i64 = 1_000_000;

/// What no row tells twice and no seal can cover. The epoch says who writes, not what is written, and versions that
/// seal nothing raise it too.
const NOT_COVERED: &[(&str, &str)] = &[("the shard", "epoch")];

/// Rows of every kind: the table, what it is, and which row.
const ROWS: &[(&str, &str, &str)] = &[
    ("shard", "the shard", "shard_id = 0"),
    ("slot", "a slot", "slot = 7"),
    ("wallet", "a wallet", "account_id = 'alice'"),
    ("position", "a position", "account_id = 'alice' AND instrument_id = 'BTCUSD'"),
    ("trade", "a trade", "account_id = 'alice' AND request_id = 'two'"),
    ("execution", "the first fill", "execution_id = 'e1'"),
    ("execution", "a margined fill", "execution_id = 'm1'"),
    ("execution", "a fill taken back", "reverses <> ''"),
    ("cash_movement", "a deposit", "kind = 1 AND account_id = 'alice'"),
    ("cash_movement", "a withdrawal", "kind = 2 AND denial_code = 0"),
    ("cash_movement", "a denied withdrawal", "kind = 2 AND denial_code <> 0"),
    ("cash_movement", "money sent", "kind = 3"),
    ("cash_movement", "money received", "kind = 4"),
    ("cash_movement", "an adjustment", "kind = 5"),
    ("cash_movement", "a correction of cash", "kind = 6 AND requested < 0"),
    ("cash_movement", "a correction of a fill", "kind = 6 AND requested > 0"),
    ("cash_movement", "an unfreezing", "kind = 7"),
    ("settlement", "a settlement", "instrument_id = 'WON'"),
    ("settlement", "a void market", "instrument_id = 'VOID'"),
    ("payout", "a payout", "instrument_id = 'WON'"),
    ("payout", "a refund", "instrument_id = 'VOID'"),
    ("transfer", "a transfer", "sequence = 3"),
    ("batch", "a batch", "sequence = 2"),
    ("cash_checkpoint", "a note of cash", "account_id = 'carol'"),
];

/// Books with rows of every kind that a single shard has.
async fn rich(kind: Kind) -> Rig {
    let mut rig = Rig::started(kind).await;
    for account in ["alice", "bob", "carol"] {
        rig.funded(account, 1_000 * USD).await;
    }
    let many: Vec<_> = (0..300).map(|number| fill(&format!("c{number}"), USD / 2, USD / 100, 0)).collect();
    let halted = v1::Denial { code: 1, message: "halted".to_owned(), limit: 1, observed: 2 };
    let two = vec![fill("e1", 500_000, 4 * USD, 5), fill("e2", 600_001, 3 * USD, 5)];
    rig.report(vec![traded(Market::prediction("OPEN"), ("alice", "two"), Side::Buy, two)]).await;
    rig.report(vec![
        traded(Market::margined("BTCUSD"), ("alice", "margin"), Side::Buy, vec![fill("m1", 3 * USD, 2 * USD, 1)]),
        traded(Market::spot("GOLD"), ("alice", "spot"), Side::Buy, vec![fill("s1", 3 * USD, 2 * USD, 1)]),
        traded(Market::prediction("BUST"), ("alice", "bust"), Side::Buy, vec![fill("b1", USD / 2, 2 * USD, 1)]),
        traded(Market::prediction("WON"), ("bob", "won"), Side::Buy, vec![fill("w1", USD / 2, 2 * USD, 1)]),
        traded(Market::prediction("VOID"), ("bob", "void"), Side::Sell, vec![fill("v1", USD / 4, 2 * USD, 1)]),
        traded(Market::prediction("OPEN"), ("carol", "many"), Side::Buy, many),
        with(report("bob", "no", Side::Buy, TradeStatus::Denied, Vec::new()), |trade| {
            trade.denial = Some(v1::Denial { code: 1, ..v1::Denial::default() });
        }),
        withdrawal("alice", "out", 2 * USD, None),
        withdrawal("alice", "no", 2 * USD, Some(halted)),
        sending("alice", "send", ("bob", 3 * USD), None),
        adjustment("alice", "adjust", 7 * USD),
    ])
    .await;
    // More than the wallet covers: the account is frozen.
    rig.funded("erin", USD).await;
    let dear = vec![fill("f1", USD, 3 * USD, 0)];
    rig.report(vec![traded(Market::prediction("OPEN"), ("erin", "dear"), Side::Buy, dear)]).await;
    rig.all_acked().await;
    rig.report(vec![
        correction("alice", "back", &id("alice", "adjust")),
        correction("alice", "bust-back", "b1"),
        unfreezing("erin", "thaw"),
        settlement("won", "WON", Some(USD)),
        settlement("void", "VOID", None),
    ])
    .await;
    rig.wait_for("SELECT COUNT(*) FROM payout", 2).await;
    rig.all_acked().await;
    rig.verified().await;
    rig.stop().await;
    rig
}

/// Columns and their types.
async fn columns(tables: &Tables, table: &str) -> Vec<(String, String)> {
    let select = if tables.url.starts_with("sqlite") {
        format!("SELECT name || ':' || type, cid FROM pragma_table_info('{table}') ORDER BY cid")
    } else {
        format!(
            "SELECT column_name || ':' || data_type, ordinal_position::bigint FROM information_schema.columns
             WHERE table_schema = 'shard_0' AND table_name = '{table}' ORDER BY ordinal_position"
        )
    };
    let rows = tables.rows(&select).await;
    let split = |text: &str| text.split_once(':').map(|(name, kind)| (name.to_owned(), kind.to_lowercase()));
    rows.iter().map(|(text, _)| split(text).expect("a name and a type")).collect()
}

/// Another value for a column. Where one more is possible too, much more.
fn other(column: &str, kind: &str) -> String {
    let bounded = ["sequence", "posting_sequence", "fact_sequence", "account_version", "slot"];
    match kind {
        "boolean" => format!("NOT {column}"),
        "integer" if column.starts_with("is_") => format!("1 - {column}"),
        "integer" | "bigint" if bounded.contains(&column) => format!("{column} + 1000000000"),
        "integer" | "bigint" => format!("{column} + 1"),
        "text" => format!("{column} || 'x'"),
        "uuid" => "CAST('00000000-0000-0000-0000-000000000001' AS uuid)".to_owned(),
        "bytea" => "decode('0102', 'hex')".to_owned(),
        "blob" => "x'00000000000000000000000000000001'".to_owned(),
        other => panic!("a column of type {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_every_row_is_covered() {
    for kind in BOTH {
        let rig = rich(kind).await;
        let tables = Tables::of(&rig);
        unlock(&tables).await;
        let mut passed_over = BTreeSet::new();
        for (table, name, which) in ROWS {
            let rows = tables.number(&format!("SELECT COUNT(*) FROM {table} WHERE {which}")).await;
            assert_eq!(rows, 1, "{kind:?}: {name}");
            tables.change(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
            for (column, of_type) in columns(&tables, table).await {
                let other = other(&column, &of_type);
                tables.change(&format!("UPDATE {table} SET {column} = {other} WHERE {which}")).await;
                if bad_row(&rig).await.is_none() {
                    passed_over.insert((*name, column));
                }
                tables.change(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept")).await;
            }
            tables.change("DROP TABLE kept").await;
        }
        let passed_over: Vec<_> =
            passed_over.iter().map(|(name, column): &(&str, String)| (*name, column.as_str())).collect();
        assert_eq!(passed_over, NOT_COVERED, "{kind:?}");
        rig.verified().await;
    }
}
