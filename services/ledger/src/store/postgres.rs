//! PostgreSQL: a server that may serve readers elsewhere too; the epoch in the
//! shard row keeps a second writer out.

use super::{
    Changes, StoreError,
    rows::{CashRow, ExecutionRow, PositionRow, TradeRow, TransferRow, WalletRow},
    session::{Pool, Session},
};
use anyhow::Context as _;
use sqlx::{
    PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};

fn options(url: &str) -> anyhow::Result<PgConnectOptions> {
    // The url may hold a password, so it is not part of the error.
    Ok(PgConnectOptions::from_str(url).context("reading the store url")?.application_name("tragen-ledger"))
}

fn pool(connections_max: u32, wait: Duration) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections_max).acquire_timeout(wait)
}

pub(super) async fn open(url: &str, readers_max: u32, wait: Duration) -> anyhow::Result<(Pool, Pool)> {
    let options = options(url)?;
    let writing = options.clone().options([
        // A commit is answered only when it is on disk, whatever the server's default.
        ("synchronous_commit", "on"),
        // A writer that hangs between two statements must not keep the shard row.
        ("idle_in_transaction_session_timeout", "5000"),
        ("lock_timeout", "2000"),
    ]);
    let writer = pool(1, wait).connect_with(writing).await.context("connecting to the ledger's database")?;
    sqlx::migrate!("migrations/postgres").run(&writer).await.context("updating the ledger's tables")?;
    let reading = options.options([("default_transaction_read_only", "on"), ("statement_timeout", "5000")]);
    let readers =
        pool(readers_max, wait).connect_with(reading).await.context("connecting readers to the ledger's database")?;
    Ok((Pool::Postgres(writer), Pool::Postgres(readers)))
}

pub(super) async fn snapshot(url: &str, wait: Duration) -> anyhow::Result<Session> {
    let pool = pool(1, wait).connect_with(options(url)?).await.context("connecting to the ledger's database")?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    Ok(Session::Postgres(pool.begin_with(begin).await.context("starting to read")?))
}

/// True when another writer has taken over.
pub(super) async fn commit(pool: &PgPool, changes: &Changes) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    if !advance(&mut transaction, changes).await? {
        return Ok(true);
    }
    insert_trades(&mut transaction, &changes.trades).await?;
    insert_executions(&mut transaction, &changes.executions).await?;
    insert_cash(&mut transaction, &changes.cash).await?;
    insert_transfers(&mut transaction, &changes.transfers).await?;
    upsert_wallets(&mut transaction, &changes.wallets).await?;
    upsert_positions(&mut transaction, &changes.positions).await?;
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

async fn advance(transaction: &mut Transaction<'static, Postgres>, changes: &Changes) -> Result<bool, StoreError> {
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

fn column<'a, R, T>(rows: &'a [R], field: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}

