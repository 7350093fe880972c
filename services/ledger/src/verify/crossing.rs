//! What goes from one account or shard to another: what is given must be
//! received once and unchanged, or be on its way.

use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// What crosses, in every detail that both sides tell; the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Mark(pub(super) [u8; 16]);

/// The table of wallets that moved with their slot.
pub(super) const MOVED_WALLET: &str = "moved_wallet";

/// Collects the details of a [`Mark`].
#[derive(Debug, Clone, Default)]
pub(super) struct Details(Sha256);

impl Details {
    /// A number.
    pub(super) fn int(mut self, number: i64) -> Self {
        self.0.update(number.to_be_bytes());
        self
    }

    /// A text.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(text);
        self
    }

    /// An id.
    pub(super) fn uuid(mut self, uuid: Uuid) -> Self {
        self.0.update(uuid.as_bytes());
        self
    }

    /// The mark of all of them.
    pub(super) fn mark(self) -> Mark {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0.finalize()[..16]);
        Mark(bytes)
    }
}

/// One side of what crosses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    /// The shard whose posting it is.
    pub(super) shard: u16,
    /// The posting.
    pub(super) posting: i64,
    /// The shard it comes from.
    pub(super) from: u16,
    /// The shard it goes to.
    pub(super) to: u16,
    /// The account between shards that it goes through.
    pub(super) between: String,
    /// How much money, 1e-6 of the currency.
    pub(super) amount: i64,
    /// The table of its row.
    pub(super) table: &'static str,
    /// The row's key.
    pub(super) key: String,
}

/// What has one side so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnItsWay {
    /// How many more times it was given than received.
    pub(super) given: i64,
    /// One of these sides.
    pub(super) side: Side,
}

/// Everything that crosses between the shards of a ledger.
#[derive(Debug, Default)]
pub(super) struct Crossing {
    open: HashMap<Mark, OnItsWay>,
    /// What accounts between shards have received, 1e-6 of their currency: from the transfers of all shards.
    pub(super) between: BTreeMap<String, i128>,
}

impl Crossing {
    /// With what was open before.
    pub(super) fn new(open: HashMap<Mark, OnItsWay>, between: BTreeMap<String, i128>) -> Self {
        Self { open, between }
    }

    /// Something is given.
    pub(super) fn give(&mut self, mark: Mark, side: impl FnOnce() -> Side) {
        self.add(mark, 1, side);
    }

    /// Something is received.
    pub(super) fn receive(&mut self, mark: Mark, side: impl FnOnce() -> Side) {
        self.add(mark, -1, side);
    }

    fn add(&mut self, mark: Mark, change: i64, side: impl FnOnce() -> Side) {
        let known = self.open.get_mut(&mark);
        match known {
            Some(known) if known.given + change == 0 => {
                self.open.remove(&mark);
            }
            Some(known) => known.given += change,
            None => {
                self.open.insert(mark, OnItsWay { given: change, side: side() });
            }
        }
    }

    /// What has only one side, in the order of shards and postings.
    pub(super) fn open(&self) -> Vec<(&Mark, &OnItsWay)> {
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_by_key(|(mark, on_its_way)| (on_its_way.side.shard, on_its_way.side.posting, **mark));
        open
    }

    /// What only one side tells and that side should not be the first: money is given first, a wallet
    /// leaves its old shard when it has arrived in the new one.
    pub(super) fn unexplained(&self) -> Vec<(Mark, &OnItsWay)> {
        let is_first = |open: &OnItsWay| (open.given > 0) == (open.side.table != MOVED_WALLET);
        let open = self.open().into_iter();
        open.filter(|(_, open)| !is_first(open)).map(|(mark, open)| (*mark, open)).collect()
    }

    /// The first account between shards whose balance is not what is on its way: its name, what it
    /// has, and what it should have.
    pub(super) fn first_unbalanced(&self) -> Option<(String, i128, i128)> {
        let mut expected: BTreeMap<&str, i128> = BTreeMap::new();
        for on_its_way in self.open.values() {
            let amount = i128::from(on_its_way.given) * i128::from(on_its_way.side.amount);
            *expected.entry(&on_its_way.side.between).or_default() += amount;
        }
        for name in self.between.keys() {
            expected.entry(name).or_default();
        }
        expected.into_iter().find_map(|(name, expected)| {
            let actual = self.between.get(name).copied().unwrap_or_default();
            (actual != expected).then(|| (name.to_owned(), actual, expected))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(shard: u16, amount: i64) -> Side {
        Side {
            shard,
            posting: 7,
            from: 0,
            to: 1,
            between: "between/0-1/USD".to_owned(),
            amount,
            table: "cash_movement",
            key: "a".to_owned(),
        }
    }

    #[test]
    fn what_is_received_was_given_once_and_unchanged() {
        let mark = |amount: i64| Details::default().text("bob").int(amount).mark();
        let mut crossing = Crossing::default();
        crossing.give(mark(5), || side(0, 5));
        assert_eq!(crossing.open().len(), 1);
        assert_eq!(crossing.first_unbalanced().map(|(_, actual, expected)| (actual, expected)), Some((0, 5)));
        crossing.between.insert("between/0-1/USD".to_owned(), 5);
        assert_eq!(crossing.first_unbalanced(), None);
        crossing.receive(mark(5), || side(1, 5));
        assert!(crossing.open().is_empty());
        assert_eq!(crossing.first_unbalanced().map(|(_, actual, expected)| (actual, expected)), Some((5, 0)));

        crossing.receive(mark(6), || side(1, 6));
        assert_eq!(crossing.unexplained().len(), 1);
        let moved = || Side { table: MOVED_WALLET, ..side(1, 7) };
        crossing.receive(mark(7), moved);
        assert_eq!(crossing.unexplained().len(), 1, "a wallet arrives before it leaves");
        crossing.give(mark(8), moved);
        assert_eq!(crossing.unexplained().len(), 2);
    }
}
