//! Changing a limit while the gate runs: tighter by one person, looser by two.

use super::{LimitChange, LimitName, RulesError, State, scope::short};
use crate::time::Timestamp;

/// A looser limit waiting for its second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitProposal {
    /// Single use.
    pub token: String,
    /// Which limit.
    pub name: LimitName,
    /// Whose; empty for everybody who has none of his own.
    pub id: String,
    /// Its value when it was proposed.
    pub from: i64,
    /// The value it shall have.
    pub to: i64,
    /// Who proposed.
    pub principal: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What becomes of a change that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitDecision {
    /// It is tighter or the same: to be journaled and applied at once.
    Tightened(LimitChange),
    /// It is looser: somebody else must confirm it.
    Proposed(LimitProposal),
}

/// What somebody wants a limit to be.
#[derive(Debug, Clone, Copy)]
pub struct LimitWish<'a> {
    /// Which limit, as it is written: `day_loss_reduce_ppm` or `pool_exposure_max_ppm.scalper`.
    pub key: &'a str,
    /// The value; 0 is off.
    pub value: i64,
    /// Who.
    pub principal: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Why a change of a limit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitRefused {
    /// No such token, or it was used.
    #[error("no limit was proposed under this token")]
    ProposalUnknown,
    /// The token has ended.
    #[error("the proposal has expired")]
    ProposalExpired,
    /// The second person is the first.
    #[error("another principal must confirm")]
    SamePrincipal,
    /// The limit was changed since the proposal.
    #[error("the limit has changed since the proposal")]
    LimitChanged,
    /// A change needs a reason.
    #[error("a reason is required")]
    ReasonMissing,
    /// Too many are waiting.
    #[error("{limit} limits are proposed already")]
    TooManyProposals {
        /// The limit.
        limit: usize,
    },
    /// The value makes no sense.
    #[error(transparent)]
    Nonsense(#[from] RulesError),
}

impl LimitRefused {
    /// As written on the wire.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ProposalUnknown => "PROPOSAL_UNKNOWN",
            Self::ProposalExpired => "PROPOSAL_EXPIRED",
            Self::SamePrincipal => "SAME_PRINCIPAL",
            Self::LimitChanged => "LIMIT_CHANGED",
            Self::ReasonMissing => "REASON_MISSING",
            Self::TooManyProposals { .. } => "TOO_MANY_PROPOSALS",
            Self::Nonsense(RulesError::Unknown { .. }) => "LIMIT_UNKNOWN",
            Self::Nonsense(RulesError::OutOfRange { .. }) => "LIMIT_OUT_OF_RANGE",
            Self::Nonsense(RulesError::NoOwnValues { .. }) => "LIMIT_HAS_ONE_VALUE",
            Self::Nonsense(RulesError::Ladder { .. }) => "LIMIT_LADDER",
        }
    }
}

/// First step. What is tighter than now, or the same, is done at once. The caller makes the token.
///
/// # Errors
/// [`LimitRefused`].
pub fn propose_limit(
    state: &mut State,
    wish: LimitWish<'_>,
    token: String,
    now: Timestamp,
) -> Result<LimitDecision, LimitRefused> {
    let LimitWish { key, value, principal, reason } = wish;
    if reason.trim().is_empty() {
        return Err(LimitRefused::ReasonMissing);
    }
    let (text, id) = key.split_once('.').unwrap_or((key, ""));
    let name = LimitName::parse(text).ok_or_else(|| RulesError::Unknown { key: key.to_owned() })?;
    let rules = &state.limits().rules;
    rules.clone().set(name, id, value)?;
    let from = rules.value(name, id);
    if !name.is_loosened(from, value) {
        return Ok(LimitDecision::Tightened(LimitChange {
            name,
            id: id.to_owned(),
            value,
            changed_by: principal.to_owned(),
            reason: short(reason),
            changed_at: now,
        }));
    }
    state.limit_proposals.retain(|proposal| proposal.expires_at >= now);
    let limit = state.limits().resume_proposals_max;
    if state.limit_proposals.len() >= limit {
        return Err(LimitRefused::TooManyProposals { limit });
    }
    let proposal = LimitProposal {
        token,
        name,
        id: id.to_owned(),
        from,
        to: value,
        principal: principal.to_owned(),
        reason: short(reason),
        expires_at: now.plus_millis(state.limits().resume_valid_ms),
    };
    state.limit_proposals.push(proposal.clone());
    Ok(LimitDecision::Proposed(proposal))
}

