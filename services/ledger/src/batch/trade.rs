//! Trades: the new fills of a report, and where the trade stands now.

use super::{
    Batch, Outcome, Told,
    posting::{Reference, count, flat, transfer_rows},
};
use crate::{
    intake::{Item, Key, TradeAction},
    store::rows::{ExecutionRow, PositionRow, TradeRow, TransferRow, WalletRow},
    unbookable::Unbookable,
};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    execution::Fill,
    instrument::SettlementTerms,
    ledger::{DEFAULT_CURRENCY, LedgerError, VenueId, Wallet, average_price, post_fill, settled_status},
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

impl Batch<'_> {
    /// Books a trade report: its new fills, and where the trade stands now.
    pub(super) fn trade(&mut self, item: &Item, key: &Key, trade: &TradeAction) -> Result<Outcome, Unbookable> {
        let trade_id = key.trade_id;
        let known = self.trades.get(&trade_id);
        if let Some(known) = known {
            check_same_trade(known, key, trade)?;
        }
        let staged = self.stage(item, key, trade)?;
        let booked = self.executions.get(&trade_id).into_iter().flatten();
        let executions = booked.chain(staged.iter().flat_map(|staged| &staged.executions));

        let mut row = match known {
            Some(known) => known.clone(),
            None => new_trade(item, key, self.now, self.shard.trade_sequence + 1),
        };
        describe(&mut row, item, trade);
        total(&mut row, trade, known.is_some(), executions.clone())?;
        // All of the trade: whoever has missed an earlier fact knows with this one what is booked.
        let ids: Vec<_> = executions.map(|execution| execution.execution_id.clone()).collect();
        if known == Some(&row) {
            self.tell(item, Told::Trade(trade_id), ids);
            return Ok(Outcome::Known);
        }
        if known.is_none() {
            self.shard.trade_sequence += 1;
            self.new_trades.push(trade_id);
        }
        row.account_version = match &staged {
            Some(staged) => staged.wallet.version,
            None => self.wallet(&row.account_id, &row.currency).version,
        };
        row.updated_at = self.now;
        self.tell(item, Told::Trade(trade_id), ids);
        self.touched_trades.insert(trade_id);
        if let Some(staged) = staged {
            self.adopt(&row, staged);
        }
        self.trades.insert(trade_id, row);
        if let Some(terms) = &trade.terms {
            self.pay_out_late(item, key, terms.instrument.as_str());
        }
        Ok(Outcome::Booked)
    }

    /// Books the fills that are not booked yet, beside the books; `None` if there are none.
    fn stage(&self, item: &Item, key: &Key, trade: &TradeAction) -> Result<Option<Staged>, Unbookable> {
        let (Some(terms), Some(settlement)) = (&trade.terms, &trade.settlement) else { return Ok(None) };
        let venue: VenueId = convert::id("venue", &item.venue).map_err(Unbookable::malformed)?;
        let (account_id, currency) = (key.account.as_str(), settlement.currency.as_str());
        let instrument_id = terms.instrument.as_str();
        let wallet = self.books.wallet(account_id, currency);
        let position = self.books.position(account_id, instrument_id);
        if let Some(held) = position {
            check_same_terms(held, settlement)?;
        }
        let mut staged = Staged {
            wallet: wallet.map(WalletRow::wallet).unwrap_or_default(),
            position: position.cloned().unwrap_or_else(|| flat(account_id, instrument_id, settlement)),
            executions: Vec::new(),
            transfers: Vec::new(),
        };
        for fill in &trade.fills {
            let is_staged = staged.executions.iter().any(|row| row.execution_id == fill.id.as_str());
            match self.execution_ids.get(fill.id.as_str()) {
                Some(other) if *other != key.trade_id => {
                    let reason = format!("execution {} belongs to trade {other}", fill.id);
                    return Err(Unbookable::other_payload(reason));
                }
                Some(_) => {
                    self.check_same_fill(key, terms, fill)?;
                    continue;
                }
                None if is_staged => continue,
                None => {}
            }
            let held = (staged.wallet, staged.position.position());
            let posting = post_fill(&key.account, &venue, held, terms.side, fill, settlement)
                .map_err(|error| Unbookable::from(error).about(format_args!("execution {}", fill.id)))?;
            let posting_sequence = self.shard.posting_sequence + count(staged.executions.len()) + 1;
            let cash_change = posting.wallet.cash.minus(staged.wallet.cash)?;
            let row = execution_row(key, terms, settlement, fill, (posting_sequence, cash_change, self.now));
            staged.executions.push(ExecutionRow { venue: item.venue.clone(), ..row });
            let first = self.shard.transfer_sequence + count(staged.transfers.len()) + 1;
            let reference = self.reference(key, posting_sequence);
            staged.transfers.extend(transfer_rows(posting.transfers, first, reference));
            staged.wallet = posting.wallet;
            staged.position = staged.position.holding(posting.position);
            staged.position.account_version = posting.wallet.version;
        }
        Ok((!staged.executions.is_empty()).then_some(staged))
    }

    /// A venue that tells a booked execution otherwise has busted or corrected it: that is for a person to decide.
    fn check_same_fill(&self, key: &Key, terms: &OrderTerms, fill: &Fill) -> Result<(), Unbookable> {
        let mut booked = self.executions.get(&key.trade_id).into_iter().flatten();
        let booked = booked.find(|row| row.execution_id == fill.id.as_str());
        let is_same = booked.is_none_or(|row| {
            row.instrument_id == terms.instrument.as_str()
                && row.side == i32::from(v1::Side::from(terms.side))
                && (row.price, row.quantity, row.fee)
                    == (fill.price.micros(), fill.quantity.micros(), fill.fee.micros())
        });
        let reason = || format!("execution {} is booked already, and otherwise", fill.id);
        if is_same { Ok(()) } else { Err(Unbookable::other_payload(reason())) }
    }

    /// What the transfers of the posting with that sequence have in common.
    pub(super) fn reference<'k>(&self, key: &'k Key, posting_sequence: i64) -> Reference<'k> {
        Reference {
            account_id: key.account.as_str(),
            reference_id: key.trade_id,
            posting_sequence,
            posted_at: self.now,
        }
    }

    /// Makes staged fills part of the books.
    fn adopt(&mut self, row: &TradeRow, staged: Staged) {
        let Staged { wallet, position, executions, transfers } = staged;
        self.shard.posting_sequence += count(executions.len());
        for execution in executions {
            self.keep_execution(execution);
        }
        self.keep_transfers(transfers);
        self.keep_wallet(&row.account_id, &row.currency, wallet);
        self.keep_position(position);
    }
}

