//! The same proof in the databases themselves, behind the API and every cache:
//! the tables are those of the ledger's migrations, read with plain SQL.

use crate::{
    book::Findings,
    record::{Reading, Told, is_final},
};
use anyhow::Context as _;
use sqlx::{
    AssertSqlSafe, Connection as _, FromRow, PgConnection, SqliteConnection, postgres::PgRow, sqlite::SqliteRow,
};
use std::{collections::HashMap, str::FromStr as _, time::Duration};
use uuid::Uuid;

/// Trades looked up with one question.
const TRADES_AT_ONCE: usize = 500;
/// How long a writer may keep SQLite to itself.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// A connection to one shard.
#[derive(Debug)]
enum Books {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A row both databases can give.
trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A trade and its executions: id, status, filled, fee, cash change; then quantity, fee and cash change of all
/// executions, and how many there are.
type Booked = (String, i64, i64, i64, i64, i64, i64, i64, i64);

/// What must be 0 in every shard, and what it means if it is not.
const CHECKS: [(&str, &str); 4] = [
    ("SELECT COUNT(*) FROM wallet WHERE cash < 0 OR margin < 0", "wallets are below zero"),
    ("SELECT COUNT(*) - COALESCE(MAX(sequence), 0) FROM transfer", "transfers are missing or doubled"),
    ("SELECT COUNT(*) - COALESCE(MAX(sequence), 0) FROM batch", "batches are missing or doubled"),
    (
        "SELECT COUNT(*) FROM wallet JOIN
            (SELECT account, CAST(SUM(amount) AS bigint) AS balance FROM
                (SELECT credit_account AS account, amount FROM transfer
                 UNION ALL SELECT debit_account, -amount FROM transfer) AS moved GROUP BY account) AS summed
            ON summed.account = 'wallet/' || account_id || '/' || currency WHERE summed.balance <> cash",
        "wallets do not hold what their transfers add up to",
    ),
];

/// Compares every final answer with the rows in `databases`, one for each shard in order; how many there were.
pub(super) async fn prove(databases: &[String], read: &Reading, findings: &mut Findings) -> anyhow::Result<u64> {
    let told: HashMap<Uuid, &Told> = read
        .accounts
        .values()
        .flat_map(|ledgered| ledgered.values())
        .filter_map(|asked| asked.told.as_ref())
        .filter(|told| is_final(told.status))
        .filter_map(|told| Some((told.trade_id.parse().ok()?, told)))
        .collect();
    let ids: Vec<Uuid> = told.keys().copied().collect();
    let mut found: HashMap<Uuid, u64> = HashMap::new();
    for (shard, url) in databases.iter().enumerate() {
        let mut books = Books::open(url, shard).await.with_context(|| format!("opening shard {shard}"))?;
        for (sql, problem) in CHECKS {
            let (count,): (i64,) = books.row(sql).await?;
            if count != 0 {
                findings.add(format!("in shard {shard} {} {problem}", count.abs()));
            }
        }
        for some in ids.chunks(TRADES_AT_ONCE) {
            for booked in books.booked(some).await? {
                let id: Uuid = booked.0.parse().context("a trade id")?;
                *found.entry(id).or_default() += 1;
                if let Some(told) = told.get(&id) {
                    difference(told, &booked).into_iter().for_each(|finding| findings.add(finding));
                }
            }
        }
    }
    for (id, told) in &told {
        match found.get(id) {
            Some(1) => {}
            None => findings.add(format!("trade {id} was answered as {told:?} and is in no database")),
            Some(count) => findings.add(format!("trade {id} is in the databases {count} times")),
        }
    }
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}

/// What is wrong about a trade as it is booked.
fn difference(told: &Told, booked: &Booked) -> Option<String> {
    let (id, status, filled, fee, cash_change, quantity, fees, cash_changes, _) = booked;
    let said = (i64::from(told.status), told.filled_quantity_micros, told.fee_micros, told.cash_change_micros);
    if said != (*status, *filled, *fee, *cash_change) {
        return Some(format!("trade {id} was answered as {told:?} and is booked as {booked:?}"));
    }
    ((filled, fee, cash_change) != (quantity, fees, cash_changes))
        .then(|| format!("trade {id} is not the sum of its executions: {booked:?}"))
}

impl Books {
    async fn open(url: &str, shard: usize) -> anyhow::Result<Self> {
        if url.starts_with("sqlite:") {
            let options = sqlx::sqlite::SqliteConnectOptions::from_str(url)?.read_only(true).busy_timeout(BUSY_MAX);
            return Ok(Self::Sqlite(SqliteConnection::connect_with(&options).await?));
        }
        let options = sqlx::postgres::PgConnectOptions::from_str(url).ok().context("it is no address of a database")?;
        let options = options.options([("search_path", format!("shard_{shard}"))]);
        Ok(Self::Postgres(PgConnection::connect_with(&options).await?))
    }

    async fn booked(&mut self, ids: &[Uuid]) -> anyhow::Result<Vec<Booked>> {
        let (id, list): (&str, Vec<String>) = match self {
            Self::Sqlite(_) => {
                ("lower(hex(trade.trade_id))", ids.iter().map(|id| format!("X'{}'", id.simple())).collect())
            }
            Self::Postgres(_) => {
                ("replace(trade.trade_id::text, '-', '')", ids.iter().map(|id| format!("'{id}'::uuid")).collect())
            }
        };
        let list = list.join(",");
        let sum = |column: &str| format!("CAST(COALESCE(SUM(execution.{column}), 0) AS bigint)");
        let (quantity, fee, cash_change) = (sum("quantity"), sum("fee"), sum("cash_change"));
        self.rows(&format!(
            "SELECT {id}, CAST(trade.status AS bigint), trade.filled_quantity, trade.fee, trade.cash_change,
                {quantity}, {fee}, {cash_change}, COUNT(execution.execution_id)
                FROM trade LEFT JOIN execution ON execution.trade_id = trade.trade_id
                WHERE trade.trade_id IN ({list})
                GROUP BY trade.trade_id, trade.status, trade.filled_quantity, trade.fee, trade.cash_change"
        ))
        .await
    }

    async fn row<T: Row>(&mut self, sql: &str) -> anyhow::Result<T> {
        self.rows(sql).await?.into_iter().next().context("a question without an answer")
    }

    async fn rows<T: Row>(&mut self, sql: &str) -> anyhow::Result<Vec<T>> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(connection) => sqlx::query_as(sql).fetch_all(connection).await?,
            Self::Postgres(connection) => sqlx::query_as(sql).fetch_all(connection).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_is_what_was_told_and_the_sum_of_its_executions() {
        let told = Told {
            trade_id: String::new(),
            order_id: String::new(),
            status: 4,
            filled_quantity_micros: 10,
            average_price_micros: 0,
            fee_micros: 1,
            cash_change_micros: -6,
        };
        let booked = |cash: i64, executed: i64| ("t".to_owned(), 4, 10, 1, cash, 10, 1, executed, 1);
        assert_eq!(difference(&told, &booked(-6, -6)), None);
        assert!(difference(&told, &booked(-7, -7)).is_some_and(|text| text.contains("is booked as")));
        assert!(difference(&told, &booked(-6, -12)).is_some_and(|text| text.contains("not the sum")));
    }
}
