//! `tragen ledger backup` and `restore`.

use super::books::{BooksArgs, bar};
use crate::{
    Verdict,
    output::{Format, moment},
};
use clap::Args;
use std::path::PathBuf;
use tragen_bus::{Bus, Consumer, Stream, Subject};
use tragen_ledger::BackedUp;

/// Which books to copy where.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    books: BooksArgs,
    /// The shard.
    #[arg(long, default_value_t = 0, value_name = "SHARD")]
    shard: u16,
    /// The copy; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Which copy to put back where.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    books: BooksArgs,
    /// The shard.
    #[arg(long, default_value_t = 0, value_name = "SHARD")]
    shard: u16,
    /// The copy that `backup` has made.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The bus that outlived the books: it is told to deliver again what it has for the shard, and to forget
    /// the facts that the books do not know any more.
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
}

impl BackupArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let bar = bar("pages")?;
        let drawn = bar.clone();
        let progress = move |done, all| {
            drawn.set_length(all);
            drawn.set_position(done);
        };
        let copied = tragen_ledger::backup(&self.books.existing()?, self.shard, &self.out, progress).await;
        bar.finish_and_clear();
        show(format, &copied?)
    }
}

impl RestoreArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        anyhow::ensure!(self.from.is_file(), "there is no copy at {}", self.from.display());
        // Asked first: books that are back without their bus are half a restore.
        let bus = match &self.nats_url {
            Some(url) => Some(Bus::connect(url, "restore").await?),
            None => None,
        };
        let restored = tragen_ledger::restore(&self.books.new_url()?, self.shard, &self.from).await?;
        if let Some(bus) = bus {
            let facts = Subject::LedgerFacts(self.shard);
            bus.start_anew(Consumer::Ledger(self.shard), (Stream::Ledger, &facts)).await?;
        }
        show(format, &restored)
    }
}

fn show(format: Format, copy: &BackedUp) -> anyhow::Result<Verdict> {
    let message = serde_json::json!({
        "shard": copy.shard,
        "epoch": copy.epoch,
        "posting_sequence": copy.posting_sequence,
        "fact_sequence": copy.fact_sequence,
        "posted_at_micros": copy.posted_at_micros,
        "head_hash": copy.head_hash,
    });
    let fields = [
        ("shard", copy.shard.to_string()),
        ("epoch", copy.epoch.to_string()),
        ("last posting", copy.posting_sequence.to_string()),
        ("last fact", copy.fact_sequence.to_string()),
        ("last change", moment(copy.posted_at_micros / 1_000_000)),
        ("head hash", copy.head_hash.clone()),
    ];
    format.record(&message, &fields)?;
    Ok(Verdict::Good)
}
