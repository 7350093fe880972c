//! The command line.

use crate::{Load, Report, Run, Session, Setup, read_accounts};
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use std::{path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  tragen token --account-prefix load --count 100 --tier premium --out tokens.txt
  tragen-loadtest run --tokens tokens.txt --in-flight 32 --seconds 30
  tragen-loadtest run --tokens tokens.txt --rate 2500 --seconds 60 --fail-on-error -o json
  tragen-loadtest matrix --tokens tokens.txt --seconds 20

The exit code is 1 when the audit finds a broken promise, when the load cannot be run,
and with --fail-on-error also when any operation failed.";

/// Places trades through the public API as fast as asked, measures, and audits the result.
#[derive(Debug, Parser)]
#[command(name = "tragen-loadtest", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run, with a closed loop (--in-flight) or an open one (--rate)
    #[command(after_help = EXAMPLES)]
    Run(RunArgs),
    /// Closed loops with 1, 32 and 256 in flight, one after another, as a markdown table
    #[command(after_help = EXAMPLES)]
    Matrix(MatrixArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Closed loop: operations in flight at any time
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Open loop: operations started per second, at fixed times
    #[arg(long, conflicts_with = "in_flight", value_parser = value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Open loop: most operations in flight
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    max_in_flight: u32,
}

#[derive(Debug, Args)]
struct MatrixArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Operations in flight, one run each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 256], value_parser = value_parser!(u32).range(1..=100_000))]
    in_flight: Vec<u32>,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// The public API
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "TRAGEN_ENDPOINT")]
    endpoint: String,
    /// A file with one `account token` a line
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,
    /// What to trade; by default the first open prediction with a bid and an offer
    #[arg(long, value_name = "ID")]
    instrument: Option<String>,
    /// Size of each order, 1e-6; by default the smallest allowed
    #[arg(long, value_parser = value_parser!(i64).range(1..))]
    quantity_micros: Option<i64>,
    /// HTTP/2 connections
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// How long to measure
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Load before measuring
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u64).range(0..=3_600))]
    warm_up_secs: u64,
    /// When an operation counts as failed
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    deadline_secs: u64,
    /// Paid into each account beforehand, whole units of the instrument's currency
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(i64).range(1..=1_000_000_000))]
    deposit: i64,
    /// Pay nothing in: the accounts have money
    #[arg(long, conflicts_with = "deposit")]
    no_deposit: bool,
    /// Answers to read again and compare after the load, at most
    #[arg(long, default_value_t = 2_000)]
    audit_trades: u32,
    /// Accounts whose transfers are added up after the load, at most
    #[arg(long, default_value_t = 4)]
    audit_transfers_of: u32,
    /// Exit with 1 when any operation failed
    #[arg(long)]
    fail_on_error: bool,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// One JSON document
    Json,
}

impl Cli {
    /// Does what was asked; false when a promise was broken or, with `--fail-on-error`, an operation failed.
    ///
    /// # Errors
    /// When the load cannot be run at all.
    pub async fn run(self) -> anyhow::Result<bool> {
        match self.command {
            Command::Run(args) => {
                let load = match args.rate {
                    Some(per_second) => Load::Open { per_second, in_flight_max: size(args.max_in_flight) },
                    None => Load::Closed { in_flight: size(args.in_flight) },
                };
                let reports = run_all(&args.common, &[load]).await?;
                match args.common.output {
                    Output::Table => reports.iter().for_each(|report| println!("{report}")),
                    Output::Json => reports.iter().try_for_each(print_json)?,
                }
                Ok(is_good(&args.common, &reports))
            }
            Command::Matrix(args) => {
                let loads: Vec<_> = args.in_flight.iter().map(|n| Load::Closed { in_flight: size(*n) }).collect();
                let reports = run_all(&args.common, &loads).await?;
                match args.common.output {
                    Output::Table => {
                        println!("{}", Report::markdown(&reports));
                        let findings = reports.iter().flat_map(|report| &report.audit.findings);
                        findings.for_each(|finding| eprintln!("broken promise: {finding}"));
                    }
                    Output::Json => print_json(&reports)?,
                }
                Ok(is_good(&args.common, &reports))
            }
        }
    }
}

async fn run_all(args: &CommonArgs, loads: &[Load]) -> anyhow::Result<Vec<Report>> {
    let session = Session::open(setup(args)?).await?;
    let mut reports = Vec::with_capacity(loads.len());
    for load in loads {
        let run = Run {
            load: *load,
            warm_up: Duration::from_secs(args.warm_up_secs),
            measured: Duration::from_secs(args.seconds),
        };
        reports.push(session.run(run, |line| eprintln!("{line}")).await?);
    }
    Ok(reports)
}

fn setup(args: &CommonArgs) -> anyhow::Result<Setup> {
    Ok(Setup {
        endpoint: args.endpoint.clone(),
        accounts: read_accounts(&args.tokens)?,
        connections: size(args.connections),
        instrument_id: args.instrument.clone(),
        quantity_micros: args.quantity_micros,
        deposit_micros: if args.no_deposit { 0 } else { args.deposit * 1_000_000 },
        deadline: Duration::from_secs(args.deadline_secs),
        audit_trades_max: size(args.audit_trades),
        audit_transfers_of_max: size(args.audit_transfers_of),
    })
}

fn is_good(args: &CommonArgs, reports: &[Report]) -> bool {
    reports.iter().all(|report| report.audit.is_passed() && (!args.fail_on_error || report.is_without_errors()))
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value).context("writing the result as JSON")?);
    Ok(())
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        for bad in [
            "run",
            "run --tokens f --rate 5 --in-flight 2",
            "run --tokens f --in-flight 0",
            "matrix",
            "matrix --tokens f --in-flight 1,0",
        ] {
            assert!(Cli::try_parse_from(["tragen-loadtest"].into_iter().chain(bad.split(' '))).is_err(), "{bad}");
        }
        let good = Cli::try_parse_from("tragen-loadtest matrix --tokens f --in-flight 1,8".split(' ')).expect("valid");
        assert!(matches!(good.command, Command::Matrix(MatrixArgs { in_flight, .. }) if in_flight == [1, 8]));
    }
}
