//! Reading a shard's books while they are written: one consistent view of them,
//! shared by as many connections as there are tables to read at the same time.
//! Each table is read by a thread of its own, a page ahead of whoever compares.

mod postgres;
mod sqlite;

use super::{
    Found, bad,
    record::{Columns, Kind, Record, SealedRecord},
};
use crate::store::{
    self,
    rows::ShardRow,
    session::{Arg, Record as SqlRow, Session, Sql},
    table::Mistyped,
};
use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use std::{
    marker::PhantomData,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};
use tokio::runtime::Handle;

/// Bytes of a page: enough that handing it on costs nothing, small enough to stay in the processor's cache.
const PAGE_BYTES: usize = 128 * 1_024;
/// Pages that a reader may be ahead.
const PAGES_AHEAD_MAX: usize = 4;
/// How long the store may take to open.
const OPEN_WAIT: Duration = Duration::from_secs(5);

const SHARD: Sql = Sql::same("SELECT * FROM shard");
const EXPORT: Sql = Sql::same("SELECT pg_export_snapshot()");
// The snapshot ends with its first session, which is idle while the others read.
const NEVER_IDLE: Sql = Sql::same("SET idle_in_transaction_session_timeout = 0");

/// One consistent view of the books of a shard.
pub(crate) struct Snapshot {
    handle: Handle,
    session: Session,
    readers: Readers,
    /// The shard row in it.
    pub(crate) shard: ShardRow,
}

/// Where further connections to the same view come from.
#[expect(clippy::large_enum_variant, reason = "there is one for each shard")]
enum Readers {
    /// Opened beforehand, with a transaction each.
    Sqlite(Vec<rusqlite::Connection>),
    /// Opened when needed, on the exported snapshot of that name.
    Postgres { options: PgConnectOptions, name: String },
}

impl Snapshot {
    /// Opens a view of the books of `number` at `url`. Not for use inside of async tasks: it waits.
    pub(crate) fn open(handle: &Handle, number: u16, url: &str) -> Result<Self, Found> {
        if store::is_sqlite(url) {
            return sqlite::snapshot(handle, number, url);
        }
        let mut session = handle.block_on(store::snapshot(url, number, OPEN_WAIT))?;
        let name = handle.block_on(async {
            session.rows::<(i32,)>(NEVER_IDLE, &[]).await?;
            session.rows::<(String,)>(EXPORT, &[]).await
        });
        let (name,) = name?.pop().context("the database has no snapshot to share")?;
        let readers = Readers::Postgres { options: store::postgres::options(url, number)?, name };
        Self::of(handle, (number, session), readers)
    }

    fn of(handle: &Handle, (number, mut session): (u16, Session), readers: Readers) -> Result<Self, Found> {
        let rows: Vec<ShardRow> = handle.block_on(session.rows(SHARD, &[]))?;
        let shard = rows.into_iter().next().ok_or_else(|| bad("shard", number, "the row is missing"))?;
        Ok(Self { handle: handle.clone(), session, readers, shard })
    }

    /// Few rows at once.
    pub(crate) fn rows<T: SqlRow>(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<T>, Found> {
        Ok(self.handle.block_on(self.session.rows(sql, args))?)
    }

    /// Many rows, read by a thread of their own: those that `which`, the end of a SELECT, names.
    pub(crate) fn scan<R: Record>(&mut self, which: &str) -> anyhow::Result<Stream<R>> {
        let select = format!("SELECT {} FROM {} {which}", R::COLUMNS, R::TABLE);
        let (pages, received) = sync_channel(PAGES_AHEAD_MAX);
        let out = Pages { pages, page: Vec::with_capacity(PAGE_BYTES) };
        let read: Box<dyn FnOnce() + Send> = match &mut self.readers {
            Readers::Sqlite(connections) => {
                let connection = connections.pop().context("too many tables are read at the same time")?;
                Box::new(move || sqlite::scan(&connection, &select, R::KINDS, out))
            }
            Readers::Postgres { options, name } => {
                let (options, name) = (options.clone(), name.clone());
                Box::new(move || postgres::scan(&options, &name, &select, out))
            }
        };
        let thread = std::thread::Builder::new().name(format!("read-{}", R::TABLE));
        thread.spawn(read).context("starting a thread to read with")?;
        Ok(Stream { pages: received, page: Vec::new(), place: 0, record: PhantomData })
    }
}

/// Rows on their way to whoever compares.
struct Pages {
    pages: SyncSender<anyhow::Result<Vec<u8>>>,
    page: Vec<u8>,
}

impl Pages {
    /// Sends what is whole of the page; false when nobody wants more.
    fn send(&mut self, whole: usize) -> bool {
        let mut page = std::mem::replace(&mut self.page, Vec::with_capacity(PAGE_BYTES));
        self.page.extend_from_slice(&page[whole..]);
        page.truncate(whole);
        page.is_empty() || self.pages.send(Ok(page)).is_ok()
    }

