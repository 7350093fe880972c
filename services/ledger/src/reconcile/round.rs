//! One round over the books of a shard: what was posted since the last one, the
//! accounts it touched, and some of the others in turn.
//!
//! The cash and margin of a wallet are the sum of the account's transfers. It is
//! taken from all of them once, then carried on; so is what positions hold.

mod accounts;
mod history;

use super::{finding::Finding, transit::Sent};
use crate::{
    config::{Config, ShardConfig},
    store::{rows::SlotRow, session::Sql},
    verify::{Found, read::Snapshot},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;
use tragen_host::clock::now_micros;

/// A slot leaves within moments; longer than this, somebody must finish its move.
const LEAVING_MICROS: i64 = 60_000_000;
/// Open positions in decided markets looked at.
const UNPAID: Sql = Sql::same(
    "SELECT position.account_id, position.instrument_id, position.quantity FROM settlement
     JOIN position ON position.instrument_id = settlement.instrument_id AND position.quantity <> 0
     ORDER BY position.account_id, position.instrument_id LIMIT 1000",
);
const SLOT_ROWS: Sql = Sql::same("SELECT * FROM slot ORDER BY slot");

/// Bounds of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Accounts whose transfers are summed up from the beginning.
    pub(super) accounts_max: usize,
    /// Accounts remembered.
    pub(super) remembered_max: usize,
    /// How long accounts may be compared.
    pub(super) lasts: Duration,
}

impl Limits {
    /// As configured: half of the time is for other things.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            accounts_max: config.reconcile_accounts_max,
            remembered_max: config.cached_rows_max,
            lasts: Duration::from_millis(config.reconcile_every_ms / 2),
        }
    }
}

/// What is known of a shard from the rounds before.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Up to where postings were looked at; `None` before the first round.
    cursor: Option<Cursor>,
    /// Accounts whose sums are known, as of the cursor.
    known: HashMap<String, Known>,
    /// Accounts to be compared.
    queue: BTreeSet<String>,
    /// The last of the others that was compared.
    rotation: String,
    /// Open positions in decided markets that the round before has seen.
    unpaid: HashSet<(String, String, i64)>,
}

/// The last of everything that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cursor {
    posting: i64,
    transfer: i64,
    batch: i64,
    hash: Vec<u8>,
}

/// What follows for an account from all that was posted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    /// By the name of the ledger account, 1e-6 of its currency.
    balances: HashMap<String, i128>,
    /// By instrument: quantity and fees, 1e-6.
    positions: HashMap<String, (i128, i128)>,
}

/// What a round has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What does not agree.
    pub(super) findings: Vec<Finding>,
    /// Money sent to other shards since.
    pub(super) sent: Vec<Sent>,
    /// Accounts compared.
    pub(super) accounts: u64,
}

impl Watch {
    /// Looks at what was posted since the last round, and compares.
    ///
    /// # Errors
    /// When the books cannot be read.
    pub(super) fn round(
        &mut self,
        handle: &Handle,
        (shard, place): (u16, &ShardConfig),
        limits: Limits,
    ) -> anyhow::Result<Seen> {
        let ends = Instant::now() + limits.lasts;
        let looked = Snapshot::open(handle, shard, &place.url).and_then(|mut snapshot| {
            let mut seen = Seen::default();
            self.history(shard, &mut snapshot, &mut seen)?;
            self.accounts(&mut snapshot, (limits, ends), &mut seen)?;
            self.markets(&mut snapshot, &mut seen)?;
            slots(shard, &mut snapshot, &mut seen)?;
            Ok(seen)
        });
        match looked {
            Ok(seen) => Ok(seen),
            // A row that cannot be, e.g. no row of the shard.
            Err(Found::Bad(row)) => {
                let finding =
                    Finding::of_history(shard, row.table, format!("{} {}: {}", row.table, row.key, row.problem));
                Ok(Seen { findings: vec![finding], ..Seen::default() })
            }
            Err(Found::Failed(error)) => Err(error),
        }
    }

    /// Positions in decided markets are paid out at once; one that two rounds have seen the same was not.
    fn markets(&mut self, snapshot: &mut Snapshot, seen: &mut Seen) -> Result<(), Found> {
        let open: Vec<(String, String, i64)> = snapshot.rows(UNPAID, &[])?;
        let open: HashSet<_> = open.into_iter().collect();
        for (account, instrument, _) in open.intersection(&self.unpaid) {
            let message = format!("{account} holds {instrument}, which is decided, and was not paid out");
            seen.findings.push(Finding::to_look_at(account, &format!("unpaid-{instrument}"), message));
        }
        self.unpaid = open;
        Ok(())
    }
}

/// A slot on its way for long was left there by a move that has died.
fn slots(shard: u16, snapshot: &mut Snapshot, seen: &mut Seen) -> Result<(), Found> {
    let rows: Vec<SlotRow> = snapshot.rows(SLOT_ROWS, &[])?;
    let before = now_micros() - LEAVING_MICROS;
    for row in rows.iter().filter(|row| row.state == SlotRow::LEAVING && row.changed_at < before) {
        let (slot, peer) = (row.slot, row.peer_shard);
        let message = format!("slot {slot} is on its way from shard {shard} to {peer} since more than a minute");
        seen.findings.push(Finding::to_look_at(&format!("slot {slot}"), "leaving", message));
    }
    Ok(())
}
