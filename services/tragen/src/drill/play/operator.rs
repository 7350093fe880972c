//! What people at the helm do in a drill: limits, halts, resumes, bookings by two of them.

use super::Player;
use crate::{
    api::ask,
    drill::{
        stage::{LOOK_EVERY, PATIENCE, request_id},
        step::{At, LimitOf},
    },
};
use anyhow::Context as _;
use std::time::Instant;
use tokio::time::sleep;
use tonic_types::StatusExt as _;
use tragen_contracts::v1;
use tragen_domain::risk::LimitName;
use tragen_router::token::Role;

impl Player<'_> {
    pub(super) async fn limit(&self, name: LimitName, of: LimitOf, value: i64) -> anyhow::Result<()> {
        let id = match of {
            LimitOf::All => String::new(),
            LimitOf::Account => self.drill.account(),
            LimitOf::Instrument => self.drill.instrument(),
            LimitOf::Match => self.drill.fixture(),
            LimitOf::Named(name) => name.to_owned(),
            LimitOf::Agent => self.drill.agent(),
        };
        let request = v1::ProposeLimitRequest { name: name.as_str().to_owned(), id, value, reason: "drill".to_owned() };
        let mut first = self.stage.caller("drill-first-person", Role::RiskAdmin)?.risk();
        let answer = first.propose_limit(ask(request)).await?.into_inner();
        if !answer.is_done {
            let mut second = self.stage.caller("drill-second-person", Role::RiskAdmin)?.risk();
            second.confirm_limit(ask(v1::ConfirmLimitRequest { token: answer.token })).await?;
        }
        Ok(())
    }

    pub(super) async fn halt(&self, at: At) -> anyhow::Result<()> {
        let mut risk = self.stage.caller("drill-operator", Role::Operator)?.risk();
        let request = v1::HaltRequest { scope: Some(self.scope(at)), reason: "drill".to_owned(), wait_ms: 2_000 };
        let halted = risk.halt(ask(request)).await?.into_inner();
        anyhow::ensure!(halted.missing_workers.is_empty(), "not confirmed by {:?}", halted.missing_workers);
        Ok(())
    }

    pub(super) async fn reduce(&self, at: At) -> anyhow::Result<()> {
        let mut risk = self.stage.caller("drill-operator", Role::Operator)?.risk();
        let request = v1::ReducePositionsRequest {
            scope: Some(self.scope(at)),
            factor_ppm: 1_000_000,
            reason: "drill".to_owned(),
            command_id: request_id(),
            wait_ms: 2_000,
        };
        let reduced = risk.reduce_positions(ask(request)).await?.into_inner();
        anyhow::ensure!(reduced.state() == v1::TradingState::Reducing, "the scope is {:?}", reduced.state());
        Ok(())
    }

    /// Again and again, because a proposal ends when what it is judged by changes meanwhile.
    pub(super) async fn resume(&self, at: At, target: v1::TradingState, override_reason: &str) -> anyhow::Result<()> {
        let mut first = self.stage.caller("drill-first-person", Role::RiskAdmin)?.risk();
        let mut second = self.stage.caller("drill-second-person", Role::RiskAdmin)?.risk();
        let request = v1::ProposeResumeRequest {
            scope: Some(self.scope(at)),
            target: target.into(),
            reason: "drill over".to_owned(),
            override_reason: override_reason.to_owned(),
        };
        let started = Instant::now();
        loop {
            let proposal = first.propose_resume(ask(request.clone())).await?.into_inner();
            let confirm = v1::ConfirmResumeRequest { token: proposal.token, evidence_hash: proposal.evidence_hash };
            let is_alone = first.confirm_resume(ask(confirm.clone())).await.is_ok();
            anyhow::ensure!(!is_alone, "one person alone has resumed");
            match second.confirm_resume(ask(confirm)).await {
                Ok(resumed) => {
                    let state = resumed.into_inner().state();
                    anyhow::ensure!(state == target, "{state:?} instead of {target:?}");
                    return Ok(());
                }
                Err(status) if status.code() == tonic::Code::Aborted && started.elapsed() < PATIENCE => {
                    sleep(LOOK_EVERY).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    pub(super) async fn resume_refused(&self, at: At, expected: &str) -> anyhow::Result<()> {
        let mut first = self.stage.caller("drill-first-person", Role::RiskAdmin)?.risk();
        let request = v1::ProposeResumeRequest {
            scope: Some(self.scope(at)),
            reason: "drill over".to_owned(),
            ..v1::ProposeResumeRequest::default()
        };
        let refused = first.propose_resume(ask(request)).await.err().context("it may be resumed already")?;
        let details = refused.get_error_details();
        let reason = details.error_info().map(|info| info.reason.as_str()).unwrap_or_default();
        anyhow::ensure!(reason == expected, "refused, but with {reason:?}: {}", refused.message());
        Ok(())
    }

    pub(super) async fn unfreeze(&mut self) -> anyhow::Result<()> {
        let unfreezing = v1::Unfreezing { account_id: self.drill.account(), currency: "USD".to_owned() };
        let kind = Some(v1::booking::Kind::Unfreezing(unfreezing));
        let booking = Some(v1::Booking { kind, reason: "drill over".to_owned(), ..v1::Booking::default() });
        let mut first = self.stage.caller("drill-first-person", Role::Operator)?.operations();
        let proposal = first.propose_booking(ask(v1::ProposeBookingRequest { booking })).await?.into_inner();
        let mut second = self.stage.caller("drill-second-person", Role::Operator)?.operations();
        second.confirm_booking(ask(v1::ConfirmBookingRequest { token: proposal.token })).await?;
        // It is booked in its turn.
        self.moved_at = Some(Instant::now());
        Ok(())
    }
}
