//! Bars as the models see them, and rules started on the bars seen so far.

use std::collections::{HashMap, VecDeque};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{bar, personality::AnalysisStyle, signal::Signal, trading::TradingRules},
    id::InstrumentId,
    market::{self, Timeframe},
    time::Timestamp,
};

/// What bars are of.
pub(crate) type Series = (InstrumentId, Timeframe);

/// One rule set for all agents of a style on a series, and the bars behind it.
#[derive(Debug)]
pub(crate) struct BarBook {
    kept: usize,
    history: HashMap<Series, History>,
}

#[derive(Debug, Default)]
struct History {
    bars: VecDeque<bar::Bar>,
    last_start: Option<Timestamp>,
    scalper: Option<Running>,
    swing: Option<Running>,
    conservative: Option<Running>,
}

#[derive(Debug)]
struct Running {
    rules: TradingRules,
    /// The direction that was acted on last; `None` before the first.
    acted_on: Option<i8>,
}

impl BarBook {
    /// Keeps `kept` bars a series.
    pub(crate) fn new(kept: usize) -> Self {
        Self { kept, history: HashMap::new() }
    }

    /// Takes a closed bar once and gives the signals to act on: those of a live
    /// bar that change the target, or that differ from what was acted on because
    /// the change came with a bar that was history already. A bar seen before, or
    /// older than the last, changes nothing.
    pub(crate) fn take(
        &mut self,
        bar: &market::Bar,
        styles: &[AnalysisStyle],
        age: Age,
    ) -> Vec<(AnalysisStyle, Signal)> {
        let Ok(model) = bar::Bar::seen(bar) else { return Vec::new() };
        let history = self.history.entry((bar.instrument.clone(), bar.timeframe)).or_default();
        if history.last_start.is_some_and(|last| bar.start <= last) {
            return Vec::new();
        }
        history.last_start = Some(bar.start);
        let mut due = Vec::new();
        for style in styles {
            let Some(running) = history.running(*style) else { continue };
            let signal = running.rules.on_bar(&model);
            let is_change = signal.changed() || signal.closed.is_some();
            let is_missed = running.acted_on.is_some_and(|acted_on| acted_on != signal.direction());
            if age == Age::Live && (is_change || is_missed) {
                running.acted_on = Some(signal.direction());
                due.push((*style, signal));
            }
        }
        history.bars.push_back(model);
        if history.bars.len() > self.kept {
            history.bars.pop_front();
        }
        due
    }
}

/// Whether a bar may be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// It has just closed.
    Live,
    /// It is only looked at.
    History,
}

impl History {
    /// The style's rules, started on the bars kept if they are new.
    fn running(&mut self, style: AnalysisStyle) -> Option<&mut Running> {
        let slot = match style {
            AnalysisStyle::Scalper => &mut self.scalper,
            AnalysisStyle::Swing => &mut self.swing,
            AnalysisStyle::Conservative => &mut self.conservative,
            AnalysisStyle::Value | AnalysisStyle::MarketMaker => return None,
        };
        if slot.is_none() {
            let mut rules = TradingRules::for_style(style)?;
            for bar in &self.bars {
                rules.on_bar(bar);
            }
            *slot = Some(Running { rules, acted_on: None });
        }
        slot.as_mut()
    }
}

/// The rule set of a configured strategy.
pub(crate) const fn style_of(strategy: v1::Strategy) -> Option<AnalysisStyle> {
    match strategy {
        v1::Strategy::Scalper => Some(AnalysisStyle::Scalper),
        v1::Strategy::Swing => Some(AnalysisStyle::Swing),
        v1::Strategy::Value => Some(AnalysisStyle::Value),
        v1::Strategy::Unspecified => None,
    }
}

/// Micros as the model's floating-point number; estimates only, never money.
#[expect(clippy::cast_precision_loss, reason = "models work on estimates; 2^53 micros are nine thousand million")]
pub(crate) fn as_units(micros: i64) -> f64 {
    micros as f64 / 1e6
}
