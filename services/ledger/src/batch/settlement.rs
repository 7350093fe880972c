//! Decided markets: the decision itself, and what it pays to each position.

use super::{
    Batch, Outcome, Told,
    posting::{terms_of, transfer_rows},
};
use crate::{
    intake::{Item, Key, SettlementAction},
    store::rows::{PayoutRow, SettlementRow},
    unbookable::Unbookable,
};
use tracing::warn;
use tragen_domain::ledger::{ResultCode, post_refund, post_settlement};

impl Batch<'_> {
    /// Records that a market is decided. A market is decided once: the same
    /// decision again changes nothing, another one is set aside.
    pub(super) fn settlement(&mut self, settlement: &SettlementAction) -> Result<Outcome, Unbookable> {
        if let Some(known) = self.frame.settled.get(settlement.instrument.as_str()) {
            return if known.value == settlement.value {
                Ok(Outcome::Known)
            } else {
                let reason = format!("{} is decided already, by booking {}", settlement.instrument, known.booking_id);
                Err(Unbookable::new(ResultCode::AlreadySettled, reason))
            };
        }
        self.new_settlements.push(SettlementRow {
            instrument_id: settlement.instrument.to_string(),
            booking_id: settlement.booking_id,
            venue: settlement.venue.to_string(),
            value: settlement.value.map_or(0, |value| value.micros()),
            is_void: settlement.value.is_none(),
            reason: settlement.note.reason.clone(),
            proposed_by: settlement.note.proposed_by.clone(),
            confirmed_by: settlement.note.confirmed_by.clone(),
            decided_at: self.now,
            seal: Vec::new(),
        });
        Ok(Outcome::Booked)
    }

    /// Pays what `settlement` is worth to one account; nothing when it holds nothing.
    pub(super) fn payout(
        &mut self,
        item: &Item,
        key: &Key,
        settlement: &SettlementAction,
    ) -> Result<Outcome, Unbookable> {
        let held = self.books.position(key.account.as_str(), settlement.instrument.as_str());
        let Some(row) = held.filter(|row| row.quantity != 0).cloned() else {
            return Ok(Outcome::Known);
        };
        let terms = terms_of(row.style, &row.currency)?;
        let wallet = self.wallet(key.account.as_str(), &row.currency);
        let held = (wallet, row.position());
        let posting = match settlement.value {
            Some(value) => post_settlement(&key.account, &settlement.venue, held, value, &terms),
            None => post_refund(&key.account, &settlement.venue, held, &terms),
        };
        let posting = posting?;
        let realized_pnl = posting.position.realized_pnl.minus(held.1.realized_pnl)?;
        let cash_change = posting.wallet.cash.minus(wallet.cash)?;
        self.shard.posting_sequence += 1;
        let payout = PayoutRow {
            posting_sequence: self.shard.posting_sequence,
            fact_sequence: 0,
            booking_id: settlement.booking_id,
            account_id: key.account.to_string(),
            instrument_id: settlement.instrument.to_string(),
            venue: settlement.venue.to_string(),
            value: settlement.value.map_or(0, |value| value.micros()),
            is_void: settlement.value.is_none(),
            style: row.style,
            currency: row.currency.clone(),
            quantity: row.quantity,
            cash_change: cash_change.micros(),
            realized_pnl: realized_pnl.micros(),
            traceparent: item.traceparent.clone(),
            posted_at: self.now,
            seal: Vec::new(),
        };
        let key = Key { trade_id: settlement.booking_id, account: key.account.clone() };
        let reference = self.reference(&key, payout.posting_sequence);
        let first = self.shard.transfer_sequence + 1;
        self.keep_transfers(transfer_rows(posting.transfers, first, reference));
        self.keep_wallet(key.account.as_str(), &payout.currency, posting.wallet);
        let mut position = row.holding(posting.position);
        position.account_version = posting.wallet.version;
        self.keep_position(position);
        self.tell(item, Told::Payout(self.new_payouts.len()), []);
        self.new_payouts.push(payout);
        Ok(Outcome::Booked)
    }

    /// A fill that is booked, or taken back, after its market was decided is paid out at once. Where
    /// that cannot be, the fill stays booked and reconciliation shows the open position.
    pub(super) fn pay_out_late(&mut self, item: &Item, key: &Key, instrument_id: &str) {
        if let Some(settlement) = self.frame.settled.get(instrument_id)
            && let Err(why) = self.payout(item, key, settlement)
        {
            warn!("a late fill in {instrument_id} cannot be paid out: {why}");
        }
    }
}
