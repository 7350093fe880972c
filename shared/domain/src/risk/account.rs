//! What the gate knows of one account: what the ledger has posted, what open
//! orders hold, and fills that the ledger has not posted yet.

use super::{hold::side_hold, record::PostedPosition, state::OpenOrder};
use crate::{
    execution::Fill,
    id::{Currency, ExecutionId, InstrumentId, OrderId, TradeId},
    instrument::SettlementTerms,
    money::{Money, Overflow, Quantity, Rounding},
    order::Side,
    position::Position,
};
use std::collections::HashMap;

/// One account; everything here follows from the records applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountState {
    balances: Vec<(Currency, Balance)>,
    holdings: HashMap<InstrumentId, Holding>,
    withdrawals: HashMap<TradeId, (Currency, Money)>,
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
}

/// What is held and ordered of one instrument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    posted: Position,
    version: i64,
    currency: Option<Currency>,
    /// Posted and unposted fills together.
    position: Position,
    orders: Vec<OpenOrder>,
    unposted: Vec<Unposted>,
    hold: Money,
    spent: Money,
}

/// A fill that the ledger has not posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unposted {
    /// Its trade.
    pub trade: TradeId,
    /// Which way.
    pub side: Side,
    /// How money moves.
    pub settlement: SettlementTerms,
    /// The fill.
    pub fill: Fill,
}

impl Balance {
    /// What may be spent now; `None` when the ledger does not know the account.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn available(&self) -> Result<Option<Money>, Overflow> {
        self.posted.map(|posted| posted.minus(self.held)?.minus(self.unposted)).transpose()
    }
}

impl AccountState {
    /// The balance in `currency`; nothing and unknown when there is none.
    #[must_use]
    pub fn balance(&self, currency: &Currency) -> Balance {
        self.balances.iter().find(|(own, _)| own == currency).map(|(_, balance)| *balance).unwrap_or_default()
    }

    /// All balances.
    pub fn balances(&self) -> impl Iterator<Item = (&Currency, &Balance)> {
        self.balances.iter().map(|(currency, balance)| (currency, balance))
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
        self.withdrawals.iter().map(|(trade, (currency, amount))| (trade, currency, *amount))
    }

    /// Resting orders of the account.
    #[must_use]
    pub fn resting_orders(&self) -> usize {
        let orders = self.holdings.values().flat_map(|holding| &holding.orders);
        orders.filter(|order| order.order.terms.time_in_force.is_resting()).count()
    }

    /// Changes one holding and carries what it holds into the balance.
    pub(super) fn change(
        &mut self,
        instrument: &InstrumentId,
        currency: Option<&Currency>,
        change: impl FnOnce(&mut Holding),
    ) -> Result<(), Overflow> {
        let holding = self.holdings.entry(instrument.clone()).or_default();
        if holding.currency.is_none() {
            holding.currency = currency.cloned();
        }
        let (hold_before, spent_before) = (holding.hold, holding.spent);
        change(holding);
        holding.refresh()?;
        let (hold, spent) = (holding.hold.minus(hold_before)?, holding.spent.minus(spent_before)?);
        if let Some(currency) = holding.currency.clone() {
            let balance = self.balance_mut(&currency);
            balance.held = balance.held.plus(hold)?;
            balance.unposted = balance.unposted.plus(spent)?;
        }
        Ok(())
    }

    pub(super) fn balance_mut(&mut self, currency: &Currency) -> &mut Balance {
        let index = self.balances.iter().position(|(own, _)| own == currency).unwrap_or_else(|| {
            self.balances.push((currency.clone(), Balance::default()));
            self.balances.len() - 1
        });
        &mut self.balances[index].1
    }

    pub(super) fn hold_withdrawal(
        &mut self,
        trade: TradeId,
        currency: &Currency,
        amount: Money,
    ) -> Result<(), Overflow> {
        if self.withdrawals.insert(trade, (currency.clone(), amount)).is_none() {
            let balance = self.balance_mut(currency);
            balance.held = balance.held.plus(amount)?;
        }
        Ok(())
    }

    pub(super) fn release_withdrawal(&mut self, trade: &TradeId) -> Result<(), Overflow> {
        if let Some((currency, amount)) = self.withdrawals.remove(trade) {
            let balance = self.balance_mut(&currency);
            balance.held = balance.held.minus(amount)?;
        }
        Ok(())
    }

    /// Instruments with unposted fills of `trade`.
    pub(super) fn unposted_of(&self, trade: &TradeId) -> Vec<InstrumentId> {
        let with_some = |holding: &Holding| holding.unposted.iter().any(|unposted| unposted.trade == *trade);
        self.holdings.iter().filter(|(_, holding)| with_some(holding)).map(|(id, _)| id.clone()).collect()
    }
}

