//! How far is a check from its limit, and in which unit?

use super::{Check, DenialReason as Reason};

/// What the two numbers of a check count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Micros of the currency.
    Money,
    /// Micros of quantity.
    Quantity,
    /// Parts per million.
    PartsPerMillion,
    /// Orders or trades.
    Count,
    /// Milliseconds.
    Millis,
}

/// Which side of its limit a value must stay on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtMost,
    AtLeast,
}

/// What is left to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// The limit's denial.
    pub reason: Reason,
    /// What its numbers count.
    pub measure: Measure,
    /// The limit.
    pub limit: i64,
    /// The value with the order done.
    pub observed: i64,
    /// What is left, negative when the limit is broken; a breaker trips when nothing is left.
    pub left: i64,
}

impl Check {
    /// What is left to its limit; None for checks that are not about an amount (known or not, on the grid, a price).
    ///
    /// Example: 100 contracts for 50 with at most 70 in one match leave 20.
    #[must_use]
    pub fn headroom(&self) -> Option<Headroom> {
        let (measure, bound) = measure_of(self.reason)?;
        let (limit, observed) = (self.limit, self.observed);
        let left = match bound {
            Bound::AtMost => limit.saturating_sub(observed),
            Bound::AtLeast => observed.saturating_sub(limit),
        };
        Some(Headroom { reason: self.reason, measure, limit, observed, left })
    }
}

const fn measure_of(reason: Reason) -> Option<(Measure, Bound)> {
    match reason {
        Reason::OrderValueLimit
        | Reason::TierOrderValueLimit
        | Reason::InsufficientFunds
        | Reason::TradeShareLimit
        | Reason::MatchShareLimit
        | Reason::OpenRiskLimit
        | Reason::PoolExposureLimit
        | Reason::TimeframeExposureLimit
        | Reason::AgentExposureLimit
        | Reason::CompanyExposureLimit
        | Reason::InstrumentExposureLimit
        | Reason::ClusterExposureLimit
        | Reason::HouseMatchExposureLimit => Some((Measure::Money, Bound::AtMost)),
        Reason::WalletFloor => Some((Measure::Money, Bound::AtLeast)),
        Reason::QuantityTooSmall => Some((Measure::Quantity, Bound::AtLeast)),
        Reason::QuantityTooLarge | Reason::InsufficientPosition => Some((Measure::Quantity, Bound::AtMost)),
        Reason::ConfidenceTooLow => Some((Measure::PartsPerMillion, Bound::AtLeast)),
        Reason::DayLossLimit | Reason::MonthLossLimit | Reason::DrawdownLimit => {
            Some((Measure::PartsPerMillion, Bound::AtMost))
        }
        Reason::AgentTradeLimit
        | Reason::OpenOrderLimit
        | Reason::AgentOrderRate
        | Reason::AccountOrderRate
        | Reason::HouseOrderRate
        | Reason::ReducingOrderRate
        | Reason::CancelRate => Some((Measure::Count, Bound::AtMost)),
        Reason::StaleQuote => Some((Measure::Millis, Bound::AtMost)),
        Reason::ProposalExpired
        | Reason::UnknownInstrument
        | Reason::InstrumentNotTrading
        | Reason::PriceOffTick
        | Reason::PriceOutOfRange
        | Reason::PriceCollar
        | Reason::QuantityOffLot
        | Reason::NoReferencePrice
        | Reason::TradingHalted
        | Reason::TradingReducing
        | Reason::NoBalance
        | Reason::AccountFrozen
        | Reason::RiskStateUnknown
        | Reason::SelfTrade
        | Reason::UnknownAgent
        | Reason::DuplicateTrade
        | Reason::NoCapital
        | Reason::EquityUnknown
        | Reason::RepeatedOrder
        | Reason::VenuePaused
        | Reason::PricePaused
        | Reason::MatchTaken => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn room_is_measured_toward_the_limit() {
        let check = |reason: Reason, limit: i64, observed: i64, expected: Option<(Measure, i64)>| {
            let check = Check { reason, limit, observed, verdict: Verdict::Passed };
            assert_eq!(check.headroom().map(|room| (room.measure, room.left)), expected, "{reason:?}");
        };
        check(Reason::MatchShareLimit, 70, 50, Some((Measure::Money, 20)));
        check(Reason::TradeShareLimit, 50, 70, Some((Measure::Money, -20)));
        check(Reason::WalletFloor, 100, 900, Some((Measure::Money, 800)));
        check(Reason::QuantityTooSmall, 5, 4, Some((Measure::Quantity, -1)));
        check(Reason::DayLossLimit, 50_000, 50_000, Some((Measure::PartsPerMillion, 0)));
        check(Reason::AccountOrderRate, 2, 1, Some((Measure::Count, 1)));
        check(Reason::TradingHalted, 0, 0, None);
        check(Reason::PriceCollar, 700, 500, None);
        check(Reason::OrderValueLimit, i64::MIN, i64::MAX, Some((Measure::Money, i64::MIN)));
    }
}
