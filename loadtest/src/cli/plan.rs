//! `plan`: what measured figures mean for so many users.

use super::{Output, print, print_json};
use crate::{
    Demand, Measured, Plan, Prices, growth_table,
    plan::figures::{self, origin},
};
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
    /// Take CPU for a filled trade from what `run --watch ... --json FILE` or `sweep --watch ... -o json` wrote, and
    /// from a sweep the sustained rate and the cores too; processes must be called router, agent-worker, risk-guard,
    /// ledger, nats and postgres (the last one with a + behind its PID: its children do the work)
    #[arg(long, visible_alias = "measured", value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    measured: MeasuredArgs,
    #[command(flatten)]
    prices: PriceArgs,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Figures in place of those in the table "What a plan goes by" of `PERFORMANCE.md`, which says of each when and how
/// it was measured, or that it is assumed; so does every plan.
#[derive(Debug, Args)]
struct MeasuredArgs {
    /// Trades per second one machine sustained with everything on it
    #[arg(long, default_value_t = figures::SUSTAINED.value)]
    sustained_per_second: u64,
    /// That machine's cores
    #[arg(long, default_value_t = figures::CORES.value)]
    cores: u64,
    /// CPU of one trade in the router, microseconds
    #[arg(long, default_value_t = figures::ROUTER.value)]
    cpu_micros_router: u64,
    /// The same in the agent workers
    #[arg(long, default_value_t = figures::WORKER.value)]
    cpu_micros_worker: u64,
    /// The same in the guard
    #[arg(long, default_value_t = figures::GUARD.value)]
    cpu_micros_guard: u64,
    /// The same in the ledger
    #[arg(long, default_value_t = figures::LEDGER.value)]
    cpu_micros_ledger: u64,
    /// The same in the bus
    #[arg(long, default_value_t = figures::BUS.value)]
    cpu_micros_bus: u64,
    /// The same in the database
    #[arg(long, default_value_t = figures::DATABASE.value)]
    cpu_micros_database: u64,
    /// Trades per second one guard decided
    #[arg(long, default_value_t = figures::GUARD_MAX.value)]
    guard_per_second_max: u64,
    /// Fills per second one shard of the ledger booked
    #[arg(long, default_value_t = figures::SHARD_MAX.value)]
    shard_per_second_max: u64,
    /// Messages per second one bus server wrote with an fsync each
    #[arg(long, default_value_t = figures::BUS_MAX.value)]
    bus_messages_per_second_max: u64,
    /// Bus messages for a thousand trades under load
    #[arg(long, default_value_t = figures::MESSAGES.value)]
    bus_messages_per_1000_trades: u64,
    /// Database transactions for a thousand trades under load
    #[arg(long, default_value_t = figures::COMMITS.value)]
    commits_per_1000_trades: u64,
    /// Memory of all services without accounts, MiB
    #[arg(long, default_value_t = figures::IDLE.value >> 20)]
    memory_mib_idle: u64,
    /// Memory of one account in all services, bytes
    #[arg(long, default_value_t = figures::PER_ACCOUNT.value)]
    memory_bytes_per_account: u64,
    /// Kept in the database for one trade, bytes with indexes
    #[arg(long, default_value_t = figures::DATABASE_BYTES.value)]
    database_bytes_per_trade: u64,
    /// Kept on the bus for one trade, bytes
    #[arg(long, default_value_t = figures::BUS_BYTES.value)]
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
        let (measured, given) = match &self.from {
            None => (assumed, Vec::new()),
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
                let json = serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
                taken(assumed, &json).with_context(|| format!("{} is no report of `run --json`", file.display()))?
            }
        };
        let plan = Plan::new(demand, &measured, self.prices.prices());
        let curve = plan.growth(&GROWTH);
        match self.output {
            Output::Json => {
                let origins: serde_json::Map<String, Value> =
                    inputs(&plan, &given)?.into_iter().map(|(name, _, origin)| (name, origin.into())).collect();
                print_json(&serde_json::json!({ "plan": plan, "growth": curve, "origins": origins }))?;
            }
            Output::Table => {
                print(format_args!("{plan}\n\n{}\n\nWhat went in:", growth_table(&curve)))?;
                for (name, value, origin) in inputs(&plan, &given)? {
                    let value = value.to_string();
                    print(format_args!("  {name:<28} {value:>11}  {origin}"))?;
                }
                if let Some(file) = self.from {
                    print(format_args!("The report is {}.", file.display()))?;
                }
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

/// Every number that went in, and where it comes from; `given` were read from a report.
fn inputs(plan: &Plan, given: &[&str]) -> anyhow::Result<Vec<(String, Value, String)>> {
    let table = |value: Value| value.as_object().cloned().into_iter().flatten();
    let measured = table(serde_json::to_value(&plan.measured)?).map(|(name, value)| {
        let origin = origin(&name, value.as_u64().unwrap_or(0), given);
        (name, value, origin)
    });
    let prices = table(serde_json::to_value(plan.prices)?).map(|(name, value)| (name, value, "a choice".to_owned()));
    Ok(measured.chain(prices).collect())
}

/// `assumed` with what a report says instead, and the names of that: the first run of `run --json`, or the sustained
/// step of a sweep. Only a sweep knows what is sustained; the rate of a run is what somebody asked for.
fn taken(assumed: Measured, report: &Value) -> anyhow::Result<(Measured, Vec<&'static str>)> {
    let sustained = report.get("sustained_per_second").and_then(Value::as_u64);
    let steps = report.get("steps").and_then(Value::as_array);
    let step = steps.and_then(|steps| steps.iter().find(|step| step["per_second"].as_u64() == sustained));
    let run = step.and_then(|step| step.get("report")).or_else(|| report.get(0)).unwrap_or(report);
    let processes = run.pointer("/usage/processes").and_then(Value::as_array).context("it has no usage.processes")?;
    let mut measured = assumed;
    let mut given = Vec::new();
    let cpu = |name: &str| {
        let process = processes.iter().find(|process| process["name"] == name)?;
        process["cpu_micros_per_trade"].as_u64()
    };
    for (name, process, figure) in [
        ("cpu_micros_router", "router", &mut measured.cpu_micros_router),
        ("cpu_micros_worker", "agent-worker", &mut measured.cpu_micros_worker),
        ("cpu_micros_guard", "risk-guard", &mut measured.cpu_micros_guard),
        ("cpu_micros_ledger", "ledger", &mut measured.cpu_micros_ledger),
        ("cpu_micros_bus", "nats", &mut measured.cpu_micros_bus),
        ("cpu_micros_database", "postgres", &mut measured.cpu_micros_database),
    ] {
        if let Some(micros) = cpu(process) {
            *figure = micros;
            given.push(name);
        }
    }
    // What is sustained are operations; a plan counts filled trades.
    let trades = step.and_then(|step| step.pointer("/report/trades_per_second")).and_then(Value::as_u64);
    let cores = run.pointer("/machine/cores").and_then(Value::as_u64);
    if let Some((trades, cores)) = trades.zip(cores) {
        (measured.sustained_per_second, measured.cores) = (trades, cores);
        given.extend(["sustained_per_second", "cores"]);
    }
    Ok((measured, given))
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
    fn a_report_takes_the_place_of_what_is_known() {
        let line = Line::try_parse_from(["plan"]).expect("defaults");
        let assumed = line.plan.measured.measured();
        let process = |name: &str, cpu: u64| serde_json::json!({ "name": name, "cpu_micros_per_trade": cpu });
        let processes = [process("router", 11), process("nats", 12)];
        let usage = serde_json::json!({ "processes": processes });
        let run = serde_json::json!({ "trades_per_second": 6_900, "machine": { "cores": 4 }, "usage": usage });
        let (measured, given) = taken(assumed.clone(), &serde_json::json!([run])).expect("a report of a run");
        assert_eq!((measured.cpu_micros_router, measured.cpu_micros_bus), (11, 12));
        assert_eq!(given, ["cpu_micros_router", "cpu_micros_bus"], "a run does not know what is sustained");
        assert_eq!(measured.sustained_per_second, assumed.sustained_per_second);
        let steps = serde_json::json!([{ "per_second": 7_000, "report": run }]);
        let sweep = serde_json::json!({ "sustained_per_second": 7_000, "steps": steps });
        let (measured, given) = taken(assumed.clone(), &sweep).expect("a report of a sweep");
        assert_eq!((measured.sustained_per_second, measured.cores, measured.cpu_micros_bus), (6_900, 4, 12));
        assert_eq!(measured.cpu_micros_guard, assumed.cpu_micros_guard);
        assert!(taken(assumed, &serde_json::json!({})).is_err());
        let plan = Plan::new(
            Demand { users: 1, requests_per_user_day: 1, peak_factor: 1 },
            &measured,
            line.plan.prices.prices(),
        );
        let inputs = inputs(&plan, &given).expect("numbers");
        assert_eq!(inputs.len(), 24);
        let origin =
            |wanted: &str| inputs.iter().find(|(name, ..)| name == wanted).map(|(_, _, origin)| origin.as_str());
        assert_eq!(origin("cores"), Some("from the report"));
        assert!(origin("cpu_micros_guard").is_some_and(|origin| origin.starts_with("ASSUMED")));
    }
}