impl Holding {
    /// The position with everything that has filled, posted or not.
    #[must_use]
    pub const fn position(&self) -> &Position {
        &self.position
    }

    /// Its open orders, in the order of their approval.
    #[must_use]
    pub fn orders(&self) -> &[OpenOrder] {
        &self.orders
    }

    /// Fills that the ledger has not posted, oldest first.
    #[must_use]
    pub fn unposted(&self) -> &[Unposted] {
        &self.unposted
    }

    /// Buying power its open orders hold.
    #[must_use]
    pub const fn hold(&self) -> Money {
        self.hold
    }

    /// Spent by its unposted fills.
    #[must_use]
    pub const fn spent(&self) -> Money {
        self.spent
    }

    /// The currency of its orders; `None` before the first.
    #[must_use]
    pub const fn currency(&self) -> Option<&Currency> {
        self.currency.as_ref()
    }

    /// How much an order of `side` could close if nothing else were pending.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn closable(&self, side: Side) -> Result<Quantity, Overflow> {
        let quantity = self.position.quantity;
        match side {
            Side::Buy if quantity.is_negative() => quantity.negated(),
            Side::Sell if !quantity.is_negative() => Ok(quantity),
            Side::Buy | Side::Sell => Ok(Quantity::ZERO),
        }
    }

    /// How much an order of `side` may close with every pending one filled.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn reducible(&self, side: Side) -> Result<Quantity, Overflow> {
        let mut left = self.closable(side)?;
        for order in self.orders_of(side) {
            left = left.minus(order.remaining())?;
        }
        Ok(left.max(Quantity::ZERO))
    }

    /// What the open orders would hold together with `extra`.
    pub(super) fn hold_with(&self, extra: Option<&OpenOrder>) -> Result<Money, Overflow> {
        let mut hold = Money::ZERO;
        for side in [Side::Buy, Side::Sell] {
            let extra = extra.filter(|order| order.order.terms.side == side);
            hold = hold.plus(side_hold(self.orders_of(side).chain(extra), self.closable(side)?)?)?;
        }
        Ok(hold)
    }

    pub(super) fn orders_of(&self, side: Side) -> impl Iterator<Item = &OpenOrder> {
        self.orders.iter().filter(move |order| order.order.terms.side == side)
    }

    pub(super) fn open(&mut self, order: OpenOrder) {
        self.orders.push(order);
    }

    pub(super) fn close(&mut self, order: &OrderId) -> Option<OpenOrder> {
        let index = self.orders.iter().position(|open| open.order.terms.id == *order)?;
        Some(self.orders.remove(index))
    }

    pub(super) fn order_mut(&mut self, order: &OrderId) -> Option<&mut OpenOrder> {
        self.orders.iter_mut().find(|open| open.order.terms.id == *order)
    }

    pub(super) fn knows(&self, execution: &ExecutionId) -> bool {
        self.unposted.iter().any(|unposted| unposted.fill.id == *execution)
    }

    pub(super) fn fill(&mut self, unposted: Unposted) {
        self.unposted.push(unposted);
    }

    pub(super) fn post(&mut self, is_posted: impl Fn(&Unposted) -> bool) {
        self.unposted.retain(|unposted| !is_posted(unposted));
    }

    pub(super) fn set_posted(&mut self, posted: &PostedPosition) -> Result<(), Overflow> {
        if posted.version < self.version {
            return Ok(());
        }
        let size = posted.quantity.magnitude()?;
        self.posted = Position {
            quantity: posted.quantity,
            entry_notional: posted.average_price.times(size, Rounding::Up)?,
            margin: posted.margin,
            ..Position::default()
        };
        self.version = posted.version;
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), Overflow> {
        let mut position = self.posted;
        let mut spent = Money::ZERO;
        for unposted in &self.unposted {
            let terms = &unposted.settlement;
            // A fill that cannot be applied (a spot oversale the venue let through) is the
            // ledger's to refuse; here at least its fee is counted.
            let change = match position.apply(unposted.side, &unposted.fill, terms) {
                Ok(effect) => effect.cash_change(terms.style)?,
                Err(_) => unposted.fill.fee.negated()?,
            };
            // What a fill brings in counts only once the ledger has posted it.
            if change.is_negative() {
                spent = spent.plus(change.negated()?)?;
            }
        }
        self.position = position;
        self.spent = spent;
        self.hold = self.hold_with(None)?;
        Ok(())
    }
}
