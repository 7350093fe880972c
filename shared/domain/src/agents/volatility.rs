//! How much a price moves: four estimators over a series of bars, and one that follows bar by bar.
//!
//! Each gives the deviation of one bar's logarithmic return; [`annualized`] makes it one of a year.

use super::bar::Ohlc;
use super::count::count_to_f64;

/// Share of the variance so far that is kept at each bar (J.P. Morgan, RiskMetrics Technical Document, 1996).
pub const DECAY: f64 = 0.94;

/// Exponentially weighted volatility: `variance = 0.94 x variance + 0.06 x return^2`, started with the square of the
/// first logarithmic return. Fixed memory.
#[derive(Debug, Clone, Default)]
pub struct EwmaDeviation {
    last: Option<f64>,
    variance: Option<f64>,
}

impl EwmaDeviation {
    /// Adds a price above 0; None before the second one.
    ///
    /// Example: 100 then 101 moved by 0.995 %; a third price of 101 leaves `sqrt(0.94)` of it: 0.9647 %.
    pub fn update(&mut self, price: f64) -> Option<f64> {
        let square = (price / self.last.replace(price)?).ln().powi(2);
        let variance = self.variance.map_or(square, |variance| DECAY * variance + (1.0 - DECAY) * square);
        self.variance = Some(variance);
        Some(variance.sqrt())
    }
}

/// A deviation of one bar as one of a year of `bars` bars: `deviation x sqrt(bars)`.
#[must_use]
pub fn annualized(deviation: f64, bars: f64) -> f64 {
    deviation * bars.sqrt()
}

/// Sample deviation (divided by `n - 1`) of the logarithmic returns from close to close; None below two returns.
#[must_use]
pub fn close_to_close(bars: &[Ohlc]) -> Option<f64> {
    let returns = log_returns(bars);
    let (n, degrees) = (count_to_f64(returns.len()), count_to_f64(returns.len().checked_sub(1)?));
    let mean = returns.iter().sum::<f64>() / n;
    let squares: f64 = returns.iter().map(|r| (r - mean).powi(2)).sum();
    (degrees > 0.0).then(|| (squares / degrees).sqrt())
}

/// Root of the mean square of the logarithmic returns from close to close: their deviation around 0; None without one.
#[must_use]
pub fn root_mean_square(bars: &[Ohlc]) -> Option<f64> {
    root_mean(log_returns(bars).iter().map(|r| r * r))
}

/// From the range of each bar: `sqrt(mean(ln(high / low)^2) / (4 ln 2))` (Parkinson 1980). Blind to jumps between bars.
#[must_use]
pub fn parkinson(bars: &[Ohlc]) -> Option<f64> {
    root_mean(bars.iter().map(|bar| (bar.high / bar.low).ln().powi(2) / (4.0 * std::f64::consts::LN_2)))
}

/// From range and body: `sqrt(mean(ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2))` (Garman and Klass 1980).
/// Blind to jumps between bars.
#[must_use]
pub fn garman_klass(bars: &[Ohlc]) -> Option<f64> {
    let body_weight = 2.0 * std::f64::consts::LN_2 - 1.0;
    root_mean(bars.iter().map(|bar| {
        let (range, body) = ((bar.high / bar.low).ln(), (bar.close / bar.open).ln());
        range * range / 2.0 - body_weight * body * body
    }))
}

fn log_returns(bars: &[Ohlc]) -> Vec<f64> {
    bars.windows(2).map(|pair| (pair[1].close / pair[0].close).ln()).collect()
}

/// Root of the mean, summed in the order given; None without values. A mean below 0 (rounding) counts as 0.
fn root_mean(squares: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = squares.len();
    (n > 0).then(|| (squares.sum::<f64>() / count_to_f64(n)).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(open: f64, high: f64, low: f64, close: f64) -> Ohlc {
        Ohlc { open, high, low, close }
    }

    #[track_caller]
    fn check(got: Option<f64>, expected: f64) {
        let got = got.expect("defined");
        assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
    }

    #[test]
    fn follower_keeps_six_percent_of_the_newest_return() {
        let mut deviation = EwmaDeviation::default();
        assert_eq!(deviation.update(100.0), None);
        let first = (1.01_f64).ln();
        check(deviation.update(101.0), first);
        check(deviation.update(101.0), first * 0.94_f64.sqrt());
        let third = (99.0_f64 / 101.0).ln();
        check(deviation.update(99.0), (0.94 * 0.94 * first * first + 0.06 * third * third).sqrt());
    }

    #[test]
    fn estimators_agree_with_hand_worked_bars() {
        let e = std::f64::consts::E;
        // Returns of 1 and -1: no mean, squares of 1; the sample deviation divides by one less.
        let bars = [bar(1.0, 1.0, 1.0, 1.0), bar(1.0, e, 1.0, e), bar(e, e, 1.0, 1.0)];
        check(close_to_close(&bars), 2.0_f64.sqrt());
        check(root_mean_square(&bars), 1.0);
        check(parkinson(&bars), (2.0 / 3.0 / (4.0 * 2.0_f64.ln())).sqrt());
        check(garman_klass(&bars), (2.0 * (0.5 - (2.0 * 2.0_f64.ln() - 1.0)) / 3.0).sqrt());
        check(Some(annualized(0.01, 252.0)), 0.01 * 252.0_f64.sqrt());
    }

    #[test]
    fn too_few_bars_have_no_volatility() {
        let one = [bar(1.0, 1.0, 1.0, 1.0)];
        assert_eq!((close_to_close(&[]), close_to_close(&one), root_mean_square(&one)), (None, None, None));
        assert_eq!((close_to_close(&[one[0]; 2]), close_to_close(&[one[0]; 3])), (None, Some(0.0)));
        assert_eq!((parkinson(&[]), garman_klass(&[]), parkinson(&one)), (None, None, Some(0.0)));
    }
}
