//! What an account is worth at the newest prices. For the eye only: no decision
//! uses it.

use tragen_contracts::v1::{self, SettlementStyle};
use tragen_domain::money::{Money, Overflow, Price, Quantity, Rounding};

/// A position with the newest quote of its instrument.
#[derive(Debug, Clone)]
pub(crate) struct Marked {
    pub(crate) position: v1::Position,
    pub(crate) style: SettlementStyle,
    /// Half way between bid and ask, or the side there is; the entry price without a quote.
    pub(crate) mark: Price,
}

/// Half way between bid and ask, or the side there is; `None` without a price.
pub(crate) fn mark(quote: &v1::Quote) -> Option<Price> {
    match (quote.bid_price_micros, quote.ask_price_micros) {
        (0, 0) => None,
        (0, price) | (price, 0) => Some(Price::from_micros(price)),
        (bid, ask) => Some(Price::from_micros(bid + (ask - bid) / 2)),
    }
}

/// Cash, margin, and what the positions would bring at their marks.
///
/// # Errors
/// [`Overflow`].
pub(crate) fn equity(account: &v1::Account, positions: &[Marked]) -> Result<Money, Overflow> {
    let cash = Money::from_micros(account.cash_micros).plus(Money::from_micros(account.margin_micros))?;
    positions.iter().try_fold(cash, |sum, marked| sum.plus(worth(marked)?))
}

fn worth(marked: &Marked) -> Result<Money, Overflow> {
    let quantity = Quantity::from_micros(marked.position.quantity_micros);
    let entry = Price::from_micros(marked.position.average_price_micros);
    match marked.style {
        SettlementStyle::Margined => {
            marked.mark.times(quantity, Rounding::Down)?.minus(entry.times(quantity, Rounding::Up)?)
        }
        // A negative prediction position holds the opposite outcome.
        SettlementStyle::Prediction if quantity.is_negative() => {
            marked.mark.opposite()?.times(quantity.negated()?, Rounding::Down)
        }
        SettlementStyle::Prediction | SettlementStyle::Spot | SettlementStyle::Unspecified => {
            marked.mark.times(quantity, Rounding::Down)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(style: SettlementStyle, quantity: &str, entry: &str, mark: &str, expected: &str) {
        let micros = |text: &str| text.parse::<Money>().expect("a number").micros();
        let position = v1::Position {
            quantity_micros: micros(quantity),
            average_price_micros: micros(entry),
            ..v1::Position::default()
        };
        let marked = Marked { position, style, mark: Price::from_micros(micros(mark)) };
        let account = v1::Account { cash_micros: micros("100"), margin_micros: micros("20"), ..v1::Account::default() };
        assert_eq!(equity(&account, &[marked]).map(|money| money.to_string()), Ok(expected.to_owned()));
    }

    #[test]
    fn each_style_is_marked_in_its_own_way() {
        check(SettlementStyle::Margined, "10", "1.2", "1.3", "121");
        check(SettlementStyle::Margined, "-10", "1.2", "1.3", "119");
        check(SettlementStyle::Spot, "2", "10", "11", "142");
        check(SettlementStyle::Prediction, "10", "0.4", "0.5", "125");
        check(SettlementStyle::Prediction, "-10", "0.4", "0.3", "127");
    }

    #[test]
    fn a_quote_with_one_side_is_marked_there() {
        let quote = |bid, ask| v1::Quote { bid_price_micros: bid, ask_price_micros: ask, ..v1::Quote::default() };
        assert_eq!(mark(&quote(0, 0)), None);
        assert_eq!(mark(&quote(4, 0)).map(Price::micros), Some(4));
        assert_eq!(mark(&quote(4, 8)).map(Price::micros), Some(6));
    }
}
