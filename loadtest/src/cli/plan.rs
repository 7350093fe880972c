//! `plan`: what measured figures mean for so many users.

use super::{Output, print_json};
use crate::{Demand, Measured, Plan, Prices, growth_table};
use anyhow::Context as _;
use clap::{Args, value_parser};
use serde_json::Value;
use std::path::PathBuf;

/// Users of the growth curve.
const GROWTH: [u64; 8] = [1_000, 10_000, 100_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000];

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Accounts
    #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1..=10_000_000_000))]
    users: u64,
    /// Trades one of them asks for in a day
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=1_000_000))]
    requests_per_user_day: u64,
    /// The busiest second beside the mean of the day
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u64).range(1..=1_000))]
    peak_factor: u64,
    /// Take CPU per trade from what `run --watch ... --json FILE` or `sweep --watch ... -o json` wrote, and from a
    /// sweep the sustained rate and the cores too; processes must be called router, agent-worker, risk-guard,
    /// ledger, nats and postgres
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    measured: MeasuredArgs,
    #[command(flatten)]
    prices: PriceArgs,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Figures in place of measured ones. The defaults of guard, shard and bus were measured on two cores (their
/// examples `gate_rate` and `post_rate`, and one publisher with an fsync a message); the others are assumptions.
#[derive(Debug, Args)]
struct MeasuredArgs {
    /// Trades per second one machine sustained with everything on it
    #[arg(long, default_value_t = 5_000)]
    sustained_per_second: u64,
    /// That machine's cores
    #[arg(long, default_value_t = 2)]
    cores: u64,
    /// CPU of one trade in the router, microseconds
    #[arg(long, default_value_t = 70)]
    cpu_micros_router: u64,
    /// The same in the agent workers
    #[arg(long, default_value_t = 40)]
    cpu_micros_worker: u64,
    /// The same in the guard
    #[arg(long, default_value_t = 50)]
    cpu_micros_guard: u64,
    /// The same in the ledger
    #[arg(long, default_value_t = 50)]
    cpu_micros_ledger: u64,
    /// The same in the bus
    #[arg(long, default_value_t = 60)]
    cpu_micros_bus: u64,
    /// The same in the database
    #[arg(long, default_value_t = 60)]
    cpu_micros_database: u64,
    /// Trades per second one guard decided
    #[arg(long, default_value_t = 20_000)]
    guard_per_second_max: u64,
    /// Fills per second one shard of the ledger booked
    #[arg(long, default_value_t = 22_000)]
    shard_per_second_max: u64,
    /// Messages per second one bus server wrote with an fsync each
    #[arg(long, default_value_t = 4_500)]
    bus_messages_per_second_max: u64,
    /// Bus messages for a thousand trades under load
    #[arg(long, default_value_t = 250)]
    bus_messages_per_1000_trades: u64,
    /// Database transactions for a thousand trades under load
    #[arg(long, default_value_t = 50)]
    commits_per_1000_trades: u64,
    /// Memory of all services without accounts, MiB
    #[arg(long, default_value_t = 150)]
    memory_mib_idle: u64,
    /// Memory of one account in all services, bytes
    #[arg(long, default_value_t = 470)]
    memory_bytes_per_account: u64,
    /// Kept in the database for one trade, bytes with indexes
    #[arg(long, default_value_t = 1_500)]
    database_bytes_per_trade: u64,
    /// Kept on the bus for one trade, bytes
    #[arg(long, default_value_t = 2_000)]
    bus_bytes_per_trade: u64,
}

#[derive(Debug, Args)]
struct PriceArgs {
    /// A server for a month, cents; the first plan paid $283.20
    #[arg(long, default_value_t = 28_320)]
    server_cents_month: u64,
    /// Its cores
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u64).range(1..))]
    server_cores: u64,
    /// Its memory, GiB
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u64).range(1..))]
    server_memory_gib: u64,
    /// A GiB of disk for a month, cents
    #[arg(long, default_value_t = 10)]
    storage_cents_gib_month: u64,
    /// Copies of everything stored
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u64).range(1..))]
    copies: u64,
    /// How busy anything may be in the busiest second, percent
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=100))]
    busy_percent_max: u64,
    /// How long the bus keeps messages, days
    #[arg(long, default_value_t = 7)]
    bus_days: u64,
}

impl PlanArgs {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let Self { users, requests_per_user_day, peak_factor, .. } = self;
        let demand = Demand { users, requests_per_user_day, peak_factor };
        let assumed = self.measured.measured();
        let measured = match &self.from {
            None => assumed,
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
                let json = serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
                taken(assumed, &json).with_context(|| format!("{} is no report of `run --json`", file.display()))?
            }
        };
        let plan = Plan::new(demand, &measured, self.prices.prices());
        let curve = plan.growth(&GROWTH);
        match self.output {
            Output::Json => print_json(&serde_json::json!({ "plan": plan, "growth": curve }))?,
            Output::Table => {
                println!("{plan}\n\n{}\n\nAssumptions:", growth_table(&curve));
                for (name, value) in assumptions(&plan)? {
                    println!("  {name:<32} {value}");
                }
                let source = self.from.map_or_else(
                    || "  Nothing of it comes from a report: give one with --from.".to_owned(),
                    |file| {
                        format!("  CPU per trade (and of a sweep its rate and cores) comes from {}.", file.display())
                    },
                );
                println!("{source}");
            }
        }
        Ok(true)
    }
}

