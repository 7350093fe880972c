//! What venues charge, to their own rounding: takers by contract, exchanges by net winnings.
//!
//! The edge of one contract uses [`super::kelly::fee_per_share`]; this is the exact total of a fill, for comparisons
//! with a venue's statement and for sets of orders whose profit is smaller than the rounding of a fee.

use crate::money::{Money, ONE, Overflow, Price, Quantity, Rounding};

/// How a prediction venue charges takers: `rate x contracts x price x (1 - price)`, then its own rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueFee {
    /// The rate, parts per million. It is a property of the market: read it from the venue.
    pub rate_ppm: i64,
    /// The venue charges multiples of this.
    pub grid: Money,
    /// Which multiple.
    pub rounding: Rounding,
}

impl VenueFee {
    /// Polymarket (2026): down to 0.00001; makers pay nothing.
    #[must_use]
    pub const fn polymarket(rate_ppm: i64) -> Self {
        Self { rate_ppm, grid: Money::from_micros(10), rounding: Rounding::Down }
    }

    /// Kalshi (2026): up to 0.0001 for each fill; its balances are then rounded to the cent with a rebate.
    #[must_use]
    pub const fn kalshi(rate_ppm: i64) -> Self {
        Self { rate_ppm, grid: Money::from_micros(100), rounding: Rounding::Up }
    }

    /// The fee of taking `contracts` at `price`.
    ///
    /// Example: 100 contracts at 0.21 cost 1.1613 at Kalshi's 7 %.
    ///
    /// # Errors
    /// [`Overflow`], also when the price is not between 0 and 1, or the grid or rate makes no sense.
    ///
    /// ```
    /// use tragen_domain::agents::venue_fee::VenueFee;
    /// let fee = VenueFee::kalshi(70_000).taker("0.21".parse().unwrap(), "100".parse().unwrap());
    /// assert_eq!(fee.unwrap().to_string(), "1.1613");
    /// ```
    pub fn taker(&self, price: Price, contracts: Quantity) -> Result<Money, Overflow> {
        let [rate, grid, price, contracts] =
            [self.rate_ppm, self.grid.micros(), price.micros(), contracts.micros()].map(i128::from);
        let one = i128::from(ONE);
        if rate < 0 || grid <= 0 || !(0..=one).contains(&price) || contracts < 0 {
            return Err(Overflow);
        }
        // In 1e-24 of the currency: four factors of 1e-6.
        let spread = price * (one - price);
        let raw = rate.checked_mul(contracts).and_then(|product| product.checked_mul(spread)).ok_or(Overflow)?;
        let unit = grid * one * one * one;
        let units = match self.rounding {
            Rounding::Down => raw / unit,
            Rounding::Up => raw / unit + i128::from(raw % unit != 0),
        };
        i64::try_from(units * grid).map(Money::from_micros).map_err(|_| Overflow)
    }
}

/// What a betting exchange keeps of the winnings of one market: a share of the net, nothing of a loss.
///
/// # Errors
/// [`Overflow`].
pub fn commission(net_winnings: Money, rate_ppm: i64) -> Result<Money, Overflow> {
    net_winnings.max(Money::ZERO).ppm(rate_ppm, Rounding::Up)
}

/// A bet and the lay against it that has the same result either way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackLay {
    /// What to lay, in units of the stake.
    pub lay_stake: f64,
    /// Profit, the same whichever side wins, in units of the stake; negative for a loss.
    pub profit: f64,
}

/// Why a lay cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{name} is {value}, out of range")]
pub struct BackLayError {
    /// Name of the argument.
    pub name: &'static str,
    /// The value as given.
    pub value: f64,
}

