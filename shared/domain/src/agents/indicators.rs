//! Incremental indicators over a window: one number in, one number out, fixed memory.
//!
//! Each keeps only what it needs and is fed with one bar at a time. A window is re-read from its oldest value on every
//! bar instead of carrying a running sum: at 20 values that costs nanoseconds, and the answer then depends on the
//! window alone, so two workers that started at different bars agree to the last bit.

use super::count::count_to_f64;

/// The last `N` values, oldest first.
#[derive(Debug, Clone)]
pub struct Window<const N: usize> {
    values: [f64; N],
    oldest: usize,
    filled: usize,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self { values: [0.0; N], oldest: 0, filled: 0 }
    }
}

impl<const N: usize> Window<N> {
    /// Adds a value and drops the oldest one when the window is full.
    pub fn push(&mut self, value: f64) {
        if let Some(slot) = self.values.get_mut((self.oldest + self.filled) % N.max(1)) {
            *slot = value;
        }
        if self.filled < N {
            self.filled += 1;
        } else {
            self.oldest = (self.oldest + 1) % N.max(1);
        }
    }

    /// Whether `N` values have been seen.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filled == N
    }

    /// The oldest of the last `N` values, once the window is full.
    #[must_use]
    pub fn oldest(&self) -> Option<f64> {
        if self.is_full() { self.values.get(self.oldest).copied() } else { None }
    }

    /// The values from the oldest to the newest; empty until the window is full.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        let (newer, older) = self.values.split_at(if self.is_full() { self.oldest } else { 0 });
        let shown = if self.is_full() { N } else { 0 };
        older.iter().chain(newer).copied().take(shown)
    }

    /// Mean of the window, once full.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.is_full().then(|| self.values().sum::<f64>() / count_to_f64(N))
    }

    /// Deviation of the window around its mean, divided by `N` (the population's), once full.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        let squares: f64 = self.values().map(|v| (v - mean) * (v - mean)).sum();
        Some((squares / count_to_f64(N)).sqrt())
    }
}

/// Simple moving average of `N` values; the first answer comes with value `N`.
#[derive(Debug, Clone, Default)]
pub struct Sma<const N: usize> {
    window: Window<N>,
}

impl<const N: usize> Sma<N> {
    /// Adds a value; the mean of the last `N`, or None while there are fewer.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        self.window.push(value);
        self.window.mean()
    }
}

/// Exponential moving average with `alpha = 2 / (N + 1)`, started with the simple average of the first `N` values.
#[derive(Debug, Clone, Default)]
pub struct Ema<const N: usize> {
    sum: f64,
    seen: usize,
    average: Option<f64>,
}

impl<const N: usize> Ema<N> {
    /// Adds a value; None before value `N`.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        self.average = match self.average {
            Some(average) => Some(average + 2.0 / (count_to_f64(N) + 1.0) * (value - average)),
            None => {
                self.sum += value;
                self.seen += 1;
                (self.seen == N).then(|| self.sum / count_to_f64(N))
            }
        };
        self.average
    }
}

/// How many standard deviations the newest value is away from the mean of the last `N` (it included).
///
/// The deviation is the population's (divided by `N`), as in Bollinger bands.
#[derive(Debug, Clone, Default)]
pub struct ZScore<const N: usize> {
    window: Window<N>,
}

impl<const N: usize> ZScore<N> {
    /// Adds a value; None before value `N`, and while all values of the window are equal.
    ///
    /// Example: after 1, 2, 3, 4 the mean is 2.5, the deviation 1.118, and the last value is 1.342 deviations above.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        self.window.push(value);
        let (mean, deviation) = (self.window.mean()?, self.window.deviation()?);
        (deviation > 0.0).then(|| (value - mean) / deviation)
    }
}

/// Moving average convergence and divergence: EMA 12 - EMA 26, and its own EMA 9.
#[derive(Debug, Clone, Default)]
pub struct Macd {
    fast: Ema<12>,
    slow: Ema<26>,
    signal: Ema<9>,
}

