//! Ending a reduction that is not through. What is left of its positions stays, so it loosens:
//! one person proposes, another confirms. A reduction also ends by itself when every position
//! is at its target, and with the resume of its scope to ACTIVE.

use super::{Confirmer, State, scope::short};
use crate::{id::CommandId, time::Timestamp};

/// The end of a reduction waiting for its second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndProposal {
    /// Single use.
    pub token: String,
    /// Which reduction.
    pub reduction: CommandId,
    /// Who proposed.
    pub principal: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The end of a reduction that two people want; to be journaled and applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedReduction {
    /// Which.
    pub reduction: CommandId,
    /// Both, joined by `+`.
    pub ended_by: String,
    /// Why.
    pub reason: String,
}

/// Why a reduction is not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndRefused {
    /// No such token, or it was used.
    #[error("no end of a reduction was proposed under this token")]
    ProposalUnknown,
    /// The token has ended.
    #[error("the proposal has expired")]
    ProposalExpired,
    /// The second person is the first.
    #[error("another principal must confirm")]
    SamePrincipal,
    /// It needs a reason.
    #[error("a reason is required")]
    ReasonMissing,
    /// There is none under this id, or it is over.
    #[error("no reduction is under way under this id")]
    NotUnderWay,
    /// Too many are waiting.
    #[error("the ends of {limit} reductions are proposed already")]
    TooManyProposals {
        /// The limit.
        limit: usize,
    },
}

impl EndRefused {
    /// As written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProposalUnknown => "PROPOSAL_UNKNOWN",
            Self::ProposalExpired => "PROPOSAL_EXPIRED",
            Self::SamePrincipal => "SAME_PRINCIPAL",
            Self::ReasonMissing => "REASON_MISSING",
            Self::NotUnderWay => "REDUCTION_NOT_UNDER_WAY",
            Self::TooManyProposals { .. } => "TOO_MANY_PROPOSALS",
        }
    }
}

/// First step. The caller makes the token.
///
/// # Errors
/// [`EndRefused`].
pub fn propose_end(
    state: &mut State,
    reduction: &CommandId,
    (principal, reason): (&str, &str),
    token: String,
    now: Timestamp,
) -> Result<EndProposal, EndRefused> {
    if reason.trim().is_empty() {
        return Err(EndRefused::ReasonMissing);
    }
    check_under_way(state, reduction)?;
    state.end_proposals.retain(|proposal| proposal.expires_at >= now);
    let limit = state.limits().resume_proposals_max;
    if state.end_proposals.len() >= limit {
        return Err(EndRefused::TooManyProposals { limit });
    }
    let proposal = EndProposal {
        token,
        reduction: reduction.clone(),
        principal: principal.to_owned(),
        reason: short(reason),
        expires_at: now.plus_millis(state.limits().resume_valid_ms),
    };
    state.end_proposals.push(proposal.clone());
    Ok(proposal)
}

/// Second step. The token is spent by it; a refusal for the person leaves it in place.
///
/// # Errors
/// [`EndRefused`].
pub fn confirm_end(
    state: &mut State,
    token: &str,
    principal: &str,
    now: Timestamp,
) -> Result<EndedReduction, EndRefused> {
    let proposals = &state.end_proposals;
    let index = proposals.iter().position(|own| own.token == token).ok_or(EndRefused::ProposalUnknown)?;
    let proposal = &proposals[index];
    if now > proposal.expires_at {
        state.end_proposals.remove(index);
        return Err(EndRefused::ProposalExpired);
    }
    match state.limits().commands.resume_confirmer {
        Confirmer::Another if proposal.principal == principal => return Err(EndRefused::SamePrincipal),
        Confirmer::Another | Confirmer::Anyone => {}
    }
    let EndProposal { reduction, principal: first, reason, .. } = state.end_proposals.remove(index);
    check_under_way(state, &reduction)?;
    Ok(EndedReduction { reduction, ended_by: format!("{first}+{principal}"), reason })
}

fn check_under_way(state: &State, reduction: &CommandId) -> Result<(), EndRefused> {
    let is_under_way = state.reduction(reduction).is_some_and(|own| own.ended_at.is_none());
    if is_under_way { Ok(()) } else { Err(EndRefused::NotUnderWay) }
}
