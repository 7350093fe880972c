//! Wilder's smoothed indicators (1978): average true range, average directional index, relative strength.
//!
//! Unlike a window, Wilder's average never quite forgets: its value depends on the first bar it was fed with, by a
//! share of `(13/14)^n` after `n` bars (under one part in a million after 200).

use super::bar::Ohlc;
use super::count::count_to_f64;

/// True range: the bar's own range, stretched to the close before it when the price jumped.
fn true_range(bar: &Ohlc, previous_close: Option<f64>) -> f64 {
    let range = bar.high - bar.low;
    previous_close.map_or(range, |close| range.max((bar.high - close).abs()).max((bar.low - close).abs()))
}

/// Mean of the first `N` values, then `average + (value - average) / N`.
#[derive(Debug, Clone, Default)]
struct WilderAverage<const N: usize> {
    sum: f64,
    seen: usize,
    average: Option<f64>,
}

impl<const N: usize> WilderAverage<N> {
    fn update(&mut self, value: f64) -> Option<f64> {
        let n = count_to_f64(N);
        self.average = match self.average {
            Some(average) => Some((average * (n - 1.0) + value) / n),
            None => {
                self.sum += value;
                self.seen += 1;
                (self.seen == N).then(|| self.sum / n)
            }
        };
        self.average
    }
}

/// Average true range over `N` bars, in price units. The first bar counts with its own range.
#[derive(Debug, Clone, Default)]
pub struct Atr<const N: usize> {
    average: WilderAverage<N>,
    previous_close: Option<f64>,
}

impl<const N: usize> Atr<N> {
    /// Adds a bar; None before bar `N`.
    ///
    /// Example: ranges 2, 4, 3 over `N` = 2 without jumps give None, 3, 3.
    pub fn update(&mut self, bar: &Ohlc) -> Option<f64> {
        let range = true_range(bar, self.previous_close.replace(bar.close));
        self.average.update(range)
    }
}

/// Average directional index over `N` bars, 0 (no trend) to 100; direction is not part of it.
///
/// Directional movement and range are smoothed from the second bar on (first value at bar `N + 1`); the index is the
/// average of `N` differences `100 |+DI - -DI| / (+DI + -DI)`, so its first value comes with bar `2 N`.
#[derive(Debug, Clone, Default)]
pub struct Adx<const N: usize> {
    previous: Option<Ohlc>,
    range: WilderAverage<N>,
    up: WilderAverage<N>,
    down: WilderAverage<N>,
    index: WilderAverage<N>,
    lines: Option<DirectionLines>,
}

/// +DI and -DI: the share of the smoothed range that went up, and down, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DirectionLines {
    /// Upward.
    pub plus: f64,
    /// Downward.
    pub minus: f64,
}

impl<const N: usize> Adx<N> {
    /// Adds a bar; None before bar `2 N` and while the smoothed range is 0 (a dead market has no direction).
    pub fn update(&mut self, bar: &Ohlc) -> Option<f64> {
        let previous = self.previous.replace(*bar)?;
        let (rise, fall) = (bar.high - previous.high, previous.low - bar.low);
        let up = if rise > fall && rise > 0.0 { rise } else { 0.0 };
        let down = if fall > rise && fall > 0.0 { fall } else { 0.0 };
        let range = self.range.update(true_range(bar, Some(previous.close)));
        // All three are fed before any of them may end the bar.
        let (up, down) = (self.up.update(up), self.down.update(down));
        let (range, up, down) = (range?, up?, down?);
        if range <= 0.0 {
            self.lines = None;
            return None;
        }
        self.lines = Some(DirectionLines { plus: 100.0 * up / range, minus: 100.0 * down / range });
        // 100 * up / range and 100 * down / range are +DI and -DI; the range cancels in the ratio.
        let moved = up + down;
        self.index.update(if moved > 0.0 { 100.0 * (up - down).abs() / moved } else { 0.0 })
    }

    /// +DI and -DI after the last bar; None before bar `N + 1` and in a dead market.
    #[must_use]
    pub fn lines(&self) -> Option<DirectionLines> {
        self.lines
    }
}

/// Relative strength index over `N` changes, 0 (only falls) to 100 (only rises).
#[derive(Debug, Clone, Default)]
pub struct Rsi<const N: usize> {
    last: Option<f64>,
    gain: WilderAverage<N>,
    loss: WilderAverage<N>,
}

