//! A quick hash for ids that only the platform makes: instruments, pools, agents.
//! Ids that callers choose (accounts, trades) keep the standard one, which nobody
//! can aim at.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by an id that no caller chooses.
pub type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;

/// The multiplicative hash of the Rust compiler's own tables ("`FxHash`").
#[derive(Debug, Clone, Copy, Default)]
pub struct QuickHasher(u64);

/// A 64-bit constant with well spread bits, from the same source.
const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;

impl QuickHasher {
    const fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }

    fn finish(&self) -> u64 {
        // The high bits are the good ones, and a table takes the low ones and the highest seven.
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(FACTOR);
        mixed.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::InstrumentId;
    use std::{
        collections::HashSet,
        hash::{BuildHasher, BuildHasherDefault},
    };

    #[test]
    fn ids_that_differ_in_one_place_are_spread() {
        let hash = |text: &str| {
            let id = InstrumentId::new(text).expect("an id");
            BuildHasherDefault::<QuickHasher>::default().hash_one(&id)
        };
        let names: Vec<String> = (0..4_096).map(|number| format!("EPL-2026-MATCH-{number}")).collect();
        let buckets: HashSet<u64> = names.iter().map(|name| hash(name) % 4_096).collect();
        // A perfect spread of as many as there are buckets fills 63 % of them.
        assert!(buckets.len() > 2_300, "{} of 4,096 buckets", buckets.len());
        let tags: HashSet<u64> = names.iter().map(|name| hash(name) >> 57).collect();
        assert_eq!(tags.len(), 128);
    }
}
