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
        state.canonical(digest, |part| {
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

/// Of what a state keeps the hash of by itself; see [`State::seal`].
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes that are hashed at once.
const GATHERED_BYTES: usize = 4_096;

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tragen_domain::{
        id::TradeId,
        risk::{Limits, Record},
    };

    #[test]
    fn a_hash_is_of_the_state_whether_it_was_sealed_and_is_not_compared_with_one_of_another_version() {
        let mut state = State::new(Limits::default());
        let mut hashes = Vec::new();
        for number in 0..1_500 {
            let trade = TradeId::new(format!("t{number}")).expect("an id");
            state.apply(Record::Refused { trade }).expect("fits");
            if number % 100 == 0 {
                hashes.push(StateHash::of(&state));
                state.seal(digest);
                assert_eq!(hashes.last(), Some(&StateHash::of(&state)));
            }
        }
        assert_eq!(hashes.iter().enumerate().find(|(index, own)| hashes[index + 1..].contains(own)), None);
        let hash = StateHash::of(&state);
        let journaled = hash.journaled(7);
        assert_eq!((hash.agrees(&journaled), journaled.records), (Some(true), 7));
        assert_eq!(hashes[0].agrees(&journaled), Some(false));
        let before = v1::StateHashed { version: CANONICAL_VERSION - 1, ..journaled };
        assert_eq!((hash.agrees(&before), hashes[0].agrees(&before)), (None, None), "it was checked then");
    }
}