/// The two lines of [`Macd`], in price units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MacdLines {
    /// EMA 12 - EMA 26.
    pub macd: f64,
    /// EMA 9 of it, from the ninth on.
    pub signal: Option<f64>,
}

impl Macd {
    /// Adds a value; None before value 26.
    pub fn update(&mut self, value: f64) -> Option<MacdLines> {
        let (fast, slow) = (self.fast.update(value), self.slow.update(value));
        let macd = fast? - slow?;
        Some(MacdLines { macd, signal: self.signal.update(macd) })
    }
}

/// The mean of the last `N` values and two of their (population) deviations around it (Bollinger bands).
#[derive(Debug, Clone, Default)]
pub struct Bollinger<const N: usize> {
    window: Window<N>,
}

/// A mean with a band around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The mean.
    pub middle: f64,
    /// Two deviations above it.
    pub upper: f64,
    /// Two deviations below it.
    pub lower: f64,
}

impl<const N: usize> Bollinger<N> {
    /// Adds a value; None before value `N`.
    ///
    /// Example: 1, 2, 3, 4 have the mean 2.5 and the deviation 1.118: the band is 0.264 to 4.736.
    pub fn update(&mut self, value: f64) -> Option<Band> {
        self.window.push(value);
        let (middle, deviation) = (self.window.mean()?, self.window.deviation()?);
        Some(Band { middle, upper: middle + 2.0 * deviation, lower: middle - 2.0 * deviation })
    }
}

/// Kaufman's efficiency ratio (1995): the net way of `N` steps divided by the sum of all steps, 0 (noise) to 1 (trend).
#[derive(Debug, Clone, Default)]
pub struct EfficiencyRatio<const N: usize> {
    previous: Window<N>,
    steps: Window<N>,
    last: Option<f64>,
}

impl<const N: usize> EfficiencyRatio<N> {
    /// Adds a value; None before `N` steps (`N + 1` values), 0 when nothing moved.
    ///
    /// Example: 1, 2, 1, 2 moved by 1 on a way of 3: 0.333.
    pub fn update(&mut self, value: f64) -> Option<f64> {
        let start = self.previous.oldest();
        if let Some(last) = self.last.replace(value) {
            self.steps.push((value - last).abs());
        }
        self.previous.push(value);
        let way: f64 = self.steps.values().sum();
        start.map(|start| if way > 0.0 { (value - start).abs() / way } else { 0.0 })
    }
}

/// Highest high and lowest low of the `N` bars *before* the newest one (Donchian channel).
#[derive(Debug, Clone, Default)]
pub struct Donchian<const N: usize> {
    highs: Window<N>,
    lows: Window<N>,
}

/// A price range, upper edge not below the lower one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    /// Highest high.
    pub upper: f64,
    /// Lowest low.
    pub lower: f64,
}

impl<const N: usize> Donchian<N> {
    /// Adds a bar; the channel of the `N` bars before it, None while there are fewer.
    pub fn update(&mut self, high: f64, low: f64) -> Option<Channel> {
        let channel = self.highs.is_full().then(|| Channel {
            upper: self.highs.values().fold(f64::NEG_INFINITY, f64::max),
            lower: self.lows.values().fold(f64::INFINITY, f64::min),
        });
        self.highs.push(high);
        self.lows.push(low);
        channel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, mut update: impl FnMut(f64) -> Option<f64>, values: &[f64], expected: &[Option<f64>]) {
        for (position, (value, expected)) in values.iter().zip(expected).enumerate() {
            match (update(*value), expected) {
                (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-12, "{name}[{position}]: {got}"),
                (got, expected) => assert_eq!(got, *expected, "{name}[{position}]"),
            }
        }
    }

