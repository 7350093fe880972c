//! Limits that can be changed while the gate runs: a closed set of names with
//! units, a value for everybody and values of their own for single ids.

mod whose;

pub use whose::Whose;

use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A limit by name. Its value is in the unit at the end of its name: parts per
/// million, micros of the currency, milliseconds, or a count. 0 switches it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitName {
    /// Least confidence of a configured agent's proposal, where it gives one; by agent. Off.
    AgentConfidenceMinPpm,
    /// Most an order of a tier may be worth; by tier. Off.
    TierOrderValueMaxMicros,
    /// What an order must leave spendable, of what the wallet started with. The origin's 200,000 is off by default: a user who means to invest all of a small deposit could not.
    WalletFloorPpm,
    /// Most one order may cost, of the account's capital; by account. The origin's 50,000 is off by default: an account of 100 dollars could not place an order of 10.
    TradeMaxPpm,
    /// Most the account may have in one match, of its capital; by account. The origin's 200,000 is off by default, for the same reason.
    MatchMaxPpm,
    /// Most the house may lose at the stops of everything open, of its capital.
    OpenRiskMaxPpm,
    /// What a margined position counts as loss at its stop, of its notional: orders carry no stop, and 2 % is about three times the 14-day average true range of a major currency pair.
    MarginedRiskPpm,
    /// Most of the house's capital in one pool or strategy; by pool.
    PoolExposureMaxPpm,
    /// Most of the house's capital in one timeframe; by timeframe.
    TimeframeExposureMaxPpm,
    /// Most of the house's capital in one configured agent; by agent. Off.
    AgentExposureMaxPpm,
    /// Most of the house's capital with agents that move together, each pair of them by a correlation of `correlated_pair_ppm` or more, or through others. Off.
    CompanyExposureMaxPpm,
    /// Most of the house's capital in one instrument; by instrument. Off.
    InstrumentExposureMaxPpm,
    /// Most of the house's capital in one match; by match. Off.
    HouseMatchExposureMaxPpm,
    /// Most of the house's capital in one cluster of correlated instruments; by cluster. Off.
    ClusterExposureMaxPpm,
    /// Most increasing orders of one configured agent in any second; by agent. Off.
    AgentOrdersPerSecondMax,
    /// Most increasing orders of one account in any second; by account. Off: the router has limits of its own.
    AccountOrdersPerSecondMax,
    /// Most increasing orders of the house in any second. Off.
    HouseOrdersPerSecondMax,
    /// Most orders of one account in any second that open nothing; by account. A budget of its own, so that a burst of entries never blocks an exit. Off.
    ReducingOrdersPerSecondMax,
    /// Most cancels of one account in any second that go to the venue; by account. A budget of its own, so that no burst of orders ever keeps one from being taken back; what a halt cancels is not counted. Off: the router has a limit of its own.
    CancelsPerSecondMax,
    /// Loss of the day at which a configured agent is halted, of its capital at the start of the day.
    AgentLossHaltPpm,
    /// Loss of the day at which the house only reduces, of its equity at the start of the day.
    DayLossReducePpm,
    /// Loss of the month at which the house is halted, of its equity at the start of the month.
    MonthLossHaltPpm,
    /// Loss from its peak at which the house is halted, of the peak.
    DrawdownHaltPpm,
    /// Risk-weighted correlation of the agents at which the house only reduces.
    CorrelationReducePpm,
    /// Share of failed calls to the venue at which nothing is opened for a while.
    VenueFailuresPausePpm,
    /// Share of its memory limit at which the guard asks for smaller pools.
    MemoryScaleDownPpm,
    /// Closed trades in a row with a loss at which an agent is halted; by agent. The origin's 5 is off by default.
    ConsecutiveLossesHaltMax,
    /// Change of the reference price from one quote to the next at which nothing of the instrument is opened for a while; by instrument. Off.
    PriceJumpPausePpm,
    /// Age of an instrument's newest quote that is worth an alert, milliseconds; orders on it are denied as stale by themselves. Off.
    FeedAgeWarnMs,
}

/// What a limit may be set to.
const PPM_MAX: i64 = 1_000_000;

