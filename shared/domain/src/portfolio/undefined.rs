//! Why a figure does not exist.

use crate::money::Overflow;

/// Why a figure is not defined; the wire sends nothing together with this reason.
///
/// A limit on an undefined statistic does not trip. Prices and equity are the
/// exception: without them nothing new is traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// Not enough points yet.
    #[error("{have} points, at least {needed} are needed")]
    TooFewPoints {
        /// The least number.
        needed: usize,
        /// How many there are.
        have: usize,
    },
    /// All points are equal, so nothing can be divided by their deviation.
    #[error("all points are equal")]
    NoVariance,
    /// Nothing was lost, so nothing can be divided by the losses.
    #[error("there are no losses")]
    NoLosses,
    /// Nothing was won or lost.
    #[error("there are no decided trades")]
    NoTrades,
    /// The money that a share is taken of is not above zero.
    #[error("there is no capital to take a share of")]
    NoCapital,
    /// Something held has no usable price on the side that closes it: none, or one that is too old.
    #[error("{legs} longs and shorts are held without a usable price")]
    NoPrice {
        /// How many longs and shorts; those of one instrument count once each.
        legs: usize,
    },
    /// A price is too old to value what is held.
    #[error("the price is {age_ms} ms old, at most {limit_ms} ms are allowed")]
    StalePrice {
        /// Its age, milliseconds.
        age_ms: i64,
        /// The limit, milliseconds.
        limit_ms: i64,
    },
    /// Two series of different lengths, or weights for another number of series.
    #[error("{left} and {right} points do not belong together")]
    LengthMismatch {
        /// Of the first.
        left: usize,
        /// Of the second.
        right: usize,
    },
    /// A number that is infinite, not a number, or beyond what the figure can hold.
    #[error("a number is out of range")]
    OutOfRange,
    /// An amount does not fit 64 bits.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}
