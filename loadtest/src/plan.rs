//! What measured figures mean for so many users: servers, memory, storage, rates and
//! dollars; where it gets tight next, and what removes that.
//!
//! A plan is arithmetic on integers; every number that goes in is told again in the
//! result, so that whoever doubts it can put in his own.

pub(crate) mod figures;
mod parts;

pub use parts::{Component, Need};

use serde::Serialize;
use std::fmt;

const SECS_A_DAY: u64 = 86_400;
const DAYS_A_MONTH: u64 = 30;
const GIB: u64 = 1 << 30;
/// Fewer servers lose the bus's majority, or the only guard, with one machine.
const SERVERS_MIN: u64 = 3;
/// What the first plan of this product came to for a million users: servers, cents a month, thousandths of a cent a user.
const FIRST_PLAN: (u64, u64, u64) = (100, 2_832_000, 2_832);

/// Who uses it, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// Accounts.
    pub users: u64,
    /// Trades one of them asks for in a day.
    pub requests_per_user_day: u64,
    /// The busiest second beside the mean of the day.
    pub peak_factor: u64,
}

/// What was measured, or is assumed in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Trades per second that one machine sustained with everything on it.
    pub sustained_per_second: u64,
    /// That machine's cores.
    pub cores: u64,
    /// CPU of one trade in the processes that scale by adding more of them: router and workers, microseconds.
    pub cpu_micros_router: u64,
    /// See [`Measured::cpu_micros_router`].
    pub cpu_micros_worker: u64,
    /// CPU of one trade in the guard, microseconds.
    pub cpu_micros_guard: u64,
    /// CPU of one trade in the ledger, microseconds.
    pub cpu_micros_ledger: u64,
    /// CPU of one trade in the bus, microseconds.
    pub cpu_micros_bus: u64,
    /// CPU of one trade in the database, microseconds.
    pub cpu_micros_database: u64,
    /// Most trades per second that one guard decided through a fsynced journal.
    pub guard_per_second_max: u64,
    /// Most fills per second that one shard of the ledger booked.
    pub shard_per_second_max: u64,
    /// Most messages per second that one bus server wrote with an fsync each.
    pub bus_messages_per_second_max: u64,
    /// Bus messages for a thousand trades under load; messages carry batches.
    pub bus_messages_per_1000_trades: u64,
    /// Database transactions for a thousand trades under load.
    pub commits_per_1000_trades: u64,
    /// Memory of all services without accounts, bytes.
    pub memory_bytes_idle: u64,
    /// Memory of one account in all services together, bytes.
    pub memory_bytes_per_account: u64,
    /// Kept in the database for one trade, bytes with indexes.
    pub database_bytes_per_trade: u64,
    /// Kept on the bus for one trade, bytes.
    pub bus_bytes_per_trade: u64,
}

/// What things cost, and how full a machine may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Prices {
    /// A server for a month, cents.
    pub server_cents_month: u64,
    /// Its cores.
    pub server_cores: u64,
    /// Its memory, GiB.
    pub server_memory_gib: u64,
    /// A GiB of disk for a month, cents.
    pub storage_cents_gib_month: u64,
    /// How many copies of everything stored there are.
    pub copies: u64,
    /// How busy a core may be in the busiest second, percent.
    pub busy_percent_max: u64,
    /// How long the bus keeps messages, days; the database keeps everything.
    pub bus_days: u64,
}

/// The plan for one number of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// For whom.
    pub demand: Demand,
    /// From what.
    pub measured: Measured,
    /// At which prices.
    pub prices: Prices,
    /// Trades per second on average.
    pub mean_per_second: u64,
    /// Trades in the busiest second.
    pub peak_per_second: u64,
    /// What every part needs.
    pub needs: Vec<Need>,
    /// Machines, spare ones included.
    pub servers: u64,
    /// Memory of all services, bytes.
    pub memory_bytes: u64,
    /// Storage that is added in a month, all copies, bytes.
    pub storage_bytes_month: u64,
    /// Storage that is paid for in the twelfth month, all copies, bytes.
    pub storage_bytes_year: u64,
    /// Bus messages in the busiest second.
    pub messages_per_second: u64,
    /// Database transactions in the busiest second.
    pub commits_per_second: u64,
    /// Servers and the storage of the first year's end, cents a month.
    pub cents_month: u64,
    /// The same for one user, thousandths of a cent.
    pub millicents_per_user: u64,
    /// The part that must be multiplied first when users grow.
    pub bottleneck: Component,
    /// With how many users that is.
    pub bottleneck_users: u64,
}

