//! How bold an agent is: one number from 1 to 10 becomes risk, stake, edge and confidence.
//!
//! The products are exact integers (parts per million, basis points), so that every service reads the same limit.

/// Most trades a personality may ask for in one UTC day.
pub const MAX_TRADES_PER_DAY: u32 = 10_000;
/// The share of capital that no personality risks on one trade, in parts per million (2 %).
pub const MAX_RISK_PER_TRADE_PPM: u32 = 20_000;
/// The Kelly multiplier that no personality passes, in parts per million (a quarter).
pub const MAX_KELLY_MULTIPLIER_PPM: u32 = 250_000;

/// What an agent looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnalysisStyle {
    /// Short bars, against stretched prices.
    Scalper,
    /// Long bars, with breakouts.
    Swing,
    /// Prediction markets, where the quote is below the fair probability.
    Value,
    /// Slow averages, sized to a target volatility once a day.
    Conservative,
    /// Prediction markets, quoting both sides around the fair probability.
    MarketMaker,
    /// Prediction markets in play, leaving what is held.
    LiveExit,
    /// Prediction markets, where the quote is below the fair probability or a resting bid would be.
    ValueMaker,
}

impl AnalysisStyle {
    /// Every rule set.
    pub const ALL: [Self; 7] = [
        Self::Scalper,
        Self::Swing,
        Self::Value,
        Self::Conservative,
        Self::MarketMaker,
        Self::LiveExit,
        Self::ValueMaker,
    ];

    /// Its name; also the pool of agents that name none.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalper => "scalper",
            Self::Swing => "swing",
            Self::Value => "value",
            Self::Conservative => "conservative",
            Self::MarketMaker => "market_maker",
            Self::LiveExit => "live_exit",
            Self::ValueMaker => "value_maker",
        }
    }
}

/// Why a personality cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PersonalityError {
    /// Risk tolerance is 1 to 10.
    #[error("the risk tolerance {requested} is outside 1..=10")]
    RiskToleranceOutOfRange {
        /// The number as given.
        requested: u8,
    },
    /// An agent trades at least once a day and at most [`MAX_TRADES_PER_DAY`] times.
    #[error("{requested} trades per day is outside 1..={limit}")]
    TradesPerDayOutOfRange {
        /// The number as given.
        requested: u32,
        /// [`MAX_TRADES_PER_DAY`].
        limit: u32,
    },
}

/// A checked personality.
///
/// ```
/// use tragen_domain::agents::personality::{AnalysisStyle, Personality};
/// let bold = Personality::new(7, AnalysisStyle::Swing, 20)?;
/// assert_eq!(bold.risk_per_trade_ppm(), 13_000); // 1.3 % of the capital
/// assert_eq!(bold.min_edge_bps(), 450); // 4.5 %
/// # Ok::<(), tragen_domain::agents::personality::PersonalityError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Personality {
    risk_tolerance: u8,
    style: AnalysisStyle,
    max_trades_per_day: u32,
}

impl Personality {
    /// Checks the numbers. `max_trades_per_day` counts accepted orders in one UTC day.
    ///
    /// # Errors
    /// [`PersonalityError`] when a number is out of range.
    pub fn new(risk_tolerance: u8, style: AnalysisStyle, max_trades_per_day: u32) -> Result<Self, PersonalityError> {
        if !(1..=10).contains(&risk_tolerance) {
            return Err(PersonalityError::RiskToleranceOutOfRange { requested: risk_tolerance });
        }
        if !(1..=MAX_TRADES_PER_DAY).contains(&max_trades_per_day) {
            let limit = MAX_TRADES_PER_DAY;
            return Err(PersonalityError::TradesPerDayOutOfRange { requested: max_trades_per_day, limit });
        }
        Ok(Self { risk_tolerance, style, max_trades_per_day })
    }

    /// 1 (careful) to 10 (bold).
    #[must_use]
    pub fn risk_tolerance(&self) -> u8 {
        self.risk_tolerance
    }

    /// What the agent looks at.
    #[must_use]
    pub fn style(&self) -> AnalysisStyle {
        self.style
    }

    /// Most accepted orders in one UTC day.
    #[must_use]
    pub fn max_trades_per_day(&self) -> u32 {
        self.max_trades_per_day
    }

