//! The books of one shard as a file, and back: how they go from SQLite to
//! PostgreSQL, or the other way. What comes back is the same to the last byte of
//! every row: the same hash chain, the same next epoch.

mod format;

use crate::{
    config::ShardConfig,
    store::{
        self, Books,
        lease::Leases,
        rows::{ShardRow, hex_text},
        session::{Record, Session},
        sqlite::folder_of,
        table::Row,
        turn::Turns,
        whole::{TABLES, Visit, visit},
    },
};
use anyhow::Context as _;
use format::{Block, Header, Reader, TableHeader, Writer};
use futures::TryStreamExt as _;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter},
};

/// How long the store may take to open.
const OPEN_WAIT: Duration = Duration::from_secs(10);
/// How long no ledger begins to serve the books that are imported; one that begins later waits for the import.
const LEASE: Duration = Duration::from_secs(10);
/// Rows between two words on how far it is.
const PROGRESS_ROWS: u64 = 1_000;

/// What was written to a file, or read from one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// The shard.
    pub shard: u16,
    /// Rows of all tables.
    pub rows: u64,
    /// The head of the hash chain, 64 hex digits.
    pub head_hash: String,
    /// The epoch of the books; whoever serves them next has a higher one.
    pub epoch: i64,
}

/// Writes the books of `shard` at `store_url` to `file`, as they are at one moment;
/// a ledger may go on meanwhile. `progress` hears how many rows of how many are written.
///
/// # Errors
/// When there are no books, the file is there already, or one of both fails; no file is left then.
pub async fn export(
    store_url: &str,
    shard: u16,
    file: &Path,
    progress: impl FnMut(u64, u64) + Send,
) -> anyhow::Result<Exported> {
    anyhow::ensure!(!file.exists(), "{} is there already", file.display());
    folder_of(file, "the file")?;
    let mut session = store::snapshot(store_url, shard, OPEN_WAIT).await?;
    let mut counting = Counting { session: &mut session, tables: Vec::new() };
    for table in 0..TABLES {
        visit(table, &mut counting).await?;
    }
    let tables = counting.tables;
    let row: Option<ShardRow> = session.stream("shard_id").try_next().await?;
    let row = row.with_context(|| format!("there are no books of shard {shard}"))?;
    let header = Header { shard, made_by: env!("CARGO_PKG_VERSION").to_owned(), tables };
    let part = beside(file, "part");
    let written = write(&mut session, &header, &part, progress).await;
    let named = match written {
        Ok(()) => publish(&part, file).await,
        Err(error) => Err(error),
    };
    if let Err(error) = named {
        let _ = tokio::fs::remove_file(&part).await;
        return Err(error);
    }
    Ok(exported(&header, &row))
}

/// Puts the books in `file` into the empty store at `store_url`: all of them or none.
/// `progress` hears how many rows of how many are read.
///
/// # Errors
/// When the file is damaged, or of a version with other tables (newer or older), the store has books already or a ledger serves it.
pub async fn import(store_url: &str, file: &Path, progress: impl FnMut(u64, u64) + Send) -> anyhow::Result<Exported> {
    let input = File::open(file).await.with_context(|| format!("opening {}", file.display()))?;
    let (mut reader, header) = Reader::begin(BufReader::new(input)).await?;
    check_tables(&header).await?;
    let place = ShardConfig { url: store_url.to_owned(), replica_urls: Vec::new() };
    let books = Books::open(header.shard, &place, 1, OPEN_WAIT).await?;
    let leases = Leases::new(header.shard, &place, OPEN_WAIT)?;
    let own = format!("import-{}", uuid::Uuid::new_v4().simple());
    anyhow::ensure!(leases.hold(header.shard, &own, LEASE).await?, "a ledger serves these books: stop it first");
    let turns = Turns::open(header.shard, &place, OPEN_WAIT).await?;
    let row = read(&turns, &mut reader, &header, progress).await;
    turns.close().await;
    books.close().await;
    leases.release(header.shard, &own).await?;
    Ok(exported(&header, &row?))
}

fn exported(header: &Header, row: &ShardRow) -> Exported {
    let rows = header.tables.iter().map(|table| table.rows).sum();
    Exported { shard: header.shard, rows, head_hash: hex_text(&row.head_hash), epoch: row.epoch }
}

/// `<file>.<ending>`.
pub(crate) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Gives the finished file `part` its name, which nobody else has taken meanwhile, and makes both last.
pub(crate) async fn publish(part: &Path, file: &Path) -> anyhow::Result<()> {
    let written = OpenOptions::new().read(true).write(true).open(part).await?;
    written.sync_all().await.with_context(|| format!("writing {} to disk", part.display()))?;
    // A link is refused where a rename would replace.
    tokio::fs::hard_link(part, file).await.with_context(|| format!("naming {}", file.display()))?;
    tokio::fs::remove_file(part).await?;
    let folder = folder_of(file, "the file")?;
    File::open(folder).await?.sync_all().await.with_context(|| format!("writing {} to disk", folder.display()))
}

async fn write(
    session: &mut Session,
    header: &Header,
    part: &Path,
    progress: impl FnMut(u64, u64) + Send,
) -> anyhow::Result<()> {
    let out = File::create(part).await.with_context(|| format!("creating {}", part.display()))?;
    let total = header.tables.iter().map(|table| table.rows).sum();
    let writer = Writer::begin(BufWriter::new(out), header).await?;
    let mut exporting = Exporting { session, writer, table: 0, written: 0, total, progress };
    for table in 0..TABLES {
        exporting.table = table;
        visit(table, &mut exporting).await?;
    }
    exporting.writer.end().await?;
    Ok(())
}

