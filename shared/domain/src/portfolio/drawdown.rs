//! How far equity fell from its highest point.

use super::{loss::Loss, undefined::Undefined};
use crate::money::{Money, Overflow};

/// The highest equity so far and the worst fall from it. Money that is paid in or
/// out shifts the peak, so it is neither a gain nor a loss.
///
/// ```
/// use tragen_domain::{money::Money, portfolio::Drawdown};
/// let money = |text: &str| text.parse::<Money>().unwrap();
/// let mut drawdown = Drawdown::starting_at(money("100"));
/// for equity in ["110", "99", "120", "90", "95", "130"] {
///     drawdown.observe(money(equity)).unwrap();
/// }
/// assert_eq!(drawdown.figures().worst.bps(), 2_500); // 120 to 90
/// assert_eq!(drawdown.current().bps(), 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Drawdown {
    figures: DrawdownFigures,
}

/// Everything there is to store of a [`Drawdown`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DrawdownFigures {
    /// The highest equity, shifted by what was paid in and out since.
    pub peak: Money,
    /// The newest equity.
    pub equity: Money,
    /// The fall that lost the largest share.
    pub worst: Loss,
    /// The most money that was ever lost from a peak; not always in the fall of the largest share.
    pub deepest: Money,
}

impl Drawdown {
    /// Nothing has fallen yet.
    #[must_use]
    pub fn starting_at(equity: Money) -> Self {
        Self { figures: DrawdownFigures { peak: equity, equity, ..DrawdownFigures::default() } }
    }

    /// As it was when `figures` were stored.
    ///
    /// # Errors
    /// [`Overflow`] when peak and equity are too far apart: no drawdown had these figures.
    pub fn restored(figures: DrawdownFigures) -> Result<Self, Overflow> {
        Loss::between(figures.peak, figures.equity)?;
        Ok(Self { figures })
    }

    /// What to store for [`Drawdown::restored`].
    #[must_use]
    pub const fn figures(&self) -> DrawdownFigures {
        self.figures
    }

    /// Takes the equity of now.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn observe(&mut self, equity: Money) -> Result<(), Overflow> {
        let peak = self.figures.peak.max(equity);
        let loss = Loss::between(peak, equity)?;
        let worst = if loss.is_worse_than(&self.figures.worst) { loss } else { self.figures.worst };
        self.figures = DrawdownFigures { peak, equity, worst, deepest: self.figures.deepest.max(loss.amount()) };
        Ok(())
    }

    /// `amount` was paid in (negative: out) and is part of the equity from now on.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn flow(&mut self, amount: Money) -> Result<(), Overflow> {
        let DrawdownFigures { peak, equity, .. } = self.figures;
        (self.figures.peak, self.figures.equity) = (peak.plus(amount)?, equity.plus(amount)?);
        Ok(())
    }

    /// Measures from the equity of now, as after an operator's reset; what was worst stays.
    pub fn restart(&mut self) {
        self.figures.peak = self.figures.equity;
    }

    /// The fall from the peak to the newest equity.
    #[must_use]
    pub fn current(&self) -> Loss {
        let DrawdownFigures { peak, equity, .. } = self.figures;
        Loss::between(peak, equity).expect("it was tried with this equity, and a flow shifts both alike")
    }
}

/// The largest share that `equity` (oldest first) fell from a peak before it, 0..=1:
/// `max_t (peak_t - E_t) / peak_t`; 1 as soon as nothing is left.
///
/// Example: 100, 110, 99, 120, 90, 95, 130 fell by 0.25 (120 to 90).
///
/// # Errors
/// [`Undefined::TooFewPoints`] without a point, [`Undefined::NoCapital`] when it
/// does not start above zero, [`Undefined::OutOfRange`] for what is not a number.
pub fn max_drawdown(equity: &[f64]) -> Result<f64, Undefined> {
    let first = *equity.first().ok_or(Undefined::TooFewPoints { needed: 1, have: 0 })?;
    if equity.iter().any(|value| !value.is_finite()) {
        return Err(Undefined::OutOfRange);
    }
    if first <= 0.0 {
        return Err(Undefined::NoCapital);
    }
    let worst = equity.iter().scan(first, |peak, value| {
        *peak = peak.max(*value);
        Some((*peak - value) / *peak)
    });
    Ok(worst.fold(0.0, f64::max).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(micros: i64) -> Money {
        Money::from_micros(micros)
    }

    #[test]
    fn the_worst_share_and_the_most_money_are_different_falls() {
        let mut drawdown = Drawdown::starting_at(money(1_000));
        for equity in [500, 1_000, 11_000, 10_000] {
            drawdown.observe(money(equity)).expect("fits");
        }
        assert_eq!(drawdown.figures().worst.amount(), money(500));
        assert_eq!(drawdown.figures().worst.bps(), 5_000);
        assert_eq!(drawdown.figures().deepest, money(1_000));
        assert_eq!(drawdown.current().bps(), 909);
    }

    #[test]
    fn flows_are_neither_gains_nor_losses() {
        let mut drawdown = Drawdown::starting_at(money(1_000));
        drawdown.observe(money(960)).expect("fits");
        for amount in [500, -1_200, 300] {
            drawdown.flow(money(amount)).expect("fits");
            assert_eq!(drawdown.current().amount(), money(40));
        }
        drawdown.restart();
        assert_eq!((drawdown.current().bps(), drawdown.figures().worst.bps()), (0, 400));
    }

    #[test]
    fn a_batch_ends_at_a_whole_loss() {
        let check = |equity: &[f64], expected: Result<f64, Undefined>| assert_eq!(max_drawdown(equity), expected);
        check(&[100.0, 110.0, 99.0, 120.0, 90.0, 95.0, 130.0], Ok(0.25));
        check(&[5.0, 5.0], Ok(0.0));
        check(&[5.0, -5.0, 10.0], Ok(1.0));
        check(&[], Err(Undefined::TooFewPoints { needed: 1, have: 0 }));
        check(&[0.0, 1.0], Err(Undefined::NoCapital));
        check(&[1.0, f64::NAN], Err(Undefined::OutOfRange));
    }
}
