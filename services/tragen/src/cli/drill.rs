//! `tragen drill`: trips limits for real in a private paper system.

use crate::{
    Verdict,
    drill::{self, MISSING, Missing, Row},
    output::{Format, print},
};
use clap::Args;
use serde::Serialize;

/// What to drill.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tragen drill --list\n  tragen drill price_collar wallet_floor_ppm\n  tragen drill --all --allow-missing\n\nIt starts a paper system of its own in a temporary folder; a running one is not touched.\nExit code 0: every drill went as expected, and with --all no limit is without a drill."
)]
pub(crate) struct DrillArgs {
    /// Which limits, as `--list` names them.
    #[arg(value_name = "LIMIT", required_unless_present_any = ["all", "list"], conflicts_with_all = ["all", "list"])]
    limits: Vec<String>,
    /// Every limit that has a drill.
    #[arg(long, conflicts_with = "list")]
    all: bool,
    /// Only names the drills, and the limits without one.
    #[arg(long)]
    list: bool,
    /// Limits without a drill are no failure.
    #[arg(long, requires = "all")]
    allow_missing: bool,
}

impl DrillArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        if self.list {
            let names: Vec<&str> = drill::all().iter().map(|drill| drill.limit).collect();
            show(format, &names, &["DRILL"], |name| vec![(*name).to_owned()], MISSING)?;
            return Ok(Verdict::Good);
        }
        let rows = drill::run(drill::named(&self.limits)?, |said| eprintln!("{said}")).await?;
        let headers = ["LIMIT", "TRIPPED AT", "EXPECTED", "ACTION", "MS", "RESET", "PROBLEM"];
        let missing = if self.all { MISSING } else { &[] };
        show(format, &rows, &headers, row, missing)?;
        let failed = rows.iter().filter(|row| !row.problem.is_empty()).count();
        eprintln!("{} of {} drills went as expected", rows.len() - failed, rows.len());
        let is_complete = self.allow_missing || missing.is_empty();
        Ok(if failed == 0 && is_complete { Verdict::Good } else { Verdict::Bad })
    }
}

/// Drills, then limits without one: two tables for people, one message for programs.
fn show<T: Serialize>(
    format: Format,
    drills: &[T],
    headers: &[&str],
    row: impl Fn(&T) -> Vec<String>,
    missing: &[Missing],
) -> anyhow::Result<()> {
    match format {
        Format::Json => format.record(&serde_json::json!({ "drills": drills, "not_drilled": missing }), &[])?,
        Format::Csv => format.list("drills", drills, headers, row)?,
        Format::Table => {
            format.list("drills", drills, headers, row)?;
            if !missing.is_empty() {
                print("")?;
                let why = |missing: &Missing| vec![missing.limit.to_owned(), missing.reason.to_owned()];
                format.list("not_drilled", missing, &["NOT DRILLED", "WHY"], why)?;
            }
        }
    }
    if !missing.is_empty() {
        eprintln!("{} limits are not drilled", missing.len());
    }
    Ok(())
}

fn row(row: &Row) -> Vec<String> {
    vec![
        row.limit.clone(),
        row.tripped_at.to_string(),
        row.expected.to_string(),
        row.action.clone(),
        row.time_to_action_ms.to_string(),
        row.reset.clone(),
        row.problem.clone(),
    ]
}
