//! Loosening takes two people, one level at a time, and nothing may have
//! changed in between: neither a state anywhere nor the evidence the first one saw.

use super::{Confirmer, Scope, ScopeState, State, TradingState, forbidden_orders, scope::short};
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
    /// What it is based on, see [`resume_evidence`]; the second person is to look at the same.
    pub evidence: Vec<String>,
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
    /// What was shown with the proposal is not so any more.
    #[error("the evidence has changed since the proposal")]
    EvidenceChanged,
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
            Self::EvidenceChanged => "EVIDENCE_CHANGED",
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
        evidence: resume_evidence(state, &scope),
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
    match state.limits().commands.resume_confirmer {
        Confirmer::Another if proposal.principal == principal => return Err(ResumeRefused::SamePrincipal),
        Confirmer::Another | Confirmer::Anyone => {}
    }
    if proposal.epoch != state.epoch() {
        state.resumes.remove(index);
        return Err(ResumeRefused::EpochChanged);
    }
    check_cooldown(state, &proposal.scope, now)?;
    if proposal.evidence != resume_evidence(state, &proposal.scope) {
        state.resumes.remove(index);
        return Err(ResumeRefused::EvidenceChanged);
    }
    let proposal = state.resumes.remove(index);
    Ok(ScopeState {
        scope: proposal.scope,
        state: proposal.target,
        epoch: state.epoch() + 1,
        changed_by: format!("{}+{principal}", proposal.principal),
        reason: proposal.reason,
        changed_at: now,
        // The next level has to prove itself as long.
        resume_from: now.plus_millis(state.limits().resume_cooldown_ms),
    })
}

/// What a resume of `scope` is judged by, a sentence each: the state and who set it why,
/// orders that should be gone, and reductions that are not through.
#[must_use]
pub fn resume_evidence(state: &State, scope: &Scope) -> Vec<String> {
    let mut evidence = Vec::new();
    if let Some(entry) = state.scope(scope) {
        let (is, by, why) = (entry.state.as_str(), &entry.changed_by, &entry.reason);
        evidence.push(format!("{scope} is {is} since {} by {by}: {why}", entry.changed_at));
    }
    let tripped = state.breakers().latches().filter(|latch| latch.scope == *scope);
    evidence.extend(tripped.map(|latch| {
        let (kind, value, limit) = (latch.kind.as_str(), latch.value, latch.threshold);
        format!("breaker {kind} tripped at {value}, its limit is {limit}")
    }));
    let standing = forbidden_orders(state).filter(|open| open.order.is_in(scope)).count();
    evidence.push(format!("{standing} orders that must be canceled still stand"));
    let reductions = state.open_reductions().filter(|reduction| reduction.scope == *scope);
    evidence.extend(reductions.map(|reduction| {
        let (id, positions) = (&reduction.id, reduction.positions());
        format!("reduction {id} of {positions} positions is under way, it ends when {scope} is ACTIVE")
    }));
    evidence
}

fn check_cooldown(state: &State, scope: &Scope, now: Timestamp) -> Result<(), ResumeRefused> {
    let Some(current) = state.scope(scope) else { return Ok(()) };
    // Rounded up: not a microsecond early.
    let left_micros = current.resume_from.micros().saturating_sub(now.micros());
    let left_ms = left_micros.saturating_add(999).div_euclid(1_000);
    if left_ms > 0 { Err(ResumeRefused::Cooldown { left_ms }) } else { Ok(()) }
}

impl State {
    /// Resumes that wait for their second person at `now`; one that some change has overtaken waits for nobody.
    pub fn resumes(&self, now: Timestamp) -> impl Iterator<Item = &ResumeProposal> {
        let epoch = self.epoch();
        self.resumes.iter().filter(move |proposal| proposal.expires_at >= now && proposal.epoch == epoch)
    }
}
