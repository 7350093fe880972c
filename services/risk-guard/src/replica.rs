//! The state as the journal, the executions and the ledger tell it, message by message:
//! for a start, for a standby, and for whoever replays the journal elsewhere. Nothing is
//! decided again.

use crate::{
    VENUE,
    bookings::Untold,
    hash::{StateHash, digest},
    outcome,
    reports::{Kept, LastReports},
    wire::{Key, Ticket, closed_record, executed_record, fact_records, journal_record, told_record},
};
use anyhow::Context as _;
use std::collections::{BTreeMap, HashMap};
use tracing::error;
use tragen_bus::Subject;
use tragen_contracts::v1;
use tragen_domain::{
    id::{ExecutionId, OrderId},
    money::Quantity,
    risk::{Limits, Record, State},
    time::Timestamp,
};

/// The last message of each stream that is in the state; 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) journal: u64,
    pub(crate) executions: u64,
    pub(crate) ledger: u64,
}

/// Replaying the journal comes to another state than the guard had that wrote it: a bug of
/// ours, or a journal that was changed. Nothing may be decided on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal says that the state after message {sequence} is another one; replayed it is {computed}")]
pub struct StateDiffers {
    /// The journal message with the hash.
    pub sequence: u64,
    /// The hash of the replayed state.
    pub computed: StateHash,
}

/// What a term starts with.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) state: State,
    /// Of orders whose end the journal does not have.
    pub(crate) tickets: HashMap<OrderId, Ticket>,
    pub(crate) last_reports: LastReports,
    /// Journaled bookings that may not be on EXECUTIONS, by their id: oldest first.
    pub(crate) untold: BTreeMap<String, Untold>,
    /// Those that are there after all, to be journaled as told.
    told: BTreeMap<String, v1::JournalRecord>,
    pub(crate) place: Place,
    /// Journal records that were read.
    pub(crate) records: u64,
    /// Hashes in the journal that were the same.
    pub(crate) hashes: u64,
}

impl Replica {
    pub(crate) fn new(limits: Limits, stored_reports_max: usize) -> Self {
        Self {
            state: State::new(limits),
            tickets: HashMap::new(),
            last_reports: LastReports::new(stored_reports_max),
            untold: BTreeMap::new(),
            told: BTreeMap::new(),
            place: Place::default(),
            records: 0,
            hashes: 0,
        }
    }

    /// Takes one message of the journal.
    ///
    /// # Errors
    /// [`StateDiffers`], or what cannot be read: the guard wrote it itself, so it must not guess.
    pub(crate) fn take_journal(&mut self, sequence: u64, batch: &v1::JournalBatch) -> anyhow::Result<()> {
        let decided_at = Timestamp::from_micros(batch.decided_at_micros);
        for record in &batch.records {
            self.records += 1;
            if let Some(v1::journal_record::Kind::StateHashed(hashed)) = &record.kind {
                self.compare(sequence, hashed)?;
            }
            self.take_journaled(record, decided_at)
                .with_context(|| format!("reading message {sequence} of the journal"))?;
        }
        self.place.journal = sequence;
        Ok(())
    }

    fn compare(&mut self, sequence: u64, hashed: &v1::StateHashed) -> Result<(), StateDiffers> {
        self.state.seal(digest);
        let computed = StateHash::of(&self.state);
        match computed.agrees(hashed) {
            Some(true) => self.hashes += 1,
            Some(false) => return Err(StateDiffers { sequence, computed }),
            // Of another version of this program: it checked it then.
            None => {}
        }
        Ok(())
    }

    fn take_journaled(&mut self, record: &v1::JournalRecord, decided_at: Timestamp) -> anyhow::Result<()> {
        use v1::journal_record::Kind;
        let Some(parsed) = journal_record(record, decided_at)? else { return Ok(()) };
        let (meta, key) = (record.meta.as_ref(), record.key.as_ref());
        match (&record.kind, key) {
            (Some(Kind::Approved(approved)), Some(key)) => {
                let ticket = Ticket::new(meta, key, approved).context("an approval without terms")?;
                self.tickets.insert(OrderId::new(&ticket.terms.order_id)?, ticket);
            }
            (Some(Kind::Refused(refused)), Some(key)) => {
                let report = refused.report.clone().unwrap_or_default();
                self.keep(key, outcome::refused(meta, key, report))?;
            }
            (Some(Kind::Withdrawal(decided)), Some(key)) => {
                let report = decided.report.clone().unwrap_or_default();
                self.keep(key, outcome::withdrawal(meta, key, report))?;
            }
            (Some(Kind::Closed(closed)), _) => {
                self.tickets.remove(closed.order_id.as_str());
                self.untold.remove(&closed.order_id);
                self.told.remove(&closed.order_id);
            }
            (Some(Kind::Booking(decided)), Some(sent)) => {
                let report = outcome::booking(meta, key, decided.booking.clone().unwrap_or_default());
                let Record::Booked { settled } = &parsed else {
                    anyhow::bail!("a journaled booking changes something else")
                };
                self.untold.insert(sent.trade_id.clone(), Untold { settled: settled.clone(), report });
            }
            (Some(_), _) | (None, _) => {}
        }
        Ok(self.state.apply(parsed)?)
    }