impl LimitName {
    /// Every limit.
    pub const ALL: [Self; 29] = [
        Self::AgentConfidenceMinPpm,
        Self::TierOrderValueMaxMicros,
        Self::WalletFloorPpm,
        Self::TradeMaxPpm,
        Self::MatchMaxPpm,
        Self::OpenRiskMaxPpm,
        Self::MarginedRiskPpm,
        Self::PoolExposureMaxPpm,
        Self::TimeframeExposureMaxPpm,
        Self::AgentExposureMaxPpm,
        Self::CompanyExposureMaxPpm,
        Self::InstrumentExposureMaxPpm,
        Self::HouseMatchExposureMaxPpm,
        Self::ClusterExposureMaxPpm,
        Self::AgentOrdersPerSecondMax,
        Self::AccountOrdersPerSecondMax,
        Self::HouseOrdersPerSecondMax,
        Self::ReducingOrdersPerSecondMax,
        Self::CancelsPerSecondMax,
        Self::AgentLossHaltPpm,
        Self::DayLossReducePpm,
        Self::MonthLossHaltPpm,
        Self::DrawdownHaltPpm,
        Self::CorrelationReducePpm,
        Self::VenueFailuresPausePpm,
        Self::MemoryScaleDownPpm,
        Self::ConsecutiveLossesHaltMax,
        Self::PriceJumpPausePpm,
        Self::FeedAgeWarnMs,
    ];

