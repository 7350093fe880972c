//! What a bar strategy says at the close of each bar, and the model trades behind it.

/// Which way a position profits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Profits when the price rises.
    Long,
    /// Profits when the price falls.
    Short,
}

impl Direction {
    /// +1 for long, -1 for short.
    #[must_use]
    pub fn sign(self) -> f64 {
        match self {
            Self::Long => 1.0,
            Self::Short => -1.0,
        }
    }

    /// `long` for a long direction, `short` for a short one.
    pub(crate) fn pick<T>(self, long: T, short: T) -> T {
        match self {
            Self::Long => long,
            Self::Short => short,
        }
    }
}

/// Why the target changed, or why a trade ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The rule's entry condition holds: open at the next bar.
    Entry,
    /// The rule's exit condition holds: close at the next bar.
    ExitSignal,
    /// The bar touched the protective stop.
    Stop,
    /// The position was held as long as the rule allows: close at the next bar.
    TimeExit,
    /// The direction stays, but the exposure moved enough to be worth an order.
    Resize,
}

/// From which price the distance of the protective stop is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopFrom {
    /// From the entry price paid: the spread is part of the distance.
    Fill,
    /// From the middle price at the entry: the spread comes on top of the distance.
    Mid,
}

/// Where the protective stop lies: `atr_multiple` times the average true range of the bar before the entry.
///
/// A stop of a long position is triggered by the bid's low and of a short position by the ask's high, and fills at the
/// stop or, after a jump, at the worse open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopRule {
    /// Distance in average true ranges, above 0.
    pub atr_multiple: f64,
    /// Where the distance starts.
    pub measured_from: StopFrom,
}

/// The model position of a strategy, in price units, for one unit of quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Long or short.
    pub direction: Direction,
    /// Ask (long) or bid (short) at the open of the entry bar.
    pub entry_price: f64,
    /// Price on the exit side that ends the position; None for a rule that has no protective stop.
    pub stop_price: Option<f64>,
    /// Bars closed since the entry bar; 0 on the entry bar itself.
    pub bars_held: u32,
}

/// A finished model trade, in price units for one unit of quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosedTrade {
    /// Long or short.
    pub direction: Direction,
    /// Price paid (long) or received (short) at the entry.
    pub entry_price: f64,
    /// Price received (long) or paid (short) at the exit.
    pub exit_price: f64,
    /// What ended it: [`Reason::ExitSignal`], [`Reason::TimeExit`] or [`Reason::Stop`].
    pub reason: Reason,
    /// Bars from the entry bar to the exit bar.
    pub bars_held: u32,
}

impl ClosedTrade {
    /// Profit per unit of quantity, after the spread; negative for a loss.
    #[must_use]
    pub fn pnl(&self) -> f64 {
        (self.exit_price - self.entry_price) * self.direction.sign()
    }
}

/// What a strategy says at the close of a bar: be this on the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// The position to hold from now on; None is flat.
    pub target: Option<Direction>,
    /// Why the target changed on this bar; None when it did not.
    pub reason: Option<Reason>,
    /// Where a market order would trade now: the close on the side that would be paid when a position is to be opened
    /// or closed, else the middle close.
    pub reference_price: f64,
    /// The protective stop of the target position; None when flat, or for a rule without one (see `exposure`). With [`Reason::Entry`] it is an estimate from this
    /// close (good for sizing), and moves with the price at which the next bar opens.
    pub stop_price: Option<f64>,
    /// How many times the capital to hold, for rules that size by volatility instead of by a stop; None when flat.
    pub exposure: Option<f64>,
    /// How sure the rule was of the target when it chose it, parts per million: [`CONFIDENCE_LEAST_PPM`] where its
    /// condition just holds, 1,000,000 where it holds as clearly as it counts; None when flat.
    pub confidence_ppm: Option<u32>,
    /// The model trade that ended during this bar: at its open (exit decided on the bar before) or at the stop.
    ///
    /// With [`Reason::Entry`] beside it the position ended and a new one starts, even if the direction is the same.
    pub closed: Option<ClosedTrade>,
}

impl Signal {
    /// The target as a number: -1 short, 0 flat, +1 long.
    #[must_use]
    pub fn direction(&self) -> i8 {
        match self.target {
            Some(Direction::Long) => 1,
            Some(Direction::Short) => -1,
            None => 0,
        }
    }

    /// Whether this bar asks for something to be done.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.reason.is_some()
    }
}

/// The confidence of a bar rule whose condition just holds: the boldest personality follows all that its rule says.
pub const CONFIDENCE_LEAST_PPM: u32 = 500_000;

/// A confidence of 0 to 1 in parts per million, down; what is no number is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floored and clamped to a million first")]
pub(crate) fn confidence_ppm(confidence: f64) -> u32 {
    (confidence * 1e6 + 1e-6).clamp(0.0, 1e6).floor() as u32
}

/// Why a rule set refuses its parameters.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the parameter {name} is {value}, but must be a finite number above 0")]
pub struct ParameterError {
    /// Name of the field.
    pub name: &'static str,
    /// The value as given.
    pub value: f64,
}

impl ParameterError {
    /// Passes a finite number above 0, names any other.
    pub(crate) fn check(name: &'static str, value: f64) -> Result<(), Self> {
        if value.is_finite() && value > 0.0 { Ok(()) } else { Err(Self { name, value }) }
    }
}

impl Position {
    /// Ends the position; `bars_held` counts up to the bar of the exit.
    pub(crate) fn close(self, exit_price: f64, reason: Reason, bars_held: u32) -> ClosedTrade {
        ClosedTrade { direction: self.direction, entry_price: self.entry_price, exit_price, reason, bars_held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profit_follows_the_direction() {
        let check = |direction: Direction, expected: f64| {
            let position = Position { direction, entry_price: 1.25, stop_price: Some(1.0), bars_held: 0 };
            let trade = position.close(1.5, Reason::ExitSignal, 3);
            assert!((trade.pnl() - expected).abs() < 1e-12);
        };
        check(Direction::Long, 0.25);
        check(Direction::Short, -0.25);
    }

    #[test]
    fn parameters_are_finite_and_positive() {
        assert_eq!(ParameterError::check("entry_z", 2.0), Ok(()));
        for value in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(ParameterError::check("entry_z", value), Err(ParameterError { name: "entry_z", value }));
        }
        assert!(ParameterError::check("entry_z", f64::NAN).is_err());
    }
}
