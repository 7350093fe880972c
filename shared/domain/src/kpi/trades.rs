//! Closed trades, counted and added up.

use crate::{
    money::{Money, Overflow},
    portfolio::{Undefined, ratio},
};

/// Closed trades of one agent, by their net profit (after fees). O(1) per trade.
///
/// ```
/// use tragen_domain::{kpi::ClosedTrades, portfolio::Undefined};
/// let mut trades = ClosedTrades::default();
/// assert_eq!(trades.profit_factor(), Err(Undefined::NoTrades));
/// trades.record("12".parse().unwrap()).unwrap();
/// assert_eq!(trades.profit_factor(), Err(Undefined::NoLosses));
/// trades.record("-8".parse().unwrap()).unwrap();
/// trades.record("0".parse().unwrap()).unwrap(); // breaks even: neither won nor lost
/// assert_eq!((trades.profit_factor(), trades.win_rate()), (Ok(1.5), Ok(0.5)));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ClosedTrades {
    wins: u64,
    losses: u64,
    even: u64,
    won: Money,
    lost: Money,
}

/// Everything there is to store of [`ClosedTrades`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ClosedFigures {
    /// Trades that won.
    pub wins: u64,
    /// Trades that lost.
    pub losses: u64,
    /// Trades that did neither.
    pub even: u64,
    /// What the winners won, >= 0.
    pub won: Money,
    /// What the losers lost, >= 0.
    pub lost: Money,
}

impl ClosedTrades {
    /// As they were when `figures` were stored; `None` when no trades had these figures.
    #[must_use]
    pub fn restored(figures: &ClosedFigures) -> Option<Self> {
        let ClosedFigures { wins, losses, even, won, lost } = *figures;
        let is_possible =
            !won.is_negative() && !lost.is_negative() && wins.checked_add(losses)?.checked_add(even).is_some();
        is_possible.then_some(Self { wins, losses, even, won, lost })
    }

    /// What to store for [`ClosedTrades::restored`].
    #[must_use]
    pub const fn figures(&self) -> ClosedFigures {
        let Self { wins, losses, even, won, lost } = *self;
        ClosedFigures { wins, losses, even, won, lost }
    }

    /// A trade closed with this profit after fees; see [`crate::portfolio::RoundTrip`].
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn record(&mut self, net: Money) -> Result<(), Overflow> {
        if net.is_zero() {
            self.even += 1;
        } else if net.is_negative() {
            self.lost = self.lost.minus(net)?;
            self.losses += 1;
        } else {
            self.won = self.won.plus(net)?;
            self.wins += 1;
        }
        Ok(())
    }

    /// Takes the trades of another record too, e.g. of another agent.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn add(&mut self, other: &Self) -> Result<(), Overflow> {
        let (won, lost) = (self.won.plus(other.won)?, self.lost.plus(other.lost)?);
        *self = Self {
            wins: self.wins + other.wins,
            losses: self.losses + other.losses,
            even: self.even + other.even,
            won,
            lost,
        };
        Ok(())
    }

    /// How many trades closed.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.wins + self.losses + self.even
    }

    /// What the winners won, >= 0.
    #[must_use]
    pub const fn won(&self) -> Money {
        self.won
    }

    /// What the losers lost, >= 0.
    #[must_use]
    pub const fn lost(&self) -> Money {
        self.lost
    }

    /// Winners among those that won or lost, 0..=1: `wins / (wins + losses)`.
    ///
    /// # Errors
    /// [`Undefined::NoTrades`] when none won or lost.
    pub fn win_rate(&self) -> Result<f64, Undefined> {
        if self.wins + self.losses == 0 {
            return Err(Undefined::NoTrades);
        }
        Ok(ratio(self.wins.into(), (self.wins + self.losses).into()))
    }

    /// What was won for each unit lost: `sum of wins / |sum of losses|`.
    ///
    /// # Errors
    /// [`Undefined::NoLosses`] when some won and none lost, [`Undefined::NoTrades`] when neither.
    pub fn profit_factor(&self) -> Result<f64, Undefined> {
        match (self.wins, self.losses) {
            (0, 0) => Err(Undefined::NoTrades),
            (_, 0) => Err(Undefined::NoLosses),
            (_, _) => Ok(ratio(self.won.micros().into(), self.lost.micros().into())),
        }
    }

    /// Mean net profit of a closed trade, in units of the currency.
    ///
    /// # Errors
    /// [`Undefined::NoTrades`] before the first, [`Undefined::Overflow`].
    pub fn expectancy(&self) -> Result<f64, Undefined> {
        if self.count() == 0 {
            return Err(Undefined::NoTrades);
        }
        let net = self.won.minus(self.lost)?;
        Ok(ratio(net.micros().into(), i128::from(self.count()) * 1_000_000))
    }

    /// Mean win for each unit of the mean loss.
    ///
    /// # Errors
    /// [`Undefined::NoLosses`] when none lost, [`Undefined::NoTrades`] when none won.
    pub fn payoff(&self) -> Result<f64, Undefined> {
        match (self.wins, self.losses) {
            (0, _) => Err(Undefined::NoTrades),
            (_, 0) => Err(Undefined::NoLosses),
            (wins, losses) => Ok(ratio(
                i128::from(self.won.micros()) * i128::from(losses),
                i128::from(self.lost.micros()) * i128::from(wins),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Figures = [Result<f64, Undefined>; 4];

    /// Trades with these profits have `[profit factor, win rate, expectancy, payoff]`.
    fn check(nets: &[i64], expected: Figures) {
        let mut trades = ClosedTrades::default();
        for net in nets {
            trades.record(Money::from_micros(*net * 1_000_000)).expect("fits");
        }
        let got = [trades.profit_factor(), trades.win_rate(), trades.expectancy(), trades.payoff()];
        assert_eq!(got, expected, "{nets:?}");
        assert_eq!(usize::try_from(trades.count()), Ok(nets.len()));
    }

    #[test]
    fn trades_are_counted_after_fees() {
        let (none, unbeaten) = (Err(Undefined::NoTrades), Err(Undefined::NoLosses));
        check(&[120, -80, 45, -30, 0, 60, -100, 15], [Ok(240.0 / 210.0), Ok(4.0 / 7.0), Ok(3.75), Ok(720.0 / 840.0)]);
        check(&[], [none; 4]);
        check(&[10, 20, 5], [unbeaten, Ok(1.0), Ok(35.0 / 3.0), unbeaten]);
        check(&[-10, -5], [Ok(0.0), Ok(0.0), Ok(-7.5), none]);
        check(&[0, 0], [none, none, Ok(0.0), none]);
    }

    #[test]
    fn two_records_add_up_to_that_of_all_their_trades() {
        let of = |nets: &[i64]| {
            let mut trades = ClosedTrades::default();
            nets.iter().for_each(|net| trades.record(Money::from_micros(*net)).expect("fits"));
            trades
        };
        let mut sum = of(&[5, -3]);
        sum.add(&of(&[0, 7])).expect("fits");
        assert_eq!(sum, of(&[5, -3, 0, 7]));
        let before = sum;
        assert_eq!(sum.add(&of(&[i64::MAX])), Err(Overflow));
        assert_eq!(sum, before);
    }

    #[test]
    fn what_does_not_fit_is_not_counted() {
        let mut trades = ClosedTrades::default();
        trades.record(Money::from_micros(i64::MAX)).expect("fits");
        let before = trades;
        assert_eq!(trades.record(Money::from_micros(1)), Err(Overflow));
        assert_eq!(trades, before);
    }
}