impl Plan {
    /// The plan for `demand`.
    #[must_use]
    pub fn new(demand: Demand, measured: &Measured, prices: Prices) -> Self {
        let per_day = demand.users.saturating_mul(demand.requests_per_user_day);
        let mean_per_second = per_day.div_ceil(SECS_A_DAY);
        let peak_per_second = per_day.saturating_mul(demand.peak_factor).div_ceil(SECS_A_DAY);
        let needs = parts::needs(peak_per_second, measured, prices.busy_percent_max);
        let memory_bytes = memory(demand.users, measured, &needs);
        let storage_bytes_month = per_day
            .saturating_mul(DAYS_A_MONTH)
            .saturating_mul(measured.database_bytes_per_trade)
            .saturating_mul(prices.copies);
        let on_bus = per_day
            .saturating_mul(prices.bus_days)
            .saturating_mul(measured.bus_bytes_per_trade)
            .saturating_mul(prices.copies);
        let storage_bytes_year = storage_bytes_month.saturating_mul(12).saturating_add(on_bus);
        let servers = servers(peak_per_second, &needs, memory_bytes, measured, prices);
        let storage_cents = storage_bytes_year.div_ceil(GIB).saturating_mul(prices.storage_cents_gib_month);
        let cents_month = servers.saturating_mul(prices.server_cents_month).saturating_add(storage_cents);
        let bottleneck = parts::bottleneck(&needs);
        let users_per_trade = |limit: u64| {
            let a_day = demand.requests_per_user_day.saturating_mul(demand.peak_factor).max(1);
            limit.saturating_mul(SECS_A_DAY) / a_day
        };
        Self {
            demand,
            mean_per_second,
            peak_per_second,
            memory_bytes,
            storage_bytes_month,
            storage_bytes_year,
            servers,
            messages_per_second: thousandth(peak_per_second, measured.bus_messages_per_1000_trades),
            commits_per_second: thousandth(peak_per_second, measured.commits_per_1000_trades),
            cents_month,
            millicents_per_user: cents_month.saturating_mul(1_000) / demand.users.max(1),
            bottleneck: bottleneck.component,
            bottleneck_users: users_per_trade(bottleneck.limit_per_second.saturating_mul(bottleneck.instances)),
            needs,
            measured: measured.clone(),
            prices,
        }
    }

    /// The same for other numbers of users, ascending.
    #[must_use]
    pub fn growth(&self, users: &[u64]) -> Vec<Self> {
        let demand = |users: &u64| Demand { users: *users, ..self.demand };
        users.iter().map(|users| Self::new(demand(users), &self.measured, self.prices)).collect()
    }
}

fn thousandth(count: u64, per_1000: u64) -> u64 {
    count.saturating_mul(per_1000).div_ceil(1_000)
}

/// The accounts once, and each process beyond the first set of six a sixth of what they need idle.
fn memory(users: u64, measured: &Measured, needs: &[Need]) -> u64 {
    let more: u64 = needs.iter().map(|need| need.instances.saturating_sub(1)).sum();
    let idle = measured.memory_bytes_idle.saturating_add(more.saturating_mul(measured.memory_bytes_idle / 6));
    idle.saturating_add(users.saturating_mul(measured.memory_bytes_per_account))
}

/// Enough for the cores and the memory, for what one machine was seen to sustain, and to lose one.
fn servers(peak: u64, needs: &[Need], memory: u64, measured: &Measured, prices: Prices) -> u64 {
    let micros: u64 = needs.iter().map(|need| need.cpu_micros_per_second).sum();
    let usable = prices.server_cores.saturating_mul(10_000).saturating_mul(prices.busy_percent_max).max(1);
    let by_cores = micros.div_ceil(usable);
    let by_memory = memory.div_ceil(prices.server_memory_gib.saturating_mul(GIB).max(1));
    // Whatever CPU alone says: a machine with these cores was not seen to do more than this.
    let seen = measured.sustained_per_second.saturating_mul(prices.server_cores) / measured.cores.max(1);
    let by_rate = peak.saturating_mul(100).div_ceil(seen.saturating_mul(prices.busy_percent_max).max(1));
    by_cores.max(by_memory).max(by_rate).saturating_add(1).max(SERVERS_MIN)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Demand { users, requests_per_user_day, peak_factor } = self.demand;
        writeln!(
            f,
            "{} users, {requests_per_user_day} trades each a day, peak {peak_factor} times the mean",
            grouped(users)
        )?;
        writeln!(
            f,
            "trades        {}/s on average, {}/s at the peak",
            grouped(self.mean_per_second),
            grouped(self.peak_per_second)
        )?;
        writeln!(f, "bus           {} messages/s at the peak", grouped(self.messages_per_second))?;
        writeln!(f, "database      {} transactions/s at the peak", grouped(self.commits_per_second))?;
        writeln!(f, "memory        {} MiB in all services", grouped(self.memory_bytes >> 20))?;
        writeln!(
            f,
            "storage       {} GiB more a month, {} GiB after a year",
            grouped(self.storage_bytes_month.div_ceil(GIB)),
            grouped(self.storage_bytes_year.div_ceil(GIB))
        )?;
        writeln!(f, "servers       {} of {} cores, one of them spare", self.servers, self.prices.server_cores)?;
        writeln!(
            f,
            "cost          ${} a month, ${} a user",
            dollars(self.cents_month),
            mills(self.millicents_per_user)
        )?;
        let (servers, cents, millicents) = FIRST_PLAN;
        writeln!(
            f,
            "first plan    {servers} servers, ${} a month, ${} a user for a million users",
            dollars(cents),
            mills(millicents)
        )?;
        writeln!(
            f,
            "\n| part | CPU at the peak, cores | one does at most | needed | more of it by |\n|---|---:|---:|---:|---|"
        )?;
        for need in &self.needs {
            writeln!(f, "{need}")?;
        }
        write!(
            f,
            "\nNext bottleneck: {} at about {} users. {}",
            self.bottleneck.name(),
            grouped(self.bottleneck_users),
            self.bottleneck.lever()
        )
    }
}

