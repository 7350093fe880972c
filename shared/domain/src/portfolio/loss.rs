//! A loss against what it is measured by, compared with limits without floats.

use super::moments::ratio;
use crate::money::{Money, Overflow};

/// Basis points of a whole.
const WHOLE_BPS: i64 = 10_000;

/// What was lost of a basis. Everything is lost (a share of 1) once what is left,
/// or the basis itself, is not above zero.
///
/// ```
/// use tragen_domain::{money::Money, portfolio::Loss};
/// let money = |text: &str| text.parse::<Money>().unwrap();
/// let loss = Loss::between(money("100000"), money("95000")).unwrap();
/// assert!(loss.reaches(500) && !loss.reaches(501)); // exactly 5 %
/// let loss = Loss::between(money("100000"), money("95000.01")).unwrap();
/// assert!(!loss.reaches(500)); // one cent short of it
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Loss {
    amount: Money,
    basis: Money,
}

impl Loss {
    /// From `basis` down to `equity`; nothing when there was a gain.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn between(basis: Money, equity: Money) -> Result<Self, Overflow> {
        Ok(Self { amount: basis.minus(equity)?.max(Money::ZERO), basis })
    }

    /// The loss in `pnl` (negative when lost), of `capital`: an agent's result of
    /// the day against the capital allocated to it.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn of_pnl(pnl: Money, capital: Money) -> Result<Self, Overflow> {
        Self::between(capital, capital.plus(pnl)?)
    }

    /// What was lost, >= 0.
    #[must_use]
    pub const fn amount(&self) -> Money {
        self.amount
    }

    /// What it is a share of.
    #[must_use]
    pub const fn basis(&self) -> Money {
        self.basis
    }

    /// Whether `limit_bps` basis points are lost, or more. Exact.
    #[must_use]
    pub fn reaches(&self, limit_bps: i64) -> bool {
        let (lost, whole) = self.share();
        lost * i128::from(WHOLE_BPS) >= i128::from(limit_bps) * whole
    }

    /// Basis points lost, 0..=10,000, rounded down: never a limit that is not reached.
    #[must_use]
    pub fn bps(&self) -> i64 {
        let (lost, whole) = self.share();
        i64::try_from(lost * i128::from(WHOLE_BPS) / whole).unwrap_or(WHOLE_BPS)
    }

    /// The share lost, 0..=1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let (lost, whole) = self.share();
        ratio(lost, whole)
    }

    /// Whether a larger share is lost than in `other`.
    #[must_use]
    pub fn is_worse_than(&self, other: &Self) -> bool {
        let ((lost, whole), (other_lost, other_whole)) = (self.share(), other.share());
        lost * other_whole > other_lost * whole
    }

    /// Numerator and denominator (> 0) of the share lost.
    fn share(&self) -> (i128, i128) {
        let (lost, whole) = (i128::from(self.amount.micros()), i128::from(self.basis.micros()));
        if lost == 0 {
            (0, 1)
        } else if whole <= lost {
            (1, 1)
        } else {
            (lost, whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(basis: i64, equity: i64, bps: i64, fraction: f64) {
        let loss = Loss::between(Money::from_micros(basis), Money::from_micros(equity)).expect("fits");
        assert_eq!(loss.bps(), bps, "{basis} to {equity}");
        assert!((loss.fraction() - fraction).abs() < 1e-15, "{basis} to {equity}: {}", loss.fraction());
        assert!(loss.reaches(bps) && !loss.reaches(bps + 1), "{basis} to {equity}");
    }

    #[test]
    fn losses_are_shares_of_their_basis() {
        check(100_000, 95_000, 500, 0.05);
        check(100_000, 95_001, 499, 0.04999);
        check(100_000, 100_001, 0, 0.0);
        check(3, 2, 3_333, 1.0 / 3.0);
    }

    #[test]
    fn nothing_left_is_a_whole_loss() {
        check(100, 0, 10_000, 1.0);
        check(100, -50, 10_000, 1.0);
        check(0, -1, 10_000, 1.0);
        check(-5, -6, 10_000, 1.0);
        check(0, 0, 0, 0.0);
        check(-5, 5, 0, 0.0);
    }

    #[test]
    fn worse_is_the_larger_share() {
        let loss = |basis, equity| Loss::between(Money::from_micros(basis), Money::from_micros(equity)).expect("fits");
        assert!(loss(100, 50).is_worse_than(&loss(1_000, 600)));
        assert!(!loss(1_000, 600).is_worse_than(&loss(100, 50)));
        assert!(!loss(10, 5).is_worse_than(&loss(100, 50)));
        assert!(loss(i64::MAX, 1).is_worse_than(&loss(i64::MAX, 2)));
    }

    #[test]
    fn an_agents_result_is_measured_by_its_capital() {
        let loss = |pnl: i64| Loss::of_pnl(Money::from_micros(pnl), Money::from_micros(10_000)).expect("fits");
        assert!(loss(-300).reaches(300) && !loss(-299).reaches(300) && !loss(300).reaches(1));
        assert_eq!(Loss::between(Money::from_micros(i64::MAX), Money::from_micros(-1)), Err(Overflow));
    }
}
