//! What each kind of item does to the books. The amounts come from
//! [`tragen_domain::ledger`]; here they become rows.

use super::{Batch, Outcome};
use crate::{
    facts,
    intake::{Item, Key, TradeAction},
    store::rows::{CashRow, ExecutionRow, PositionRow, TradeRow, TransferRow, WalletRow},
};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    execution::Fill,
    id::Currency,
    instrument::SettlementTerms,
    ledger::{
        CashPosting, DEFAULT_CURRENCY, LedgerError, Transfer, TransferKind, VenueId, Wallet, average_price,
        post_deposit, post_fill, post_withdrawal, settled_status,
    },
    money::{Money, Price, Quantity},
    order::{OrderPrice, OrderTerms, TradeStatus},
};

/// New fills of one report, booked but not yet part of the books.
struct Staged {
    wallet: Wallet,
    position: PositionRow,
    executions: Vec<ExecutionRow>,
    transfers: Vec<TransferRow>,
}

impl Batch {
    /// Books a trade report: its new fills, and where the trade stands now.
    pub(super) fn trade(&mut self, item: &Item, key: &Key, trade: &TradeAction) -> Result<Outcome, String> {
        let trade_id = key.trade_id.to_string();
        let known = self.trades.get(&trade_id).cloned();
        if let Some(known) = &known {
            check_same_trade(known, key, trade)?;
        }
        let staged = self.stage(item, key, trade)?;
        let mut executions = self.executions.get(&trade_id).cloned().unwrap_or_default();
        executions.extend(staged.iter().flat_map(|staged| staged.executions.iter().cloned()));

        let mut row = match &known {
            Some(known) => known.clone(),
            None => new_trade(item, key, self.now, self.shard.trade_sequence + 1),
        };
        describe(&mut row, item, trade);
        total(&mut row, trade, known.is_some(), &executions).map_err(|error| error.to_string())?;
        let is_changed = known.as_ref() != Some(&row);
        if is_changed {
            let wallet = self.books.wallets.get(&(row.account_id.clone(), row.currency.clone()));
            let version = staged.as_ref().map(|staged| staged.wallet.version);
            row.account_version = version.or(wallet.map(|wallet| wallet.version)).unwrap_or(0);
            row.updated_at = self.now;
            if known.is_none() {
                self.shard.trade_sequence += 1;
            }
            let new_ids: Vec<_> =
                staged.iter().flat_map(|s| s.executions.iter().map(|e| e.execution_id.clone())).collect();
            self.tell(item, &trade_id, new_ids);
            self.touched_trades.insert(trade_id.clone());
            self.trades.insert(trade_id, row.clone());
            if let Some(staged) = staged {
                self.adopt(&row, staged);
            }
            Ok(Outcome::Booked)
        } else {
            self.tell(item, &trade_id, executions.into_iter().map(|execution| execution.execution_id));
            Ok(Outcome::Known)
        }
    }

    /// Books the fills that are not booked yet, beside the books; `None` if there are none.
    fn stage(&self, item: &Item, key: &Key, trade: &TradeAction) -> Result<Option<Staged>, String> {
        let (Some(terms), Some(settlement)) = (&trade.terms, &trade.settlement) else { return Ok(None) };
        let venue: VenueId = convert::id("venue", &item.venue).map_err(|error| error.to_string())?;
        let (account_id, currency) = (key.account.as_str(), settlement.currency.as_str());
        let instrument_id = terms.instrument.as_str();
        let wallet = self.books.wallets.get(&(account_id.to_owned(), currency.to_owned()));
        let position = self.books.positions.get(&(account_id.to_owned(), instrument_id.to_owned()));
        let mut staged = Staged {
            wallet: wallet.map(WalletRow::wallet).unwrap_or_default(),
            position: position.cloned().unwrap_or_else(|| flat(account_id, instrument_id, currency)),
            executions: Vec::new(),
            transfers: Vec::new(),
        };
        for fill in &trade.fills {
            let is_staged = staged.executions.iter().any(|row| row.execution_id == fill.id.as_str());
            match self.execution_ids.get(fill.id.as_str()) {
                Some(other) if other != key.trade_id.as_str() => {
                    return Err(format!("execution {} belongs to trade {other}", fill.id));
                }
                Some(_) => continue,
                None if is_staged => continue,
                None => {}
            }
            let held = (staged.wallet, staged.position.position());
            let posting = post_fill(&key.account, &venue, held, terms.side, fill, settlement)
                .map_err(|error| format!("execution {}: {error}", fill.id))?;
            let posting_sequence = self.shard.posting_sequence + count(staged.executions.len()) + 1;
            let cash_change = posting.wallet.cash.minus(staged.wallet.cash).map_err(|error| error.to_string())?;
            let row = execution_row(key, terms, settlement, fill, (posting_sequence, cash_change, self.now));
            staged.executions.push(ExecutionRow { venue: item.venue.clone(), ..row });
            let first = self.shard.transfer_sequence + count(staged.transfers.len()) + 1;
            let reference = self.reference(key, &settlement.currency, posting_sequence);
            staged.transfers.extend(transfer_rows(posting.transfers, first, reference));
            staged.wallet = posting.wallet;
            staged.position = staged.position.holding(posting.position);
            staged.position.account_version = posting.wallet.version;
        }
        Ok((!staged.executions.is_empty()).then_some(staged))
    }

