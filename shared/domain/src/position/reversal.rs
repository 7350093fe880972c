//! Taking a fill back that should not have been: the venue busted it.

use super::{FillEffect, Position, PositionError, against_account, basis_rounding};
use crate::{
    execution::Fill,
    instrument::{SettlementStyle, SettlementTerms},
    money::{Money, Overflow, Price, Quantity, Rounding},
    order::Side,
};

/// What was closed is opened again at the average price of what is left while it
/// is at most this many times as much: below, rounding stays under a tenth of a cent.
const QUANTITY_RATIO_MAX: i64 = 1_000;

impl Position {
    /// Takes a fill of `side` back: what it opened is closed and what it closed
    /// is opened again, both at its price, and its fee is given back
    /// ([`FillEffect::fee`] is received).
    ///
    /// What it opened leaves with what it had cost, so right after the fill the
    /// position is what it was before. What it closed comes back at the average
    /// price of what is left; a position that was closed whole has forgotten its
    /// price and is opened again at the price of the fill. Either way what the
    /// account is worth in all is what it was worth without the fill.
    ///
    /// ```
    /// use tragen_domain::{position::Position, order::Side, money::Money};
    /// # use tragen_domain::{execution::Fill, id::*, instrument::*, time::Timestamp};
    /// # let terms = SettlementTerms { style: SettlementStyle::Prediction, currency: Currency::new("USD").unwrap(), initial_margin_ppm: 0 };
    /// # let fill = |price: &str, quantity: &str| Fill { id: ExecutionId::new("e").unwrap(), price: price.parse().unwrap(),
    /// #     quantity: quantity.parse().unwrap(), fee: "0.1".parse().unwrap(), executed_at: Timestamp::default() };
    /// let mut position = Position::default();
    /// position.apply(Side::Buy, &fill("0.4", "10"), &terms).unwrap();
    /// let before = position;
    /// position.apply(Side::Buy, &fill("0.9", "10"), &terms).unwrap();
    /// let effect = position.take_back(Side::Buy, &fill("0.9", "10"), &terms).unwrap();
    /// assert_eq!(effect.proceeds.to_string(), "9");
    /// assert_eq!(position, before);
    /// ```
    ///
    /// # Errors
    /// [`PositionError`], e.g. when spot that the fill bought is no longer held;
    /// the position is unchanged then.
    pub fn take_back(&mut self, side: Side, fill: &Fill, terms: &SettlementTerms) -> Result<FillEffect, PositionError> {
        let held = self.quantity.magnitude()?;
        let is_still_open = match side {
            Side::Buy => self.quantity.micros() > 0,
            Side::Sell => self.quantity.is_negative(),
        };
        let closing = if is_still_open { held.min(fill.quantity) } else { Quantity::ZERO };
        let opening = fill.quantity.minus(closing)?;
        if terms.style == SettlementStyle::Spot && side == Side::Buy && !opening.is_zero() {
            return Err(PositionError::SpotShort { held, requested: fill.quantity });
        }

        let mut next = *self;
        let mut effect = FillEffect { fee: fill.fee, ..FillEffect::default() };
        if !closing.is_zero() {
            next.close_opened(side, fill.price, closing, terms, &mut effect)?;
        }
        if !opening.is_zero() {
            next.open_closed(side, fill.price, opening, terms, &mut effect)?;
        }
        next.fees = next.fees.minus(fill.fee)?;
        *self = next;
        Ok(effect)
    }

    /// Closes what a fill of `side` has opened, rounded as when it was opened.
    fn close_opened(
        &mut self,
        side: Side,
        price: Price,
        quantity: Quantity,
        terms: &SettlementTerms,
        effect: &mut FillEffect,
    ) -> Result<(), Overflow> {
        let opened = price.times(quantity, against_account(side))?;
        let margin = match terms.style {
            SettlementStyle::Prediction | SettlementStyle::Spot => Money::ZERO,
            SettlementStyle::Margined => opened.ppm(terms.initial_margin_ppm, Rounding::Up)?,
        };
        // Other fills may have closed at an average that this one had moved.
        let (basis, margin) = if self.is_spared(opened, margin, quantity, terms.style)? {
            (opened, margin)
        } else {
            self.average_share(opposite(side), quantity)?
        };
        let pnl = match side {
            Side::Buy => opened.minus(basis)?,
            Side::Sell => basis.minus(opened)?,
        };
        match terms.style {
            SettlementStyle::Prediction if side == Side::Sell => {
                effect.proceeds = price.opposite()?.times(quantity, Rounding::Up)?;
            }
            SettlementStyle::Prediction | SettlementStyle::Spot => effect.proceeds = opened,
            SettlementStyle::Margined => effect.margin_released = margin,
        }
        effect.realized_pnl = effect.realized_pnl.plus(pnl)?;
        self.entry_notional = self.entry_notional.minus(basis)?;
        self.margin = self.margin.minus(margin)?;
        self.realized_pnl = self.realized_pnl.plus(pnl)?;
        self.shift(opposite(side), quantity)
    }

