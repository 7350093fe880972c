//! What a venue answers.

use std::{fmt, path::PathBuf};
use tragen_domain::{execution::Fill, id::OrderId, money::Quantity, order::TradeStatus};

/// Where an order stands at the venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueReport {
    /// The order.
    pub order: OrderId,
    /// Where it stands.
    pub status: TradeStatus,
    /// Every fill so far, oldest first; their ids are `<order_id>-x<n>`, n from 1.
    pub fills: Vec<Fill>,
    /// What the venue said when it rejected, see [`Rejection`]; empty otherwise.
    pub rejection: String,
}

impl VenueReport {
    /// Filled so far.
    #[must_use]
    pub fn filled(&self) -> Quantity {
        self.fills.iter().fold(Quantity::ZERO, |sum, fill| sum.plus(fill.quantity).unwrap_or(sum))
    }
}

/// Why the paper venue rejects an order. Written as its closed code, a colon and a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Nobody has ever quoted the instrument.
    NoMarket,
    /// Its value does not fit 64 bits.
    ValueTooLarge,
    /// It rested, and the venue does not want it any more.
    TakenBack,
    /// It may only rest, and somebody quotes its price or a better one.
    PostOnlyWouldTrade,
}

impl Rejection {
    /// Its closed code, UPPER_SNAKE.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoMarket => "NO_MARKET",
            Self::ValueTooLarge => "VALUE_TOO_LARGE",
            Self::TakenBack => "TAKEN_BACK",
            Self::PostOnlyWouldTrade => "POST_ONLY_WOULD_TRADE",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self {
            Self::NoMarket => "there is no market in this instrument",
            Self::ValueTooLarge => "the value of the order does not fit",
            Self::TakenBack => "taken back by the venue",
            Self::PostOnlyWouldTrade => "a post-only order would trade at once at its price",
        };
        write!(f, "{}: {said}", self.code())
    }
}

/// Why a venue gives no answer; what became of the order is unknown then.
#[derive(Debug, thiserror::Error)]
pub enum VenueError {
    /// No answer in time.
    #[error("the venue did not answer in time")]
    TimedOut,
    /// Whoever asked could not be sure any more that it may, and has not sent it.
    #[error("the order was not sent: the guard may not lead any more")]
    NotSent,
    /// The paper venue's file cannot be used.
    #[error("{action} {path}")]
    Log {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A line of the paper venue's file is not what it wrote.
    #[error("{path} is damaged at byte {offset}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
}
