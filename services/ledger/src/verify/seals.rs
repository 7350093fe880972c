//! Seals: each must be that of its row, and all of them together what the shard
//! says. So a seal that was taken away is missed, and one that was made anew for a
//! changed row gives another sum. Rows of an older version have none.

use super::{Found, bad, record::Trade};
use crate::store::{
    rows::{SettlementRow, ShardRow},
    seal::{HASH_BYTES, Sealer, Seals, problem_of, problem_of_trade},
};

/// The seals of a shard as they are read.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Of what was posted here, so far; `None` if an older version has verified the beginning.
    posted: Option<Seals>,
    /// Of what was posted elsewhere and is read whole each time, and of trades.
    others: Seals,
    /// Whether every trade is read. One that has gone on since a run before had another seal then, which
    /// nobody knows any more.
    has_all_trades: bool,
}

impl Sums {
    /// Goes on from what was verified.
    pub(super) fn new(posted: Option<[u8; HASH_BYTES]>, has_all_trades: bool) -> Self {
        let posted = posted.map(|history| Seals { history, ..Seals::default() });
        Self { posted, others: Seals::default(), has_all_trades }
    }

    /// A posting of this shard.
    pub(super) fn posted(
        &mut self,
        row: (&'static str, &dyn ToString),
        seal: &[u8],
        covered: &[u8],
    ) -> Result<(), Found> {
        if let Some(posted) = &mut self.posted {
            posted.history(seal);
        }
        check(row, seal, covered)
    }

    /// A posting of another shard, which came with a slot.
    pub(super) fn copied(
        &mut self,
        row: (&'static str, &dyn ToString),
        seal: &[u8],
        covered: &[u8],
    ) -> Result<(), Found> {
        self.others.history(seal);
        check(row, seal, covered)
    }

    /// What is wrong with a trade by its seal.
    pub(super) fn trade(&mut self, row: &Trade<'_>, covered: &[u8]) -> Option<&'static str> {
        self.others.trade(row.seal);
        problem_of_trade(row.seal, row.fact_sequence, covered)
    }

    /// The sum of what was posted here, for a later run to go on from.
    pub(super) fn verified(&self) -> Option<[u8; HASH_BYTES]> {
        self.posted.map(|posted| posted.history)
    }

    /// All rows are read: all seals must be what the shard says. Gives the sum for a later run.
    pub(super) fn end(
        mut self,
        number: u16,
        shard: &ShardRow,
        settlements: &[SettlementRow],
    ) -> Result<Option<[u8; HASH_BYTES]>, Found> {
        for row in settlements {
            self.others.history(&row.seal);
            let mut again = [row.clone()];
            Sealer::new(&ShardRow::default()).history(&mut again);
            if !row.seal.is_empty() && again[0].seal != row.seal {
                return Err(bad("settlement", &row.instrument_id, "it is not what it was when it was sealed"));
            }
        }
        let wrong = |of: &str| {
            bad(
                "shard",
                number,
                format!("a seal is missing or was made anew: those of all {of} do not add up to what it says"),
            )
        };
        let stored = Seals::of(shard).ok_or_else(|| bad("shard", number, "what it says of all seals is no sum"))?;
        let mut expected = self.others;
        let posted = match self.posted {
            Some(posted) => posted,
            // From here on it is known.
            None => {
                let mut rest = stored;
                rest.history(&expected.history);
                rest
            }
        };
        expected.history(&posted.history);
        if expected.history != stored.history {
            return Err(wrong("history"));
        }
        if self.has_all_trades && expected.trades != stored.trades {
            return Err(wrong("trades"));
        }
        Ok(Some(posted.history))
    }
}

fn check((table, key): (&'static str, &dyn ToString), seal: &[u8], covered: &[u8]) -> Result<(), Found> {
    problem_of(table, seal, covered).map_or(Ok(()), |problem| Err(bad(table, key.to_string(), problem)))
}
