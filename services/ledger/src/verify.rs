//! Recomputes everything the ledger says from what it recorded: every execution,
//! deposit and withdrawal is booked again in order, and every transfer, link of
//! the hash chain, wallet, position and trade is compared with what that gives.

mod replay;

use crate::{
    batch::chain,
    store::{
        self,
        rows::{BatchRow, ExecutionRow, PositionRow, ShardRow, TradeRow, TransferRow, WalletRow, hex_text},
        session::{Arg, Record, Session, Sql},
    },
};
use replay::{Replay, check_trade};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// Rows read at once.
const PAGE: i64 = 2_000;
/// How long the store may take to open.
const OPEN_WAIT: Duration = Duration::from_secs(5);

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Transfers recomputed.
    pub transfers: u64,
    /// Executions booked again.
    pub executions: u64,
    /// Deposits and withdrawals booked again.
    pub cash_movements: u64,
    /// Links of the hash chain recomputed.
    pub batches: u64,
    /// Wallets compared.
    pub wallets: u64,
    /// Positions compared.
    pub positions: u64,
    /// Trades compared.
    pub trades: u64,
    /// The head of the hash chain, 64 hex digits; all zero for an empty ledger.
    pub head_hash: String,
    /// The first row that is not what it should be; `None` if all is well.
    pub first_bad_row: Option<BadRow>,
}

/// A row that is not what the rows before it make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its table.
    pub table: &'static str,
    /// Its key, e.g. `17` or `alice/USD`.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Recomputes balances, positions, trades and the hash chain of the store at
/// `store_url`, on one consistent view of it and without changing anything.
/// `progress` hears now and then how many transfers have been recomputed.
///
/// # Errors
/// When the store cannot be read; a bad row is no error but in the report.
pub async fn verify(store_url: &str, mut progress: impl FnMut(u64) + Send) -> anyhow::Result<VerifyReport> {
    let mut session = store::snapshot(store_url, OPEN_WAIT).await?;
    let mut report = VerifyReport::default();
    match check(&mut session, &mut report, &mut progress).await {
        Ok(()) => {}
        Err(Found::Bad(row)) => report.first_bad_row = Some(row),
        Err(Found::Failed(error)) => return Err(error),
    }
    progress(report.transfers);
    Ok(report)
}

/// Why a check ended early.
enum Found {
    Bad(BadRow),
    Failed(anyhow::Error),
}

impl From<store::StoreError> for Found {
    fn from(error: store::StoreError) -> Self {
        Self::Failed(anyhow::Error::new(error).context("reading the ledger"))
    }
}

fn bad(table: &'static str, key: impl ToString, problem: impl Into<String>) -> Found {
    Found::Bad(BadRow { table, key: key.to_string(), problem: problem.into() })
}

const SHARD: Sql = Sql::same("SELECT * FROM shard WHERE shard_id = 0");
const EXECUTIONS: Sql =
    Sql::same("SELECT * FROM execution WHERE posting_sequence > $1 ORDER BY posting_sequence LIMIT $2");
const CASH: Sql =
    Sql::same("SELECT * FROM cash_movement WHERE posting_sequence > $1 ORDER BY posting_sequence LIMIT $2");
const TRANSFERS: Sql = Sql::same("SELECT * FROM transfer WHERE sequence > $1 ORDER BY sequence LIMIT $2");
const BATCHES: Sql = Sql::same("SELECT * FROM batch WHERE sequence > $1 ORDER BY sequence LIMIT $2");
const TRADES: Sql = Sql::same("SELECT * FROM trade WHERE sequence > $1 ORDER BY sequence LIMIT $2");
const WALLETS: Sql =
    Sql::same("SELECT * FROM wallet WHERE (account_id, currency) > ($1, $2) ORDER BY account_id, currency LIMIT $3");
const POSITIONS: Sql = Sql::same(
    "SELECT * FROM position WHERE (account_id, instrument_id) > ($1, $2) ORDER BY account_id, instrument_id LIMIT $3",
);
const EXECUTIONS_OF: Sql = Sql::new(
    "SELECT * FROM execution WHERE trade_id IN (SELECT value FROM json_each($1)) ORDER BY posting_sequence",
    "SELECT * FROM execution WHERE trade_id = ANY($1) ORDER BY posting_sequence",
);
const ORPHANS: Sql = Sql::same(
    "SELECT * FROM execution WHERE NOT EXISTS (SELECT 1 FROM trade WHERE trade.trade_id = execution.trade_id)
     ORDER BY posting_sequence LIMIT 1",
);