impl<const N: usize> Rsi<N> {
    /// Adds a value; None before value `N + 1`, 50 while nothing moves.
    ///
    /// Example: rises of 2 and 1 and a fall of 1 over `N` = 3 give `100 x 3 / 4 = 75`.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        let change = value - self.last.replace(value)?;
        // Both are fed before either may end the update.
        let (gain, loss) = (self.gain.update(change.max(0.0)), self.loss.update((-change).max(0.0)));
        let (gain, loss) = (gain?, loss?);
        let moved = gain + loss;
        Some(if moved > 0.0 { 100.0 * gain / moved } else { 50.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(high: f64, low: f64, close: f64) -> Ohlc {
        Ohlc { open: close, high, low, close }
    }

    #[test]
    fn true_range_reaches_back_over_a_jump() {
        let check = |bar: Ohlc, previous: Option<f64>, expected: f64| {
            assert!((true_range(&bar, previous) - expected).abs() < 1e-12);
        };
        check(bar(12.0, 10.0, 11.0), None, 2.0);
        check(bar(12.0, 10.0, 11.0), Some(11.0), 2.0);
        check(bar(12.0, 10.0, 11.0), Some(7.0), 5.0);
        check(bar(12.0, 10.0, 11.0), Some(15.0), 5.0);
    }

    #[test]
    fn average_true_range_is_wilders() {
        let mut atr = Atr::<2>::default();
        assert_eq!(atr.update(&bar(12.0, 10.0, 11.0)), None);
        assert_eq!(atr.update(&bar(13.0, 9.0, 11.0)), Some(3.0));
        assert_eq!(atr.update(&bar(12.5, 9.5, 11.0)), Some(3.0));
        assert_eq!(atr.update(&bar(12.0, 11.0, 11.0)), Some(2.0));
    }

    #[test]
    fn steady_trend_has_the_highest_index() {
        let mut adx = Adx::<3>::default();
        let mut last = None;
        for step in [10.0, 11.0, 12.0, 13.0, 14.0] {
            last = adx.update(&bar(step + 1.0, step, step + 0.5));
            assert_eq!(last, None, "the first value comes with bar 6");
        }
        assert_eq!(last.or(adx.update(&bar(16.0, 15.0, 15.5))), Some(100.0));
        // A bar inside the last one has no direction at all: the three movements keep their ratio.
        assert_eq!(adx.update(&bar(15.8, 15.2, 15.5)), Some(100.0));
    }

    #[test]
    fn outside_bar_counts_for_its_longer_side_only() {
        let mut adx = Adx::<2>::default();
        let bars = [(10.0, 9.0), (10.5, 8.0), (11.0, 7.0), (11.5, 6.0)];
        let last = bars.map(|(high, low)| adx.update(&bar(high, low, low)))[3];
        assert_eq!(last, Some(100.0));
    }

    #[test]
    fn dead_market_has_no_direction() {
        let mut adx = Adx::<2>::default();
        for _ in 0..10 {
            assert_eq!(adx.update(&bar(1.0, 1.0, 1.0)), None);
        }
    }

    #[test]
    fn strength_is_the_share_of_rises() {
        let mut rsi = Rsi::<3>::default();
        let values = [10.0, 12.0, 11.0].map(|value| rsi.update(value));
        assert_eq!(values, [None; 3]);
        assert_eq!(rsi.update(12.0), Some(75.0));
        // Gains (2 + 0 + 1) / 3 = 1, losses 1 / 3; the next rise of 3 counts with a third.
        let gain = (1.0 * 2.0 + 3.0) / 3.0;
        let loss = (1.0 / 3.0) * 2.0 / 3.0;
        let next = rsi.update(15.0).expect("full");
        assert!((next - 100.0 * gain / (gain + loss)).abs() < 1e-12, "{next}");
        let mut flat = Rsi::<2>::default();
        assert_eq!([5.0; 4].map(|value| flat.update(value)), [None, None, Some(50.0), Some(50.0)]);
        let mut up = Rsi::<2>::default();
        assert_eq!([1.0, 2.0, 3.0].map(|value| up.update(value)), [None, None, Some(100.0)]);
    }

    #[test]
    fn direction_lines_are_shares_of_the_range() {
        let mut adx = Adx::<2>::default();
        let bars = [(10.0, 9.0), (11.0, 10.0), (12.0, 11.0)];
        let lines = bars.map(|(high, low)| {
            adx.update(&bar(high, low, high));
            adx.lines()
        });
        // Each bar rose by 1; its true range reaches from the close before it (its low) to its high: 1.
        assert_eq!(lines, [None, None, Some(DirectionLines { plus: 100.0, minus: 0.0 })]);
    }
}