    fn keep(&mut self, key: &v1::TradeKey, report: v1::ExecutionReport) -> anyhow::Result<()> {
        self.last_reports.keep(Key::parse(Some(key))?.trade, Kept::without_order(report));
        Ok(())
    }

    /// Takes one message of EXECUTIONS.
    ///
    /// # Errors
    /// What cannot be read of the guard's own reports.
    pub(crate) fn take_executions(
        &mut self,
        sequence: u64,
        subject: &str,
        batch: v1::ExecutionBatch,
    ) -> anyhow::Result<()> {
        self.place.executions = sequence;
        // What the shards of the ledger tell each other is no report of the guard.
        if subject != Subject::Executions(VENUE).to_string() {
            return Ok(());
        }
        for report in batch.reports {
            if let (Some(v1::execution_report::Kind::Booking(_)), Some(key)) = (&report.kind, &report.key) {
                let untold = self.untold.remove(&key.trade_id);
                self.told.extend(untold.map(|untold| (key.trade_id.clone(), told_record(&untold.report))));
            }
            let Some(record) = executed_record(&report).context("reading the executions")? else { continue };
            let Record::Executed(mut executed) = record else { continue };
            let open = self.state.order(&executed.order);
            let kept = if open.is_none() { self.last_reports.get(&executed.trade) } else { None };
            if executed.status.is_final() {
                let mut executions: Vec<ExecutionId> = open.map(|open| open.executions.clone()).unwrap_or_default();
                let mut filled = open.map_or(Quantity::ZERO, |open| open.filled);
                if let Some(kept) = &kept {
                    (executions, filled) = (kept.executions.clone(), kept.filled);
                }
                for fill in &executed.fills {
                    if !executions.contains(&fill.id) {
                        executions.push(fill.id.clone());
                        filled = filled.plus(fill.quantity)?;
                    }
                }
                let kept = Kept { report, executions, filled };
                self.last_reports.keep(executed.trade.clone(), kept);
            } else if let Some(ticket) = self.tickets.get_mut(&executed.order) {
                ticket.is_working_reported = true;
            }
            // A message that the bus stored twice: of a trade that has ended, and may be posted, nothing is filled again.
            executed.fills.retain(|fill| kept.as_ref().is_none_or(|kept| !kept.executions.contains(&fill.id)));
            self.state.apply(Record::Executed(executed))?;
        }
        Ok(())
    }

    /// Takes one message of LEDGER.
    ///
    /// # Errors
    /// Records that contradict each other.
    pub(crate) fn take_facts(&mut self, sequence: u64, batch: &v1::LedgerFactBatch) -> anyhow::Result<()> {
        self.place.ledger = sequence;
        batch.facts.iter().try_for_each(|fact| self.take_fact(fact))
    }

    pub(crate) fn take_fact(&mut self, fact: &v1::LedgerFact) -> anyhow::Result<()> {
        match fact_records(fact) {
            Ok(records) => records.into_iter().try_for_each(|record| Ok(self.state.apply(record)?)),
            // Not taken: holds stay where they are, which only denies too much.
            Err(malformed) => {
                error!("fact {} of the ledger: {malformed}", fact.sequence);
                Ok(())
            }
        }
    }

    /// What the journal has still to learn: orders and bookings whose end is on EXECUTIONS.
    pub(crate) fn unclosed(&self) -> Vec<v1::JournalRecord> {
        let ended = self.state.ended().filter_map(|(open, status)| {
            let ticket = self.tickets.get(&open.order.terms.id)?;
            Some(closed_record(ticket, *status, open.filled.micros()))
        });
        ended.chain(self.told.values().cloned()).collect()
    }
}
