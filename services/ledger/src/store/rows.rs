//! The tables' rows as stored; see `migrations/` for what each column means.

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use tragen_domain::{
    ledger::Wallet,
    money::{Money, Quantity},
    position::Position,
};

/// The one row of `shard`.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct ShardRow {
    pub(crate) epoch: i64,
    pub(crate) posting_sequence: i64,
    pub(crate) transfer_sequence: i64,
    pub(crate) trade_sequence: i64,
    pub(crate) fact_sequence: i64,
    pub(crate) published_fact_sequence: i64,
    pub(crate) batch_sequence: i64,
    pub(crate) head_hash: Vec<u8>,
}

/// A row of `wallet`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub(crate) struct WalletRow {
    pub(crate) account_id: String,
    pub(crate) currency: String,
    pub(crate) cash: i64,
    pub(crate) margin: i64,
    pub(crate) version: i64,
    pub(crate) is_frozen: bool,
}

/// A row of `position`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub(crate) struct PositionRow {
    pub(crate) account_id: String,
    pub(crate) instrument_id: String,
    pub(crate) currency: String,
    pub(crate) quantity: i64,
    pub(crate) entry_notional: i64,
    pub(crate) margin: i64,
    pub(crate) realized_pnl: i64,
    pub(crate) fees: i64,
    pub(crate) account_version: i64,
}

/// A row of `trade`.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub(crate) struct TradeRow {
    pub(crate) trade_id: String,
    pub(crate) sequence: i64,
    pub(crate) fact_sequence: i64,
    pub(crate) account_id: String,
    pub(crate) request_id: String,
    pub(crate) tier: i32,
    #[serde(serialize_with = "hex")]
    pub(crate) payload_hash: Vec<u8>,
    pub(crate) status: i32,
    pub(crate) denial_code: i32,
    pub(crate) denial_message: String,
    pub(crate) denial_limit: i64,
    pub(crate) denial_observed: i64,
    pub(crate) rejection: String,
    pub(crate) order_id: String,
    pub(crate) instrument_id: String,
    pub(crate) side: i32,
    pub(crate) quantity: i64,
    pub(crate) limit_price: i64,
    pub(crate) filled_quantity: i64,
    pub(crate) average_price: i64,
    pub(crate) fee: i64,
    pub(crate) cash_change: i64,
    pub(crate) currency: String,
    pub(crate) account_version: i64,
    pub(crate) agent: String,
    pub(crate) agent_id: String,
    pub(crate) rationale: String,
    pub(crate) traceparent: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// A row of `execution`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub(crate) struct ExecutionRow {
    pub(crate) execution_id: String,
    pub(crate) posting_sequence: i64,
    pub(crate) trade_id: String,
    pub(crate) account_id: String,
    pub(crate) instrument_id: String,
    pub(crate) venue: String,
    pub(crate) side: i32,
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) fee: i64,
    pub(crate) cash_change: i64,
    pub(crate) style: i32,
    pub(crate) currency: String,
    pub(crate) initial_margin_ppm: i64,
    pub(crate) executed_at: i64,
    pub(crate) posted_at: i64,
}

/// A row of `cash_movement`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub(crate) struct CashRow {
    pub(crate) trade_id: String,
    pub(crate) posting_sequence: i64,
    pub(crate) fact_sequence: i64,
    pub(crate) account_id: String,
    pub(crate) request_id: String,
    #[serde(serialize_with = "hex")]
    pub(crate) payload_hash: Vec<u8>,
    /// Signed: what was asked for.
    pub(crate) requested: i64,
    /// Signed: what moved; 0 when denied.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) denial_code: i32,
    pub(crate) denial_message: String,
    pub(crate) denial_limit: i64,
    pub(crate) denial_observed: i64,
    pub(crate) cash_after: i64,
    pub(crate) margin_after: i64,
    pub(crate) version_after: i64,
    pub(crate) is_frozen_after: bool,
    pub(crate) traceparent: String,
    pub(crate) posted_at: i64,
}

/// A row of `transfer`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, Serialize)]
pub(crate) struct TransferRow {
    pub(crate) sequence: i64,
    pub(crate) posting_sequence: i64,
    pub(crate) kind: i32,
    pub(crate) debit_account: String,
    pub(crate) credit_account: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) account_id: String,
    pub(crate) reference_id: String,
    pub(crate) posted_at: i64,
}

/// A row of `batch`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct BatchRow {
    pub(crate) sequence: i64,
    pub(crate) first_transfer: i64,
    pub(crate) last_transfer: i64,
    pub(crate) previous_hash: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) posted_at: i64,
}

/// A row of `rejected_report`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct RejectedRow {
    pub(crate) report_id: String,
    pub(crate) trade_id: String,
    pub(crate) account_id: String,
    pub(crate) venue: String,
    pub(crate) reason: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) rejected_at: i64,
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[expect(clippy::ptr_arg, reason = "serde passes the field itself")]
fn hex<S: Serializer>(bytes: &Vec<u8>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex_text(bytes))
}

impl WalletRow {
    /// The row of a wallet.
    pub(crate) fn new(account_id: &str, currency: &str, wallet: Wallet) -> Self {
        Self {
            account_id: account_id.to_owned(),
            currency: currency.to_owned(),
            cash: wallet.cash.micros(),
            margin: wallet.margin.micros(),
            version: wallet.version,
            is_frozen: wallet.is_frozen,
        }
    }

    /// The wallet in it.
    pub(crate) fn wallet(&self) -> Wallet {
        Wallet {
            cash: Money::from_micros(self.cash),
            margin: Money::from_micros(self.margin),
            version: self.version,
            is_frozen: self.is_frozen,
        }
    }
}

impl PositionRow {
    /// The position in it.
    pub(crate) fn position(&self) -> Position {
        Position {
            quantity: Quantity::from_micros(self.quantity),
            entry_notional: Money::from_micros(self.entry_notional),
            margin: Money::from_micros(self.margin),
            realized_pnl: Money::from_micros(self.realized_pnl),
            fees: Money::from_micros(self.fees),
        }
    }

    /// The same row holding `position`.
    pub(crate) fn holding(self, position: Position) -> Self {
        Self {
            quantity: position.quantity.micros(),
            entry_notional: position.entry_notional.micros(),
            margin: position.margin.micros(),
            realized_pnl: position.realized_pnl.micros(),
            fees: position.fees.micros(),
            ..self
        }
    }
}

impl TransferRow {
    /// What the hash chain covers: every column, numbers as 8 bytes big-endian,
    /// texts with their length in front.
    pub(crate) fn hash_into(&self, hash: &mut Sha256) {
        for number in [self.sequence, self.posting_sequence, i64::from(self.kind), self.amount, self.posted_at] {
            hash.update(number.to_be_bytes());
        }
        for text in [&self.debit_account, &self.credit_account, &self.currency, &self.account_id, &self.reference_id] {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        }
    }
}
