//! Why something cannot be booked: its number in the closed list of results, and the reason in words.

use std::fmt;
use tragen_domain::{
    ledger::{LedgerError, ResultCode},
    money::Overflow,
};

/// Why an item is set aside. In words it begins with the code's name, and so it is stored, logged and told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unbookable {
    pub(crate) code: ResultCode,
    reason: String,
}

impl Unbookable {
    pub(crate) fn new(code: ResultCode, reason: impl fmt::Display) -> Self {
        Self { code, reason: reason.to_string() }
    }

    /// It cannot be read, or contradicts itself.
    pub(crate) fn malformed(reason: impl fmt::Display) -> Self {
        Self::new(ResultCode::Malformed, reason)
    }

    /// What it is called is the name of something else that is booked.
    pub(crate) fn other_payload(reason: impl fmt::Display) -> Self {
        Self::new(ResultCode::ExistsWithDifferentPayload, reason)
    }

    /// Says first what it is about.
    pub(crate) fn about(self, what: impl fmt::Display) -> Self {
        Self { reason: format!("{what}: {}", self.reason), ..self }
    }
}

impl fmt::Display for Unbookable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.reason)
    }
}

impl From<LedgerError> for Unbookable {
    fn from(error: LedgerError) -> Self {
        Self::new(ResultCode::from(&error), error)
    }
}

impl From<Overflow> for Unbookable {
    fn from(error: Overflow) -> Self {
        LedgerError::from(error).into()
    }
}