impl MeasuredArgs {
    const fn measured(&self) -> Measured {
        Measured {
            sustained_per_second: self.sustained_per_second,
            cores: self.cores,
            cpu_micros_router: self.cpu_micros_router,
            cpu_micros_worker: self.cpu_micros_worker,
            cpu_micros_guard: self.cpu_micros_guard,
            cpu_micros_ledger: self.cpu_micros_ledger,
            cpu_micros_bus: self.cpu_micros_bus,
            cpu_micros_database: self.cpu_micros_database,
            guard_per_second_max: self.guard_per_second_max,
            shard_per_second_max: self.shard_per_second_max,
            bus_messages_per_second_max: self.bus_messages_per_second_max,
            bus_messages_per_1000_trades: self.bus_messages_per_1000_trades,
            commits_per_1000_trades: self.commits_per_1000_trades,
            memory_bytes_idle: self.memory_mib_idle << 20,
            memory_bytes_per_account: self.memory_bytes_per_account,
            database_bytes_per_trade: self.database_bytes_per_trade,
            bus_bytes_per_trade: self.bus_bytes_per_trade,
        }
    }
}

impl PriceArgs {
    const fn prices(&self) -> Prices {
        Prices {
            server_cents_month: self.server_cents_month,
            server_cores: self.server_cores,
            server_memory_gib: self.server_memory_gib,
            storage_cents_gib_month: self.storage_cents_gib_month,
            copies: self.copies,
            busy_percent_max: self.busy_percent_max,
            bus_days: self.bus_days,
        }
    }
}

/// Every number that went in.
fn assumptions(plan: &Plan) -> anyhow::Result<Vec<(String, Value)>> {
    let tables = [serde_json::to_value(&plan.measured)?, serde_json::to_value(plan.prices)?];
    Ok(tables.into_iter().filter_map(|table| table.as_object().cloned()).flatten().collect())
}

/// `assumed` with what a report says instead: the first run of `run --json`, or the sustained step of a sweep. Only
/// a sweep knows what is sustained; the rate of a run is what somebody asked for.
fn taken(assumed: Measured, report: &Value) -> anyhow::Result<Measured> {
    let sustained = report.get("sustained_per_second").and_then(Value::as_u64);
    let steps = report.get("steps").and_then(Value::as_array);
    let step = steps.and_then(|steps| steps.iter().find(|step| step["per_second"].as_u64() == sustained));
    let run = step.and_then(|step| step.get("report")).or_else(|| report.get(0)).unwrap_or(report);
    let processes = run.pointer("/usage/processes").and_then(Value::as_array).context("it has no usage.processes")?;
    let cpu = |name: &str, otherwise: u64| {
        let process = processes.iter().find(|process| process["name"] == name);
        process.and_then(|process| process["cpu_micros_per_ok"].as_u64()).unwrap_or(otherwise)
    };
    let cores = run.pointer("/machine/cores").and_then(Value::as_u64);
    let (sustained_per_second, cores) = sustained.zip(cores).unwrap_or((assumed.sustained_per_second, assumed.cores));
    Ok(Measured {
        sustained_per_second,
        cores,
        cpu_micros_router: cpu("router", assumed.cpu_micros_router),
        cpu_micros_worker: cpu("agent-worker", assumed.cpu_micros_worker),
        cpu_micros_guard: cpu("risk-guard", assumed.cpu_micros_guard),
        cpu_micros_ledger: cpu("ledger", assumed.cpu_micros_ledger),
        cpu_micros_bus: cpu("nats", assumed.cpu_micros_bus),
        cpu_micros_database: cpu("postgres", assumed.cpu_micros_database),
        ..assumed
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        plan: PlanArgs,
    }

    #[test]
    fn a_report_takes_the_place_of_assumptions() {
        let line = Line::try_parse_from(["plan"]).expect("defaults");
        let assumed = line.plan.measured.measured();
        let process = |name: &str, cpu: u64| serde_json::json!({ "name": name, "cpu_micros_per_ok": cpu });
        let processes = [process("router", 11), process("nats", 12)];
        let usage = serde_json::json!({ "processes": processes });
        let run = serde_json::json!({ "ok_per_second": 9, "machine": { "cores": 4 }, "usage": usage });
        let measured = taken(assumed.clone(), &serde_json::json!([run])).expect("a report of a run");
        assert_eq!((measured.cpu_micros_router, measured.cpu_micros_bus), (11, 12));
        assert_eq!(
            (measured.sustained_per_second, measured.cores),
            (5_000, 2),
            "a run does not know what is sustained"
        );
        let steps = serde_json::json!([{ "per_second": 7_000, "report": run }]);
        let sweep = serde_json::json!({ "sustained_per_second": 7_000, "steps": steps });
        let measured = taken(assumed.clone(), &sweep).expect("a report of a sweep");
        assert_eq!((measured.sustained_per_second, measured.cores, measured.cpu_micros_bus), (7_000, 4, 12));
        assert_eq!(measured.cpu_micros_guard, assumed.cpu_micros_guard);
        assert!(taken(assumed, &serde_json::json!({})).is_err());
        let plan = Plan::new(
            Demand { users: 1, requests_per_user_day: 1, peak_factor: 1 },
            &measured,
            line.plan.prices.prices(),
        );
        assert_eq!(assumptions(&plan).expect("numbers").len(), 24);
    }
}
