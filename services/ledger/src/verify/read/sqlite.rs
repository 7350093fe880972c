//! SQLite: connections whose read transactions all see the same state of the
//! file. Rows are brought into the form in which PostgreSQL gives them.

use super::{Found, Kind, OPEN_WAIT, PAGE_BYTES, Pages, Readers, Snapshot};
use crate::store::{
    self,
    rows::ShardRow,
    sqlite::{connect, from_row, path_of},
    table::{Mistyped, Row as _},
};
use anyhow::Context as _;
use rusqlite::{Connection, types::ValueRef};
use tokio::runtime::Handle;

/// Connections: every table of the books at the same time.
const CONNECTIONS: u32 = 18;
/// Pages of cache of each, KiB: every page of a table is read once.
const CACHE_KIB: &str = "-4096";
/// How often the books may change while the connections are opened.
const ATTEMPTS_MAX: u32 = 1_000;

/// Begins a transaction on every connection until all of them see the same state.
pub(super) fn snapshot(handle: &Handle, number: u16, url: &str) -> Result<Snapshot, Found> {
    let connections = connections(url)?;
    for _ in 0..ATTEMPTS_MAX {
        let session = handle.block_on(store::snapshot(url, number, OPEN_WAIT))?;
        let readers = Readers::Sqlite(Vec::new());
        let mut snapshot = Snapshot::of(handle, (number, session), readers)?;
        if all_see(&connections, &snapshot.shard)? {
            snapshot.readers = Readers::Sqlite(connections);
            return Ok(snapshot);
        }
    }
    Err(anyhow::anyhow!("the books change too fast to see one state of them").into())
}

fn connections(url: &str) -> anyhow::Result<Vec<Connection>> {
    let path = path_of(url)?;
    anyhow::ensure!(path.is_file(), "there are no books at {}", path.display());
    let open = |_| {
        let connection = connect(url, false, OPEN_WAIT)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        Ok(connection)
    };
    (0..CONNECTIONS).map(open).collect()
}

/// Whether a new transaction on every connection sees `shard`; if not, none is left open. Every posting
/// changes the shard row, so connections that see the same row see the same postings.
fn all_see(connections: &[Connection], shard: &ShardRow) -> anyhow::Result<bool> {
    let select = format!("SELECT {} FROM shard", ShardRow::COLUMNS);
    for (number, connection) in connections.iter().enumerate() {
        // A deferred transaction sees one state of the file from its first read on.
        connection.execute_batch("BEGIN DEFERRED").context("starting to read")?;
        let seen = connection.query_row(&select, [], |row| Ok(from_row::<ShardRow>(row)))?;
        if seen.ok().as_ref() != Some(shard) {
            for connection in &connections[..=number] {
                connection.execute_batch("ROLLBACK").context("ending to read")?;
            }
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends the rows of `select`, whose columns are of `kinds`.
pub(super) fn scan(connection: &Connection, select: &str, kinds: &[Kind], mut out: Pages) {
    if let Err(error) = send(connection, select, kinds, &mut out) {
        out.fail(error.context(format!("reading: {select}")));
    }
}

fn send(connection: &Connection, select: &str, kinds: &[Kind], out: &mut Pages) -> anyhow::Result<()> {
    let mut statement = connection.prepare(select)?;
    let mut rows = statement.query([])?;
    let count = i16::try_from(kinds.len())?.to_be_bytes();
    while let Some(row) = rows.next()? {
        out.page.extend_from_slice(&count);
        for (place, kind) in kinds.iter().enumerate() {
            put(&mut out.page, *kind, row.get_ref(place)?)?;
        }
        if out.page.len() >= PAGE_BYTES && !out.send(out.page.len()) {
            return Ok(());
        }
    }
    out.send(out.page.len());
    Ok(())
}

/// Adds a column as COPY in binary form has it: its length, then its bytes.
fn put(page: &mut Vec<u8>, kind: Kind, value: ValueRef<'_>) -> Result<(), Mistyped> {
    match (kind, value) {
        (_, ValueRef::Null) => page.extend_from_slice(&(-1_i32).to_be_bytes()),
        (Kind::Int, ValueRef::Integer(number)) => field(page, &number.to_be_bytes()),
        (Kind::Small, ValueRef::Integer(number)) => {
            field(page, &i32::try_from(number).map_err(|_| Mistyped)?.to_be_bytes());
        }
        (Kind::Bool, ValueRef::Integer(number)) => field(page, &[u8::try_from(number).map_err(|_| Mistyped)?]),
        (Kind::Plain, ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => field(page, bytes),
        (Kind::Int | Kind::Small | Kind::Bool | Kind::Plain, _) => return Err(Mistyped),
    }
    Ok(())
}

fn field(page: &mut Vec<u8>, bytes: &[u8]) {
    page.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    page.extend_from_slice(bytes);
}
