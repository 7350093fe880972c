//! Which process serves a shard. PostgreSQL: a row that ends unless it is
//! renewed, by the clock of the database. SQLite: a lock on a file beside the
//! books, which the system takes away from a process that dies. Both only choose;
//! what keeps a paused owner from writing is the epoch of the shard row.

use super::{StoreError, postgres, sqlite};
use crate::config::ShardConfig;
use anyhow::Context as _;
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The leases of one shard's database; clones are the same holder.
#[derive(Debug, Clone)]
pub(crate) enum Leases {
    /// A locked file.
    File {
        /// `<books>.lock`.
        path: PathBuf,
        /// Open while it is locked.
        held: Arc<Mutex<Option<File>>>,
    },
    /// Rows, on a connection that never waits for the writer's.
    Rows(PgPool),
}

impl Leases {
    /// For the shard at `config`.
    pub(crate) fn new(shard: u16, config: &ShardConfig, wait: Duration) -> anyhow::Result<Self> {
        if super::is_sqlite(&config.url) {
            let mut path = sqlite::path_of(&config.url)?.into_os_string();
            path.push(".lock");
            return Ok(Self::File { path: path.into(), held: Arc::default() });
        }
        // A lease lost in a crash of the database is taken again: it guards nothing, so it need not be durable.
        let options = postgres::options(&config.url, shard)?.options([
            ("statement_timeout", "1000"),
            ("lock_timeout", "500"),
            ("synchronous_commit", "off"),
        ]);
        Ok(Self::Rows(PgPoolOptions::new().max_connections(1).acquire_timeout(wait).connect_lazy_with(options)))
    }

    /// Takes or renews the lease for `owner`; false while somebody else has it.
    pub(crate) async fn hold(&self, shard: u16, owner: &str, lasts: Duration) -> Result<bool, StoreError> {
        let pool = match self {
            Self::File { path, held } => return lock(path, held).map_err(StoreError::unavailable),
            Self::Rows(pool) => pool,
        };
        let held = sqlx::query(
            "INSERT INTO lease (shard_id, owner, expires_at)
             VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3)
             ON CONFLICT (shard_id) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
             WHERE lease.owner = excluded.owner
                OR lease.expires_at < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        )
        .bind(i64::from(shard))
        .bind(owner)
        .bind(i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX))
        .execute(pool)
        .await?;
        Ok(held.rows_affected() == 1)
    }

    /// Gives the lease up, so that nobody need wait for its end.
    pub(crate) async fn release(&self, shard: u16, owner: &str) -> Result<(), StoreError> {
        let pool = match self {
            Self::File { held, .. } => {
                held.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Ok(());
            }
            Self::Rows(pool) => pool,
        };
        sqlx::query("UPDATE lease SET expires_at = 0 WHERE shard_id = $1 AND owner = $2")
            .bind(i64::from(shard))
            .bind(owner)
            .execute(pool)
            .await?;
        Ok(())
    }

    /// Says that `process` is there to serve shards.
    pub(crate) async fn announce(&self, process: &str, lasts: Duration) -> Result<(), StoreError> {
        let Self::Rows(pool) = self else { return Ok(()) };
        sqlx::query(
            "INSERT INTO process (process, expires_at)
             VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2)
             ON CONFLICT (process) DO UPDATE SET expires_at = excluded.expires_at",
        )
        .bind(process)
        .bind(i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX))
        .execute(pool)
        .await?;
        Ok(())
    }

    /// The processes that are there to serve shards.
    pub(crate) async fn processes(&self) -> Result<Vec<String>, StoreError> {
        let Self::Rows(pool) = self else { return Ok(Vec::new()) };
        let processes = sqlx::query_scalar(
            "SELECT process FROM process WHERE expires_at >= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        )
        .fetch_all(pool)
        .await?;
        Ok(processes)
    }

    /// Whether the lease ends by itself and several machines may share the shards.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Rows(_))
    }
}

fn lock(path: &PathBuf, held: &Mutex<Option<File>>) -> anyhow::Result<bool> {
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    if held.is_some() {
        return Ok(true);
    }
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = opened.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            *held = Some(file);
            Ok(true)
        }
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}
