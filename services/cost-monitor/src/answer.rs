//! Answers what the agents cost.

use crate::{PLATFORM, SharedCosts};
use futures::future::BoxFuture;
use tragen_contracts::v1;
use tragen_domain::{
    cost::{AgentCost, AgentName, Costs},
    money::Money,
};

/// The handler of the question; `since_micros` is when counting began.
pub(crate) fn answers(
    costs: SharedCosts,
    since_micros: i64,
) -> impl Fn(v1::GetCostsRequest) -> BoxFuture<'static, v1::GetCostsResponse> + Send + Sync + 'static {
    move |v1::GetCostsRequest {}| Box::pin(std::future::ready(answer(&costs.lock(), since_micros)))
}

fn answer(costs: &Costs, since_micros: i64) -> v1::GetCostsResponse {
    let mut agents: Vec<_> = costs.agents().map(|(agent, entry)| row(agent, entry)).collect();
    agents.sort_by(|a, b| a.agent.cmp(&b.agent));
    v1::GetCostsResponse {
        agents,
        total_cost_micros: costs.total().micros(),
        since_micros,
        trades: shown(costs.filled_trades()),
        cost_per_trade_micros: costs.cost_per_trade().map_or(0, Money::micros),
    }
}

fn row(agent: Option<&AgentName>, entry: &AgentCost) -> v1::AgentCost {
    v1::AgentCost {
        agent: agent.map_or(PLATFORM, AgentName::as_str).to_owned(),
        cpu_micros: shown(entry.usage.cpu_micros),
        messages: shown(entry.usage.messages),
        api_calls: shown(entry.usage.api_calls),
        trades: shown(entry.trades),
        cost_micros: entry.cost.micros(),
    }
}

/// The wire's counts are signed.
fn shown(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
