//! The hash of the guard's state, journaled now and then: whoever replays the journal must
//! come to the same.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::fmt;
use tragen_contracts::v1;
use tragen_domain::risk::{CANONICAL_VERSION, State};

/// SHA-256 over [`State::canonical`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHash([u8; 32]);

impl StateHash {
    /// Of `state` now.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let mut sha = Sha256::new();
        // Most parts are a few bytes; the digest takes many at once.
        let mut waiting = Vec::with_capacity(GATHERED_BYTES * 2);
        state.canonical(|part| {
            waiting.extend_from_slice(part);
            if waiting.len() >= GATHERED_BYTES {
                sha.update(&waiting);
                waiting.clear();
            }
        });
        sha.update(&waiting);
        Self(sha.finalize().into())
    }

    /// As it is journaled after `records` records of the term.
    pub(crate) fn journaled(self, records: u64) -> v1::StateHashed {
        v1::StateHashed { version: CANONICAL_VERSION, sha256: Bytes::copy_from_slice(&self.0), records }
    }

    /// Whether the journal says the same; `None` when it speaks of another form.
    pub(crate) fn agrees(self, hashed: &v1::StateHashed) -> Option<bool> {
        (hashed.version == CANONICAL_VERSION).then(|| hashed.sha256.as_ref() == self.0)
    }
}

/// Bytes that are hashed at once.
const GATHERED_BYTES: usize = 4_096;

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
