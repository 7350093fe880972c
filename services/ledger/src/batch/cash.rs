//! Cash outside of trading: in, out, to another account, and put right by hand.
//! What cannot be booked is a row too, with the denial: a repeat gets the same
//! answer for ever.

use super::{
    Batch, Frame, Outcome, Refused, Told,
    posting::{cash_correction_id, count, execution_correction_id, flat, reversal_id, terms_of, transfer_rows},
};
use crate::{
    facts,
    intake::{AccountAction, Item, Key, Note},
    store::rows::{CashRow, ExecutionRow},
    unbookable::Unbookable,
};
use tragen_contracts::v1;
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId},
    instrument::SettlementTerms,
    ledger::{
        CashPosting, DEFAULT_CURRENCY, LedgerAccount, LedgerError, ResultCode, Transfer, TransferKind, VenueId, Wallet,
        post_adjustment, post_deposit, post_fill_reversal, post_received, post_reversal, post_sent, post_unfreezing,
        post_withdrawal,
    },
    money::{Money, Price, Quantity},
    order::Side,
    time::Timestamp,
};
use uuid::Uuid;

/// What a row of cash says beside key and outcome.
#[derive(Debug)]
struct Movement<'a> {
    kind: v1::CashKind,
    currency: &'a Currency,
    /// Signed.
    requested: Money,
    counterparty: Option<(&'a AccountId, u16)>,
    reverses: String,
    note: Note,
}

impl<'a> Movement<'a> {
    fn new(kind: v1::CashKind, currency: &'a Currency, requested: Money) -> Self {
        Self { kind, currency, requested, counterparty: None, reverses: String::new(), note: Note::default() }
    }

    fn correction(of: &str, currency: &'a Currency, requested: Money, note: &Note) -> Self {
        let (reverses, note) = (of.to_owned(), note.clone());
        Self { reverses, note, ..Self::new(v1::CashKind::Correction, currency, requested) }
    }
}

/// What happens to the wallet.
#[derive(Debug)]
struct Moved {
    wallet: Wallet,
    transfers: Vec<Transfer>,
    /// Signed.
    amount: Money,
}

impl Moved {
    fn by(posting: CashPosting, amount: Money) -> Self {
        Self { wallet: posting.wallet, transfers: vec![posting.transfer], amount }
    }
}

