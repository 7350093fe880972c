//! What one account holds of one instrument: the position, and what is traded of it.

use crate::{
    execution::Fill,
    id::{Currency, ExecutionId, InstrumentId, OrderId, TradeId},
    instrument::{SettlementStyle, SettlementTerms},
    money::{Money, ONE, Overflow, Price, Quantity, Rounding},
    order::Side,
    position::Position,
    risk::{
        Exposure, OpenOrder, PostedPosition, Scope,
        exposure::{Owners, Part},
        hold::side_hold,
        pace::Recent,
    },
};

/// What is held and ordered of one instrument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    posted: Position,
    version: i64,
    pub(super) terms: Option<SettlementTerms>,
    /// Posted and unposted fills together.
    pub(super) position: Position,
    pub(super) invested: Money,
    /// Boxed, because most of very many holdings have nothing of it.
    live: Option<Box<Live>>,
}

/// What a holding has that is traded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Live {
    orders: Vec<OpenOrder>,
    unposted: Vec<Unposted>,
    hold: Money,
    spent: Money,
    received: Money,
    owners: Owners,
    recent: Recent,
}

/// Of a holding that is not traded.
static NOTHING_LIVE: Live = Live {
    orders: Vec::new(),
    unposted: Vec::new(),
    hold: Money::ZERO,
    spent: Money::ZERO,
    received: Money::ZERO,
    owners: Owners { pools: Vec::new(), agents: Vec::new(), timeframes: Vec::new() },
    recent: Recent::NONE,
};

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

impl Holding {
    fn live(&self) -> &Live {
        self.live.as_deref().unwrap_or(&NOTHING_LIVE)
    }

    fn live_mut(&mut self) -> &mut Live {
        self.live.get_or_insert_default()
    }

    /// Everybody who has ever ordered in it.
    pub(in crate::risk) fn owners(&self) -> &Owners {
        &self.live().owners
    }

    pub(in crate::risk) fn owners_mut(&mut self) -> &mut Owners {
        &mut self.live_mut().owners
    }

    /// Its approved orders of the last moment.
    pub(in crate::risk) fn recent(&self) -> &Recent {
        &self.live().recent
    }

    /// The position with everything that has filled, posted or not.
    #[must_use]
    pub const fn position(&self) -> &Position {
        &self.position
    }

    /// Its open orders, in the order of their approval.
    #[must_use]
    pub fn orders(&self) -> &[OpenOrder] {
        &self.live().orders
    }

    /// Fills that the ledger has not posted, oldest first.
    #[must_use]
    pub fn unposted(&self) -> &[Unposted] {
        &self.live().unposted
    }

    /// Buying power its open orders hold.
    #[must_use]
    pub fn hold(&self) -> Money {
        self.live().hold
    }

    /// Spent by its unposted fills.
    #[must_use]
    pub fn spent(&self) -> Money {
        self.live().spent
    }

    /// Received by its unposted fills: no buying power yet, but equity.
    #[must_use]
    pub fn received(&self) -> Money {
        self.live().received
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
        self.invested.plus(self.live().hold)
    }

    /// Whether its position may be a margined one: before the first order only the instrument knows.
    pub(in crate::risk) fn may_be_margined(&self) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.style == SettlementStyle::Margined)
    }

    /// What it adds to the house's sheet; `None` before the first order.
    pub(in crate::risk) fn part(&self, instrument: &InstrumentId) -> Result<Option<Part>, Overflow> {
        let Some(terms) = &self.terms else { return Ok(None) };
        let exposure = Exposure::of(self.exposure()?, terms)?;
        let (instrument, currency) = (instrument.clone(), terms.currency.clone());
        Ok(Some(Part { instrument, currency, owners: self.owners().clone(), exposure }))
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
    pub(in crate::risk) fn hold_with(&self, extra: Option<&OpenOrder>) -> Result<Money, Overflow> {
        let mut hold = Money::ZERO;
        for side in [Side::Buy, Side::Sell] {
            let extra = extra.filter(|order| order.order.terms.side == side);
            hold = hold.plus(side_hold(self.orders_of(side).chain(extra), self.closable(side)?)?)?;
        }
        Ok(hold)
    }

    pub(in crate::risk) fn orders_of(&self, side: Side) -> impl Iterator<Item = &OpenOrder> {
        self.live().orders.iter().filter(move |order| order.order.terms.side == side)
    }

    /// Whether an agent or a pool has ever ordered it. A position belongs to everyone
    /// who has: the venue does not tell whose part of it a fill was.
    #[must_use]
    pub fn is_traded_by(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Agent(agent) => self.owners().agents.contains(agent),
            Scope::Pool(pool) => self.owners().pools.contains(pool),
            Scope::Global | Scope::Instrument(_) | Scope::Account(_) => false,
        }
    }

    /// `repeat_ms`: how long it is remembered to notice repeats, if at all.
    pub(in crate::risk) fn open(&mut self, order: OpenOrder, repeat_ms: Option<i64>) {
        let own = &order.order;
        if let Some(window_ms) = repeat_ms {
            self.live_mut().recent.add(own, window_ms);
        }
        self.live_mut().orders.push(order);
    }

    pub(in crate::risk) fn close(&mut self, order: &OrderId) -> Option<OpenOrder> {
        let orders = &mut self.live.as_mut()?.orders;
        let index = orders.iter().position(|open| open.order.terms.id == *order)?;
        let closed = orders.remove(index);
        if orders.is_empty() {
            *orders = Vec::new();
        }
        Some(closed)
    }

    pub(in crate::risk) fn resting(&self) -> usize {
        self.live().orders.iter().filter(|open| open.order.terms.time_in_force.is_resting()).count()
    }

    pub(in crate::risk) fn order_mut(&mut self, order: &OrderId) -> Option<&mut OpenOrder> {
        self.live.as_mut()?.orders.iter_mut().find(|open| open.order.terms.id == *order)
    }

    pub(in crate::risk) fn knows(&self, execution: &ExecutionId) -> bool {
        self.live().unposted.iter().any(|unposted| unposted.fill.id == *execution)
    }

    pub(in crate::risk) fn fill(&mut self, unposted: Unposted) {
        self.live_mut().unposted.push(unposted);
    }

    pub(in crate::risk) fn post(&mut self, is_posted: impl Fn(&Unposted) -> bool) {
        let Some(live) = &mut self.live else { return };
        live.unposted.retain(|unposted| !is_posted(unposted));
        if live.unposted.is_empty() {
            // Nearly always the case, and there are very many holdings.
            live.unposted = Vec::new();
        }
    }

    pub(in crate::risk) fn set_posted(&mut self, posted: &PostedPosition) -> Result<(), Overflow> {
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

    pub(in crate::risk) fn refresh(&mut self) -> Result<(), Overflow> {
        let mut position = self.posted;
        let (mut spent, mut received) = (Money::ZERO, Money::ZERO);
        for unposted in self.unposted() {
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
        if self.live.is_some() {
            let hold = self.hold_with(None)?;
            let live = self.live_mut();
            (live.spent, live.received, live.hold) = (spent, received, hold);
            if *live == NOTHING_LIVE {
                self.live = None;
            }
        }
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