    /// Share of the capital to lose when the stop is hit, in parts per million: 0.25 % + 0.175 % (r - 1).
    #[must_use]
    pub fn risk_per_trade_ppm(&self) -> u32 {
        (2_500 + 1_750 * u32::from(self.risk_tolerance - 1)).min(MAX_RISK_PER_TRADE_PPM)
    }

    /// Share of the full Kelly stake, in parts per million: 0.05 r, at most a quarter.
    #[must_use]
    pub fn kelly_multiplier_ppm(&self) -> u32 {
        (50_000 * u32::from(self.risk_tolerance)).min(MAX_KELLY_MULTIPLIER_PPM)
    }

    /// Smallest edge after ask and fee worth a trade, in basis points of the cost: 8 % - 0.5 % r.
    #[must_use]
    pub fn min_edge_bps(&self) -> u32 {
        800 - 50 * u32::from(self.risk_tolerance)
    }

    /// Smallest confidence worth a trade, in parts per million: 0.80 - 0.03 r, so 0.77 for the most careful and 0.50 for
    /// the boldest. A decision with less opens nothing; closing needs none. What a confidence is:
    ///
    /// | rule set | confidence |
    /// |---|---|
    /// | scalper | 1 - efficiency ratio of 10 bars: 0.5 at the most trend it bears, 1 in pure noise |
    /// | swing | average directional index / 40, at most 1: 0.5 at the least trend it asks for |
    /// | conservative | share of its three conditions that hold: two thirds, or all |
    /// | value | share of the match's books and three quotes that could be used |
    /// | market maker | share of the match's books that could be used for the fair price |
    #[must_use]
    pub fn min_confidence_ppm(&self) -> u32 {
        800_000 - 30_000 * u32::from(self.risk_tolerance)
    }

    /// [`Self::risk_per_trade_ppm`] as a ratio, for estimates.
    #[must_use]
    pub fn risk_per_trade(&self) -> f64 {
        f64::from(self.risk_per_trade_ppm()) / 1e6
    }

    /// [`Self::kelly_multiplier_ppm`] as a ratio, for estimates.
    #[must_use]
    pub fn kelly_multiplier(&self) -> f64 {
        f64::from(self.kelly_multiplier_ppm()) / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_tolerance_sets_every_number() {
        let check = |r: u8, risk_ppm: u32, kelly_ppm: u32, edge_bps: u32, confidence_ppm: u32| {
            let agent = Personality::new(r, AnalysisStyle::Scalper, 1).expect("valid personality");
            let got = (agent.risk_per_trade_ppm(), agent.kelly_multiplier_ppm(), agent.min_edge_bps());
            assert_eq!(got, (risk_ppm, kelly_ppm, edge_bps), "risk tolerance {r}");
            assert_eq!(agent.min_confidence_ppm(), confidence_ppm, "risk tolerance {r}");
        };
        check(7, 13_000, 250_000, 450, 590_000);
        check(1, 2_500, 50_000, 750, 770_000);
        check(2, 4_250, 100_000, 700, 740_000);
        check(4, 7_750, 200_000, 600, 680_000);
        check(5, 9_500, 250_000, 550, 650_000);
        check(10, 18_250, 250_000, 300, 500_000);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let check = |r: u8, trades: u32, expected: PersonalityError| {
            assert_eq!(Personality::new(r, AnalysisStyle::Value, trades), Err(expected));
        };
        check(0, 1, PersonalityError::RiskToleranceOutOfRange { requested: 0 });
        check(11, 1, PersonalityError::RiskToleranceOutOfRange { requested: 11 });
        check(5, 0, PersonalityError::TradesPerDayOutOfRange { requested: 0, limit: MAX_TRADES_PER_DAY });
        check(5, 10_001, PersonalityError::TradesPerDayOutOfRange { requested: 10_001, limit: MAX_TRADES_PER_DAY });
        assert!(Personality::new(5, AnalysisStyle::Value, MAX_TRADES_PER_DAY).is_ok());
    }

    #[test]
    fn ratios_are_the_integers_over_a_million() {
        let agent = Personality::new(2, AnalysisStyle::Value, 5).expect("valid personality");
        assert!((agent.risk_per_trade() - 0.004_25).abs() < 1e-15 && (agent.kelly_multiplier() - 0.1).abs() < 1e-15);
        assert_eq!(agent.min_confidence_ppm(), 740_000);
        assert_eq!((agent.risk_tolerance(), agent.style(), agent.max_trades_per_day()), (2, AnalysisStyle::Value, 5));
    }
}