    /// Whether something is left that could have been opened so, when `quantity` goes with `basis` and `margin`.
    fn is_spared(
        &self,
        basis: Money,
        margin: Money,
        quantity: Quantity,
        style: SettlementStyle,
    ) -> Result<bool, Overflow> {
        let left = self.quantity.magnitude()?.minus(quantity)?;
        let (notional_left, margin_left) = (self.entry_notional.minus(basis)?, self.margin.minus(margin)?);
        // A prediction contract costs at most one.
        let is_price = style != SettlementStyle::Prediction || notional_left.micros() <= left.micros();
        Ok(!left.is_zero() && is_price && !notional_left.is_negative() && !margin_left.is_negative())
    }

    /// Opens again what a fill of `side` has closed, rounded as when it was closed.
    fn open_closed(
        &mut self,
        side: Side,
        price: Price,
        quantity: Quantity,
        terms: &SettlementTerms,
        effect: &mut FillEffect,
    ) -> Result<(), Overflow> {
        let exit = price.times(quantity, against_account(side))?;
        let held = self.quantity.magnitude()?;
        let has_average = quantity.micros() / QUANTITY_RATIO_MAX < held.micros();
        let basis = if has_average {
            self.entry_notional.scaled(quantity.micros(), held.micros(), basis_rounding(side))?
        } else {
            exit
        };
        let pnl = match side {
            Side::Sell => exit.minus(basis)?,
            Side::Buy => basis.minus(exit)?,
        };
        match terms.style {
            SettlementStyle::Prediction if side == Side::Buy => {
                effect.cost = price.opposite()?.times(quantity, Rounding::Down)?;
            }
            SettlementStyle::Prediction | SettlementStyle::Spot => effect.cost = exit,
            SettlementStyle::Margined => {
                effect.margin_held = basis.ppm(terms.initial_margin_ppm, Rounding::Up)?;
                self.margin = self.margin.plus(effect.margin_held)?;
            }
        }
        effect.realized_pnl = effect.realized_pnl.minus(pnl)?;
        self.entry_notional = self.entry_notional.plus(basis)?;
        self.realized_pnl = self.realized_pnl.minus(pnl)?;
        self.shift(opposite(side), quantity)
    }
}

