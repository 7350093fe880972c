//! What the configured agent may open: trades of the day, and how sure it must be.

use super::look::{Look, Verdict};
use crate::{
    risk::{DenialReason as Reason, Denied, LimitName, Proposed, State},
    time::Timestamp,
};

pub(super) fn check_agent(
    state: &State,
    proposed: &Proposed,
    now: Timestamp,
    look: &mut impl Look,
) -> Result<(), Denied> {
    let Some(agent) = &proposed.agent else { return Ok(()) };
    if let Some(limit) = proposed.trades_per_day_max {
        let done = state.agent_trades(agent, now);
        let is_over = Verdict::failed_if(done >= limit);
        look.check(Reason::AgentTradeLimit, limit.into(), i64::from(done) + 1, is_over)?;
    }
    let least = state.limits().rules.of(LimitName::AgentConfidenceMinPpm, agent.as_str());
    match (least, proposed.confidence_ppm) {
        (Some(least), Some(confidence)) => {
            let confidence = i64::from(confidence);
            look.check(Reason::ConfidenceTooLow, least, confidence, Verdict::failed_if(confidence < least))
        }
        (Some(_), None) | (None, Some(_) | None) => Ok(()),
    }
}
