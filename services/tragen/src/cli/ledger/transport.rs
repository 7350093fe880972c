//! `tragen ledger export` and `import`: the books of a shard as a file, to take
//! them from SQLite to PostgreSQL or back.

use super::books::{BooksArgs, bar};
use crate::{Verdict, output::Format};
use clap::Args;
use std::path::PathBuf;
use tragen_ledger::Exported;

/// Which books to write where.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    books: BooksArgs,
    /// The shard.
    #[arg(long, default_value_t = 0, value_name = "SHARD")]
    shard: u16,
    /// The file; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Which file to put where.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    books: BooksArgs,
    /// The file that `export` has written; it says which shard it is.
    #[arg(long = "in", value_name = "FILE")]
    file: PathBuf,
}

impl ExportArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let bar = bar("rows")?;
        let progress = |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        };
        let exported = tragen_ledger::export(&self.books.existing()?, self.shard, &self.out, progress).await;
        bar.finish_and_clear();
        show(format, &exported?)
    }
}

impl ImportArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let bar = bar("rows")?;
        let progress = |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        };
        anyhow::ensure!(self.file.is_file(), "there is no file of books at {}", self.file.display());
        let imported = tragen_ledger::import(&self.books.new_url()?, &self.file, progress).await;
        bar.finish_and_clear();
        show(format, &imported?)
    }
}

fn show(format: Format, exported: &Exported) -> anyhow::Result<Verdict> {
    let message = serde_json::json!({
        "shard": exported.shard,
        "rows": exported.rows,
        "epoch": exported.epoch,
        "head_hash": exported.head_hash,
    });
    let fields = [
        ("shard", exported.shard.to_string()),
        ("rows", exported.rows.to_string()),
        ("epoch", exported.epoch.to_string()),
        ("head hash", exported.head_hash.clone()),
    ];
    format.record(&message, &fields)?;
    Ok(Verdict::Good)
}
