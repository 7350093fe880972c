//! Moving a slot to another shard while ledgers serve both.
//!
//! 1. **Claim**: the target notes that this move is the one that may write to it;
//!    an older one that still runs finds itself shut out.
//! 2. **Copy**: trades, executions and movements of cash of the slot's accounts go
//!    over while the source goes on, then what has changed meanwhile.
//! 3. **Leave**: the source marks the slot as leaving under a new epoch. From here
//!    on nothing can be booked to it; balances can still be read. Reports for it
//!    wait on the bus. The last changes are copied.
//! 4. **Arrive**: in one transaction the target books what the accounts hold, and
//!    the slot is served there.
//! 5. **Pay**: positions in markets that the target had settled before they came
//!    are paid out.
//! 6. **Close**: in one transaction the source books the other half, takes the
//!    wallets and positions away, and notes where the slot went. It hands on what
//!    the target passed over while the slot was not there yet.
//!
//! Each step is one transaction of one database, and says from the tables alone
//! whether it was done: after a crash the same command goes on where it ended. Up
//! to step 4 a move can be taken back, by moving the slot to where it leaves.

mod copying;
mod handover;
mod payout;
pub(crate) mod posting;

use crate::{
    config::{Config, ShardConfig},
    slot::{SLOTS, slot_of},
    store::{Books, rows::SlotRow, turn::Turns},
};
use anyhow::Context as _;
use handover::{Handover, Leaving};
use std::time::Duration;

/// How long a database may take to give a connection or a lock.
const WAIT: Duration = Duration::from_secs(10);
/// Moves that were cut short and are finished before this one.
const UNFINISHED_MAX: usize = 3;

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveProgress {
    /// No older move of the slot can write any more.
    Claimed,
    /// So many rows have been compared or copied.
    Copied {
        /// Trades, executions and movements of cash.
        rows: u64,
    },
    /// Nothing is booked to the slot any more.
    Left,
    /// The slot is served by its new shard.
    Arrived,
    /// What its new shard had settled before is paid.
    Paid,
    /// The old shard has closed its books of it.
    Closed,
}

/// What a move did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotMoved {
    /// The slot.
    pub slot: u16,
    /// The shard it was in.
    pub from: u16,
    /// The shard it is in.
    pub to: u16,
    /// Accounts that went with it.
    pub accounts: u64,
    /// Wallets that went with it.
    pub wallets: u64,
    /// Positions that went with it, flat ones too.
    pub positions: u64,
    /// Trades, executions and movements of cash that the new shard did not have yet, or not as they are.
    pub rows: u64,
    /// How long nothing could be booked to the slot; zero when that began in an earlier run.
    pub standstill: Duration,
}

/// Where a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct SlotPlace {
    /// The slot, 0 to 255.
    pub slot: u16,
    /// The shard that keeps it.
    pub shard: u16,
    /// Where it is on its way to.
    pub leaving_for: Option<u16>,
    /// Where it was before; `None` if it began here.
    pub came_from: Option<u16>,
    /// Accounts with a wallet.
    pub accounts: u64,
    /// Their wallets.
    pub wallets: u64,
}

/// The slot of an account.
#[must_use]
pub fn slot_of_account(account_id: &str) -> u16 {
    slot_of(account_id)
}

/// Every slot with the shard that keeps it and what is in it, by shard and slot.
///
/// # Errors
/// When a shard cannot be read.
pub async fn slots(config: &Config) -> anyhow::Result<Vec<SlotPlace>> {
    let sides = open(config).await?;
    let mut places = Vec::new();
    for side in &sides {
        let sizes = side.turns.slot_sizes().await?;
        for row in side.turns.slot_rows().await?.into_iter().filter(|row| row.state != SlotRow::GONE) {
            let slot = u16::try_from(row.slot)?;
            let (accounts, wallets) = sizes.get(&slot).copied().unwrap_or_default();
            let leaving_for = (row.state == SlotRow::LEAVING).then_some(row.peer_shard);
            places.push(SlotPlace {
                slot,
                shard: side.turns.shard,
                leaving_for: leaving_for.and_then(|shard| u16::try_from(shard).ok()),
                came_from: u16::try_from(row.came_from).ok(),
                accounts,
                wallets,
            });
        }
    }
    close(&sides).await;
    Ok(places)
}

