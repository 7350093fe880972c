//! Flat, entering, open, exiting, flat: the trade cycle that every bar strategy shares.
//!
//! A rule decides at the close of a bar; the position follows at the open of the next one. In between the cycle keeps
//! a model position (entry, stop, bars held) that depends on nothing but the bars seen, so every worker that saw the
//! same bars holds the same one, and one machine per (strategy, instrument, timeframe) serves all agents.

use super::bar::Bar;
use super::signal::{
    ClosedTrade, Direction, ParameterError, Position, Reason, Signal, StopFrom, StopRule, confidence_ppm,
};

/// What a rule wants at the close of a bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Intent {
    /// Leave everything as it is.
    Stay,
    /// Open at the next bar; `atr` is the average true range now, in price units, `confidence` how sure the rule is, 0 to 1.
    Enter { direction: Direction, atr: f64, confidence: f64 },
    /// Close at the next bar.
    Exit(Reason),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Flat,
    Entering { direction: Direction, stop_distance: f64 },
    Open(Position),
    Exiting(Position, Reason),
}

/// The three prices of one moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    bid: f64,
    ask: f64,
    mid: f64,
}

impl Moment {
    fn open(bar: &Bar) -> Self {
        Self { bid: bar.bid().open, ask: bar.ask().open, mid: bar.mid().open }
    }

    fn close(bar: &Bar) -> Self {
        Self { bid: bar.bid().close, ask: bar.ask().close, mid: bar.mid().close }
    }

    fn entry(&self, direction: Direction) -> f64 {
        direction.pick(self.ask, self.bid)
    }

    fn exit(&self, direction: Direction) -> f64 {
        direction.pick(self.bid, self.ask)
    }
}

/// The model position of one strategy on one instrument.
#[derive(Debug, Clone)]
pub(crate) struct TradeCycle {
    stop: StopRule,
    phase: Phase,
    /// How sure the rule was of the last entry.
    confidence_ppm: u32,
}

impl TradeCycle {
    /// Starts flat.
    pub(crate) fn new(stop: StopRule) -> Result<Self, ParameterError> {
        ParameterError::check("atr_multiple", stop.atr_multiple)?;
        Ok(Self { stop, phase: Phase::Flat, confidence_ppm: 0 })
    }

    /// Lets the bar happen to the position: the pending exit or entry at its open, then the stop within it.
    pub(crate) fn advance(&mut self, bar: &Bar) -> Option<ClosedTrade> {
        let open = Moment::open(bar);
        let position = match std::mem::replace(&mut self.phase, Phase::Flat) {
            Phase::Flat => return None,
            Phase::Exiting(position, reason) => {
                return Some(position.close(open.exit(position.direction), reason, position.bars_held + 1));
            }
            Phase::Entering { direction, stop_distance } => Position {
                direction,
                entry_price: open.entry(direction),
                stop_price: Some(self.stop_price(open, direction, stop_distance)),
                bars_held: 0,
            },
            Phase::Open(position) => Position { bars_held: position.bars_held.saturating_add(1), ..position },
        };
        if let Some(fill) = stop_fill(&position, bar) {
            return Some(position.close(fill, Reason::Stop, position.bars_held));
        }
        self.phase = Phase::Open(position);
        None
    }

    /// The open position; between [`Self::advance`] and [`Self::decide`] none is entering or exiting.
    pub(crate) fn position(&self) -> Option<&Position> {
        match &self.phase {
            Phase::Open(position) | Phase::Exiting(position, _) => Some(position),
            Phase::Flat | Phase::Entering { .. } => None,
        }
    }

    /// Takes the rule's intent and says what to hold from now on; `closed` is what [`Self::advance`] gave for this bar.
    ///
    /// An entry without a range to measure the stop by is not taken.
    pub(crate) fn decide(&mut self, bar: &Bar, intent: Intent, closed: Option<ClosedTrade>) -> Signal {
        let close = Moment::close(bar);
        let stopped = closed.filter(|trade| trade.reason == Reason::Stop).map(|trade| trade.reason);
        let idle = Signal {
            target: None,
            reason: stopped,
            reference_price: close.mid,
            stop_price: None,
            exposure: None,
            confidence_ppm: None,
            closed,
        };
        match (self.phase, intent) {
            (Phase::Flat, Intent::Enter { direction, atr, confidence }) if atr.is_finite() && atr > 0.0 => {
                let stop_distance = self.stop.atr_multiple * atr;
                self.phase = Phase::Entering { direction, stop_distance };
                self.confidence_ppm = confidence_ppm(confidence);
                Signal {
                    target: Some(direction),
                    reason: Some(Reason::Entry),
                    reference_price: close.entry(direction),
                    stop_price: Some(self.stop_price(close, direction, stop_distance)),
                    confidence_ppm: Some(self.confidence_ppm),
                    ..idle
                }
            }
            (Phase::Open(position), Intent::Exit(reason)) => {
                self.phase = Phase::Exiting(position, reason);
                Signal { reason: Some(reason), reference_price: close.exit(position.direction), ..idle }
            }
            (Phase::Open(position), Intent::Stay | Intent::Enter { .. }) => Signal {
                target: Some(position.direction),
                stop_price: position.stop_price,
                confidence_ppm: Some(self.confidence_ppm),
                ..idle
            },
            (Phase::Flat | Phase::Entering { .. } | Phase::Exiting(..), _) => idle,
        }
    }

