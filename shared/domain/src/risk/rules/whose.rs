//! Whose limits have values of their own, and what a limit needs to act.

use super::LimitName;

/// What the id of a limit's own value names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Nothing: the house has one value.
    House,
    /// Nothing: the guard, its venue and its memory have one value.
    Guard,
    /// A tier.
    Tier,
    /// An account.
    Account,
    /// A configured agent.
    Agent,
    /// A pool or strategy.
    Pool,
    /// A timeframe.
    Timeframe,
    /// An instrument.
    Instrument,
    /// A match.
    Match,
    /// A cluster of instruments.
    Cluster,
}

impl Whose {
    /// Whether single ids may have a value of their own.
    #[must_use]
    pub const fn has_own_values(self) -> bool {
        !matches!(self, Self::House | Self::Guard)
    }

    /// The word for one of them.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::House => "house",
            Self::Guard => "guard",
            Self::Tier => "tier",
            Self::Account => "account",
            Self::Agent => "agent",
            Self::Pool => "pool",
            Self::Timeframe => "timeframe",
            Self::Instrument => "instrument",
            Self::Match => "match",
            Self::Cluster => "cluster",
        }
    }
}

impl LimitName {
    /// Whose value of his own it asks for before everybody's.
    #[must_use]
    pub const fn whose(self) -> Whose {
        match self {
            Self::OpenRiskMaxPpm
            | Self::MarginedRiskPpm
            | Self::CompanyExposureMaxPpm
            | Self::HouseOrdersPerSecondMax
            | Self::DayLossReducePpm
            | Self::MonthLossHaltPpm
            | Self::DrawdownHaltPpm
            | Self::CorrelationReducePpm => Whose::House,
            Self::VenueFailuresPausePpm | Self::MemoryScaleDownPpm => Whose::Guard,
            Self::TierOrderValueMaxMicros => Whose::Tier,
            Self::WalletFloorPpm
            | Self::TradeMaxPpm
            | Self::MatchMaxPpm
            | Self::AccountOrdersPerSecondMax
            | Self::ReducingOrdersPerSecondMax
            | Self::CancelsPerSecondMax => Whose::Account,
            Self::AgentConfidenceMinPpm
            | Self::AgentExposureMaxPpm
            | Self::AgentOrdersPerSecondMax
            | Self::AgentLossHaltPpm
            | Self::ConsecutiveLossesHaltMax => Whose::Agent,
            Self::PoolExposureMaxPpm => Whose::Pool,
            Self::TimeframeExposureMaxPpm => Whose::Timeframe,
            Self::InstrumentExposureMaxPpm | Self::PriceJumpPausePpm | Self::FeedAgeWarnMs => Whose::Instrument,
            Self::HouseMatchExposureMaxPpm => Whose::Match,
            Self::ClusterExposureMaxPpm => Whose::Cluster,
        }
    }

    /// Whether it holds for the pooled capital of the house only: without house accounts it is off.
    #[must_use]
    pub const fn is_of_the_house(self) -> bool {
        match self {
            Self::OpenRiskMaxPpm
            | Self::MarginedRiskPpm
            | Self::PoolExposureMaxPpm
            | Self::TimeframeExposureMaxPpm
            | Self::AgentExposureMaxPpm
            | Self::CompanyExposureMaxPpm
            | Self::InstrumentExposureMaxPpm
            | Self::HouseMatchExposureMaxPpm
            | Self::ClusterExposureMaxPpm
            | Self::HouseOrdersPerSecondMax
            | Self::DayLossReducePpm
            | Self::MonthLossHaltPpm
            | Self::DrawdownHaltPpm
            | Self::CorrelationReducePpm => true,
            Self::AgentConfidenceMinPpm
            | Self::TierOrderValueMaxMicros
            | Self::WalletFloorPpm
            | Self::TradeMaxPpm
            | Self::MatchMaxPpm
            | Self::AgentOrdersPerSecondMax
            | Self::AccountOrdersPerSecondMax
            | Self::ReducingOrdersPerSecondMax
            | Self::CancelsPerSecondMax
            | Self::AgentLossHaltPpm
            | Self::VenueFailuresPausePpm
            | Self::MemoryScaleDownPpm
            | Self::ConsecutiveLossesHaltMax
            | Self::PriceJumpPausePpm
            | Self::FeedAgeWarnMs => false,
        }
    }
}
