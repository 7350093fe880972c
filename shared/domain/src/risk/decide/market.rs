//! What the market says: the order's value, a fresh quote, a price near it.

use super::{
    form::check_price,
    look::{Look, Verdict},
};
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

/// What is looked at in the market.
pub(super) struct Market<'a> {
    pub(super) state: &'a State,
    pub(super) instrument: &'a Instrument,
    pub(super) proposed: &'a Proposed,
    /// The share of its limits that the order has, parts per million.
    pub(super) ramp_ppm: i64,
    pub(super) now: Timestamp,
}

impl Market<'_> {
    /// Value cap, a fresh quote, and a price near it. A market order gets the collar as its limit.
    pub(super) fn check(&self, look: &mut impl Look) -> Result<Priced, Denied> {
        let Self { state, instrument, proposed, .. } = self;
        let terms = &proposed.terms;
        if let OrderPrice::Limit(price) = terms.price {
            self.check_value(price, look)?;
        }
        let quoted = state.quote(&instrument.id);
        let quoted = quoted.and_then(|quote| quote.reference_price().map(|reference| (quote, reference)));
        let (quote, reference) = look.known(quoted, Reason::NoReferencePrice)?;
        self.check_age(quote, look)?;
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
                look.check(Reason::PriceCollar, edge.micros(), price.micros(), Verdict::failed_if(is_outside))?;
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
            check_price(instrument, limit, look)?;
            self.check_value(limit, look)?;
        }
        Ok(Priced { limit, reference })
    }

    /// Against the cap of every order, then against that of the caller's tier.
    fn check_value(&self, price: Price, look: &mut impl Look) -> Result<(), Denied> {
        let (terms, limits) = (&self.proposed.terms, self.state.limits());
        let unit = match (self.instrument.settlement.style, terms.side) {
            (SettlementStyle::Prediction, Side::Sell) => price.opposite()?,
            (SettlementStyle::Prediction | SettlementStyle::Spot | SettlementStyle::Margined, _) => price,
        };
        let value = unit.times(terms.quantity, Rounding::Up)?;
        let cap = limits.order_value_max.ppm(self.ramp_ppm, Rounding::Down)?;
        look.check(Reason::OrderValueLimit, cap.micros(), value.micros(), Verdict::failed_if(value > cap))?;
        match limits.rules.of(LimitName::TierOrderValueMaxMicros, self.proposed.tier.as_str()) {
            Some(cap) => {
                let is_over = Verdict::failed_if(value.micros() > cap);
                look.check(Reason::TierOrderValueLimit, cap, value.micros(), is_over)
            }
            None => Ok(()),
        }
    }

    fn check_age(&self, quote: &Quote, look: &mut impl Look) -> Result<(), Denied> {
        let limit = self.instrument.max_quote_age_ms.unwrap_or(self.state.limits().quote_age_max_ms);
        // One from the future is no fresher: either clock may be wrong, and nobody knows which.
        let age = self.now.micros().saturating_sub(quote.published_at.micros()).saturating_abs();
        let is_old = Verdict::failed_if(age > limit.saturating_mul(1_000));
        // Rounded up, so that the observed value is above the limit it broke.
        look.check(Reason::StaleQuote, limit, age.saturating_add(999) / 1_000, is_old)
    }
}
