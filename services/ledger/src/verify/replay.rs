//! Booking again what was booked, with the same rules.

use super::{Found, bad};
use crate::{
    batch::booking::{Reference, flat, transfer_rows},
    store::rows::{CashRow, ExecutionRow, PositionRow, TradeRow, TransferRow},
};
use std::collections::HashMap;
use tragen_contracts::v1;
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId, IdError},
    instrument::SettlementTerms,
    ledger::{VenueId, Wallet, average_price, post_deposit, post_fill, post_withdrawal},
    money::{Money, Price, Quantity},
    order::Side,
    time::Timestamp,
};

/// The books as they follow from what was booked so far.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// By account and currency.
    pub(super) wallets: HashMap<(String, String), Wallet>,
    /// By account and instrument.
    pub(super) positions: HashMap<(String, String), PositionRow>,
    transfers: i64,
}

impl Replay {
    /// Books an execution again; returns the transfers it must have made.
    pub(super) fn execution(&mut self, row: &ExecutionRow) -> Result<Vec<TransferRow>, Found> {
        let wrong = |problem: String| bad("execution", &row.execution_id, problem);
        let wallet_key = (row.account_id.clone(), row.currency.clone());
        let position_key = (row.account_id.clone(), row.instrument_id.clone());
        let wallet = self.wallets.get(&wallet_key).copied().unwrap_or_default();
        let position = self.positions.remove(&position_key);
        let position = position.unwrap_or_else(|| flat(&row.account_id, &row.instrument_id, &row.currency));
        let (account, venue, side, fill, terms) = parts(row).map_err(&wrong)?;
        let posting = post_fill(&account, &venue, (wallet, position.position()), side, &fill, &terms)
            .map_err(|error| wrong(error.to_string()))?;
        let cash_change = posting.wallet.cash.minus(wallet.cash).map_err(|error| wrong(error.to_string()))?;
        if cash_change.micros() != row.cash_change {
            let stored = Money::from_micros(row.cash_change);
            return Err(wrong(format!("its cash change is {stored}, should be {cash_change}")));
        }
        let mut position = position.holding(posting.position);
        position.account_version = posting.wallet.version;
        self.positions.insert(position_key, position);
        self.wallets.insert(wallet_key, posting.wallet);
        let reference = Reference {
            account_id: &row.account_id,
            trade_id: &row.trade_id,
            currency: &row.currency,
            posting_sequence: row.posting_sequence,
            posted_at: row.posted_at,
        };
        Ok(self.numbered(transfer_rows(posting.transfers, self.transfers + 1, reference)))
    }

    /// Books a deposit or withdrawal again; returns the transfer it must have made.
    pub(super) fn cash(&mut self, row: &CashRow) -> Result<Vec<TransferRow>, Found> {
        let wrong = |problem: String| bad("cash_movement", &row.trade_id, problem);
        let key = (row.account_id.clone(), row.currency.clone());
        let mut wallet = self.wallets.get(&key).copied().unwrap_or_default();
        let mut transfers = Vec::new();
        if row.denial_code == 0 {
            let id = |error: IdError| wrong(error.to_string());
            let (account, currency) =
                (AccountId::new(&row.account_id).map_err(id)?, Currency::new(&row.currency).map_err(id)?);
            let amount = Money::from_micros(row.amount);
            let posting = if amount.is_negative() {
                let amount = amount.negated().map_err(|error| wrong(error.to_string()))?;
                post_withdrawal(&account, &currency, wallet, amount)
            } else {
                post_deposit(&account, &currency, wallet, amount)
            };
            let posting = posting.map_err(|error| wrong(error.to_string()))?;
            wallet = posting.wallet;
            self.wallets.insert(key, wallet);
            let reference = Reference {
                account_id: &row.account_id,
                trade_id: &row.trade_id,
                currency: &row.currency,
                posting_sequence: row.posting_sequence,
                posted_at: row.posted_at,
            };
            transfers = transfer_rows(vec![posting.transfer], self.transfers + 1, reference);
        } else if row.amount != 0 {
            return Err(wrong("it is denied but moves money".to_owned()));
        }
        let after = Wallet {
            cash: Money::from_micros(row.cash_after),
            margin: Money::from_micros(row.margin_after),
            version: row.version_after,
            is_frozen: row.is_frozen_after,
        };
        if after != wallet {
            return Err(wrong(format!("it says {after:?} afterwards, should be {wallet:?}")));
        }
        Ok(self.numbered(transfers))
    }

    fn numbered(&mut self, transfers: Vec<TransferRow>) -> Vec<TransferRow> {
        self.transfers = transfers.last().map_or(self.transfers, |last| last.sequence);
        transfers
    }
}

/// Whether a trade's totals are those of its executions.
pub(super) fn check_trade(row: &TradeRow, executions: &[ExecutionRow]) -> Result<(), Found> {
    let wrong = |problem: String| bad("trade", &row.trade_id, problem);
    let sum = |amount: fn(&ExecutionRow) -> i64| {
        executions.iter().try_fold(0_i64, |sum, execution| sum.checked_add(amount(execution)))
    };
    let fills = executions.iter().map(|e| (Price::from_micros(e.price), Quantity::from_micros(e.quantity)));
    let average = average_price(fills).map_err(|error| wrong(error.to_string()))?;
    for (name, stored, expected) in [
        ("filled_quantity", row.filled_quantity, sum(|e| e.quantity)),
        ("fee", row.fee, sum(|e| e.fee)),
        ("cash_change", row.cash_change, sum(|e| e.cash_change)),
        ("average_price", row.average_price, Some(average.micros())),
    ] {
        if Some(stored) != expected {
            return Err(wrong(format!("{name} is {stored}, its executions make {expected:?}")));
        }
    }
    Ok(())
}

/// What [`post_fill`] takes, out of a row.
fn parts(row: &ExecutionRow) -> Result<(AccountId, VenueId, Side, Fill, SettlementTerms), String> {
    let id = |error: IdError| error.to_string();
    let side = v1::Side::try_from(row.side).map_err(|error| error.to_string())?;
    let terms = v1::SettlementTerms {
        style: row.style,
        currency: row.currency.clone(),
        initial_margin_ppm: row.initial_margin_ppm,
    };
    let fill = Fill {
        id: ExecutionId::new(&row.execution_id).map_err(id)?,
        price: Price::from_micros(row.price),
        quantity: Quantity::from_micros(row.quantity),
        fee: Money::from_micros(row.fee),
        executed_at: Timestamp::from_micros(row.executed_at),
    };
    Ok((
        AccountId::new(&row.account_id).map_err(id)?,
        VenueId::new(&row.venue).map_err(id)?,
        Side::try_from(side).map_err(|error| error.to_string())?,
        fill,
        SettlementTerms::try_from(&terms).map_err(|error| error.to_string())?,
    ))
}
