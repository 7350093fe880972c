//! tradingAgent, style scalper: fade a stretched price in a market without a trend.
//!
//! At the close of a bar, all from middle prices: when the close is 2 standard deviations or more away from its mean of
//! 20 bars and the efficiency ratio of 10 bars is below 0.5 (noise, not a trend), take the opposite direction. Leave
//! when the close is back at the mean or after 15 bars; the stop is 3 average true ranges (14 bars) from the entry.
//! The confidence is 1 minus the efficiency ratio: 0.5 at the most trend it bears, 1 in pure noise.
//!
//! Sources: efficiency ratio, Kaufman (1995), "Smarter Trading"; average true range, Wilder (1978), "New Concepts in
//! Technical Trading Systems". The rule itself is a textbook one of mean reversion.

use super::bar::Bar;
use super::indicators::{EfficiencyRatio, ZScore};
use super::signal::{Direction, ParameterError, Position, Reason, Signal, StopFrom, StopRule};
use super::trade_cycle::{Intent, TradeCycle};
use super::wilder::Atr;

/// The numbers of the rule; the windows (20, 10, 14 bars) are part of the type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalperParams {
    /// Bars to see before the first signal.
    pub warmup_bars: u32,
    /// Distance from the mean that is worth fading, in standard deviations, above 0.
    pub entry_z: f64,
    /// The efficiency ratio must be below this, 0 to 1, above 0.
    pub max_efficiency: f64,
    /// Bars after the entry bar at which the position is given up.
    pub max_bars_held: u32,
    /// The protective stop.
    pub stop: StopRule,
}

impl Default for ScalperParams {
    fn default() -> Self {
        Self {
            warmup_bars: 30,
            entry_z: 2.0,
            max_efficiency: 0.5,
            max_bars_held: 15,
            stop: StopRule { atr_multiple: 3.0, measured_from: StopFrom::Fill },
        }
    }
}

/// The scalper of one instrument and timeframe. Feed every closed bar once, in order.
#[derive(Debug, Clone)]
pub struct Scalper {
    params: ScalperParams,
    z_score: ZScore<20>,
    efficiency: EfficiencyRatio<10>,
    atr: Atr<14>,
    bars_seen: u32,
    cycle: TradeCycle,
}

impl Default for Scalper {
    /// The rule with its default numbers, flat and without history.
    fn default() -> Self {
        Self::new(ScalperParams::default()).expect("the default parameters are finite and above 0")
    }
}

impl Scalper {
    /// Starts flat and without history.
    ///
    /// # Errors
    /// [`ParameterError`] when a threshold is not a finite number above 0.
    pub fn new(params: ScalperParams) -> Result<Self, ParameterError> {
        ParameterError::check("entry_z", params.entry_z)?;
        ParameterError::check("max_efficiency", params.max_efficiency)?;
        Ok(Self {
            params,
            z_score: ZScore::default(),
            efficiency: EfficiencyRatio::default(),
            atr: Atr::default(),
            bars_seen: 0,
            cycle: TradeCycle::new(params.stop)?,
        })
    }

    /// Takes one closed bar and says what to hold on the next one.
    ///
    /// Example: 30 quiet bars around 100, then one that closes 3 deviations above them: target short, reason
    /// [`Reason::Entry`]; when a later close is back at the mean: flat, [`Reason::ExitSignal`].
    pub fn on_bar(&mut self, bar: &Bar) -> Signal {
        let mid = bar.mid();
        let z = self.z_score.update(mid.close);
        let efficiency = self.efficiency.update(mid.close);
        let atr = self.atr.update(mid);
        let is_warm = self.bars_seen >= self.params.warmup_bars;
        self.bars_seen = self.bars_seen.saturating_add(1);

        let closed = self.cycle.advance(bar);
        let intent = match self.cycle.position() {
            Some(position) => self.exit_intent(position, z),
            None if is_warm => self.entry_intent(z, efficiency, atr),
            None => Intent::Stay,
        };
        self.cycle.decide(bar, intent, closed)
    }

