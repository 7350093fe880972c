//! Copying what happened to a slot's accounts: the rows by which a repeat is
//! recognized and gets its answer. The target numbers the trades anew, as the
//! next ones of its own; what it has already, from an earlier stay of the slot, it
//! keeps, and brings up to date.

use super::MoveProgress;
use crate::{
    batch::posting::count,
    store::{
        moving::{History, PAGE},
        rows::{CashRow, ExecutionRow, SlotRow, TradeRow},
        seal::trade_seal_at,
        turn::{Turn, Turns},
    },
};
use anyhow::Context as _;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Rows that go over in one transaction. Each one sends the target's writer out for a moment.
const ROWS_AT_ONCE: usize = 5_000;
/// The target's writer has at least this much time for its own work between two of them...
const PAUSE_MIN: Duration = Duration::from_millis(750);
/// ...and as many times as long as the transaction took.
const PAUSE_TIMES: u32 = 3;
/// Facts of the whole shard told meanwhile that are few enough to be looked through while the slot stands still.
const FEW_FACTS: i64 = 10_000;
/// Most rounds of catching up: under a load that outruns the copying, the slot stands still for longer.
const ROUNDS_MAX: usize = 20;

/// What a move writes into the target's slot row at its beginning: whoever moves the same slot
/// later writes another number there, and the earlier move is refused from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    slot: u16,
    source: u16,
    number: i64,
}

impl Claim {
    /// Takes the claim on `slot`, which `source` has.
    pub(super) async fn take(target: &Turns, slot: u16, source: u16) -> anyhow::Result<Self> {
        let mut turn = begin(target).await?;
        let known = turn.slot(slot).await?;
        anyhow::ensure!(
            known.as_ref().is_none_or(|row| row.state == SlotRow::GONE),
            "shard {} has slot {slot} already: another move is under way",
            target.shard
        );
        let number = known.as_ref().map_or(1, |row| row.changed_at + 1);
        let (state, peer_shard) = (SlotRow::GONE, source.into());
        // To the target's writer this reads: shard `source` has the slot, since long.
        let came_from = known.map_or(peer_shard, |row| row.came_from);
        let row = SlotRow { slot: slot.into(), state, peer_shard, came_from, changed_at: number };
        turn.put_slot(&row).await?;
        turn.end().await?;
        Ok(Self { slot, source, number })
    }

    /// Refuses to go on when another move has claimed the slot since.
    pub(super) async fn check(&self, turn: &mut Turn) -> anyhow::Result<()> {
        let row = turn.slot(self.slot).await?;
        let is_own = row.is_some_and(|row| {
            row.state == SlotRow::GONE && row.peer_shard == i64::from(self.source) && row.changed_at == self.number
        });
        anyhow::ensure!(is_own, "another move of slot {} has begun; this one ends here", self.slot);
        Ok(())
    }
}

/// Whether the target's users are to be spared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// The slot is served meanwhile: there is time.
    Patient,
    /// The slot stands still.
    Hurried,
}

/// Begins a turn at a shard that must have been served before.
pub(super) async fn begin(turns: &Turns) -> anyhow::Result<Turn> {
    let turn = turns.take().await.with_context(|| format!("writing to shard {}", turns.shard))?;
    turn.with_context(|| format!("shard {} was never served: start a ledger with it first", turns.shard))
}

/// Copies from one shard to another.
#[derive(Debug)]
pub(super) struct Copying<'a, P> {
    pub(super) source: &'a Turns,
    pub(super) target: &'a Turns,
    pub(super) claim: Claim,
    pub(super) haste: Haste,
    pub(super) progress: &'a mut P,
    /// Rows looked at.
    pub(super) seen: u64,
    /// Rows that the target did not have, or not as they are.
    pub(super) written: u64,
}