/// Moves `slot` to the shard `to` while ledgers run. A move that was cut short is
/// finished, or taken back when `to` is the shard it leaves. `None` when the slot
/// is there already. `progress` hears of every step that is done for good.
///
/// # Errors
/// When a shard cannot be reached, or another move of the same slot gets in the
/// way; nothing is lost then, and the same command goes on.
pub async fn move_slot(
    config: &Config,
    slot: u16,
    to: u16,
    mut progress: impl FnMut(MoveProgress) + Send,
) -> anyhow::Result<Option<SlotMoved>> {
    let shards = config.shards().len();
    anyhow::ensure!(slot < SLOTS, "there are {SLOTS} slots, 0 to {}", SLOTS - 1);
    anyhow::ensure!(usize::from(to) < shards, "there are {shards} shards, no shard {to}");
    let sides = open(config).await?;
    let moved = bring(&sides, slot, to, &mut progress).await;
    close(&sides).await;
    moved
}

/// One shard, as a move sees it.
#[derive(Debug)]
struct Side {
    place: ShardConfig,
    books: Books,
    turns: Turns,
}

/// Where all shards together say a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Kept { by: u16 },
    Leaving(Leaving),
}

async fn open(config: &Config) -> anyhow::Result<Vec<Side>> {
    config.validate()?;
    let mut sides = Vec::new();
    for (shard, place) in (0..).zip(config.shards()) {
        let books = Books::open(shard, &place, 1, WAIT).await.with_context(|| format!("opening shard {shard}"))?;
        let turns = Turns::open(shard, &place, WAIT).await?;
        sides.push(Side { place, books, turns });
    }
    Ok(sides)
}

async fn close(sides: &[Side]) {
    for side in sides {
        side.turns.close().await;
        side.books.close().await;
    }
}

/// Goes on from where the slot is found until it is in `to`.
async fn bring(
    sides: &[Side],
    slot: u16,
    to: u16,
    progress: &mut (impl FnMut(MoveProgress) + Send),
) -> anyhow::Result<Option<SlotMoved>> {
    let mut moved = None;
    for _ in 0..=UNFINISHED_MAX {
        let (from, onto, unfinished) = match standing(sides, slot).await? {
            Standing::Kept { by } if by == to => return Ok(moved),
            Standing::Kept { by } => (by, to, None),
            Standing::Leaving(leaving) => (leaving.from, leaving.to, Some(leaving)),
        };
        let side =
            |shard: u16| sides.get(usize::from(shard)).with_context(|| format!("shard {shard} is not configured"));
        let mut handover = Handover { slot, source: side(from)?, target: side(onto)?, progress: &mut *progress };
        let Some(leaving) = unfinished else {
            moved = Some(handover.carry().await?);
            continue;
        };
        let is_taken_back = from == to && handover.take_back(leaving).await?;
        moved = if is_taken_back { None } else { Some(handover.finish(leaving).await?) };
    }
    anyhow::bail!("slot {slot} is moved to and fro by somebody else; run the command again when that is over")
}

/// Asks every shard for the slot.
async fn standing(sides: &[Side], slot: u16) -> anyhow::Result<Standing> {
    let mut keepers = Vec::new();
    for side in sides {
        let shard = side.turns.shard;
        match side.turns.slot(slot).await?.filter(|row| row.state != SlotRow::GONE) {
            Some(row) if row.state == SlotRow::LEAVING => {
                let to = u16::try_from(row.peer_shard).context("a slot leaves for a shard that cannot be")?;
                return Ok(Standing::Leaving(Leaving { from: shard, to, at: row.changed_at }));
            }
            Some(_) => keepers.push(shard),
            None => {}
        }
    }
    match keepers.as_slice() {
        [by] => Ok(Standing::Kept { by: *by }),
        [] => anyhow::bail!(
            "no shard keeps slot {slot}: has a ledger ever served these shards, are all of them configured?"
        ),
        _ => anyhow::bail!(
            "shards {keepers:?} all keep slot {slot}: another move is under way, or they do not belong together"
        ),
    }
}
