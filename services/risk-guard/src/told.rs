//! The states that workers are told, kept in a file beside the snapshots: all that is left of a halt when the bus loses
//! its store before anything was traded. A guard that finds the file and no journal begins HALTED, and tightens again
//! what was tightened.

use crate::{
    control::control_state,
    snapshot::{SnapshotError, read_whole, write_whole},
    wire::read_scope_state,
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
use tragen_domain::risk::{ScopeState, State};
use tragen_host::Context;

const MARK: &[u8; 8] = b"TRAGENGT";
const NAME: &str = "told";

/// What was told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    /// The newest epoch; 0 if nothing ever was.
    pub(crate) epoch: i64,
    /// Every scope.
    pub(crate) scopes: Vec<ScopeState>,
}

/// Keeps what is told.
#[derive(Debug)]
pub(crate) struct ToldFile {
    folder: PathBuf,
    /// What is in it for certain.
    written: i64,
}

impl Told {
    /// What a message says. A scope that makes no sense is warned of: everything is halted for now anyway.
    pub(crate) fn read(states: &v1::ControlState) -> Self {
        let read = |state: &v1::ScopeState| match read_scope_state(state) {
            Ok(scope) => Some(scope),
            Err(malformed) => {
                warn!("what was told of a scope is not used: {malformed}");
                None
            }
        };
        Self { epoch: states.epoch, scopes: states.scopes.iter().filter_map(read).collect() }
    }

    /// The newer one of the two.
    pub(crate) fn newer(self, other: Self) -> Self {
        if other.epoch > self.epoch { other } else { self }
    }
}

impl ToldFile {
    /// In `folder`.
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder, written: 0 }
    }

    /// What a guard that stands by knows of, for the case that it is the one that is left.
    pub(crate) async fn keep_state(&mut self, state: &State) {
        if state.epoch() > self.written {
            self.keep(&control_state(state, "")).await;
        }
    }

    /// Writes what is told now, unless it is there already. A failure is warned of: trading does not wait for a disk.
    pub(crate) async fn keep(&mut self, states: &v1::ControlState) {
        if states.epoch <= self.written {
            return;
        }
        let (folder, body) = (self.folder.clone(), states.encode_to_vec());
        let writing =
            tokio::task::spawn_blocking(move || write_whole(&folder, (NAME, MARK), |file| file.write_all(&body)));
        match writing.await.map_err(io::Error::other).and_then(|written| written) {
            Ok(_) => self.written = states.epoch,
            Err(error) => warn!("epoch {} is not in a file: {error}", states.epoch),
        }
    }

    /// What is in it. A file that cannot be read still says that there was something.
    ///
    /// # Errors
    /// When reading was cut off.
    pub(crate) async fn read(&self) -> anyhow::Result<Told> {
        let path = self.folder.join(NAME);
        let reading = tokio::task::spawn_blocking(move || match read_whole(&path, MARK) {
            Err(SnapshotError::File(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Told::default()),
            Err(error) => Err(error),
            Ok(body) => Ok(Told::read(&v1::ControlState::decode(body.as_slice())?)),
        });
        let told = reading.await.context("reading what was told")?;
        Ok(told.unwrap_or_else(|error| {
            warn!("the file of what was told is not used: {:#}", anyhow::Error::new(error));
            Told { epoch: 1, scopes: Vec::new() }
        }))
    }

    /// Keeps every change until nobody tells any more.
    pub(crate) fn follow(mut self, term: &Context, mut states: watch::Receiver<v1::ControlState>) {
        term.spawn("guard-told", async move {
            // What is told last is kept, too: a change is seen although its sender is gone.
            while states.changed().await.is_ok() {
                let told = states.borrow_and_update().clone();
                self.keep(&told).await;
            }
            Ok(())
        });
    }
}
