//! What can be seen from the proposal and the instrument alone: in time, not
//! decided before, tradable, on the grids.

use super::look::{Look, Verdict};
use crate::{
    instrument::{Instrument, InstrumentStatus},
    money::{Price, Quantity},
    order::OrderPrice,
    risk::{DenialReason as Reason, Denied, Proposed, State},
    time::Timestamp,
};

pub(super) fn check_time(proposed: &Proposed, now: Timestamp, look: &mut impl Look) -> Result<(), Denied> {
    let is_late = Verdict::failed_if(now > proposed.valid_until);
    look.check(Reason::ProposalExpired, proposed.valid_until.micros(), now.micros(), is_late)
}

/// One trade is decided once. Who asks again is answered from [`State::known`];
/// this is the last line, so that no caller's mistake makes two orders of one trade.
pub(super) fn check_undecided(state: &State, proposed: &Proposed, look: &mut impl Look) -> Result<(), Denied> {
    look.check(Reason::DuplicateTrade, 0, 0, Verdict::failed_if(state.known(&proposed.trade).is_some()))
}

pub(super) fn check_instrument<'a>(
    state: &'a State,
    proposed: &Proposed,
    look: &mut impl Look,
) -> Result<&'a Instrument, Denied> {
    let id = &proposed.terms.instrument;
    let instrument = look.known(state.instrument(id), Reason::UnknownInstrument)?;
    let is_trading = match instrument.status {
        InstrumentStatus::Open => !state.is_settled(id),
        InstrumentStatus::Suspended | InstrumentStatus::Closed => false,
    };
    look.check(Reason::InstrumentNotTrading, 0, 0, Verdict::failed_if(!is_trading))?;
    Ok(instrument)
}

pub(super) fn check_limit_price(
    instrument: &Instrument,
    price: OrderPrice,
    look: &mut impl Look,
) -> Result<(), Denied> {
    match price {
        OrderPrice::Limit(price) => check_price(instrument, price, look),
        OrderPrice::Market => Ok(()),
    }
}

pub(super) fn check_price(instrument: &Instrument, price: Price, look: &mut impl Look) -> Result<(), Denied> {
    let is_off_tick = Verdict::failed_if(!price.is_multiple_of(instrument.tick));
    look.check(Reason::PriceOffTick, instrument.tick.micros(), price.micros(), is_off_tick)?;
    let (low, high) = (instrument.min_price, instrument.max_price);
    let is_low = Verdict::failed_if(price < low || price.micros() <= 0);
    look.check(Reason::PriceOutOfRange, low.micros(), price.micros(), is_low)?;
    look.check(Reason::PriceOutOfRange, high.micros(), price.micros(), Verdict::failed_if(price > high))
}

pub(super) fn check_quantity(instrument: &Instrument, quantity: Quantity, look: &mut impl Look) -> Result<(), Denied> {
    let mut check = |reason, limit: Quantity, is_broken| {
        look.check(reason, limit.micros(), quantity.micros(), Verdict::failed_if(is_broken))
    };
    check(Reason::QuantityOffLot, instrument.lot, !quantity.is_multiple_of(instrument.lot))?;
    let is_small = quantity < instrument.min_quantity || quantity.micros() <= 0;
    check(Reason::QuantityTooSmall, instrument.min_quantity, is_small)?;
    check(Reason::QuantityTooLarge, instrument.max_quantity, quantity > instrument.max_quantity)
}
