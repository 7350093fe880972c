//! Which shard keeps an account: accounts hash to 256 slots for ever, and slots
//! lie in shards. A slot may move; the shard that keeps it says so itself, in
//! its own table, so there is no second truth to disagree with.

use crate::store::rows::SlotRow;
use std::sync::Arc;
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

/// Slots there are; fixed for ever, as every stored slot would change with it.
pub(crate) const SLOTS: u16 = 256;

/// The slot of an account.
pub(crate) fn slot_of(account_id: &str) -> u16 {
    u16::try_from(xxh3_64(account_id.as_bytes()) % u64::from(SLOTS)).unwrap_or_default()
}

/// The shard that `slot` begins in when `shards` share all slots: equal runs.
pub(crate) fn first_shard(slot: u16, shards: u16) -> u16 {
    u16::try_from(u32::from(slot) * u32::from(shards.max(1)) / u32::from(SLOTS)).unwrap_or_default()
}

/// What a shard has to do with a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing, so far.
    #[default]
    Elsewhere,
    /// It keeps the slot.
    Here,
    /// The slot is on its way out: nothing can be booked to it for the moment.
    Leaving {
        /// The shard it goes to.
        to: u16,
    },
    /// The slot went to another shard at that time, microseconds since the epoch.
    Gone {
        /// The shard it went to.
        to: u16,
        /// When.
        at: i64,
    },
}

/// The slots of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots(Vec<Place>);

impl Slots {
    /// Of the shard's table.
    pub(crate) fn new(rows: &[SlotRow]) -> Self {
        let mut places = vec![Place::Elsewhere; usize::from(SLOTS)];
        for row in rows {
            let Some(place) = usize::try_from(row.slot).ok().and_then(|slot| places.get_mut(slot)) else { continue };
            let to = u16::try_from(row.peer_shard).unwrap_or_default();
            *place = match row.state {
                SlotRow::HERE => Place::Here,
                SlotRow::LEAVING => Place::Leaving { to },
                _ => Place::Gone { to, at: row.changed_at },
            };
        }
        Self(places)
    }

    /// What the shard has to do with the slot of `account_id`.
    pub(crate) fn place(&self, account_id: &str) -> Place {
        self.0.get(usize::from(slot_of(account_id))).copied().unwrap_or_default()
    }

    /// The shard that money for `account_id` goes to: `own`, whose slots these are, only if
    /// it keeps the account for certain. The directory alone may be a moment behind.
    pub(crate) fn receiver(&self, own: u16, account_id: &str, directory: &Directory) -> u16 {
        match self.place(account_id) {
            Place::Here => own,
            Place::Leaving { to } | Place::Gone { to, .. } => to,
            Place::Elsewhere => directory.shard_of(account_id),
        }
    }
}

/// Which shard keeps which slot, as last seen in all shards; for reads and for
/// the address of money that is sent. Whoever books checks his own [`Slots`].
#[derive(Debug, Clone)]
pub(crate) struct Directory(watch::Sender<Arc<[Home]>>);

/// Where a slot is, and where it has been.
#[derive(Debug, Clone)]
struct Home {
    shard: u16,
    /// Whether that shard was seen keeping it and not letting it go.
    is_settled: bool,
    /// Shards that keep it or have kept it, ascending.
    past: Vec<u16>,
}

impl Home {
    /// Takes in what `shard` says; true if the slot is somewhere else than was known.
    fn learn(&mut self, shard: u16, place: Place) -> bool {
        let before = self.shard;
        match place {
            Place::Elsewhere => return false,
            Place::Here => (self.shard, self.is_settled) = (shard, true),
            // For a moment both shards of a move may have it: the new one counts.
            Place::Leaving { .. } if self.shard == shard || !self.is_settled => {
                (self.shard, self.is_settled) = (shard, false)
            }
            Place::Gone { .. } if self.shard == shard => self.is_settled = false,
            Place::Leaving { .. } | Place::Gone { .. } => {}
        }
        if let Err(place) = self.past.binary_search(&shard) {
            self.past.insert(place, shard);
        }
        self.shard != before
    }
}

impl Directory {
    /// Before any shard was asked: where slots begin.
    pub(crate) fn new(shards: u16) -> Self {
        let home = |slot| Home { shard: first_shard(slot, shards), is_settled: false, past: Vec::new() };
        Self(watch::Sender::new((0..SLOTS).map(home).collect()))
    }

