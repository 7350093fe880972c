//! Copies the write-ahead log into the file beside the writer, so that no commit
//! waits for it: a log of 64 MB takes some 100 ms to copy and sync.
//!
//! SQLite starts the log anew only when all of it is copied, which beside a busy
//! writer never happens. So most is copied beside it, and the writer itself copies
//! the little that has come since.

use rusqlite::Connection;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering},
};
use tracing::warn;

/// Pages in the log from which on it is copied. More would copy a page that many batches change less often,
/// but take longer to read through and longer to sync.
const PAGES: i64 = 16_384;
/// Pages that the writer may copy itself: about a millisecond.
const REST: i64 = 128;
/// Most rounds beside the writer until the rest is that small: each copies what came during the one before.
const ROUNDS_MAX: usize = 5;

/// The copying of one file's log; a clone is the same one.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: Mutex<Option<Connection>>,
    /// Copying beside the writer.
    is_running: AtomicBool,
    /// The writer is to copy the rest.
    is_rest_due: AtomicBool,
    /// Pages in the log from which on the next one begins.
    next_at: AtomicI64,
}

/// What SQLite says of the log.
#[derive(Debug, Clone, Copy)]
struct Log {
    pages: i64,
    copied: i64,
}

impl Checkpoint {
    /// With a connection of its own.
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(Shared {
            connection: Mutex::new(Some(connection)),
            is_running: AtomicBool::new(false),
            is_rest_due: AtomicBool::new(false),
            next_at: AtomicI64::new(PAGES),
        }))
    }

    /// To be called after each commit of `writer`, on a thread that may block. What fails here fails no
    /// commit: the log only stays longer.
    pub(super) fn after_commit(&self, writer: &Connection) {
        if let Err(error) = self.go_on(writer) {
            warn!("the write-ahead log cannot be copied into the file: {error}");
        }
    }

    fn go_on(&self, writer: &Connection) -> rusqlite::Result<()> {
        let shared = &self.0;
        if shared.is_rest_due.swap(false, Ordering::AcqRel) {
            let log = ask(writer, "PASSIVE")?;
            // A reader of an old state keeps the log from being copied whole: not again at once.
            let left = if log.copied == log.pages { 0 } else { log.pages };
            shared.next_at.store(left + PAGES, Ordering::Release);
            return Ok(());
        }
        if shared.is_running.load(Ordering::Acquire)
            || ask(writer, "NOOP")?.pages < shared.next_at.load(Ordering::Acquire)
        {
            return Ok(());
        }
        shared.is_running.store(true, Ordering::Release);
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || {
            let connection = shared.connection.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Err(error)) = connection.as_ref().map(copy_most) {
                warn!("the write-ahead log cannot be copied into the file: {error}");
            }
            drop(connection);
            shared.is_rest_due.store(true, Ordering::Release);
            shared.is_running.store(false, Ordering::Release);
        });
        Ok(())
    }

    /// Gives the connection back, once nothing is being copied.
    pub(super) fn close(&self) {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn copy_most(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..ROUNDS_MAX {
        ask(connection, "PASSIVE")?;
        let log = ask(connection, "NOOP")?;
        if log.pages - log.copied <= REST {
            break;
        }
    }
    Ok(())
}

/// A checkpoint of that mode: <https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>.
fn ask(connection: &Connection, mode: &str) -> rusqlite::Result<Log> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    statement.query_row([], |row| Ok(Log { pages: row.get(1)?, copied: row.get(2)? }))
}
