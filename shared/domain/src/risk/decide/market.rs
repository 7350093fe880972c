//! What the market says: the order's value, a fresh quote, a price near it.

use super::form::check_price;
use crate::{
    instrument::{Instrument, SettlementStyle},
    market::Quote,
    money::{Price, Rounding},
    order::{OrderPrice, Side},
    risk::{DenialReason as Reason, Denied, LimitName, Proposed, State},
    time::Timestamp,
};

/// The prices an order is decided with.
pub(super) struct Priced {
    /// Worst price it may execute at.
    pub(super) limit: Price,
    /// What the market shows.
    pub(super) reference: Price,
}

/// Value cap, a fresh quote, and a price near it. A market order gets the collar as its limit.
pub(super) fn check_market(
    state: &State,
    instrument: &Instrument,
    proposed: &Proposed,
    ramp_ppm: i64,
    now: Timestamp,
) -> Result<Priced, Denied> {
    let terms = &proposed.terms;
    if let OrderPrice::Limit(price) = terms.price {
        check_value(state, instrument, proposed, price, ramp_ppm)?;
    }
    let (quote, reference) = state
        .quote(&instrument.id)
        .and_then(|quote| quote.reference_price().map(|reference| (quote, reference)))
        .ok_or(Denied::plain(Reason::NoReferencePrice))?;
    check_age(state, instrument, quote, now)?;
    let collar = state.limits().collar(instrument.settlement.style, reference)?;
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
        check_value(state, instrument, proposed, limit, ramp_ppm)?;
    }
    Ok(Priced { limit, reference })
}

/// Against the cap of every order, then against that of the caller's tier.
fn check_value(
    state: &State,
    instrument: &Instrument,
    proposed: &Proposed,
    price: Price,
    ramp_ppm: i64,
) -> Result<(), Denied> {
    let terms = &proposed.terms;
    let unit = match (instrument.settlement.style, terms.side) {
        (SettlementStyle::Prediction, Side::Sell) => price.opposite()?,
        (SettlementStyle::Prediction | SettlementStyle::Spot | SettlementStyle::Margined, _) => price,
    };
    let value = unit.times(terms.quantity, Rounding::Up)?;
    let cap = state.limits().order_value_max.ppm(ramp_ppm, Rounding::Down)?;
    if value > cap {
        return Err(Denied::new(Reason::OrderValueLimit, cap.micros(), value.micros()));
    }
    let rules = &state.limits().rules;
    match rules.of(LimitName::TierOrderValueMaxMicros, proposed.tier.as_str()) {
        Some(cap) if value.micros() > cap => Err(Denied::new(Reason::TierOrderValueLimit, cap, value.micros())),
        Some(_) | None => Ok(()),
    }
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
