//! What a fill does to a position: average cost, realized profit, margin and
//! cash, for every settlement style, through zero and back; how it ends when its
//! market does, and how a fill is taken back.

mod ending;
mod reversal;

use crate::{
    execution::Fill,
    instrument::{SettlementStyle, SettlementTerms},
    money::{Money, ONE, Overflow, Price, Quantity, Rounding},
    order::Side,
};

/// What is held of one instrument by one account.
///
/// The entry notional is kept instead of an average price, so that nothing is
/// lost to rounding however often the position is added to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Signed quantity; a negative prediction position holds the opposite outcome.
    pub quantity: Quantity,
    /// Sum of entry price x quantity of what is open, >= 0.
    pub entry_notional: Money,
    /// Cash set aside as margin, >= 0.
    pub margin: Money,
    /// Profit of what was closed, before fees.
    pub realized_pnl: Money,
    /// Fees of all fills.
    pub fees: Money,
}

/// Money that one fill (or the end of a market) moves; every field but `realized_pnl` is >= 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FillEffect {
    /// Paid for what is opened (fully paid styles).
    pub cost: Money,
    /// Received for what is closed (fully paid styles).
    pub proceeds: Money,
    /// Newly set aside (margined).
    pub margin_held: Money,
    /// Given back (margined).
    pub margin_released: Money,
    /// Profit of what is closed before fees; moves cash only when margined.
    pub realized_pnl: Money,
    /// Fee of the fill.
    pub fee: Money,
}

/// Why a fill cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// A result does not fit 64 bits.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A spot sale of more than is held.
    #[error("cannot sell {requested} of a spot instrument while holding {held}")]
    SpotShort {
        /// What is held.
        held: Quantity,
        /// What was to be sold.
        requested: Quantity,
    },
}

impl FillEffect {
    /// Change of the wallet's cash, margin and fee included.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn cash_change(&self, style: SettlementStyle) -> Result<Money, Overflow> {
        let gross = match style {
            SettlementStyle::Prediction | SettlementStyle::Spot => self.proceeds.minus(self.cost)?,
            SettlementStyle::Margined => self.margin_released.plus(self.realized_pnl)?.minus(self.margin_held)?,
        };
        gross.minus(self.fee)
    }
}

impl Position {
    /// Average entry price rounded toward zero; `None` when flat.
    #[must_use]
    pub fn average_price(&self) -> Option<Price> {
        let quantity = i128::from(self.quantity.micros()).abs();
        let average = (i128::from(self.entry_notional.micros()) * i128::from(ONE)).checked_div(quantity)?;
        i64::try_from(average).ok().map(Price::from_micros)
    }

    /// Applies one fill: what it closes is closed first, the rest opens.
    ///
    /// ```
    /// use tragen_domain::{position::Position, order::Side, money::Money};
    /// # use tragen_domain::{execution::Fill, id::*, instrument::*, time::Timestamp};
    /// # let terms = SettlementTerms { style: SettlementStyle::Margined, currency: Currency::new("USD").unwrap(), initial_margin_ppm: 100_000 };
    /// # let fill = |price: &str, quantity: &str| Fill { id: ExecutionId::new("e").unwrap(), price: price.parse().unwrap(),
    /// #     quantity: quantity.parse().unwrap(), fee: Money::ZERO, executed_at: Timestamp::default() };
    /// let mut position = Position::default();
    /// position.apply(Side::Buy, &fill("10", "3"), &terms).unwrap();
    /// let effect = position.apply(Side::Sell, &fill("12", "5"), &terms).unwrap(); // flips to short 2
    /// assert_eq!(position.quantity.to_string(), "-2");
    /// assert_eq!(effect.realized_pnl.to_string(), "6");
    /// ```
    ///
    /// # Errors
    /// [`PositionError`]; the position is unchanged then.
    pub fn apply(&mut self, side: Side, fill: &Fill, terms: &SettlementTerms) -> Result<FillEffect, PositionError> {
        let held = self.quantity.magnitude()?;
        let is_opposing = match side {
            Side::Buy => self.quantity.is_negative(),
            Side::Sell => self.quantity.micros() > 0,
        };
        let closing = if is_opposing { held.min(fill.quantity) } else { Quantity::ZERO };
        let opening = fill.quantity.minus(closing)?;
        if terms.style == SettlementStyle::Spot && side == Side::Sell && !opening.is_zero() {
            return Err(PositionError::SpotShort { held, requested: fill.quantity });
        }

        let mut next = *self;
        let mut effect = FillEffect { fee: fill.fee, ..FillEffect::default() };
        if !closing.is_zero() {
            next.close(side, fill.price, closing, terms, &mut effect)?;
        }
        if !opening.is_zero() {
            next.open(side, fill.price, opening, terms, &mut effect)?;
        }
        next.fees = next.fees.plus(fill.fee)?;
        *self = next;
        Ok(effect)
    }