    /// Makes staged fills part of the books.
    fn adopt(&mut self, row: &TradeRow, staged: Staged) {
        let Staged { wallet, position, executions, transfers } = staged;
        self.shard.posting_sequence += count(executions.len());
        self.new_executions.extend(executions.iter().cloned());
        for execution in executions {
            self.execution_ids.insert(execution.execution_id.clone(), execution.trade_id.clone());
            self.executions.entry(execution.trade_id.clone()).or_default().push(execution);
        }
        self.keep_transfers(transfers);
        self.keep_wallet(&row.account_id, &row.currency, wallet);
        let key = (position.account_id.clone(), position.instrument_id.clone());
        self.books.positions.insert(key.clone(), position);
        self.touched_positions.insert(key);
    }

    fn keep_transfers(&mut self, transfers: Vec<TransferRow>) {
        self.shard.transfer_sequence += count(transfers.len());
        self.new_transfers.extend(transfers);
    }

    fn keep_wallet(&mut self, account_id: &str, currency: &str, wallet: Wallet) {
        let key = (account_id.to_owned(), currency.to_owned());
        let row = WalletRow::new(account_id, currency, wallet);
        let before = self.books.wallets.insert(key.clone(), row);
        if wallet.is_frozen && !before.is_some_and(|before| before.is_frozen) {
            self.frozen.push(account_id.to_owned());
        }
        self.touched_wallets.insert(key);
    }

    /// Books a withdrawal, or records why it is denied.
    pub(super) fn withdrawal(
        &mut self,
        item: &Item,
        key: &Key,
        (currency, amount): (&Currency, Money),
        denial: Option<&v1::Denial>,
    ) -> Result<Outcome, String> {
        if self.cash.contains_key(key.trade_id.as_str()) {
            self.tell(item, key.trade_id.as_str(), []);
            return Ok(Outcome::Known);
        }
        let wallet = self.wallet(key, currency);
        let requested = amount.negated().map_err(|error| error.to_string())?;
        let posting = match denial {
            Some(denial) => Err(denial.clone()),
            None => match post_withdrawal(&key.account, currency, wallet, amount) {
                Ok(posting) => Ok(posting),
                // The guard's view was behind: the money stays, the caller learns why.
                Err(LedgerError::InsufficientFunds { available, requested }) => Err(v1::Denial {
                    code: v1::DenialCode::InsufficientFunds.into(),
                    message: format!("cannot withdraw {requested} of {available}"),
                    limit: available.micros(),
                    observed: requested.micros(),
                }),
                Err(LedgerError::Frozen) => Err(v1::Denial {
                    code: v1::DenialCode::AccountFrozen.into(),
                    message: "the account is frozen".to_owned(),
                    limit: 0,
                    observed: 0,
                }),
                Err(
                    error @ (LedgerError::Position(_)
                    | LedgerError::Overflow(_)
                    | LedgerError::Fill { .. }
                    | LedgerError::Price { .. }
                    | LedgerError::Amount { .. }),
                ) => return Err(error.to_string()),
            },
        };
        self.cash_movement(item, key, (currency, requested, wallet), posting);
        Ok(Outcome::Booked)
    }

