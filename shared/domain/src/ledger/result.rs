//! How everything that the ledger is asked to do ends: a closed, numbered set,
//! stored and sent, so a number is never used for anything else again.

use super::LedgerError;
use crate::position::PositionError;

/// How something the ledger was asked to do ended.
///
/// Below 100 it is final: the same request gets the same answer. From 100 to 199
/// no outcome is known and the same request may be made again. From 200 on the
/// ledger itself could not do it.
///
/// ```
/// use tragen_domain::{ledger::{LedgerError, ResultCode}, money::Money};
/// let code = ResultCode::from(&LedgerError::Amount { amount: Money::ZERO });
/// assert_eq!((code.number(), code.as_str(), code.is_retryable()), (6, "AMOUNT_INVALID", false));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultCode {
    /// Done and committed.
    Posted,
    /// Done earlier, by the same request.
    Exists,
    /// The id was used earlier for something else.
    ExistsWithDifferentPayload,
    /// More is to be taken than is there.
    InsufficientFunds,
    /// The account is frozen.
    AccountFrozen,
    /// There is nothing to unfreeze.
    AccountNotFrozen,
    /// The amount is not one that can be moved.
    AmountInvalid,
    /// A result does not fit 64 bits of micros.
    OutOfRange,
    /// The settlement style does not know the price.
    PriceInvalid,
    /// A fill of nothing, or with a negative fee.
    FillInvalid,
    /// More of a spot instrument would be given than is held.
    SpotShort,
    /// This cannot be booked backwards.
    NotReversible,
    /// The position is flat.
    NothingHeld,
    /// The market was settled earlier, and otherwise.
    AlreadySettled,
    /// The request cannot be read.
    Malformed,
    /// What it is about is not known.
    NotFound,
    /// The account is on its way to another shard.
    SlotMoving,
    /// The database does not answer, or nobody serves the shard.
    StoreUnavailable,
    /// Another process has taken the shard over.
    Fenced,
    /// Too much is waiting already.
    Busy,
    /// The books have not reached the version asked for.
    VersionNotReached,
    /// It may have been done: the same request again gets the one outcome.
    OutcomeUnknown,
    /// The database refuses what the rules allow: somebody must look.
    StoreRefused,
}

impl ResultCode {
    /// Every code, by number.
    pub const ALL: [Self; 23] = [
        Self::Posted,
        Self::Exists,
        Self::ExistsWithDifferentPayload,
        Self::InsufficientFunds,
        Self::AccountFrozen,
        Self::AccountNotFrozen,
        Self::AmountInvalid,
        Self::OutOfRange,
        Self::PriceInvalid,
        Self::FillInvalid,
        Self::SpotShort,
        Self::NotReversible,
        Self::NothingHeld,
        Self::AlreadySettled,
        Self::Malformed,
        Self::NotFound,
        Self::SlotMoving,
        Self::StoreUnavailable,
        Self::Fenced,
        Self::Busy,
        Self::VersionNotReached,
        Self::OutcomeUnknown,
        Self::StoreRefused,
    ];

    /// Its number, the same for ever.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.row().0
    }

    /// Its name, e.g. `INSUFFICIENT_FUNDS`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self.number(), 100..=199)
    }

    const fn row(self) -> (u16, &'static str) {
        match self {
            Self::Posted => (0, "POSTED"),
            Self::Exists => (1, "EXISTS"),
            Self::ExistsWithDifferentPayload => (2, "EXISTS_WITH_DIFFERENT_PAYLOAD"),
            Self::InsufficientFunds => (3, "INSUFFICIENT_FUNDS"),
            Self::AccountFrozen => (4, "ACCOUNT_FROZEN"),
            Self::AccountNotFrozen => (5, "ACCOUNT_NOT_FROZEN"),
            Self::AmountInvalid => (6, "AMOUNT_INVALID"),
            Self::OutOfRange => (7, "OUT_OF_RANGE"),
            Self::PriceInvalid => (8, "PRICE_INVALID"),
            Self::FillInvalid => (9, "FILL_INVALID"),
            Self::SpotShort => (10, "SPOT_SHORT"),
            Self::NotReversible => (11, "NOT_REVERSIBLE"),
            Self::NothingHeld => (12, "NOTHING_HELD"),
            Self::AlreadySettled => (13, "ALREADY_SETTLED"),
            Self::Malformed => (14, "MALFORMED"),
            Self::NotFound => (15, "NOT_FOUND"),
            Self::SlotMoving => (100, "SLOT_MOVING"),
            Self::StoreUnavailable => (101, "LEDGER_UNAVAILABLE"),
            Self::Fenced => (102, "FENCED"),
            Self::Busy => (103, "LEDGER_BUSY"),
            Self::VersionNotReached => (104, "VERSION_NOT_REACHED"),
            Self::OutcomeUnknown => (105, "OUTCOME_UNKNOWN"),
            Self::StoreRefused => (200, "STORE_REFUSED"),
        }
    }
}

