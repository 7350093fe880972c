//! Limits that were changed while the guard ran, kept in a file beside the snapshots: all that is left of them when the
//! bus loses its store. A guard that finds the file and no journal journals them again.

use crate::{
    snapshot::{SnapshotError, read_whole, write_whole},
    wire::{journal_record, limit_kind},
};
use anyhow::Context as _;
use prost::Message as _;
use std::{
    io::{self, Write as _},
    path::PathBuf,
};
use tokio::sync::watch;
use tracing::warn;
use tragen_contracts::v1;
use tragen_domain::{
    risk::{LimitChange, Record, State},
    time::Timestamp,
};
use tragen_host::Context;

const MARK: &[u8; 8] = b"TRAGENGL";
const NAME: &str = "limits";

/// The newest change of every limit that was changed.
pub(crate) fn changed_limits(state: &State) -> Vec<LimitChange> {
    state.limit_changes().cloned().collect()
}

/// Keeps what was changed.
#[derive(Debug)]
pub(crate) struct ChangedFile {
    folder: PathBuf,
    /// What is in it for certain.
    written: Vec<LimitChange>,
}

impl ChangedFile {
    /// In `folder`.
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder, written: Vec::new() }
    }

    /// What a guard that stands by knows of, for the case that it is the one that is left.
    pub(crate) async fn keep_state(&mut self, state: &State) {
        // Before the first state of a journal that was lost the one who leads may not have journaled all of them again.
        if state.epoch() > 0 {
            self.keep(changed_limits(state)).await;
        }
    }

    /// Writes the changes, unless they are there already. Nothing is no change of what is there: a change is never
    /// taken back but by another. A failure is warned of: trading does not wait for a disk.
    pub(crate) async fn keep(&mut self, changes: Vec<LimitChange>) {
        if changes.is_empty() || changes == self.written {
            return;
        }
        let record = |change| v1::JournalRecord { kind: Some(limit_kind(change)), ..v1::JournalRecord::default() };
        let records = changes.iter().map(record).collect();
        let (folder, body) = (self.folder.clone(), v1::JournalBatch { records, ..v1::JournalBatch::default() });
        let body = body.encode_to_vec();
        let writing =
            tokio::task::spawn_blocking(move || write_whole(&folder, (NAME, MARK), |file| file.write_all(&body)));
        match writing.await.map_err(io::Error::other).and_then(|written| written) {
            Ok(_) => self.written = changes,
            Err(error) => warn!("a changed limit is not in a file: {error}"),
        }
    }

    /// What is in it. What cannot be read is warned of: everything is halted then, and people look before they resume.
    ///
    /// # Errors
    /// When reading was cut off.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<LimitChange>> {
        let path = self.folder.join(NAME);
        let reading = tokio::task::spawn_blocking(move || match read_whole(&path, MARK) {
            Err(SnapshotError::File(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(body) => Ok(v1::JournalBatch::decode(body.as_slice())?.records),
        });
        let records = reading.await.context("reading the limits that were changed")?.unwrap_or_else(|error| {
            warn!("the file of changed limits is not used: {:#}", anyhow::Error::new(error));
            Vec::new()
        });
        Ok(records.iter().filter_map(change_of).collect())
    }

    /// Keeps every change until nothing changes any more.
    pub(crate) fn follow(mut self, term: &Context, mut changes: watch::Receiver<Vec<LimitChange>>) {
        term.spawn("guard-limits", async move {
            // The last one is kept, too: a change is seen although its sender is gone.
            while changes.changed().await.is_ok() {
                let newest = changes.borrow_and_update().clone();
                self.keep(newest).await;
            }
            Ok(())
        });
    }
}

fn change_of(record: &v1::JournalRecord) -> Option<LimitChange> {
    match journal_record(record, Timestamp::default()) {
        Ok(Some(Record::LimitChanged(change))) => Some(*change),
        Ok(_) => None,
        Err(malformed) => {
            warn!("a limit that was changed is not used: {malformed}");
            None
        }
    }
}
