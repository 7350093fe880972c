//! What all postings have in common: how transfers become rows, and the names
//! that follow from other names.

use crate::{
    store::rows::{PositionRow, TransferRow},
    unbookable::Unbookable,
};
use tragen_contracts::v1;
pub(crate) use tragen_contracts::{cash_correction_id, execution_correction_id};
use tragen_domain::{
    instrument::SettlementTerms,
    ledger::{Transfer, TransferKind},
};
use uuid::Uuid;

/// What the transfers of one posting have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) account_id: &'a str,
    pub(crate) reference_id: Uuid,
    pub(crate) posting_sequence: i64,
    pub(crate) posted_at: i64,
}

/// The rows of `transfers`, numbered from `first`.
pub(crate) fn transfer_rows(transfers: Vec<Transfer>, first: i64, reference: Reference<'_>) -> Vec<TransferRow> {
    let rows = transfers.into_iter().zip(first..).map(|(transfer, sequence)| TransferRow {
        sequence,
        posting_sequence: reference.posting_sequence,
        kind: kind_number(transfer.kind),
        debit_account: transfer.debit.to_string(),
        credit_account: transfer.credit.to_string(),
        amount: transfer.amount.micros(),
        account_id: reference.account_id.to_owned(),
        reference_id: reference.reference_id,
        posted_at: reference.posted_at,
    });
    rows.collect()
}

/// The number of a transfer's kind on the wire and in the tables.
pub(crate) fn kind_number(kind: TransferKind) -> i32 {
    let kind = match kind {
        TransferKind::Deposit => v1::TransferKind::Deposit,
        TransferKind::Withdrawal => v1::TransferKind::Withdrawal,
        TransferKind::TradeCost => v1::TransferKind::TradeCost,
        TransferKind::TradeProceeds => v1::TransferKind::TradeProceeds,
        TransferKind::Fee => v1::TransferKind::Fee,
        TransferKind::MarginHeld => v1::TransferKind::MarginHeld,
        TransferKind::MarginReleased => v1::TransferKind::MarginReleased,
        TransferKind::RealizedPnl => v1::TransferKind::RealizedPnl,
        TransferKind::Shortfall => v1::TransferKind::Shortfall,
        TransferKind::Settlement => v1::TransferKind::Settlement,
        TransferKind::Refund => v1::TransferKind::Refund,
        TransferKind::Sent => v1::TransferKind::Sent,
        TransferKind::Adjustment => v1::TransferKind::Adjustment,
        TransferKind::Correction => v1::TransferKind::Correction,
        TransferKind::SlotMoved => v1::TransferKind::SlotMoved,
    };
    kind.into()
}

/// A position of nothing.
pub(crate) fn flat(account_id: &str, instrument_id: &str, terms: &SettlementTerms) -> PositionRow {
    PositionRow {
        account_id: account_id.to_owned(),
        instrument_id: instrument_id.to_owned(),
        currency: terms.currency.to_string(),
        style: v1::SettlementStyle::from(terms.style).into(),
        ..PositionRow::default()
    }
}

/// The id of the execution that takes another one back.
pub(crate) fn reversal_id(execution_id: &str) -> String {
    format!("reversal/{execution_id}")
}

/// How a stored position settles; margin is already held, so its share plays no part.
pub(crate) fn terms_of(style: i32, currency: &str) -> Result<SettlementTerms, Unbookable> {
    let terms = v1::SettlementTerms { style, currency: currency.to_owned(), initial_margin_ppm: 0 };
    SettlementTerms::try_from(&terms).map_err(Unbookable::malformed)
}

/// A length as a step of a sequence.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
