//! A bounded cache in the process.

use metrics::counter;
use moka::ops::compute::Op;
use std::{hash::Hash, time::Duration};

/// At most `entries_max` values, each for at most its time to live; the least
/// used go first. Clones share the entries.
#[derive(Debug, Clone)]
pub struct LocalCache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> {
    name: &'static str,
    entries: moka::sync::Cache<K, V>,
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> LocalCache<K, V> {
    /// An empty cache; `name` is its label in `cache_lookups_total`.
    #[must_use]
    pub fn new(name: &'static str, entries_max: u64, time_to_live: Duration) -> Self {
        let entries = moka::sync::Cache::builder().max_capacity(entries_max).time_to_live(time_to_live).build();
        Self { name, entries }
    }

    /// The value, if it is still there.
    pub fn get(&self, key: &K) -> Option<V> {
        let found = self.entries.get(key);
        let outcome = if found.is_some() { "hit" } else { "miss" };
        counter!("cache_lookups_total", "cache" => self.name, "outcome" => outcome).increment(1);
        found
    }

    /// Keeps `value`, in place of what was there.
    pub fn insert(&self, key: K, value: V) {
        self.entries.insert(key, value);
    }

    /// Keeps `value` if nothing is there or `replaces` says so of what is, in one step.
    pub fn insert_if(&self, key: K, value: V, replaces: impl FnOnce(&V) -> bool) {
        self.entries.entry(key).and_compute_with(|own| match own {
            Some(own) if !replaces(own.value()) => Op::Nop,
            Some(_) | None => Op::Put(value),
        });
    }

    /// Whether there is a value; not counted as a lookup.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Forgets the value.
    pub fn remove(&self, key: &K) {
        self.entries.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_replaced_and_forgotten() {
        let cache = LocalCache::new("test", 10, Duration::from_secs(60));
        cache.insert("a", 1);
        cache.insert("a", 2);
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(2), None));
        cache.remove(&"a");
        assert!(!cache.contains(&"a"));
        cache.insert_if("a", 5, |_| false);
        cache.insert_if("a", 4, |own| *own < 4);
        assert_eq!(cache.get(&"a"), Some(5));
        cache.insert_if("a", 6, |own| *own < 6);
        assert_eq!(cache.get(&"a"), Some(6));
    }
}
