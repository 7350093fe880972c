//! What positions are worth together: value, exposure, profit and loss.

use super::value::{exposure, position_value, unrealized_pnl};
use crate::{
    instrument::SettlementStyle,
    money::{Money, Overflow, Price},
    position::Position,
};

/// A position with what is needed to value it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// What is held.
    pub position: &'a Position,
    /// How it settles.
    pub style: SettlementStyle,
    /// Its conservative mark; see [`super::conservative_mark`].
    pub mark: Price,
}

/// What positions come to. With cash it is equity: see [`Valuation::equity`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Valuation {
    /// What closing all of it would bring back, fees aside.
    pub value: Money,
    /// Money exposed.
    pub exposure: Exposure,
    /// Profit and loss so far.
    pub pnl: Pnl,
}

/// Profit and loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pnl {
    /// Of what was closed, before fees.
    pub realized: Money,
    /// Of what is open, at conservative marks.
    pub unrealized: Money,
    /// Fees of all fills, >= 0.
    pub fees: Money,
}

impl Pnl {
    /// Everything together, after fees.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn total(&self) -> Result<Money, Overflow> {
        self.realized.plus(self.unrealized)?.minus(self.fees)
    }

    fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self {
            realized: self.realized.plus(other.realized)?,
            unrealized: self.unrealized.plus(other.unrealized)?,
            fees: self.fees.plus(other.fees)?,
        })
    }

    fn minus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self {
            realized: self.realized.minus(other.realized)?,
            unrealized: self.unrealized.minus(other.unrealized)?,
            fees: self.fees.minus(other.fees)?,
        })
    }
}

/// Money exposed, by direction; see [`exposure`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposure {
    /// In longs, >= 0.
    pub long: Money,
    /// In shorts, >= 0.
    pub short: Money,
}

impl Exposure {
    /// Longs and shorts together.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn gross(&self) -> Result<Money, Overflow> {
        self.long.plus(self.short)
    }

    /// Longs less shorts: negative when more is short.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn net(&self) -> Result<Money, Overflow> {
        self.long.minus(self.short)
    }

    fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self { long: self.long.plus(other.long)?, short: self.short.plus(other.short)? })
    }

    fn minus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self { long: self.long.minus(other.long)?, short: self.short.minus(other.short)? })
    }
}

impl Held<'_> {
    /// Value, exposure and profit of this position.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn valued(&self) -> Result<Valuation, Overflow> {
        let Self { position, style, mark } = *self;
        let money = exposure(position, style, mark)?;
        let (long, short) = if position.quantity.is_negative() { (Money::ZERO, money) } else { (money, Money::ZERO) };
        Ok(Valuation {
            value: position_value(position, style, mark)?,
            exposure: Exposure { long, short },
            pnl: Pnl {
                realized: position.realized_pnl,
                unrealized: unrealized_pnl(position, mark)?,
                fees: position.fees,
            },
        })
    }
}

impl Valuation {
    /// All positions of one account together: O(positions).
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn of<'a>(held: impl IntoIterator<Item = Held<'a>>) -> Result<Self, Overflow> {
        held.into_iter().try_fold(Self::default(), |sum, held| sum.plus(&held.valued()?))
    }

    /// `cash` and everything held, less fees that are owed but not yet paid.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn equity(&self, cash: Money, accrued_fees: Money) -> Result<Money, Overflow> {
        cash.plus(self.value)?.minus(accrued_fees)
    }

    pub(super) fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self {
            value: self.value.plus(other.value)?,
            exposure: self.exposure.plus(&other.exposure)?,
            pnl: self.pnl.plus(&other.pnl)?,
        })
    }

    pub(super) fn minus(&self, other: &Self) -> Result<Self, Overflow> {
        Ok(Self {
            value: self.value.minus(other.value)?,
            exposure: self.exposure.minus(&other.exposure)?,
            pnl: self.pnl.minus(&other.pnl)?,
        })
    }
}