    #[test]
    fn averages_start_when_their_window_is_full() {
        let mut sma = Sma::<3>::default();
        let values = [1.0, 2.0, 6.0, 4.0, 2.0];
        check("sma", |v| sma.update(v), &values, &[None, None, Some(3.0), Some(4.0), Some(4.0)]);
        let mut ema = Ema::<3>::default();
        check("ema", |v| ema.update(v), &values, &[None, None, Some(3.0), Some(3.5), Some(2.75)]);
    }

    #[test]
    fn z_score_uses_the_population_deviation() {
        let mut z = ZScore::<4>::default();
        let expected = [None, None, None, Some(1.5 / 1.25_f64.sqrt()), Some(-1.5 / 1.25_f64.sqrt())];
        check("z", |v| z.update(v), &[1.0, 2.0, 3.0, 4.0, 1.0], &expected);
        let mut flat = ZScore::<3>::default();
        check("flat", |v| flat.update(v), &[2.0, 2.0, 2.0, 2.0], &[None, None, None, None]);
    }

    #[test]
    fn efficiency_is_one_in_a_trend_and_zero_at_rest() {
        let mut zigzag = EfficiencyRatio::<3>::default();
        check("zigzag", |v| zigzag.update(v), &[1.0, 2.0, 1.0, 2.0], &[None, None, None, Some(1.0 / 3.0)]);
        let mut trend = EfficiencyRatio::<2>::default();
        check("trend", |v| trend.update(v), &[3.0, 2.0, 1.0, 1.0], &[None, None, Some(1.0), Some(1.0)]);
        let mut rest = EfficiencyRatio::<2>::default();
        check("rest", |v| rest.update(v), &[1.0, 1.0, 1.0], &[None, None, Some(0.0)]);
    }

    #[test]
    fn channel_leaves_the_newest_bar_out() {
        let mut donchian = Donchian::<2>::default();
        assert_eq!(donchian.update(5.0, 1.0), None);
        assert_eq!(donchian.update(4.0, 2.0), None);
        assert_eq!(donchian.update(9.0, 0.5), Some(Channel { upper: 5.0, lower: 1.0 }));
        assert_eq!(donchian.update(1.0, 1.0), Some(Channel { upper: 9.0, lower: 0.5 }));
    }

    #[test]
    fn window_forgets_what_came_before_it() {
        let (mut early, mut late) = (ZScore::<5>::default(), ZScore::<5>::default());
        let _ = (early.update(1e9), early.update(-1e9));
        for value in [1.1, 1.3, 1.2, 1.7, 1.6, 1.5] {
            let (a, b) = (early.update(value), late.update(value));
            assert!(b.is_none() || a == b, "{a:?} {b:?}");
        }
    }

    #[test]
    fn bands_lie_two_deviations_away() {
        let mut bands = Bollinger::<4>::default();
        let last = [1.0, 2.0, 3.0, 4.0].map(|v| bands.update(v))[3].expect("full");
        let deviation = 1.25_f64.sqrt();
        assert!((last.middle - 2.5).abs() < 1e-12 && (last.upper - (2.5 + 2.0 * deviation)).abs() < 1e-12);
        assert!((last.lower - (2.5 - 2.0 * deviation)).abs() < 1e-12);
    }

    #[test]
    fn convergence_of_a_ramp_is_the_lag_between_its_averages() {
        // An EMA of a ramp that started with its simple average lags by (N - 1) / 2: 12.5 - 5.5 = 7.
        let mut macd = Macd::default();
        let lines: Vec<_> = (0..40).map(|step| macd.update(f64::from(step))).collect();
        assert!(lines[..25].iter().all(Option::is_none) && lines[25].is_some_and(|l| l.signal.is_none()));
        assert!(lines[32].is_some_and(|l| l.signal.is_none()) && lines[33].is_some_and(|l| l.signal.is_some()));
        let last = lines[39].expect("full");
        assert!((last.macd - 7.0).abs() < 1e-12 && last.signal.is_some_and(|s| (s - 7.0).abs() < 1e-12), "{last:?}");
    }
}