impl From<&LedgerError> for ResultCode {
    fn from(error: &LedgerError) -> Self {
        match error {
            LedgerError::Position(PositionError::Overflow(_)) | LedgerError::Overflow(_) => Self::OutOfRange,
            LedgerError::Position(PositionError::SpotShort { .. }) => Self::SpotShort,
            LedgerError::Fill { .. } => Self::FillInvalid,
            LedgerError::Price { .. } => Self::PriceInvalid,
            LedgerError::Amount { .. } => Self::AmountInvalid,
            LedgerError::InsufficientFunds { .. } => Self::InsufficientFunds,
            LedgerError::Frozen => Self::AccountFrozen,
            LedgerError::NotFrozen => Self::AccountNotFrozen,
            LedgerError::NotReversible => Self::NotReversible,
            LedgerError::NothingHeld => Self::NothingHeld,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        instrument::SettlementStyle,
        money::{Money, Overflow, Price, Quantity},
    };
    use ResultCode::*;

    #[test]
    fn every_code_keeps_its_number_and_name() {
        let table = [
            (Posted, 0, "POSTED", false),
            (Exists, 1, "EXISTS", false),
            (ExistsWithDifferentPayload, 2, "EXISTS_WITH_DIFFERENT_PAYLOAD", false),
            (InsufficientFunds, 3, "INSUFFICIENT_FUNDS", false),
            (AccountFrozen, 4, "ACCOUNT_FROZEN", false),
            (AccountNotFrozen, 5, "ACCOUNT_NOT_FROZEN", false),
            (AmountInvalid, 6, "AMOUNT_INVALID", false),
            (OutOfRange, 7, "OUT_OF_RANGE", false),
            (PriceInvalid, 8, "PRICE_INVALID", false),
            (FillInvalid, 9, "FILL_INVALID", false),
            (SpotShort, 10, "SPOT_SHORT", false),
            (NotReversible, 11, "NOT_REVERSIBLE", false),
            (NothingHeld, 12, "NOTHING_HELD", false),
            (AlreadySettled, 13, "ALREADY_SETTLED", false),
            (Malformed, 14, "MALFORMED", false),
            (NotFound, 15, "NOT_FOUND", false),
            (SlotMoving, 100, "SLOT_MOVING", true),
            (StoreUnavailable, 101, "LEDGER_UNAVAILABLE", true),
            (Fenced, 102, "FENCED", true),
            (Busy, 103, "LEDGER_BUSY", true),
            (VersionNotReached, 104, "VERSION_NOT_REACHED", true),
            (OutcomeUnknown, 105, "OUTCOME_UNKNOWN", true),
            (StoreRefused, 200, "STORE_REFUSED", false),
        ];
        let actual = ResultCode::ALL.map(|code| (code, code.number(), code.as_str(), code.is_retryable()));
        assert_eq!(actual, table);
    }

    #[test]
    fn every_error_of_the_rules_has_a_code() {
        let (money, quantity) = (Money::ZERO, Quantity::ZERO);
        for (error, expected) in [
            (PositionError::Overflow(Overflow).into(), OutOfRange),
            (PositionError::SpotShort { held: quantity, requested: quantity }.into(), SpotShort),
            (LedgerError::Overflow(Overflow), OutOfRange),
            (LedgerError::Fill { quantity, fee: money }, FillInvalid),
            (LedgerError::Price { price: Price::ZERO, style: SettlementStyle::Spot }, PriceInvalid),
            (LedgerError::Amount { amount: money }, AmountInvalid),
            (LedgerError::InsufficientFunds { available: money, requested: money }, InsufficientFunds),
            (LedgerError::Frozen, AccountFrozen),
            (LedgerError::NotFrozen, AccountNotFrozen),
            (LedgerError::NotReversible, NotReversible),
            (LedgerError::NothingHeld, NothingHeld),
        ] {
            assert_eq!(ResultCode::from(&error), expected, "{error}");
        }
    }
}
