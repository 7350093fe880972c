//! A map that keeps the order in which its keys came.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

/// Most entries whose memory a table takes before they are there: one that grows keeps those waiting who decide or order,
/// and one that takes all it may ever need has memory that most never use.
pub const ROOM_MAX: usize = 1 << 18;

/// Entries that came one after the other: those with the numbers `GENERATION * n` up to `GENERATION * (n + 1)`
/// are the generation `n`.
pub const GENERATION: u64 = 512;

/// Entries by key, oldest first. Whoever wants a bounded one takes the oldest out.
///
/// Each entry has a number: how many have come before it, whether they are still there or not.
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
    arrived: Arrived<K, V>,
    /// The number of each.
    numbers: HashMap<K, u64>,
}

/// Where an entry was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// How many have come before it.
    pub number: u64,
    /// Whether its key was not there.
    pub is_new: bool,
}

/// The entries of an [`Arrivals`] at one moment, oldest first, to be read elsewhere.
///
/// Its generations are shared, so that a copy takes one step for each of them and none for each entry: what is
/// copied for a snapshot must not keep those waiting who decide. Whoever changes an entry of a generation that is shared
/// copies that one generation.
#[derive(Debug, Clone)]
pub struct Arrived<K, V> {
    /// Oldest first; of the first one some entries may be taken out already.
    generations: VecDeque<Arc<Vec<(K, V)>>>,
    /// The number of the first entry in `generations`.
    begin: u64,
    /// How many were taken out: the number of the oldest entry.
    taken: u64,
    /// The number that comes next.
    end: u64,
}

impl<K, V> Default for Arrived<K, V> {
    fn default() -> Self {
        Self::after(0)
    }
}

/// The same entries with the same numbers.
impl<K: PartialEq, V: PartialEq> PartialEq for Arrived<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.taken == other.taken && self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Arrived<K, V> {}

impl<K, V> Arrived<K, V> {
    /// Nothing, but that so many have come and were taken out before. More than 2^63 are taken for 2^63.
    #[must_use]
    pub fn after(taken: u64) -> Self {
        let taken = taken.min(1 << 63);
        Self { generations: VecDeque::new(), begin: taken, taken, end: taken }
    }

    /// How many were taken out: the number of the oldest entry.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.end - self.taken).unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end == self.taken
    }

    /// Every entry, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.generations().flat_map(|(_, entries)| entries).map(|(key, value)| (key, value))
    }

    /// What is there of each generation, with its number, the oldest first.
    pub fn generations(&self) -> impl Iterator<Item = (u64, &[(K, V)])> {
        let numbers = self.taken / GENERATION..self.end.div_ceil(GENERATION);
        let there = numbers.filter_map(|number| Some((number, self.generation(number)?)));
        there.filter(|(_, entries)| !entries.is_empty())
    }

    /// What is there of the generation `number`; `None` for one that is gone or has not begun.
    #[must_use]
    pub fn generation(&self, number: u64) -> Option<&[(K, V)]> {
        let place = number.checked_sub(self.begin / GENERATION)?;
        let entries = self.generations.get(usize::try_from(place).ok()?)?;
        let begin = self.begin.max(number * GENERATION);
        entries.get(usize::try_from(self.taken.saturating_sub(begin)).ok()?..)
    }

    /// Where the entry `number` is: of which one in `generations`, and which one in that.
    fn place(&self, number: u64) -> Option<(usize, usize)> {
        let generation = usize::try_from((number / GENERATION).checked_sub(self.begin / GENERATION)?).ok()?;
        let begin = self.begin.max(number - number % GENERATION);
        Some((generation, usize::try_from(number.checked_sub(begin)?).ok()?))
    }

    fn get(&self, number: u64) -> Option<&(K, V)> {
        let (generation, place) = self.place(number)?;
        self.generations.get(generation)?.get(place)
    }
}

impl<K: Clone, V: Clone> Arrived<K, V> {
    /// Puts an entry behind the newest; its number.
    pub fn push(&mut self, key: K, value: V) -> u64 {
        let number = self.end;
        self.end += 1;
        if number.is_multiple_of(GENERATION) || self.generations.is_empty() {
            self.generations.push_back(Arc::default());
        }
        if let Some(newest) = self.generations.back_mut() {
            let newest = Arc::make_mut(newest);
            let missing = GENERATION - number % GENERATION;
            // Not doubled, and not again for a copy.
            newest.reserve_exact(usize::try_from(missing).unwrap_or_default());
            newest.push((key, value));
        }
        number
    }

    fn change(&mut self, number: u64, value: V) {
        if let Some((generation, place)) = self.place(number)
            && let Some(entries) = self.generations.get_mut(generation)
            && let Some(entry) = Arc::make_mut(entries).get_mut(place)
        {
            entry.1 = value;
        }
    }

    fn take_oldest(&mut self) -> Option<(K, V)> {
        if self.is_empty() {
            return None;
        }
        // A copy: the generation may be shared. It goes as a whole.
        let oldest = self.get(self.taken)?.clone();
        self.taken += 1;
        if self.taken.is_multiple_of(GENERATION) {
            self.generations.pop_front();
            self.begin = self.taken;
        }
        Some(oldest)
    }
}

impl<K, V> Default for Arrivals<K, V> {
    fn default() -> Self {
        Self { arrived: Arrived::default(), numbers: HashMap::new() }
    }
}

/// The same entries with the same numbers.
impl<K: PartialEq, V: PartialEq> PartialEq for Arrivals<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.arrived == other.arrived
    }
}

impl<K: Eq, V: Eq> Eq for Arrivals<K, V> {}

/// Whose keys are all different: of equal ones only the last is found.
impl<K: Clone + Eq + Hash, V> From<Arrived<K, V>> for Arrivals<K, V> {
    fn from(arrived: Arrived<K, V>) -> Self {
        let numbers = arrived.iter().zip(arrived.taken..).map(|((key, _), number)| (key.clone(), number)).collect();
        Self { arrived, numbers }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Arrivals<K, V> {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.arrived.get(*self.numbers.get(key)?).map(|(_, value)| value)
    }

    /// Gives `key` a value. A key that is there keeps its place; a new one is the newest.
    pub fn set(&mut self, key: K, value: V) -> Arrival {
        match self.numbers.entry(key) {
            Entry::Occupied(known) => {
                let number = *known.get();
                self.arrived.change(number, value);
                Arrival { number, is_new: false }
            }
            Entry::Vacant(place) => {
                let number = self.arrived.push(place.key().clone(), value);
                place.insert(number);
                Arrival { number, is_new: true }
            }
        }
    }

    /// Takes the oldest entry out.
    pub fn take_oldest(&mut self) -> Option<(K, V)> {
        let oldest = self.arrived.take_oldest()?;
        self.numbers.remove(&oldest.0);
        Some(oldest)
    }

    /// Takes the memory for `count` entries at once: a table that grows moves everything in it, and whoever
    /// waits for the one entry that made it grow waits for that too. At most
    /// 262,144, whatever is asked for.
    pub fn make_room(&mut self, count: usize) {
        // What the entries themselves need grows by one generation at a time.
        self.numbers.reserve(count.min(ROOM_MAX).saturating_sub(self.len()));
    }

    /// All of them, shared.
    #[must_use]
    pub const fn arrived(&self) -> &Arrived<K, V> {
        &self.arrived
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arrived.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }
}

#[cfg(test)]
mod tests;
