//! What a configured agent must look like.

use crate::{
    agents::personality::AnalysisStyle,
    id::{AccountId, AgentId, IdError, InstrumentId, PoolId},
    market::Timeframe,
    routing::reason::{Reason, Violation},
};
use std::collections::BTreeSet;

/// A configured agent as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct AgentFields<'a> {
    /// Its id.
    pub agent_id: &'a str,
    /// Its strategy, if a known one is set.
    pub strategy: Option<AnalysisStyle>,
    /// What it may trade; of a value, value maker or live exit agent beginnings of match ids, none for every match; of a
    /// market maker contracts on matches, or beginnings of their ids.
    pub instrument_ids: &'a [String],
    /// Length of its bars.
    pub timeframe: &'a str,
    /// From 1 (careful) to 10 (bold).
    pub risk_tolerance: i32,
    /// Most accepted orders per UTC day.
    pub max_trades_per_day: i32,
    /// Whose money it uses.
    pub account_id: &'a str,
    /// Its pool; empty for the strategy's name.
    pub pool: &'a str,
}

/// Most instruments of one agent.
const INSTRUMENTS_MAX: usize = 100;
/// Most accepted orders a UTC day that an agent may ask for; the limit of a personality.
pub const TRADES_PER_DAY_MAX: i32 = 10_000;
/// Most configured agents of one platform.
pub const AGENTS_MAX: usize = 10_000;