/// Second step: the change to journal and apply. The token is spent by it; a
/// refusal for the person leaves it in place.
///
/// # Errors
/// [`LimitRefused`].
pub fn confirm_limit(
    state: &mut State,
    token: &str,
    principal: &str,
    now: Timestamp,
) -> Result<LimitChange, LimitRefused> {
    let proposals = &state.limit_proposals;
    let index = proposals.iter().position(|own| own.token == token).ok_or(LimitRefused::ProposalUnknown)?;
    let proposal = &proposals[index];
    if now <= proposal.expires_at && proposal.principal == principal {
        return Err(LimitRefused::SamePrincipal);
    }
    let proposal = state.limit_proposals.remove(index);
    if now > proposal.expires_at {
        return Err(LimitRefused::ProposalExpired);
    }
    let rules = &state.limits().rules;
    if rules.value(proposal.name, &proposal.id) != proposal.from {
        return Err(LimitRefused::LimitChanged);
    }
    rules.clone().set(proposal.name, &proposal.id, proposal.to)?;
    Ok(LimitChange {
        name: proposal.name,
        id: proposal.id,
        value: proposal.to,
        changed_by: format!("{}+{principal}", proposal.principal),
        reason: proposal.reason,
        changed_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::{Limits, Record};

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn wish(state: &mut State, key: &str, value: i64, reason: &str) -> Result<LimitDecision, LimitRefused> {
        let wish = LimitWish { key, value, principal: "ann", reason };
        propose_limit(state, wish, format!("{key}-{value}"), NOW)
    }

    #[test]
    fn tighter_is_done_by_one_and_looser_by_two() {
        let mut state = State::new(Limits::default());
        for value in [29_999_i64, 30_000] {
            let key = "agent_loss_halt_ppm";
            let decided = wish(&mut state, key, value, "careful").expect("tighter or the same");
            assert!(matches!(decided, LimitDecision::Tightened(change) if change.value == value), "{value}");
        }
        let Ok(LimitDecision::Proposed(proposal)) = wish(&mut state, "agent_loss_halt_ppm", 30_001, "bold") else {
            panic!("looser")
        };
        assert_eq!((proposal.from, proposal.to), (30_000, 30_001));
        let mut confirm = |token: &str, who: &str, now| confirm_limit(&mut state, token, who, now);
        assert_eq!(confirm(&proposal.token, "ann", NOW), Err(LimitRefused::SamePrincipal));
        let change = confirm(&proposal.token, "bob", NOW.plus_millis(120_000)).expect("two people");
        assert_eq!((change.value, change.changed_by.as_str(), change.reason.as_str()), (30_001, "ann+bob", "bold"));
        assert_eq!(confirm(&proposal.token, "bob", NOW), Err(LimitRefused::ProposalUnknown));
        state.apply(Record::LimitChanged(Box::new(change))).expect("fits");
        assert_eq!(state.limits().rules.all(LimitName::AgentLossHaltPpm), Some(30_001));
    }

    #[test]
    fn a_proposal_ends_and_is_bound_to_what_it_was_made_for() {
        let mut state = State::new(Limits::default());
        wish(&mut state, "day_loss_reduce_ppm", 60_000, "bold").expect("looser");
        let late = NOW.plus_millis(120_001);
        assert_eq!(
            confirm_limit(&mut state, "day_loss_reduce_ppm-60000", "bob", late),
            Err(LimitRefused::ProposalExpired)
        );
        wish(&mut state, "day_loss_reduce_ppm", 60_000, "bold").expect("looser");
        let Ok(LimitDecision::Tightened(change)) = wish(&mut state, "day_loss_reduce_ppm", 40_000, "careful") else {
            panic!("tighter")
        };
        state.apply(Record::LimitChanged(Box::new(change))).expect("fits");
        assert_eq!(confirm_limit(&mut state, "day_loss_reduce_ppm-60000", "bob", NOW), Err(LimitRefused::LimitChanged));
    }

    #[test]
    fn nonsense_and_silence_are_refused() {
        let mut state = State::new(Limits::default());
        assert_eq!(wish(&mut state, "day_loss_reduce_ppm", 40_000, " "), Err(LimitRefused::ReasonMissing));
        let mut refused = |key: &str, value| wish(&mut state, key, value, "why not").expect_err("nonsense").as_str();
        assert_eq!(refused("day_loss", 1), "LIMIT_UNKNOWN");
        assert_eq!(refused("day_loss_reduce_ppm", 1_000_001), "LIMIT_OUT_OF_RANGE");
        assert_eq!(refused("drawdown_halt_ppm", 49_999), "LIMIT_LADDER");
        assert_eq!(refused("day_loss_reduce_ppm.alice", 40_000), "LIMIT_HAS_ONE_VALUE");
        for number in 0..16 {
            wish(&mut state, &format!("trade_max_ppm.a{number}"), 1, "tight").expect("tighter");
            wish(&mut state, "open_risk_max_ppm", 20_001 + number, "bold").expect("looser");
        }
        let full = wish(&mut state, "open_risk_max_ppm", 30_000, "bold");
        assert_eq!(full, Err(LimitRefused::TooManyProposals { limit: 16 }));
    }
}
