//! What facts tell, read from the books once more.

use super::{
    Books, POSITIONS, StoreError, WALLETS,
    rows::{CashRow, PayoutRow, PositionRow, TradeRow, WalletRow},
    session::{Arg, Pool, Record, Sql, rows_of_file},
    sqlite,
    table::{Row, table},
};
use std::time::Duration;
use uuid::Uuid;

/// How long a file may be busy: readers wait only while somebody recovers it.
const BUSY_WAIT: Duration = Duration::from_secs(1);

const UNTOLD_TRADES: Sql =
    Sql::same("SELECT * FROM trade WHERE fact_sequence > $1 AND fact_sequence <= $2 ORDER BY fact_sequence");
const UNTOLD_CASH: Sql =
    Sql::same("SELECT * FROM cash_movement WHERE fact_sequence > $1 AND fact_sequence <= $2 ORDER BY fact_sequence");
const UNTOLD_PAYOUTS: Sql =
    Sql::same("SELECT * FROM payout WHERE fact_sequence > $1 AND fact_sequence <= $2 ORDER BY fact_sequence");
const FACT_FROM: Sql = Sql::same(
    "SELECT fact_sequence, told_at FROM
        (SELECT * FROM (SELECT fact_sequence, updated_at AS told_at FROM trade
             WHERE fact_sequence >= $1 ORDER BY fact_sequence LIMIT 1) AS trades
         UNION ALL SELECT * FROM (SELECT fact_sequence, posted_at FROM cash_movement
             WHERE fact_sequence >= $1 ORDER BY fact_sequence LIMIT 1) AS cash
         UNION ALL SELECT * FROM (SELECT fact_sequence, posted_at FROM payout
             WHERE fact_sequence >= $1 ORDER BY fact_sequence LIMIT 1) AS payouts) AS facts
     ORDER BY fact_sequence LIMIT 1",
);
const EXECUTION_IDS: Sql = Sql::new(
    "SELECT * FROM execution WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))
     ORDER BY posted_at, execution_id",
    "SELECT * FROM execution WHERE trade_id = ANY($1) ORDER BY posted_at, execution_id",
);

table! {
    /// What a fact says of an execution; the other columns need not be read.
    ExecutionIdRow in "execution" {
        trade_id: Uuid,
        execution_id: String,
    }
}

/// What some facts tell, and what they show.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    /// The trades.
    pub(crate) trades: Vec<TradeRow>,
    /// Their executions, oldest first.
    pub(crate) executions: Vec<ExecutionIdRow>,
    /// The movements of cash.
    pub(crate) cash: Vec<CashRow>,
    /// The positions paid out.
    pub(crate) payouts: Vec<PayoutRow>,
    /// The wallets of all accounts in them, as they are now.
    pub(crate) wallets: Vec<WalletRow>,
    /// The positions they are about, as they are now.
    pub(crate) positions: Vec<PositionRow>,
}

/// Who reads.
enum Reader<'a> {
    /// A file, on the thread that waits for it.
    File(rusqlite::Connection),
    /// A server.
    Server(&'a Pool),
}

impl Reader<'_> {
    async fn rows<R: Record + Row>(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<R>, StoreError> {
        match self {
            Self::File(connection) => rows_of_file(connection, sql, args),
            Self::Server(pool) => pool.rows(sql, args).await,
        }
    }

    async fn untold(&mut self, after: i64, to: i64) -> Result<Untold, StoreError> {
        let range = [Arg::Int(after), Arg::Int(to)];
        let trades: Vec<TradeRow> = self.rows(UNTOLD_TRADES, &range).await?;
        let cash: Vec<CashRow> = self.rows(UNTOLD_CASH, &range).await?;
        let payouts: Vec<PayoutRow> = self.rows(UNTOLD_PAYOUTS, &range).await?;
        let trade_ids: Vec<Uuid> = trades.iter().map(|row| row.trade_id).collect();
        let executions = match trade_ids.as_slice() {
            [] => Vec::new(),
            ids => self.rows(EXECUTION_IDS, &[Arg::Uuids(ids)]).await?,
        };
        let of_trades = trades.iter().map(|row| (row.account_id.clone(), row.instrument_id.clone()));
        let of_payouts = payouts.iter().map(|row| (row.account_id.clone(), row.instrument_id.clone()));
        let mut account_ids: Vec<String> =
            of_trades.clone().chain(of_payouts.clone()).map(|(account_id, _)| account_id).collect();
        account_ids.extend(cash.iter().map(|row| row.account_id.clone()));
        account_ids.sort_unstable();
        account_ids.dedup();
        let mut pairs: Vec<_> = of_trades.filter(|(_, instrument_id)| !instrument_id.is_empty()).collect();
        pairs.extend(of_payouts);
        pairs.sort_unstable();
        pairs.dedup();
        let wallets = match account_ids.as_slice() {
            [] => Vec::new(),
            ids => self.rows(WALLETS, &[Arg::Texts(ids)]).await?,
        };
        let positions = match pairs.as_slice() {
            [] => Vec::new(),
            pairs => self.rows(POSITIONS, &[Arg::Pairs(pairs)]).await?,
        };
        Ok(Untold { trades, executions, cash, payouts, wallets, positions })
    }
}

impl Books {
    /// What is told by the facts from after `after` up to `to`.
    pub(crate) async fn untold(&self, after: i64, to: i64) -> Result<Untold, StoreError> {
        let file = match &self.primary {
            Pool::Sqlite(pool) => pool.connect_options().get_filename().to_path_buf(),
            Pool::Postgres(_) => return Reader::Server(&self.primary).untold(after, to).await,
        };
        // Row by row from the thread of a pool's connection it takes several times as long where processors are few.
        let reading = tokio::task::spawn_blocking(move || {
            let connection = sqlite::connect_to_file(&file, false, BUSY_WAIT).map_err(StoreError::unavailable)?;
            futures::executor::block_on(Reader::File(connection).untold(after, to))
        });
        reading.await.unwrap_or_else(|panic| Err(StoreError::unavailable(anyhow::Error::new(panic))))
    }

    /// The last fact before those of `since` and later, microseconds since the epoch. Facts ascend with
    /// time, so a few of them tell.
    pub(crate) async fn fact_before(&self, since: i64) -> Result<i64, StoreError> {
        let (mut before, mut last) = (0, self.fact_sequence().await?);
        while before < last {
            let middle = before + (last - before + 1) / 2;
            match self.primary.one::<(i64, i64)>(FACT_FROM, &[Arg::Int(middle)]).await? {
                Some((sequence, told_at)) if told_at < since => before = sequence.max(middle),
                Some(_) | None => last = middle - 1,
            }
        }
        Ok(before)
    }
}
