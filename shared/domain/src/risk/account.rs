//! What the gate knows of one account: what the ledger has posted, what open
//! orders hold, and fills that the ledger has not posted yet.

mod rare;

use super::{
    Exposure, KeptPayments, Order, Posted, Scope, Traded,
    exposure::{Owners, Part},
    hold::side_hold,
    pace::Recent,
    record::PostedPosition,
    state::OpenOrder,
};
use crate::{
    execution::Fill,
    id::{AccountId, Currency, ExecutionId, InstrumentId, OrderId, QuickMap, TradeId},
    instrument::{SettlementStyle, SettlementTerms},
    money::{Money, ONE, Overflow, Price, Quantity, Rounding},
    order::Side,
    position::Position,
    time::Timestamp,
};
use rare::Rare;

/// One account; everything here follows from the records applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountState {
    balances: Vec<(Currency, Balance)>,
    holdings: QuickMap<InstrumentId, Holding>,
    /// Resting orders, counted with every change.
    resting: usize,
    /// What may have an open loss, side by side: a decision looks at all of it.
    margined: Vec<Margined>,
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

/// What is held and ordered of one instrument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    posted: Position,
    version: i64,
    terms: Option<SettlementTerms>,
    /// Posted and unposted fills together.
    position: Position,
    orders: Vec<OpenOrder>,
    unposted: Vec<Unposted>,
    hold: Money,
    spent: Money,
    received: Money,
    invested: Money,
    pub(super) owners: Owners,
    pub(super) recent: Recent,
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
        let own = self.rare.iter().flat_map(|rare| &rare.withdrawals);
        own.map(|(trade, (currency, amount))| (trade, currency, *amount))
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
        self.rare.as_ref()?.paid(currency).start
    }

    /// Everything paid in less what was paid out since the gate looks, and the ledger's
    /// version of the newest payment in it: neither is profit or loss.
    #[must_use]
    pub fn payments(&self, currency: &Currency) -> (Money, i64) {
        self.rare.as_ref().map(|rare| rare.paid(currency).payments).unwrap_or_default()
    }

    pub(super) fn start_wallet(&mut self, currency: &Currency, start: (Money, i64)) {
        self.rare_mut().paid_mut(currency).start = Some(start);
    }

    /// What a guard before this one has journaled.
    pub(super) fn keep_payments(&mut self, kept: &KeptPayments) {
        self.rare_mut().paid_mut(&kept.currency).keep(kept);
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
        let (hold_before, spent_before) = (holding.hold, holding.spent);
        let invested_before = if is_new { Money::ZERO } else { holding.invested };
        let resting_before = holding.resting();
        change(holding);
        holding.refresh()?;
        let (hold, spent) = (holding.hold.minus(hold_before)?, holding.spent.minus(spent_before)?);
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
        let place = self.margined.iter().position(|own| own.instrument == *instrument);
        match (place, now) {
            (Some(place), Some(now)) => self.margined[place] = now,
            (Some(place), None) => drop(self.margined.remove(place)),
            (None, Some(now)) => self.margined.push(now),
            (None, None) => {}
        }
    }

    /// Positions that are margined or may be, none of them flat.
    pub(super) fn margined(&self) -> &[Margined] {
        &self.margined
    }

    pub(super) fn balance_mut(&mut self, currency: &Currency) -> &mut Balance {
        let index = self.balances.iter().position(|(own, _)| own == currency).unwrap_or_else(|| {
            // Most accounts have one: no room for more is kept.
            self.balances.reserve_exact(1);
            self.balances.push((currency.clone(), Balance::default()));
            self.balances.len() - 1
        });
        &mut self.balances[index].1
    }

    /// What the ledger has committed; `unposted` names the instruments with fills of its trade.
    pub(super) fn post(&mut self, posted: &Posted, unposted: &[InstrumentId]) -> Result<(), Overflow> {
        for balance in &posted.balances {
            let own = self.balance_mut(&balance.currency);
            if own.posted.is_none() || balance.version >= own.version {
                (own.posted, own.version) = (Some(balance.cash), balance.version);
                own.is_frozen = balance.is_frozen;
            }
            if !balance.flow.is_zero() {
                self.rare_mut().paid_mut(&balance.currency).pay_in(balance.flow, balance.version)?;
            }
        }
        for position in &posted.positions {
            let mut is_sound = Ok(());
            self.change(&position.instrument, None, |holding| is_sound = holding.set_posted(position))?;
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
        let own = self.holdings.iter().filter(|(_, holding)| !holding.owners.is_empty());
        own.filter_map(|(instrument, holding)| {
            Some(Traded {
                account: account.clone(),
                instrument: instrument.clone(),
                terms: holding.terms.clone()?,
                pools: holding.owners.pools.clone(),
                agents: holding.owners.agents.clone(),
                timeframes: holding.owners.timeframes.clone(),
            })
        })
    }

    /// Capital by currency.
    pub(super) fn capitals(&self) -> Result<Vec<(Currency, Money)>, Overflow> {
        self.balances.iter().map(|(currency, balance)| Ok((currency.clone(), balance.capital()?))).collect()
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

    /// Received by its unposted fills: no buying power yet, but equity.
    #[must_use]
    pub const fn received(&self) -> Money {
        self.received
    }

    /// The currency of its orders; `None` before the first.
    #[must_use]
    pub fn currency(&self) -> Option<&Currency> {
        self.terms.as_ref().map(|terms| &terms.currency)
    }

    /// What its position cost: its margin, where it is margined.
    #[must_use]
    pub const fn invested(&self) -> Money {
        self.invested
    }

    /// Capital put in: what its position cost and what its open orders hold.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn exposure(&self) -> Result<Money, Overflow> {
        self.invested.plus(self.hold)
    }

    /// Whether its position may be a margined one: before the first order only the instrument knows.
    fn may_be_margined(&self) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.style == SettlementStyle::Margined)
    }

    /// What it adds to the house's sheet; `None` before the first order.
    pub(super) fn part(&self, instrument: &InstrumentId) -> Result<Option<Part>, Overflow> {
        let Some(terms) = &self.terms else { return Ok(None) };
        let exposure = Exposure::of(self.exposure()?, terms)?;
        let (instrument, currency) = (instrument.clone(), terms.currency.clone());
        Ok(Some(Part { instrument, currency, owners: self.owners.clone(), exposure }))
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

    /// Whether an agent or a pool has ever ordered it. A position belongs to everyone
    /// who has: the venue does not tell whose part of it a fill was.
    #[must_use]
    pub fn is_traded_by(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Agent(agent) => self.owners.agents.contains(agent),
            Scope::Pool(pool) => self.owners.pools.contains(pool),
            Scope::Global | Scope::Instrument(_) | Scope::Account(_) => false,
        }
    }

    /// `repeat_ms`: how long it is remembered to notice repeats, if at all.
    pub(super) fn open(&mut self, order: OpenOrder, repeat_ms: Option<i64>) {
        let own = &order.order;
        if let Some(window_ms) = repeat_ms {
            self.recent.add(own, window_ms);
        }
        self.orders.push(order);
    }

    pub(super) fn close(&mut self, order: &OrderId) -> Option<OpenOrder> {
        let index = self.orders.iter().position(|open| open.order.terms.id == *order)?;
        let closed = self.orders.remove(index);
        if self.orders.is_empty() {
            self.orders = Vec::new();
        }
        Some(closed)
    }

    fn resting(&self) -> usize {
        self.orders.iter().filter(|open| open.order.terms.time_in_force.is_resting()).count()
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
        if self.unposted.is_empty() {
            // Nearly always the case, and there are very many holdings.
            self.unposted = Vec::new();
        }
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
        let (mut spent, mut received) = (Money::ZERO, Money::ZERO);
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
            } else {
                received = received.plus(change)?;
            }
        }
        self.invested = invested(&position)?;
        self.position = position;
        (self.spent, self.received) = (spent, received);
        self.hold = self.hold_with(None)?;
        Ok(())
    }
}

/// What a position cost. Its style shows: only margined ones have margin, only
/// predictions are sold short without it, which buys the opposite outcome at 1 - price.
fn invested(position: &Position) -> Result<Money, Overflow> {
    if !position.margin.is_zero() {
        return Ok(position.margin);
    }
    if position.quantity.is_negative() {
        let paid_out = Price::from_micros(ONE).times(position.quantity.magnitude()?, Rounding::Up)?;
        return paid_out.minus(position.entry_notional);
    }
    Ok(position.entry_notional)
}