impl<P: FnMut(MoveProgress) + Send> Copying<'_, P> {
    /// Copies everything about `accounts`.
    pub(super) async fn all(&mut self, accounts: &BTreeSet<String>) -> anyhow::Result<()> {
        let mut waiting = History::default();
        for account_id in accounts {
            let mut after = 0;
            loop {
                let trades = self.source.trades_of(account_id, after).await?;
                let Some(last) = trades.last() else { break };
                after = last.sequence;
                let is_over = count(trades.len()) < PAGE;
                waiting.trades.extend(trades);
                if waiting.trades.len() >= ROWS_AT_ONCE {
                    self.write(std::mem::take(&mut waiting)).await?;
                }
                if is_over {
                    break;
                }
            }
        }
        let accounts: Vec<String> = accounts.iter().cloned().collect();
        let mut after = Uuid::nil();
        loop {
            let cash = self.source.cash_of(&accounts, after).await?;
            let Some(last) = cash.last() else { break };
            after = last.trade_id;
            waiting.cash.extend(cash);
            if waiting.trades.len() + waiting.cash.len() >= ROWS_AT_ONCE {
                self.write(std::mem::take(&mut waiting)).await?;
            }
        }
        self.write(waiting).await
    }

    /// Copies what the source has told of the slot since `told`, again and again until little is left.
    /// Returns what is copied, and adds accounts that are new.
    pub(super) async fn catch_up(&mut self, mut told: i64, accounts: &mut BTreeSet<String>) -> anyhow::Result<i64> {
        for _ in 0..ROUNDS_MAX {
            let before = told;
            told = self.changes(told, accounts).await?;
            if told - before < FEW_FACTS {
                break;
            }
        }
        Ok(told)
    }

    /// Copies what the source has told of the slot since `told`.
    pub(super) async fn changes(&mut self, mut told: i64, accounts: &mut BTreeSet<String>) -> anyhow::Result<i64> {
        let newest = self.source.shard_row().await?.map_or(0, |shard| shard.fact_sequence);
        while told < newest {
            let (changed, reached) = self.source.changed(self.claim.slot, (told, newest)).await?;
            told = reached;
            let ids: Vec<Uuid> = changed.iter().map(|(id, _)| *id).collect();
            accounts.extend(changed.into_iter().map(|(_, account_id)| account_id));
            for some in ids.chunks(ROWS_AT_ONCE) {
                let history = self.source.history(some).await?;
                self.write(history).await?;
            }
        }
        Ok(told)
    }

    /// Writes what the target does not have, or not as it is.
    async fn write(&mut self, mut history: History) -> anyhow::Result<()> {
        let ids: Vec<Uuid> = history.trades.iter().map(|row| row.trade_id).collect();
        let ids: Vec<Uuid> = ids.into_iter().chain(history.cash.iter().map(|row| row.trade_id)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        // Read after the trades: a fill that came in between is copied with it, and its trade once more later.
        history.executions = self.source.executions_of(&ids).await?;
        self.seen += total(&history);
        let (new, changed, old_seals) = missing(history, self.target.history(&ids).await?);
        let rows = total(&new) + u64::try_from(changed.len()).unwrap_or_default();
        if rows > 0 {
            let started = Instant::now();
            self.put(new, &changed, &old_seals).await?;
            self.written += rows;
            if self.haste == Haste::Patient {
                tokio::time::sleep(PAUSE_MIN.max(started.elapsed() * PAUSE_TIMES)).await;
            }
        }
        (self.progress)(MoveProgress::Copied { rows: self.seen });
        Ok(())
    }

    async fn put(&mut self, mut new: History, changed: &[TradeRow], old_seals: &[Vec<u8>]) -> anyhow::Result<()> {
        let mut turn = begin(self.target).await?;
        self.claim.check(&mut turn).await?;
        for row in &mut new.trades {
            turn.shard.trade_sequence += 1;
            row.sequence = turn.shard.trade_sequence;
        }
        // The shard has not changed before its trades have: verification relies on it.
        let newest = new.trades.iter().chain(changed).map(|row| row.updated_at).max();
        turn.shard.posted_at = turn.shard.posted_at.max(newest.unwrap_or_default());
        turn.reseal(|seals| {
            old_seals.iter().for_each(|seal| seals.trade(seal));
            new.trades.iter().chain(changed).for_each(|row| seals.trade(&row.seal));
            new.executions.iter().for_each(|row| seals.history(&row.seal));
            new.cash.iter().for_each(|row| seals.history(&row.seal));
        });
        turn.insert(&new.trades).await?;
        turn.update_trades(changed).await?;
        turn.insert(&new.executions).await?;
        turn.insert(&new.cash).await?;
        turn.end().await.context("copying rows")
    }
}

