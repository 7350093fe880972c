//! A file of configured agents, as `tragen agents ls -o json` prints them:
//! `{"agents": [{"agent_id": "...", "strategy": "STRATEGY_SCALPER", ...}]}`.
//! Checked as a whole before anything is done with it.

use anyhow::Context as _;
use std::{collections::HashMap, path::Path};
use tragen_contracts::v1;
use tragen_domain::{
    agents::personality::{AnalysisStyle, Personality, PersonalityError},
    id::{AgentId, IdError, PoolId},
    market::Timeframe,
};

/// Largest file that is read, bytes: 10,000 agents need about 4 MB.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most agents of a file.
const AGENTS_MAX: usize = 100_000;

/// An agent of a file, checked.
#[derive(Debug, Clone)]
pub(crate) struct FileAgent {
    /// As it stands in the file.
    pub(crate) agent: v1::Agent,
    /// Its id.
    pub(crate) id: AgentId,
    /// Its pool; the strategy's name where the file says none.
    pub(crate) pool: PoolId,
    /// How bold it is, and what it looks at.
    pub(crate) personality: Personality,
    /// The bars it looks at.
    pub(crate) timeframe: Timeframe,
}

/// Why an agent of a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AgentFault {
    /// The id.
    #[error("agent_id: {0}")]
    Id(IdError),
    /// Two agents with one id.
    #[error("agent_id: is the id of agents[{first}] too")]
    Duplicate {
        /// Place of the first one, from 0.
        first: usize,
    },
    /// The strategy.
    #[error("strategy: is missing")]
    Strategy,
    /// The timeframe.
    #[error("timeframe: {0:?} is not 1m, 5m, 1h, 4h or 1d")]
    Timeframe(String),
    /// An agent that trades bars must say of what.
    #[error("instrument_ids: is empty")]
    NoInstruments,
    /// An instrument's id.
    #[error("instrument_ids: {0}")]
    Instrument(IdError),
    /// A number that does not fit.
    #[error("{field}: {value} is out of range")]
    Number {
        /// Which.
        field: &'static str,
        /// Its value.
        value: i32,
    },
    /// The personality.
    #[error("{field}: {source}")]
    Personality {
        /// Which number.
        field: &'static str,
        /// What is wrong.
        source: PersonalityError,
    },
    /// The pool.
    #[error("pool: {0}")]
    Pool(IdError),
}

/// Reads and checks a file.
///
/// # Errors
/// Naming the file and the line of what is no agent, or the place, id and field of what is no usable one.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<FileAgent>> {
    let file = || format!("reading the agents in {}", path.display());
    let size = std::fs::metadata(path).with_context(file)?.len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{} has {size} bytes, at most {FILE_BYTES_MAX} are read", path.display());
    parse(&std::fs::read_to_string(path).with_context(file)?).with_context(file)
}

/// Checks a file's text.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<FileAgent>> {
    let file: v1::ListAgentsResponse = serde_json::from_str(text)?;
    anyhow::ensure!(!file.agents.is_empty(), "agents: there are none");
    anyhow::ensure!(file.agents.len() <= AGENTS_MAX, "agents: there are more than {AGENTS_MAX}");
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut agents = Vec::with_capacity(file.agents.len());
    for (place, agent) in file.agents.into_iter().enumerate() {
        let id = agent.agent_id.clone();
        let fault = match seen.insert(id.clone(), place) {
            Some(first) => Err(AgentFault::Duplicate { first }),
            None => check(agent),
        };
        agents.push(fault.with_context(|| format!("agents[{place}] {id:?}"))?);
    }
    Ok(agents)
}

