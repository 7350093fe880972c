//! The parts of the platform: what each needs at a rate, and how more of it is had.

use super::Measured;
use serde::Serialize;
use std::fmt;

/// A part that is multiplied on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// The public API.
    Router,
    /// Agents.
    Worker,
    /// The single writer of a portfolio.
    Guard,
    /// The single writer of a part of the accounts.
    Shard,
    /// NATS servers.
    Bus,
    /// The database of the ledger.
    Database,
}

impl Component {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Worker => "agent-worker",
            Self::Guard => "risk-guard",
            Self::Shard => "ledger shard",
            Self::Bus => "NATS server",
            Self::Database => "PostgreSQL",
        }
    }

    /// How more of it is had.
    #[must_use]
    pub const fn lever(self) -> &'static str {
        match self {
            Self::Router => "Routers keep nothing: start more behind a load balancer, with one Valkey for the limits.",
            Self::Worker => "Workers keep nothing: start more; the lanes share the work among them.",
            Self::Guard => {
                "A guard is one writer: split users into portfolios, each with a guard and a journal of its own."
            }
            Self::Shard => "A shard has one writer: add shards and move slots to them (`tragen ledger move-slot`).",
            Self::Bus => "A server makes one fsync a message: give each portfolio a NATS cluster of its own.",
            Self::Database => "Give shards databases of their own, and read from replicas.",
        }
    }
}

/// What one part needs at the peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Which.
    pub component: Component,
    /// CPU time in the busiest second, microseconds.
    pub cpu_micros_per_second: u64,
    /// Trades per second that one of it may be given.
    pub limit_per_second: u64,
    /// How many there must be.
    pub instances: u64,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = self.cpu_micros_per_second / 10_000;
        let (whole, rest) = (cores / 100, cores % 100);
        let Self { component, limit_per_second, instances, .. } = self;
        write!(
            f,
            "| {} | {whole}.{rest:02} | {limit_per_second}/s | {instances} | {} |",
            component.name(),
            component.lever()
        )
    }
}

/// What every part needs at `peak` trades per second, when none may be busier than `busy_percent`.
pub(super) fn needs(peak: u64, measured: &Measured, busy_percent: u64) -> Vec<Need> {
    // One core does so many of these in a second.
    let one_core = |cpu_micros: u64| 1_000_000 / cpu_micros.max(1);
    let on_bus = measured.bus_messages_per_second_max.saturating_mul(1_000);
    let bus = on_bus / measured.bus_messages_per_1000_trades.max(1);
    let parts = [
        (Component::Router, measured.cpu_micros_router, one_core(measured.cpu_micros_router)),
        (Component::Worker, measured.cpu_micros_worker, one_core(measured.cpu_micros_worker)),
        (Component::Guard, measured.cpu_micros_guard, measured.guard_per_second_max),
        (Component::Shard, measured.cpu_micros_ledger, measured.shard_per_second_max),
        (Component::Bus, measured.cpu_micros_bus, bus),
        (Component::Database, measured.cpu_micros_database, one_core(measured.cpu_micros_database)),
    ];
    let need = |(component, cpu_micros, limit): (Component, u64, u64)| {
        let limit_per_second = (limit.saturating_mul(busy_percent) / 100).max(1);
        Need {
            component,
            cpu_micros_per_second: peak.saturating_mul(cpu_micros),
            limit_per_second,
            instances: peak.div_ceil(limit_per_second).max(1),
        }
    };
    parts.map(need).to_vec()
}

/// The part that must be multiplied first when trades grow. Routers, workers and the database's cores only
/// need another process or machine, so those with a single writer or an fsync come first.
pub(super) fn bottleneck(needs: &[Need]) -> Need {
    let is_hard = |need: &&Need| match need.component {
        Component::Guard | Component::Shard | Component::Bus => true,
        Component::Router | Component::Worker | Component::Database => false,
    };
    let first = needs.iter().filter(is_hard).min_by_key(|need| need.limit_per_second.saturating_mul(need.instances));
    first.copied().unwrap_or(Need {
        component: Component::Guard,
        cpu_micros_per_second: 0,
        limit_per_second: 1,
        instances: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_single_writer_is_the_bottleneck() {
        let need = |component, limit_per_second, instances| Need {
            component,
            cpu_micros_per_second: 0,
            limit_per_second,
            instances,
        };
        let needs = [
            need(Component::Router, 10, 1),
            need(Component::Guard, 100, 2),
            need(Component::Shard, 150, 1),
            need(Component::Bus, 400, 1),
        ];
        assert_eq!(bottleneck(&needs).component, Component::Shard);
    }
}