    /// As written in configuration and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentConfidenceMinPpm => "agent_confidence_min_ppm",
            Self::TierOrderValueMaxMicros => "tier_order_value_max_micros",
            Self::WalletFloorPpm => "wallet_floor_ppm",
            Self::TradeMaxPpm => "trade_max_ppm",
            Self::MatchMaxPpm => "match_max_ppm",
            Self::OpenRiskMaxPpm => "open_risk_max_ppm",
            Self::MarginedRiskPpm => "margined_risk_ppm",
            Self::PoolExposureMaxPpm => "pool_exposure_max_ppm",
            Self::TimeframeExposureMaxPpm => "timeframe_exposure_max_ppm",
            Self::AgentExposureMaxPpm => "agent_exposure_max_ppm",
            Self::CompanyExposureMaxPpm => "company_exposure_max_ppm",
            Self::InstrumentExposureMaxPpm => "instrument_exposure_max_ppm",
            Self::HouseMatchExposureMaxPpm => "house_match_exposure_max_ppm",
            Self::ClusterExposureMaxPpm => "cluster_exposure_max_ppm",
            Self::AgentOrdersPerSecondMax => "agent_orders_per_second_max",
            Self::AccountOrdersPerSecondMax => "account_orders_per_second_max",
            Self::HouseOrdersPerSecondMax => "house_orders_per_second_max",
            Self::ReducingOrdersPerSecondMax => "reducing_orders_per_second_max",
            Self::CancelsPerSecondMax => "cancels_per_second_max",
            Self::AgentLossHaltPpm => "agent_loss_halt_ppm",
            Self::DayLossReducePpm => "day_loss_reduce_ppm",
            Self::MonthLossHaltPpm => "month_loss_halt_ppm",
            Self::DrawdownHaltPpm => "drawdown_halt_ppm",
            Self::CorrelationReducePpm => "correlation_reduce_ppm",
            Self::VenueFailuresPausePpm => "venue_failures_pause_ppm",
            Self::MemoryScaleDownPpm => "memory_scale_down_ppm",
            Self::ConsecutiveLossesHaltMax => "consecutive_losses_halt_max",
            Self::PriceJumpPausePpm => "price_jump_pause_ppm",
            Self::FeedAgeWarnMs => "feed_age_warn_ms",
        }
    }

    /// The limit written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// Its value when nobody says; 0 is off.
    #[must_use]
    pub const fn default_value(self) -> i64 {
        match self {
            Self::AgentConfidenceMinPpm
            | Self::TierOrderValueMaxMicros
            | Self::WalletFloorPpm
            | Self::TradeMaxPpm
            | Self::MatchMaxPpm
            | Self::AgentExposureMaxPpm
            | Self::CompanyExposureMaxPpm
            | Self::InstrumentExposureMaxPpm
            | Self::HouseMatchExposureMaxPpm
            | Self::ClusterExposureMaxPpm
            | Self::AgentOrdersPerSecondMax
            | Self::AccountOrdersPerSecondMax
            | Self::HouseOrdersPerSecondMax
            | Self::ReducingOrdersPerSecondMax
            | Self::CancelsPerSecondMax
            | Self::ConsecutiveLossesHaltMax
            | Self::PriceJumpPausePpm
            | Self::FeedAgeWarnMs => 0,
            Self::OpenRiskMaxPpm | Self::MarginedRiskPpm => 20_000,
            Self::PoolExposureMaxPpm => 300_000,
            Self::TimeframeExposureMaxPpm => 400_000,
            Self::AgentLossHaltPpm => 30_000,
            Self::DayLossReducePpm => 50_000,
            Self::MonthLossHaltPpm => 150_000,
            Self::DrawdownHaltPpm | Self::VenueFailuresPausePpm => 100_000,
            Self::CorrelationReducePpm | Self::MemoryScaleDownPpm => 900_000,
        }
    }

    /// The largest value that makes sense.
    #[must_use]
    pub const fn value_max(self) -> i64 {
        match self {
            Self::AgentConfidenceMinPpm
            | Self::WalletFloorPpm
            | Self::TradeMaxPpm
            | Self::MatchMaxPpm
            | Self::OpenRiskMaxPpm
            | Self::MarginedRiskPpm
            | Self::PoolExposureMaxPpm
            | Self::TimeframeExposureMaxPpm
            | Self::AgentExposureMaxPpm
            | Self::CompanyExposureMaxPpm
            | Self::InstrumentExposureMaxPpm
            | Self::HouseMatchExposureMaxPpm
            | Self::ClusterExposureMaxPpm
            | Self::AgentLossHaltPpm
            | Self::DayLossReducePpm
            | Self::MonthLossHaltPpm
            | Self::DrawdownHaltPpm
            | Self::VenueFailuresPausePpm
            | Self::MemoryScaleDownPpm
            | Self::PriceJumpPausePpm
            | Self::CorrelationReducePpm => PPM_MAX,
            Self::TierOrderValueMaxMicros
            | Self::AgentOrdersPerSecondMax
            | Self::AccountOrdersPerSecondMax
            | Self::HouseOrdersPerSecondMax
            | Self::ReducingOrdersPerSecondMax
            | Self::CancelsPerSecondMax
            | Self::ConsecutiveLossesHaltMax
            | Self::FeedAgeWarnMs => i64::MAX,
        }
    }

    const fn is_least(self) -> bool {
        match self {
            Self::AgentConfidenceMinPpm | Self::WalletFloorPpm | Self::MarginedRiskPpm => true,
            Self::TierOrderValueMaxMicros
            | Self::TradeMaxPpm
            | Self::MatchMaxPpm
            | Self::OpenRiskMaxPpm
            | Self::PoolExposureMaxPpm
            | Self::TimeframeExposureMaxPpm
            | Self::AgentExposureMaxPpm
            | Self::CompanyExposureMaxPpm
            | Self::InstrumentExposureMaxPpm
            | Self::HouseMatchExposureMaxPpm
            | Self::ClusterExposureMaxPpm
            | Self::AgentOrdersPerSecondMax
            | Self::AccountOrdersPerSecondMax
            | Self::HouseOrdersPerSecondMax
            | Self::ReducingOrdersPerSecondMax
            | Self::CancelsPerSecondMax
            | Self::AgentLossHaltPpm
            | Self::DayLossReducePpm
            | Self::MonthLossHaltPpm
            | Self::DrawdownHaltPpm
            | Self::CorrelationReducePpm
            | Self::VenueFailuresPausePpm
            | Self::MemoryScaleDownPpm
            | Self::ConsecutiveLossesHaltMax
            | Self::PriceJumpPausePpm
            | Self::FeedAgeWarnMs => false,
        }
    }

    /// Whether going from `from` to `to` allows more than before; off allows everything.
    ///
    /// ```
    /// use tragen_domain::risk::LimitName;
    /// assert!(LimitName::DayLossReducePpm.is_loosened(50_000, 60_000));
    /// assert!(LimitName::DayLossReducePpm.is_loosened(50_000, 0));
    /// assert!(!LimitName::DayLossReducePpm.is_loosened(0, 50_000));
    /// assert!(LimitName::WalletFloorPpm.is_loosened(200_000, 100_000));
    /// assert!(LimitName::MarginedRiskPpm.is_loosened(0, 20_000), "off, all of a margined position is at risk");
    /// assert!(!LimitName::MarginedRiskPpm.is_loosened(20_000, 0));
    /// assert!(LimitName::MarginedRiskPpm.is_loosened(20_000, 10_000));
    /// ```
    #[must_use]
    pub const fn is_loosened(self, from: i64, to: i64) -> bool {
        match (from, to) {
            (0, to) if matches!(self, Self::MarginedRiskPpm) => to != 0 && to < PPM_MAX,
            (_, 0) if matches!(self, Self::MarginedRiskPpm) => false,
            (0, _) => false,
            (_, 0) => true,
            (from, to) if self.is_least() => to < from,
            (from, to) => to > from,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::AgentConfidenceMinPpm => 0,
            Self::TierOrderValueMaxMicros => 1,
            Self::WalletFloorPpm => 2,
            Self::TradeMaxPpm => 3,
            Self::MatchMaxPpm => 4,
            Self::OpenRiskMaxPpm => 5,
            Self::MarginedRiskPpm => 6,
            Self::PoolExposureMaxPpm => 7,
            Self::TimeframeExposureMaxPpm => 8,
            Self::AgentExposureMaxPpm => 9,
            Self::CompanyExposureMaxPpm => 10,
            Self::InstrumentExposureMaxPpm => 11,
            Self::HouseMatchExposureMaxPpm => 12,
            Self::ClusterExposureMaxPpm => 13,
            Self::AgentOrdersPerSecondMax => 14,
            Self::AccountOrdersPerSecondMax => 15,
            Self::HouseOrdersPerSecondMax => 16,
            Self::ReducingOrdersPerSecondMax => 17,
            Self::CancelsPerSecondMax => 18,
            Self::AgentLossHaltPpm => 19,
            Self::DayLossReducePpm => 20,
            Self::MonthLossHaltPpm => 21,
            Self::DrawdownHaltPpm => 22,
            Self::CorrelationReducePpm => 23,
            Self::VenueFailuresPausePpm => 24,
            Self::MemoryScaleDownPpm => 25,
            Self::ConsecutiveLossesHaltMax => 26,
            Self::PriceJumpPausePpm => 27,
            Self::FeedAgeWarnMs => 28,
        }
    }
}

