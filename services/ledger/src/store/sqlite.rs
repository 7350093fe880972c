//! SQLite: one file for each shard, one writing connection, readers that never
//! wait for it. Reads go through sqlx like those of PostgreSQL; batches are
//! written with prepared statements on the writer's own connection, a row in
//! about two microseconds.

mod checkpoint;

use super::{
    Changes, StoreError,
    rows::{PositionRow, SettlementRow, ShardRow, SlotRow, TradeRow, WalletRow},
    session::{Pool, Session},
    table::{Row, Sink},
};
use anyhow::Context as _;
use checkpoint::Checkpoint;
use rusqlite::{CachedStatement, Connection, OpenFlags, Transaction, TransactionBehavior, params};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tragen_host::failpoint;
use uuid::Uuid;

/// Pages of cache of a reading connection, KiB.
const CACHE_KIB: &str = "-65536";
/// The same for the writing one: the touched parts of the indexes stay in memory.
const WRITER_CACHE_KIB: &str = "-65536";
/// Pages of the write-ahead log after which a connection copies it into the file by itself, should nobody
/// have done it before: see [`checkpoint`].
const CHECKPOINT_PAGES: &str = "32768";
/// Rows that the thread of a reading connection may be ahead of whoever takes them. With fewer each waits for the
/// other again and again, and on a machine with much to do that takes a slice of the processor's time every time.
const ROWS_AHEAD: usize = 1_024;
/// Statements kept prepared.
const STATEMENTS: usize = 32;
/// The first version without the bug that could spoil a WAL that several connections use.
const VERSION_MIN: i32 = 3_051_003;

fn options(url: &str, wait: Duration) -> anyhow::Result<SqliteConnectOptions> {
    let options = SqliteConnectOptions::from_str(url).with_context(|| format!("reading the store url {url}"))?;
    anyhow::ensure!(!url.contains(":memory:"), "the books must be in a file, not in memory");
    anyhow::ensure!(
        rusqlite::version_number() >= VERSION_MIN,
        "SQLite {} may spoil its write-ahead log, 3.51.3 is needed",
        rusqlite::version()
    );
    // FULL: every commit is fsynced. NORMAL would lose the last commits at a power cut.
    Ok(options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(wait)
        .row_buffer_size(ROWS_AHEAD)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE_KIB))
}

pub(super) async fn update_tables(url: &str, wait: Duration) -> anyhow::Result<()> {
    let options = options(url, wait)?;
    // The file is made if it is missing, its folder is not: where a disk is not mounted, no new books may begin.
    folder_of(options.get_filename(), "the books")?;
    let updating = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(wait)
        .connect_with(options.create_if_missing(true))
        .await
        .with_context(|| format!("opening the ledger at {url}"))?;
    let mut migrations = sqlx::migrate!("migrations/sqlite");
    // A newer version may have added to the tables: what it adds does not disturb this one.
    migrations.set_ignore_missing(true).run(&updating).await.context("updating the ledger's tables")?;
    updating.close().await;
    Ok(())
}

pub(super) fn connect_readers(url: &str, readers_max: u32, wait: Duration) -> anyhow::Result<Pool> {
    let readers = SqlitePoolOptions::new().max_connections(readers_max).acquire_timeout(wait);
    Ok(Pool::Sqlite(readers.connect_lazy_with(options(url, wait)?.read_only(true))))
}

pub(super) async fn snapshot(url: &str, wait: Duration) -> anyhow::Result<Session> {
    let options = options(url, wait)?.read_only(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(wait)
        .connect_with(options)
        .await
        .with_context(|| format!("opening the ledger at {url}"))?;
    // A deferred transaction sees one state of the file from its first read on.
    Ok(Session::Sqlite(pool.begin().await.context("starting to read")?))
}

/// Connections for turns beside the writer.
pub(super) async fn open_turns(url: &str, wait: Duration) -> anyhow::Result<Pool> {
    let pool = SqlitePoolOptions::new().max_connections(super::turn::CONNECTIONS).acquire_timeout(wait);
    let pool = pool.connect_with(options(url, wait)?).await;
    Ok(Pool::Sqlite(pool.with_context(|| format!("opening the ledger at {url}"))?))
}

/// The folder that `file` lies in, which must be there.
///
/// # Errors
/// When it is not; the message says what to do.
pub(crate) fn folder_of<'a>(file: &'a Path, of_what: &str) -> anyhow::Result<&'a Path> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    anyhow::ensure!(
        folder.is_dir(),
        "there is no folder {} for {of_what} {}: make it (mkdir -p), mount its disk, or name another place",
        folder.display(),
        file.display()
    );
    Ok(folder)
}

/// The file behind a `sqlite://` url.
pub(crate) fn path_of(url: &str) -> anyhow::Result<PathBuf> {
    let options = SqliteConnectOptions::from_str(url).with_context(|| format!("reading the store url {url}"))?;
    Ok(options.get_filename().to_path_buf())
}