const fn opposite(side: Side) -> Side {
    match side {
        Side::Buy => Side::Sell,
        Side::Sell => Side::Buy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{Currency, ExecutionId},
        time::Timestamp,
    };

    type Order<'a> = (Side, &'a str, &'a str);

    fn terms(style: SettlementStyle) -> SettlementTerms {
        let currency = Currency::new("USD").expect("a currency");
        SettlementTerms { style, currency, initial_margin_ppm: 100_000 }
    }

    fn fill((_, price, quantity): Order<'_>) -> Fill {
        Fill {
            id: ExecutionId::new("x").expect("an id"),
            price: price.parse().expect("a price"),
            quantity: quantity.parse().expect("a quantity"),
            fee: Money::from_micros(1),
            executed_at: Timestamp::default(),
        }
    }

    fn played(style: SettlementStyle, fills: &[Order<'_>]) -> Position {
        let mut position = Position::default();
        for order in fills {
            position.apply(order.0, &fill(*order), &terms(style)).expect("applies");
        }
        position
    }

    /// What is left after `fills` and `then`, when `busted` between them is taken back:
    /// `quantity`, `entry_notional`, `margin` and `realized_pnl`.
    fn check(
        style: SettlementStyle,
        (fills, busted, then): (&[Order<'_>], Order<'_>, &[Order<'_>]),
        expected: [&str; 4],
    ) {
        let mut position = played(style, &[fills, &[busted], then].concat());
        position.take_back(busted.0, &fill(busted), &terms(style)).expect("can be taken back");
        let actual = [
            position.quantity.to_string(),
            position.entry_notional.to_string(),
            position.margin.to_string(),
            position.realized_pnl.to_string(),
        ];
        assert_eq!(actual, expected.map(str::to_owned), "{style:?} {fills:?} without {busted:?}");
        let fees = Money::from_micros(i64::try_from(fills.len() + then.len()).expect("few"));
        assert_eq!(position.fees, fees);
    }

    #[test]
    fn a_position_is_what_it_was_before_the_fill() {
        use SettlementStyle::{Margined, Prediction, Spot};
        let (long, short) = (&[(Side::Buy, "0.4", "10")], &[(Side::Sell, "0.3", "10")]);
        // A third of what these have cost is no whole micro.
        let odd_long = &[(Side::Buy, "0.333335", "1"), (Side::Buy, "0.333333", "2")];
        let odd_short = &[(Side::Sell, "0.333334", "1"), (Side::Sell, "0.333333", "2")];
        for (style, fills, busted) in [
            (Prediction, &[][..], (Side::Buy, "0.333333", "7.000001")),
            (Prediction, &[], (Side::Sell, "0.333333", "7.000001")),
            (Prediction, long, (Side::Buy, "0.9", "10")),
            (Prediction, long, (Side::Sell, "0.9", "5")),
            (Prediction, odd_long, (Side::Sell, "0.5", "1")),
            (Prediction, odd_short, (Side::Buy, "0.2", "1")),
            (Prediction, short, (Side::Sell, "0.333333", "7")),
            (Prediction, short, (Side::Buy, "0.2", "4")),
            (Spot, &[], (Side::Buy, "60000.000001", "0.000003")),
            (Spot, long, (Side::Buy, "90", "1000")),
            (Spot, long, (Side::Sell, "0.1", "8")),
            (Margined, &[], (Side::Sell, "1.1", "2.5")),
            (Margined, long, (Side::Buy, "1.234567", "0.1")),
            (Margined, long, (Side::Sell, "3", "5")),
            (Margined, short, (Side::Buy, "3", "5")),
        ] {
            let before = played(style, fills);
            let mut position = played(style, &[fills, &[busted]].concat());
            position.take_back(busted.0, &fill(busted), &terms(style)).expect("can be taken back");
            assert_eq!(position, before, "{style:?} {fills:?} without {busted:?}");
        }
    }

    #[test]
    fn what_was_closed_whole_is_opened_again_at_the_price_of_the_fill() {
        let long = [(Side::Buy, "0.4", "10")];
        let whole = (Side::Sell, "0.9", "10");
        check(SettlementStyle::Prediction, (&long, whole, &[]), ["10", "9", "0", "5"]);
        // Flipped: the short goes with what it cost, the long comes back.
        let flip = (Side::Sell, "12", "5");
        check(SettlementStyle::Margined, (&[(Side::Buy, "10", "3")], flip, &[]), ["3", "36", "3.6", "6"]);
        // A crumb is left: its average is too coarse for the rest.
        let crumb = (Side::Sell, "0.9", "9.99");
        check(SettlementStyle::Prediction, (&long, (Side::Sell, "0.9", "9.991"), &[]), ["10", "8.9955", "0", "4.9955"]);
        check(SettlementStyle::Prediction, (&long, crumb, &[]), ["10", "4", "0", "0"]);
    }

    #[test]
    fn what_came_after_the_fill_stays() {
        // 20 at 0.65, 10 sold at 0.7: without the second purchase 10 bought at 0.4 were sold at 0.7.
        let fills = [(Side::Buy, "0.4", "10")];
        let (busted, then) = ((Side::Buy, "0.9", "10"), [(Side::Sell, "0.7", "10")]);
        check(SettlementStyle::Prediction, (&fills, busted, &then), ["0", "0", "0", "3"]);
        // Sold since: the sale has opened a short.
        check(SettlementStyle::Prediction, (&[], busted, &then), ["-10", "9", "0", "-2"]);
        // 15 at 50 are left, less than the fill had cost: it goes at the average.
        let (busted, then) = ((Side::Buy, "90", "10"), [(Side::Sell, "50", "5")]);
        check(SettlementStyle::Margined, (&[(Side::Buy, "10", "10")], busted, &then), ["5", "250", "25", "400"]);
    }

    #[test]
    fn margin_never_goes_below_zero() {
        // 10 at 100, opened when a tenth as much margin was asked for.
        let (notional, margin) = (Money::from_micros(1_000_000_000), Money::from_micros(10_000_000));
        let held = Position {
            entry_notional: notional,
            margin,
            ..played(SettlementStyle::Margined, &[(Side::Buy, "1", "10")])
        };
        let (mut position, busted) = (held, (Side::Buy, "90", "5"));
        let effect = position.take_back(Side::Buy, &fill(busted), &terms(SettlementStyle::Margined)).expect("applies");
        assert_eq!((effect.margin_released.to_string(), effect.realized_pnl.to_string()), ("5".into(), "-50".into()));
        assert_eq!((position.margin.to_string(), position.entry_notional.to_string()), ("5".into(), "500".into()));
    }

    #[test]
    fn spot_that_was_sold_since_cannot_be_given_back() {
        let busted = (Side::Buy, "5", "3");
        let mut position = played(SettlementStyle::Spot, &[busted, (Side::Sell, "6", "2")]);
        let before = position;
        let refused = position.take_back(Side::Buy, &fill(busted), &terms(SettlementStyle::Spot));
        let (held, requested) = (Quantity::from_micros(1_000_000), Quantity::from_micros(3_000_000));
        assert_eq!(refused, Err(PositionError::SpotShort { held, requested }));
        assert_eq!(position, before);
    }
}