/// The values of all limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    values: [i64; LimitName::ALL.len()],
    /// For single ids: a pool's, an agent's, an account's ...
    own: BTreeMap<LimitName, BTreeMap<String, i64>>,
}

/// One limit set to another value, by whom and why; journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitChange {
    /// Which limit.
    pub name: LimitName,
    /// Whose; empty for everybody who has none of his own.
    pub id: String,
    /// The value from now on; 0 is off.
    pub value: i64,
    /// Who changed it: two principals if it was loosened.
    pub changed_by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: Timestamp,
}

/// A value that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// There is no such limit.
    #[error("there is no limit {key}")]
    Unknown {
        /// As written.
        key: String,
    },
    /// The value is out of range.
    #[error("{key} is {value}, it must be 0 to {limit}")]
    OutOfRange {
        /// As written.
        key: String,
        /// The value.
        value: i64,
        /// The largest.
        limit: i64,
    },
    /// A value for a single id, of a limit that has one value for all.
    #[error("{name} has one value for all: it cannot be set for {id}")]
    NoOwnValues {
        /// The limit.
        name: &'static str,
        /// Whose value it should be.
        id: String,
        /// As written.
        key: String,
    },
    /// A milder breaker would never fire before the harder one.
    #[error("{harder} is {harder_value}, it must not be below {milder}, which is {milder_value}")]
    Ladder {
        /// What stops more.
        harder: &'static str,
        /// Its threshold.
        harder_value: i64,
        /// What stops less.
        milder: &'static str,
        /// Its threshold.
        milder_value: i64,
    },
}

impl RulesError {
    /// The key to blame, as written in configuration.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Unknown { key } | Self::OutOfRange { key, .. } | Self::NoOwnValues { key, .. } => key,
            Self::Ladder { harder, .. } => harder,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { values: LimitName::ALL.map(LimitName::default_value), own: BTreeMap::new() }
    }
}

impl Rules {
    /// The value for `id`: its own one, else everybody's; `None` when the limit is off.
    #[must_use]
    pub fn of(&self, name: LimitName, id: &str) -> Option<i64> {
        let own = self.own.get(&name).and_then(|own| own.get(id)).copied();
        Some(own.unwrap_or(self.values[name.index()])).filter(|value| *value > 0)
    }

    /// Everybody's value; `None` when the limit is off.
    #[must_use]
    pub fn all(&self, name: LimitName) -> Option<i64> {
        Some(self.values[name.index()]).filter(|value| *value > 0)
    }

    /// The value as it was set, 0 for off; of `id` if that has one of its own.
    #[must_use]
    pub fn value(&self, name: LimitName, id: &str) -> i64 {
        self.of(name, id).unwrap_or(0)
    }

