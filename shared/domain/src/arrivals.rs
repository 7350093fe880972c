//! A map that keeps the order in which its keys came.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Most entries whose memory a table takes before they are there: one that grows keeps those waiting who decide or order,
/// and one that takes all it may ever need has memory that most never use.
pub const ROOM_MAX: usize = 1 << 18;

/// Entries by key, oldest first. Whoever wants a bounded one takes the oldest out.
///
/// All entries are read one after the other in memory, without looking any of them up: what is copied for
/// a snapshot must not keep those waiting who decide.
///
/// ```
/// use tragen_domain::arrivals::Arrivals;
/// let mut arrivals = Arrivals::default();
/// arrivals.set("a", 1);
/// arrivals.set("b", 2);
/// arrivals.set("a", 3);
/// assert_eq!(arrivals.get(&"a"), Some(&3));
/// assert_eq!(arrivals.take_oldest(), Some(("a", 3)));
/// ```
#[derive(Debug, Clone)]
pub struct Arrivals<K, V> {
    /// Oldest first.
    entries: VecDeque<(K, V)>,
    /// The number of each: how many have come before it.
    numbers: HashMap<K, u64>,
    /// How many were taken out.
    taken: u64,
}

impl<K, V> Default for Arrivals<K, V> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), numbers: HashMap::new(), taken: 0 }
    }
}

/// The same entries in the same order, whatever was taken out before.
impl<K: PartialEq, V: PartialEq> PartialEq for Arrivals<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<K: Eq, V: Eq> Eq for Arrivals<K, V> {}

impl<K: Clone + Eq + Hash, V> Arrivals<K, V> {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.numbers.get(key)?.checked_sub(self.taken)?;
        self.entries.get(usize::try_from(place).ok()?).map(|(_, value)| value)
    }

    /// Gives `key` a value. A key that is there keeps its place; true when it is new, and so the newest.
    pub fn set(&mut self, key: K, value: V) -> bool {
        if let Some(place) = self.numbers.get(&key).and_then(|number| number.checked_sub(self.taken))
            && let Some(entry) = usize::try_from(place).ok().and_then(|place| self.entries.get_mut(place))
        {
            entry.1 = value;
            return false;
        }
        let before = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.numbers.insert(key.clone(), self.taken.saturating_add(before));
        self.entries.push_back((key, value));
        true
    }

    /// Takes the oldest entry out.
    pub fn take_oldest(&mut self) -> Option<(K, V)> {
        let (key, value) = self.entries.pop_front()?;
        self.taken += 1;
        self.numbers.remove(&key);
        Some((key, value))
    }

    /// Takes the memory for `count` entries at once: a table that grows moves everything in it, and whoever
    /// waits for the one entry that made it grow waits for that too. At most
    /// 262,144, whatever is asked for.
    pub fn make_room(&mut self, count: usize) {
        let missing = count.min(ROOM_MAX).saturating_sub(self.entries.len());
        self.entries.reserve(missing);
        self.numbers.reserve(missing);
    }

    /// Every entry, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list that is searched from the front.
        #[test]
        fn it_is_a_list_with_an_index(steps in prop::collection::vec((0_u8..20, any::<bool>()), 0..200)) {
            let (mut arrivals, mut list) = (Arrivals::default(), Vec::<(u8, usize)>::new());
            for (value, (key, is_taken)) in steps.into_iter().enumerate() {
                if is_taken {
                    let oldest = (!list.is_empty()).then(|| list.remove(0));
                    prop_assert_eq!(arrivals.take_oldest(), oldest);
                } else {
                    let known = list.iter_mut().find(|(own, _)| *own == key);
                    prop_assert_eq!(arrivals.set(key, value), known.is_none());
                    match known {
                        Some(entry) => entry.1 = value,
                        None => list.push((key, value)),
                    }
                }
                prop_assert_eq!(arrivals.len(), list.len());
                prop_assert_eq!(arrivals.is_empty(), list.is_empty());
            }
            for key in 0..20 {
                let value = list.iter().find(|(own, _)| *own == key).map(|(_, value)| value);
                prop_assert_eq!(arrivals.get(&key), value);
            }
            prop_assert_eq!(arrivals.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>(), list);
        }
    }
}
