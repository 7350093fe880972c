//! The decision: every check in turn, cheap to dear; the first that fails is
//! the reason.

use super::{
    AccountState, Approved, DenialReason as Reason, Denied, Holding, OpenOrder, Order, Proposed, Scope, State,
    TradingState,
};
use crate::{
    id::{AccountId, Currency},
    instrument::{Instrument, InstrumentStatus, SettlementStyle},
    market::Quote,
    money::{Money, Overflow, Price, Quantity, Rounding},
    order::{OrderPrice, Side},
    time::Timestamp,
};

/// A sum that does not fit 64 bits is above every limit on an order's value.
impl From<Overflow> for Denied {
    fn from(_: Overflow) -> Self {
        Self::new(Reason::OrderValueLimit, i64::MAX, i64::MAX)
    }
}

/// Whether `proposed` may be sent now. Apply the order as a record before the
/// next decision, so that it counts against what follows.
///
/// # Errors
/// [`Denied`] with the first reason that applies.
pub fn decide(state: &State, proposed: &Proposed, now: Timestamp) -> Result<Approved<Order>, Denied> {
    if now > proposed.valid_until {
        return Err(Denied::new(Reason::ProposalExpired, proposed.valid_until.micros(), now.micros()));
    }
    let terms = &proposed.terms;
    let instrument = state.instrument(&terms.instrument).ok_or(Denied::plain(Reason::UnknownInstrument))?;
    match instrument.status {
        InstrumentStatus::Open if state.is_settled(&terms.instrument) => {
            return Err(Denied::plain(Reason::InstrumentNotTrading));
        }
        InstrumentStatus::Open => {}
        InstrumentStatus::Suspended | InstrumentStatus::Closed => {
            return Err(Denied::plain(Reason::InstrumentNotTrading));
        }
    }
    if let OrderPrice::Limit(price) = terms.price {
        check_price(instrument, price)?;
    }
    check_quantity(instrument, terms.quantity)?;
    let priced = check_market(state, instrument, proposed, now)?;
    check_states(state, proposed)?;
    check_agent(state, proposed, now)?;

    let account = state.account(&proposed.account).ok_or(Denied::plain(Reason::NoBalance))?;
    let balance = account.balance(&instrument.settlement.currency);
    if balance.is_frozen {
        return Err(Denied::plain(Reason::AccountFrozen));
    }
    let mut order = Order {
        trade: proposed.trade.clone(),
        account: proposed.account.clone(),
        terms: terms.clone(),
        limit: priced.limit,
        settlement: instrument.settlement.clone(),
        taker_fee_ppm: instrument.taker_fee_ppm,
        reference: priced.reference,
        agent: proposed.agent.clone(),
        pool: proposed.pool.clone(),
        hold: Money::ZERO,
        decided_at: now,
        valid_until: now.plus_millis(state.limits().approval_valid_ms),
    };
    check_orders(state, account, &order)?;
    let available = balance.available()?.ok_or(Denied::plain(Reason::NoBalance))?;
    order.hold = added_hold(account, &order)?;
    // An order that needs nothing always passes: closing must be possible with an empty purse.
    if !order.hold.is_zero() {
        let free = available.minus(open_loss(state, account, &instrument.settlement.currency)?)?;
        if order.hold > free {
            return Err(Denied::new(Reason::InsufficientFunds, free.micros(), order.hold.micros()));
        }
    }
    Ok(Approved::new(order))
}

/// Whether `amount` may leave the account, be it the platform or to another account.
/// Nothing leaves while the platform or the account is halted.
///
/// # Errors
/// [`Denied`].
pub fn decide_withdrawal(state: &State, account: &AccountId, currency: &Currency, amount: Money) -> Result<(), Denied> {
    if state.epoch() == 0 {
        return Err(Denied::plain(Reason::RiskStateUnknown));
    }
    let scopes = [Scope::Global, Scope::Account(account.clone())];
    if scopes.iter().any(|scope| state.state_of(scope) == TradingState::Halted) {
        return Err(Denied::plain(Reason::TradingHalted));
    }
    if amount.micros() <= 0 {
        return Err(Denied::new(Reason::QuantityTooSmall, 1, amount.micros()));
    }
    let account = state.account(account).ok_or(Denied::plain(Reason::NoBalance))?;
    let balance = account.balance(currency);
    if balance.is_frozen {
        return Err(Denied::plain(Reason::AccountFrozen));
    }
    let available = balance.available()?.ok_or(Denied::plain(Reason::NoBalance))?;
    let free = available.minus(open_loss(state, account, currency)?)?;
    if amount > free {
        return Err(Denied::new(Reason::InsufficientFunds, free.micros(), amount.micros()));
    }
    Ok(())
}

