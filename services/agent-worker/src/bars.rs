//! Bars as the models see them, and rules started on the bars seen so far. A bar is evaluated once for each rule
//! set that somebody uses on its series, and the signal is kept a while for whoever acts on it.

use crate::roster::Series;
use std::collections::{HashMap, VecDeque};
use tragen_domain::{
    agents::{
        bar::{self, Ohlc},
        personality::AnalysisStyle,
        signal::Signal,
        trading::TradingRules,
    },
    market,
    time::Timestamp,
};

/// Bars with signals that are kept of a series; whoever comes later than that is late anyway.
const RECENT_MAX: usize = 16;

/// One rule set for all agents of a style on a series, and the bars behind it.
#[derive(Debug)]
pub struct BarBook {
    kept: usize,
    history: HashMap<Series, History>,
}

#[derive(Debug, Default)]
struct History {
    bars: VecDeque<bar::Bar>,
    last_start: Option<Timestamp>,
    running: Vec<Running>,
    recent: VecDeque<Evaluated>,
}

#[derive(Debug)]
struct Running {
    style: AnalysisStyle,
    rules: TradingRules,
    /// The direction that was acted on last; `None` before the first.
    acted_on: Option<i8>,
}

/// A bar with something to act on.
#[derive(Debug)]
struct Evaluated {
    start: Timestamp,
    due: Vec<(AnalysisStyle, Signal)>,
}

/// What a bar came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// The bar has not been seen yet.
    NotYet,
    /// What to act on; empty for most bars. A signal that a later bar has replaced is not among them.
    Signals(Vec<(AnalysisStyle, Signal)>),
}

/// Whether a bar may be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It has just closed.
    Live,
    /// It is only looked at.
    History,
}

impl BarBook {
    /// Keeps `kept` bars a series.
    #[must_use]
    pub fn new(kept: usize) -> Self {
        Self { kept, history: HashMap::new() }
    }

    /// Takes a closed bar once, for the rules of `styles` and those begun before. Due are the signals that
    /// change the target, and those of a live bar that differ from what was acted on because the change came with a
    /// bar that was history already. A bar seen before, or older than the last, changes nothing. Returns how many are due;
    /// `None` for prices that no market has.
    pub fn take(&mut self, bar: &market::Bar, styles: impl Iterator<Item = AnalysisStyle>, age: Age) -> Option<usize> {
        let history = self.history.entry((bar.instrument.clone(), bar.timeframe)).or_default();
        if history.last_start.is_some_and(|last| bar.start <= last) {
            return Some(0);
        }
        history.last_start = Some(bar.start);
        let model = model_bar(bar)?;
        history.start_rules(styles);
        let mut due = Vec::new();
        for running in &mut history.running {
            let signal = running.rules.on_bar(&model);
            let is_change = signal.changed() || signal.closed.is_some();
            let is_missed = running.acted_on.is_some_and(|acted_on| acted_on != signal.direction());
            // Whether a change is still acted on, its claim decides; only then nothing was missed.
            if is_change || (age == Age::Live && is_missed) {
                due.push((running.style, signal));
            }
            if age == Age::Live && (is_change || is_missed) {
                running.acted_on = Some(signal.direction());
            }
        }
        history.bars.push_back(model);
        if history.bars.len() > self.kept {
            history.bars.pop_front();
        }
        let count = due.len();
        history.remember(bar.start, due);
        Some(count)
    }

    /// What is to be acted on because of the bar of `series` that starts at `start`.
    #[must_use]
    pub fn due(&self, series: &Series, start: Timestamp) -> Due {
        let Some(history) = self.history.get(series).filter(|known| known.last_start >= Some(start)) else {
            return Due::NotYet;
        };
        let evaluated = history.recent.iter().filter(|evaluated| evaluated.start == start);
        let is_newest = |style: AnalysisStyle| {
            let mut later = history.recent.iter().filter(|evaluated| evaluated.start > start);
            !later.any(|evaluated| evaluated.due.iter().any(|(other, _)| *other == style))
        };
        Due::Signals(evaluated.flat_map(|e| e.due.iter().filter(|(style, _)| is_newest(*style)).cloned()).collect())
    }
}

impl History {
    /// Rules that are new are started on the bars kept.
    fn start_rules(&mut self, styles: impl Iterator<Item = AnalysisStyle>) {
        for style in styles {
            if self.running.iter().any(|running| running.style == style) {
                continue;
            }
            let Some(mut rules) = TradingRules::for_style(style) else { continue };
            for bar in &self.bars {
                rules.on_bar(bar);
            }
            self.running.push(Running { style, rules, acted_on: None });
        }
    }

    fn remember(&mut self, start: Timestamp, due: Vec<(AnalysisStyle, Signal)>) {
        if due.is_empty() {
            return;
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Evaluated { start, due });
    }
}

