//! Double entry in plain SQL on SQLite, in this process.

use super::{
    figures::Figure,
    load::{Change, Transfer, changes},
    measure::{self, HISTORY, Run, TOTALS, Totals, Writer},
};
use anyhow::Context as _;
use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const TABLES: &str = "CREATE TABLE account (
        id INTEGER PRIMARY KEY,
        debits INTEGER NOT NULL,
        credits INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE transfer (
        id BLOB PRIMARY KEY,
        debit_id INTEGER NOT NULL,
        credit_id INTEGER NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0),
        kind INTEGER NOT NULL,
        posted_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;";
const ACCOUNTS: &str = "WITH RECURSIVE series (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM series WHERE id < $1)
    INSERT INTO account SELECT id, 0, 0 FROM series";
/// Pages in memory, KiB: as many as PostgreSQL's.
const CACHE_KIB: &str = "-1048576";

const INSERT_ONE: &str = "INSERT INTO transfer VALUES (?, ?, ?, ?, ?, ?)";
const UPDATE_ONE: &str = "UPDATE account SET debits = debits + ?, credits = credits + ? WHERE id = ?";
const INSERT_JSON: &str = "INSERT INTO transfer SELECT unhex(value->>0), value->>1, value->>2, value->>3, value->>4,
    value->>5 FROM json_each(?)";
const UPDATE_JSON: &str = "UPDATE account SET debits = debits + (change.value->>1),
        credits = credits + (change.value->>2)
    FROM json_each(?) AS change WHERE account.id = change.value->>0";
/// Rows in one statement with VALUES; SQLite takes 32,766 parameters.
const TRANSFERS_MAX: usize = 1_000;
const CHANGES_MAX: usize = 200;

/// How a transaction is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One statement for many rows, a parameter for each value.
    Values,
    /// One statement for all rows, which travel as one JSON array.
    Json,
    /// One prepared statement for each row.
    Statements,
}

impl Way {
    /// For many transfers in one transaction.
    pub(crate) const BATCHED: [Self; 3] = [Self::Values, Self::Json, Self::Statements];

    fn name(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Json => "json",
            Self::Statements => "statements",
        }
    }
}

/// Where SQLite's files are, and what SQLite is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// A folder for the books.
    pub(crate) folder: &'a Path,
    /// Further pragmas, each as `name=value`.
    pub(crate) pragmas: &'a [String],
}

/// SQLite's version and what it is told, by name.
///
/// # Errors
/// When there can be no file in the folder, or SQLite refuses a pragma.
pub(crate) async fn settings(place: Place<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let file = place.folder.join("settings.db");
    let mut connection = open(place, &file).await?;
    let mut settings = Vec::new();
    for (name, select) in [
        ("version", "SELECT sqlite_version()"),
        ("journal_mode", "PRAGMA journal_mode"),
        ("synchronous", "PRAGMA synchronous"),
        ("wal_autocheckpoint", "PRAGMA wal_autocheckpoint"),
        ("cache_size", "PRAGMA cache_size"),
    ] {
        let row = sqlx::query(select).fetch_one(&mut connection).await?;
        let value = row.try_get_unchecked::<String, _>(0)?;
        settings.push((format!("sqlite {name}"), value));
    }
    close(connection, &file).await?;
    Ok(settings)
}

/// Makes new books at `place` and lets one connection post there.
///
/// # Errors
/// When SQLite refuses something, or the books do not balance afterwards.
pub(crate) async fn measure(place: Place<'_>, run: &Run, way: Way) -> anyhow::Result<Figure> {
    let file = place.folder.join("books.db");
    let mut connection = open(place, &file).await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    if run.has_history {
        sqlx::raw_sql(HISTORY).execute(&mut connection).await?;
    }
    sqlx::query(ACCOUNTS).bind(run.accounts).execute(&mut connection).await?;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    let writer = SqliteWriter { connection, way, texts: HashMap::new() };
    let (figure, posted) = measure::measure(run, vec![writer], None).await?;
    let mut connection = open(place, &file).await?;
    let totals: Totals = sqlx::query_as(TOTALS).fetch_one(&mut connection).await?;
    measure::check(posted, totals)?;
    close(connection, &file).await?;
    Ok(Figure { store: "sqlite", way: way.name(), ..figure })
}

async fn open(place: Place<'_>, file: &Path) -> anyhow::Result<SqliteConnection> {
    let mut options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", CACHE_KIB);
    for pragma in place.pragmas {
        let (name, value) = pragma.split_once('=').with_context(|| format!("{pragma} is not NAME=VALUE"))?;
        options = options.pragma(name.to_owned(), value.to_owned());
    }
    SqliteConnection::connect_with(&options).await.with_context(|| format!("opening {}", file.display()))
}

