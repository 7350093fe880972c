//! The command line: one module for each command.

mod chaos;
mod fairness;
mod plan;
mod run;
mod sweep;
mod target;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use std::{
    fmt,
    io::{self, Write as _},
};

const EXAMPLES: &str = "\
Examples:
  tragen token --account-prefix load --count 100 --tier premium --out tokens.txt
  tragen-loadtest run --tokens tokens.txt --in-flight 32 --seconds 30
  tragen-loadtest run --tokens tokens.txt --rate 2500 --seconds 60 --fail-on-error -o json
  tragen-loadtest run --signing-key data/keys/token.pkcs8 --scenario loadtest/scenarios/spike.toml --html spike.html
  tragen-loadtest matrix --tokens tokens.txt --seconds 20
  tragen-loadtest sweep --tokens tokens.txt --from 500 --to 20000
  tragen-loadtest fairness --signing-key data/keys/token.pkcs8 --seconds 20
  tragen-loadtest plan --users 1000000 --requests-per-user-day 20
  tragen-loadtest chaos --seed 7 --minutes 5 --folder /tmp/chaos

The exit code is 1 when the audit or the proof finds a broken promise, when a goal of the scenario or a claim of fairness is missed,
when the load cannot be run, and with --fail-on-error also when any operation failed.";

/// Places trades through the public API as fast as asked, measures, and audits the result.
#[derive(Debug, Parser)]
#[command(name = "tragen-loadtest", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run: a scenario, a closed loop (--in-flight) or an open one (--rate)
    #[command(after_help = EXAMPLES)]
    Run(Box<run::RunArgs>),
    /// Closed loops with 1, 32 and 256 in flight, one after another, as a markdown table
    #[command(after_help = EXAMPLES)]
    Matrix(Box<run::MatrixArgs>),
    /// The highest rate that is sustained with p99 within a limit and without errors
    #[command(after_help = EXAMPLES)]
    Sweep(Box<sweep::SweepArgs>),
    /// Premium beside free users who ask for more than there is, and a quiet user beside a noisy one
    #[command(after_help = EXAMPLES)]
    Fairness(Box<fairness::FairnessArgs>),
    /// What measured figures mean for so many users: servers, memory, storage, dollars, the next bottleneck
    #[command(after_help = EXAMPLES)]
    Plan(plan::PlanArgs),
    /// Everything in processes of its own, a load, and faults by a seeded schedule
    #[command(after_help = EXAMPLES)]
    Chaos(chaos::ChaosArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// One JSON document
    Json,
}

impl Cli {
    /// Does what was asked; false when a promise was broken, a goal was missed or, with `--fail-on-error`, an
    /// operation failed.
    ///
    /// # Errors
    /// When it cannot be done at all.
    pub async fn run(self) -> anyhow::Result<bool> {
        match self.command {
            Command::Run(args) => args.run().await,
            Command::Matrix(args) => args.run().await,
            Command::Sweep(args) => args.run().await,
            Command::Fairness(args) => args.run().await,
            Command::Plan(args) => args.run(),
            Command::Chaos(args) => args.run().await,
        }
    }
}

/// Prints the result. A reader who has had enough, like `head`, is no error: the exit code stays the result's.
fn print(text: impl fmt::Display) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("printing the result"),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string_pretty(value).context("writing the result as JSON")?)
}

/// Tells how far it is; whether anybody listens makes no difference.
fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
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
            "run --tokens f --signing-key k",
            "run --signing-key k --users 0",
            "run --tokens f --rate 5 --watch nothing",
            "run --tokens f --ramp-to 5",
            "run --tokens f --rate 5 --ramp-to 5 --day-secs 5",
            "matrix",
            "matrix --tokens f --in-flight 1,0",
            "sweep --tokens f --from 0",
            "fairness",
            "fairness --signing-key k --rate 0",
            "plan --users 0",
            "chaos --minutes 0",
        ] {
            assert!(Cli::try_parse_from(["tragen-loadtest"].into_iter().chain(bad.split(' '))).is_err(), "{bad}");
        }
        let good = Cli::try_parse_from("tragen-loadtest matrix --tokens f --in-flight 1,8".split(' ')).expect("valid");
        assert!(matches!(good.command, Command::Matrix(args) if args.in_flight == [1, 8]));
    }
}