    /// The shard of an account.
    pub(crate) fn shard_of(&self, account_id: &str) -> u16 {
        self.0.borrow().get(usize::from(slot_of(account_id))).map_or(0, |home| home.shard)
    }

    /// Whether the account's slot was seen in a shard that is not letting it go: what is sent to it is booked there.
    pub(crate) fn is_at_rest(&self, account_id: &str) -> bool {
        self.0.borrow().get(usize::from(slot_of(account_id))).is_some_and(|home| home.is_settled)
    }

    /// Every shard that keeps or has kept an account, ascending: what happened to it is spread over them.
    pub(crate) fn shards_of(&self, account_id: &str) -> Vec<u16> {
        let homes = self.0.borrow();
        let home = homes.get(usize::from(slot_of(account_id)));
        home.map_or_else(Vec::new, |home| if home.past.is_empty() { vec![home.shard] } else { home.past.clone() })
    }

    /// Takes in what `shard` says of its slots; true if any is somewhere else than was known.
    pub(crate) fn learn(&self, shard: u16, slots: &Slots) -> bool {
        self.0.send_if_modified(|known| {
            let mut homes = known.to_vec();
            let learned = homes.iter_mut().zip(&slots.0).map(|(home, place)| home.learn(shard, *place));
            let is_news = learned.fold(false, |is_news, moved| is_news | moved);
            *known = homes.into();
            is_news
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_never_changes_its_slot() {
        // Pinned: other slots would send every stored account to another shard.
        assert_eq!([slot_of("alice"), slot_of("bob"), slot_of("")].map(|slot| slot < SLOTS), [true; 3]);
        assert_eq!(slot_of(""), u16::try_from(0x2d06_8005_38d3_94c2_u64 % 256).expect("fits"));
    }

    #[test]
    fn slots_begin_in_equal_runs() {
        for shards in [1, 2, 3, 4, 7, 256] {
            let mut sizes = vec![0; usize::from(shards)];
            (0..SLOTS).for_each(|slot| sizes[usize::from(first_shard(slot, shards))] += 1);
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{sizes:?}");
        }
    }

    #[test]
    fn a_slot_is_where_its_keeper_says() {
        let directory = Directory::new(2);
        let (slot, account) = (slot_of("alice"), "alice");
        let begins = directory.shard_of(account);
        let row = |state, peer_shard| SlotRow { slot: slot.into(), state, peer_shard, came_from: -1, changed_at: 7 };
        assert!(!directory.is_at_rest(account), "nobody was asked");
        let gone = Slots::new(&[row(SlotRow::GONE, 3)]);
        assert_eq!(gone.place(account), Place::Gone { to: 3, at: 7 });
        assert!(!directory.learn(begins, &gone));
        let here = Slots::new(&[row(SlotRow::HERE, -1)]);
        assert!(directory.learn(3, &here));
        assert_eq!(directory.shard_of(account), 3);
        assert_eq!(directory.shards_of(account), [begins, 3]);
        let leaving = Slots::new(&[row(SlotRow::LEAVING, 3)]);
        assert!(!directory.learn(begins, &leaving), "the shard it goes to has it already");
        assert!(directory.is_at_rest(account));
        assert_eq!(here.place(account), Place::Here);
        assert!(!directory.learn(3, &Slots::new(&[row(SlotRow::LEAVING, 1)])), "it is still there");
        assert!(!directory.is_at_rest(account));
        assert!(directory.learn(1, &here));
        assert!(directory.is_at_rest(account));
        assert_eq!(Slots::new(&[row(SlotRow::LEAVING, 1)]).place(account), Place::Leaving { to: 1 });
        assert_eq!(Slots::new(&[]).place(account), Place::Elsewhere);
    }

    #[test]
    fn money_goes_to_the_keeper_even_if_the_directory_is_behind() {
        let directory = Directory::new(1);
        let row = |state| SlotRow { slot: slot_of("alice").into(), state, peer_shard: 3, came_from: -1, changed_at: 7 };
        for (state, receiver) in [(SlotRow::HERE, 0), (SlotRow::LEAVING, 3), (SlotRow::GONE, 3)] {
            assert_eq!(Slots::new(&[row(state)]).receiver(0, "alice", &directory), receiver);
        }
        assert_eq!(Slots::new(&[]).receiver(2, "alice", &directory), 0);
    }
}
