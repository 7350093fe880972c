//! Whose equity a baseline is of: figures of other accounts or in another currency say
//! nothing about a loss, so a baseline ends with its basis.

use crate::id::{AccountId, Currency};
use std::collections::BTreeSet;

/// Start value and factor of the 64 bit FNV-1a hash (Fowler, Noll, Vo; RFC 9923).
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_FACTOR: u64 = 0x0000_0100_0000_01b3;

/// The accounts and the currency that were measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// In which currency.
    pub currency: Currency,
    /// A hash of the accounts: there may be thousands, and it only tells whether they changed.
    pub accounts: u64,
}

/// What ended a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BasisChange {
    /// Other accounts are measured.
    Accounts,
    /// It is measured in another currency.
    Currency,
}

impl Basis {
    /// Of these accounts.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use tragen_domain::{id::Id, risk::{Basis, BasisChange}};
    /// let of = |names: &[&str], currency: &str| {
    ///     let accounts: BTreeSet<_> = names.iter().map(|name| Id::new(*name).unwrap()).collect();
    ///     Basis::of(&accounts, &Id::new(currency).unwrap())
    /// };
    /// assert_eq!(of(&["a", "b"], "USD").change_from(&of(&["b", "a"], "USD")), None);
    /// assert_eq!(of(&["a", "b"], "USD").change_from(&of(&["ab"], "USD")), Some(BasisChange::Accounts));
    /// assert_eq!(of(&["a", "b"], "EUR").change_from(&of(&["a", "b"], "USD")), Some(BasisChange::Currency));
    /// ```
    #[must_use]
    pub fn of(accounts: &BTreeSet<AccountId>, currency: &Currency) -> Self {
        // A byte that no id has stands behind each.
        let bytes = accounts.iter().flat_map(|account| account.as_str().bytes().chain([0]));
        let hash = bytes.fold(FNV_START, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_FACTOR));
        Self { currency: currency.clone(), accounts: hash }
    }

    /// What is different from `before`.
    #[must_use]
    pub fn change_from(&self, before: &Self) -> Option<BasisChange> {
        if self.currency != before.currency {
            return Some(BasisChange::Currency);
        }
        (self.accounts != before.accounts).then_some(BasisChange::Accounts)
    }
}

impl BasisChange {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Accounts, Self::Currency];

    /// As written in the journal and in alerts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "ACCOUNTS_CHANGED",
            Self::Currency => "CURRENCY_CHANGED",
        }
    }

    /// The change written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.as_str() == text)
    }
}
