//! What users do, and how often each of it.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// One kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// An order that the user has decided.
    Order,
    /// A budget that an agent may spend.
    Mandate,
    /// Balances, positions or a trade.
    Read,
    /// The end of an order that rests.
    Cancel,
}

impl Operation {
    /// As written in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Mandate => "mandate",
            Self::Read => "read",
            Self::Cancel => "cancel",
        }
    }

    /// Whether it asks for a trade.
    pub(crate) const fn is_trade(self) -> bool {
        match self {
            Self::Order | Self::Mandate => true,
            Self::Read | Self::Cancel => false,
        }
    }
}

/// How many of a hundred operations are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Orders; if there are cancels, one of twelve rests until it is canceled.
    pub orders: u32,
    /// Mandates.
    pub mandates: u32,
    /// Reads.
    pub reads: u32,
    /// Cancels; while nothing rests, an order that rests is placed instead.
    pub cancels: u32,
}

impl Mix {
    /// Orders that are executed at once, and nothing else.
    pub const ORDERS: Self = Self { orders: 100, mandates: 0, reads: 0, cancels: 0 };
    /// What an app's users do.
    pub const USERS: Self = Self { orders: 60, mandates: 20, reads: 15, cancels: 5 };

    /// Checks that it makes a hundred.
    ///
    /// # Errors
    /// When it does not.
    pub fn validate(self) -> anyhow::Result<()> {
        let sum = u64::from(self.orders) + u64::from(self.mandates) + u64::from(self.reads) + u64::from(self.cancels);
        ensure!(sum == 100, "the shares of operations add up to {sum} %, not to 100 %");
        Ok(())
    }

    /// What is done by this chance, any number.
    pub(crate) fn pick(self, chance: u64) -> Operation {
        let point = chance % 100;
        let mut end = 0;
        let shares = [
            (Operation::Order, self.orders),
            (Operation::Mandate, self.mandates),
            (Operation::Read, self.reads),
            (Operation::Cancel, self.cancels),
        ];
        let found = shares.into_iter().find(|(_, share)| {
            end += u64::from(*share);
            point < end
        });
        found.map_or(Operation::Order, |(operation, _)| operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_their_shares() {
        let count = |operation| (0..100).filter(|chance| Mix::USERS.pick(*chance) == operation).count();
        let all = [Operation::Order, Operation::Mandate, Operation::Read, Operation::Cancel];
        assert_eq!(all.map(count), [60, 20, 15, 5]);
        assert!((0..100).all(|chance| Mix::ORDERS.pick(chance) == Operation::Order));
        assert!(Mix::USERS.validate().is_ok());
        assert!(Mix { orders: 61, ..Mix::USERS }.validate().is_err());
    }
}