/// The last connection takes the log with it.
async fn close(connection: SqliteConnection, file: &Path) -> anyhow::Result<()> {
    connection.close().await?;
    std::fs::remove_file(file).with_context(|| format!("removing {}", file.display()))
}

/// The connection that posts.
struct SqliteWriter {
    connection: SqliteConnection,
    way: Way,
    /// Statements with VALUES, by beginning and number of rows.
    texts: HashMap<(Table, usize), Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Table {
    Transfer,
    Account,
}

impl Writer for SqliteWriter {
    async fn post(&mut self, transfers: &[Transfer]) -> anyhow::Result<Option<Duration>> {
        let Self { connection, way, texts } = self;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        match way {
            Way::Values => post_values(&mut transaction, texts, transfers).await?,
            Way::Json => post_json(&mut transaction, transfers).await?,
            Way::Statements => post_each(&mut transaction, transfers).await?,
        }
        let started = Instant::now();
        transaction.commit().await?;
        Ok(Some(started.elapsed()))
    }
}

async fn post_values(
    connection: &mut SqliteConnection,
    texts: &mut HashMap<(Table, usize), Arc<str>>,
    transfers: &[Transfer],
) -> anyhow::Result<()> {
    for rows in transfers.chunks(TRANSFERS_MAX) {
        let text = texts.entry((Table::Transfer, rows.len())).or_insert_with(|| text(Table::Transfer, rows.len()));
        let query = rows.iter().fold(sqlx::query(AssertSqlSafe(text.clone())), bind_transfer);
        query.execute(&mut *connection).await?;
    }
    let mut changes: Vec<_> = changes(transfers).into_iter().map(|(id, change)| (Some(id), change)).collect();
    // Filled up with rows that match no account, so that the statement is one that is known.
    changes.resize(changes.len().next_multiple_of(CHANGES_MAX), (None, Change::default()));
    for rows in changes.chunks(CHANGES_MAX) {
        let text = texts.entry((Table::Account, rows.len())).or_insert_with(|| text(Table::Account, rows.len()));
        let query = sqlx::query(AssertSqlSafe(text.clone()));
        let bind = |query: Query, (id, change): &(Option<i64>, Change)| {
            query.bind(*id).bind(change.debits).bind(change.credits)
        };
        rows.iter().fold(query, bind).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The statement that writes `rows` rows at once.
fn text(table: Table, rows: usize) -> Arc<str> {
    let values = |row: &str| vec![row; rows].join(", ");
    let text = match table {
        Table::Transfer => format!("INSERT INTO transfer VALUES {}", values("(?, ?, ?, ?, ?, ?)")),
        Table::Account => format!(
            "WITH change (id, debits, credits) AS (VALUES {})
             UPDATE account SET debits = account.debits + change.debits, credits = account.credits + change.credits
             FROM change WHERE account.id = change.id",
            values("(?, ?, ?)")
        ),
    };
    text.into()
}

async fn post_json(connection: &mut SqliteConnection, transfers: &[Transfer]) -> anyhow::Result<()> {
    let rows: Vec<_> = transfers
        .iter()
        .map(|t| (t.id.simple().to_string(), t.debit_id, t.credit_id, t.amount, t.kind, t.posted_at))
        .collect();
    sqlx::query(INSERT_JSON).bind(serde_json::to_string(&rows)?).execute(&mut *connection).await?;
    let rows: Vec<_> = changes(transfers).into_iter().map(|(id, change)| (id, change.debits, change.credits)).collect();
    sqlx::query(UPDATE_JSON).bind(serde_json::to_string(&rows)?).execute(&mut *connection).await?;
    Ok(())
}

async fn post_each(connection: &mut SqliteConnection, transfers: &[Transfer]) -> anyhow::Result<()> {
    for transfer in transfers {
        bind_transfer(sqlx::query(INSERT_ONE), transfer).execute(&mut *connection).await?;
    }
    for (id, change) in changes(transfers) {
        let query = sqlx::query(UPDATE_ONE).bind(change.debits).bind(change.credits).bind(id);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

fn bind_transfer(query: Query, transfer: &Transfer) -> Query {
    query
        .bind(transfer.id.as_bytes().to_vec())
        .bind(transfer.debit_id)
        .bind(transfer.credit_id)
        .bind(transfer.amount)
        .bind(transfer.kind)
        .bind(transfer.posted_at)
}
