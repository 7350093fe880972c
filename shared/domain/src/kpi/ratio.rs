//! Return for risk: Sharpe's and Sortino's ratios, annual, without a risk-free rate.

use crate::portfolio::{MIN_POINTS, ReturnWindow, Undefined, mean, sample_deviation};

/// On how many days a year there is a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Calendar {
    /// 252: venues that close at weekends.
    BusinessDays,
    /// 365: venues that never close.
    EveryDay,
}

impl Calendar {
    /// Days with a return.
    #[must_use]
    pub const fn days_per_year(self) -> f64 {
        match self {
            Self::BusinessDays => 252.0,
            Self::EveryDay => 365.0,
        }
    }
}

/// A daily ratio made annual: `excess / deviation x sqrt(days)`.
///
/// Example: a mean of 0.0025 over a rate of 0.0015, deviating by 0.02, is 0.05 a day and 0.79 a year of 252 days.
///
/// # Errors
/// [`Undefined::NoVariance`] when nothing deviates.
pub fn annual_ratio(excess: f64, deviation: f64, calendar: Calendar) -> Result<f64, Undefined> {
    if deviation > 0.0 { Ok(excess / deviation * calendar.days_per_year().sqrt()) } else { Err(Undefined::NoVariance) }
}

/// Sharpe's ratio of daily returns (flows removed), oldest first or not: mean over
/// sample deviation (n - 1), annual.
///
/// # Errors
/// [`Undefined::TooFewPoints`] below [`MIN_POINTS`], [`Undefined::NoVariance`], [`Undefined::OutOfRange`].
pub fn sharpe(returns: &[f64], calendar: Calendar) -> Result<f64, Undefined> {
    enough(returns.len())?;
    annual_ratio(mean(returns)?, sample_deviation(returns)?, calendar)
}

/// The same of a window that is kept up to date: O(1).
///
/// # Errors
/// As [`sharpe`].
pub fn sharpe_of(window: &ReturnWindow, calendar: Calendar) -> Result<f64, Undefined> {
    enough(window.len())?;
    annual_ratio(window.mean()?, window.deviation()?, calendar)
}

/// Sortino's ratio: mean over the root of the mean square of the losses, over all
/// days (Sortino and van der Meer, 1991), annual.
///
/// # Errors
/// [`Undefined::TooFewPoints`] below [`MIN_POINTS`], [`Undefined::NoLosses`], [`Undefined::OutOfRange`].
pub fn sortino(returns: &[f64], calendar: Calendar) -> Result<f64, Undefined> {
    enough(returns.len())?;
    let squares: Vec<f64> = returns.iter().map(|value| value.min(0.0).powi(2)).collect();
    of_losses(mean(returns)?, mean(&squares)?.sqrt(), calendar)
}

/// The same of a window that is kept up to date: O(1).
///
/// # Errors
/// As [`sortino`].
pub fn sortino_of(window: &ReturnWindow, calendar: Calendar) -> Result<f64, Undefined> {
    enough(window.len())?;
    of_losses(window.mean()?, window.downside_deviation()?, calendar)
}

fn of_losses(mean: f64, downside: f64, calendar: Calendar) -> Result<f64, Undefined> {
    if downside > 0.0 { annual_ratio(mean, downside, calendar) } else { Err(Undefined::NoLosses) }
}

const fn enough(have: usize) -> Result<(), Undefined> {
    if have < MIN_POINTS { Err(Undefined::TooFewPoints { needed: MIN_POINTS, have }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Calendar::{BusinessDays, EveryDay};

    #[test]
    fn ratios_are_annual() {
        let close = |got: Result<f64, Undefined>, expected: f64| {
            assert!((got.expect("defined") - expected).abs() < 1e-12, "{got:?} is not {expected}");
        };
        close(annual_ratio(0.0025 - 0.0015, 0.02, BusinessDays), 0.05 * 252.0_f64.sqrt());
        // Half win 2 %, half lose 1 %: mean 0.005, squares from it 20 x 0.015^2.
        let returns = [0.02, -0.01].repeat(10);
        close(sharpe(&returns, EveryDay), 0.005 / (0.0045_f64 / 19.0).sqrt() * 365.0_f64.sqrt());
        close(sortino(&returns, BusinessDays), 0.005 / (0.0001_f64 / 2.0).sqrt() * 252.0_f64.sqrt());
    }

    #[test]
    fn a_ratio_without_a_divisor_is_not_defined() {
        let few = Err(Undefined::TooFewPoints { needed: 20, have: 19 });
        assert_eq!((sharpe(&[0.1; 19], EveryDay), sortino(&[0.1; 19], EveryDay)), (few, few));
        assert_eq!(sharpe(&[0.1; 20], EveryDay), Err(Undefined::NoVariance));
        assert_eq!(sortino(&[0.1; 20], EveryDay), Err(Undefined::NoLosses));
        assert_eq!(sharpe(&[f64::NAN; 20], EveryDay), Err(Undefined::OutOfRange));
        assert_eq!(sortino(&[f64::NAN; 20], EveryDay), Err(Undefined::OutOfRange));
    }
}