    /// Books a deposit; a repeat gets the answer of the first.
    pub(super) fn deposit(&mut self, item: &Item, key: &Key, currency: &Currency, amount: Money) -> Outcome {
        let trade_id = key.trade_id.as_str();
        if let Some(known) = self.cash.get(trade_id) {
            if known.requested != amount.micros() || known.currency != currency.as_str() {
                return Outcome::Refused(reused(&item.raw_key().request_id));
            }
            let account = facts::account_after(known);
            self.tell(item, trade_id, []);
            return Outcome::Deposited(account);
        }
        if self.trades.contains_key(trade_id) {
            return Outcome::Refused(reused(&item.raw_key().request_id));
        }
        let wallet = self.wallet(key, currency);
        match post_deposit(&key.account, currency, wallet, amount) {
            Ok(posting) => {
                let row = self.cash_movement(item, key, (currency, amount, wallet), Ok(posting));
                Outcome::Deposited(facts::account_after(&row))
            }
            Err(error) => Outcome::Refused(v1::AskError {
                code: 11,
                reason: "BALANCE_OUT_OF_RANGE".to_owned(),
                message: error.to_string(),
            }),
        }
    }

    fn reference<'a>(&self, key: &'a Key, currency: &'a Currency, posting_sequence: i64) -> Reference<'a> {
        let (account_id, trade_id) = (key.account.as_str(), key.trade_id.as_str());
        Reference { account_id, trade_id, currency: currency.as_str(), posting_sequence, posted_at: self.now }
    }

    fn wallet(&self, key: &Key, currency: &Currency) -> Wallet {
        let wallet = self.books.wallets.get(&(key.account.to_string(), currency.to_string()));
        wallet.map(WalletRow::wallet).unwrap_or_default()
    }

    fn cash_movement(
        &mut self,
        item: &Item,
        key: &Key,
        (currency, requested, wallet): (&Currency, Money, Wallet),
        posting: Result<CashPosting, v1::Denial>,
    ) -> CashRow {
        let raw = item.raw_key();
        self.shard.posting_sequence += 1;
        let (wallet, denial) = match posting {
            Ok(posting) => {
                let reference = self.reference(key, currency, self.shard.posting_sequence);
                let first = self.shard.transfer_sequence + 1;
                self.keep_transfers(transfer_rows(vec![posting.transfer], first, reference));
                self.keep_wallet(key.account.as_str(), currency.as_str(), posting.wallet);
                (posting.wallet, None)
            }
            Err(denial) => (wallet, Some(denial)),
        };
        let amount = if denial.is_some() { Money::ZERO } else { requested };
        let denial = denial.unwrap_or_default();
        let row = CashRow {
            trade_id: key.trade_id.to_string(),
            posting_sequence: self.shard.posting_sequence,
            fact_sequence: 0,
            account_id: key.account.to_string(),
            request_id: raw.request_id,
            payload_hash: raw.payload_hash.to_vec(),
            requested: requested.micros(),
            amount: amount.micros(),
            currency: currency.to_string(),
            denial_code: denial.code,
            denial_message: denial.message,
            denial_limit: denial.limit,
            denial_observed: denial.observed,
            cash_after: wallet.cash.micros(),
            margin_after: wallet.margin.micros(),
            version_after: wallet.version,
            is_frozen_after: wallet.is_frozen,
            traceparent: item.traceparent.clone(),
            posted_at: self.now,
        };
        self.tell(item, &row.trade_id, []);
        self.new_cash.insert(row.trade_id.clone());
        self.cash.insert(row.trade_id.clone(), row.clone());
        row
    }
}

fn check_same_trade(known: &TradeRow, key: &Key, trade: &TradeAction) -> Result<(), String> {
    if known.account_id != key.account.as_str() {
        return Err(format!("trade {} belongs to another account", key.trade_id));
    }
    let Some(terms) = &trade.terms else { return Ok(()) };
    let is_same = known.order_id.is_empty()
        || known.instrument_id == terms.instrument.as_str() && known.side == i32::from(v1::Side::from(terms.side));
    if is_same { Ok(()) } else { Err(format!("trade {} is about another order", key.trade_id)) }
}

fn new_trade(item: &Item, key: &Key, now: i64, sequence: i64) -> TradeRow {
    let raw = item.raw_key();
    let created_at = if raw.created_at_micros > 0 { raw.created_at_micros } else { now };
    TradeRow {
        trade_id: key.trade_id.to_string(),
        sequence,
        account_id: key.account.to_string(),
        request_id: raw.request_id,
        tier: raw.tier,
        payload_hash: raw.payload_hash.to_vec(),
        traceparent: item.traceparent.clone(),
        currency: DEFAULT_CURRENCY.to_owned(),
        created_at,
        ..TradeRow::default()
    }
}