/// The tables of a file must be those of this version.
async fn check_tables(header: &Header) -> anyhow::Result<()> {
    let mut known = Columns { tables: Vec::new() };
    for table in 0..TABLES {
        visit(table, &mut known).await?;
    }
    let told = |tables: &[TableHeader]| -> Vec<_> {
        tables.iter().map(|table| format!("{} ({})", table.name, table.columns)).collect()
    };
    let (of_file, own) = (told(&header.tables), told(&known.tables));
    let longer = of_file.len().max(own.len());
    let Some(other) = (0..longer).find(|place| of_file.get(*place) != own.get(*place)) else { return Ok(()) };
    let of = |tables: &[String]| tables.get(other).cloned().unwrap_or_else(|| "nothing".to_owned());
    anyhow::bail!(
        "the file was made by version {} with other tables than those of this build: it has {}, and {} is known here; \
         import it with the build that made it, update those books, and export them again",
        header.made_by,
        of(&of_file),
        of(&own)
    )
}

async fn read(
    turns: &Turns,
    reader: &mut Reader<BufReader<File>>,
    header: &Header,
    progress: impl FnMut(u64, u64) + Send,
) -> anyhow::Result<ShardRow> {
    let mut session = turns.pool.begin_writing().await?;
    let mut counting = Counting { session: &mut session, tables: Vec::new() };
    for table in 0..TABLES {
        visit(table, &mut counting).await?;
    }
    let found = counting.tables.iter().find(|table| table.rows > 0);
    if let Some(found) = found {
        anyhow::bail!("there are books already ({} has {} rows): import into an empty store", found.name, found.rows);
    }
    // Before anything is written, and also where the file has no rows: with such a table no ledger could go on.
    let mut looking = Looking { session: &mut session };
    for table in 0..TABLES {
        visit(table, &mut looking).await?;
    }
    let total = header.tables.iter().map(|table| table.rows).sum();
    let mut importing =
        Importing { session: &mut session, block: None, read: vec![0; usize::from(TABLES)], total, progress };
    while let Some(block) = reader.block().await? {
        let table = block.table;
        importing.block = Some(block);
        anyhow::ensure!(visit(table, &mut importing).await?, "the file is damaged: there is no table {table}");
    }
    let expected: Vec<u64> = header.tables.iter().map(|table| table.rows).collect();
    anyhow::ensure!(importing.read == expected, "the file is damaged: it has other rows than it says");
    let row: Option<ShardRow> = session.stream("shard_id").try_next().await?;
    let row = row.filter(|row| row.shard_id == i64::from(header.shard));
    let row = row.context("the file is damaged: it has no row of its shard")?;
    session.commit().await.context("putting the books in place")?;
    Ok(row)
}

/// Counts the rows of each table.
struct Counting<'a> {
    session: &'a mut Session,
    tables: Vec<TableHeader>,
}

impl Visit for Counting<'_> {
    async fn table<R: Row + Record + Sync + 'static>(&mut self, _: &'static str) -> anyhow::Result<()> {
        let rows = self.session.count::<R>().await.with_context(|| format!("counting {}", R::TABLE))?;
        self.tables.push(TableHeader { name: R::TABLE.to_owned(), columns: R::COLUMNS.to_owned(), rows });
        Ok(())
    }
}

/// Reads each table, so that one without the columns of this version is named.
struct Looking<'a> {
    session: &'a mut Session,
}

impl Visit for Looking<'_> {
    async fn table<R: Row + Record + Sync + 'static>(&mut self, order: &'static str) -> anyhow::Result<()> {
        let first = self.session.stream::<R>(order).try_next().await;
        first.map(drop).with_context(|| format!("the store has another table {} than this build", R::TABLE))
    }
}

/// Names the columns of each table.
struct Columns {
    tables: Vec<TableHeader>,
}

impl Visit for Columns {
    async fn table<R: Row + Record + Sync + 'static>(&mut self, _: &'static str) -> anyhow::Result<()> {
        self.tables.push(TableHeader { name: R::TABLE.to_owned(), columns: R::COLUMNS.to_owned(), rows: 0 });
        Ok(())
    }
}

/// Writes the rows of each table.
struct Exporting<'a, P> {
    session: &'a mut Session,
    writer: Writer<BufWriter<File>>,
    table: u8,
    written: u64,
    total: u64,
    progress: P,
}

impl<P: FnMut(u64, u64) + Send> Visit for Exporting<'_, P> {
    async fn table<R: Row + Record + Sync + 'static>(&mut self, order: &'static str) -> anyhow::Result<()> {
        let mut rows = self.session.stream::<R>(order);
        while let Some(row) = rows.try_next().await.with_context(|| format!("reading {}", R::TABLE))? {
            self.writer.row(self.table, &row).await?;
            self.written += 1;
            if self.written.is_multiple_of(PROGRESS_ROWS) || self.written == self.total {
                (self.progress)(self.written, self.total);
            }
        }
        self.writer.close(self.table).await
    }
}

/// Inserts the rows of a block.
struct Importing<'a, P> {
    session: &'a mut Session,
    block: Option<Block>,
    /// Rows by table.
    read: Vec<u64>,
    total: u64,
    progress: P,
}

impl<P: FnMut(u64, u64) + Send> Visit for Importing<'_, P> {
    async fn table<R: Row + Record + Sync + 'static>(&mut self, _: &'static str) -> anyhow::Result<()> {
        let Some(block) = self.block.take() else { return Ok(()) };
        let rows: Vec<R> = block.rows()?;
        self.session.insert(&rows).await.with_context(|| format!("writing {}", R::TABLE))?;
        if let Some(read) = self.read.get_mut(usize::from(block.table)) {
            *read += u64::try_from(rows.len()).unwrap_or_default();
        }
        (self.progress)(self.read.iter().sum(), self.total);
        Ok(())
    }
}
