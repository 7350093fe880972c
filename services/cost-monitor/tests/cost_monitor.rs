//! The promises of the cost monitor, on a real bus.

#[path = "cost_monitor/bets.rs"]
mod bets;
#[path = "cost_monitor/costs.rs"]
mod costs;
#[path = "cost_monitor/pools.rs"]
mod pools;
#[path = "cost_monitor/rig.rs"]
mod rig;
#[path = "cost_monitor/traces.rs"]
mod traces;
