//! Whether a figure is as it should be: target and critical value of every KPI,
//! and on which side of them is good.

use crate::portfolio::Undefined;

/// The figures that people look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kpi {
    /// Winners among decided trades, 0..=1.
    WinRate,
    /// What was won for each unit lost.
    ProfitFactor,
    /// Annual Sharpe ratio of daily returns.
    Sharpe,
    /// Largest fall from a peak, share of it.
    MaxDrawdown,
    /// One-day value at risk at 95 %, share of equity.
    ValueAtRisk,
    /// How far agents move together, 0..=1.
    CorrelationFactor,
    /// Running cost of a filled order, USD.
    CostPerTrade,
    /// Share of the agents' time that is work.
    ResourceUtilization,
    /// Completed work of what could be done, 0..=100.
    AgentProductivity,
    /// Trades a second under load.
    TradesPerSecond,
    /// Analyses a minute under load.
    AnalysesPerMinute,
    /// API requests a second under load.
    ApiRequestsPerSecond,
    /// Share of the time in which it is up.
    Uptime,
    /// Share of requests that fail.
    ErrorRate,
    /// Share of market data that passes the checks.
    DataAccuracy,
}

/// Which side is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Large values.
    Higher,
    /// Small values.
    Lower,
}

/// How a KPI stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KpiStatus {
    /// At its target or better.
    Ok,
    /// Between target and critical value.
    Warn,
    /// At its critical value or worse.
    Critical,
    /// There is no value.
    Undefined(Undefined),
}

impl Kpi {
    /// Every KPI.
    pub const ALL: [Self; 15] = [
        Self::WinRate,
        Self::ProfitFactor,
        Self::Sharpe,
        Self::MaxDrawdown,
        Self::ValueAtRisk,
        Self::CorrelationFactor,
        Self::CostPerTrade,
        Self::ResourceUtilization,
        Self::AgentProductivity,
        Self::TradesPerSecond,
        Self::AnalysesPerMinute,
        Self::ApiRequestsPerSecond,
        Self::Uptime,
        Self::ErrorRate,
        Self::DataAccuracy,
    ];

    /// As written in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WinRate => "win_rate",
            Self::ProfitFactor => "profit_factor",
            Self::Sharpe => "sharpe",
            Self::MaxDrawdown => "max_drawdown",
            Self::ValueAtRisk => "value_at_risk",
            Self::CorrelationFactor => "correlation_factor",
            Self::CostPerTrade => "cost_per_trade",
            Self::ResourceUtilization => "resource_utilization",
            Self::AgentProductivity => "agent_productivity",
            Self::TradesPerSecond => "trades_per_second",
            Self::AnalysesPerMinute => "analyses_per_minute",
            Self::ApiRequestsPerSecond => "api_requests_per_second",
            Self::Uptime => "uptime",
            Self::ErrorRate => "error_rate",
            Self::DataAccuracy => "data_accuracy",
        }
    }

    /// Target, then critical value, in the KPI's own unit.
    #[must_use]
    pub const fn thresholds(self) -> (f64, f64) {
        match self {
            Self::WinRate => (0.60, 0.45),
            Self::ProfitFactor => (1.5, 1.0),
            Self::Sharpe => (1.5, 0.8),
            Self::MaxDrawdown => (0.05, 0.15),
            Self::ValueAtRisk => (0.02, 0.05),
            Self::CorrelationFactor => (0.3, 0.8),
            Self::CostPerTrade => (2.0, 10.0),
            Self::ResourceUtilization => (0.75, 0.50),
            Self::AgentProductivity => (80.0, 60.0),
            Self::TradesPerSecond => (100.0, 50.0),
            Self::AnalysesPerMinute => (1_000.0, 500.0),
            Self::ApiRequestsPerSecond => (500.0, 200.0),
            Self::Uptime => (0.999, 0.990),
            Self::ErrorRate => (0.001, 0.01),
            Self::DataAccuracy => (0.9995, 0.99),
        }
    }

    /// Which side of the thresholds is good: their order says it.
    #[must_use]
    pub fn better(self) -> Better {
        let (target, critical) = self.thresholds();
        if target > critical { Better::Higher } else { Better::Lower }
    }

    /// How `value` stands. A value at the target is [`KpiStatus::Ok`], one at the critical value is
    /// [`KpiStatus::Critical`]: a threshold trips when it is reached. An infinite or missing number is undefined.
    ///
    /// ```
    /// use tragen_domain::{kpi::{Kpi, KpiStatus}, portfolio::Undefined};
    /// assert_eq!(Kpi::MaxDrawdown.status(Ok(0.05)), KpiStatus::Ok);
    /// assert_eq!(Kpi::MaxDrawdown.status(Ok(0.15)), KpiStatus::Critical);
    /// assert_eq!(Kpi::WinRate.status(Ok(0.5)), KpiStatus::Warn);
    /// assert_eq!(Kpi::Sharpe.status(Err(Undefined::NoVariance)), KpiStatus::Undefined(Undefined::NoVariance));
    /// ```
    #[must_use]
    pub fn status(self, value: Result<f64, Undefined>) -> KpiStatus {
        let value = match value {
            Ok(value) if value.is_finite() => value,
            Ok(_) => return KpiStatus::Undefined(Undefined::OutOfRange),
            Err(undefined) => return KpiStatus::Undefined(undefined),
        };
        let (target, critical) = self.thresholds();
        let (is_good, is_bad) = match self.better() {
            Better::Higher => (value >= target, value <= critical),
            Better::Lower => (value <= target, value >= critical),
        };
        match (is_good, is_bad) {
            (true, _) => KpiStatus::Ok,
            (false, true) => KpiStatus::Critical,
            (false, false) => KpiStatus::Warn,
        }
    }
}

impl KpiStatus {
    /// As written in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Critical => "CRITICAL",
            Self::Undefined(_) => "UNDEFINED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_trips_when_it_is_reached() {
        let check = |kpi: Kpi, values: [f64; 4]| {
            let [good, target, between, critical] = values.map(|value| kpi.status(Ok(value)));
            let expected = (KpiStatus::Ok, KpiStatus::Ok, KpiStatus::Warn, KpiStatus::Critical);
            assert_eq!((good, target, between, critical), expected, "{kpi:?}");
        };
        check(Kpi::WinRate, [0.7, 0.60, 0.599, 0.45]);
        check(Kpi::MaxDrawdown, [0.0, 0.05, 0.051, 0.15]);
        check(Kpi::DataAccuracy, [1.0, 0.9995, 0.999, 0.99]);
        check(Kpi::CostPerTrade, [0.0, 2.0, 2.01, 10.0]);
        assert_eq!(Kpi::Sharpe.status(Ok(f64::NAN)), KpiStatus::Undefined(Undefined::OutOfRange));
    }

    #[test]
    fn every_kpi_has_a_name_and_a_side() {
        let lower = Kpi::ALL.into_iter().filter(|kpi| kpi.better() == Better::Lower).count();
        assert_eq!(lower, 5);
        let names: std::collections::BTreeSet<&str> = Kpi::ALL.into_iter().map(Kpi::as_str).collect();
        assert_eq!(names.len(), Kpi::ALL.len());
    }
}