/// Fills in what earlier reports left open; what is known stays.
fn describe(row: &mut TradeRow, item: &Item, trade: &TradeAction) {
    if let (true, Some(terms)) = (row.order_id.is_empty(), &trade.terms) {
        row.order_id = terms.id.to_string();
        row.instrument_id = terms.instrument.to_string();
        row.side = v1::Side::from(terms.side).into();
        row.quantity = terms.quantity.micros();
        row.limit_price = match terms.price {
            OrderPrice::Limit(price) => price.micros(),
            OrderPrice::Market => 0,
        };
        if let Some(settlement) = &trade.settlement {
            row.currency = settlement.currency.to_string();
        }
    }
    let Some(v1::execution_report::Kind::Trade(report)) = &item.report.kind else { return };
    if let (0, Some(denial)) = (row.denial_code, &report.denial) {
        row.denial_code = denial.code;
        row.denial_message.clone_from(&denial.message);
        row.denial_limit = denial.limit;
        row.denial_observed = denial.observed;
    }
    for (known, reported) in [
        (&mut row.rejection, &report.rejection),
        (&mut row.agent, &report.agent),
        (&mut row.agent_id, &report.agent_id),
        (&mut row.rationale, &report.rationale),
    ] {
        if known.is_empty() {
            known.clone_from(reported);
        }
    }
}

/// Status and totals over all executions.
fn total(
    row: &mut TradeRow,
    trade: &TradeAction,
    is_known: bool,
    executions: &[ExecutionRow],
) -> Result<(), LedgerError> {
    let (mut filled, mut fee, mut cash_change) = (Quantity::ZERO, Money::ZERO, Money::ZERO);
    for execution in executions {
        filled = filled.plus(Quantity::from_micros(execution.quantity))?;
        fee = fee.plus(Money::from_micros(execution.fee))?;
        cash_change = cash_change.plus(Money::from_micros(execution.cash_change))?;
    }
    let fills = executions.iter().map(|e| (Price::from_micros(e.price), Quantity::from_micros(e.quantity)));
    row.average_price = average_price(fills)?.micros();
    row.filled_quantity = filled.micros();
    row.fee = fee.micros();
    row.cash_change = cash_change.micros();
    let known = is_known.then(|| status_of(row.status)).flatten();
    let status = settled_status(known, trade.status, filled, Quantity::from_micros(row.quantity));
    row.status = v1::TradeStatus::from(status).into();
    Ok(())
}

fn status_of(number: i32) -> Option<TradeStatus> {
    TradeStatus::try_from(v1::TradeStatus::try_from(number).ok()?).ok()
}

fn execution_row(
    key: &Key,
    terms: &OrderTerms,
    settlement: &SettlementTerms,
    fill: &Fill,
    (posting_sequence, cash_change, now): (i64, Money, i64),
) -> ExecutionRow {
    ExecutionRow {
        execution_id: fill.id.to_string(),
        posting_sequence,
        trade_id: key.trade_id.to_string(),
        account_id: key.account.to_string(),
        instrument_id: terms.instrument.to_string(),
        venue: String::new(),
        side: v1::Side::from(terms.side).into(),
        price: fill.price.micros(),
        quantity: fill.quantity.micros(),
        fee: fill.fee.micros(),
        cash_change: cash_change.micros(),
        style: v1::SettlementStyle::from(settlement.style).into(),
        currency: settlement.currency.to_string(),
        initial_margin_ppm: settlement.initial_margin_ppm,
        executed_at: fill.executed_at.micros(),
        posted_at: now,
    }
}

/// What the transfers of one posting have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) account_id: &'a str,
    pub(crate) trade_id: &'a str,
    pub(crate) currency: &'a str,
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
        currency: reference.currency.to_owned(),
        account_id: reference.account_id.to_owned(),
        reference_id: reference.trade_id.to_owned(),
        posted_at: reference.posted_at,
    });
    rows.collect()
}

/// The number of a transfer's kind on the wire and in the tables.
fn kind_number(kind: TransferKind) -> i32 {
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
    };
    kind.into()
}

/// A position of nothing.
pub(crate) fn flat(account_id: &str, instrument_id: &str, currency: &str) -> PositionRow {
    PositionRow {
        account_id: account_id.to_owned(),
        instrument_id: instrument_id.to_owned(),
        currency: currency.to_owned(),
        quantity: 0,
        entry_notional: 0,
        margin: 0,
        realized_pnl: 0,
        fees: 0,
        account_version: 0,
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn reused(request_id: &str) -> v1::AskError {
    v1::AskError {
        code: 6,
        reason: "REQUEST_ID_REUSED".to_owned(),
        message: format!("request id {request_id} was used for another request"),
    }
}
