//! Loosening by two people: the guard shows the evidence, and takes the second
//! word only while nothing of it has changed.

use crate::{
    command::{Code, refusal},
    config::now,
    control::{control_state, tell},
    gate::{Ended, Gate},
    wire::{parse_scope, parse_state, scope, trading_state},
};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use tracing::info;
use tragen_contracts::{
    convert,
    v1::{self, guard_answer::Answer},
};
use tragen_domain::risk::{Acknowledged, ResumeProposal, ResumeRefused, confirm_resume, propose_resume};

impl Gate {
    /// First step.
    pub(crate) fn propose_resume(&mut self, principal: &str, request: &v1::ProposeResumeRequest) -> v1::GuardAnswer {
        let parsed = parse_scope(request.scope.as_ref()).and_then(|s| Ok((s, parse_state(request.target)?)));
        let (scope, target) = match parsed {
            Ok(parsed) => parsed,
            Err(bad) => return refusal(Code::InvalidArgument, bad.reason, bad.to_string()),
        };
        let milder = target.or_else(|| self.state.state_of(&scope).milder());
        if let Some(milder) = milder
            && let Err(refused) = self.check_breakers(&scope, milder, &request.override_reason)
        {
            return *refused;
        }
        let token = uuid::Uuid::new_v4().simple().to_string();
        let by = (principal, request.reason.as_str());
        match propose_resume(&mut self.state, scope, target, by, token, now()) {
            Ok(proposal) => {
                self.keep_override(&proposal.token, &request.override_reason);
                let answer = Answer::ProposeResume(v1::ProposeResumeResponse {
                    evidence_hash: evidence_hash(&proposal.evidence),
                    token: proposal.token,
                    epoch: proposal.epoch,
                    target: trading_state(proposal.target).into(),
                    expires_at: Some(convert::timestamp(proposal.expires_at)),
                    evidence: proposal.evidence,
                });
                v1::GuardAnswer { answer: Some(answer) }
            }
            Err(refused) => refused_resume(refused),
        }
    }

    /// Second step.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn confirm_resume(
        &mut self,
        principal: &str,
        request: &v1::ConfirmResumeRequest,
    ) -> Result<v1::GuardAnswer, Ended> {
        if !self.is_evidence_of(request) {
            return Ok(refused_resume(ResumeRefused::EvidenceChanged));
        }
        let overridden = match self.overridden_by(&request.token) {
            Ok(overridden) => overridden,
            Err(refused) => return Ok(*refused),
        };
        let change = match confirm_resume(&mut self.state, &request.token, principal, now()) {
            Ok(change) => change,
            Err(refused) => return Ok(refused_resume(refused)),
        };
        let (epoch, state) = (change.epoch, trading_state(change.state));
        info!(epoch, "{} is {} by {}: {}", change.scope, change.state.as_str(), change.changed_by, change.reason);
        self.acknowledge(overridden).await?;
        self.change_state(change).await?;
        let (bus, told) = (self.bus.clone(), control_state(&self.state, &self.journal.leader_id));
        self.context.spawn("resume", async move {
            tell(&bus, &told).await;
            Ok(())
        });
        let answer = Answer::ConfirmResume(v1::ConfirmResumeResponse { epoch, state: state.into() });
        Ok(v1::GuardAnswer { answer: Some(answer) })
    }

    /// Of proposals that still wait; there are few.
    fn keep_override(&mut self, token: &str, override_reason: &str) {
        let waiting: Vec<String> = self.state.resumes(now()).map(|proposal| proposal.token.clone()).collect();
        self.breakers.overrides.retain(|token, _| waiting.contains(token));
        if !override_reason.is_empty() {
            self.breakers.overrides.insert(token.to_owned(), override_reason.to_owned());
        }
    }

    /// Breakers that a confirmed resume overrides; why it may not be confirmed otherwise.
    fn overridden_by(&self, token: &str) -> Result<Vec<Acknowledged>, Box<v1::GuardAnswer>> {
        let override_reason = self.breakers.overrides.get(token).map(String::as_str).unwrap_or_default();
        match self.state.resumes(now()).find(|proposal| proposal.token == token) {
            Some(proposal) => self.check_breakers(&proposal.scope, proposal.target, override_reason),
            // `confirm_resume` says why.
            None => Ok(Vec::new()),
        }
    }

    /// Whether the second person has looked at what the first one was shown.
    fn is_evidence_of(&self, request: &v1::ConfirmResumeRequest) -> bool {
        let proposal = self.state.resumes(now()).find(|proposal| proposal.token == request.token);
        request.evidence_hash.is_empty()
            || proposal.is_none_or(|proposal| evidence_hash(&proposal.evidence) == request.evidence_hash)
    }

    /// Resumes that wait; their tokens stay with who proposed them.
    pub(crate) fn waiting_resumes(&self) -> Vec<v1::WaitingResume> {
        let waiting = |proposal: &ResumeProposal| v1::WaitingResume {
            scope: Some(scope(&proposal.scope)),
            target: trading_state(proposal.target).into(),
            proposed_by: proposal.principal.clone(),
            reason: proposal.reason.clone(),
            evidence: proposal.evidence.clone(),
            evidence_hash: evidence_hash(&proposal.evidence),
            expires_at: Some(convert::timestamp(proposal.expires_at)),
        };
        self.state.resumes(now()).map(waiting).collect()
    }
}

/// SHA-256 of the sentences, a line each, hexadecimal.
fn evidence_hash(evidence: &[String]) -> String {
    let mut hasher = Sha256::new();
    for sentence in evidence {
        hasher.update(sentence.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn refused_resume(refused: ResumeRefused) -> v1::GuardAnswer {
    let code = match refused {
        ResumeRefused::ProposalUnknown => Code::NotFound,
        ResumeRefused::ReasonMissing | ResumeRefused::NotOneLevel => Code::InvalidArgument,
        ResumeRefused::TooManyProposals { .. } => Code::ResourceExhausted,
        // Something newer has happened: whoever asks has to look again.
        ResumeRefused::EpochChanged | ResumeRefused::EvidenceChanged => Code::Aborted,
        ResumeRefused::ProposalExpired
        | ResumeRefused::SamePrincipal
        | ResumeRefused::Cooldown { .. }
        | ResumeRefused::NotTightened => Code::FailedPrecondition,
    };
    refusal(code, refused.as_str(), refused.to_string())
}
