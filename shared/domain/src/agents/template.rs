//! Templates of configured agents: a name stands for a strategy with numbers that fit it, and whoever uses it
//! overrides what should be different.

use super::personality::AnalysisStyle;
use crate::market::Timeframe;

/// A named starting point.
///
/// ```
/// use tragen_domain::agents::template::Template;
/// let template = Template::parse("scalping").expect("known");
/// assert_eq!((template.values().risk_tolerance, template.values().timeframe.as_str()), (5, "1m"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Many small trades on one-minute bars.
    Scalping,
    /// Few trades on four-hour bars.
    Swing,
    /// Trends on daily bars at a steady volatility, for those who cannot lose much.
    Conservative,
    /// Quotes on both sides of match outcomes.
    MarketMaking,
    /// Scalping at the upper end of the risk scale.
    BoldScalping,
    /// Outcomes of matches below their fair price.
    ValueBettor,
    /// Leaves what an account holds of matches in play.
    LiveExit,
    /// Outcomes of matches below their fair price, at the ask or as a bid that waits.
    PatientBettor,
}

/// What a template stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateValues {
    /// The rule set.
    pub style: AnalysisStyle,
    /// Length of its bars.
    pub timeframe: Timeframe,
    /// 1 (careful) to 10 (bold).
    pub risk_tolerance: u8,
    /// Most accepted orders in one UTC day.
    pub max_trades_per_day: u32,
}

impl Template {
    /// Every template, in the order they are listed to people.
    pub const ALL: [Self; 8] = [
        Self::Scalping,
        Self::BoldScalping,
        Self::Swing,
        Self::Conservative,
        Self::MarketMaking,
        Self::ValueBettor,
        Self::LiveExit,
        Self::PatientBettor,
    ];

    /// Its name in files and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalping => "scalping",
            Self::Swing => "swing",
            Self::Conservative => "conservative",
            Self::MarketMaking => "market_making",
            Self::BoldScalping => "bold_scalping",
            Self::ValueBettor => "value_bettor",
            Self::LiveExit => "live_exit",
            Self::PatientBettor => "patient_bettor",
        }
    }

    /// The template called `name`; `None` if there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == name)
    }

    /// What it stands for. The trades a day are what the rule set asks for on one instrument on a lively day, times two.
    #[must_use]
    pub const fn values(self) -> TemplateValues {
        let (style, timeframe, risk_tolerance, max_trades_per_day) = match self {
            Self::Scalping => (AnalysisStyle::Scalper, Timeframe::Minute1, 5, 200),
            Self::Swing => (AnalysisStyle::Swing, Timeframe::Hour4, 5, 20),
            Self::Conservative => (AnalysisStyle::Conservative, Timeframe::Day1, 3, 5),
            Self::MarketMaking => (AnalysisStyle::MarketMaker, Timeframe::Minute1, 4, 2_000),
            Self::BoldScalping => (AnalysisStyle::Scalper, Timeframe::Minute1, 9, 500),
            Self::ValueBettor => (AnalysisStyle::Value, Timeframe::Day1, 5, 20),
            Self::LiveExit => (AnalysisStyle::LiveExit, Timeframe::Minute1, 5, 500),
            Self::PatientBettor => (AnalysisStyle::ValueMaker, Timeframe::Minute5, 5, 600),
        };
        TemplateValues { style, timeframe, risk_tolerance, max_trades_per_day }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::personality::Personality;

    #[test]
    fn every_template_is_a_personality_that_may_exist_and_is_found_by_its_name() {
        for template in Template::ALL {
            let values = template.values();
            let personality = Personality::new(values.risk_tolerance, values.style, values.max_trades_per_day);
            assert!(personality.is_ok(), "{}: {personality:?}", template.as_str());
            assert_eq!(Template::parse(template.as_str()), Some(template));
        }
        assert_eq!(Template::parse("Scalping"), None);
    }
}