/// Checks all fields of a configured agent.
///
/// # Errors
/// Every violation, in the order of the fields; never empty.
pub fn check_agent(agent: &AgentFields<'_>) -> Result<(), Vec<Violation>> {
    let mut violations = Vec::new();
    let mut refuse = |field, reason, message: &str| violations.push(Violation::new(field, reason, message));
    if agent.agent_id.is_empty() {
        refuse("agent.agent_id", Reason::AgentIdMissing, "an agent needs an id");
    } else if AgentId::new(agent.agent_id).is_err() {
        refuse("agent.agent_id", Reason::AgentIdInvalid, "at most 64 letters, digits, '-' and '_'");
    }
    if agent.strategy.is_none() {
        refuse("agent.strategy", Reason::StrategyMissing, "a known strategy is needed");
    }
    let is_on_every_match =
        matches!(agent.strategy, Some(AnalysisStyle::Value | AnalysisStyle::LiveExit | AnalysisStyle::ValueMaker));
    if agent.instrument_ids.is_empty() && !is_on_every_match {
        refuse("agent.instrument_ids", Reason::InstrumentMissing, "at least one instrument is needed");
    } else if agent.instrument_ids.len() > INSTRUMENTS_MAX {
        refuse("agent.instrument_ids", Reason::InstrumentsTooMany, "at most 100 instruments are allowed");
    } else if let Some(error) = agent.instrument_ids.iter().find_map(|id| InstrumentId::new(id).err()) {
        refuse("agent.instrument_ids", instrument_reason(&error), &error.to_string());
    } else if has_repeated(agent.instrument_ids) {
        refuse("agent.instrument_ids", Reason::InstrumentRepeated, "each instrument may be named once");
    }
    if Timeframe::parse(agent.timeframe).is_none() {
        refuse("agent.timeframe", Reason::TimeframeInvalid, "one of 1m, 5m, 1h, 4h, 1d");
    }
    if !(1..=10).contains(&agent.risk_tolerance) {
        refuse("agent.risk_tolerance", Reason::RiskToleranceOutOfBounds, "from 1 to 10");
    }
    if agent.max_trades_per_day <= 0 {
        refuse("agent.max_trades_per_day", Reason::MaxTradesNotPositive, "from 1 to 10000");
    } else if agent.max_trades_per_day > TRADES_PER_DAY_MAX {
        refuse("agent.max_trades_per_day", Reason::MaxTradesTooMany, "from 1 to 10000");
    }
    if AccountId::new(agent.account_id).is_err() {
        refuse("agent.account_id", Reason::AccountInvalid, "an account is needed");
    }
    if !agent.pool.is_empty() && PoolId::new(agent.pool).is_err() {
        refuse("agent.pool", Reason::PoolInvalid, "at most 64 letters, digits, '-' and '_'");
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

fn has_repeated(instruments: &[String]) -> bool {
    instruments.iter().collect::<BTreeSet<_>>().len() < instruments.len()
}

pub(super) const fn instrument_reason(error: &IdError) -> Reason {
    match error {
        IdError::Missing { .. } => Reason::InstrumentMissing,
        IdError::TooLong { .. } => Reason::InstrumentTooLong,
        IdError::Charset { .. } => Reason::InstrumentBadCharset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(instruments: &[String]) -> AgentFields<'_> {
        AgentFields {
            agent_id: "swing-7",
            strategy: Some(AnalysisStyle::Swing),
            instrument_ids: instruments,
            timeframe: "4h",
            risk_tolerance: 5,
            max_trades_per_day: 20,
            account_id: "fund",
            pool: "",
        }
    }

    #[test]
    fn an_agent_trades_from_once_to_ten_thousand_times_a_day() {
        let instruments = vec!["GBPUSD".to_owned()];
        let check = |max_trades_per_day: i32, expected: Option<Reason>| {
            let agent = AgentFields { max_trades_per_day, ..good(&instruments) };
            let violations = check_agent(&agent).err().unwrap_or_default();
            assert_eq!(violations.first().map(|v| v.reason), expected, "{max_trades_per_day}");
        };
        check(1, None);
        check(TRADES_PER_DAY_MAX, None);
        check(TRADES_PER_DAY_MAX + 1, Some(Reason::MaxTradesTooMany));
        check(0, Some(Reason::MaxTradesNotPositive));
        check(-1, Some(Reason::MaxTradesNotPositive));
    }

    #[test]
    fn an_instrument_is_named_once() {
        let instruments = ["GBPUSD", "EURUSD", "GBPUSD"].map(str::to_owned);
        let violations = check_agent(&good(&instruments)).expect_err("refused");
        let said: Vec<_> = violations.iter().map(|v| (v.reason, v.message.as_str())).collect();
        assert_eq!(said, [(Reason::InstrumentRepeated, "each instrument may be named once")]);
        assert_eq!(check_agent(&good(&instruments[..2])), Ok(()));
    }

    #[test]
    fn every_strategy_is_run_and_only_those_on_matches_name_no_instrument() {
        let instruments = vec!["EPL-2026-ARS-MCI-HOME".to_owned()];
        let check = |strategy, instruments: &[String], expected: &[Reason]| {
            let agent = AgentFields { strategy: Some(strategy), ..good(instruments) };
            let violations = check_agent(&agent).err().unwrap_or_default();
            let reasons: Vec<Reason> = violations.iter().map(|violation| violation.reason).collect();
            assert_eq!(reasons, expected, "{strategy:?}");
        };
        for style in AnalysisStyle::ALL {
            check(style, &instruments, &[]);
            let on_matches = [AnalysisStyle::Value, AnalysisStyle::LiveExit, AnalysisStyle::ValueMaker];
            let is_named = !on_matches.contains(&style);
            check(style, &[], if is_named { &[Reason::InstrumentMissing] } else { &[] });
        }
    }

    #[test]
    fn all_bad_fields_are_named_together() {
        let instruments = vec!["GBPUSD".to_owned()];
        assert_eq!(check_agent(&good(&instruments)), Ok(()));
        let bad = AgentFields {
            agent_id: "a.b",
            strategy: None,
            instrument_ids: &[],
            timeframe: "3m",
            risk_tolerance: 11,
            max_trades_per_day: 0,
            account_id: "",
            pool: " ",
        };
        let violations = check_agent(&bad).expect_err("refused");
        let fields: Vec<_> = violations.iter().map(|v| v.field.trim_start_matches("agent.")).collect();
        assert_eq!(
            fields,
            [
                "agent_id",
                "strategy",
                "instrument_ids",
                "timeframe",
                "risk_tolerance",
                "max_trades_per_day",
                "account_id",
                "pool"
            ]
        );
    }
}
