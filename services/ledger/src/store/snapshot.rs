//! The books of a shard as they are at one moment, to be read whole.

use super::{
    is_sqlite, postgres,
    session::{Session, Sql},
    sqlite,
};
use std::time::Duration;

// One: the newest column is not there yet. None: there are no tables.
const IS_UP_TO_DATE: Sql = Sql::new(
    "SELECT COUNT(*) FROM pragma_table_info('shard') WHERE name IN ('shard_id', 'seals')",
    "SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = current_schema() AND table_name = 'shard' AND column_name IN ('shard_id', 'seals')",
);

/// A consistent view of the books of `shard` at `url` that changes nothing.
pub(crate) async fn snapshot(url: &str, shard: u16, wait: Duration) -> anyhow::Result<Session> {
    let is_file = is_sqlite(url);
    let mut session =
        if is_file { sqlite::snapshot(url, wait).await? } else { postgres::snapshot(url, shard, wait).await? };
    let columns: Vec<(i64,)> = session.rows(IS_UP_TO_DATE, &[]).await?;
    anyhow::ensure!(
        columns != [(1,)],
        "the tables of shard {shard} are those of an older version: start the ledger once, or run `tragen ledger slots`, \
         which updates them"
    );
    Ok(session)
}
