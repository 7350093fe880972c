//! tradingAgent: the rule set that an agent's style picks, as one machine per instrument and timeframe.

use super::bar::Bar;
use super::conservative::Conservative;
use super::personality::AnalysisStyle;
use super::scalper::Scalper;
use super::signal::{Position, Signal};
use super::swing::Swing;

/// A bar strategy with its state. All agents of one style on one instrument and timeframe share one.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per instrument and timeframe; a pointer to follow on every bar costs more"
)]
pub enum TradingRules {
    /// Mean reversion on short bars.
    Scalper(Scalper),
    /// Breakouts on long bars.
    Swing(Swing),
    /// Slow averages, sized to a target volatility once a day.
    Conservative(Conservative),
}

impl TradingRules {
    /// The rule set of a style with its default numbers; None for a style that does not trade bars.
    #[must_use]
    pub fn for_style(style: AnalysisStyle) -> Option<Self> {
        match style {
            AnalysisStyle::Scalper => Some(Self::Scalper(Scalper::default())),
            AnalysisStyle::Swing => Some(Self::Swing(Swing::default())),
            AnalysisStyle::Conservative => Some(Self::Conservative(Conservative::default())),
            AnalysisStyle::Value | AnalysisStyle::MarketMaker | AnalysisStyle::LiveExit | AnalysisStyle::ValueMaker => {
                None
            }
        }
    }

    /// Takes one closed bar and says what to hold on the next one. Feed every bar once, in order.
    pub fn on_bar(&mut self, bar: &Bar) -> Signal {
        match self {
            Self::Scalper(rules) => rules.on_bar(bar),
            Self::Swing(rules) => rules.on_bar(bar),
            Self::Conservative(rules) => rules.on_bar(bar),
        }
    }

    /// The model position after the last bar; None while flat or before the entry has filled.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Scalper(rules) => rules.position(),
            Self::Swing(rules) => rules.position(),
            Self::Conservative(rules) => rules.position(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bar::Ohlc;
    use super::*;

    #[test]
    fn style_picks_its_rules_and_they_start_flat() {
        let check = |style: AnalysisStyle, trades_bars: bool| {
            let rules = TradingRules::for_style(style);
            assert_eq!(rules.is_some(), trades_bars, "{style:?}");
            let Some(mut rules) = rules else { return };
            let quiet = Ohlc { open: 1.0, high: 1.0, low: 1.0, close: 1.0 };
            let signal = rules.on_bar(&Bar::from_mid(quiet, 0.0).expect("valid bar"));
            assert!(!signal.changed() && rules.position().is_none());
        };
        check(AnalysisStyle::Scalper, true);
        check(AnalysisStyle::Swing, true);
        check(AnalysisStyle::Conservative, true);
        check(AnalysisStyle::Value, false);
        check(AnalysisStyle::MarketMaker, false);
        check(AnalysisStyle::LiveExit, false);
        check(AnalysisStyle::ValueMaker, false);
    }

    #[test]
    fn machine_is_small_enough_to_keep_one_per_instrument() {
        assert!(size_of::<TradingRules>() <= 1024, "{} bytes", size_of::<TradingRules>());
    }
}
