//! The books as an outsider sees them: SQL on every shard.

use sqlx::{
    AssertSqlSafe, Connection as _, FromRow, PgConnection, SqliteConnection, postgres::PgRow, sqlite::SqliteRow,
};
use std::{str::FromStr as _, time::Duration};
use tokio::time::sleep;

/// Where one shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: u16,
    pub(crate) url: String,
}

/// A connection to one shard.
#[derive(Debug)]
enum Open {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A row both databases can give.
pub(crate) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A fill: execution, trade, account, instrument; is it a buy; price, quantity, fee, cash change.
pub(crate) type Execution = (String, String, String, String, i64, i64, i64, i64, i64);
/// Cash: trade, account; kind, amount, is it denied, cash after, version after, fact.
pub(crate) type Cash = (String, String, i64, i64, i64, i64, i64, i64);
/// A payout: booking, account, instrument; quantity, cash change, fact.
pub(crate) type Payout = (String, String, String, i64, i64, i64);
/// A wallet: account, currency; cash, margin, version, is it frozen.
pub(crate) type Wallet = (String, String, i64, i64, i64, i64);
/// A position: account, instrument; quantity, entry notional, margin, realized, fees.
pub(crate) type Position = (String, String, i64, i64, i64, i64, i64);
/// A trade: id, account; status, filled, fee, cash change, version, fact.
pub(crate) type Trade = (String, String, i64, i64, i64, i64, i64, i64);
/// The shard: epoch, then the last posting, transfer, trade, fact and batch.
pub(crate) type Shard = (i64, i64, i64, i64, i64, i64);

/// Everything in one shard, without what came with accounts that moved here: that is in the shard which posted it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Books {
    pub(crate) shard: Shard,
    pub(crate) executions: Vec<Execution>,
    pub(crate) cash: Vec<Cash>,
    pub(crate) payouts: Vec<Payout>,
    pub(crate) wallets: Vec<Wallet>,
    pub(crate) positions: Vec<Position>,
    pub(crate) trades: Vec<Trade>,
    /// What every account of the chart received less what it gave.
    pub(crate) balances: Vec<(String, i64)>,
    /// Transfers, their last sequence, batches, their last sequence, and wallets that moved in or out.
    pub(crate) counts: (i64, i64, i64, i64, i64),
    /// Why reports were set aside.
    pub(crate) set_aside: Vec<(String,)>,
}

/// The shard's row; the same in both databases.
const SHARD: &str =
    "SELECT epoch, posting_sequence, transfer_sequence, trade_sequence, fact_sequence, batch_sequence FROM shard";

impl Place {
    /// Whether it is a file of SQLite.
    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// Everything in it.
    pub(crate) async fn read(&self) -> anyhow::Result<Books> {
        let mut open = self.open().await?;
        let id = |column: &str| self.hex(column);
        Ok(Books {
            shard: open.row(SHARD).await?,
            executions: open
                .rows(&format!(
                    "SELECT execution_id, {}, account_id, instrument_id, CAST(CASE WHEN side = 1 THEN 1 ELSE 0 END AS bigint),
                        price, quantity, fee, cash_change FROM execution WHERE posting_sequence IS NOT NULL",
                    id("trade_id")
                ))
                .await?,
            cash: open
                .rows(&format!(
                    "SELECT {}, account_id, CAST(kind AS bigint), amount,
                        CAST(CASE WHEN denial_code <> 0 THEN 1 ELSE 0 END AS bigint), cash_after, version_after,
                        fact_sequence FROM cash_movement WHERE posting_sequence IS NOT NULL",
                    id("trade_id")
                ))
                .await?,
            payouts: open
                .rows(&format!(
                    "SELECT {}, account_id, instrument_id, quantity, cash_change, fact_sequence FROM payout",
                    id("booking_id")
                ))
                .await?,
            wallets: open
                .rows(
                    "SELECT account_id, currency, cash, margin, version,
                        CAST(CASE WHEN is_frozen THEN 1 ELSE 0 END AS bigint) FROM wallet",
                )
                .await?,
            positions: open
                .rows(
                    "SELECT account_id, instrument_id, quantity, entry_notional, margin, realized_pnl, fees FROM position",
                )
                .await?,
            trades: open
                .rows(&format!(
                    "SELECT {}, account_id, CAST(status AS bigint), filled_quantity, fee, cash_change, account_version,
                        fact_sequence FROM trade",
                    id("trade_id")
                ))
                .await?,
            balances: open
                .rows(
                    "SELECT account, CAST(SUM(amount) AS bigint) FROM
                        (SELECT credit_account AS account, amount FROM transfer
                         UNION ALL SELECT debit_account, -amount FROM transfer) AS moved GROUP BY account",
                )
                .await?,
            counts: open
                .row(
                    "SELECT (SELECT COUNT(*) FROM transfer), (SELECT COALESCE(MAX(sequence), 0) FROM transfer),
                        (SELECT COUNT(*) FROM batch), (SELECT COALESCE(MAX(sequence), 0) FROM batch),
                        (SELECT COUNT(*) FROM moved_wallet)",
                )
                .await?,
            set_aside: open.rows("SELECT reason FROM rejected_report").await?,
        })
    }

    /// The number that `sql` selects.
    pub(crate) async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let (number,): (i64,) = self.open().await?.row(sql).await?;
        Ok(number)
    }

    /// Who has the lease of the shard now.
    pub(crate) async fn owner(&self) -> anyhow::Result<String> {
        let valid = "SELECT owner FROM lease WHERE expires_at > extract(epoch FROM clock_timestamp()) * 1000000";
        let (owner,): (String,) = self.open().await?.row(valid).await?;
        Ok(owner)
    }

    /// Keeps a lock on what every batch changes.
    pub(crate) async fn lock(&self, lasts: Duration) -> anyhow::Result<()> {
        let mut open = self.open().await?;
        open.execute(if self.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" }).await?;
        if !self.is_sqlite() {
            open.execute("LOCK TABLE wallet IN ACCESS EXCLUSIVE MODE").await?;
        }
        sleep(lasts).await;
        open.execute("ROLLBACK").await
    }

    fn hex(&self, column: &str) -> String {
        if self.is_sqlite() { format!("lower(hex({column}))") } else { format!("replace({column}::text, '-', '')") }
    }

    async fn open(&self) -> anyhow::Result<Open> {
        if self.is_sqlite() {
            let options = sqlx::sqlite::SqliteConnectOptions::from_str(&self.url)?.busy_timeout(Duration::from_secs(5));
            return Ok(Open::Sqlite(SqliteConnection::connect_with(&options).await?));
        }
        let options = sqlx::postgres::PgConnectOptions::from_str(&self.url)?;
        let options = options.options([("search_path", format!("shard_{}", self.shard))]);
        Ok(Open::Postgres(PgConnection::connect_with(&options).await?))
    }
}

impl Open {
    async fn rows<T: Row>(&mut self, sql: &str) -> anyhow::Result<Vec<T>> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(connection) => sqlx::query_as(sql).fetch_all(connection).await?,
            Self::Postgres(connection) => sqlx::query_as(sql).fetch_all(connection).await?,
        })
    }

    async fn row<T: Row>(&mut self, sql: &str) -> anyhow::Result<T> {
        self.rows(sql).await?.into_iter().next().ok_or_else(|| anyhow::anyhow!("no row: {sql}"))
    }

    async fn execute(&mut self, sql: &str) -> anyhow::Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop)?,
            Self::Postgres(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop)?,
        }
        Ok(())
    }
}
