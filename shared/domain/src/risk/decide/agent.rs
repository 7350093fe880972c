//! What the configured agent may: trades of the day, and how sure it must be.

use crate::{
    risk::{DenialReason as Reason, Denied, LimitName, Proposed, State},
    time::Timestamp,
};

pub(super) fn check_agent(state: &State, proposed: &Proposed, now: Timestamp) -> Result<(), Denied> {
    let Some(agent) = &proposed.agent else { return Ok(()) };
    if let Some(limit) = proposed.trades_per_day_max {
        let done = state.agent_trades(agent, now);
        if done >= limit {
            return Err(Denied::new(Reason::AgentTradeLimit, limit.into(), i64::from(done) + 1));
        }
    }
    let least = state.limits().rules.of(LimitName::AgentConfidenceMinPpm, agent.as_str());
    match (least, proposed.confidence_ppm) {
        (Some(least), Some(confidence)) if i64::from(confidence) < least => {
            Err(Denied::new(Reason::ConfidenceTooLow, least, confidence.into()))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}
