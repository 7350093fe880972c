//! What can be seen from the proposal and the instrument alone: in time, not
//! decided before, tradable, on the grids.

use crate::{
    instrument::{Instrument, InstrumentStatus},
    money::{Price, Quantity},
    order::OrderPrice,
    risk::{DenialReason as Reason, Denied, Proposed, State},
    time::Timestamp,
};

pub(super) fn check_time(proposed: &Proposed, now: Timestamp) -> Result<(), Denied> {
    if now > proposed.valid_until {
        return Err(Denied::new(Reason::ProposalExpired, proposed.valid_until.micros(), now.micros()));
    }
    Ok(())
}

/// One trade is decided once. Who asks again is answered from [`State::known`];
/// this is the last line, so that no caller's mistake makes two orders of one trade.
pub(super) fn check_undecided(state: &State, proposed: &Proposed) -> Result<(), Denied> {
    match state.known(&proposed.trade) {
        Some(_) => Err(Denied::plain(Reason::DuplicateTrade)),
        None => Ok(()),
    }
}

pub(super) fn check_instrument<'a>(state: &'a State, proposed: &Proposed) -> Result<&'a Instrument, Denied> {
    let id = &proposed.terms.instrument;
    let instrument = state.instrument(id).ok_or(Denied::plain(Reason::UnknownInstrument))?;
    match instrument.status {
        InstrumentStatus::Open if !state.is_settled(id) => Ok(instrument),
        InstrumentStatus::Open | InstrumentStatus::Suspended | InstrumentStatus::Closed => {
            Err(Denied::plain(Reason::InstrumentNotTrading))
        }
    }
}

pub(super) fn check_limit_price(instrument: &Instrument, price: OrderPrice) -> Result<(), Denied> {
    match price {
        OrderPrice::Limit(price) => check_price(instrument, price),
        OrderPrice::Market => Ok(()),
    }
}

pub(super) fn check_price(instrument: &Instrument, price: Price) -> Result<(), Denied> {
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

pub(super) fn check_quantity(instrument: &Instrument, quantity: Quantity) -> Result<(), Denied> {
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
