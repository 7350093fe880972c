//! Wallets and positions as they are stored, against what the postings make
//! them. Both tables are read whole, in any order.

use super::{
    Found, bad,
    books::{Books, Held, Name, Seeded},
    read::Snapshot,
    record::{PositionNow, WalletNow},
};
use std::collections::HashSet;
use tragen_domain::{
    ledger::Wallet,
    money::{Money, Quantity},
    position::Position,
};

/// Compares every wallet; returns how many there are.
pub(super) fn check_wallets(snapshot: &mut Snapshot, books: &Books) -> Result<u64, Found> {
    let mut rows = snapshot.scan::<WalletNow<'_>>("")?;
    let mut seen = Seen::default();
    while let Some(row) = rows.next()? {
        let key = || format!("{}/{}", row.account_id, row.currency);
        let stored = Wallet {
            cash: Money::from_micros(row.cash),
            margin: Money::from_micros(row.margin),
            version: row.version,
            is_frozen: row.is_frozen,
        };
        let name = books.accounts.find(row.account_id).zip(books.currencies.find(row.currency));
        let expected = name.and_then(|name| books.wallets.get(&name));
        seen.add(name, expected.is_some_and(|expected| *expected == stored), key(), || match expected {
            Some(expected) => format!("is {stored:?}, should be {expected:?}"),
            None => "nothing was ever booked to it".to_owned(),
        });
    }
    let text = |(account, currency): &(Name, Name)| {
        format!("{}/{}", books.accounts.text(*account), books.currencies.text(*currency))
    };
    seen.end("wallet", books.wallets.keys(), text)
}

/// Compares every position; returns how many there are.
pub(super) fn check_positions(snapshot: &mut Snapshot, books: &Books) -> Result<u64, Found> {
    let mut rows = snapshot.scan::<PositionNow<'_>>("")?;
    let mut seen = Seen::default();
    while let Some(row) = rows.next()? {
        let key = || format!("{}/{}", row.account_id, row.instrument_id);
        let position = Position {
            quantity: Quantity::from_micros(row.quantity),
            entry_notional: Money::from_micros(row.entry_notional),
            margin: Money::from_micros(row.margin),
            realized_pnl: Money::from_micros(row.realized_pnl),
            fees: Money::from_micros(row.fees),
        };
        let name = books.accounts.find(row.account_id).zip(books.instruments.find(row.instrument_id));
        let expected = name.and_then(|name| books.positions.get(&name));
        let currency = books.currencies.find(row.currency);
        let is_equal = expected.is_some_and(|expected| {
            let stored = Held {
                currency: currency.unwrap_or(Name::MAX),
                style: row.style,
                position,
                account_version: row.account_version,
            };
            *expected == stored
        });
        seen.add(name, is_equal, key(), || match expected {
            Some(expected) => {
                let (style, currency) = (expected.style, books.currencies.text(expected.currency));
                let (held, version) = (expected.position, expected.account_version);
                format!("is {row:?}, should be {held:?} in {currency} with style {style} and version {version}")
            }
            None => "nothing was ever booked to it".to_owned(),
        });
    }
    let text = |(account, instrument): &(Name, Name)| {
        format!("{}/{}", books.accounts.text(*account), books.instruments.text(*instrument))
    };
    seen.end("position", books.positions.keys(), text)
}

/// The rows of a table that were compared.
#[derive(Default)]
struct Seen {
    names: HashSet<(Name, Name), Seeded>,
    first_bad: Option<(String, String)>,
}

impl Seen {
    fn add(&mut self, name: Option<(Name, Name)>, is_equal: bool, key: String, problem: impl FnOnce() -> String) {
        self.names.extend(name);
        if !is_equal && self.first_bad.as_ref().is_none_or(|(first, _)| key < *first) {
            self.first_bad = Some((key, problem()));
        }
    }

    /// The first row that differs or is missing, by its key.
    fn end<'k>(
        self,
        table: &'static str,
        expected: impl Iterator<Item = &'k (Name, Name)>,
        text: impl Fn(&(Name, Name)) -> String,
    ) -> Result<u64, Found> {
        let missing = expected.filter(|name| !self.names.contains(name)).map(text).min();
        let missing = missing.map(|key| (key, "the row is missing".to_owned()));
        match self.first_bad.into_iter().chain(missing).min() {
            Some((key, problem)) => Err(bad(table, key, problem)),
            None => Ok(u64::try_from(self.names.len()).unwrap_or(u64::MAX)),
        }
    }
}
