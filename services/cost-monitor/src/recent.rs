//! A bounded memory of what was counted. Deliveries repeat within seconds and
//! in any order, so remembering the newest keys is enough, and unlike a highest
//! sequence it never mistakes a late first delivery for a repeat.

use std::{
    collections::{HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher as _},
};

/// The newest keys, as 64-bit hashes: with 262,144 of them a new key is taken
/// for a known one once in 10^13, which costs one uncounted trade.
#[derive(Debug)]
pub(crate) struct Recent {
    known: HashSet<u64>,
    oldest_first: VecDeque<u64>,
    keys_max: usize,
}

impl Recent {
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { known: HashSet::new(), oldest_first: VecDeque::new(), keys_max }
    }

    /// Remembers `key`; false if it is known already.
    pub(crate) fn remember(&mut self, key: &impl Hash) -> bool {
        let hash = hash_of(key);
        if !self.known.insert(hash) {
            return false;
        }
        if self.oldest_first.len() == self.keys_max
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.oldest_first.push_back(hash);
        true
    }

    pub(crate) fn contains(&self, key: &impl Hash) -> bool {
        self.known.contains(&hash_of(key))
    }
}

fn hash_of(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_keys_are_remembered() {
        let mut recent = Recent::new(2);
        assert!(recent.remember(&"a") && recent.remember(&"b"));
        assert!(!recent.remember(&"a"), "still known");
        assert!(recent.remember(&"c"), "pushes a out");
        assert_eq!(["a", "b", "c"].map(|key| recent.contains(&key)), [false, true, true]);
        assert!(recent.remember(&"a"), "forgotten");
    }
}