fn check(agent: v1::Agent) -> Result<FileAgent, AgentFault> {
    let id = AgentId::new(&agent.agent_id).map_err(AgentFault::Id)?;
    let (style, name) = match agent.strategy() {
        v1::Strategy::Scalper => (AnalysisStyle::Scalper, "scalper"),
        v1::Strategy::Swing => (AnalysisStyle::Swing, "swing"),
        v1::Strategy::Value => (AnalysisStyle::Value, "value"),
        v1::Strategy::Unspecified => return Err(AgentFault::Strategy),
    };
    let is_value = style == AnalysisStyle::Value;
    let timeframe = match agent.timeframe.as_str() {
        "" if is_value => Timeframe::Day1,
        text => Timeframe::parse(text).ok_or_else(|| AgentFault::Timeframe(text.to_owned()))?,
    };
    if agent.instrument_ids.is_empty() && !is_value {
        return Err(AgentFault::NoInstruments);
    }
    for instrument in &agent.instrument_ids {
        tragen_domain::id::InstrumentId::new(instrument).map_err(AgentFault::Instrument)?;
    }
    let risk = number("risk_tolerance", agent.risk_tolerance)?;
    let trades = number("max_trades_per_day", agent.max_trades_per_day)?;
    let personality = Personality::new(risk, style, trades).map_err(|source| {
        let field = match source {
            PersonalityError::RiskToleranceOutOfRange { .. } => "risk_tolerance",
            PersonalityError::TradesPerDayOutOfRange { .. } => "max_trades_per_day",
        };
        AgentFault::Personality { field, source }
    })?;
    let pool = if agent.pool.is_empty() { name } else { agent.pool.as_str() };
    let pool = PoolId::new(pool).map_err(AgentFault::Pool)?;
    Ok(FileAgent { id, pool, personality, timeframe, agent })
}

fn number<T: TryFrom<i32>>(field: &'static str, value: i32) -> Result<T, AgentFault> {
    T::try_from(value).map_err(|_| AgentFault::Number { field, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"agent_id": "a", "strategy": "STRATEGY_SWING", "instrument_ids": ["EURUSD"],
        "timeframe": "4h", "risk_tolerance": 5, "max_trades_per_day": 10, "account_id": "a", "is_enabled": true}"#;

    fn check(change: (&str, &str), expected: &str) {
        let text = format!("{{\"agents\": [{GOOD}, {}]}}", GOOD.replace("\"a\"", "\"b\"").replace(change.0, change.1));
        let refused = format!("{:#}", parse(&text).expect_err("refused"));
        assert!(refused.contains(expected), "{refused}");
    }

    #[test]
    fn what_is_no_agent_is_named_by_place_id_and_field() {
        let agents = parse(&format!("{{\"agents\": [{GOOD}]}}")).expect("valid");
        assert_eq!((agents[0].pool.as_str(), agents[0].timeframe), ("swing", Timeframe::Hour4));
        check(("\"agent_id\": \"b\"", "\"agent_id\": \"a\""), "agents[1] \"a\": agent_id: is the id of agents[0] too");
        check(("\"agent_id\": \"b\"", "\"agent_id\": \"b.c\""), "agents[1] \"b.c\": agent_id: ");
        check(("\"risk_tolerance\": 5", "\"risk_tolerance\": 11"), "agents[1] \"b\": risk_tolerance: ");
        check(("\"risk_tolerance\": 5", "\"risk_tolerance\": -1"), "risk_tolerance: -1 is out of range");
        check(("\"max_trades_per_day\": 10", "\"max_trades_per_day\": 0"), "max_trades_per_day: ");
        check(("\"timeframe\": \"4h\"", "\"timeframe\": \"2h\""), "timeframe: \"2h\"");
        check(("[\"EURUSD\"]", "[]"), "instrument_ids: is empty");
        check(("[\"EURUSD\"]", "[\"a b\"]"), "instrument_ids: ");
        check(("\"strategy\"", "\"stratgy\""), "unknown field `stratgy`");
        check(("STRATEGY_SWING", "STRATEGY_LUCK"), "line ");
    }

    #[test]
    fn an_empty_file_is_refused() {
        for text in ["", "{}", "{\"agents\": []}", "[]", "{\"agents\": [{}]}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