/// The stake of a lay at `lay_odds` that makes a back of `stake` at `back_odds` safe, when the exchange keeps
/// `commission` of the winnings of the lay: `stake x back_odds / (lay_odds - commission)`.
///
/// Example: 100 at 2.6 against a lay at 2.5 with 5 %: lay 106.12, and 0.82 is won either way.
///
/// # Errors
/// [`BackLayError`] for odds not above 1, a commission outside 0..1 or a stake that is not above 0.
pub fn back_lay(stake: f64, back_odds: f64, lay_odds: f64, commission: f64) -> Result<BackLay, BackLayError> {
    let above = |name: &'static str, value: f64, least: f64| {
        if value.is_finite() && value > least { Ok(()) } else { Err(BackLayError { name, value }) }
    };
    above("stake", stake, 0.0)?;
    above("back_odds", back_odds, 1.0)?;
    above("lay_odds", lay_odds, 1.0)?;
    if !(0.0..1.0).contains(&commission) {
        return Err(BackLayError { name: "commission", value: commission });
    }
    let lay_stake = stake * back_odds / (lay_odds - commission);
    Ok(BackLay { lay_stake, profit: stake * (back_odds - 1.0) - lay_stake * (lay_odds - 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_are_rounded_as_the_venue_does() {
        let check = |fee: VenueFee, price: &str, contracts: &str, expected: &str| {
            let got = fee.taker(price.parse().expect("a price"), contracts.parse().expect("a quantity"));
            assert_eq!(got.map(|fee| fee.to_string()), Ok(expected.to_owned()), "{contracts} at {price}");
        };
        check(VenueFee::polymarket(30_000), "0.55", "100", "0.7425");
        check(VenueFee::polymarket(30_000), "0.001", "1", "0.00002");
        check(VenueFee::kalshi(70_000), "0.21", "100", "1.1613");
        check(VenueFee::kalshi(70_000), "0.33", "1", "0.0155");
        check(VenueFee::kalshi(70_000), "0.5", "1", "0.0175");
        let whole_cents = VenueFee { grid: Money::from_micros(10_000), ..VenueFee::kalshi(70_000) };
        check(whole_cents, "0.5", "1", "0.02");
        check(whole_cents, "1", "50", "0");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let fee = VenueFee::kalshi(70_000);
        let quantity = |text: &str| text.parse::<Quantity>().expect("a quantity");
        assert_eq!(fee.taker(Price::from_micros(ONE + 1), quantity("1")), Err(Overflow));
        assert_eq!(fee.taker(Price::from_micros(-1), quantity("1")), Err(Overflow));
        assert_eq!(fee.taker(Price::from_micros(1), quantity("-1")), Err(Overflow));
        assert_eq!(VenueFee { grid: Money::ZERO, ..fee }.taker(Price::from_micros(1), quantity("1")), Err(Overflow));
        let endless = VenueFee { rate_ppm: i64::MAX, ..fee };
        assert_eq!(endless.taker(Price::from_micros(500_000), Quantity::from_micros(i64::MAX)), Err(Overflow));
    }

    #[test]
    fn commission_is_on_net_winnings_only() {
        let money = |text: &str| text.parse::<Money>().expect("money");
        assert_eq!(commission(money("150"), 50_000), Ok(money("7.5")));
        assert_eq!(commission(money("-150"), 50_000), Ok(Money::ZERO));
    }

    #[test]
    fn lay_makes_both_results_equal() {
        let safe = back_lay(100.0, 2.6, 2.5, 0.05).expect("valid");
        assert!((safe.lay_stake - 106.122_448_979_591_84).abs() < 1e-9 && (safe.profit - 0.816_326_530_6).abs() < 1e-9);
        let if_lay_wins = safe.lay_stake * 0.95 - 100.0;
        assert!((safe.profit - if_lay_wins).abs() < 1e-9);
        for (stake, back, lay, share) in
            [(0.0, 2.0, 2.0, 0.0), (1.0, 1.0, 2.0, 0.0), (1.0, 2.0, 1.0, 0.0), (1.0, 2.0, 2.0, 1.0)]
        {
            assert!(back_lay(stake, back, lay, share).is_err(), "{stake} {back} {lay} {share}");
        }
    }
}