/// A connection with the settings of all connections to the books.
pub(crate) fn connect(url: &str, is_writing: bool, wait: Duration) -> anyhow::Result<Connection> {
    connect_to_file(&path_of(url)?, is_writing, wait)
}

/// The same by the file's name.
pub(super) fn connect_to_file(path: &Path, is_writing: bool, wait: Duration) -> anyhow::Result<Connection> {
    let access = if is_writing { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_context(|| format!("opening {}", path.display()))?;
    connection.busy_timeout(wait)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", if is_writing { WRITER_CACHE_KIB } else { CACHE_KIB })?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// The writing connection; a clone is the same one.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    connection: Arc<Mutex<Option<Connection>>>,
    checkpoint: Checkpoint,
}

impl Writer {
    pub(super) async fn open(url: &str, wait: Duration) -> Result<Self, StoreError> {
        let url = url.to_owned();
        let connect = move || anyhow::Ok((connect(&url, true, wait)?, connect(&url, true, wait)?));
        match tokio::task::spawn_blocking(connect).await {
            Ok(Ok((connection, beside))) => {
                Ok(Self { connection: Arc::new(Mutex::new(Some(connection))), checkpoint: Checkpoint::new(beside) })
            }
            Ok(Err(error)) => Err(StoreError::unavailable(error)),
            Err(panic) => Err(StoreError::unavailable(anyhow::Error::new(panic))),
        }
    }

    pub(super) async fn begin(&self, first: ShardRow, slots: Vec<SlotRow>) -> Result<(), StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let is_new = transaction.query_row("SELECT count(*) = 0 FROM shard", [], |row| row.get(0))?;
            if is_new {
                insert(&transaction, std::slice::from_ref(&first))?;
                insert(&transaction, &slots)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    pub(super) async fn take_over(&self) -> Result<ShardRow, StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute("UPDATE shard SET epoch = epoch + 1", [])?;
            let sql = format!("SELECT {} FROM shard", ShardRow::COLUMNS);
            let shard = transaction.query_row(&sql, [], |row| Ok(from_row(row)))?;
            failpoint::pass("before_take_over");
            transaction.commit()?;
            shard.map_err(|error| StoreError::unavailable(anyhow::Error::new(error)))
        })
        .await
    }

    /// True when another writer has taken over.
    pub(super) async fn commit(&self, changes: Arc<Changes>) -> Result<bool, StoreError> {
        let checkpoint = self.checkpoint.clone();
        self.run(move |connection| {
            let is_fenced = commit(connection, &changes)?;
            checkpoint.after_commit(connection);
            Ok(is_fenced)
        })
        .await
    }

    pub(super) fn close(&self) {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.checkpoint.close();
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match connection.as_mut() {
                Some(connection) => work(connection),
                None => Err(StoreError::unavailable(anyhow::anyhow!("the writing connection is closed"))),
            }
        });
        done.await.unwrap_or_else(|panic| Err(StoreError::unavailable(anyhow::Error::new(panic))))
    }
}

fn commit(connection: &mut Connection, changes: &Changes) -> Result<bool, StoreError> {
    // IMMEDIATE takes the write lock at once; an upgrade in the middle could fail.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !advance(&transaction, changes)? {
        return Ok(true);
    }
    failpoint::pass("after_fence");
    insert(&transaction, &changes.new_trades)?;
    upsert(&transaction, "trade_id", &changes.changed_trades, TradeRow::CHANGING)?;
    insert(&transaction, &changes.executions)?;
    insert(&transaction, &changes.cash)?;
    insert(&transaction, &changes.transfers)?;
    insert(&transaction, &changes.new_wallets)?;
    upsert(&transaction, "account_id, currency", &changes.changed_wallets, WalletRow::CHANGING)?;
    insert(&transaction, &changes.new_positions)?;
    upsert(&transaction, "account_id, instrument_id", &changes.changed_positions, PositionRow::CHANGING)?;
    insert::<SettlementRow>(&transaction, &changes.settlements)?;
    insert(&transaction, &changes.payouts)?;
    insert(&transaction, &changes.checkpoints)?;
    insert(&transaction, changes.batch.as_slice())?;
    upsert(&transaction, "report_id", &changes.rejected, &["reason"])?;
    failpoint::pass("before_commit");
    transaction.commit()?;
    failpoint::pass("after_commit");
    Ok(false)
}