    fn close(
        &mut self,
        side: Side,
        price: Price,
        quantity: Quantity,
        terms: &SettlementTerms,
        effect: &mut FillEffect,
    ) -> Result<(), Overflow> {
        let (basis, margin) = self.average_share(side, quantity)?;
        let exit = price.times(quantity, against_account(side))?;
        let pnl = match side {
            Side::Sell => exit.minus(basis)?,
            Side::Buy => basis.minus(exit)?,
        };
        effect.realized_pnl = pnl;
        match terms.style {
            SettlementStyle::Prediction if side == Side::Buy => {
                effect.proceeds = price.opposite()?.times(quantity, Rounding::Down)?;
            }
            SettlementStyle::Prediction | SettlementStyle::Spot => effect.proceeds = exit,
            SettlementStyle::Margined => effect.margin_released = margin,
        }
        self.entry_notional = self.entry_notional.minus(basis)?;
        self.margin = self.margin.minus(margin)?;
        self.realized_pnl = self.realized_pnl.plus(pnl)?;
        self.shift(side, quantity)
    }

    /// Entry notional and margin of the part that a fill of `side` closes.
    fn average_share(&self, side: Side, quantity: Quantity) -> Result<(Money, Money), Overflow> {
        let held = self.quantity.magnitude()?;
        if held == quantity {
            return Ok((self.entry_notional, self.margin));
        }
        let share_of = |total: Money, rounding| total.scaled(quantity.micros(), held.micros(), rounding);
        Ok((share_of(self.entry_notional, basis_rounding(side))?, share_of(self.margin, Rounding::Down)?))
    }

    fn open(
        &mut self,
        side: Side,
        price: Price,
        quantity: Quantity,
        terms: &SettlementTerms,
        effect: &mut FillEffect,
    ) -> Result<(), Overflow> {
        let notional = price.times(quantity, against_account(side))?;
        match terms.style {
            SettlementStyle::Prediction if side == Side::Sell => {
                effect.cost = price.opposite()?.times(quantity, Rounding::Up)?;
            }
            SettlementStyle::Prediction | SettlementStyle::Spot => effect.cost = notional,
            SettlementStyle::Margined => {
                effect.margin_held = notional.ppm(terms.initial_margin_ppm, Rounding::Up)?;
                self.margin = self.margin.plus(effect.margin_held)?;
            }
        }
        self.entry_notional = self.entry_notional.plus(notional)?;
        self.shift(side, quantity)
    }

    fn shift(&mut self, side: Side, quantity: Quantity) -> Result<(), Overflow> {
        self.quantity = match side {
            Side::Buy => self.quantity.plus(quantity)?,
            Side::Sell => self.quantity.minus(quantity)?,
        };
        Ok(())
    }
}

/// What is bought rounds up, what is sold rounds down.
const fn against_account(side: Side) -> Rounding {
    match side {
        Side::Buy => Rounding::Up,
        Side::Sell => Rounding::Down,
    }
}

