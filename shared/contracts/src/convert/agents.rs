//! A configured agent as the rules look at it.

use crate::v1;
use tragen_domain::{agents::personality::AnalysisStyle, routing::AgentFields};

/// The rule set of a strategy; `None` when none is set.
#[must_use]
pub const fn style_of(strategy: v1::Strategy) -> Option<AnalysisStyle> {
    match strategy {
        v1::Strategy::Scalper => Some(AnalysisStyle::Scalper),
        v1::Strategy::Swing => Some(AnalysisStyle::Swing),
        v1::Strategy::Value => Some(AnalysisStyle::Value),
        v1::Strategy::Conservative => Some(AnalysisStyle::Conservative),
        v1::Strategy::MarketMaker => Some(AnalysisStyle::MarketMaker),
        v1::Strategy::LiveExit => Some(AnalysisStyle::LiveExit),
        v1::Strategy::ValueMaker => Some(AnalysisStyle::ValueMaker),
        v1::Strategy::Unspecified => None,
    }
}

/// The strategy of a rule set.
#[must_use]
pub const fn strategy_of(style: AnalysisStyle) -> v1::Strategy {
    match style {
        AnalysisStyle::Scalper => v1::Strategy::Scalper,
        AnalysisStyle::Swing => v1::Strategy::Swing,
        AnalysisStyle::Value => v1::Strategy::Value,
        AnalysisStyle::Conservative => v1::Strategy::Conservative,
        AnalysisStyle::MarketMaker => v1::Strategy::MarketMaker,
        AnalysisStyle::LiveExit => v1::Strategy::LiveExit,
        AnalysisStyle::ValueMaker => v1::Strategy::ValueMaker,
    }
}

/// The fields of an agent, for [`tragen_domain::routing::check_agent`].
#[must_use]
pub fn agent_fields(agent: &v1::Agent) -> AgentFields<'_> {
    AgentFields {
        agent_id: &agent.agent_id,
        strategy: style_of(agent.strategy()),
        instrument_ids: &agent.instrument_ids,
        timeframe: &agent.timeframe,
        risk_tolerance: agent.risk_tolerance,
        max_trades_per_day: agent.max_trades_per_day,
        account_id: &agent.account_id,
        pool: &agent.pool,
    }
}