    /// Every value: everybody's in the order of [`LimitName::ALL`], then those of single ids.
    pub fn list(&self) -> impl Iterator<Item = (LimitName, &str, i64)> {
        let all = LimitName::ALL.into_iter().map(|name| (name, "", self.values[name.index()]));
        let own = self.own.iter().flat_map(|(name, own)| own.iter().map(|(id, value)| (*name, id.as_str(), *value)));
        all.chain(own)
    }

    /// Sets a value. An empty `id` means everybody who has none of his own.
    ///
    /// # Errors
    /// [`RulesError`] when the value makes no sense, also together with the others.
    pub fn set(&mut self, name: LimitName, id: &str, value: i64) -> Result<(), RulesError> {
        check_id(name, id, &key(name, id))?;
        let limit = name.value_max();
        if !(0..=limit).contains(&value) {
            return Err(RulesError::OutOfRange { key: key(name, id), value, limit });
        }
        let mut next = self.clone();
        next.put(name, id, value);
        next.check_ladder()?;
        *self = next;
        Ok(())
    }

    /// Sets values by their keys, `day_loss_reduce_ppm` or `pool_exposure_max_ppm.scalper`.
    /// Only the result must make sense, not every step to it.
    ///
    /// # Errors
    /// [`RulesError`] naming the first key that makes no sense.
    pub fn set_all<'a>(&mut self, values: impl Iterator<Item = (&'a str, i64)>) -> Result<(), RulesError> {
        let mut next = self.clone();
        for (written, value) in values {
            let (text, id) = written.split_once('.').unwrap_or((written, ""));
            let name = LimitName::parse(text).ok_or_else(|| RulesError::Unknown { key: written.to_owned() })?;
            check_id(name, id, written)?;
            let limit = name.value_max();
            if !(0..=limit).contains(&value) {
                return Err(RulesError::OutOfRange { key: written.to_owned(), value, limit });
            }
            next.put(name, id, value);
        }
        next.check_ladder()?;
        *self = next;
        Ok(())
    }

    /// Values that held before, as a journal has them: they were judged when they were set.
    ///
    /// # Errors
    /// [`RulesError::Unknown`].
    pub fn restore<'a>(&mut self, values: impl Iterator<Item = (&'a str, i64)>) -> Result<(), RulesError> {
        for (written, value) in values {
            let (text, id) = written.split_once('.').unwrap_or((written, ""));
            let name = LimitName::parse(text).ok_or_else(|| RulesError::Unknown { key: written.to_owned() })?;
            self.put(name, id, value);
        }
        Ok(())
    }

    /// Whether it has a value for anybody.
    #[must_use]
    pub fn is_on(&self, name: LimitName) -> bool {
        let own = self.own.get(&name).is_some_and(|own| own.values().any(|value| *value > 0));
        own || self.all(name).is_some()
    }

    /// What was decided before, in any order: only the end of it has to make sense.
    pub(super) fn put(&mut self, name: LimitName, id: &str, value: i64) {
        if id.is_empty() {
            self.values[name.index()] = value;
        } else {
            self.own.entry(name).or_default().insert(id.to_owned(), value);
        }
    }

    /// The house is halted at a larger loss than it is reduced at, and reduced at
    /// a larger one than an agent is stopped at: else the milder rung never acts.
    fn check_ladder(&self) -> Result<(), RulesError> {
        let rungs = [
            (LimitName::DayLossReducePpm, LimitName::AgentLossHaltPpm),
            (LimitName::DrawdownHaltPpm, LimitName::DayLossReducePpm),
            (LimitName::MonthLossHaltPpm, LimitName::DayLossReducePpm),
        ];
        for (harder, milder) in rungs {
            if let (Some(harder_value), Some(milder_value)) = (self.all(harder), self.all(milder))
                && harder_value < milder_value
            {
                let (harder, milder) = (harder.as_str(), milder.as_str());
                return Err(RulesError::Ladder { harder, harder_value, milder, milder_value });
            }
        }
        Ok(())
    }
}

fn check_id(name: LimitName, id: &str, key: &str) -> Result<(), RulesError> {
    if id.is_empty() || name.whose().has_own_values() {
        return Ok(());
    }
    Err(RulesError::NoOwnValues { name: name.as_str(), id: id.to_owned(), key: key.to_owned() })
}

fn key(name: LimitName, id: &str) -> String {
    if id.is_empty() { name.as_str().to_owned() } else { format!("{}.{id}", name.as_str()) }
}

#[cfg(test)]
mod tests;
