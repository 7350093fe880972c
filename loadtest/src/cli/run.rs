//! `run` and `matrix`: one run, or several closed loops one after another.

use super::{
    Output, print, print_json, size,
    target::{Cast, TargetArgs},
    tell,
};
use crate::{Load, Report, Run, Scenario, Session, Shape, Verdict, page};
use anyhow::Context as _;
use clap::{Args, value_parser};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    told: ToldArgs,
    /// A scenario: who acts, what they do, how fast, and what must come out of it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "in_flight"])]
    scenario: Option<PathBuf>,
    /// Closed loop: operations in flight at any time
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Open loop: operations started per second, at fixed times
    #[arg(long, conflicts_with = "in_flight", value_parser = value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Open loop: go evenly from --rate to this rate
    #[arg(long, requires = "rate", group = "shape", value_parser = value_parser!(u32).range(1..=1_000_000))]
    ramp_to: Option<u32>,
    /// Open loop: multiply the rate by this for a while
    #[arg(long, requires = "rate", group = "shape", value_parser = value_parser!(u32).range(2..=1_000))]
    spike: Option<u32>,
    /// When the spike begins, seconds from the first measured start
    #[arg(long, default_value_t = 5)]
    spike_after_secs: u64,
    /// How long the spike lasts
    #[arg(long, default_value_t = 10)]
    spike_secs: u64,
    /// Open loop: days of this length with a quiet night and a busy evening, --rate being their mean
    #[arg(long, requires = "rate", group = "shape", value_parser = value_parser!(u64).range(1..))]
    day_secs: Option<u64>,
    /// Open loop: most operations in flight
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    max_in_flight: u32,
}

#[derive(Debug, Args)]
pub(super) struct MatrixArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    told: ToldArgs,
    /// Operations in flight, one run each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 256], value_parser = value_parser!(u32).range(1..=100_000))]
    pub(super) in_flight: Vec<u32>,
}

/// How long, and how the result is told.
#[derive(Debug, Args)]
struct ToldArgs {
    /// How long to measure
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Load before measuring
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u64).range(0..=3_600))]
    warm_up_secs: u64,
    /// Exit with 1 when any operation failed
    #[arg(long)]
    fail_on_error: bool,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Also write the result as JSON into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the result as one HTML page into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// A report and how it stands to the goals.
#[derive(Debug, Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    verdicts: &'a [Verdict],
}

impl RunArgs {
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        let scenario = self.scenario.as_deref().map(Scenario::read).transpose()?;
        let (setup, run) = match &scenario {
            None => (self.target.setup()?, self.told.run(self.load())),
            Some(scenario) => {
                let (users, mix) = (scenario.users.count, scenario.mix);
                let (zipf_exponent, seed) = (scenario.users.zipf_exponent, scenario.users.seed);
                (self.target.setup_for(Cast { users, zipf_exponent, seed, mix })?, scenario.run()?)
            }
        };
        let session = Session::open(setup).await?;
        let report = session.run(run, tell).await?;
        let proof = session.prove(&self.target.database).await?;
        let report = Report { proof, ..report };
        let verdicts = scenario.as_ref().map(|scenario| scenario.verdicts(&report)).unwrap_or_default();
        let title = scenario.map_or_else(|| "Load test".to_owned(), |scenario| scenario.name);
        let runs = [(report, verdicts)];
        self.told.write(&title, &runs)?;
        let [(report, verdicts)] = &runs;
        match self.told.output {
            Output::Table => {
                print(report)?;
                verdicts.iter().try_for_each(|verdict| print(format_args!("goal         {verdict}")))?;
            }
            Output::Json => print_json(&Judged { report, verdicts })?,
        }
        Ok(self.told.is_good(report) && !verdicts.iter().any(Verdict::is_failed))
    }

    fn load(&self) -> Load {
        let Some(per_second) = self.rate else { return Load::Closed { in_flight: size(self.in_flight) } };
        let shape = match (self.ramp_to, self.spike, self.day_secs) {
            (Some(to_per_second), _, _) => Shape::Ramp { from_per_second: per_second, to_per_second },
            (None, Some(factor), _) => {
                let (after_secs, lasts_secs) = (self.spike_after_secs, self.spike_secs);
                Shape::Spike { per_second, factor, after_secs, lasts_secs }
            }
            (None, None, Some(day_secs)) => Shape::Day { per_second, day_secs },
            (None, None, None) => Shape::Constant { per_second },
        };
        Load::Open { shape, in_flight_max: size(self.max_in_flight) }
    }
}

impl MatrixArgs {
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        let session = Session::open(self.target.setup()?).await?;
        let mut reports = Vec::with_capacity(self.in_flight.len());
        for in_flight in &self.in_flight {
            let run = self.told.run(Load::Closed { in_flight: size(*in_flight) });
            reports.push(session.run(run, tell).await?);
        }
        let proof = session.prove(&self.target.database).await?;
        let is_proved = proof.as_ref().is_none_or(crate::Proof::is_passed);
        match self.told.output {
            Output::Table => {
                print(Report::markdown(&reports))?;
                let findings = reports.iter().flat_map(|report| &report.audit.findings);
                findings.for_each(|finding| tell(&format!("broken promise: {finding}")));
                proof.iter().try_for_each(|proof| print(format_args!("proof: {proof}")))?;
            }
            Output::Json => print_json(&reports)?,
        }
        let is_good = reports.iter().all(|report| self.told.is_good(report));
        let runs: Vec<_> = reports.into_iter().map(|report| (report, Vec::new())).collect();
        self.told.write("Load test", &runs)?;
        Ok(is_good && is_proved)
    }
}

impl ToldArgs {
    fn run(&self, load: Load) -> Run {
        Run::new(load, Duration::from_secs(self.warm_up_secs), Duration::from_secs(self.seconds))
    }

    fn is_good(&self, report: &Report) -> bool {
        let is_kept = report.audit.is_passed() && report.proof.as_ref().is_none_or(crate::Proof::is_passed);
        is_kept && (!self.fail_on_error || report.is_without_errors())
    }

    fn write(&self, title: &str, runs: &[(Report, Vec<Verdict>)]) -> anyhow::Result<()> {
        if let Some(file) = &self.html {
            std::fs::write(file, page(title, runs)).with_context(|| format!("writing {}", file.display()))?;
        }
        if let Some(file) = &self.json {
            let judged: Vec<_> = runs.iter().map(|(report, verdicts)| Judged { report, verdicts }).collect();
            let text = serde_json::to_string_pretty(&judged).context("writing the result as JSON")?;
            std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }
}
