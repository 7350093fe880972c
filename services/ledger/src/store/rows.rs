//! The tables' rows as stored; see `migrations/` for what each table and column means.

use super::table::table;
use std::fmt::Write as _;
use tragen_contracts::v1;
use tragen_domain::{
    ledger::Wallet,
    money::{Money, Quantity},
    position::Position,
};
use uuid::Uuid;

table! {
    /// A row of `shard`.
    ShardRow in "shard" {
        shard_id: i64,
        epoch: i64,
        posting_sequence: i64,
        transfer_sequence: i64,
        trade_sequence: i64,
        fact_sequence: i64,
        batch_sequence: i64,
        head_hash: Vec<u8>,
        posted_at: i64,
        shards_at_creation: i64,
        /// All seals of the shard: see [`super::seal::Seals`].
        seals: Vec<u8>,
    }
}

table! {
    /// A row of `slot`.
    SlotRow in "slot" {
        slot: i64,
        state: i64,
        peer_shard: i64,
        /// The shard it came from; -1 if it began here.
        came_from: i64,
        changed_at: i64,
    }
}

table! {
    /// A row of `wallet`.
    WalletRow in "wallet" {
        account_id: String,
        currency: String,
        cash: i64,
        margin: i64,
        version: i64,
        is_frozen: bool,
    }
}

table! {
    /// A row of `position`.
    PositionRow in "position" {
        account_id: String,
        instrument_id: String,
        currency: String,
        style: i32,
        quantity: i64,
        entry_notional: i64,
        margin: i64,
        realized_pnl: i64,
        fees: i64,
        account_version: i64,
    }
}

table! {
    /// A row of `trade`.
    TradeRow in "trade" {
        trade_id: Uuid,
        sequence: i64,
        fact_sequence: i64,
        account_id: String,
        request_id: String,
        tier: i32,
        payload_hash: Vec<u8>,
        status: i32,
        denial_code: i32,
        denial_message: String,
        denial_limit: i64,
        denial_observed: i64,
        rejection: String,
        order_id: String,
        instrument_id: String,
        side: i32,
        quantity: i64,
        limit_price: i64,
        filled_quantity: i64,
        average_price: i64,
        fee: i64,
        cash_change: i64,
        currency: String,
        account_version: i64,
        agent: String,
        agent_id: String,
        rationale: String,
        traceparent: String,
        created_at: i64,
        updated_at: i64,
        /// Empty when a version without seals has written the row: see [`super::seal`].
        seal: Vec<u8>,
    }
}

table! {
    /// A row of `execution`.
    ExecutionRow in "execution" {
        execution_id: String,
        /// `None` when another shard posted it.
        posting_sequence: Option<i64>,
        trade_id: Uuid,
        account_id: String,
        instrument_id: String,
        venue: String,
        side: i32,
        price: i64,
        quantity: i64,
        fee: i64,
        cash_change: i64,
        style: i32,
        currency: String,
        initial_margin_ppm: i64,
        /// The execution this one takes back; empty for a fill.
        reverses: String,
        executed_at: i64,
        posted_at: i64,
        /// Empty when a version without seals has written the row: see [`super::seal`].
        seal: Vec<u8>,
    }
}

table! {
    /// A row of `cash_movement`.
    CashRow in "cash_movement" {
        trade_id: Uuid,
        /// `None` when another shard posted it.
        posting_sequence: Option<i64>,
        fact_sequence: i64,
        kind: i32,
        account_id: String,
        request_id: String,
        payload_hash: Vec<u8>,
        /// Signed: what was asked for.
        requested: i64,
        /// Signed: what moved; 0 when denied.
        amount: i64,
        currency: String,
        counterparty_account_id: String,
        counterparty_shard: i64,
        reverses: String,
        reason: String,
        proposed_by: String,
        confirmed_by: String,
        denial_code: i32,
        denial_message: String,
        denial_limit: i64,
        denial_observed: i64,
        cash_after: i64,
        margin_after: i64,
        version_after: i64,
        is_frozen_after: bool,
        traceparent: String,
        posted_at: i64,
        /// Empty when a version without seals has written the row: see [`super::seal`].
        seal: Vec<u8>,
    }
}

table! {
    /// A row of `settlement`.
    SettlementRow in "settlement" {
        instrument_id: String,
        booking_id: Uuid,
        venue: String,
        value: i64,
        is_void: bool,
        reason: String,
        proposed_by: String,
        confirmed_by: String,
        decided_at: i64,
        /// Empty when a version without seals has written the row: see [`super::seal`].
        seal: Vec<u8>,
    }
}

