//! The steps of a move, each one transaction of one shard.

use super::{
    MoveProgress, Side, SlotMoved,
    copying::{Claim, Copying, Haste, begin},
    payout::pay_out,
    posting::{Half, Moved, post, wallet_of},
};
use crate::store::{
    moving::Holdings,
    rows::{SlotRow, WalletRow},
    turn::Turn,
};
use anyhow::Context as _;
use std::{collections::BTreeSet, time::Instant};
use tragen_domain::ledger::MoveDirection;
use tragen_host::{clock::now_micros, failpoint};

/// A slot on its way out, as the shard says that it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaving {
    pub(super) from: u16,
    pub(super) to: u16,
    /// When it left, microseconds since the epoch; no other departure of the slot from this shard has the same.
    pub(super) at: i64,
}

/// One move between two shards.
pub(super) struct Handover<'a, P> {
    pub(super) slot: u16,
    pub(super) source: &'a Side,
    pub(super) target: &'a Side,
    pub(super) progress: &'a mut P,
}

/// What is known of the slot once its history is copied.
struct Copied {
    claim: Claim,
    accounts: BTreeSet<String>,
    rows: u64,
}

impl<P: FnMut(MoveProgress) + Send> Handover<'_, P> {
    /// The whole move.
    pub(super) async fn carry(&mut self) -> anyhow::Result<SlotMoved> {
        let (copied, told) = self.copy(Haste::Patient).await?;
        let started = Instant::now();
        let leaving = self.leave().await?;
        let moved = self.complete(leaving, copied, told).await?;
        Ok(SlotMoved { standstill: moved.1.duration_since(started), ..moved.0 })
    }

    /// The rest of a move that was cut short after the slot had left.
    pub(super) async fn finish(&mut self, leaving: Leaving) -> anyhow::Result<SlotMoved> {
        if self.has_arrived(leaving).await? {
            let accounts = self.source.turns.accounts(self.slot).await?;
            return self.settle(leaving, &accounts).await;
        }
        // How far it had come is not known: everything is compared. Nothing changes any more meanwhile.
        let (copied, told) = self.copy(Haste::Hurried).await?;
        Ok(self.complete(leaving, copied, told).await?.0)
    }

    /// Takes a slot back that left but has not arrived; false when it has.
    pub(super) async fn take_back(&mut self, leaving: Leaving) -> anyhow::Result<bool> {
        if self.has_arrived(leaving).await? {
            return Ok(false);
        }
        // After this the move that let it leave cannot let it arrive.
        Claim::take(&self.target.turns, self.slot, leaving.from).await?;
        let mut turn = begin(&self.source.turns).await?;
        let row = self.check_leaving(&mut turn, leaving).await?;
        // A slot that began here has never changed, as far as anybody else knows.
        let changed_at = if row.came_from < 0 { 0 } else { row.changed_at };
        let here = SlotRow { state: SlotRow::HERE, peer_shard: -1, changed_at, ..row };
        turn.put_slot(&here).await?;
        turn.end().await.context("taking the slot back")?;
        // What was settled while it was leaving was not paid to it.
        let accounts = self.source.turns.accounts(self.slot).await?;
        pay_out(self.source, &accounts).await?;
        Ok(true)
    }

    /// Copies the history; returns with it the newest fact of the source that is in it.
    async fn copy(&mut self, haste: Haste) -> anyhow::Result<(Copied, i64)> {
        let (source, target) = (&self.source.turns, &self.target.turns);
        let claim = Claim::take(target, self.slot, source.shard).await?;
        failpoint::pass("slot_claimed");
        (self.progress)(MoveProgress::Claimed);
        // Asked first: what is told from here on is copied by its fact.
        let told = source.shard_row().await?.map_or(0, |shard| shard.fact_sequence);
        let mut accounts = source.accounts(self.slot).await?;
        let mut copying = Copying { source, target, claim, haste, progress: &mut *self.progress, seen: 0, written: 0 };
        copying.all(&accounts).await?;
        let told = copying.catch_up(told, &mut accounts).await?;
        Ok((Copied { claim, accounts, rows: copying.written }, told))
    }

    /// From here on the source books nothing to the slot.
    async fn leave(&mut self) -> anyhow::Result<Leaving> {
        let (from, to) = (self.source.turns.shard, self.target.turns.shard);
        let mut turn = begin(&self.source.turns).await?;
        let row = turn.slot(self.slot).await?.filter(|row| row.state == SlotRow::HERE);
        let row =
            row.with_context(|| format!("slot {} has left shard {from} meanwhile; run the command again", self.slot))?;
        let at = now_micros().max(turn.shard.posted_at + 1).max(row.changed_at + 1);
        let leaving = SlotRow { state: SlotRow::LEAVING, peer_shard: to.into(), changed_at: at, ..row };
        turn.put_slot(&leaving).await?;
        turn.end().await.context("letting the slot leave")?;
        failpoint::pass("slot_left");
        (self.progress)(MoveProgress::Left);
        Ok(Leaving { from, to, at })
    }

    /// From the last changes to the end; says when the slot was served again.
    async fn complete(
        &mut self,
        leaving: Leaving,
        mut copied: Copied,
        told: i64,
    ) -> anyhow::Result<(SlotMoved, Instant)> {
        let mut copying = Copying {
            source: &self.source.turns,
            target: &self.target.turns,
            claim: copied.claim,
            haste: Haste::Hurried,
            progress: &mut *self.progress,
            seen: copied.rows,
            written: copied.rows,
        };
        copying.changes(told, &mut copied.accounts).await?;
        let rows = copying.written;
        self.arrive(leaving, &copied).await?;
        let arrived = Instant::now();
        let moved = self.settle(leaving, &copied.accounts).await?;
        Ok((SlotMoved { rows, ..moved }, arrived))
    }

    /// The target has the slot from here on.
    async fn arrive(&mut self, leaving: Leaving, copied: &Copied) -> anyhow::Result<()> {
        let holdings = self.source.turns.holdings(&copied.accounts).await?;
        let settlements = self.source.turns.settlements().await?;
        let mut turn = begin(&self.target.turns).await?;
        copied.claim.check(&mut turn).await?;
        let half = Half {
            slot: self.slot,
            own: leaving.to,
            peer: leaving.from,
            direction: MoveDirection::In,
            // Nothing here is older than what came along.
            at: now_micros().max(turn.shard.posted_at).max(leaving.at),
        };
        let moved = post(&holdings, &mut turn.shard, half)?;
        turn.shard.posted_at = half.at;
        write(&mut turn, &moved).await?;
        turn.insert(&holdings.wallets).await?;
        turn.insert(&holdings.positions).await?;
        turn.add_settlements(settlements).await?;
        let row = SlotRow {
            slot: self.slot.into(),
            state: SlotRow::HERE,
            peer_shard: -1,
            came_from: leaving.from.into(),
            // Names the departure that this is the arrival of.
            changed_at: leaving.at,
        };
        turn.put_slot(&row).await?;
        turn.end().await.context("letting the slot arrive")?;
        failpoint::pass("slot_arrived");
        (self.progress)(MoveProgress::Arrived);
        Ok(())
    }

    /// Pays what is due, and closes the source's books of the slot.
    async fn settle(&mut self, leaving: Leaving, accounts: &BTreeSet<String>) -> anyhow::Result<SlotMoved> {
        pay_out(self.target, accounts).await?;
        failpoint::pass("slot_paid");
        (self.progress)(MoveProgress::Paid);
        let moved = self.close(leaving).await?;
        (self.progress)(MoveProgress::Closed);
        Ok(moved)
    }

    /// The source's half; it must be what the target has booked.
    async fn close(&self, leaving: Leaving) -> anyhow::Result<SlotMoved> {
        // Looked for again, in all tables: nothing may stay behind.
        let accounts = self.source.turns.accounts(self.slot).await?;
        let holdings = self.source.turns.holdings(&accounts).await?;
        let arrived = self.target.turns.arrived(self.slot).await?;
        let arrived: Vec<WalletRow> = arrived.iter().map(wallet_of).collect();
        anyhow::ensure!(
            arrived == holdings.wallets,
            "slot {}: what shard {} has booked is not what shard {} holds; nothing is closed, call for help",
            self.slot,
            leaving.to,
            leaving.from
        );
        let mut turn = begin(&self.source.turns).await?;
        let row = self.check_leaving(&mut turn, leaving).await?;
        let half = Half {
            slot: self.slot,
            own: leaving.from,
            peer: leaving.to,
            direction: MoveDirection::Out,
            at: now_micros().max(turn.shard.posted_at),
        };
        let moved = post(&holdings, &mut turn.shard, half)?;
        write(&mut turn, &moved).await?;
        let removed = turn.remove_holdings(&accounts).await?;
        anyhow::ensure!(
            removed == (holdings.wallets.len(), holdings.positions.len()),
            "slot {} of shard {} has changed while it was leaving; nothing is closed",
            self.slot,
            leaving.from
        );
        let gone = SlotRow { state: SlotRow::GONE, changed_at: now_micros().max(leaving.at), ..row };
        turn.put_slot(&gone).await?;
        turn.end().await.context("closing the books of the slot")?;
        failpoint::pass("slot_closed");
        Ok(self.report(leaving, &accounts, &holdings))
    }

    fn report(&self, leaving: Leaving, accounts: &BTreeSet<String>, holdings: &Holdings) -> SlotMoved {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        SlotMoved {
            slot: self.slot,
            from: leaving.from,
            to: leaving.to,
            accounts: count(accounts.len()),
            wallets: count(holdings.wallets.len()),
            positions: count(holdings.positions.len()),
            ..SlotMoved::default()
        }
    }

    async fn has_arrived(&self, leaving: Leaving) -> anyhow::Result<bool> {
        let row = self.target.turns.slot(self.slot).await?;
        Ok(row.is_some_and(|row| {
            row.state != SlotRow::GONE && row.came_from == i64::from(leaving.from) && row.changed_at == leaving.at
        }))
    }

    /// The source's row of the slot, which must still say the same.
    async fn check_leaving(&self, turn: &mut Turn, leaving: Leaving) -> anyhow::Result<SlotRow> {
        let is_same = |row: &SlotRow| {
            row.state == SlotRow::LEAVING && row.peer_shard == i64::from(leaving.to) && row.changed_at == leaving.at
        };
        let row = turn.slot(self.slot).await?.filter(is_same);
        row.with_context(|| format!("another move of slot {} has gone on; run the command again", self.slot))
    }
}

async fn write(turn: &mut Turn, moved: &Moved) -> anyhow::Result<()> {
    turn.insert_moved(&moved.wallets, &moved.positions).await?;
    turn.insert(&moved.transfers).await?;
    turn.insert(moved.batch.as_slice()).await?;
    Ok(())
}
