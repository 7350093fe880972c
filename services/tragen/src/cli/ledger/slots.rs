//! `tragen ledger slots` and `move-slot`: where accounts are kept, and how they
//! go somewhere else while ledgers run.

use super::books::ShardsArgs;
use crate::{
    Verdict,
    output::{Format, print},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;
use tragen_ledger::{MoveProgress, SlotMoved, SlotPlace};

/// Which slots to list.
#[derive(Debug, Args)]
pub(crate) struct SlotsArgs {
    #[command(flatten)]
    shards: ShardsArgs,
    /// Only those of this shard.
    #[arg(long, value_name = "SHARD")]
    shard: Option<u16>,
}

/// Which slot to move where.
#[derive(Debug, Args)]
pub(crate) struct MoveSlotArgs {
    #[command(flatten)]
    shards: ShardsArgs,
    /// The slot, 0 to 255.
    #[arg(long, value_name = "SLOT", required_unless_present = "account", value_parser = clap::value_parser!(u16).range(..256))]
    slot: Option<u16>,
    /// The account whose slot it is, instead.
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "slot")]
    account: Option<String>,
    /// The shard it goes to.
    #[arg(long, value_name = "SHARD")]
    to: u16,
}

impl SlotsArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let places = tragen_ledger::slots(&self.shards.load()?).await?;
        let wanted = |place: &SlotPlace| self.shard.is_none_or(|shard| shard == place.shard);
        let places: Vec<_> = places.into_iter().filter(wanted).collect();
        let headers = ["SHARD", "SLOT", "ACCOUNTS", "WALLETS", "LEAVING FOR", "CAME FROM"];
        format.list("slots", &places, &headers, row)?;
        Ok(Verdict::Good)
    }
}

impl MoveSlotArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let slot = match (self.slot, &self.account) {
            (Some(slot), _) => slot,
            (None, Some(account)) => tragen_ledger::slot_of_account(account),
            (None, None) => anyhow::bail!("--slot or --account must be given"),
        };
        let config = self.shards.load()?;
        let spinner = ProgressBar::new_spinner();
        spinner.set_style(ProgressStyle::with_template("{spinner} slot {prefix}: {msg}, {elapsed}")?);
        spinner.set_prefix(slot.to_string());
        spinner.enable_steady_tick(Duration::from_millis(100));
        let moved = tragen_ledger::move_slot(&config, slot, self.to, |progress| spinner.set_message(words(progress)));
        let moved = moved.await;
        spinner.finish_and_clear();
        match moved? {
            Some(moved) => show(format, moved)?,
            None => print(&format!("Slot {slot} is in shard {}.", self.to))?,
        }
        Ok(Verdict::Good)
    }
}

fn words(progress: MoveProgress) -> String {
    match progress {
        MoveProgress::Claimed => "begun".to_owned(),
        MoveProgress::Copied { rows } => format!("{rows} rows compared and copied"),
        MoveProgress::Left => "it stands still, the last changes are copied".to_owned(),
        MoveProgress::Arrived => "it is served in its new shard".to_owned(),
        MoveProgress::Paid => "settled positions are paid".to_owned(),
        MoveProgress::Closed => "done".to_owned(),
    }
}

fn shard_or_blank(shard: Option<u16>) -> String {
    shard.map(|shard| shard.to_string()).unwrap_or_default()
}

fn row(place: &SlotPlace) -> Vec<String> {
    vec![
        place.shard.to_string(),
        place.slot.to_string(),
        place.accounts.to_string(),
        place.wallets.to_string(),
        shard_or_blank(place.leaving_for),
        shard_or_blank(place.came_from),
    ]
}

fn show(format: Format, moved: SlotMoved) -> anyhow::Result<()> {
    let standstill_ms = u64::try_from(moved.standstill.as_millis())?;
    let message = serde_json::json!({
        "slot": moved.slot,
        "from": moved.from,
        "to": moved.to,
        "accounts": moved.accounts,
        "wallets": moved.wallets,
        "positions": moved.positions,
        "rows_copied": moved.rows,
        "standstill_ms": standstill_ms,
    });
    let fields = [
        ("slot", moved.slot.to_string()),
        ("from shard", moved.from.to_string()),
        ("to shard", moved.to.to_string()),
        ("accounts", moved.accounts.to_string()),
        ("wallets", moved.wallets.to_string()),
        ("positions", moved.positions.to_string()),
        ("rows copied", moved.rows.to_string()),
        ("stood still", format!("{standstill_ms} ms")),
    ];
    format.record(&message, &fields)
}