    /// The model position after the last bar; None while flat or before the entry has filled.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.cycle.position()
    }

    fn entry_intent(&self, z: Option<f64>, efficiency: Option<f64>, atr: Option<f64>) -> Intent {
        match (z, efficiency, atr) {
            (Some(z), Some(efficiency), Some(atr))
                if z.abs() >= self.params.entry_z && efficiency < self.params.max_efficiency =>
            {
                // Half at the most trend that the rule bears, all of it in pure noise.
                let confidence = 1.0 - efficiency / (2.0 * self.params.max_efficiency);
                Intent::Enter { direction: if z > 0.0 { Direction::Short } else { Direction::Long }, atr, confidence }
            }
            _ => Intent::Stay,
        }
    }

    fn exit_intent(&self, position: &Position, z: Option<f64>) -> Intent {
        if z.is_some_and(|z| z * position.direction.sign() >= 0.0) {
            Intent::Exit(Reason::ExitSignal)
        } else if position.bars_held >= self.params.max_bars_held {
            Intent::Exit(Reason::TimeExit)
        } else {
            Intent::Stay
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bar::Ohlc;
    use super::*;

    /// Feeds closes (each bar opens at the close before it) without a spread; returns (direction, reason) of the last.
    fn check(closes: &[f64], expected: (i8, Option<Reason>)) -> Scalper {
        let mut scalper = Scalper::default();
        let mut open = 100.0_f64;
        let mut last = (0, None);
        for &close in closes {
            let mid = Ohlc { open, high: open.max(close), low: open.min(close), close };
            let signal = scalper.on_bar(&Bar::from_mid(mid, 0.0).expect("valid bar"));
            last = (signal.direction(), signal.reason);
            open = close;
        }
        assert_eq!(last, expected, "after {} bars", closes.len());
        scalper
    }

    /// 40 closes that swing by 1 around 100, ending at 101.
    fn noise() -> Vec<f64> {
        [99.0, 101.0].repeat(20)
    }

    #[test]
    fn stretched_price_is_faded_until_it_is_back_at_the_mean() {
        let mut closes = noise();
        check(&closes, (0, None));
        closes.push(104.0);
        check(&closes, (-1, Some(Reason::Entry)));
        closes.push(103.5);
        let scalper = check(&closes, (-1, None));
        assert_eq!(scalper.position().map(|p| (p.direction, p.bars_held)), Some((Direction::Short, 0)));
        closes.push(99.0);
        check(&closes, (0, Some(Reason::ExitSignal)));
        closes.push(100.0);
        check(&closes, (0, None));
        let mut fall = noise();
        fall.extend([99.0, 96.0]);
        check(&fall, (1, Some(Reason::Entry)));
    }

    #[test]
    fn two_deviations_are_needed() {
        let stretched = |close: f64| [noise(), vec![close]].concat();
        check(&stretched(102.3), (0, None)); // z = 1.96
        check(&stretched(102.5), (-1, Some(Reason::Entry))); // z = 2.09
    }

    #[test]
    fn trend_is_not_faded_and_warmup_is_silent() {
        let trend: Vec<f64> = (0..40_i32).map(|step| 100.0 + 0.01 * f64::from(step).powi(3)).collect();
        check(&trend, (0, None));
        let mut early = noise()[..29].to_vec();
        early.push(104.0);
        check(&early, (0, None));
        early.insert(0, 101.0);
        check(&early, (-1, Some(Reason::Entry)));
    }

    #[test]
    fn position_is_given_up_after_fifteen_bars_or_at_the_stop() {
        let mut closes = noise();
        closes.push(104.0);
        // A slow climb stays above the mean, so only the clock ends it: entry bar + 15.
        closes.extend((0..16_i32).map(|step| 104.0 + 0.1 * f64::from(step)));
        check(&closes, (0, Some(Reason::TimeExit)));
        let mut jump = noise();
        jump.extend([104.0, 104.0, 120.0]);
        check(&jump, (0, Some(Reason::Stop)));
    }

    #[test]
    fn bad_parameters_are_refused() {
        let params = ScalperParams { entry_z: f64::NAN, ..ScalperParams::default() };
        assert!(Scalper::new(params).is_err());
        let params = ScalperParams { max_efficiency: 0.0, ..ScalperParams::default() };
        assert_eq!(Scalper::new(params).err(), Some(ParameterError { name: "max_efficiency", value: 0.0 }));
    }
}