/// What closing all margined positions now would cost beyond what they have
/// gained, >= 0: cash that is still there but already lost. Longs are marked at
/// the bid, shorts at the ask; a position that cannot be marked denies.
fn open_loss(state: &State, account: &AccountState, currency: &Currency) -> Result<Money, Denied> {
    let mut pnl = Money::ZERO;
    for (id, holding) in account.holdings() {
        let position = holding.position();
        let Some(instrument) = state.instrument(id) else { continue };
        let is_margined =
            instrument.settlement.style == SettlementStyle::Margined && instrument.settlement.currency == *currency;
        if !is_margined || position.quantity.is_zero() {
            continue;
        }
        let no_mark = || Denied::plain(Reason::NoReferencePrice);
        let quote = state.quote(id).ok_or_else(no_mark)?;
        let size = position.quantity.magnitude()?;
        let gain = if position.quantity.is_negative() {
            let ask = quote.ask.or(quote.bid).ok_or_else(no_mark)?;
            position.entry_notional.minus(ask.price.times(size, Rounding::Up)?)?
        } else {
            let bid = quote.bid.or(quote.ask).ok_or_else(no_mark)?;
            bid.price.times(size, Rounding::Down)?.minus(position.entry_notional)?
        };
        pnl = pnl.plus(gain)?;
    }
    Ok(pnl.min(Money::ZERO).negated()?)
}

fn check_price(instrument: &Instrument, price: Price) -> Result<(), Denied> {
    if !price.is_multiple_of(instrument.tick) {
        return Err(Denied::new(Reason::PriceOffTick, instrument.tick.micros(), price.micros()));
    }
    let (low, high) = (instrument.min_price, instrument.max_price);
    if price < low || price.micros() <= 0 {
        return Err(Denied::new(Reason::PriceOutOfRange, low.micros(), price.micros()));
    }
    if price > high {
        return Err(Denied::new(Reason::PriceOutOfRange, high.micros(), price.micros()));
    }
    Ok(())
}

fn check_quantity(instrument: &Instrument, quantity: Quantity) -> Result<(), Denied> {
    let denied = |reason, limit: Quantity| Err(Denied::new(reason, limit.micros(), quantity.micros()));
    if !quantity.is_multiple_of(instrument.lot) {
        return denied(Reason::QuantityOffLot, instrument.lot);
    }
    if quantity < instrument.min_quantity || quantity.micros() <= 0 {
        return denied(Reason::QuantityTooSmall, instrument.min_quantity);
    }
    if quantity > instrument.max_quantity {
        return denied(Reason::QuantityTooLarge, instrument.max_quantity);
    }
    Ok(())
}

struct Priced {
    limit: Price,
    reference: Price,
}

/// Value cap, a fresh quote, and a price near it. A market order gets the collar as its limit.
fn check_market(state: &State, instrument: &Instrument, proposed: &Proposed, now: Timestamp) -> Result<Priced, Denied> {
    let terms = &proposed.terms;
    let style = instrument.settlement.style;
    let check_value = |price: Price| -> Result<(), Denied> {
        let unit = match (style, terms.side) {
            (SettlementStyle::Prediction, Side::Sell) => price.opposite()?,
            (SettlementStyle::Prediction | SettlementStyle::Spot | SettlementStyle::Margined, _) => price,
        };
        let (value, cap) = (unit.times(terms.quantity, Rounding::Up)?, state.limits().order_value_max);
        if value > cap { Err(Denied::new(Reason::OrderValueLimit, cap.micros(), value.micros())) } else { Ok(()) }
    };
    if let OrderPrice::Limit(price) = terms.price {
        check_value(price)?;
    }
    let (quote, reference) = state
        .quote(&instrument.id)
        .and_then(|quote| quote.reference_price().map(|reference| (quote, reference)))
        .ok_or(Denied::plain(Reason::NoReferencePrice))?;
    check_age(state, instrument, quote, now)?;
    let collar = state.limits().collar(style, reference)?;
    let edge = match terms.side {
        Side::Buy => reference.plus(collar)?,
        Side::Sell => reference.minus(collar)?,
    };
    let limit = match (terms.price, terms.side) {
        (OrderPrice::Limit(price), side) => {
            let is_outside = match side {
                Side::Buy => price > edge,
                Side::Sell => price < edge,
            };
            if is_outside {
                return Err(Denied::new(Reason::PriceCollar, edge.micros(), price.micros()));
            }
            price
        }
        (OrderPrice::Market, Side::Buy) => edge.min(instrument.max_price).floor_to(instrument.tick),
        (OrderPrice::Market, Side::Sell) => {
            let floored = edge.floor_to(instrument.tick);
            let inside = if floored < edge { floored.plus(instrument.tick)? } else { floored };
            inside.max(instrument.min_price)
        }
    };
    if terms.price == OrderPrice::Market {
        check_price(instrument, limit)?;
        check_value(limit)?;
    }
    Ok(Priced { limit, reference })
}