/// Rounded against the account that closes: a long's cost basis up, a short's down.
const fn basis_rounding(closing: Side) -> Rounding {
    match closing {
        Side::Sell => Rounding::Up,
        Side::Buy => Rounding::Down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{Currency, ExecutionId},
        time::Timestamp,
    };

    fn terms(style: SettlementStyle) -> SettlementTerms {
        let currency = Currency::new("USD").expect("a currency");
        SettlementTerms { style, currency, initial_margin_ppm: 100_000 }
    }

    /// Plays `side price quantity fee` lines and compares `quantity average realized cash`.
    fn check(style: SettlementStyle, fills: &[(Side, &str, &str, &str)], expected: (&str, &str, &str, &str)) {
        let mut position = Position::default();
        let mut cash = Money::ZERO;
        for (side, price, quantity, fee) in fills {
            let fill = Fill {
                id: ExecutionId::new("x").expect("an id"),
                price: price.parse().expect("a price"),
                quantity: quantity.parse().expect("a quantity"),
                fee: fee.parse().expect("a fee"),
                executed_at: Timestamp::default(),
            };
            let effect = position.apply(*side, &fill, &terms(style)).expect("applies");
            cash = cash.plus(effect.cash_change(style).expect("fits")).expect("fits");
        }
        let average = position.average_price().unwrap_or_default();
        let actual = (
            position.quantity.to_string(),
            average.to_string(),
            position.realized_pnl.to_string(),
            cash.plus(position.margin).expect("fits").to_string(),
        );
        let (quantity, price, realized, cash) = expected;
        assert_eq!(actual, (quantity.into(), price.into(), realized.into(), cash.into()));
    }

    #[test]
    fn a_prediction_is_paid_in_full_and_sold_at_a_profit() {
        let fills = [
            (Side::Buy, "0.55", "100", "0.7425"),
            (Side::Buy, "0.61", "50", "0.35685"),
            (Side::Sell, "0.70", "120", "0.756"),
        ];
        check(SettlementStyle::Prediction, &fills, ("30", "0.57", "15.6", "-3.35535"));
    }

    #[test]
    fn a_short_prediction_costs_the_opposite_outcome() {
        check(SettlementStyle::Prediction, &[(Side::Sell, "0.3", "10", "0")], ("-10", "0.3", "0", "-7"));
        let round_trip = [(Side::Sell, "0.3", "10", "0"), (Side::Buy, "0.2", "10", "0")];
        check(SettlementStyle::Prediction, &round_trip, ("0", "0", "1", "1"));
        let flip = [(Side::Sell, "0.3", "10", "0"), (Side::Buy, "0.2", "15", "0")];
        check(SettlementStyle::Prediction, &flip, ("5", "0.2", "1", "0"));
    }

    #[test]
    fn a_margined_flip_closes_then_opens() {
        let fills = [(Side::Buy, "10", "3", "0"), (Side::Sell, "12", "5", "0")];
        check(SettlementStyle::Margined, &fills, ("-2", "12", "6", "6"));
        let reopened =
            [(Side::Sell, "50", "10", "0.1"), (Side::Buy, "48", "10", "0.1"), (Side::Buy, "49", "5", "0.05")];
        check(SettlementStyle::Margined, &reopened, ("5", "49", "20", "19.75"));
    }

    #[test]
    fn spot_sells_only_what_is_held() {
        let mut position = Position::default();
        let fill = Fill {
            id: ExecutionId::new("x").expect("an id"),
            price: Price::from_micros(ONE),
            quantity: Quantity::from_micros(ONE),
            fee: Money::ZERO,
            executed_at: Timestamp::default(),
        };
        let refused = position.apply(Side::Sell, &fill, &terms(SettlementStyle::Spot));
        assert_eq!(refused, Err(PositionError::SpotShort { held: Quantity::ZERO, requested: fill.quantity }));
        assert_eq!(position, Position::default());
    }
}
