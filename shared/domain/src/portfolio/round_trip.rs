//! When a trade is closed, and what it won: from flat to flat, or through zero.

use crate::{
    money::{Money, Overflow, Quantity, Rounding},
    position::FillEffect,
};

/// The open round trip of one position: O(1) per fill, and all that is kept of it.
///
/// A trade is closed when its position is flat again or changes sides; parts that
/// are closed before then wait for the rest. Its profit is after fees; the fee of a
/// fill that changes sides is shared by quantity.
///
/// ```
/// use tragen_domain::{money::*, portfolio::RoundTrip, position::FillEffect};
/// let quantity = |text: &str| text.parse::<Quantity>().unwrap();
/// let effect = |pnl: &str, fee: &str| FillEffect {
///     realized_pnl: pnl.parse().unwrap(), fee: fee.parse().unwrap(), ..FillEffect::default()
/// };
/// let mut trip = RoundTrip::default();
/// assert_eq!(trip.fill(quantity("0"), quantity("3"), &effect("0", "0.3")).unwrap(), None);
/// // Sells 5: closes 3 with a profit of 6, opens a short of 2.
/// let closed = trip.fill(quantity("3"), quantity("-2"), &effect("6", "0.5")).unwrap();
/// assert_eq!(closed.unwrap().to_string(), "5.4"); // 6 - 0.3 - 3/5 of 0.5
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RoundTrip {
    net: Money,
}

impl RoundTrip {
    /// One that has won `net` so far, fees of what is open included: as it was kept.
    #[must_use]
    pub const fn of(net: Money) -> Self {
        Self { net }
    }

    /// What it has won so far, fees of what is open included.
    #[must_use]
    pub const fn net(&self) -> Money {
        self.net
    }

    /// A fill (or the end of the market) took the position from `before` to `after`.
    /// The net profit of the trade that it closed, if it closed one.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn fill(&mut self, before: Quantity, after: Quantity, effect: &FillEffect) -> Result<Option<Money>, Overflow> {
        let is_through_zero = !after.is_zero() && before.is_negative() != after.is_negative();
        let net = self.net.plus(effect.realized_pnl)?;
        if before.is_zero() || !(after.is_zero() || is_through_zero) {
            self.net = net.minus(effect.fee)?;
            return Ok(None);
        }
        let filled = before.minus(after)?.magnitude()?;
        let fee = effect.fee.scaled(before.magnitude()?.micros(), filled.micros(), Rounding::Up)?;
        let closed = net.minus(fee)?;
        self.net = fee.minus(effect.fee)?;
        Ok(Some(closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills `[after, realized, fee]` from flat close trades with these profits.
    fn check(fills: &[[i64; 3]], expected: &[Option<i64>]) {
        let (mut trip, mut before) = (RoundTrip::default(), Quantity::ZERO);
        let closed: Vec<Option<i64>> = fills
            .iter()
            .map(|[after, realized, fee]| {
                let after = Quantity::from_micros(*after);
                let effect = FillEffect {
                    realized_pnl: Money::from_micros(*realized),
                    fee: Money::from_micros(*fee),
                    ..FillEffect::default()
                };
                let closed = trip.fill(before, after, &effect).expect("fits");
                before = after;
                closed.map(Money::micros)
            })
            .collect();
        assert_eq!(closed, expected, "{fills:?}");
        let (all, kept): (i64, i64) = (fills.iter().map(|[_, realized, fee]| realized - fee).sum(), trip.net.micros());
        assert_eq!(all, closed.iter().flatten().sum::<i64>() + kept, "nothing is lost between trades");
    }

    #[test]
    fn trades_close_when_flat_or_through_zero() {
        check(&[[10, 0, 3], [20, 0, 3], [5, 40, 2], [0, -8, 1]], &[None, None, None, Some(23)]);
        check(&[[-10, 0, 1], [0, 20, 1], [5, 0, 1]], &[None, Some(18), None]);
        // 10 of 30 close: a third of the fee, rounded up.
        check(&[[10, 0, 1], [-20, 7, 10], [0, 5, 2]], &[None, Some(2), Some(-3)]);
        check(&[[-10, 0, 0], [20, -4, 3], [0, 0, 0]], &[None, Some(-5), Some(-2)]);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut trip = RoundTrip::default();
        let effect = |realized: i64| FillEffect { realized_pnl: Money::from_micros(realized), ..FillEffect::default() };
        trip.fill(Quantity::from_micros(5), Quantity::from_micros(3), &effect(i64::MAX)).expect("fits");
        let before = trip;
        assert_eq!(trip.fill(Quantity::from_micros(3), Quantity::ZERO, &effect(1)), Err(Overflow));
        assert_eq!(trip, before);
    }
}