    /// The stop, on the exit side, of an entry at these prices.
    fn stop_price(&self, entry: Moment, direction: Direction, distance: f64) -> f64 {
        let from = match self.stop.measured_from {
            StopFrom::Fill => entry.entry(direction),
            StopFrom::Mid => entry.mid,
        };
        from - direction.sign() * distance
    }
}

/// Where the stop fills when the bar touches it: at the stop, or at the open when the price jumped over it.
fn stop_fill(position: &Position, bar: &Bar) -> Option<f64> {
    let stop = position.stop_price?;
    match position.direction {
        Direction::Long => (bar.bid().low <= stop).then(|| stop.min(bar.bid().open)),
        Direction::Short => (bar.ask().high >= stop).then(|| stop.max(bar.ask().open)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bar::Ohlc;
    use super::*;

    const FROM_FILL: StopRule = StopRule { atr_multiple: 2.0, measured_from: StopFrom::Fill };

    /// A bar with a spread of 2 around these middle prices.
    fn bar(open: f64, high: f64, low: f64, close: f64) -> Bar {
        Bar::from_mid(Ohlc { open, high, low, close }, 1.0).expect("valid bar")
    }

    fn step(cycle: &mut TradeCycle, bar: Bar, intent: Intent) -> Signal {
        let closed = cycle.advance(&bar);
        cycle.decide(&bar, intent, closed)
    }

    #[test]
    fn entry_fills_at_the_next_open_and_the_exit_at_the_one_after_its_signal() {
        let mut cycle = TradeCycle::new(FROM_FILL).expect("valid rule");
        let long = Intent::Enter { direction: Direction::Long, atr: 5.0, confidence: 0.75 };
        let entry = step(&mut cycle, bar(100.0, 101.0, 99.0, 100.0), long);
        assert_eq!((entry.direction(), entry.reason, entry.reference_price), (1, Some(Reason::Entry), 101.0));
        assert_eq!((entry.stop_price, cycle.position()), (Some(91.0), None));
        assert_eq!(entry.confidence_ppm, Some(750_000));
        let held = step(&mut cycle, bar(102.0, 104.0, 101.0, 103.0), Intent::Stay);
        assert_eq!((held.direction(), held.changed(), held.stop_price), (1, false, Some(93.0)));
        assert_eq!(held.confidence_ppm, Some(750_000), "that of the entry");
        let exit = step(&mut cycle, bar(103.0, 108.0, 103.0, 107.0), Intent::Exit(Reason::ExitSignal));
        assert_eq!((exit.direction(), exit.reason, exit.reference_price), (0, Some(Reason::ExitSignal), 106.0));
        assert_eq!(exit.confidence_ppm, None);
        let flat = step(&mut cycle, bar(106.0, 106.0, 106.0, 106.0), Intent::Stay);
        let closed = flat.closed.expect("closed at the open");
        assert_eq!((closed.entry_price, closed.exit_price, closed.bars_held), (103.0, 105.0, 2));
        assert_eq!((flat.direction(), flat.changed()), (0, false));
    }

    #[test]
    fn stop_fills_at_its_price_or_at_the_worse_open() {
        let check = |direction: Direction, next: Bar, fill: f64| {
            let mut cycle = TradeCycle::new(FROM_FILL).expect("valid rule");
            step(&mut cycle, bar(100.0, 100.0, 100.0, 100.0), Intent::Enter { direction, atr: 5.0, confidence: 0.75 });
            step(&mut cycle, bar(100.0, 101.0, 99.0, 100.0), Intent::Stay);
            let signal = step(&mut cycle, next, Intent::Stay);
            let closed = signal.closed.expect("stopped");
            assert_eq!((signal.direction(), signal.reason), (0, Some(Reason::Stop)));
            assert_eq!((closed.exit_price, closed.reason, closed.bars_held), (fill, Reason::Stop, 1));
        };
        // Long from 101: the stop is a bid of 91, so a middle of 92 touches it. Short from 99: an ask of 109.
        check(Direction::Long, bar(100.0, 100.0, 92.0, 95.0), 91.0);
        check(Direction::Long, bar(80.0, 81.0, 79.0, 80.0), 79.0);
        check(Direction::Short, bar(100.0, 108.0, 100.0, 100.0), 109.0);
        check(Direction::Short, bar(120.0, 121.0, 119.0, 120.0), 121.0);
    }

    #[test]
    fn stopped_position_may_enter_again_on_the_same_bar() {
        let mut cycle = TradeCycle::new(StopRule { atr_multiple: 1.0, measured_from: StopFrom::Mid }).expect("valid");
        let long = Intent::Enter { direction: Direction::Long, atr: 5.0, confidence: 0.75 };
        step(&mut cycle, bar(100.0, 100.0, 100.0, 100.0), long);
        let again = step(&mut cycle, bar(100.0, 100.0, 90.0, 92.0), long);
        assert_eq!((again.direction(), again.reason), (1, Some(Reason::Entry)));
        assert_eq!(again.closed.map(|trade| (trade.reason, trade.exit_price)), Some((Reason::Stop, 95.0)));
    }

    #[test]
    fn entry_without_a_range_is_not_taken() {
        let mut cycle = TradeCycle::new(FROM_FILL).expect("valid rule");
        let dead = Intent::Enter { direction: Direction::Short, atr: 0.0, confidence: 0.75 };
        assert!(!step(&mut cycle, bar(100.0, 100.0, 100.0, 100.0), dead).changed());
        assert!(TradeCycle::new(StopRule { atr_multiple: 0.0, measured_from: StopFrom::Mid }).is_err());
    }
}
