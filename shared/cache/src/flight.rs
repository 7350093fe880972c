//! A bounded cache in which all who miss the same value wait for one of them.

use metrics::counter;
use std::{future::Future, hash::Hash, sync::Arc, time::Duration};

/// At most `entries_max` values, each for at most its time to live; the least
/// used go first. Clones share the entries.
#[derive(Debug, Clone)]
pub struct FlightCache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> {
    name: &'static str,
    entries: moka::future::Cache<K, V>,
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> FlightCache<K, V> {
    /// An empty cache; `name` is its label in `cache_lookups_total`.
    #[must_use]
    pub fn new(name: &'static str, entries_max: u64, time_to_live: Duration) -> Self {
        let entries = moka::future::Cache::builder().max_capacity(entries_max).time_to_live(time_to_live).build();
        Self { name, entries }
    }

    /// The value, made by `make` if it is not there. Of all who ask at the same time one makes
    /// it; an error is told to all of them and not kept.
    ///
    /// # Errors
    /// That of `make`.
    pub async fn get_or_try<E: Send + Sync + 'static>(
        &self,
        key: K,
        make: impl Future<Output = Result<V, E>>,
    ) -> Result<V, Arc<E>> {
        let found = self.entries.entry(key).or_try_insert_with(make).await;
        let is_hit = found.as_ref().is_ok_and(|entry| !entry.is_fresh());
        counter!("cache_lookups_total", "cache" => self.name, "outcome" => if is_hit { "hit" } else { "miss" })
            .increment(1);
        found.map(moka::Entry::into_value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn many_who_miss_wait_for_one() {
        let cache = FlightCache::<&str, u32>::new("test", 10, Duration::from_secs(60));
        let made = AtomicU32::new(0);
        let make = || async {
            tokio::task::yield_now().await;
            Ok::<u32, ()>(made.fetch_add(1, Ordering::SeqCst))
        };
        let (first, second) = tokio::join!(cache.get_or_try("a", make()), cache.get_or_try("a", make()));
        assert_eq!((first, second), (Ok(0), Ok(0)));
        assert_eq!(cache.get_or_try("a", make()).await, Ok(0));
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_error_is_shared_and_not_kept() {
        let cache = FlightCache::<&str, u32>::new("test", 10, Duration::from_secs(60));
        let fail = || async {
            tokio::task::yield_now().await;
            Err("no")
        };
        let (first, second) = tokio::join!(cache.get_or_try("a", fail()), cache.get_or_try("a", fail()));
        assert_eq!((first.map_err(|e| *e), second.map_err(|e| *e)), (Err("no"), Err("no")));
        assert_eq!(cache.get_or_try("a", async { Ok::<_, ()>(7) }).await, Ok(7));
    }
}
