//! One way to read from either database: a static statement, its arguments and
//! the rows it gives.

use super::StoreError;
use sqlx::{
    FromRow, PgPool, Postgres, Sqlite, SqlitePool, Transaction, postgres::PgRow, query::QueryAs, sqlite::SqliteRow,
};

/// A row both databases can give.
pub(crate) trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Record for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A statement in both dialects.
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
    /// Many texts: an array for PostgreSQL, a JSON array for SQLite.
    Texts(&'a [String]),
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
    pub(crate) async fn rows<T: Record>(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<T>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => sqlite_query(sql, args).fetch_all(pool).await?,
            Self::Postgres(pool) => postgres_query(sql, args).fetch_all(pool).await?,
        })
    }

    pub(crate) async fn one<T: Record>(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Option<T>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => sqlite_query(sql, args).fetch_optional(pool).await?,
            Self::Postgres(pool) => postgres_query(sql, args).fetch_optional(pool).await?,
        })
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

fn sqlite_query<'q, T: Record>(
    sql: Sql,
    args: &[Arg<'q>],
) -> QueryAs<'q, Sqlite, T, <Sqlite as sqlx::Database>::Arguments> {
    args.iter().fold(sqlx::query_as(sql.sqlite), |query, arg| match arg {
        Arg::Int(number) => query.bind(*number),
        Arg::Text(text) => query.bind(*text),
        Arg::Texts(texts) => query.bind(serde_json::Value::from(texts.to_vec()).to_string()),
    })
}

fn postgres_query<'q, T: Record>(
    sql: Sql,
    args: &[Arg<'q>],
) -> QueryAs<'q, Postgres, T, <Postgres as sqlx::Database>::Arguments> {
    args.iter().fold(sqlx::query_as(sql.postgres), |query, arg| match arg {
        Arg::Int(number) => query.bind(*number),
        Arg::Text(text) => query.bind(*text),
        Arg::Texts(texts) => query.bind(*texts),
    })
}