fn advance(transaction: &Transaction<'_>, changes: &Changes) -> Result<bool, StoreError> {
    let (before, after) = (&changes.before, &changes.after);
    let mut statement = transaction.prepare_cached(
        "UPDATE shard SET posting_sequence = ?1, transfer_sequence = ?2, trade_sequence = ?3, fact_sequence = ?4,
            batch_sequence = ?5, head_hash = ?6, posted_at = ?7, seals = ?8
         WHERE epoch = ?9 AND posting_sequence = ?10 AND fact_sequence = ?11",
    )?;
    let moved = statement.execute(params![
        after.posting_sequence,
        after.transfer_sequence,
        after.trade_sequence,
        after.fact_sequence,
        after.batch_sequence,
        after.head_hash,
        after.posted_at,
        after.seals,
        before.epoch,
        before.posting_sequence,
        before.fact_sequence
    ])?;
    Ok(moved == 1)
}

fn values(width: i16) -> String {
    let marks: Vec<_> = (1..=width).map(|number| format!("?{number}")).collect();
    marks.join(", ")
}

/// Inserts rows that are not there yet.
pub(crate) fn insert<R: Row>(transaction: &Transaction<'_>, rows: &[R]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!("INSERT INTO {} ({}) VALUES ({})", R::TABLE, R::COLUMNS, values(R::WIDTH));
    put_all(transaction.prepare_cached(&sql)?, rows)
}

/// Inserts rows, or changes the `changing` columns of those that are there.
fn upsert<R: Row>(transaction: &Transaction<'_>, key: &str, rows: &[R], changing: &[&str]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let changing: Vec<_> = changing.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({key}) DO UPDATE SET {}",
        R::TABLE,
        R::COLUMNS,
        values(R::WIDTH),
        changing.join(", ")
    );
    put_all(transaction.prepare_cached(&sql)?, rows)
}

fn put_all<R: Row>(mut statement: CachedStatement<'_>, rows: &[R]) -> Result<(), StoreError> {
    for row in rows {
        let mut binding = Binding { statement: &mut statement, place: 0, failed: None };
        row.put(&mut binding);
        if let Some(error) = binding.failed {
            return Err(error.into());
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Binds a row's columns to a statement.
struct Binding<'a, 's> {
    statement: &'a mut CachedStatement<'s>,
    place: usize,
    failed: Option<rusqlite::Error>,
}

impl Binding<'_, '_> {
    fn bind(&mut self, value: impl rusqlite::ToSql) {
        self.place += 1;
        if let Err(error) = self.statement.raw_bind_parameter(self.place, value) {
            self.failed = Some(error);
        }
    }
}

impl Sink for Binding<'_, '_> {
    fn int(&mut self, value: Option<i64>) {
        self.bind(value);
    }
    fn small(&mut self, value: i32) {
        self.bind(value);
    }
    fn bool(&mut self, value: bool) {
        self.bind(value);
    }
    fn text(&mut self, value: &str) {
        self.bind(value);
    }
    fn bytes(&mut self, value: &[u8]) {
        self.bind(value);
    }
    fn uuid(&mut self, value: &Uuid) {
        self.bind(value.as_bytes().as_slice());
    }
}

/// A row as rusqlite gives it.
pub(crate) struct Given<'a, 's> {
    row: &'a rusqlite::Row<'s>,
    place: usize,
}

/// The row of a table out of a result that has its columns in their order.
pub(crate) fn from_row<R: Row>(row: &rusqlite::Row<'_>) -> Result<R, super::table::Mistyped> {
    R::take(&mut Given { row, place: 0 })
}

impl Given<'_, '_> {
    fn next(&mut self) -> Result<rusqlite::types::ValueRef<'_>, super::table::Mistyped> {
        self.place += 1;
        self.row.get_ref(self.place - 1).map_err(|_| super::table::Mistyped)
    }
}

impl super::table::Source for Given<'_, '_> {
    fn int(&mut self) -> Result<Option<i64>, super::table::Mistyped> {
        self.next()?.as_i64_or_null().map_err(|_| super::table::Mistyped)
    }
    fn small(&mut self) -> Result<i32, super::table::Mistyped> {
        let number = self.next()?.as_i64().map_err(|_| super::table::Mistyped)?;
        i32::try_from(number).map_err(|_| super::table::Mistyped)
    }
    fn bool(&mut self) -> Result<bool, super::table::Mistyped> {
        Ok(self.next()?.as_i64().map_err(|_| super::table::Mistyped)? != 0)
    }
    fn text(&mut self) -> Result<&str, super::table::Mistyped> {
        self.next()?.as_str().map_err(|_| super::table::Mistyped)
    }
    fn bytes(&mut self) -> Result<&[u8], super::table::Mistyped> {
        self.next()?.as_blob().map_err(|_| super::table::Mistyped)
    }
    fn uuid(&mut self) -> Result<Uuid, super::table::Mistyped> {
        Uuid::from_slice(self.bytes()?).map_err(|_| super::table::Mistyped)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let is_about_data = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
        );
        if is_about_data { Self::Refused(error.into()) } else { Self::Unavailable(error.into()) }
    }
}
