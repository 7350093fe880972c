//! One wallet while something is being booked: what it receives, what it pays,
//! and what suspense pays for it.

use super::{LedgerAccount, LedgerError, Transfer, TransferKind, Wallet};
use crate::{
    id::{AccountId, Currency},
    money::{Money, Overflow},
};

/// A wallet and the transfers it has taken part in so far.
pub(super) struct Books<'a> {
    account: &'a AccountId,
    currency: &'a Currency,
    wallet: Wallet,
    transfers: Vec<Transfer>,
}

impl<'a> Books<'a> {
    pub(super) const fn new(account: &'a AccountId, currency: &'a Currency, wallet: Wallet) -> Self {
        Self { account, currency, wallet, transfers: Vec::new() }
    }

    fn own(&self) -> LedgerAccount {
        LedgerAccount::Wallet(self.account.clone(), self.currency.clone())
    }

    fn margin(&self) -> LedgerAccount {
        LedgerAccount::Margin(self.account.clone(), self.currency.clone())
    }

    pub(super) fn receive(&mut self, kind: TransferKind, debit: LedgerAccount, amount: Money) -> Result<(), Overflow> {
        if !amount.is_zero() {
            self.wallet.cash = self.wallet.cash.plus(amount)?;
            self.transfers.push(Transfer { kind, debit, credit: self.own(), amount });
        }
        Ok(())
    }

    /// Pays what the wallet covers; the receiver gets the rest from suspense.
    pub(super) fn pay(&mut self, kind: TransferKind, credit: LedgerAccount, amount: Money) -> Result<(), Overflow> {
        let covered = amount.min(self.wallet.cash);
        let shortfall = amount.minus(covered)?;
        if !covered.is_zero() {
            self.wallet.cash = self.wallet.cash.minus(covered)?;
            self.transfers.push(Transfer { kind, debit: self.own(), credit: credit.clone(), amount: covered });
        }
        if !shortfall.is_zero() {
            self.wallet.is_frozen = true;
            let debit = LedgerAccount::Suspense(self.currency.clone());
            self.transfers.push(Transfer { kind: TransferKind::Shortfall, debit, credit, amount: shortfall });
        }
        Ok(())
    }

    /// What the wallet has now.
    pub(super) const fn cash(&self) -> Money {
        self.wallet.cash
    }

    pub(super) fn release_margin(&mut self, amount: Money) -> Result<(), Overflow> {
        self.receive(TransferKind::MarginReleased, self.margin(), amount)?;
        self.wallet.margin = self.wallet.margin.minus(amount)?;
        Ok(())
    }

    pub(super) fn hold_margin(&mut self, amount: Money) -> Result<(), Overflow> {
        self.pay(TransferKind::MarginHeld, self.margin(), amount)?;
        self.wallet.margin = self.wallet.margin.plus(amount)?;
        Ok(())
    }

    /// A profit is received, a loss paid.
    pub(super) fn realize(&mut self, kind: TransferKind, other: LedgerAccount, pnl: Money) -> Result<(), Overflow> {
        if pnl.is_negative() { self.pay(kind, other, pnl.negated()?) } else { self.receive(kind, other, pnl) }
    }

    /// The wallet afterwards and the transfers in their order.
    pub(super) fn close(mut self) -> Result<(Wallet, Vec<Transfer>), Overflow> {
        self.wallet.version = next_version(self.wallet)?;
        Ok((self.wallet, self.transfers))
    }
}

pub(super) fn positive(amount: Money) -> Result<Money, LedgerError> {
    if amount > Money::ZERO { Ok(amount) } else { Err(LedgerError::Amount { amount }) }
}

pub(super) fn next_version(wallet: Wallet) -> Result<i64, Overflow> {
    wallet.version.checked_add(1).ok_or(Overflow)
}
