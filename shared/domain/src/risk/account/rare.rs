//! What few accounts have, kept apart so that a million of them stay small:
//! withdrawals on their way, payments, the pace of limited accounts, margined positions.

use super::Margined;
use crate::{
    id::{Currency, TradeId},
    money::{Money, Overflow},
    risk::{KeptPayments, pace::Pace},
};
use std::collections::HashMap;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) withdrawals: HashMap<TradeId, (Currency, Money)>,
    /// Approved orders of the last second that open something, and those that do not.
    pub(super) increasing: Pace,
    pub(super) reducing: Pace,
    /// Cancels of the last second that went to the venue.
    pub(super) cancels: Pace,
    paid: Vec<(Currency, Paid)>,
    /// What may have an open loss, side by side: a decision looks at all of it.
    pub(super) margined: Vec<Margined>,
}

/// What came into a wallet from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Paid {
    /// What the wallet began with, shifted by what was paid in or out since, and the
    /// ledger's version of the newest such payment in it. Known from the first order
    /// that was decided with a wallet floor.
    pub(super) start: Option<(Money, i64)>,
    /// Everything paid in less what was paid out since the gate looks, and the
    /// ledger's version of the newest payment in it: neither is profit or loss.
    pub(super) payments: (Money, i64),
}

impl Rare {
    /// Whether a snapshot has something of it.
    pub(super) fn is_noted(&self) -> bool {
        !self.withdrawals.is_empty() || !self.paid.is_empty()
    }

    pub(super) fn paid(&self, currency: &Currency) -> Paid {
        self.paid.iter().find(|(own, _)| own == currency).map(|(_, paid)| *paid).unwrap_or_default()
    }

    pub(super) fn paid_mut(&mut self, currency: &Currency) -> &mut Paid {
        let index = self.paid.iter().position(|(own, _)| own == currency).unwrap_or_else(|| {
            self.paid.push((currency.clone(), Paid::default()));
            self.paid.len() - 1
        });
        &mut self.paid[index].1
    }
}

impl Paid {
    /// Money from outside (negative: to outside), known since the ledger's `version`.
    pub(super) fn pay_in(&mut self, amount: Money, version: i64) -> Result<(), Overflow> {
        if let Some((start, newest)) = self.start
            && version > newest
        {
            self.start = Some((start.plus(amount)?, version));
        }
        let (total, newest) = self.payments;
        if version > newest {
            self.payments = (total.plus(amount)?, version);
        }
        Ok(())
    }

    /// What a guard before this one has journaled; payments told since are newer.
    pub(super) fn keep(&mut self, kept: &KeptPayments) {
        if kept.version >= self.payments.1 {
            self.payments = (kept.total, kept.version);
        }
    }
}
