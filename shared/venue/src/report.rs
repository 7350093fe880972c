//! What a venue answers.

use std::path::PathBuf;
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
    /// What the venue said when it rejected; empty otherwise.
    pub rejection: String,
}

impl VenueReport {
    /// Filled so far.
    #[must_use]
    pub fn filled(&self) -> Quantity {
        self.fills.iter().fold(Quantity::ZERO, |sum, fill| sum.plus(fill.quantity).unwrap_or(sum))
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
