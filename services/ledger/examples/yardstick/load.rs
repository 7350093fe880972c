//! The transfers that are posted: the same ones every time.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};
use uuid::{Builder, Uuid};

/// The account every transfer touches with [`Spread::House`].
const HOUSE: i64 = 1;

/// Which accounts transfers are between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Any two.
    Even,
    /// Any one and the house.
    House,
}

impl Spread {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::House => "house",
        }
    }
}

/// Money that goes from one account to another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    /// Later ones are greater (version 7).
    pub(crate) id: Uuid,
    /// Who pays.
    pub(crate) debit_id: i64,
    /// Who gets it; never who pays.
    pub(crate) credit_id: i64,
    /// Micro-units, positive.
    pub(crate) amount: i64,
    /// 0 to 3.
    pub(crate) kind: i16,
    /// Microseconds since the epoch.
    pub(crate) posted_at: i64,
}

/// What a batch adds to one account.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    /// Paid.
    pub(crate) debits: i64,
    /// Received.
    pub(crate) credits: i64,
}

/// An endless source of transfers for one writer. Takes well under a microsecond
/// for each, so that the store is measured and not the source.
#[derive(Debug)]
pub(crate) struct Load {
    accounts: u64,
    spread: Spread,
    writer: u16,
    count: u64,
    state: u64,
}

impl Load {
    /// Transfers between the accounts 1 to `accounts`, whose ids no other `writer` gives out.
    pub(crate) fn new(accounts: i64, spread: Spread, writer: u16) -> Self {
        Self { accounts: accounts.unsigned_abs(), spread, writer, count: 0, state: u64::from(writer) }
    }

    /// Replaces what is in `batch` by the next `count` transfers.
    pub(crate) fn fill(&mut self, batch: &mut Vec<Transfer>, count: u32) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let posted_at = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let millis = posted_at.unsigned_abs() / 1_000;
        batch.clear();
        batch.extend((0..count).map(|_| self.next(millis, posted_at)));
    }

    fn next(&mut self, millis: u64, posted_at: i64) -> Transfer {
        self.count += 1;
        let mut rest = [0; 10];
        rest[..8].copy_from_slice(&self.count.to_be_bytes());
        rest[8..].copy_from_slice(&self.writer.to_be_bytes());
        let first = self.below(self.accounts);
        let second = match self.spread {
            Spread::Even => (first + 1 + self.below(self.accounts - 1)) % self.accounts,
            Spread::House => 0,
        };
        // With the house, the other one is any but the first account.
        let first = if first == second { 1 + self.below(self.accounts - 1) } else { first };
        Transfer {
            id: Builder::from_unix_timestamp_millis(millis, &rest).into_uuid(),
            debit_id: HOUSE.saturating_add_unsigned(first),
            credit_id: HOUSE.saturating_add_unsigned(second),
            amount: 1_i64.saturating_add_unsigned(self.below(1_000_000)),
            kind: i16::from(self.below(4).to_le_bytes()[0]),
            posted_at,
        }
    }

    /// 0 to `limit` - 1, by splitmix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What `transfers` add to the accounts they touch, sorted by account.
pub(crate) fn changes(transfers: &[Transfer]) -> BTreeMap<i64, Change> {
    let mut changes: BTreeMap<i64, Change> = BTreeMap::new();
    for transfer in transfers {
        changes.entry(transfer.debit_id).or_default().debits += transfer.amount;
        changes.entry(transfer.credit_id).or_default().credits += transfer.amount;
    }
    changes
}