fn check_age(state: &State, instrument: &Instrument, quote: &Quote, now: Timestamp) -> Result<(), Denied> {
    let limit = instrument.max_quote_age_ms.unwrap_or(state.limits().quote_age_max_ms);
    let age = now.micros().saturating_sub(quote.published_at.micros());
    if age > limit.saturating_mul(1_000) {
        // Rounded up, so that the observed value is above the limit it broke.
        let observed = age.saturating_add(999) / 1_000;
        return Err(Denied::new(Reason::StaleQuote, limit, observed));
    }
    Ok(())
}

fn check_states(state: &State, proposed: &Proposed) -> Result<(), Denied> {
    if state.epoch() == 0 {
        return Err(Denied::plain(Reason::RiskStateUnknown));
    }
    let strictest = proposed.scopes().map(|scope: Scope| state.state_of(&scope)).max();
    let terms = &proposed.terms;
    let must_reduce = match strictest.unwrap_or(TradingState::Halted) {
        TradingState::Halted => return Err(Denied::plain(Reason::TradingHalted)),
        TradingState::Reducing => Some(Reason::TradingReducing),
        TradingState::Active => terms.is_reduce_only.then_some(Reason::InsufficientPosition),
    };
    let Some(reason) = must_reduce else { return Ok(()) };
    let holding = state.account(&proposed.account).and_then(|account| account.holding(&terms.instrument));
    let reducible = holding.map_or(Ok(Quantity::ZERO), |holding| holding.reducible(terms.side))?;
    if terms.quantity > reducible {
        return Err(Denied::new(reason, reducible.micros(), terms.quantity.micros()));
    }
    Ok(())
}

fn check_agent(state: &State, proposed: &Proposed, now: Timestamp) -> Result<(), Denied> {
    let (Some(agent), Some(limit)) = (&proposed.agent, proposed.trades_per_day_max) else { return Ok(()) };
    let done = state.agent_trades(agent, now);
    if done >= limit {
        return Err(Denied::new(Reason::AgentTradeLimit, limit.into(), i64::from(done) + 1));
    }
    Ok(())
}

/// Resting orders, orders against each other, and what a spot sale needs.
fn check_orders(state: &State, account: &AccountState, order: &Order) -> Result<(), Denied> {
    let terms = &order.terms;
    if terms.time_in_force.is_resting() {
        let (limit, resting) = (state.limits().resting_orders_max, account.resting_orders());
        if resting >= limit {
            let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            return Err(Denied::new(Reason::OpenOrderLimit, count(limit), count(resting) + 1));
        }
    }
    let holding = account.holding(&terms.instrument);
    if let Some(against) = holding.and_then(|holding| crossing(holding, order)) {
        return Err(Denied::new(Reason::SelfTrade, against.micros(), order.limit.micros()));
    }
    if order.settlement.style == SettlementStyle::Spot && terms.side == Side::Sell {
        let reducible = holding.map_or(Ok(Quantity::ZERO), |holding| holding.reducible(Side::Sell))?;
        if terms.quantity > reducible {
            return Err(Denied::new(Reason::InsufficientPosition, reducible.micros(), terms.quantity.micros()));
        }
    }
    Ok(())
}

/// The price of a resting order on the other side that `order` would trade against.
fn crossing(holding: &Holding, order: &Order) -> Option<Price> {
    let other = match order.terms.side {
        Side::Buy => Side::Sell,
        Side::Sell => Side::Buy,
    };
    let resting = holding.orders_of(other).filter(|open| open.order.terms.time_in_force.is_resting());
    let is_crossed = |resting: Price| match order.terms.side {
        Side::Buy => order.limit >= resting,
        Side::Sell => order.limit <= resting,
    };
    resting.map(|open| open.order.limit).find(|price| is_crossed(*price))
}

fn added_hold(account: &AccountState, order: &Order) -> Result<Money, Overflow> {
    let open = OpenOrder { order: order.clone(), filled: Quantity::ZERO, executions: Vec::new() };
    let empty = Holding::default();
    let holding = account.holding(&order.terms.instrument).unwrap_or(&empty);
    holding.hold_with(Some(&open))?.minus(holding.hold())
}
