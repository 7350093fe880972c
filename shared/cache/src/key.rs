//! Every key that is written to the shared cache, with its time to live.

use crate::answer::sum;
use std::{fmt, time::Duration};
use tragen_domain::id::{AccountId, Currency};

/// What a caller is limited in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Placing trades.
    Place,
    /// Canceling trades: kept apart, so that risk can be taken off at any time.
    Cancel,
    /// Reading.
    Read,
    /// Deposits, withdrawals and sendings.
    Cash,
    /// Questions to agents.
    Analyze,
}

impl Budget {
    /// As written in keys and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Cancel => "cancel",
            Self::Read => "read",
            Self::Cash => "cash",
            Self::Analyze => "analyze",
        }
    }
}

/// The log of one account's requests: `tragen:rate:<budget>:<account>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateKey {
    /// What is limited.
    pub budget: Budget,
    /// Who is limited.
    pub account: AccountId,
}

impl RateKey {
    /// Over which time requests are counted.
    pub const WINDOW: Duration = Duration::from_secs(60);
    /// How long the log is kept after the last request: the window and a second for slow clocks.
    pub const TIME_TO_LIVE: Duration = Duration::from_secs(61);
}

impl fmt::Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tragen:rate:{}:{}", self.budget.as_str(), self.account)
    }
}

/// An account's balance in one currency: `tragen:balance:<account>:<currency>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BalanceKey {
    /// Whose.
    pub account: AccountId,
    /// Of which currency.
    pub currency: Currency,
}

impl BalanceKey {
    /// The oldest balance that anybody may ask for.
    pub const TIME_TO_LIVE: Duration = Duration::from_secs(30);
}

impl fmt::Display for BalanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tragen:balance:{}:{}", self.account, self.currency)
    }
}

/// An agent's answer about the market: `tragen:answer:v1:<sum of the question>`. How long it lives is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AnswerKey(u64);

impl AnswerKey {
    /// Of the bytes of a question; the value says which question it answers, so two with one sum do no harm.
    #[must_use]
    pub fn of(question: &[u8]) -> Self {
        Self(sum(question))
    }
}

impl fmt::Display for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tragen:answer:v1:{:016x}", self.0)
    }
}
