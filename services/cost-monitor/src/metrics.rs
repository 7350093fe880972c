//! Every metric of the cost monitor.

use crate::PLATFORM;
use metrics::{Unit, counter, describe_counter, describe_gauge};
use tragen_domain::cost::{AgentCost, AgentName, Costs};

/// Cost by agent, 1e-6 USD.
const AGENT_COST: &str = "cost_monitor_agent_cost_usd_micros_total";
/// CPU time by agent, microseconds.
const AGENT_CPU: &str = "cost_monitor_agent_cpu_micros_total";
/// Finished trades by agent.
const AGENT_TRADES: &str = "cost_monitor_agent_trades_total";
/// Cost of everything, 1e-6 USD.
const COST: &str = "cost_monitor_cost_usd_micros_total";
/// Filled trades.
const FILLED_TRADES: &str = "cost_monitor_filled_trades_total";
/// Places of a pool.
pub(crate) const POOL_AGENTS: &str = "cost_monitor_pool_agents";
/// Configured agents with a record.
pub(crate) const SCORED_AGENTS: &str = "cost_monitor_scored_agents";
/// Matches with bets of agents that are kept.
pub(crate) const BET_MATCHES: &str = "cost_monitor_bet_matches";
/// Items seen before and not counted again, by kind.
pub(crate) const DUPLICATES: &str = "cost_monitor_duplicates_total";
/// Messages set aside because something in them made no sense, by kind.
pub(crate) const MALFORMED: &str = "cost_monitor_malformed_total";

/// Gives every metric its unit and meaning.
pub(crate) fn describe() {
    describe_counter!(AGENT_COST, Unit::Count, "cost by agent, 1e-6 USD");
    describe_counter!(AGENT_CPU, Unit::Microseconds, "CPU time by agent");
    describe_counter!(AGENT_TRADES, Unit::Count, "finished trades by agent");
    describe_counter!(COST, Unit::Count, "cost of everything, 1e-6 USD");
    describe_counter!(FILLED_TRADES, Unit::Count, "trades filled, at least in part");
    describe_gauge!(POOL_AGENTS, Unit::Count, "places of a pool");
    describe_gauge!(SCORED_AGENTS, Unit::Count, "configured agents with a record");
    describe_gauge!(BET_MATCHES, Unit::Count, "matches with bets of agents that are kept");
    describe_counter!(DUPLICATES, Unit::Count, "items seen before and not counted again, by kind");
    describe_counter!(MALFORMED, Unit::Count, "messages set aside because something made no sense, by kind");
}

/// Shows the costs as they stand.
pub(crate) fn show(costs: &Costs) {
    for (agent, entry) in costs.agents() {
        show_agent(agent, entry);
    }
    counter!(COST).absolute(costs.total().micros().unsigned_abs());
    counter!(FILLED_TRADES).absolute(costs.filled_trades());
}

fn show_agent(agent: Option<&AgentName>, entry: &AgentCost) {
    let name = agent.map_or(PLATFORM, AgentName::as_str);
    counter!(AGENT_COST, "agent" => name.to_owned()).absolute(entry.cost.micros().unsigned_abs());
    counter!(AGENT_CPU, "agent" => name.to_owned()).absolute(entry.usage.cpu_micros);
    counter!(AGENT_TRADES, "agent" => name.to_owned()).absolute(entry.trades);
}