impl Batch<'_> {
    /// Books a deposit; a repeat gets the answer of the first.
    pub(super) fn deposit(&mut self, item: &Item, key: &Key, currency: &Currency, amount: Money) -> Outcome {
        if let Some(known) = self.cash.get(&key.trade_id) {
            if known.requested != amount.micros() || known.currency != currency.as_str() {
                return Outcome::Refused(ResultCode::ExistsWithDifferentPayload, reused(item));
            }
            let account = facts::account_after(known);
            self.tell(item, Told::Cash(key.trade_id), []);
            return Outcome::Deposited(account);
        }
        let wallet = self.wallet(key.account.as_str(), currency.as_str());
        match post_deposit(&key.account, currency, wallet, amount) {
            Ok(posting) => {
                let movement = Movement::new(v1::CashKind::Deposit, currency, amount);
                let row = self.cash_movement(item, key, movement, (wallet, Ok(Moved::by(posting, amount))));
                Outcome::Deposited(facts::account_after(&row))
            }
            Err(error) => {
                let code = ResultCode::from(&error);
                let (reason, message) = (code.as_str().to_owned(), error.to_string());
                Outcome::Refused(code, v1::AskError { code: 11, reason, message })
            }
        }
    }

    /// Books any other movement of cash, or records why it is denied.
    pub(super) fn cash(&mut self, item: &Item, key: &Key, action: &AccountAction) -> Result<Outcome, Unbookable> {
        if let Some(known) = self.cash.get(&key.trade_id) {
            if !is_same(known, key, action) {
                let reason = format!("{} is the name of something else that is booked", key.trade_id);
                return Err(Unbookable::other_payload(reason));
            }
            self.tell(item, Told::Cash(key.trade_id), []);
            return Ok(Outcome::Known);
        }
        match action {
            AccountAction::Withdrawal { currency, amount, to, denial } => {
                self.withdrawal(item, key, (currency, *amount, to.as_ref()), denial.as_ref())
            }
            AccountAction::Arrival { currency, amount, from, route } => {
                let wallet = self.wallet(key.account.as_str(), currency.as_str());
                let posting = post_received(&key.account, *route, currency, wallet, *amount);
                // The sender has paid: what cannot be taken in is for a person to look at.
                let posting = posting?;
                let counterparty = Some((from, route.0));
                let movement = Movement { counterparty, ..Movement::new(v1::CashKind::Received, currency, *amount) };
                self.cash_movement(item, key, movement, (wallet, Ok(Moved::by(posting, *amount))));
                Ok(Outcome::Booked)
            }
            AccountAction::Adjustment { currency, amount, note } => {
                let wallet = self.wallet(key.account.as_str(), currency.as_str());
                // The gate refuses an account that nobody knows. What has passed it opens a wallet, where it must.
                let posting = post_adjustment(&key.account, currency, wallet, *amount);
                let moved = posting.map(|posting| Moved::by(posting, *amount)).map_err(|error| denial_of(&error));
                let movement = Movement::new(v1::CashKind::Adjustment, currency, *amount);
                self.cash_movement(item, key, Movement { note: note.clone(), ..movement }, (wallet, moved));
                Ok(Outcome::Booked)
            }
            AccountAction::Unfreezing { currency, note } => {
                let wallet = self.wallet(key.account.as_str(), currency.as_str());
                let moved = post_unfreezing(wallet)
                    .map(|wallet| Moved { wallet, transfers: Vec::new(), amount: Money::ZERO })
                    .map_err(|error| denial_of(&error));
                let movement = Movement::new(v1::CashKind::Unfreezing, currency, Money::ZERO);
                self.cash_movement(item, key, Movement { note: note.clone(), ..movement }, (wallet, moved));
                Ok(Outcome::Booked)
            }
            AccountAction::Correction { of, note } => self.correction(item, key, of, note),
            AccountAction::Trade(_) | AccountAction::Deposit { .. } | AccountAction::Payout(_) => {
                Err(Unbookable::malformed("this does not move cash by itself"))
            }
        }
    }

    fn withdrawal(
        &mut self,
        item: &Item,
        key: &Key,
        (currency, amount, to): (&Currency, Money, Option<&AccountId>),
        denial: Option<&v1::Denial>,
    ) -> Result<Outcome, Unbookable> {
        let wallet = self.wallet(key.account.as_str(), currency.as_str());
        let requested = amount.negated()?;
        let Frame { shard: own, slots, directory, .. } = self.frame;
        let route = to.map(|to| (own, slots.receiver(own, to.as_str(), directory)));
        let arrival = to.zip(route).map(|(to, route)| (route, item.arrival(key, to, (currency, amount), route)));
        // The guard has approved it; if its view was behind, the money stays and the caller learns why.
        let posting = match (denial, route) {
            (Some(denial), _) => Err(denial.clone()),
            (None, Some(route)) => post_sent(&key.account, route, currency, wallet, amount)
                .and_then(|posting| self.check_room(to, currency, amount, route).map(|()| posting))
                .map_err(|error| denial_of(&error)),
            (None, None) => post_withdrawal(&key.account, currency, wallet, amount).map_err(|error| denial_of(&error)),
        };
        let arrival = arrival.filter(|_| posting.is_ok());
        let moved = posting.map(|posting| Moved::by(posting, requested));
        let kind = if to.is_some() { v1::CashKind::Sent } else { v1::CashKind::Withdrawal };
        let counterparty = to.zip(route.map(|(_, to)| to));
        let movement = Movement { counterparty, ..Movement::new(kind, currency, requested) };
        self.cash_movement(item, key, movement, (wallet, moved));
        match arrival {
            // The same shard, the same transaction.
            Some(((from, to), arrival)) if from == to => drop(self.take(&arrival)),
            Some(((_, to), arrival)) => self.arrivals.push((to, arrival.report)),
            None => {}
        }
        Ok(Outcome::Booked)
    }

    /// Whether the wallet of `to` can hold `amount` more, as far as this shard can see.
    fn check_room(
        &self,
        to: Option<&AccountId>,
        currency: &Currency,
        amount: Money,
        route: (u16, u16),
    ) -> Result<(), LedgerError> {
        match to {
            Some(to) if route.0 == route.1 => {
                let wallet = self.wallet(to.as_str(), currency.as_str());
                post_received(to, route, currency, wallet, amount).map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Books something backwards. A thing is corrected once, under whatever name that is
    /// asked for; what was denied may be asked for again under another name.
    fn correction(&mut self, item: &Item, key: &Key, of: &str, note: &Note) -> Result<Outcome, Unbookable> {
        let own = key.account.as_str();
        let reference = Uuid::try_parse(of).ok();
        let ids = reference.iter().map(cash_correction_id).chain([execution_correction_id(of)]);
        let mut known = ids.filter_map(|id| self.cash.get(&id));
        if let Some(known) = known.find(|known| known.account_id == own).map(|known| known.trade_id) {
            self.tell(item, Told::Cash(known), []);
            return Ok(Outcome::Known);
        }
        let movement = reference.and_then(|reference| self.cash.get(&reference));
        if let Some(movement) = movement.filter(|row| row.account_id == own && row.amount != 0).cloned() {
            return self.correct_cash(item, key, (of, &movement), note);
        }
        let execution = self.executions.values().flatten().find(|row| row.execution_id == of);
        if let Some(execution) = execution.filter(|row| row.account_id == own && row.reverses.is_empty()).cloned() {
            return self.correct_execution(item, key, &execution, note);
        }
        let currency = Currency::new(DEFAULT_CURRENCY).map_err(Unbookable::malformed)?;
        let refused = denial(ResultCode::NotFound, format!("{own} has neither cash movement nor execution {of}"));
        let movement = Movement::correction(of, &currency, Money::ZERO, note);
        self.cash_movement(item, key, movement, (self.wallet(own, currency.as_str()), Err(refused)));
        Ok(Outcome::Booked)
    }

    /// `name` is what the request calls `of`.
    fn correct_cash(
        &mut self,
        item: &Item,
        key: &Key,
        (name, of): (&str, &CashRow),
        note: &Note,
    ) -> Result<Outcome, Unbookable> {
        let currency = Currency::new(&of.currency).map_err(Unbookable::malformed)?;
        let wallet = self.wallet(key.account.as_str(), currency.as_str());
        let requested = Money::from_micros(of.amount.saturating_neg());
        let moved = transfer_of(of, &key.account, &currency)
            .and_then(|transfer| post_reversal(&key.account, &currency, wallet, &transfer))
            .map(|posting| Moved::by(posting, requested))
            .map_err(|error| denial_of(&error));
        let trade_id = if moved.is_ok() { cash_correction_id(&of.trade_id) } else { key.trade_id };
        let key = Key { trade_id, account: key.account.clone() };
        let movement = Movement::correction(name, &currency, requested, note);
        self.cash_movement(item, &key, movement, (wallet, moved));
        Ok(Outcome::Booked)
    }

    fn correct_execution(
        &mut self,
        item: &Item,
        key: &Key,
        of: &ExecutionRow,
        note: &Note,
    ) -> Result<Outcome, Unbookable> {
        let (venue, side, fill, terms) = parts_of(of)?;
        let wallet = self.wallet(key.account.as_str(), &of.currency);
        let position = self.books.position(&of.account_id, &of.instrument_id).cloned();
        let position = position.unwrap_or_else(|| flat(&of.account_id, &of.instrument_id, &terms));
        let held = (wallet, position.position());
        let drawn = self.drawn_for(of);
        let posting = match post_fill_reversal(&key.account, &venue, held, (side, &fill, drawn), &terms) {
            Ok(posting) => posting,
            Err(error) => {
                let movement = Movement::correction(&of.execution_id, &terms.currency, Money::ZERO, note);
                self.cash_movement(item, key, movement, (wallet, Err(denial_of(&error))));
                return Ok(Outcome::Booked);
            }
        };
        let amount = posting.wallet.cash.minus(wallet.cash)?;
        let key = &Key { trade_id: execution_correction_id(&of.execution_id), account: key.account.clone() };
        // The execution is the posting; the cash row beside it says who booked it and why.
        self.shard.posting_sequence += 1;
        let posting_sequence = self.shard.posting_sequence;
        let reference = self.reference(key, posting_sequence);
        let first = self.shard.transfer_sequence + 1;
        self.keep_transfers(transfer_rows(posting.transfers, first, reference));
        self.keep_execution(ExecutionRow {
            execution_id: reversal_id(&of.execution_id),
            posting_sequence: Some(posting_sequence),
            trade_id: key.trade_id,
            cash_change: amount.micros(),
            reverses: of.execution_id.clone(),
            posted_at: self.now,
            ..of.clone()
        });
        let mut position = position.holding(posting.position);
        position.account_version = posting.wallet.version;
        self.keep_position(position);
        self.keep_wallet(key.account.as_str(), terms.currency.as_str(), posting.wallet);
        let moved = Moved { wallet: posting.wallet, transfers: Vec::new(), amount };
        let movement = Movement::correction(&of.execution_id, &terms.currency, amount, note);
        self.cash_movement(item, key, movement, (wallet, Ok(moved)));
        self.pay_out_late(item, key, &of.instrument_id);
        Ok(Outcome::Booked)
    }

    /// What suspense has paid for an execution, in an earlier batch or in this one.
    fn drawn_for(&self, of: &ExecutionRow) -> Money {
        let posted = self.new_transfers.iter().filter(|row| Some(row.posting_sequence) == of.posting_sequence);
        let here: i64 = posted.filter(|row| row.is_shortfall()).map(|row| row.amount).sum();
        Money::from_micros(here.max(self.drawn.get(&of.execution_id).copied().unwrap_or_default()))
    }

    /// Writes the row, and what moved; `wallet` is the one before it.
    fn cash_movement(
        &mut self,
        item: &Item,
        key: &Key,
        movement: Movement<'_>,
        (wallet, moved): (Wallet, Result<Moved, v1::Denial>),
    ) -> CashRow {
        let raw = item.raw_key();
        let currency = movement.currency;
        self.shard.posting_sequence += 1;
        let (wallet, amount, denial) = match moved {
            Ok(moved) => {
                let reference = self.reference(key, self.shard.posting_sequence);
                let first = self.shard.transfer_sequence + 1;
                debug_assert!(count(moved.transfers.len()) <= 1, "a movement of cash is one transfer");
                self.keep_transfers(transfer_rows(moved.transfers, first, reference));
                self.keep_wallet(key.account.as_str(), currency.as_str(), moved.wallet);
                (moved.wallet, moved.amount, v1::Denial::default())
            }
            Err(denial) => (wallet, Money::ZERO, denial),
        };
        let (counterparty_account_id, counterparty_shard) =
            movement.counterparty.map_or((String::new(), -1), |(account, shard)| (account.to_string(), shard.into()));
        let row = CashRow {
            trade_id: key.trade_id,
            posting_sequence: Some(self.shard.posting_sequence),
            fact_sequence: 0,
            kind: movement.kind.into(),
            account_id: key.account.to_string(),
            request_id: raw.request_id,
            payload_hash: raw.payload_hash.to_vec(),
            requested: movement.requested.micros(),
            amount: amount.micros(),
            currency: currency.to_string(),
            counterparty_account_id,
            counterparty_shard,
            reverses: movement.reverses,
            reason: movement.note.reason,
            proposed_by: movement.note.proposed_by,
            confirmed_by: movement.note.confirmed_by,
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
            seal: Vec::new(),
        };
        self.tell(item, Told::Cash(row.trade_id), []);
        if row.denial_code != 0 && !row.confirmed_by.is_empty() {
            self.refused.push(Refused {
                booking_id: raw.trade_id,
                account_id: row.account_id.clone(),
                why: row.denial_message.clone(),
            });
        }
        self.new_cash.insert(row.trade_id);
        self.cash.insert(row.trade_id, row.clone());
        row
    }
}

/// Whether what is booked as `known` is what `action` asks for: a repeat of it, not something else of its name.
fn is_same(known: &CashRow, key: &Key, action: &AccountAction) -> bool {
    use v1::CashKind as Kind;
    let (kind, amount, currency, peer, reverses) = match action {
        AccountAction::Withdrawal { currency, amount, to: Some(to), .. } => {
            (Kind::Sent, amount.micros().saturating_neg(), currency, to.as_str(), "")
        }
        AccountAction::Withdrawal { currency, amount, to: None, .. } => {
            (Kind::Withdrawal, amount.micros().saturating_neg(), currency, "", "")
        }
        AccountAction::Arrival { currency, amount, from, .. } => {
            (Kind::Received, amount.micros(), currency, from.as_str(), "")
        }
        AccountAction::Adjustment { currency, amount, .. } => (Kind::Adjustment, amount.micros(), currency, "", ""),
        AccountAction::Unfreezing { currency, .. } => (Kind::Unfreezing, 0, currency, "", ""),
        // What it moves is not part of what was asked for.
        AccountAction::Correction { of, .. } => {
            return known.kind() == Kind::Correction
                && known.account_id == key.account.as_str()
                && known.reverses == *of;
        }
        AccountAction::Trade(_) | AccountAction::Deposit { .. } | AccountAction::Payout(_) => return false,
    };
    (known.kind(), known.account_id.as_str(), known.requested) == (kind, key.account.as_str(), amount)
        && known.currency == currency.as_str()
        && (known.counterparty_account_id.as_str(), known.reverses.as_str()) == (peer, reverses)
}

/// The one transfer that a deposit, withdrawal or adjustment was.
pub(crate) fn transfer_of(row: &CashRow, account: &AccountId, currency: &Currency) -> Result<Transfer, LedgerError> {
    let (kind, other) = match row.kind() {
        v1::CashKind::Deposit => (TransferKind::Deposit, LedgerAccount::Deposits(currency.clone())),
        v1::CashKind::Withdrawal => (TransferKind::Withdrawal, LedgerAccount::Deposits(currency.clone())),
        v1::CashKind::Adjustment => (TransferKind::Adjustment, LedgerAccount::House(currency.clone())),
        v1::CashKind::Unspecified
        | v1::CashKind::Sent
        | v1::CashKind::Received
        | v1::CashKind::Correction
        | v1::CashKind::Unfreezing => return Err(LedgerError::NotReversible),
    };
    let own = LedgerAccount::Wallet(account.clone(), currency.clone());
    let amount = Money::from_micros(row.amount);
    let (debit, credit) = if amount.is_negative() { (own, other) } else { (other, own) };
    Ok(Transfer { kind, debit, credit, amount: amount.magnitude()? })
}

/// What a fill is booked with, out of its row.
pub(crate) fn parts_of(row: &ExecutionRow) -> Result<(VenueId, Side, Fill, SettlementTerms), Unbookable> {
    let side = v1::Side::try_from(row.side).map_err(Unbookable::malformed)?;
    let terms = SettlementTerms { initial_margin_ppm: row.initial_margin_ppm, ..terms_of(row.style, &row.currency)? };
    let fill = Fill {
        id: ExecutionId::new(&row.execution_id).map_err(Unbookable::malformed)?,
        price: Price::from_micros(row.price),
        quantity: Quantity::from_micros(row.quantity),
        fee: Money::from_micros(row.fee),
        executed_at: Timestamp::from_micros(row.executed_at),
    };
    let venue = VenueId::new(&row.venue).map_err(Unbookable::malformed)?;
    Ok((venue, Side::try_from(side).map_err(Unbookable::malformed)?, fill, terms))
}

fn denial_of(error: &LedgerError) -> v1::Denial {
    match error {
        LedgerError::InsufficientFunds { available, requested } => v1::Denial {
            code: v1::DenialCode::InsufficientFunds.into(),
            message: error.to_string(),
            limit: available.micros(),
            observed: requested.micros(),
        },
        LedgerError::Frozen => v1::Denial {
            code: v1::DenialCode::AccountFrozen.into(),
            message: error.to_string(),
            ..v1::Denial::default()
        },
        LedgerError::Position(_)
        | LedgerError::Overflow(_)
        | LedgerError::Fill { .. }
        | LedgerError::Price { .. }
        | LedgerError::Amount { .. }
        | LedgerError::NotFrozen
        | LedgerError::NotReversible
        | LedgerError::NothingHeld => denial(ResultCode::from(error), error.to_string()),
    }
}

fn denial(code: ResultCode, message: String) -> v1::Denial {
    v1::Denial {
        code: v1::DenialCode::NotBookable.into(),
        message: format!("{}: {message}", code.as_str()),
        ..v1::Denial::default()
    }
}

fn reused(item: &Item) -> v1::AskError {
    v1::AskError {
        code: 6,
        reason: "REQUEST_ID_REUSED".to_owned(),
        message: format!("request id {} was used for another request", item.raw_key().request_id),
    }
}
