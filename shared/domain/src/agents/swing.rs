//! tradingAgent, style swing: follow a breakout in a market with a trend.
//!
//! At the close of a bar, all from middle prices: when the close leaves the range of the 20 bars before it and the
//! average directional index of 14 bars is 20 or more, follow. Leave when the close leaves the range of the 10 bars
//! before it on the other side; the stop is 2 average true ranges (14 bars) from the middle at the entry. The confidence
//! is the index over 40: 0.5 at the least trend it asks for, 1 at twice as much.
//!
//! Sources: average directional index and true range, Wilder (1978), "New Concepts in Technical Trading Systems"; the
//! channels are Donchian's.

use super::bar::Bar;
use super::indicators::{Channel, Donchian};
use super::signal::{Direction, ParameterError, Position, Reason, Signal, StopFrom, StopRule};
use super::trade_cycle::{Intent, TradeCycle};
use super::wilder::{Adx, Atr};

/// The numbers of the rule; the windows (20, 10, 14 bars) are part of the type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SwingParams {
    /// Bars to see before the first signal.
    pub warmup_bars: u32,
    /// The average directional index that counts as a trend, 0 to 100, above 0.
    pub min_adx: f64,
    /// The protective stop.
    pub stop: StopRule,
}

impl Default for SwingParams {
    fn default() -> Self {
        Self { warmup_bars: 100, min_adx: 20.0, stop: StopRule { atr_multiple: 2.0, measured_from: StopFrom::Mid } }
    }
}

/// The swing trader of one instrument and timeframe. Feed every closed bar once, in order.
#[derive(Debug, Clone)]
pub struct Swing {
    params: SwingParams,
    breakout: Donchian<20>,
    exit: Donchian<10>,
    adx: Adx<14>,
    atr: Atr<14>,
    bars_seen: u32,
    cycle: TradeCycle,
}

impl Default for Swing {
    /// The rule with its default numbers, flat and without history.
    fn default() -> Self {
        Self::new(SwingParams::default()).expect("the default parameters are finite and above 0")
    }
}

impl Swing {
    /// Starts flat and without history.
    ///
    /// # Errors
    /// [`ParameterError`] when a threshold is not a finite number above 0.
    pub fn new(params: SwingParams) -> Result<Self, ParameterError> {
        ParameterError::check("min_adx", params.min_adx)?;
        Ok(Self {
            params,
            breakout: Donchian::default(),
            exit: Donchian::default(),
            adx: Adx::default(),
            atr: Atr::default(),
            bars_seen: 0,
            cycle: TradeCycle::new(params.stop)?,
        })
    }

    /// Takes one closed bar and says what to hold on the next one.
    ///
    /// Example: after 100 bars that rise by 1 each, the next close above the last 20 highs: target long, reason
    /// [`Reason::Entry`]; a later close below the 10 lows before it: flat, [`Reason::ExitSignal`].
    pub fn on_bar(&mut self, bar: &Bar) -> Signal {
        let mid = bar.mid();
        let breakout = self.breakout.update(mid.high, mid.low);
        let exit = self.exit.update(mid.high, mid.low);
        let adx = self.adx.update(mid);
        let atr = self.atr.update(mid);
        let is_warm = self.bars_seen >= self.params.warmup_bars;
        self.bars_seen = self.bars_seen.saturating_add(1);

        let closed = self.cycle.advance(bar);
        let intent = match self.cycle.position() {
            Some(position) => exit_intent(position, exit, mid.close),
            None => match adx.filter(|adx| is_warm && *adx >= self.params.min_adx) {
                // Half at the least trend that the rule asks for, all of it at twice as much.
                Some(adx) => entry_intent(breakout, atr, mid.close, (adx / (2.0 * self.params.min_adx)).min(1.0)),
                None => Intent::Stay,
            },
        };
        self.cycle.decide(bar, intent, closed)
    }

    /// The model position after the last bar; None while flat or before the entry has filled.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.cycle.position()
    }
}

fn entry_intent(breakout: Option<Channel>, atr: Option<f64>, close: f64, confidence: f64) -> Intent {
    let (Some(range), Some(atr)) = (breakout, atr) else { return Intent::Stay };
    if close > range.upper {
        Intent::Enter { direction: Direction::Long, atr, confidence }
    } else if close < range.lower {
        Intent::Enter { direction: Direction::Short, atr, confidence }
    } else {
        Intent::Stay
    }
}

fn exit_intent(position: &Position, exit: Option<Channel>, close: f64) -> Intent {
    let is_left = exit.is_some_and(|range| position.direction.pick(close < range.lower, close > range.upper));
    if is_left { Intent::Exit(Reason::ExitSignal) } else { Intent::Stay }
}

#[cfg(test)]
mod tests {
    use super::super::bar::Ohlc;
    use super::*;

    /// Feeds closes, each bar spanning the close before it and its own; returns the machine after the last one.
    fn check(closes: &[f64], expected: (i8, Option<Reason>)) -> Swing {
        let mut swing = Swing::default();
        let mut open = closes.first().copied().unwrap_or(1.0);
        let mut last = (0, None);
        for &close in closes {
            let mid = Ohlc { open, high: open.max(close), low: open.min(close), close };
            let signal = swing.on_bar(&Bar::from_mid(mid, 0.0).expect("valid bar"));
            last = (signal.direction(), signal.reason);
            open = close;
        }
        assert_eq!(last, expected, "after {} bars", closes.len());
        swing
    }

    fn ramp(bars: i32, step: f64) -> Vec<f64> {
        (0..bars).map(|bar| 1000.0 + step * f64::from(bar)).collect()
    }

    #[test]
    fn breakout_of_a_trend_is_followed_both_ways() {
        check(&ramp(100, 1.0), (0, None));
        check(&ramp(101, 1.0), (1, Some(Reason::Entry)));
        check(&ramp(101, -1.0), (-1, Some(Reason::Entry)));
        let swing = check(&ramp(105, 1.0), (1, None));
        let held = swing.position().expect("open since bar 102");
        assert_eq!((held.entry_price, held.bars_held), (1100.0, 3));
        let stop = held.stop_price.expect("swing has a stop");
        assert!((stop - 1098.0).abs() < 1e-3, "2 ranges of 1 below the entry: {stop}");
    }

    #[test]
    fn position_ends_at_the_other_side_of_ten_bars_or_at_the_stop() {
        let mut sag = ramp(101, 1.0);
        // Wide enough bars to keep the stop away, then a slow fall through the lows of the ten bars before.
        for step in 0..14_i32 {
            sag.push(if step % 2 == 0 { 1103.0 } else { 1100.0 });
        }
        check(&sag, (1, None));
        sag.push(1099.5);
        check(&sag, (0, Some(Reason::ExitSignal)));
        let mut crash = ramp(103, 1.0);
        crash.push(1097.0);
        check(&crash, (0, Some(Reason::Stop)));
    }

    #[test]
    fn range_without_a_trend_is_left_alone() {
        let mut zigzag: Vec<f64> = [1000.0, 1012.0, 998.0, 1010.0].repeat(30);
        zigzag.push(1013.0);
        check(&zigzag, (0, None));
        assert!(Swing::new(SwingParams { min_adx: -1.0, ..SwingParams::default() }).is_err());
    }
}
