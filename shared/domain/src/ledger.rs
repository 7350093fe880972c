//! Double entry: what a fill, a deposit, a settlement or a correction moves
//! between which ledger accounts. Every movement is one [`Transfer`] with a
//! giving and a receiving side, so the books balance by construction; a wallet
//! never goes below zero, because what it cannot cover is drawn from `suspense`
//! and freezes the account.

mod account;
mod books;
mod cash;
mod correction;
mod fill;
mod progress;
mod result;
mod settlement;

pub use account::{LedgerAccount, Transfer, TransferKind, VenueId, VenueName};
pub use cash::{
    MoveDirection, post_adjustment, post_deposit, post_moved, post_received, post_sent, post_unfreezing,
    post_withdrawal,
};
pub use correction::{post_fill_reversal, post_reversal};
pub use fill::post_fill;
pub use progress::{average_price, settled_status};
pub use result::ResultCode;
pub use settlement::{is_settlement_value, post_refund, post_settlement};

use crate::{
    instrument::SettlementStyle,
    money::{Money, Overflow, Price, Quantity},
    position::{Position, PositionError},
};

/// The currency of an account when none is named.
pub const DEFAULT_CURRENCY: &str = "USD";

/// What an account holds in one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wallet {
    /// Cash that can be spent, >= 0.
    pub cash: Money,
    /// Cash set aside for margined positions, >= 0.
    pub margin: Money,
    /// Grows by one with every posting.
    pub version: i64,
    /// Whether a posting could not be covered.
    pub is_frozen: bool,
}

/// What a fill, or the end of a market, does to the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// In the order they happen; empty if nothing moves.
    pub transfers: Vec<Transfer>,
    /// The wallet afterwards.
    pub wallet: Wallet,
    /// The position afterwards.
    pub position: Position,
}

/// What cash that moves outside of trading does to the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CashPosting {
    /// The movement.
    pub transfer: Transfer,
    /// The wallet afterwards.
    pub wallet: Wallet,
}

/// Why something cannot be booked; nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The position cannot take the fill.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// A result does not fit 64 bits.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A fill of nothing, or with a negative fee.
    #[error("a fill of {quantity} with fee {fee} is not a fill")]
    Fill {
        /// The quantity.
        quantity: Quantity,
        /// The fee.
        fee: Money,
    },
    /// A price the settlement style does not know.
    #[error("{price} is no price of a {style:?} instrument")]
    Price {
        /// The price.
        price: Price,
        /// The settlement style.
        style: SettlementStyle,
    },
    /// An amount that is not above zero.
    #[error("{amount} is not an amount to move")]
    Amount {
        /// The amount.
        amount: Money,
    },
    /// More is to be taken than the cash.
    #[error("cannot take {requested} of {available}")]
    InsufficientFunds {
        /// The cash.
        available: Money,
        /// What was to be taken.
        requested: Money,
    },
    /// A withdrawal or sending from a frozen account.
    #[error("the account is frozen")]
    Frozen,
    /// An unfreezing of an account that is not frozen.
    #[error("the account is not frozen")]
    NotFrozen,
    /// A correction of something that cannot be booked backwards, or not in this wallet.
    #[error("this cannot be reversed")]
    NotReversible,
    /// The end of a position that is flat.
    #[error("nothing is held")]
    NothingHeld,
}

#[cfg(test)]
mod tests;
