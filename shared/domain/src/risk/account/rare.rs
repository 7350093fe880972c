//! What few accounts have, kept apart so that a million of them stay small:
//! withdrawals on their way, payments, the pace of limited accounts, margined positions, a second currency.

use super::{Balance, Margined};
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
    /// Of all currencies but the first.
    pub(super) balances: Vec<(Currency, Balance)>,
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
    pub(super) total: (Money, i64),
}

/// What came into the wallets of one account, by currency. Most have one: its own part of what is rare, and small, for
/// everybody who pays in while the gate runs has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payments {
    first: (Currency, Paid),
    more: Vec<(Currency, Paid)>,
}

impl Payments {
    pub(super) fn of(&self, currency: &Currency) -> Paid {
        let mut all = std::iter::once(&self.first).chain(&self.more);
        all.find(|(own, _)| own == currency).map(|(_, paid)| *paid).unwrap_or_default()
    }

    pub(super) fn of_mut<'a>(own: &'a mut Option<Box<Self>>, currency: &Currency) -> &'a mut Paid {
        let new = || Box::new(Self { first: (currency.clone(), Paid::default()), more: Vec::new() });
        let Self { first, more } = &mut **own.get_or_insert_with(new);
        if first.0 == *currency { &mut first.1 } else { of_currency(more, currency) }
    }
}

/// The entry of `currency`, a new one if there is none.
pub(super) fn of_currency<'a, T: Default>(all: &'a mut Vec<(Currency, T)>, currency: &Currency) -> &'a mut T {
    let index = all.iter().position(|(own, _)| own == currency).unwrap_or_else(|| {
        all.push((currency.clone(), T::default()));
        all.len() - 1
    });
    &mut all[index].1
}

impl Paid {
    /// Money from outside (negative: to outside), known since the ledger's `version`.
    pub(super) fn pay_in(&mut self, amount: Money, version: i64) -> Result<(), Overflow> {
        if let Some((start, newest)) = self.start
            && version > newest
        {
            self.start = Some((start.plus(amount)?, version));
        }
        let (total, newest) = self.total;
        if version > newest {
            self.total = (total.plus(amount)?, version);
        }
        Ok(())
    }

    /// What a guard before this one has journaled; payments told since are newer.
    pub(super) fn keep(&mut self, kept: &KeptPayments) {
        if kept.version >= self.total.1 {
            self.total = (kept.total, kept.version);
        }
    }
}
