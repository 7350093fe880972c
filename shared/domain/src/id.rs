//! Ids that cannot be mixed up: an account is not an instrument, and neither
//! can carry a character that would break a bus subject or an SQL statement.

mod hash;

pub use hash::{QuickHasher, QuickMap};

use std::{borrow::Borrow, fmt, hash::Hash, marker::PhantomData, sync::Arc};

/// What an [`Id`] names; implemented by marker types only.
pub trait Kind: Copy + Eq + Ord + Hash + fmt::Debug + Send + Sync + 'static {
    /// The word used in errors, e.g. `account`.
    const NAME: &'static str;
    /// Longest id in bytes.
    const MAX_LENGTH: usize = 64;
}

/// An id of 1..=[`Kind::MAX_LENGTH`] letters, digits, `-` and `_`; cheap to clone.
///
/// ```
/// use tragen_domain::id::{AccountId, IdError};
/// assert_eq!(AccountId::new("alice").unwrap().as_str(), "alice");
/// assert_eq!(AccountId::new("a.b"), Err(IdError::Charset { kind: "account" }));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<K> {
    text: Arc<str>,
    kind: PhantomData<K>,
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("{kind} id is missing")]
    Missing {
        /// What the id names.
        kind: &'static str,
    },
    /// The text is too long.
    #[error("{kind} id has {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// What the id names.
        kind: &'static str,
        /// Its length, bytes.
        length: usize,
        /// The longest allowed, bytes.
        limit: usize,
    },
    /// The text has a character outside letters, digits, `-` and `_`.
    #[error("{kind} id may contain only ASCII letters, digits, '-' and '_'")]
    Charset {
        /// What the id names.
        kind: &'static str,
    },
}

impl<K: Kind> Id<K> {
    /// Checks and keeps `text`.
    ///
    /// # Errors
    /// [`IdError`] when it is empty, too long or has a forbidden character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(IdError::Missing { kind: K::NAME });
        }
        if text.len() > K::MAX_LENGTH {
            return Err(IdError::TooLong { kind: K::NAME, length: text.len(), limit: K::MAX_LENGTH });
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(IdError::Charset { kind: K::NAME });
        }
        Ok(Self { text: text.into(), kind: PhantomData })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
    }
}

impl<K: Kind> Borrow<str> for Id<K> {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// Marks the id of a wallet's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {}
/// Marks the id of something tradable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instrument {}
/// Marks the id of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {}
/// Marks the id of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trade {}
/// Marks the id of an order, unique at the venue for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {}
/// Marks the id of one execution at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Execution {}
/// Marks the id of a configured agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Agent {}
/// Marks the name of a pool or strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {}
/// Marks the id of a command, chosen by whoever gives it, so that a repeat is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {}
/// Marks the code of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CurrencyCode {}

impl Kind for Account {
    const NAME: &'static str = "account";
}
impl Kind for Instrument {
    const NAME: &'static str = "instrument";
}
impl Kind for Match {
    const NAME: &'static str = "match";
}
impl Kind for Trade {
    const NAME: &'static str = "trade";
}
impl Kind for Order {
    const NAME: &'static str = "order";
}
impl Kind for Execution {
    const NAME: &'static str = "execution";
    const MAX_LENGTH: usize = 96;
}
impl Kind for Agent {
    const NAME: &'static str = "agent";
}
impl Kind for Pool {
    const NAME: &'static str = "pool";
}
impl Kind for Command {
    const NAME: &'static str = "command";
    /// It is a part of the request ids of the trades it causes.
    const MAX_LENGTH: usize = 36;
}
impl Kind for CurrencyCode {
    const NAME: &'static str = "currency";
    const MAX_LENGTH: usize = 8;
}

/// Who pays: the subject of the token.
pub type AccountId = Id<Account>;
/// Something tradable.
pub type InstrumentId = Id<Instrument>;
/// A match.
pub type MatchId = Id<Match>;
/// A trade: UUIDv5 of account and request id.
pub type TradeId = Id<Trade>;
/// An order, derived from its trade.
pub type OrderId = Id<Order>;
/// One execution at the venue.
pub type ExecutionId = Id<Execution>;
/// A configured agent.
pub type AgentId = Id<Agent>;
/// A pool or strategy.
pub type PoolId = Id<Pool>;
/// A command to the guard; the same id is obeyed once.
pub type CommandId = Id<Command>;
/// A currency, e.g. `USD`.
pub type Currency = Id<CurrencyCode>;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, IdError>) {
        let id = InstrumentId::new(text);
        assert_eq!(id.as_ref().map(Id::as_str), expected.as_ref().copied());
    }

    #[test]
    fn ids_are_safe_subject_tokens() {
        check("EPL-2026-ARS-MCI-HOME", Ok("EPL-2026-ARS-MCI-HOME"));
        check("", Err(IdError::Missing { kind: "instrument" }));
        check("EPL ARS", Err(IdError::Charset { kind: "instrument" }));
        check("EPL.ARS", Err(IdError::Charset { kind: "instrument" }));
        check("EPL\0", Err(IdError::Charset { kind: "instrument" }));
        check("\u{410}RS", Err(IdError::Charset { kind: "instrument" }));
        let longest = "x".repeat(64);
        check(&longest, Ok(&longest));
        let too_long = "x".repeat(65);
        check(&too_long, Err(IdError::TooLong { kind: "instrument", length: 65, limit: 64 }));
    }
}
