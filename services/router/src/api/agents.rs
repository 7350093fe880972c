//! The registry of configured agents: one key per agent in the bucket `agents`.

use super::{Api, Call};
use crate::{refusal::Refusal, token::Role};
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use prost::Message as _;
use tonic::Code;
use tragen_bus::{Bucket, Consumer};
use tragen_contracts::{
    convert::agent_fields,
    v1::{
        Agent, GetAgentRequest, GetAgentResponse, LaneLag, ListAgentsRequest, ListAgentsResponse, ListPoolsResponse,
        PoolState, PutAgentRequest, PutAgentResponse, Tier,
    },
};
use tragen_domain::{
    id::AgentId,
    routing::{check_agent, check_page_size},
};

/// Agents read from the registry at the same time for one page.
const READS_AT_ONCE: usize = 32;

impl Api {
    /// `Agents/ListAgents`.
    pub(crate) async fn list_agents(
        &self,
        call: &Call,
        request: ListAgentsRequest,
    ) -> Result<ListAgentsResponse, Refusal> {
        let account = &call.caller.account;
        let page_size = usize::try_from(check_page_size(request.page_size)?).unwrap_or(0);
        let after = self.pages.open(account, "agents", &request.page_token)?;
        let registry = self.bus.bucket(Bucket::Agents).await.map_err(|_| registry_unavailable())?;
        let keys = registry.keys().await.map_err(|_| registry_unavailable())?;
        let mut ids: Vec<String> = keys.try_collect().await.map_err(|_| registry_unavailable())?;
        ids.retain(|id| *id > after);
        ids.sort_unstable();
        let mut agents = Vec::new();
        let mut next_page_token = String::new();
        // In the order of the ids, several at a time: a registry may have thousands.
        let mut stored = stream::iter(ids).map(|id| registry.get(id)).buffered(READS_AT_ONCE);
        while let Some(stored) = stored.next().await {
            let stored = stored.map_err(|_| registry_unavailable())?;
            let Some(agent) = stored.and_then(|bytes| Agent::decode(bytes).ok()) else { continue };
            if !may_see(call, &agent) {
                continue;
            }
            if agents.len() == page_size {
                let last = agents.last().map_or("", |agent: &Agent| agent.agent_id.as_str());
                next_page_token = self.pages.seal(account, "agents", last)?;
                break;
            }
            agents.push(agent);
        }
        Ok(ListAgentsResponse { agents, next_page_token })
    }

    /// `Agents/GetAgent`.
    pub(crate) async fn get_agent(&self, call: &Call, request: GetAgentRequest) -> Result<GetAgentResponse, Refusal> {
        let missing = || Refusal::not_found("AGENT_NOT_FOUND", "there is no such agent");
        let id = AgentId::new(&request.agent_id).map_err(|_| missing())?;
        let registry = self.bus.bucket(Bucket::Agents).await.map_err(|_| registry_unavailable())?;
        let stored = registry.get(id.as_str()).await.map_err(|_| registry_unavailable())?;
        let agent = stored.and_then(|bytes| Agent::decode(bytes).ok()).filter(|agent| may_see(call, agent));
        Ok(GetAgentResponse { agent: Some(agent.ok_or_else(missing)?) })
    }

    /// `Agents/ListPools`: the pools as the cost monitor left them, and what waits for the workers.
    pub(crate) async fn list_pools(&self) -> Result<ListPoolsResponse, Refusal> {
        let bucket = self.bus.bucket(Bucket::Pools).await.map_err(|_| registry_unavailable())?;
        let keys = bucket.keys().await.map_err(|_| registry_unavailable())?;
        let mut ids: Vec<String> = keys.try_collect().await.map_err(|_| registry_unavailable())?;
        ids.sort_unstable();
        let mut pools = Vec::new();
        for id in ids {
            let stored = bucket.get(id).await.map_err(|_| registry_unavailable())?;
            pools.extend(stored.and_then(|bytes| PoolState::decode(bytes).ok()));
        }
        let lanes = [
            (Tier::Premium, Consumer::WorkerPremium),
            (Tier::Standard, Consumer::WorkerStandard),
            (Tier::Free, Consumer::WorkerFree),
        ];
        let lags = lanes.map(|(tier, consumer)| async move {
            let lag = self.bus.lag(consumer).await.map_err(|_| registry_unavailable())?;
            let shown = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            Ok::<_, Refusal>(LaneLag { tier: tier.into(), waiting: shown(lag.waiting), in_hand: shown(lag.in_hand) })
        });
        Ok(ListPoolsResponse { pools, lanes: future::try_join_all(lags).await? })
    }

    /// `Agents/PutAgent`: compare and set on the stored version.
    pub(crate) async fn put_agent(&self, request: PutAgentRequest) -> Result<PutAgentResponse, Refusal> {
        let mut agent = request.agent.unwrap_or_default();
        check_agent(&agent_fields(&agent))?;
        let registry = self.bus.bucket(Bucket::Agents).await.map_err(|_| registry_unavailable())?;
        let entry = registry.entry(agent.agent_id.as_str()).await.map_err(|_| registry_unavailable())?;
        let (revision, stored_version) = match &entry {
            Some(entry) => (entry.revision, Agent::decode(entry.value.clone()).map_or(0, |stored| stored.version)),
            None => (0, 0),
        };
        if agent.version != 0 && agent.version != stored_version {
            return Err(version_mismatch().with("stored_version", stored_version.to_string()));
        }
        self.fleet.admit(&agent, &self.shares)?;
        agent.version = stored_version.saturating_add(1);
        // Revision 0 means that there must be none.
        match registry.update(agent.agent_id.as_str(), agent.encode_to_vec().into(), revision).await {
            Ok(_) => {
                // Before the registry tells it again: the next start is judged with this one.
                self.fleet.take(&agent.agent_id, Some(&agent));
                Ok(PutAgentResponse { agent: Some(agent) })
            }
            Err(_) => match registry.entry(agent.agent_id.as_str()).await {
                Ok(now) if now.as_ref().map_or(0, |entry| entry.revision) != revision => Err(version_mismatch()),
                Ok(_) | Err(_) => Err(registry_unavailable()),
            },
        }
    }
}

/// A trader sees what trades with its money.
fn may_see(call: &Call, agent: &Agent) -> bool {
    call.caller.role >= Role::Operator || agent.account_id == call.caller.account.as_str()
}

fn version_mismatch() -> Refusal {
    Refusal::new(Code::Aborted, "AGENT_VERSION_MISMATCH", "the agent was changed by somebody else: read it again")
}

fn registry_unavailable() -> Refusal {
    Refusal::unavailable("REGISTRY_UNAVAILABLE", "the agent registry cannot be reached")
}
