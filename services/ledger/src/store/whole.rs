//! Whole tables, row by row: the books are larger than the memory.

use super::{
    StoreError,
    rows::{
        BatchRow, CashRow, CheckpointRow, ExecutionRow, MovedPositionRow, MovedWalletRow, PayoutRow, PositionRow,
        RejectedRow, SettlementRow, ShardRow, SlotRow, TradeRow, TransferRow, WalletRow,
    },
    session::{Record, Session},
    table::Row,
};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use sqlx::AssertSqlSafe;
use std::future::Future;

/// Something done to each table of the books, whatever its rows are.
pub(crate) trait Visit: Send {
    /// Does it to one; `order` are the columns of its key.
    fn table<R: Row + Record + Sync + 'static>(
        &mut self,
        order: &'static str,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Tables of the books, numbered from 0. Leases and processes are not among them: they end with the processes.
pub(crate) const TABLES: u8 = 15;

/// Visits the table with that number; false when there is none.
///
/// # Errors
/// Those of the visitor.
pub(crate) async fn visit(table: u8, visitor: &mut impl Visit) -> anyhow::Result<bool> {
    match table {
        0 => visitor.table::<ShardRow>("shard_id").await?,
        1 => visitor.table::<SlotRow>("slot").await?,
        2 => visitor.table::<WalletRow>("account_id, currency").await?,
        3 => visitor.table::<PositionRow>("account_id, instrument_id").await?,
        4 => visitor.table::<TradeRow>("trade_id").await?,
        5 => visitor.table::<ExecutionRow>("execution_id").await?,
        6 => visitor.table::<CashRow>("trade_id").await?,
        7 => visitor.table::<SettlementRow>("instrument_id").await?,
        8 => visitor.table::<PayoutRow>("posting_sequence").await?,
        9 => visitor.table::<MovedWalletRow>("posting_sequence").await?,
        10 => visitor.table::<MovedPositionRow>("posting_sequence, account_id, instrument_id").await?,
        11 => visitor.table::<TransferRow>("sequence").await?,
        12 => visitor.table::<BatchRow>("sequence").await?,
        13 => visitor.table::<RejectedRow>("report_id").await?,
        14 => visitor.table::<CheckpointRow>("account_id, currency, posted_at, sequence").await?,
        _ => return Ok(false),
    }
    Ok(true)
}

impl Session {
    /// Every row of a table in the order of its key.
    pub(crate) fn stream<R: Row + Record + 'static>(&mut self, order: &str) -> BoxStream<'_, Result<R, StoreError>> {
        let sql = AssertSqlSafe(format!("SELECT {} FROM {} ORDER BY {order}", R::COLUMNS, R::TABLE));
        match self {
            Self::Sqlite(transaction) => {
                sqlx::query_as(sql).fetch(&mut **transaction).map_err(StoreError::from).boxed()
            }
            Self::Postgres(transaction) => {
                sqlx::query_as(sql).fetch(&mut **transaction).map_err(StoreError::from).boxed()
            }
        }
    }

    /// How many rows a table has.
    pub(crate) async fn count<R: Row>(&mut self) -> Result<u64, StoreError> {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {}", R::TABLE));
        let (count,): (i64,) = match self {
            Self::Sqlite(transaction) => sqlx::query_as(sql).fetch_one(&mut **transaction).await?,
            Self::Postgres(transaction) => sqlx::query_as(sql).fetch_one(&mut **transaction).await?,
        };
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Names(Vec<String>);

    impl Visit for Names {
        async fn table<R: Row + Record + Sync + 'static>(&mut self, order: &'static str) -> anyhow::Result<()> {
            self.0.push(R::TABLE.to_owned());
            assert!(order.split(", ").all(|column| R::COLUMNS.split(", ").any(|own| own == column)), "{order}");
            Ok(())
        }
    }

    #[tokio::test]
    async fn no_table_is_forgotten() {
        let mut names = Names::default();
        for table in 0..TABLES {
            assert!(visit(table, &mut names).await.expect("visited"));
        }
        assert!(!visit(TABLES, &mut names).await.expect("none"));
        for migration in [
            include_str!("../../migrations/sqlite/0001_books.sql"),
            include_str!("../../migrations/postgres/0001_books.sql"),
        ] {
            let made =
                migration.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split_whitespace().next());
            let mut made: Vec<String> =
                made.filter(|name| !["lease", "process"].contains(name)).map(str::to_owned).collect();
            let mut known = names.0.clone();
            made.sort();
            known.sort();
            assert_eq!(known, made);
        }
    }
}
