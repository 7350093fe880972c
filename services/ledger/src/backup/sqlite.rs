//! Copies of a file of SQLite.

use super::{OPEN_WAIT, claim, open_turns};
use crate::{
    export::{beside, publish},
    store::{self, rows::ShardRow, sqlite},
};
use anyhow::Context as _;
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Pages copied at once, 4 KiB each.
const PAGES: i32 = 2_048;
/// How often a busy file is asked again, and after which time.
const BUSY_MAX: u32 = 600;
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// Copies the file behind `store_url` to `part`, and looks whether the copy is sound.
pub(super) async fn copy(
    store_url: &str,
    shard: u16,
    part: &Path,
    progress: impl FnMut(u64, u64) + Send + 'static,
) -> anyhow::Result<ShardRow> {
    let (url, to) = (store_url.to_owned(), part.to_owned());
    tokio::task::spawn_blocking(move || copy_pages(&url, &to, progress)).await??;
    let row = copied(&url_of(part)?, shard).await;
    // A reader leaves these two beside the copy; all of it is in the file itself.
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(with_ending(part, ending));
    }
    row
}

/// Copies `from` to the place of `store_url`.
pub(super) async fn restore(store_url: &str, shard: u16, from: &Path) -> anyhow::Result<ShardRow> {
    let target = sqlite::path_of(store_url)?;
    for ending in ["", "-wal", "-shm"] {
        let path = with_ending(&target, ending);
        anyhow::ensure!(!path.exists(), "{} is there already: move it away first", path.display());
    }
    sqlite::folder_of(&target, "the books")?;
    let part = beside(&target, "part");
    let restored = put(from, &part, &target, shard).await;
    if restored.is_err() {
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(with_ending(&part, ending));
        }
    }
    restored
}

async fn put(from: &Path, part: &Path, target: &Path, shard: u16) -> anyhow::Result<ShardRow> {
    let _ = fs::remove_file(part);
    tokio::fs::copy(from, part).await.with_context(|| format!("copying {}", from.display()))?;
    let url = url_of(part)?;
    sound(&url).await?;
    // It may be from before a migration.
    super::update_tables(&url, shard).await?;
    check(&url, shard).await?;
    let turns = open_turns(&url, shard).await?;
    let row = claim(&turns).await;
    turns.close().await;
    let row = row?;
    let whole = part.to_owned();
    tokio::task::spawn_blocking(move || empty_log(&whole)).await??;
    publish(part, target).await?;
    Ok(row)
}

fn copy_pages(url: &str, part: &Path, mut progress: impl FnMut(u64, u64)) -> anyhow::Result<()> {
    let source = sqlite::connect(url, false, OPEN_WAIT)?;
    // One state of the file from here on, whatever is written meanwhile: otherwise each write would make the copy begin anew.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT COUNT(*) FROM shard", [], |_| Ok(()))?;
    let mut target = Connection::open(part).with_context(|| format!("creating {}", part.display()))?;
    {
        let backup = Backup::new(&source, &mut target).context("beginning the copy")?;
        let mut busy = 0;
        loop {
            match backup.step(PAGES).context("copying")? {
                StepResult::Done => break,
                StepResult::More => {
                    let pages = |number: i32| u64::try_from(number).unwrap_or_default();
                    let (left, all) = (pages(backup.progress().remaining), pages(backup.progress().pagecount));
                    progress(all.saturating_sub(left), all);
                }
                step @ (StepResult::Busy | StepResult::Locked | _) => {
                    busy += 1;
                    anyhow::ensure!(busy < BUSY_MAX, "the file is busy ({step:?})");
                    std::thread::sleep(BUSY_WAIT);
                }
            }
        }
    }
    target.close().map_err(|(_, error)| error).context("closing the copy")
}

async fn copied(url: &str, shard: u16) -> anyhow::Result<ShardRow> {
    sound(url).await?;
    check(url, shard).await
}

/// Looks whether the file is sound.
async fn sound(url: &str) -> anyhow::Result<()> {
    let path = sqlite::path_of(url)?;
    let sound = tokio::task::spawn_blocking(move || -> anyhow::Result<String> {
        let connection = Connection::open(&path)?;
        Ok(connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?)
    });
    let sound = sound.await??;
    anyhow::ensure!(sound == "ok", "the copy is damaged: {sound}");
    Ok(())
}

/// Looks whether everything in the file follows from what was booked.
async fn check(url: &str, shard: u16) -> anyhow::Result<ShardRow> {
    // Says so if the tables are of an older version.
    drop(store::snapshot(url, shard, OPEN_WAIT).await?);
    let turns = open_turns(url, shard).await?;
    let row = turns.shard_row().await;
    turns.close().await;
    let row = row?.context("there are no books in it")?;
    anyhow::ensure!(row.shard_id == i64::from(shard), "these are the books of shard {}, not {shard}", row.shard_id);
    super::verified(url, shard).await?;
    Ok(row)
}

/// Moves everything from the write-ahead log into the file.
fn empty_log(path: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(path)?;
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    anyhow::ensure!(busy == 0, "somebody else has {} open", path.display());
    connection.close().map_err(|(_, error)| error)?;
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(with_ending(path, ending));
    }
    Ok(())
}

fn url_of(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().with_context(|| format!("{} is not written in UTF-8", path.display()))?;
    Ok(format!("sqlite://{text}"))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
