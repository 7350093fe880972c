//! Which of the newest trades are in the books. Ids begin with the time of their
//! request, so almost everything that is reported is younger than almost everything
//! that is known: what is above the floor and not here need not be looked up.

use std::collections::BTreeSet;
use uuid::Uuid;

/// All trades of the books above a floor.
#[derive(Debug)]
pub(super) struct Newest {
    ids: BTreeSet<Uuid>,
    /// Nothing is known of trades up to this id; of none at all without it.
    floor: Option<Uuid>,
    ids_max: usize,
}

impl Newest {
    /// Knows nothing; will keep at most `ids_max`.
    pub(super) const fn new(ids_max: usize) -> Self {
        Self { ids: BTreeSet::new(), floor: None, ids_max }
    }

    /// How many ids of the books it wants to be given; `None` when it has them.
    pub(super) fn wanted(&self) -> Option<usize> {
        self.floor.is_none().then_some(self.ids_max / 2)
    }

    /// Takes the `wanted` newest ids of the books, all of them if there are fewer.
    pub(super) fn fill(&mut self, ids: impl ExactSizeIterator<Item = Uuid>, wanted: usize) {
        let are_all = ids.len() < wanted;
        self.ids = ids.collect();
        self.floor = if are_all { Some(Uuid::nil()) } else { self.ids.first().copied() };
    }

    /// Whether the trade is certainly not in the books.
    pub(super) fn lacks(&self, id: &Uuid) -> bool {
        self.floor.is_some_and(|floor| *id > floor) && !self.ids.contains(id)
    }

    /// A trade is now in the books.
    pub(super) fn add(&mut self, id: Uuid) {
        if self.floor.is_none_or(|floor| id <= floor) {
            return;
        }
        self.ids.insert(id);
        if self.ids.len() > self.ids_max {
            self.floor = self.ids.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// Which of 0 to 9 need not be looked up.
    fn lacking(newest: &Newest) -> Vec<u128> {
        (0..10).filter(|number| newest.lacks(&id(*number))).collect()
    }

    #[test]
    fn only_what_is_above_the_floor_and_unknown_is_lacking() {
        let mut newest = Newest::new(4);
        assert_eq!((newest.wanted(), lacking(&newest)), (Some(2), vec![]));
        newest.add(id(9));
        assert_eq!(lacking(&newest), [], "nothing is known yet");

        newest.fill([id(5), id(3)].into_iter(), 2);
        assert_eq!((newest.wanted(), lacking(&newest)), (None, vec![4, 6, 7, 8, 9]));
        newest.add(id(2));
        assert_eq!(lacking(&newest), [4, 6, 7, 8, 9], "below the floor");
        newest.add(id(7));
        newest.add(id(8));
        assert_eq!(lacking(&newest), [4, 6, 9]);
        newest.add(id(6));
        assert_eq!(lacking(&newest), [4, 9], "3 is forgotten and is the floor still");
        newest.add(id(9));
        assert_eq!(lacking(&newest), [], "4 may be below 5, which is forgotten");
    }

    #[test]
    fn few_trades_are_all_trades() {
        let mut newest = Newest::new(4);
        newest.fill([id(3)].into_iter(), 2);
        assert_eq!(lacking(&newest), [1, 2, 4, 5, 6, 7, 8, 9], "0 is the floor");
    }
}