fn total(history: &History) -> u64 {
    let rows = history.trades.len() + history.executions.len() + history.cash.len();
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// What of `history` is not in `known`, as the target is to have it; and the trades that have gone on, with the seals
/// that they have there. A row keeps its seal: nobody can hide a change by moving it.
fn missing(history: History, known: History) -> (History, Vec<TradeRow>, Vec<Vec<u8>>) {
    let trades: HashMap<Uuid, TradeRow> = known.trades.into_iter().map(|row| (row.trade_id, row)).collect();
    let executions: HashSet<String> = known.executions.into_iter().map(|row| row.execution_id).collect();
    let cash: HashSet<Uuid> = known.cash.into_iter().map(|row| row.trade_id).collect();
    let (mut new, mut changed, mut old_seals) = (History::default(), Vec::new(), Vec::new());
    for row in history.trades {
        match trades.get(&row.trade_id) {
            // The target has told nothing of it.
            None => new.trades.push(TradeRow { seal: trade_seal_at(&row, 0), fact_sequence: 0, ..row }),
            Some(known) => {
                let seal = trade_seal_at(&row, known.fact_sequence);
                let row = TradeRow { sequence: known.sequence, fact_sequence: known.fact_sequence, seal, ..row };
                if row != *known {
                    old_seals.push(known.seal.clone());
                    changed.push(row);
                }
            }
        }
    }
    let is_new = |row: &ExecutionRow| !executions.contains(&row.execution_id);
    // Posted by the source, not by the target.
    let foreign = |row| ExecutionRow { posting_sequence: None, ..row };
    new.executions = history.executions.into_iter().filter(is_new).map(foreign).collect();
    let is_new = |row: &CashRow| !cash.contains(&row.trade_id);
    let foreign = |row| CashRow { posting_sequence: None, fact_sequence: 0, ..row };
    new.cash = history.cash.into_iter().filter(is_new).map(foreign).collect();
    (new, changed, old_seals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(number: u128, status: i32, sequence: i64) -> TradeRow {
        TradeRow { trade_id: Uuid::from_u128(number), status, sequence, fact_sequence: sequence, ..TradeRow::default() }
    }

    #[test]
    fn only_what_differs_goes_over() {
        let execution = |id: &str, posting_sequence| ExecutionRow {
            execution_id: id.to_owned(),
            posting_sequence,
            ..ExecutionRow::default()
        };
        let history = History {
            trades: vec![trade(1, 2, 10), trade(2, 2, 11), trade(3, 2, 12)],
            executions: vec![execution("a", Some(1)), execution("b", Some(2))],
            cash: vec![CashRow { posting_sequence: Some(3), fact_sequence: 4, ..CashRow::default() }],
        };
        let known = History {
            trades: vec![trade(1, 2, 100), trade(2, 1, 101)],
            executions: vec![execution("a", None)],
            cash: Vec::new(),
        };
        let (new, changed, old_seals) = missing(history, known);
        assert_eq!(old_seals, [Vec::<u8>::new()]);
        assert_eq!(new.trades, [TradeRow { fact_sequence: 0, ..trade(3, 2, 12) }]);
        assert_eq!(changed, [trade(2, 2, 101)], "it keeps its place among the target's trades");
        assert_eq!(new.executions, [execution("b", None)]);
        assert_eq!(new.cash, [CashRow::default()]);
    }
}
