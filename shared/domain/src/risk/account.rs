//! What the gate knows of one account: what the ledger has posted, what open
//! orders hold, and fills that the ledger has not posted yet.

mod holding;
mod rare;

pub use holding::{Holding, Unposted};

use super::{KeptPayments, Order, Posted, Traded, exposure::Part};
use crate::{
    id::{AccountId, Currency, InstrumentId, QuickMap, TradeId},
    instrument::SettlementTerms,
    money::{Money, Overflow, Quantity},
    time::Timestamp,
};
use rare::{Payments, Rare, of_currency};

/// One account; everything here follows from the records applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Of its first currency. Most accounts have no other one; others are among what is rare.
    balance: Option<(Currency, Balance)>,
    holdings: QuickMap<InstrumentId, Holding>,
    /// Resting orders, counted with every change.
    resting: usize,
    payments: Option<Box<Payments>>,
    rare: Option<Box<Rare>>,
}

/// A position that is margined, or may be: before its first order only the instrument knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Margined {
    pub(super) instrument: InstrumentId,
    pub(super) quantity: Quantity,
    pub(super) entry_notional: Money,
}

/// Money of one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Cash in the ledger; `None` until the ledger has told.
    pub posted: Option<Money>,
    /// The ledger's version of it.
    pub version: i64,
    /// Whether the account is frozen.
    pub is_frozen: bool,
    /// Held by open orders and withdrawals, >= 0.
    pub held: Money,
    /// Spent by fills that the ledger has not posted, >= 0.
    pub unposted: Money,
    /// What positions cost (their margin, where they are margined), posted or not, >= 0.
    pub invested: Money,
}

impl Balance {
    /// What may be spent now; `None` when the ledger does not know the account.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn available(&self) -> Result<Option<Money>, Overflow> {
        self.posted.map(|posted| posted.minus(self.held)?.minus(self.unposted)).transpose()
    }

    /// Cash and what positions cost: what shares of the account are taken of. It
    /// does not move with the market, so nobody may risk more because prices rose.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn capital(&self) -> Result<Money, Overflow> {
        self.posted.unwrap_or_default().minus(self.unposted)?.plus(self.invested)
    }
}

impl AccountState {
    /// The balance in `currency`; nothing and unknown when there is none.
    #[must_use]
    pub fn balance(&self, currency: &Currency) -> Balance {
        self.balances().find(|(own, _)| *own == currency).map(|(_, balance)| *balance).unwrap_or_default()
    }

    /// All balances.
    pub fn balances(&self) -> impl Iterator<Item = (&Currency, &Balance)> {
        let more = self.rare.iter().flat_map(|rare| &rare.balances);
        self.balance.iter().chain(more).map(|(currency, balance)| (currency, balance))
    }

    /// What is held and ordered of `instrument`, if anything ever was.
    #[must_use]
    pub fn holding(&self, instrument: &InstrumentId) -> Option<&Holding> {
        self.holdings.get(instrument)
    }

    /// Every holding.
    pub fn holdings(&self) -> impl Iterator<Item = (&InstrumentId, &Holding)> {
        self.holdings.iter()
    }

    /// Money held for withdrawals, by their id.
    pub fn withdrawals(&self) -> impl Iterator<Item = (&TradeId, &Currency, Money)> {
        let own = self.rare.iter().flat_map(|rare| &rare.withdrawals);
        own.map(|(trade, (currency, amount))| (trade, currency, *amount))
    }

    /// Whether a snapshot has something of it: the ledger tells the rest again.
    pub(super) fn is_noted(&self) -> bool {
        let is_live = |holding: &Holding| !holding.owners().is_empty() || !holding.unposted().is_empty();
        let is_waiting = self.rare.as_ref().is_some_and(|rare| !rare.withdrawals.is_empty());
        is_waiting || self.payments.is_some() || self.holdings.values().any(is_live)
    }

    /// Resting orders of the account.
    #[must_use]
    pub const fn resting_orders(&self) -> usize {
        self.resting
    }

    /// What the wallet began with, shifted by what was paid in or out since, and the
    /// ledger's version of the newest such payment in it; known from the first order
    /// that was decided with a wallet floor.
    #[must_use]
    pub fn wallet_start(&self, currency: &Currency) -> Option<(Money, i64)> {
        self.payments.as_ref()?.of(currency).start
    }

    /// Everything paid in less what was paid out since the gate looks, and the ledger's
    /// version of the newest payment in it: neither is profit or loss.
    #[must_use]
    pub fn payments(&self, currency: &Currency) -> (Money, i64) {
        self.payments.as_ref().map(|payments| payments.of(currency).total).unwrap_or_default()
    }

    pub(super) fn start_wallet(&mut self, currency: &Currency, start: (Money, i64)) {
        Payments::of_mut(&mut self.payments, currency).start = Some(start);
    }