    /// Says that reading has failed.
    fn fail(&self, error: anyhow::Error) {
        // If nobody listens any more, nobody needs to know.
        let _ = self.pages.send(Err(error));
    }
}

/// The rows of a table, in the order they were asked for.
pub(crate) struct Stream<R> {
    pages: Receiver<anyhow::Result<Vec<u8>>>,
    page: Vec<u8>,
    place: usize,
    record: PhantomData<R>,
}

impl<R: Record> Stream<R> {
    /// Makes sure that the next row is there; false at the end.
    fn fill(&mut self) -> Result<bool, Found> {
        while self.place >= self.page.len() {
            match self.pages.recv() {
                Ok(page) => (self.page, self.place) = (page?, 0),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The first column of the next row; `None` at the end.
    pub(crate) fn key(&mut self) -> Result<Option<i64>, Found> {
        if !self.fill()? {
            return Ok(None);
        }
        let first = start(&self.page[self.place..]).and_then(|(mut columns, _)| columns.next());
        let first = first.ok().flatten().and_then(|bytes| bytes.try_into().ok().map(i64::from_be_bytes));
        first.map(Some).ok_or_else(|| mistyped::<R>())
    }

    /// Looks at the next row without taking it.
    pub(crate) fn peek<T>(&mut self, look: impl FnOnce(R::Row<'_>) -> T) -> Result<Option<T>, Found> {
        if !self.fill()? {
            return Ok(None);
        }
        let place = self.place;
        let seen = self.next()?.map(look);
        self.place = place;
        Ok(seen)
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<R::Row<'_>>, Found> {
        if !self.fill()? {
            return Ok(None);
        }
        let rest = &self.page[self.place..];
        let (mut columns, _) = start(rest).map_err(|_| mistyped::<R>())?;
        let row = R::parse(&mut columns).map_err(|_| mistyped::<R>())?;
        self.place = self.page.len() - columns.0.len();
        Ok(Some(row))
    }
}

/// A row with the bytes that its seal covers.
type Sealed<'a, R> = (<R as Record>::Row<'a>, &'a [u8]);

impl<R: SealedRecord> Stream<R> {
    /// The next row, with the bytes that its seal covers; `None` at the end.
    pub(crate) fn next_sealed(&mut self) -> Result<Option<Sealed<'_, R>>, Found> {
        if !self.fill()? {
            return Ok(None);
        }
        let rest = &self.page[self.place..];
        let (mut columns, _) = start(rest).map_err(|_| mistyped::<R>())?;
        let mut covered = columns;
        for _ in 0..=R::LEFT_OUT {
            covered.next().map_err(|_| mistyped::<R>())?;
        }
        let row = R::parse(&mut columns).map_err(|_| mistyped::<R>())?;
        self.place = self.page.len() - columns.0.len();
        let length = covered.0.len() - columns.0.len();
        Ok(Some((row, &covered.0[..length])))
    }
}

/// The columns of a row and how many they are.
fn start(row: &[u8]) -> Result<(Columns<'_>, i16), Mistyped> {
    let (count, columns) = row.split_first_chunk().ok_or(Mistyped)?;
    Ok((Columns(columns), i16::from_be_bytes(*count)))
}

fn mistyped<R: Record>() -> Found {
    Found::Failed(anyhow::Error::new(Mistyped).context(format!("reading the table {}", R::TABLE)))
}