/// Micros as the model's floating-point number; estimates only, never money.
#[expect(clippy::cast_precision_loss, reason = "models work on estimates; 2^53 micros are nine thousand million")]
pub(crate) fn as_units(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// A bar as the rules see it; `None` for prices that no market has.
#[must_use]
pub fn model_bar(bar: &market::Bar) -> Option<bar::Bar> {
    let ohlc = |side: &market::Ohlc| Ohlc {
        open: as_units(side.open.micros()),
        high: as_units(side.high.micros()),
        low: as_units(side.low.micros()),
        close: as_units(side.close.micros()),
    };
    let model = bar::Bar::from_bid_ask(ohlc(&bar.bid), ohlc(&bar.ask)).ok()?;
    Some(model.uncrossed().on_day(bar.start.utc_day()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::{id::InstrumentId, market::Timeframe, money::Price};

    fn bar(number: i64, close: i64) -> market::Bar {
        let side = |close: i64| market::Ohlc {
            open: Price::from_micros(close),
            high: Price::from_micros(close + 50),
            low: Price::from_micros(close - 50),
            close: Price::from_micros(close),
        };
        market::Bar {
            instrument: InstrumentId::new("GBPUSD").expect("an id"),
            timeframe: Timeframe::Minute1,
            start: Timestamp::from_micros(number * 60_000_000),
            bid: side(close),
            ask: side(close + 10),
            published_at: Timestamp::from_micros(number * 60_000_000),
        }
    }

    fn series() -> Series {
        (InstrumentId::new("GBPUSD").expect("an id"), Timeframe::Minute1)
    }

    fn scalper() -> impl Iterator<Item = AnalysisStyle> {
        std::iter::once(AnalysisStyle::Scalper)
    }

    /// A market that goes nowhere, then a fall that the scalper fades, in bar 60.
    fn fallen(age_of_the_fall: Age) -> BarBook {
        let mut book = BarBook::new(400);
        for number in 0..60 {
            assert_eq!(book.take(&bar(number, 1_500_000 + (number % 2) * 200), scalper(), Age::Live), Some(0));
        }
        book.take(&bar(60, 1_499_500), scalper(), age_of_the_fall);
        book
    }

    fn directions(due: Due) -> Vec<i8> {
        match due {
            Due::NotYet => panic!("the bar was seen"),
            Due::Signals(signals) => signals.iter().map(|(_, signal)| signal.direction()).collect(),
        }
    }

    #[test]
    fn a_bar_is_due_once_it_was_seen_and_only_where_the_target_changed() {
        let start = |number: i64| bar(number, 1).start;
        let book = fallen(Age::Live);
        assert_eq!(directions(book.due(&series(), start(60))), [1]);
        assert!(directions(book.due(&series(), start(59))).is_empty());
        assert_eq!(book.due(&series(), start(61)), Due::NotYet);
        assert_eq!(book.due(&(series().0, Timeframe::Hour1), start(60)), Due::NotYet);
    }

    #[test]
    fn a_change_that_came_as_history_is_due_with_the_next_live_bar_of_rules_that_have_acted() {
        let mut book = fallen(Age::Live);
        // The position is closed by time or target within some bars; all of it happens unseen.
        let closes = (61..100).map(|number| bar(number, 1_500_100));
        let changes: usize = closes.filter_map(|late| book.take(&late, scalper(), Age::History)).sum();
        assert!(changes > 0, "the position is closed some time");
        assert_eq!(book.take(&bar(100, 1_500_100), scalper(), Age::Live), Some(1));
        assert_eq!(directions(book.due(&series(), bar(100, 1).start)), [0]);
    }

    #[test]
    fn a_bar_with_impossible_prices_is_refused_and_has_been_seen() {
        let mut book = BarBook::new(400);
        let mut bad = bar(1, 1_500_000);
        bad.bid.high = Price::from_micros(1);
        assert_eq!(book.take(&bad, scalper(), Age::Live), None);
        assert!(directions(book.due(&series(), bad.start)).is_empty());
    }

    #[test]
    fn a_bar_seen_again_changes_nothing_and_a_replaced_signal_is_not_due() {
        let mut book = fallen(Age::Live);
        assert_eq!(book.take(&bar(60, 1_400_000), scalper(), Age::Live), Some(0));
        let mut number = 61;
        while book.take(&bar(number, 1_500_100), scalper(), Age::Live) == Some(0) {
            number += 1;
            assert!(number < 100, "the position is closed some time");
        }
        assert!(directions(book.due(&series(), bar(60, 1).start)).is_empty(), "bar {number} has replaced it");
        assert_eq!(directions(book.due(&series(), bar(number, 1).start)), [0]);
    }
}
