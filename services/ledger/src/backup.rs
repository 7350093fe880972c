//! Copies of the books of one shard that can be put back. SQLite: by its online
//! backup, while the ledger writes. PostgreSQL: by pg_dump and pg_restore, the
//! schema of the shard.
//!
//! A copy that is put back is older than what was lost. So it gets an epoch above
//! every one that was ever given out: a ledger that still writes to what is left
//! of the old books can never be taken for the owner of these.

mod postgres;
mod sqlite;

use crate::{
    config::ShardConfig,
    store::{
        self, Books,
        rows::{ShardRow, hex_text},
        turn::Turns,
    },
};
use anyhow::Context as _;
use std::{path::Path, time::Duration};
use tragen_host::clock::now_micros;

/// How long the store may take to open.
const OPEN_WAIT: Duration = Duration::from_secs(10);

/// A copy, or what was made of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// The shard.
    pub shard: u16,
    /// Its epoch.
    pub epoch: i64,
    /// Its last posting.
    pub posting_sequence: i64,
    /// Its last fact: what was told later is told again, under the same numbers.
    pub fact_sequence: i64,
    /// When it last changed, microseconds since the epoch: what was booked later is not in it.
    pub posted_at_micros: i64,
    /// The head of its hash chain, 64 hex digits.
    pub head_hash: String,
}

impl BackedUp {
    fn of(row: &ShardRow) -> anyhow::Result<Self> {
        Ok(Self {
            shard: u16::try_from(row.shard_id)?,
            epoch: row.epoch,
            posting_sequence: row.posting_sequence,
            fact_sequence: row.fact_sequence,
            posted_at_micros: row.posted_at,
            head_hash: hex_text(&row.head_hash),
        })
    }
}

/// Copies the books of `shard` at `store_url` to `out`, while a ledger writes to them.
/// `progress` hears how much of how much is copied, in pages; PostgreSQL does not tell.
///
/// # Errors
/// When `out` is there already, or the copy cannot be made or is not whole; none is left then.
pub async fn backup(
    store_url: &str,
    shard: u16,
    out: &Path,
    progress: impl FnMut(u64, u64) + Send + 'static,
) -> anyhow::Result<BackedUp> {
    anyhow::ensure!(!out.exists(), "{} is there already", out.display());
    store::sqlite::folder_of(out, "the copy")?;
    let part = crate::export::beside(out, "part");
    let _ = tokio::fs::remove_file(&part).await;
    let copied = if store::is_sqlite(store_url) {
        sqlite::copy(store_url, shard, &part, progress).await
    } else {
        postgres::dump(store_url, shard, &part).await
    };
    let named = match copied {
        Ok(row) => crate::export::publish(&part, out).await.map(|()| row),
        Err(error) => Err(error),
    };
    if named.is_err() {
        let _ = tokio::fs::remove_file(&part).await;
    }
    BackedUp::of(&named?)
}

/// Puts the books of `shard` in the copy at `from` to `store_url`, where there must be none.
///
/// # Errors
/// When there are books already, or the copy is damaged or of another shard; nothing is changed then.
pub async fn restore(store_url: &str, shard: u16, from: &Path) -> anyhow::Result<BackedUp> {
    anyhow::ensure!(from.is_file(), "there is no copy at {}", from.display());
    let row = if store::is_sqlite(store_url) {
        sqlite::restore(store_url, shard, from).await
    } else {
        postgres::restore(store_url, shard, from).await
    };
    BackedUp::of(&row?)
}

/// An epoch above every one that was given out before: a shard does not change hands once a second
/// for years, so the seconds since 1970 are ahead of any count that began at 0, or at an earlier restore.
fn next_epoch(epoch: i64, now_micros: i64) -> i64 {
    (epoch + 1).max(now_micros / 1_000_000)
}

/// Brings the tables of a copy up to this version.
async fn update_tables(store_url: &str, shard: u16) -> anyhow::Result<()> {
    let place = ShardConfig { url: store_url.to_owned(), replica_urls: Vec::new() };
    let books = Books::open(shard, &place, 1, OPEN_WAIT).await?;
    books.close().await;
    Ok(())
}

/// Raises the epoch of restored books, and reads their row.
async fn claim(turns: &Turns) -> anyhow::Result<ShardRow> {
    let turn = turns.take().await.context("raising the epoch")?;
    let mut turn = turn.context("the copy has no row of its shard")?;
    turn.shard.epoch = next_epoch(turn.shard.epoch, now_micros());
    let row = turn.shard.clone();
    turn.end().await.context("raising the epoch")?;
    Ok(row)
}

/// Whether everything in the books follows from what was booked.
async fn verified(store_url: &str, shard: u16) -> anyhow::Result<()> {
    let report = crate::verify_shard(store_url, shard, |_| {}).await.context("verifying the copy")?;
    if let Some(row) = report.first_bad_row {
        anyhow::bail!("the copy is not sound: {} {}: {}", row.table, row.key, row.problem);
    }
    Ok(())
}

async fn open_turns(store_url: &str, shard: u16) -> anyhow::Result<Turns> {
    let place = ShardConfig { url: store_url.to_owned(), replica_urls: Vec::new() };
    Turns::open(shard, &place, OPEN_WAIT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_never_given_out_twice() {
        let now = 1_800_000_000_000_000;
        assert_eq!(next_epoch(7, now), 1_800_000_000);
        assert_eq!(next_epoch(1_800_000_000, now), 1_800_000_001);
        assert_eq!(next_epoch(1_900_000_000, now), 1_900_000_001);
        assert_eq!(next_epoch(7, 0), 8);
    }
}