/// What a position is paid in does not change while it is kept: no currency is converted in silence.
fn check_same_terms(held: &PositionRow, settlement: &SettlementTerms) -> Result<(), Unbookable> {
    let style = i32::from(v1::SettlementStyle::from(settlement.style));
    if (held.style, held.currency.as_str()) == (style, settlement.currency.as_str()) {
        Ok(())
    } else {
        let reason = format!("{} is held in {} on other terms", held.instrument_id, held.currency);
        Err(Unbookable::malformed(reason))
    }
}

fn check_same_trade(known: &TradeRow, key: &Key, trade: &TradeAction) -> Result<(), Unbookable> {
    if known.account_id != key.account.as_str() {
        return Err(Unbookable::other_payload(format!("trade {} belongs to another account", key.trade_id)));
    }
    let Some(terms) = &trade.terms else { return Ok(()) };
    let is_same = known.order_id.is_empty()
        || known.instrument_id == terms.instrument.as_str() && known.side == i32::from(v1::Side::from(terms.side));
    let reason = || format!("trade {} is about another order", key.trade_id);
    if is_same { Ok(()) } else { Err(Unbookable::other_payload(reason())) }
}

fn new_trade(item: &Item, key: &Key, now: i64, sequence: i64) -> TradeRow {
    let raw = item.raw_key();
    let created_at = if raw.created_at_micros > 0 { raw.created_at_micros } else { now };
    TradeRow {
        trade_id: key.trade_id,
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
fn total<'e>(
    row: &mut TradeRow,
    trade: &TradeAction,
    is_known: bool,
    executions: impl Iterator<Item = &'e ExecutionRow> + Clone,
) -> Result<(), LedgerError> {
    let (mut filled, mut fee, mut cash_change) = (Quantity::ZERO, Money::ZERO, Money::ZERO);
    for execution in executions.clone() {
        filled = filled.plus(Quantity::from_micros(execution.quantity))?;
        fee = fee.plus(Money::from_micros(execution.fee))?;
        cash_change = cash_change.plus(Money::from_micros(execution.cash_change))?;
    }
    let fills = executions.map(|e| (Price::from_micros(e.price), Quantity::from_micros(e.quantity)));
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
        posting_sequence: Some(posting_sequence),
        trade_id: key.trade_id,
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
        reverses: String::new(),
        executed_at: fill.executed_at.micros(),
        posted_at: now,
        seal: Vec::new(),
    }
}
