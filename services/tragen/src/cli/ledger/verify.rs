//! `tragen ledger verify`: recomputes what the books say.

use crate::{
    Verdict,
    output::{Format, print},
    service::{store_in, store_url},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::{path::PathBuf, time::Duration};
use tragen_ledger::VerifyReport;

/// Which books to recompute.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The data folder of `tragen up`.
    #[arg(long, env = "TRAGEN_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// The database instead: a sqlite:// or postgres:// address.
    #[arg(long, env = "TRAGEN_STORE", hide_env_values = true)]
    store: Option<String>,
}

impl VerifyArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let Self { data_dir, store } = self;
        let store = match store {
            Some(store) if store != "sqlite" => store_url(&store, &data_dir)?,
            _ => {
                let books = store_in(&data_dir)?;
                anyhow::ensure!(books.path.is_file(), "there are no books at {}", books.path.display());
                books.url
            }
        };
        // A bar without a length: it is drawn only on a terminal.
        let progress = ProgressBar::new_spinner();
        progress.set_style(ProgressStyle::with_template("{spinner} {human_pos} transfers read, {elapsed}")?);
        progress.enable_steady_tick(Duration::from_millis(100));
        let report = tragen_ledger::verify(&store, |transfers| progress.set_position(transfers)).await;
        progress.finish_and_clear();
        let report = report?;
        show(format, &report)?;
        Ok(if report.first_bad_row.is_none() { Verdict::Good } else { Verdict::Bad })
    }
}

fn show(format: Format, report: &VerifyReport) -> anyhow::Result<()> {
    let bad = report.first_bad_row.as_ref();
    let message = serde_json::json!({
        "is_equal": bad.is_none(),
        "transfers": report.transfers,
        "executions": report.executions,
        "cash_movements": report.cash_movements,
        "batches": report.batches,
        "wallets": report.wallets,
        "positions": report.positions,
        "trades": report.trades,
        "head_hash": report.head_hash,
        "first_bad_row": bad.map(|row| serde_json::json!({
            "table": row.table, "key": row.key, "problem": row.problem,
        })),
    });
    let fields = [
        ("transfers", report.transfers.to_string()),
        ("executions", report.executions.to_string()),
        ("cash movements", report.cash_movements.to_string()),
        ("batches", report.batches.to_string()),
        ("wallets", report.wallets.to_string()),
        ("positions", report.positions.to_string()),
        ("trades", report.trades.to_string()),
        ("head hash", report.head_hash.clone()),
    ];
    format.record(&message, &fields)?;
    match (format, bad) {
        (Format::Json | Format::Csv, _) => Ok(()),
        (Format::Table, None) => print("\nEverything is equal to what the transfers make it."),
        (Format::Table, Some(row)) => print(&format!("\nFirst bad row: {} {}: {}", row.table, row.key, row.problem)),
    }
}
