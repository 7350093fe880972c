//! `tragen risk replay`: the guard's state from its journal, on any machine.

use super::journal::JournalArgs;
use crate::{
    Verdict,
    output::{Format, print},
};
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use tragen_domain::risk::TradingState;
use tragen_risk_guard::replay::{JournalWriter, Replay, Replayed, StateDiffers};

/// Which journal, how far, and from where.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    journal: JournalArgs,
    /// Begins with this snapshot of a guard instead of an empty state; the journal must confirm it.
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Writes what is read into this file, to be replayed elsewhere.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl ReplayArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let mut replay = match &self.snapshot {
            Some(path) => Replay::from_snapshot(path).with_context(|| format!("reading {}", path.display()))?,
            None => Replay::default(),
        };
        let first = if self.save.is_some() { 1 } else { replay.next_sequence() };
        let mut messages = self.journal.open(first).await?;
        let mut saved = self.save.as_deref().map(JournalWriter::create).transpose().context("creating the file")?;
        let mut differs = None;
        while let Some((sequence, payload)) = messages.next().await? {
            if let Some(saved) = &mut saved {
                saved.write(sequence, &payload).context("writing the journal's file")?;
            }
            // What differs is saved all the same: somebody has to look at it.
            if differs.is_none()
                && let Err(error) = replay.take(sequence, &payload)
            {
                differs = Some(error.downcast::<StateDiffers>()?);
            }
        }
        saved.map(JournalWriter::finish).transpose().context("writing the journal's file")?;
        show(format, &replay.replayed(), differs)?;
        match differs {
            None => Ok(Verdict::Good),
            Some(differs) => Err(differs.into()),
        }
    }
}

fn show(format: Format, replayed: &Replayed, differs: Option<StateDiffers>) -> anyhow::Result<()> {
    let hash = replayed.hash.to_string();
    let message = serde_json::json!({
        "journal_sequence": replayed.journal_sequence,
        "records": replayed.records,
        "hashes_checked": replayed.hashes,
        "differs_at": differs.map(|differs| differs.sequence),
        "epoch": replayed.epoch,
        "open_orders": replayed.open_orders,
        "known_trades": replayed.known_trades,
        "state_hash": hash,
    });
    let checked = match differs {
        None => format!("{} in the journal, all as replayed", replayed.hashes),
        Some(differs) => format!("{} as replayed, then another one at message {}", replayed.hashes, differs.sequence),
    };
    let fields = [
        ("journal", format!("up to message {}", replayed.journal_sequence)),
        ("records", replayed.records.to_string()),
        ("epoch", replayed.epoch.to_string()),
        ("open orders", replayed.open_orders.to_string()),
        ("known trades", replayed.known_trades.to_string()),
        ("hashes", checked),
        ("state hash", hash),
    ];
    format.record(&message, &fields)?;
    if format == Format::Table {
        for scope in &replayed.scopes {
            let state = state_word(scope.state);
            print(&format!("{} is {state} since epoch {}: {}", scope.scope, scope.epoch, scope.reason))?;
        }
    }
    Ok(())
}

const fn state_word(state: TradingState) -> &'static str {
    match state {
        TradingState::Active => "ACTIVE",
        TradingState::Reducing => "REDUCING",
        TradingState::Halted => "HALTED",
    }
}
