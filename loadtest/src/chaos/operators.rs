//! The people who look after the platform: when it comes up halted, two of them resume it.

use crate::{
    crowd::{Issuer, Role, Tier},
    target::Account,
};
use anyhow::Context as _;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tragen_contracts::v1::{self, risk_control_client::RiskControlClient};

const DEADLINE: Duration = Duration::from_secs(2);

/// Two people who may resume.
#[derive(Debug, Clone)]
pub(super) struct Operators {
    client: RiskControlClient<Channel>,
    issuer: Issuer,
}

impl Operators {
    pub(super) fn new(endpoint: &str, issuer: Issuer) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(endpoint.to_owned()).context("the API's address")?.connect_lazy();
        Ok(Self { client: RiskControlClient::new(channel), issuer })
    }

    /// The trading state and its epoch.
    pub(super) async fn state(&self) -> anyhow::Result<(v1::TradingState, i64)> {
        let request = self.person("rita")?.request(v1::GetRiskStateRequest {}, DEADLINE);
        let state = self.client.clone().get_risk_state(request).await?.into_inner();
        Ok((state.global_state(), state.epoch))
    }

    /// Goes one level up if the platform is not active; whether it is.
    pub(super) async fn resume(&self) -> anyhow::Result<bool> {
        let (state, _) = self.state().await?;
        if state == v1::TradingState::Active {
            return Ok(true);
        }
        let reason = "the fault is over".to_owned();
        let request = v1::ProposeResumeRequest { reason, ..v1::ProposeResumeRequest::default() };
        let mut client = self.client.clone();
        let proposed = client.propose_resume(self.person("rita")?.request(request, DEADLINE)).await?.into_inner();
        let confirm = v1::ConfirmResumeRequest { token: proposed.token, evidence_hash: proposed.evidence_hash };
        let resumed = client.confirm_resume(self.person("sam")?.request(confirm, DEADLINE)).await?.into_inner();
        Ok(resumed.state() == v1::TradingState::Active)
    }

    fn person(&self, name: &str) -> anyhow::Result<Account> {
        Account::new(name, &self.issuer.issue(name, Tier::Premium, Role::RiskAdmin)?)
    }
}