async fn insert_trades(transaction: &mut Transaction<'static, Postgres>, rows: &[TradeRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO trade SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[],
            $6::integer[], $7::bytea[], $8::integer[], $9::integer[], $10::text[], $11::bigint[], $12::bigint[],
            $13::text[], $14::text[], $15::text[], $16::integer[], $17::bigint[], $18::bigint[], $19::bigint[],
            $20::bigint[], $21::bigint[], $22::bigint[], $23::text[], $24::bigint[], $25::text[], $26::text[],
            $27::text[], $28::text[], $29::bigint[], $30::bigint[])
         ON CONFLICT (trade_id) DO UPDATE SET fact_sequence = excluded.fact_sequence, status = excluded.status,
            denial_code = excluded.denial_code, denial_message = excluded.denial_message,
            denial_limit = excluded.denial_limit, denial_observed = excluded.denial_observed,
            rejection = excluded.rejection, order_id = excluded.order_id, instrument_id = excluded.instrument_id,
            side = excluded.side, quantity = excluded.quantity, limit_price = excluded.limit_price,
            filled_quantity = excluded.filled_quantity, average_price = excluded.average_price, fee = excluded.fee,
            cash_change = excluded.cash_change, currency = excluded.currency,
            account_version = excluded.account_version, updated_at = excluded.updated_at",
    )
    .bind(column(rows, |r| r.trade_id.as_str()))
    .bind(column(rows, |r| r.sequence))
    .bind(column(rows, |r| r.fact_sequence))
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.request_id.as_str()))
    .bind(column(rows, |r| r.tier))
    .bind(column(rows, |r| r.payload_hash.as_slice()))
    .bind(column(rows, |r| r.status))
    .bind(column(rows, |r| r.denial_code))
    .bind(column(rows, |r| r.denial_message.as_str()))
    .bind(column(rows, |r| r.denial_limit))
    .bind(column(rows, |r| r.denial_observed))
    .bind(column(rows, |r| r.rejection.as_str()))
    .bind(column(rows, |r| r.order_id.as_str()))
    .bind(column(rows, |r| r.instrument_id.as_str()))
    .bind(column(rows, |r| r.side))
    .bind(column(rows, |r| r.quantity))
    .bind(column(rows, |r| r.limit_price))
    .bind(column(rows, |r| r.filled_quantity))
    .bind(column(rows, |r| r.average_price))
    .bind(column(rows, |r| r.fee))
    .bind(column(rows, |r| r.cash_change))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(column(rows, |r| r.account_version))
    .bind(column(rows, |r| r.agent.as_str()))
    .bind(column(rows, |r| r.agent_id.as_str()))
    .bind(column(rows, |r| r.rationale.as_str()))
    .bind(column(rows, |r| r.traceparent.as_str()))
    .bind(column(rows, |r| r.created_at))
    .bind(column(rows, |r| r.updated_at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert_executions(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &[ExecutionRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO execution SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[],
            $6::text[], $7::integer[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::integer[],
            $13::text[], $14::bigint[], $15::bigint[], $16::bigint[])",
    )
    .bind(column(rows, |r| r.execution_id.as_str()))
    .bind(column(rows, |r| r.posting_sequence))
    .bind(column(rows, |r| r.trade_id.as_str()))
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.instrument_id.as_str()))
    .bind(column(rows, |r| r.venue.as_str()))
    .bind(column(rows, |r| r.side))
    .bind(column(rows, |r| r.price))
    .bind(column(rows, |r| r.quantity))
    .bind(column(rows, |r| r.fee))
    .bind(column(rows, |r| r.cash_change))
    .bind(column(rows, |r| r.style))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(column(rows, |r| r.initial_margin_ppm))
    .bind(column(rows, |r| r.executed_at))
    .bind(column(rows, |r| r.posted_at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert_cash(transaction: &mut Transaction<'static, Postgres>, rows: &[CashRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO cash_movement SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::text[],
            $5::text[], $6::bytea[], $7::bigint[], $8::bigint[], $9::text[], $10::integer[], $11::text[],
            $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::boolean[], $18::text[],
            $19::bigint[])",
    )
    .bind(column(rows, |r| r.trade_id.as_str()))
    .bind(column(rows, |r| r.posting_sequence))
    .bind(column(rows, |r| r.fact_sequence))
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.request_id.as_str()))
    .bind(column(rows, |r| r.payload_hash.as_slice()))
    .bind(column(rows, |r| r.requested))
    .bind(column(rows, |r| r.amount))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(column(rows, |r| r.denial_code))
    .bind(column(rows, |r| r.denial_message.as_str()))
    .bind(column(rows, |r| r.denial_limit))
    .bind(column(rows, |r| r.denial_observed))
    .bind(column(rows, |r| r.cash_after))
    .bind(column(rows, |r| r.margin_after))
    .bind(column(rows, |r| r.version_after))
    .bind(column(rows, |r| r.is_frozen_after))
    .bind(column(rows, |r| r.traceparent.as_str()))
    .bind(column(rows, |r| r.posted_at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert_transfers(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &[TransferRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO transfer SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::text[],
            $6::bigint[], $7::text[], $8::text[], $9::text[], $10::bigint[])",
    )
    .bind(column(rows, |r| r.sequence))
    .bind(column(rows, |r| r.posting_sequence))
    .bind(column(rows, |r| r.kind))
    .bind(column(rows, |r| r.debit_account.as_str()))
    .bind(column(rows, |r| r.credit_account.as_str()))
    .bind(column(rows, |r| r.amount))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.reference_id.as_str()))
    .bind(column(rows, |r| r.posted_at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn upsert_wallets(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &[WalletRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO wallet SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::boolean[])
         ON CONFLICT (account_id, currency) DO UPDATE SET cash = excluded.cash, margin = excluded.margin,
            version = excluded.version, is_frozen = excluded.is_frozen",
    )
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(column(rows, |r| r.cash))
    .bind(column(rows, |r| r.margin))
    .bind(column(rows, |r| r.version))
    .bind(column(rows, |r| r.is_frozen))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn upsert_positions(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &[PositionRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO position SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
         ON CONFLICT (account_id, instrument_id) DO UPDATE SET currency = excluded.currency,
            quantity = excluded.quantity, entry_notional = excluded.entry_notional, margin = excluded.margin,
            realized_pnl = excluded.realized_pnl, fees = excluded.fees, account_version = excluded.account_version",
    )
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.instrument_id.as_str()))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(column(rows, |r| r.quantity))
    .bind(column(rows, |r| r.entry_notional))
    .bind(column(rows, |r| r.margin))
    .bind(column(rows, |r| r.realized_pnl))
    .bind(column(rows, |r| r.fees))
    .bind(column(rows, |r| r.account_version))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
