//! One way to read from either database: a static statement, its arguments and
//! the rows it gives.

use super::{StoreError, sqlite::from_row, table::Row};
use rusqlite::{params_from_iter, types::Value};
use sqlx::{
    AssertSqlSafe, FromRow, PgPool, Postgres, SqlSafeStr, SqlStr, Sqlite, SqlitePool, Transaction, postgres::PgRow,
    query::QueryAs, sqlite::SqliteRow,
};
use uuid::Uuid;

/// A row both databases can give.
pub(crate) trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {
    /// What `*` stands for in a statement that gives it: the columns that this version knows. A newer
    /// version may have added others.
    const SELECTED: &'static str;
}

macro_rules! tuples {
    ($(($($column:ident)*))*) => {
        $(impl<$($column),*> Record for ($($column,)*)
        where
            Self: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
        {
            const SELECTED: &'static str = "*";
        })*
    };
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

/// A statement in both dialects. `*` in it stands for [`Record::SELECTED`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Sql {
    /// For statements that differ.
    pub(crate) const fn new(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }

    /// For statements both understand.
    pub(crate) const fn same(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// An argument of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    /// A number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// An id.
    Uuid(Uuid),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Many texts: an array for PostgreSQL, a JSON array for SQLite.
    Texts(&'a [String]),
    /// Many pairs of texts: two arrays, so two parameters, for PostgreSQL; a JSON object for SQLite, where a key may
    /// come more than once.
    Pairs(&'a [(String, String)]),
    /// Many ids: an array for PostgreSQL, a JSON array of hex digits for SQLite (read with `unhex`).
    Uuids(&'a [Uuid]),
}

/// Connections to one of the two.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    /// A file.
    Sqlite(SqlitePool),
    /// A server.
    Postgres(PgPool),
}

/// An open transaction on one of the two.
#[derive(Debug)]
pub(crate) enum Session {
    /// A file.
    Sqlite(Transaction<'static, Sqlite>),
    /// A server.
    Postgres(Transaction<'static, Postgres>),
}

impl Pool {
    /// The rows that a statement gives.
    pub(crate) async fn rows<T: Record>(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<T>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => sqlite_query(sql, args).fetch_all(pool).await?,
            Self::Postgres(pool) => postgres_query(sql, args).fetch_all(pool).await?,
        })
    }

    /// The row that a statement gives at most.
    pub(crate) async fn one<T: Record>(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// `sqlite` or `postgresql`, as traces name it.
    pub(crate) fn system(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Session {
    pub(crate) async fn rows<T: Record>(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<T>, StoreError> {
        Ok(match self {
            Self::Sqlite(transaction) => sqlite_query(sql, args).fetch_all(&mut **transaction).await?,
            Self::Postgres(transaction) => postgres_query(sql, args).fetch_all(&mut **transaction).await?,
        })
    }
}

/// The statement with the columns of `T` by name.
fn named<T: Record>(text: &'static str) -> SqlStr {
    if T::SELECTED == "*" {
        return text.into_sql_str();
    }
    let named = text.replacen("SELECT *", &format!("SELECT {}", T::SELECTED), 1);
    AssertSqlSafe(named.replacen("RETURNING *", &format!("RETURNING {}", T::SELECTED), 1)).into_sql_str()
}

fn sqlite_query<'q, T: Record>(
    sql: Sql,
    args: &[Arg<'q>],
) -> QueryAs<'q, Sqlite, T, <Sqlite as sqlx::Database>::Arguments> {
    args.iter().fold(sqlx::query_as(named::<T>(sql.sqlite)), |query, arg| match arg {
        Arg::Int(number) => query.bind(*number),
        Arg::Text(text) => query.bind(*text),
        Arg::Uuid(uuid) => query.bind(*uuid),
        Arg::Bytes(bytes) => query.bind(bytes.to_vec()),
        Arg::Texts(texts) => query.bind(array(texts)),
        Arg::Pairs(pairs) => query.bind(object(pairs)),
        Arg::Uuids(uuids) => query.bind(hex_array(uuids)),
    })
}

/// All rows that a statement gives, read by the thread that asks: nothing is handed from one thread to another.
pub(super) fn rows_of_file<T: Record + Row>(
    connection: &rusqlite::Connection,
    sql: Sql,
    args: &[Arg<'_>],
) -> Result<Vec<T>, StoreError> {
    let values = args.iter().map(|arg| match arg {
        Arg::Int(number) => Value::Integer(*number),
        Arg::Text(text) => Value::Text((*text).to_owned()),
        Arg::Uuid(uuid) => Value::Blob(uuid.as_bytes().to_vec()),
        Arg::Bytes(bytes) => Value::Blob(bytes.to_vec()),
        Arg::Texts(texts) => Value::Text(array(texts)),
        Arg::Pairs(pairs) => Value::Text(object(pairs)),
        Arg::Uuids(uuids) => Value::Text(hex_array(uuids)),
    });
    let mut statement = connection.prepare(named::<T>(sql.sqlite).as_str())?;
    let rows = statement.query_map(params_from_iter(values), |row| Ok(from_row(row)))?;
    rows.map(|row| row?.map_err(|error| StoreError::unavailable(error.into()))).collect()
}

fn postgres_query<'q, T: Record>(
    sql: Sql,
    args: &[Arg<'q>],
) -> QueryAs<'q, Postgres, T, <Postgres as sqlx::Database>::Arguments> {
    args.iter().fold(sqlx::query_as(named::<T>(sql.postgres)), |query, arg| match arg {
        Arg::Int(number) => query.bind(*number),
        Arg::Text(text) => query.bind(*text),
        Arg::Uuid(uuid) => query.bind(*uuid),
        Arg::Bytes(bytes) => query.bind(*bytes),
        Arg::Texts(texts) => query.bind(*texts),
        Arg::Pairs(pairs) => {
            let (first, second): (Vec<_>, Vec<_>) = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
            query.bind(first).bind(second)
        }
        Arg::Uuids(uuids) => query.bind(*uuids),
    })
}

fn array(texts: &[String]) -> String {
    serde_json::Value::from(texts.to_vec()).to_string()
}

fn hex_array(uuids: &[Uuid]) -> String {
    let hex: Vec<String> = uuids.iter().map(|uuid| uuid.simple().to_string()).collect();
    serde_json::Value::from(hex).to_string()
}

/// `{"a":"b","a":"c"}`: `json_each` gives each pair as a key and a value, in one pass. Two arrays joined by their places
/// would be read through once for every pair.
fn object(pairs: &[(String, String)]) -> String {
    let text = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let pairs: Vec<String> = pairs.iter().map(|(a, b)| format!("{}:{}", text(a), text(b))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_comes_back_as_it_was_also_those_with_the_same_first() {
        let pairs = [("a", "x"), ("a", "y"), ("b", "x"), ("q\"", "\\")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let connection = rusqlite::Connection::open_in_memory().expect("a database");
        let mut statement = connection.prepare("SELECT key, value FROM json_each($1)").expect("a statement");
        let rows = statement.query_map([object(&pairs)], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        assert_eq!(rows.collect::<Result<Vec<(String, String)>, _>>().expect("rows"), pairs);
    }
}
