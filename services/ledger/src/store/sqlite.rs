//! SQLite: one file, one writing connection, readers that never wait for it.

use super::{
    Changes, StoreError,
    session::{Pool, Session},
};
use anyhow::Context as _;
use serde::Serialize;
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{str::FromStr, time::Duration};

/// Pages of cache of one connection, KiB: the touched parts of the indexes stay in memory.
const CACHE_KIB: &str = "-16384";

fn options(url: &str, wait: Duration) -> anyhow::Result<SqliteConnectOptions> {
    let options = SqliteConnectOptions::from_str(url).with_context(|| format!("reading the store url {url}"))?;
    anyhow::ensure!(!url.contains(":memory:"), "the books must be in a file, not in memory");
    // FULL: every commit is fsynced. NORMAL would lose the last commits at a power cut.
    Ok(options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(wait)
        .pragma("cache_size", CACHE_KIB))
}

pub(super) async fn open(url: &str, readers_max: u32, wait: Duration) -> anyhow::Result<(Pool, Pool)> {
    let options = options(url, wait)?;
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(wait)
        .connect_with(options.clone().create_if_missing(true))
        .await
        .with_context(|| format!("opening the ledger at {url}"))?;
    sqlx::migrate!("migrations/sqlite").run(&writer).await.context("updating the ledger's tables")?;
    let readers = SqlitePoolOptions::new()
        .max_connections(readers_max)
        .acquire_timeout(wait)
        .connect_with(options.read_only(true))
        .await
        .with_context(|| format!("opening the ledger at {url} for reading"))?;
    Ok((Pool::Sqlite(writer), Pool::Sqlite(readers)))
}

