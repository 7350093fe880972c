//! The guard's state from its journal alone, on any machine: from the bus, or from a file
//! that somebody has saved.

mod explain;
mod file;

pub use crate::{hash::StateHash, replica::StateDiffers, snapshot::SnapshotError};
pub use explain::{Explainer, Explanation, Finder, Found, Inputs};
pub use file::{JournalReader, JournalWriter};

use crate::{replica::Replica, snapshot};
use anyhow::Context as _;
use prost::Message as _;
use std::path::Path;
use tragen_contracts::v1;
use tragen_domain::risk::{Limits, ScopeState, State};

/// Last reports are not what is asked for.
const REPORTS_KEPT: usize = 1;

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    replica: Replica,
    /// What the snapshot says that the journal says where it was taken.
    confirm: Option<(u64, v1::StateHashed)>,
}

/// What a replay has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The last journal message that is in it.
    pub journal_sequence: u64,
    /// Records that were read.
    pub records: u64,
    /// Hashes in the journal that were the same.
    pub hashes: u64,
    /// The hash of the state.
    pub hash: StateHash,
    /// The newest epoch.
    pub epoch: i64,
    /// Every scope that is not ACTIVE.
    pub scopes: Vec<ScopeState>,
    /// Orders without an end in the journal.
    pub open_orders: usize,
    /// Decided trades that are remembered.
    pub known_trades: usize,
}

impl Default for Replay {
    fn default() -> Self {
        Self { replica: Replica::new(Limits::default(), REPORTS_KEPT), confirm: None }
    }
}

impl Replay {
    /// Goes on from a snapshot; the journal must confirm it where it was taken.
    ///
    /// # Errors
    /// [`SnapshotError`], or that it contradicts itself.
    pub fn from_snapshot(path: &Path) -> anyhow::Result<Self> {
        let loaded = snapshot::load(path)?;
        let header = loaded.header.clone();
        let hash = header.hash.context("it has no hash")?;
        let mut replica = loaded.restore(Limits::default(), REPORTS_KEPT)?;
        let is_same = StateHash::of(&replica.state).agrees(&hash);
        anyhow::ensure!(is_same == Some(true), "its state has another hash than it says");
        // That message is read again, to see whether the journal says the same.
        replica.place.journal = header.journal_sequence.saturating_sub(1);
        Ok(Self { replica, confirm: Some((header.journal_sequence, hash)) })
    }

    /// The next journal message that is needed.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.replica.place.journal + 1
    }

    /// Takes the next message as it stands in the journal; those that are known change nothing.
    ///
    /// # Errors
    /// [`StateDiffers`], or that it is no message of a journal.
    pub fn take(&mut self, sequence: u64, payload: &[u8]) -> anyhow::Result<()> {
        if sequence < self.next_sequence() {
            return Ok(());
        }
        let batch = v1::JournalBatch::decode(payload).with_context(|| format!("decoding message {sequence}"))?;
        let Some((at, hash)) = self.confirm.take() else { return self.replica.take_journal(sequence, &batch) };
        let last = batch.records.into_iter().next_back().and_then(|record| record.kind);
        let is_same = at == sequence && last == Some(v1::journal_record::Kind::StateHashed(hash));
        anyhow::ensure!(is_same, "the journal does not say at message {at} what the snapshot says");
        (self.replica.place.journal, self.replica.hashes) = (sequence, self.replica.hashes + 1);
        Ok(())
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.replica.state
    }

    /// What it has come to.
    #[must_use]
    pub fn replayed(&self) -> Replayed {
        let Replica { state, place, records, hashes, .. } = &self.replica;
        let stored = state.stored();
        Replayed {
            journal_sequence: place.journal,
            records: *records,
            hashes: *hashes,
            hash: StateHash::of(state),
            epoch: stored.epoch,
            scopes: stored.scopes,
            open_orders: stored.orders.len(),
            known_trades: stored.known.len(),
        }
    }
}