table! {
    /// A row of `payout`.
    PayoutRow in "payout" {
        posting_sequence: i64,
        fact_sequence: i64,
        booking_id: Uuid,
        account_id: String,
        instrument_id: String,
        venue: String,
        value: i64,
        is_void: bool,
        style: i32,
        currency: String,
        quantity: i64,
        cash_change: i64,
        realized_pnl: i64,
        traceparent: String,
        posted_at: i64,
        /// Empty when a version without seals has written the row: see [`super::seal`].
        seal: Vec<u8>,
    }
}

table! {
    /// A row of `moved_wallet`.
    MovedWalletRow in "moved_wallet" {
        posting_sequence: i64,
        is_inbound: bool,
        slot: i64,
        peer_shard: i64,
        account_id: String,
        currency: String,
        cash: i64,
        margin: i64,
        version: i64,
        is_frozen: bool,
        posted_at: i64,
    }
}

table! {
    /// A row of `moved_position`.
    MovedPositionRow in "moved_position" {
        posting_sequence: i64,
        account_id: String,
        instrument_id: String,
        currency: String,
        style: i32,
        quantity: i64,
        entry_notional: i64,
        margin: i64,
        realized_pnl: i64,
        fees: i64,
        account_version: i64,
    }
}

table! {
    /// A row of `transfer`.
    TransferRow in "transfer" {
        sequence: i64,
        posting_sequence: i64,
        kind: i32,
        debit_account: String,
        credit_account: String,
        amount: i64,
        account_id: String,
        reference_id: Uuid,
        posted_at: i64,
    }
}

table! {
    /// A row of `cash_checkpoint`.
    CheckpointRow in "cash_checkpoint" {
        account_id: String,
        currency: String,
        posted_at: i64,
        sequence: i64,
        cash: i64,
    }
}

table! {
    /// A row of `batch`.
    BatchRow in "batch" {
        sequence: i64,
        first_transfer: i64,
        last_transfer: i64,
        previous_hash: Vec<u8>,
        hash: Vec<u8>,
        posted_at: i64,
    }
}

table! {
    /// A row of `rejected_report`.
    RejectedRow in "rejected_report" {
        report_id: String,
        trade_id: String,
        account_id: String,
        venue: String,
        reason: String,
        payload: Vec<u8>,
        rejected_at: i64,
    }
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl WalletRow {
    /// The columns that a posting changes.
    pub(crate) const CHANGING: &[&str] = &["cash", "margin", "version", "is_frozen"];

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

impl TradeRow {
    /// The columns that change while a trade works.
    pub(crate) const CHANGING: &[&str] = &[
        "fact_sequence",
        "status",
        "denial_code",
        "denial_message",
        "denial_limit",
        "denial_observed",
        "rejection",
        "order_id",
        "instrument_id",
        "side",
        "quantity",
        "limit_price",
        "filled_quantity",
        "average_price",
        "fee",
        "cash_change",
        "currency",
        "account_version",
        "agent",
        "agent_id",
        "rationale",
        "updated_at",
        "seal",
    ];
}

impl PositionRow {
    /// The columns that a posting changes.
    pub(crate) const CHANGING: &[&str] =
        &["currency", "style", "quantity", "entry_notional", "margin", "realized_pnl", "fees", "account_version"];

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
    /// Whether suspense pays it.
    pub(crate) const fn is_shortfall(&self) -> bool {
        self.kind == v1::TransferKind::Shortfall as i32
    }

    /// What the hash chain covers: every column, numbers as 8 bytes big-endian,
    /// texts with their length in front, then the reference's 16 bytes.
    pub(crate) fn write_canonical(&self, bytes: &mut Vec<u8>) {
        for number in [self.sequence, self.posting_sequence, i64::from(self.kind), self.amount, self.posted_at] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for text in [&self.debit_account, &self.credit_account, &self.account_id] {
            bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(self.reference_id.as_bytes());
    }
}

impl SlotRow {
    /// A slot that begins in this shard.
    pub(crate) const fn first(slot: i64) -> Self {
        Self { slot, state: Self::HERE, peer_shard: -1, came_from: -1, changed_at: 0 }
    }

    /// The shard keeps the slot.
    pub(crate) const HERE: i64 = 1;
    /// The slot leaves for `peer_shard`: nothing is booked to it.
    pub(crate) const LEAVING: i64 = 2;
    /// `peer_shard` has the slot.
    pub(crate) const GONE: i64 = 3;
}

impl CashRow {
    /// Why the cash moved.
    pub(crate) fn kind(&self) -> v1::CashKind {
        v1::CashKind::try_from(self.kind).unwrap_or_default()
    }
}
