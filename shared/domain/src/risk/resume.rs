//! Loosening takes two people, one level at a time, and nothing may have
//! changed in between.

use super::{Scope, ScopeState, State, TradingState, scope::short};
use crate::time::Timestamp;

/// A resume waiting for its second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeProposal {
    /// Single use.
    pub token: String,
    /// What is resumed.
    pub scope: Scope,
    /// To which state.
    pub target: TradingState,
    /// Who proposed.
    pub principal: String,
    /// Why.
    pub reason: String,
    /// The epoch it is bound to.
    pub epoch: i64,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a resume is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeRefused {
    /// No such token, or it was used.
    #[error("no resume was proposed under this token")]
    ProposalUnknown,
    /// The token has ended.
    #[error("the proposal has expired")]
    ProposalExpired,
    /// The second person is the first.
    #[error("another principal must confirm")]
    SamePrincipal,
    /// Something changed since the proposal.
    #[error("the trading state has changed since the proposal")]
    EpochChanged,
    /// The scope must stay tightened for a while.
    #[error("the cooldown has {left_ms} ms left")]
    Cooldown {
        /// How long, milliseconds.
        left_ms: i64,
    },
    /// There is nothing to resume.
    #[error("the scope is active")]
    NotTightened,
    /// Not exactly one level milder.
    #[error("a resume goes one level at a time")]
    NotOneLevel,
    /// A resume needs a reason.
    #[error("a reason is required")]
    ReasonMissing,
    /// Too many are waiting.
    #[error("{limit} resumes are proposed already")]
    TooManyProposals {
        /// The limit.
        limit: usize,
    },
}

impl ResumeRefused {
    /// As written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProposalUnknown => "PROPOSAL_UNKNOWN",
            Self::ProposalExpired => "PROPOSAL_EXPIRED",
            Self::SamePrincipal => "SAME_PRINCIPAL",
            Self::EpochChanged => "EPOCH_CHANGED",
            Self::Cooldown { .. } => "COOLDOWN",
            Self::NotTightened => "NOT_TIGHTENED",
            Self::NotOneLevel => "NOT_ONE_LEVEL",
            Self::ReasonMissing => "REASON_MISSING",
            Self::TooManyProposals { .. } => "TOO_MANY_PROPOSALS",
        }
    }
}

/// First step: `target` of `None` means one level milder. The caller makes the token.
///
/// # Errors
/// [`ResumeRefused`].
pub fn propose_resume(
    state: &mut State,
    scope: Scope,
    target: Option<TradingState>,
    (principal, reason): (&str, &str),
    token: String,
    now: Timestamp,
) -> Result<ResumeProposal, ResumeRefused> {
    if reason.trim().is_empty() {
        return Err(ResumeRefused::ReasonMissing);
    }
    let milder = state.state_of(&scope).milder().ok_or(ResumeRefused::NotTightened)?;
    let target = target.unwrap_or(milder);
    if target != milder {
        return Err(ResumeRefused::NotOneLevel);
    }
    check_cooldown(state, &scope, now)?;
    state.resumes.retain(|proposal| proposal.expires_at >= now);
    let limit = state.limits().resume_proposals_max;
    if state.resumes.len() >= limit {
        return Err(ResumeRefused::TooManyProposals { limit });
    }
    let proposal = ResumeProposal {
        token,
        scope,
        target,
        principal: principal.to_owned(),
        reason: short(reason),
        epoch: state.epoch(),
        expires_at: now.plus_millis(state.limits().resume_valid_ms),
    };
    state.resumes.push(proposal.clone());
    Ok(proposal)
}

/// Second step: the change to journal and apply. The token is spent by it; a
/// refusal for the person or the cooldown leaves it in place.
///
/// # Errors
/// [`ResumeRefused`].
pub fn confirm_resume(
    state: &mut State,
    token: &str,
    principal: &str,
    now: Timestamp,
) -> Result<ScopeState, ResumeRefused> {
    let index = state.resumes.iter().position(|p| p.token == token).ok_or(ResumeRefused::ProposalUnknown)?;
    let proposal = &state.resumes[index];
    if now > proposal.expires_at {
        state.resumes.remove(index);
        return Err(ResumeRefused::ProposalExpired);
    }
    if proposal.principal == principal {
        return Err(ResumeRefused::SamePrincipal);
    }
    if proposal.epoch != state.epoch() {
        state.resumes.remove(index);
        return Err(ResumeRefused::EpochChanged);
    }
    check_cooldown(state, &proposal.scope, now)?;
    let proposal = state.resumes.remove(index);
    Ok(ScopeState {
        scope: proposal.scope,
        state: proposal.target,
        epoch: state.epoch() + 1,
        changed_by: format!("{}+{principal}", proposal.principal),
        reason: proposal.reason,
        changed_at: now,
    })
}

fn check_cooldown(state: &State, scope: &Scope, now: Timestamp) -> Result<(), ResumeRefused> {
    let Some(current) = state.scope(scope) else { return Ok(()) };
    let left_ms = state.limits().resume_cooldown_ms.saturating_sub(now.millis_since(current.changed_at));
    if left_ms > 0 { Err(ResumeRefused::Cooldown { left_ms }) } else { Ok(()) }
}
