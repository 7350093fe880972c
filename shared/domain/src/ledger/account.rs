//! The chart of accounts, and a movement between two of them.

use crate::{
    id::{AccountId, Currency, Id, Kind},
    money::Money,
};
use std::fmt;

/// Marks the name of a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VenueName {}

impl Kind for VenueName {
    const NAME: &'static str = "venue";
}

/// Where fills are settled, e.g. `paper`.
pub type VenueId = Id<VenueName>;

/// One account of the books; its balance is what it received minus what it gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LedgerAccount {
    /// `wallet/<account>/<currency>`: spendable cash, never below zero.
    Wallet(AccountId, Currency),
    /// `margin/<account>/<currency>`: cash set aside, never below zero.
    Margin(AccountId, Currency),
    /// `venue/<venue>/<currency>`: what is settled with a venue, any sign.
    Venue(VenueId, Currency),
    /// `fees/<currency>`: fees received.
    Fees(Currency),
    /// `external/deposits/<currency>`: the world outside; minus what is inside.
    Deposits(Currency),
    /// `suspense/<currency>`: minus what accounts could not cover.
    Suspense(Currency),
    /// `house/<currency>`: the house's own profit and loss, any sign.
    House(Currency),
    /// `between/<from>-<to>/<currency>`: money on its way from one shard of the
    /// ledger to another. Over both shards it is zero when nothing is on its way.
    Between {
        /// The shard that gives.
        from: u16,
        /// The shard that receives.
        to: u16,
        /// The currency.
        currency: Currency,
    },
}

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferKind {
    /// Money brought in.
    Deposit,
    /// Money taken out.
    Withdrawal,
    /// Cost of what a fill opens.
    TradeCost,
    /// Proceeds of what a fill closes.
    TradeProceeds,
    /// Fee of a fill.
    Fee,
    /// Cash set aside as margin.
    MarginHeld,
    /// Margin given back.
    MarginReleased,
    /// Profit or loss of what a margined fill closes.
    RealizedPnl,
    /// Part of a payment the wallet could not cover.
    Shortfall,
    /// What a decided market pays for a position.
    Settlement,
    /// What a void market gives back.
    Refund,
    /// Money sent by one account to another.
    Sent,
    /// Put right by two operators.
    Adjustment,
    /// The reverse of an earlier transfer, booked by two operators.
    Correction,
    /// The account went to another shard of the ledger, or came from one.
    SlotMoved,
}

/// One movement of money: one row, both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Why.
    pub kind: TransferKind,
    /// Who gives.
    pub debit: LedgerAccount,
    /// Who receives.
    pub credit: LedgerAccount,
    /// How much, > 0.
    pub amount: Money,
}

impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wallet(account, currency) => write!(f, "wallet/{account}/{currency}"),
            Self::Margin(account, currency) => write!(f, "margin/{account}/{currency}"),
            Self::Venue(venue, currency) => write!(f, "venue/{venue}/{currency}"),
            Self::Fees(currency) => write!(f, "fees/{currency}"),
            Self::Deposits(currency) => write!(f, "external/deposits/{currency}"),
            Self::Suspense(currency) => write!(f, "suspense/{currency}"),
            Self::House(currency) => write!(f, "house/{currency}"),
            Self::Between { from, to, currency } => write!(f, "between/{from}-{to}/{currency}"),
        }
    }
}