pub(super) async fn snapshot(url: &str, wait: Duration) -> anyhow::Result<Session> {
    let options = options(url, wait)?.read_only(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(wait)
        .connect_with(options)
        .await
        .with_context(|| format!("opening the ledger at {url}"))?;
    // A deferred transaction sees one state of the file from its first read on.
    Ok(Session::Sqlite(pool.begin().await.context("starting to read")?))
}

/// True when another writer has taken over.
pub(super) async fn commit(pool: &SqlitePool, changes: &Changes) -> Result<bool, StoreError> {
    // IMMEDIATE takes the write lock at once; an upgrade in the middle could fail.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    if !advance(&mut transaction, changes).await? {
        return Ok(true);
    }
    insert(&mut transaction, TRADE, &changes.trades).await?;
    insert(&mut transaction, EXECUTION, &changes.executions).await?;
    insert(&mut transaction, CASH_MOVEMENT, &changes.cash).await?;
    insert(&mut transaction, TRANSFER, &changes.transfers).await?;
    insert(&mut transaction, WALLET, &changes.wallets).await?;
    insert(&mut transaction, POSITION, &changes.positions).await?;
    if let Some(batch) = &changes.batch {
        sqlx::query("INSERT INTO batch VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(batch.sequence)
            .bind(batch.first_transfer)
            .bind(batch.last_transfer)
            .bind(&batch.previous_hash)
            .bind(&batch.hash)
            .bind(batch.posted_at)
            .execute(&mut *transaction)
            .await?;
    }
    for report in &changes.rejected {
        sqlx::query("INSERT INTO rejected_report VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
            .bind(&report.report_id)
            .bind(&report.trade_id)
            .bind(&report.account_id)
            .bind(&report.venue)
            .bind(&report.reason)
            .bind(&report.payload)
            .bind(report.rejected_at)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(false)
}

async fn advance(transaction: &mut Transaction<'static, Sqlite>, changes: &Changes) -> Result<bool, StoreError> {
    let (before, after) = (&changes.before, &changes.after);
    let moved = sqlx::query(
        "UPDATE shard SET posting_sequence = $1, transfer_sequence = $2, trade_sequence = $3, fact_sequence = $4,
            published_fact_sequence = $5, batch_sequence = $6, head_hash = $7
         WHERE shard_id = 0 AND epoch = $8 AND transfer_sequence = $9 AND fact_sequence = $10",
    )
    .bind(after.posting_sequence)
    .bind(after.transfer_sequence)
    .bind(after.trade_sequence)
    .bind(after.fact_sequence)
    .bind(after.published_fact_sequence)
    .bind(after.batch_sequence)
    .bind(&after.head_hash)
    .bind(before.epoch)
    .bind(before.transfer_sequence)
    .bind(before.fact_sequence)
    .execute(&mut **transaction)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Inserts many rows with one statement: they travel as one JSON array.
async fn insert<R: Serialize>(
    transaction: &mut Transaction<'static, Sqlite>,
    statement: &'static str,
    rows: &[R],
) -> Result<(), StoreError> {
    if !rows.is_empty() {
        let json = serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query(statement).bind(json).execute(&mut **transaction).await?;
    }
    Ok(())
}

const TRADE: &str = "INSERT INTO trade SELECT value->>'trade_id', value->>'sequence', value->>'fact_sequence',
        value->>'account_id', value->>'request_id', value->>'tier', unhex(value->>'payload_hash'), value->>'status',
        value->>'denial_code', value->>'denial_message', value->>'denial_limit', value->>'denial_observed',
        value->>'rejection', value->>'order_id', value->>'instrument_id', value->>'side', value->>'quantity',
        value->>'limit_price', value->>'filled_quantity', value->>'average_price', value->>'fee',
        value->>'cash_change', value->>'currency', value->>'account_version', value->>'agent', value->>'agent_id',
        value->>'rationale', value->>'traceparent', value->>'created_at', value->>'updated_at'
    FROM json_each($1) WHERE true
    ON CONFLICT (trade_id) DO UPDATE SET fact_sequence = excluded.fact_sequence, status = excluded.status,
        denial_code = excluded.denial_code, denial_message = excluded.denial_message,
        denial_limit = excluded.denial_limit, denial_observed = excluded.denial_observed,
        rejection = excluded.rejection, order_id = excluded.order_id, instrument_id = excluded.instrument_id,
        side = excluded.side, quantity = excluded.quantity, limit_price = excluded.limit_price,
        filled_quantity = excluded.filled_quantity, average_price = excluded.average_price, fee = excluded.fee,
        cash_change = excluded.cash_change, currency = excluded.currency,
        account_version = excluded.account_version, updated_at = excluded.updated_at";

const EXECUTION: &str = "INSERT INTO execution SELECT value->>'execution_id', value->>'posting_sequence',
        value->>'trade_id', value->>'account_id', value->>'instrument_id', value->>'venue', value->>'side',
        value->>'price', value->>'quantity', value->>'fee', value->>'cash_change', value->>'style',
        value->>'currency', value->>'initial_margin_ppm', value->>'executed_at', value->>'posted_at'
    FROM json_each($1)";

const CASH_MOVEMENT: &str = "INSERT INTO cash_movement SELECT value->>'trade_id', value->>'posting_sequence',
        value->>'fact_sequence', value->>'account_id', value->>'request_id', unhex(value->>'payload_hash'),
        value->>'requested', value->>'amount', value->>'currency', value->>'denial_code', value->>'denial_message',
        value->>'denial_limit', value->>'denial_observed', value->>'cash_after', value->>'margin_after',
        value->>'version_after', value->>'is_frozen_after', value->>'traceparent', value->>'posted_at'
    FROM json_each($1)";

const TRANSFER: &str = "INSERT INTO transfer SELECT value->>'sequence', value->>'posting_sequence', value->>'kind',
        value->>'debit_account', value->>'credit_account', value->>'amount', value->>'currency',
        value->>'account_id', value->>'reference_id', value->>'posted_at'
    FROM json_each($1)";

const WALLET: &str = "INSERT INTO wallet SELECT value->>'account_id', value->>'currency', value->>'cash',
        value->>'margin', value->>'version', value->>'is_frozen'
    FROM json_each($1) WHERE true
    ON CONFLICT (account_id, currency) DO UPDATE SET cash = excluded.cash, margin = excluded.margin,
        version = excluded.version, is_frozen = excluded.is_frozen";

const POSITION: &str = "INSERT INTO position SELECT value->>'account_id', value->>'instrument_id', value->>'currency',
        value->>'quantity', value->>'entry_notional', value->>'margin', value->>'realized_pnl', value->>'fees',
        value->>'account_version'
    FROM json_each($1) WHERE true
    ON CONFLICT (account_id, instrument_id) DO UPDATE SET currency = excluded.currency, quantity = excluded.quantity,
        entry_notional = excluded.entry_notional, margin = excluded.margin, realized_pnl = excluded.realized_pnl,
        fees = excluded.fees, account_version = excluded.account_version";