/// The growth curve as a markdown table.
#[must_use]
pub fn growth_table(plans: &[Plan]) -> String {
    let head = "| users | peak trades/s | servers | guards | ledger shards | bus servers | $/month | $/user | next bottleneck |\n\
                |---:|---:|---:|---:|---:|---:|---:|---:|---|";
    let rows = plans.iter().map(|plan| {
        let count =
            |component| plan.needs.iter().find(|need| need.component == component).map_or(0, |need| need.instances);
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            grouped(plan.demand.users),
            grouped(plan.peak_per_second),
            plan.servers,
            count(Component::Guard),
            count(Component::Shard),
            count(Component::Bus),
            dollars(plan.cents_month),
            mills(plan.millicents_per_user),
            plan.bottleneck.name()
        )
    });
    std::iter::once(head.to_owned()).chain(rows).collect::<Vec<_>>().join("\n")
}

/// With commas between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn dollars(cents: u64) -> String {
    format!("{}.{:02}", grouped(cents / 100), cents % 100)
}

/// Thousandths of a cent as dollars.
fn mills(millicents: u64) -> String {
    format!("{}.{:05}", millicents / 100_000, millicents % 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured {
            sustained_per_second: 5_000,
            cores: 2,
            cpu_micros_router: 60,
            cpu_micros_worker: 40,
            cpu_micros_guard: 30,
            cpu_micros_ledger: 40,
            cpu_micros_bus: 30,
            cpu_micros_database: 50,
            guard_per_second_max: 20_000,
            shard_per_second_max: 22_000,
            bus_messages_per_second_max: 4_500,
            bus_messages_per_1000_trades: 100,
            commits_per_1000_trades: 20,
            memory_bytes_idle: 150 << 20,
            memory_bytes_per_account: 450,
            database_bytes_per_trade: 1_000,
            bus_bytes_per_trade: 1_500,
        }
    }

    const PRICES: Prices = Prices {
        server_cents_month: 28_320,
        server_cores: 8,
        server_memory_gib: 32,
        storage_cents_gib_month: 10,
        copies: 3,
        busy_percent_max: 60,
        bus_days: 7,
    };

    fn plan(users: u64) -> Plan {
        Plan::new(Demand { users, requests_per_user_day: 20, peak_factor: 4 }, &measured(), PRICES)
    }

    #[test]
    fn a_million_users_are_computed_by_hand() {
        let plan = plan(1_000_000);
        // 20,000,000 a day: 231.5/s, four times that at the peak.
        assert_eq!((plan.mean_per_second, plan.peak_per_second), (232, 926));
        // 926/s x 250 us = 0.23 cores; 8 cores at 60 % were seen to do 12,000/s: one server, a spare, but three for the bus.
        assert_eq!(plan.servers, 3);
        assert_eq!((plan.messages_per_second, plan.commits_per_second), (93, 19));
        // 20 M x 30 d x 1,000 B x 3 copies.
        assert_eq!(plan.storage_bytes_month, 1_800_000_000_000);
        assert_eq!(plan.storage_bytes_year, 12 * 1_800_000_000_000 + 20_000_000 * 7 * 1_500 * 3);
        // 3 x 283.20 + 20,704 GiB x 0.10.
        let gib = plan.storage_bytes_year.div_ceil(GIB);
        assert_eq!(plan.cents_month, 3 * 28_320 + gib * 10);
        assert_eq!(plan.bottleneck, Component::Guard);
        assert_eq!(plan.bottleneck_users, 20_000 * 60 / 100 * 86_400 / 80);
    }

    #[test]
    fn growth_multiplies_what_is_tight() {
        let curve = plan(1_000).growth(&[1_000_000, 20_000_000, 100_000_000]);
        let guards: Vec<u64> = curve
            .iter()
            .map(|plan| plan.needs.iter().find(|need| need.component == Component::Guard).expect("a guard").instances)
            .collect();
        assert_eq!(guards, [1, 2, 8]);
        assert!(curve.is_sorted_by_key(|plan| plan.servers) && curve.is_sorted_by_key(|plan| plan.cents_month));
        let table = growth_table(&curve);
        assert_eq!(table.lines().count(), 5);
        assert!(table.contains("| 20,000,000 |"), "{table}");
        assert!(plan(1_000_000).to_string().contains("$28,320.00 a month, $0.02832 a user"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((dollars(123_456), mills(2_832)), ("1,234.56".to_owned(), "0.02832".to_owned()));
    }
}