    /// What a guard before this one has journaled.
    pub(super) fn keep_payments(&mut self, kept: &KeptPayments) {
        Payments::of_mut(&mut self.payments, &kept.currency).keep(kept);
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Approved orders of the second before `now` that open something.
    pub(super) fn increasing_in_second(&self, now: Timestamp) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.increasing.within_second(now))
    }

    /// Approved orders of the second before `now` that open nothing.
    pub(super) fn reducing_in_second(&self, now: Timestamp) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.reducing.within_second(now))
    }

    /// Cancels of the second before `now` that went to the venue.
    pub(super) fn cancels_in_second(&self, now: Timestamp) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.cancels.within_second(now))
    }

    pub(super) fn count_cancel(&mut self, at: Timestamp) {
        self.rare_mut().cancels.count(at);
    }

    pub(super) fn count(&mut self, order: &Order) {
        let rare = self.rare_mut();
        let pace = if order.hold.is_zero() { &mut rare.reducing } else { &mut rare.increasing };
        pace.count(order.decided_at);
    }

    /// Changes one holding and carries what it holds into the balance.
    pub(super) fn change(
        &mut self,
        instrument: &InstrumentId,
        terms: Option<&SettlementTerms>,
        change: impl FnOnce(&mut Holding),
    ) -> Result<(), Overflow> {
        let holding = self.holdings.entry(instrument.clone()).or_default();
        let is_new = holding.terms.is_none();
        if is_new {
            holding.terms = terms.cloned();
        }
        let (hold_before, spent_before) = (holding.hold(), holding.spent());
        let invested_before = if is_new { Money::ZERO } else { holding.invested };
        let resting_before = holding.resting();
        change(holding);
        holding.refresh()?;
        let (hold, spent) = (holding.hold().minus(hold_before)?, holding.spent().minus(spent_before)?);
        let invested = holding.invested.minus(invested_before)?;
        self.resting = self.resting + holding.resting() - resting_before;
        let position = holding.position;
        let margined = (!position.quantity.is_zero() && holding.may_be_margined()).then(|| Margined {
            instrument: instrument.clone(),
            quantity: position.quantity,
            entry_notional: position.entry_notional,
        });
        if let Some(currency) = holding.currency().cloned() {
            let balance = self.balance_mut(&currency);
            balance.held = balance.held.plus(hold)?;
            balance.unposted = balance.unposted.plus(spent)?;
            balance.invested = balance.invested.plus(invested)?;
        }
        self.set_margined(instrument, margined);
        Ok(())
    }

    fn set_margined(&mut self, instrument: &InstrumentId, now: Option<Margined>) {
        let place = self.margined().iter().position(|own| own.instrument == *instrument);
        match (place, now) {
            (Some(place), Some(now)) => self.rare_mut().margined[place] = now,
            (Some(place), None) => {
                self.rare_mut().margined.remove(place);
                self.drop_empty_rare();
            }
            (None, Some(now)) => self.rare_mut().margined.push(now),
            (None, None) => {}
        }
    }

    /// Positions that are margined or may be, none of them flat.
    pub(super) fn margined(&self) -> &[Margined] {
        self.rare.as_ref().map_or(&[], |rare| &rare.margined)
    }

    pub(super) fn balance_mut(&mut self, currency: &Currency) -> &mut Balance {
        let Self { balance, rare, .. } = self;
        let (own, balance) = balance.get_or_insert_with(|| (currency.clone(), Balance::default()));
        if own == currency { balance } else { of_currency(&mut rare.get_or_insert_default().balances, currency) }
    }

    /// What the ledger has committed; `terms` are those of its positions, where they are known, and `unposted` names
    /// the instruments with fills of its trade.
    pub(super) fn post(
        &mut self,
        posted: &Posted,
        terms: &[Option<SettlementTerms>],
        unposted: &[InstrumentId],
    ) -> Result<(), Overflow> {
        for balance in &posted.balances {
            let own = self.balance_mut(&balance.currency);
            if own.posted.is_none() || balance.version >= own.version {
                (own.posted, own.version) = (Some(balance.cash), balance.version);
                own.is_frozen = balance.is_frozen;
            }
            if !balance.flow.is_zero() {
                Payments::of_mut(&mut self.payments, &balance.currency).pay_in(balance.flow, balance.version)?;
            }
        }
        for (position, terms) in posted.positions.iter().zip(terms) {
            let mut is_sound = Ok(());
            self.change(&position.instrument, terms.as_ref(), |holding| is_sound = holding.set_posted(position))?;
            is_sound?;
        }
        let Some(trade) = &posted.trade else { return Ok(()) };
        for instrument in unposted {
            self.change(instrument, None, |holding| {
                holding.post(|unposted| {
                    unposted.trade == *trade && (posted.is_final || posted.executions.contains(&unposted.fill.id))
                });
            })?;
        }
        self.release_withdrawal(trade)
    }

    /// Who has ordered in its holdings, where that is remembered.
    pub(super) fn traded(&self, account: &AccountId) -> impl Iterator<Item = Traded> {
        let own = self.holdings.iter().filter(|(_, holding)| !holding.owners().is_empty());
        own.filter_map(|(instrument, holding)| {
            Some(Traded {
                account: account.clone(),
                instrument: instrument.clone(),
                terms: holding.terms.clone()?,
                pools: holding.owners().pools.clone(),
                agents: holding.owners().agents.clone(),
                timeframes: holding.owners().timeframes.clone(),
            })
        })
    }

    /// Capital by currency.
    pub(super) fn capitals(&self) -> Result<Vec<(Currency, Money)>, Overflow> {
        self.balances().map(|(currency, balance)| Ok((currency.clone(), balance.capital()?))).collect()
    }

    /// What some holdings add to the house's sheets.
    pub(super) fn parts(&self, instruments: &[InstrumentId]) -> Result<Vec<Part>, Overflow> {
        let mut parts = Vec::with_capacity(instruments.len());
        for instrument in instruments {
            if let Some(holding) = self.holdings.get(instrument) {
                parts.extend(holding.part(instrument)?);
            }
        }
        Ok(parts)
    }

    pub(super) fn hold_withdrawal(
        &mut self,
        trade: TradeId,
        currency: &Currency,
        amount: Money,
    ) -> Result<(), Overflow> {
        if self.rare_mut().withdrawals.insert(trade, (currency.clone(), amount)).is_none() {
            let balance = self.balance_mut(currency);
            balance.held = balance.held.plus(amount)?;
        }
        Ok(())
    }

    pub(super) fn release_withdrawal(&mut self, trade: &TradeId) -> Result<(), Overflow> {
        let released = self.rare.as_mut().and_then(|rare| rare.withdrawals.remove(trade));
        if let Some((currency, amount)) = released {
            let balance = self.balance_mut(&currency);
            balance.held = balance.held.minus(amount)?;
            self.drop_empty_rare();
        }
        Ok(())
    }

    /// Whoever has withdrawn once is as small as before: what is remembered does not depend on the order of things.
    fn drop_empty_rare(&mut self) {
        if self.rare.as_deref().is_some_and(|rare| *rare == Rare::default()) {
            self.rare = None;
        }
    }

    /// Instruments with unposted fills of `trade`.
    pub(super) fn unposted_of(&self, trade: &TradeId) -> Vec<InstrumentId> {
        let with_some = |holding: &Holding| holding.unposted().iter().any(|unposted| unposted.trade == *trade);
        self.holdings.iter().filter(|(_, holding)| with_some(holding)).map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Id, risk::PostedBalance};

    fn posted(balances: &[(&str, i64)]) -> Posted {
        let balance = |(currency, cash): &(&str, i64)| PostedBalance {
            currency: Id::new(*currency).expect("an id"),
            cash: Money::from_micros(*cash),
            version: 1,
            is_frozen: false,
            flow: Money::from_micros(*cash),
        };
        Posted {
            account: Id::new("a").expect("an id"),
            trade: None,
            is_final: false,
            executions: Vec::new(),
            balances: balances.iter().map(balance).collect(),
            positions: Vec::new(),
        }
    }

    #[test]
    fn every_currency_has_a_balance_and_payments_of_its_own() {
        let (mut account, told) = (AccountState::default(), [("USD", 5), ("EUR", 7), ("GBP", 9)]);
        account.post(&posted(&told), &[], &[]).expect("fits");
        let currency = |name: &str| Currency::new(name).expect("an id");
        for (name, cash) in told {
            let money = Money::from_micros(cash);
            assert_eq!(account.balance(&currency(name)).posted, Some(money), "{name}");
            assert_eq!(account.payments(&currency(name)), (money, 1), "{name}");
        }
        assert_eq!(account.balance(&currency("JPY")), Balance::default());
        assert_eq!(account.payments(&currency("JPY")), (Money::ZERO, 0));
        let all: Vec<&str> = account.balances().map(|(currency, _)| currency.as_str()).collect();
        assert_eq!(all, ["USD", "EUR", "GBP"]);
        assert!(account.is_noted(), "what was paid in is told to the next guard");
        let mut money_alone = posted(&told);
        money_alone.balances.iter_mut().for_each(|balance| balance.flow = Money::ZERO);
        let mut other = AccountState::default();
        other.post(&money_alone, &[], &[]).expect("fits");
        assert!(!other.is_noted());
    }

    /// A million accounts are to fit into 400 MB with everything else.
    #[test]
    fn an_account_is_small() {
        assert!(size_of::<AccountState>() <= 128, "{} bytes", size_of::<AccountState>());
        assert!(size_of::<Payments>() <= 80, "{} bytes", size_of::<Payments>());
    }
}
