//! What one position is worth at a mark, what it would win or lose there, and how
//! much is exposed in it.

use crate::{
    instrument::SettlementStyle,
    money::{Money, Overflow, Price, Rounding},
    position::Position,
};

/// Money that closing the position at `mark` would bring back, fees aside, rounded
/// down: its part of equity. A margined position is its margin and its profit.
///
/// ```
/// use tragen_domain::{instrument::SettlementStyle, portfolio::position_value, position::Position};
/// // 10 short contracts hold 10 of the opposite outcome, each worth 1 - 0.4.
/// let short = Position { quantity: "-10".parse().unwrap(), entry_notional: "3".parse().unwrap(), ..Position::default() };
/// let value = position_value(&short, SettlementStyle::Prediction, "0.4".parse().unwrap()).unwrap();
/// assert_eq!(value.to_string(), "6");
/// ```
///
/// # Errors
/// [`Overflow`].
pub fn position_value(position: &Position, style: SettlementStyle, mark: Price) -> Result<Money, Overflow> {
    match style {
        SettlementStyle::Prediction if position.quantity.is_negative() => {
            mark.opposite()?.times(position.quantity.magnitude()?, Rounding::Down)
        }
        SettlementStyle::Prediction | SettlementStyle::Spot => mark.times(position.quantity, Rounding::Down),
        SettlementStyle::Margined => position.margin.plus(unrealized_pnl(position, mark)?),
    }
}

/// Profit of what is open if it were closed at `mark`, before fees, rounded down.
///
/// Example: 100 bought at 0.55 win 17 at 0.72; sold short at 0.55 they lose 17.
///
/// # Errors
/// [`Overflow`].
pub fn unrealized_pnl(position: &Position, mark: Price) -> Result<Money, Overflow> {
    // The quantity is signed, and so is the product.
    let worth = mark.times(position.quantity, Rounding::Down)?;
    if position.quantity.is_negative() {
        position.entry_notional.plus(worth)
    } else {
        worth.minus(position.entry_notional)
    }
}

/// Money exposed in the position, >= 0 whichever way it is, rounded up: what a
/// prediction cost (all of it can be lost, and a market without bids does not make
/// that less), else its worth at `mark`.
///
/// # Errors
/// [`Overflow`].
pub fn exposure(position: &Position, style: SettlementStyle, mark: Price) -> Result<Money, Overflow> {
    let held = position.quantity.magnitude()?;
    match style {
        SettlementStyle::Prediction if position.quantity.is_negative() => {
            // One minus the entry price of each contract.
            Money::from_micros(held.micros()).minus(position.entry_notional)
        }
        SettlementStyle::Prediction => Ok(position.entry_notional),
        SettlementStyle::Spot | SettlementStyle::Margined => mark.times(held, Rounding::Up),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SettlementStyle::{Margined, Prediction, Spot};

    /// `[quantity, entry notional, margin]` at `mark` gives `[value, unrealized, exposure]`.
    fn check(style: SettlementStyle, [quantity, entry, margin]: [&str; 3], mark: &str, expected: [&str; 3]) {
        let position = Position {
            quantity: quantity.parse().expect("a quantity"),
            entry_notional: entry.parse().expect("an amount"),
            margin: margin.parse().expect("an amount"),
            ..Position::default()
        };
        let mark = mark.parse().expect("a price");
        let got =
            [position_value(&position, style, mark), unrealized_pnl(&position, mark), exposure(&position, style, mark)];
        assert_eq!(got.map(|money| money.expect("fits").to_string()), expected.map(str::to_owned), "{style:?}");
    }

    #[test]
    fn positions_are_worth_what_closing_them_brings() {
        check(Prediction, ["100", "55", "0"], "0.72", ["72", "17", "55"]);
        check(Prediction, ["-100", "55", "0"], "0.72", ["28", "-17", "45"]);
        check(Prediction, ["100", "55", "0"], "0", ["0", "-55", "55"]);
        check(Prediction, ["-100", "55", "0"], "1", ["0", "-45", "45"]);
        check(Spot, ["3", "30", "0"], "12", ["36", "6", "36"]);
        check(Margined, ["3", "30", "3"], "12", ["9", "6", "36"]);
        check(Margined, ["-3", "30", "3"], "12", ["-3", "-6", "36"]);
        check(Margined, ["0", "0", "0"], "12", ["0", "0", "0"]);
    }

    #[test]
    fn fractions_of_a_micro_go_against_the_account() {
        check(Spot, ["0.000001", "0.000001", "0"], "1.5", ["0.000001", "0", "0.000002"]);
        check(Margined, ["-0.000001", "0.000001", "0"], "1.5", ["-0.000001", "-0.000001", "0.000002"]);
    }
}