async fn check(
    session: &mut Session,
    report: &mut VerifyReport,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<(), Found> {
    let shard: Option<ShardRow> = session.rows(SHARD, &[]).await?.into_iter().next();
    let shard = shard.ok_or_else(|| bad("shard", 0, "the row is missing"))?;
    let replay = check_postings(session, &shard, report, progress).await?;
    check_wallets(session, &replay, report).await?;
    check_positions(session, &replay, report).await?;
    check_trades(session, &shard, report).await
}

/// Books everything again and compares the transfers and the hash chain.
async fn check_postings(
    session: &mut Session,
    shard: &ShardRow,
    report: &mut VerifyReport,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<Replay, Found> {
    let mut executions = Paged::new(EXECUTIONS, |row: &ExecutionRow| row.posting_sequence);
    let mut cash = Paged::new(CASH, |row: &store::rows::CashRow| row.posting_sequence);
    let mut transfers = Paged::new(TRANSFERS, |row: &TransferRow| row.sequence);
    let mut links = Links::new();
    let mut replay = Replay::default();
    for posting in 1..=shard.posting_sequence {
        let expected = if executions.next_key(session).await? == Some(posting) {
            let row = executions.next(session).await?;
            report.executions += 1;
            row.map(|row| replay.execution(&row)).transpose()?
        } else if cash.next_key(session).await? == Some(posting) {
            let row = cash.next(session).await?;
            report.cash_movements += 1;
            row.map(|row| replay.cash(&row)).transpose()?
        } else {
            return Err(bad("execution", format!("posting {posting}"), "the row is missing"));
        };
        for expected in expected.unwrap_or_default() {
            let key = expected.sequence;
            let row = transfers.next(session).await?.filter(|row| row.sequence == key);
            let row = row.ok_or_else(|| bad("transfer", key, "the row is missing"))?;
            if row != expected {
                return Err(bad("transfer", key, format!("is {row:?}, should be {expected:?}")));
            }
            report.transfers += 1;
            if report.transfers.is_multiple_of(10_000) {
                progress(report.transfers);
            }
            links.add(session, row, report).await?;
        }
    }
    if let Some(row) = executions.next(session).await? {
        return Err(bad("execution", row.execution_id, "is beyond the shard's last posting"));
    }
    if let Some(row) = cash.next(session).await? {
        return Err(bad("cash_movement", row.trade_id, "is beyond the shard's last posting"));
    }
    if let Some(row) = transfers.next(session).await? {
        return Err(bad("transfer", row.sequence, "belongs to no execution, deposit or withdrawal"));
    }
    links.end(session, shard, report).await?;
    Ok(replay)
}

/// The hash chain while transfers are read.
struct Links {
    batches: Paged<BatchRow>,
    current: Option<BatchRow>,
    transfers: Vec<TransferRow>,
    head: Vec<u8>,
}

impl Links {
    fn new() -> Self {
        let batches = Paged::new(BATCHES, |row: &BatchRow| row.sequence);
        Self { batches, current: None, transfers: Vec::new(), head: vec![0; 32] }
    }

    async fn add(&mut self, session: &mut Session, row: TransferRow, report: &mut VerifyReport) -> Result<(), Found> {
        let sequence = row.sequence;
        if self.current.is_none() {
            let batch = self.batches.next(session).await?;
            let batch = batch.ok_or_else(|| bad("transfer", sequence, "is in no batch"))?;
            if batch.first_transfer != sequence || batch.previous_hash != self.head {
                return Err(bad("batch", batch.sequence, "does not follow the batch before it"));
            }
            self.current = Some(batch);
        }
        self.transfers.push(row);
        if let Some(batch) = self.current.take_if(|batch| batch.last_transfer <= sequence) {
            self.head = chain(&self.head, &self.transfers);
            self.transfers.clear();
            if batch.hash != self.head {
                return Err(bad("batch", batch.sequence, "its hash is not that of its transfers"));
            }
            report.batches += 1;
        }
        Ok(())
    }

    async fn end(mut self, session: &mut Session, shard: &ShardRow, report: &mut VerifyReport) -> Result<(), Found> {
        let unfinished = self.current.take();
        if let Some(batch) = unfinished.or(self.batches.next(session).await?) {
            return Err(bad("batch", batch.sequence, "covers transfers that are not there"));
        }
        report.head_hash = hex_text(&self.head);
        let (transfers, batches) = (signed(report.transfers), signed(report.batches));
        if shard.head_hash != self.head || shard.transfer_sequence != transfers || shard.batch_sequence != batches {
            return Err(bad("shard", 0, "does not point at the last transfer, batch and hash"));
        }
        Ok(())
    }
}

async fn check_wallets(session: &mut Session, replay: &Replay, report: &mut VerifyReport) -> Result<(), Found> {
    let mut after = (String::new(), String::new());
    loop {
        let args = [Arg::Text(&after.0), Arg::Text(&after.1), Arg::Int(PAGE)];
        let rows: Vec<WalletRow> = session.rows(WALLETS, &args).await?;
        let Some(last) = rows.last() else { break };
        after = (last.account_id.clone(), last.currency.clone());
        for row in rows {
            let key = format!("{}/{}", row.account_id, row.currency);
            let expected = replay.wallets.get(&(row.account_id.clone(), row.currency.clone()));
            let expected = expected.ok_or_else(|| bad("wallet", &key, "nothing was ever booked to it"))?;
            if row.wallet() != *expected {
                return Err(bad("wallet", key, format!("is {:?}, should be {expected:?}", row.wallet())));
            }
            report.wallets += 1;
        }
    }
    if report.wallets != count(replay.wallets.len()) {
        return Err(bad("wallet", "?", format!("{} of {} rows are there", report.wallets, replay.wallets.len())));
    }
    Ok(())
}

async fn check_positions(session: &mut Session, replay: &Replay, report: &mut VerifyReport) -> Result<(), Found> {
    let mut after = (String::new(), String::new());
    loop {
        let args = [Arg::Text(&after.0), Arg::Text(&after.1), Arg::Int(PAGE)];
        let rows: Vec<PositionRow> = session.rows(POSITIONS, &args).await?;
        let Some(last) = rows.last() else { break };
        after = (last.account_id.clone(), last.instrument_id.clone());
        for row in rows {
            let key = format!("{}/{}", row.account_id, row.instrument_id);
            let expected = replay.positions.get(&(row.account_id.clone(), row.instrument_id.clone()));
            let expected = expected.ok_or_else(|| bad("position", &key, "nothing was ever booked to it"))?;
            if row != *expected {
                return Err(bad("position", key, format!("is {row:?}, should be {expected:?}")));
            }
            report.positions += 1;
        }
    }
    if report.positions != count(replay.positions.len()) {
        let (there, expected) = (report.positions, replay.positions.len());
        return Err(bad("position", "?", format!("{there} of {expected} rows are there")));
    }
    Ok(())
}

async fn check_trades(session: &mut Session, shard: &ShardRow, report: &mut VerifyReport) -> Result<(), Found> {
    let mut after = 0;
    loop {
        let rows: Vec<TradeRow> = session.rows(TRADES, &[Arg::Int(after), Arg::Int(PAGE)]).await?;
        if rows.is_empty() {
            break;
        }
        let trade_ids: Vec<String> = rows.iter().map(|row| row.trade_id.clone()).collect();
        let mut executions: HashMap<String, Vec<ExecutionRow>> = HashMap::new();
        for row in session.rows::<ExecutionRow>(EXECUTIONS_OF, &[Arg::Texts(&trade_ids)]).await? {
            executions.entry(row.trade_id.clone()).or_default().push(row);
        }
        for row in rows {
            after += 1;
            if row.sequence != after {
                return Err(bad("trade", format!("sequence {after}"), "the row is missing"));
            }
            check_trade(&row, executions.get(&row.trade_id).map_or(&[], Vec::as_slice))?;
            report.trades += 1;
        }
    }
    if after != shard.trade_sequence {
        return Err(bad("trade", format!("sequence {}", after + 1), "the row is missing"));
    }
    match session.rows::<ExecutionRow>(ORPHANS, &[]).await?.into_iter().next() {
        Some(row) => Err(bad("execution", row.execution_id, format!("its trade {} is missing", row.trade_id))),
        None => Ok(()),
    }
}

/// The rows of a statement in the order of their key, a page at a time.
struct Paged<T> {
    sql: Sql,
    key: fn(&T) -> i64,
    after: i64,
    waiting: VecDeque<T>,
    is_over: bool,
}

impl<T: Record> Paged<T> {
    fn new(sql: Sql, key: fn(&T) -> i64) -> Self {
        Self { sql, key, after: i64::MIN, waiting: VecDeque::new(), is_over: false }
    }

    async fn fill(&mut self, session: &mut Session) -> Result<(), Found> {
        if self.waiting.is_empty() && !self.is_over {
            self.waiting = session.rows(self.sql, &[Arg::Int(self.after), Arg::Int(PAGE)]).await?.into();
            match self.waiting.back() {
                Some(last) => self.after = (self.key)(last),
                None => self.is_over = true,
            }
        }
        Ok(())
    }

    async fn next_key(&mut self, session: &mut Session) -> Result<Option<i64>, Found> {
        self.fill(session).await?;
        Ok(self.waiting.front().map(self.key))
    }

    async fn next(&mut self, session: &mut Session) -> Result<Option<T>, Found> {
        self.fill(session).await?;
        Ok(self.waiting.pop_front())
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
