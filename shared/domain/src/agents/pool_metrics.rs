//! How lively and how directed a market is: the two figures that pools of agents follow, bar by bar.

use super::{bar::Ohlc, count::count_to_f64, volatility::EwmaDeviation, wilder::Adx};
use std::collections::VecDeque;

/// Volatilities that today's is compared with, itself included.
const COMPARED: usize = 500;
/// ADX (Wilder 1978) below which a market has no direction.
const ADX_FLOOR: f64 = 15.0;
/// From there to the strongest direction.
const ADX_SPAN: f64 = 25.0;

/// What the last bar came to; each from 0 to 1, None until enough bars were seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PoolMetrics {
    /// Share of the last 500 volatilities (EWMA with 0.94 of the logarithmic returns) that are not above this one,
    /// without itself: `(#{<=} - 1) / 499`.
    pub market_volatility: Option<f64>,
    /// `(ADX14 - 15) / 25`, at least 0 and at most 1.
    pub trend_strength: Option<f64>,
}

/// Follows one series.
#[derive(Debug, Clone, Default)]
pub struct PoolMeter {
    deviation: EwmaDeviation,
    compared: VecDeque<f64>,
    adx: Adx<14>,
}

impl PoolMeter {
    /// Takes one closed bar. Feed every bar once, in order.
    ///
    /// Example: a price that stands still has volatility 0, which is not above any other: its rank is 1.
    pub fn update(&mut self, bar: &Ohlc) -> PoolMetrics {
        let trend_strength = self.adx.update(bar).map(|adx| ((adx - ADX_FLOOR) / ADX_SPAN).clamp(0.0, 1.0));
        let market_volatility = self.deviation.update(bar.close).and_then(|deviation| self.rank(deviation));
        PoolMetrics { market_volatility, trend_strength }
    }

    fn rank(&mut self, deviation: f64) -> Option<f64> {
        if self.compared.len() == COMPARED {
            self.compared.pop_front();
        }
        self.compared.push_back(deviation);
        if self.compared.len() < COMPARED {
            return None;
        }
        let not_above = self.compared.iter().filter(|other| **other <= deviation).count();
        Some(count_to_f64(not_above - 1) / count_to_f64(COMPARED - 1))
    }
}

/// A figure from 0 to 1 in parts per million, to the nearest; what is no number is none.
#[must_use]
pub fn as_ppm(figure: f64) -> Option<i64> {
    if !(0.0..=1.0).contains(&figure) {
        return None;
    }
    format!("{:.0}", figure * 1e6).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(close: f64) -> Ohlc {
        Ohlc { open: close, high: close + 0.5, low: close - 0.5, close }
    }

    #[test]
    fn figures_come_with_enough_bars_and_a_calm_market_is_as_volatile_as_ever() {
        let mut meter = PoolMeter::default();
        let metrics: Vec<PoolMetrics> = (0..502).map(|_| meter.update(&bar(100.0))).collect();
        assert_eq!(metrics[499].market_volatility, None);
        assert_eq!(metrics[500].market_volatility, Some(1.0), "499 of 499 are not above");
    }

    #[test]
    fn a_jump_is_the_most_volatile_and_a_climb_has_a_direction() {
        let mut meter = PoolMeter::default();
        let mut last = PoolMetrics::default();
        for number in 0..600 {
            last = meter.update(&bar(100.0 + f64::from(number % 2)));
        }
        let calm = last;
        assert!(calm.trend_strength.is_some_and(|strength| strength < 0.2), "{calm:?}");
        assert_eq!(meter.update(&bar(120.0)).market_volatility, Some(1.0));
        for number in 0..60 {
            last = meter.update(&bar(120.0 + f64::from(number)));
        }
        assert_eq!(last.trend_strength, Some(1.0), "{last:?}");
    }

    #[test]
    fn parts_per_million_are_rounded_and_what_is_no_share_is_none() {
        let check = |figure: f64, expected: Option<i64>| assert_eq!(as_ppm(figure), expected, "{figure}");
        check(0.0, Some(0));
        check(0.294_589_4, Some(294_589));
        check(1.0, Some(1_000_000));
        check(1.1, None);
        check(-0.1, None);
        check(f64::NAN, None);
    }
}
