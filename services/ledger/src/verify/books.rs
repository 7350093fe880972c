//! The books of a shard as they follow from its postings so far. Ids are kept
//! once and named by numbers, so that a posting allocates nothing for them.

use std::{
    borrow::Borrow as _,
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};
use tragen_domain::{
    id::{AccountId, Currency, Id, IdError, Kind},
    ledger::{VenueId, Wallet},
    position::Position,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of an id in its [`Names`].
pub(super) type Name = u32;

/// What a shard holds.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Whoever has ever held something.
    pub(super) accounts: Names<tragen_domain::id::Account>,
    /// Currencies seen.
    pub(super) currencies: Names<tragen_domain::id::CurrencyCode>,
    /// Instruments seen.
    pub(super) instruments: Names<tragen_domain::id::Instrument>,
    /// Venues seen.
    pub(super) venues: Names<tragen_domain::ledger::VenueName>,
    /// By account and currency.
    pub(super) wallets: HashMap<(Name, Name), Wallet, Seeded>,
    /// By account and instrument.
    pub(super) positions: HashMap<(Name, Name), Held, Seeded>,
}

/// A position, and what its row says beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The currency of its first fill.
    pub(super) currency: Name,
    /// The settlement style of its first fill, by its number.
    pub(super) style: i32,
    /// What is held.
    pub(super) position: Position,
    /// The wallet's version with its last posting.
    pub(super) account_version: i64,
}

impl Books {
    /// The account's id.
    pub(super) fn account(&self, name: Name) -> &AccountId {
        self.accounts.get(name)
    }

    /// The currency.
    pub(super) fn currency(&self, name: Name) -> &Currency {
        self.currencies.get(name)
    }

    /// The venue's id.
    pub(super) fn venue(&self, name: Name) -> &VenueId {
        self.venues.get(name)
    }

    /// What the wallet holds; nothing if it was never posted to.
    pub(super) fn wallet(&self, account: Name, currency: Name) -> Wallet {
        self.wallets.get(&(account, currency)).copied().unwrap_or_default()
    }

    /// What the wallet of that account and currency holds, by their ids.
    pub(super) fn find_wallet(&self, account_id: &str, currency: &str) -> Option<&Wallet> {
        self.wallets.get(&(self.accounts.find(account_id)?, self.currencies.find(currency)?))
    }

    /// What is held of that instrument, by its ids.
    pub(super) fn find_position(&self, account_id: &str, instrument_id: &str) -> Option<&Held> {
        self.positions.get(&(self.accounts.find(account_id)?, self.instruments.find(instrument_id)?))
    }
}

/// Ids of one kind, numbered as they are first seen.
#[derive(Debug)]
pub(super) struct Names<K> {
    ids: Vec<Id<K>>,
    names: HashMap<Id<K>, Name, Seeded>,
}

impl<K> Default for Names<K> {
    fn default() -> Self {
        Self { ids: Vec::new(), names: HashMap::default() }
    }
}

impl<K: Kind> Names<K> {
    /// The number of `text`, a new one if it was never seen.
    pub(super) fn name(&mut self, text: &str) -> Result<Name, IdError> {
        if let Some(name) = self.names.get(text) {
            return Ok(*name);
        }
        let id = Id::new(text)?;
        let name = Name::try_from(self.ids.len()).unwrap_or(Name::MAX);
        self.ids.push(id.clone());
        self.names.insert(id, name);
        Ok(name)
    }

    /// The number of `text`, if it was ever seen.
    pub(super) fn find(&self, text: &str) -> Option<Name> {
        self.names.get(text).copied()
    }

    /// The id with that number, which must come from here.
    pub(super) fn get(&self, name: Name) -> &Id<K> {
        &self.ids[usize::try_from(name).unwrap_or(usize::MAX)]
    }

    /// The text of the id with that number.
    pub(super) fn text(&self, name: Name) -> &str {
        self.get(name).borrow()
    }
}

/// A quick hash with a seed of its own in each process: whoever chooses account ids cannot slow it down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u64))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Mixed;

    fn build_hasher(&self) -> Mixed {
        Mixed(self.0)
    }
}

/// A hash being made.
#[derive(Debug)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).unwrap_or(u64::MAX));
    }

    fn finish(&self) -> u64 {
        // A product is best mixed at its top; tables look at both ends.
        self.0 ^ (self.0 >> 32)
    }
}
