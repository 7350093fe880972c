//! What is done now and then: the state is checked, hashed into the journal, and kept in a
//! file, so that a start need not read everything.

use super::{Ended, Gate, PRINCIPAL};
use crate::{
    alert,
    config::now,
    hash::{StateHash, digest},
    metrics,
    snapshot::Snapshot,
    wire::{Entries, gate_limits, journal_record},
};
use ::metrics::{counter, histogram};
use rustix::process::setpriority_process;
use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tracing::{debug, error, warn};
use tragen_bus::Severity;
use tragen_contracts::v1;
use tragen_domain::risk::{Scope, TradingState, check_listed, check_touched, tighten};

/// How often it is checked that orders are where they are listed.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Most changed accounts that are checked at one tick: at ten ticks a second 10,000 of them.
const TOUCHED_AT_ONCE: usize = 1_024;

/// A tenth of the weight of the others, if they are all busy.
const NICE: i32 = 10;

/// When it was done last.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    checked_at: Instant,
    hashed_at: Instant,
    /// Resolves when the snapshot before is written; or it could not be.
    writing: Option<oneshot::Receiver<()>>,
}

/// Writes in a thread of its own that gets a processor after those that decide: a snapshot takes half a second of it, and
/// nobody waits for one.
async fn on_the_side(write: impl FnOnce() -> io::Result<PathBuf> + Send + 'static) -> io::Result<PathBuf> {
    let (done, written) = oneshot::channel();
    thread::Builder::new().name("snapshot".to_owned()).spawn(move || {
        // Of this thread only. Without it snapshots are written as well.
        if let Err(error) = setpriority_process(None, NICE) {
            debug!("snapshots are not written at a lower priority: {error}");
        }
        let _ = done.send(write());
    })?;
    written.await.map_err(io::Error::other)?
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { checked_at: Instant::now(), hashed_at: Instant::now(), writing: None }
    }
}

impl Gate {
    /// The first message of a term: it fences whoever led before, and tells what the state is.
    ///
    /// # Errors
    /// [`Ended`] when somebody else has written.
    pub(crate) async fn begin_term(&mut self) -> Result<(), Ended> {
        let known_trades_max = self.config.limits.known_trades_max;
        let began = v1::TermBegan {
            leader_id: self.journal.leader_id.clone(),
            known_trades_max: u64::try_from(known_trades_max).unwrap_or(u64::MAX),
            limits: Some(gate_limits(self.state.limits())),
        };
        let began = self.unkeyed("term", v1::journal_record::Kind::TermBegan(began));
        self.journaled(std::slice::from_ref(&began))?;
        let hashed = self.hash(0);
        self.journal.append(vec![began, hashed], now()).await?;
        Ok(())
    }

    /// Applies what was journaled without having changed the state before.
    pub(super) fn journaled(&mut self, records: &[v1::JournalRecord]) -> Result<(), Ended> {
        for record in records {
            match journal_record(record, now()) {
                Ok(Some(record)) => self.apply(record)?,
                Ok(None) => {}
                Err(malformed) => error!("the guard has journaled what it cannot read: {malformed}"),
            }
        }
        Ok(())
    }

    /// Does now what the next hash would need: a little at each tick instead of all of it while decisions wait.
    pub(super) fn prepare_checkpoint(&mut self) {
        self.state.seal(digest);
    }

    /// Checks what has changed since it was last checked; a state that contradicts itself stops everything.
    ///
    /// # Errors
    /// [`Ended`] when the halt could not be journaled.
    pub(super) async fn check_state(&mut self) -> Result<(), Ended> {
        let is_listing_due = self.checkpoints.checked_at.elapsed() >= CHECK_EVERY;
        // Some at each tick: all of a second's accounts at once would keep decisions waiting.
        let mut checked = check_touched(&mut self.state, TOUCHED_AT_ONCE);
        if is_listing_due {
            self.checkpoints.checked_at = Instant::now();
            checked = checked.and_then(|()| check_listed(&self.state));
        }
        let Err(broken) = checked else { return Ok(()) };
        error!("broken invariant: {broken}");
        counter!(metrics::BROKEN_INVARIANTS).increment(1);
        let (bus, message) = (self.bus.clone(), format!("broken invariant: {broken}"));
        let reason = message.clone();
        self.context.spawn("alert", async move {
            alert::raise(&bus, (Severity::Critical, alert::code::INVARIANT_BROKEN), "state", message).await;
            Ok(())
        });
        if self.state.state_of(&Scope::Global) != TradingState::Halted {
            let halt = tighten(&self.state, Scope::Global, TradingState::Halted, PRINCIPAL, &reason, now());
            self.change_state(halt).await?;
            self.tell_control();
        }
        Ok(())
    }

    /// Journals the hash of the state and writes a snapshot, when it is time; with what is closed until then, so
    /// that decisions wait for one message.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written.
    pub(super) async fn checkpoint(&mut self) -> Result<(), Ended> {
        // What is on its way to EXECUTIONS is in the state already: a guard that starts from here would
        // neither find it there nor tell it.
        if !self.is_checkpoint_due(1) || !self.work.storing.is_empty() || self.is_writing() {
            return Ok(());
        }
        let started = Instant::now();
        let mut records = std::mem::take(&mut self.work.closed);
        self.forget_closed(&records)?;
        let hashed = self.hash(records.len());
        let Some(v1::journal_record::Kind::StateHashed(hash)) = hashed.kind.clone() else { return Ok(()) };
        records.push(hashed);
        let sequence = self.journal.append(records, now()).await?;
        let snapshot = self.snapshot(sequence, hash);
        histogram!(metrics::CHECKPOINT_SECONDS).record(started.elapsed().as_secs_f64());
        let (folder, (written, writing)) = (self.config.snapshot_folder.clone(), oneshot::channel());
        self.checkpoints.writing = Some(writing);
        self.context.spawn("snapshot", async move {
            match on_the_side(move || snapshot.write(&folder)).await {
                Ok(path) => debug!("wrote {}", path.display()),
                Err(error) => warn!("writing a snapshot: {error}; the next start reads more of the journal"),
            }
            let _ = written.send(());
            Ok(())
        });
        Ok(())
    }

    /// Whether the interval between two checkpoints is over, `times` times.
    pub(super) fn is_checkpoint_due(&self, times: u32) -> bool {
        let since = self.checkpoints.hashed_at.elapsed();
        self.journal.unhashed >= self.config.snapshot_records.saturating_mul(times.into())
            || (self.journal.unhashed > 0 && since >= Duration::from_millis(self.config.snapshot_ms) * times)
    }

    fn is_writing(&mut self) -> bool {
        let Some(writing) = &mut self.checkpoints.writing else { return false };
        let is_writing = matches!(writing.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        if !is_writing {
            self.checkpoints.writing = None;
        }
        is_writing
    }

    /// Of the state after everything in the journal and `closed` records that come before it in its message.
    fn hash(&mut self, closed: usize) -> v1::JournalRecord {
        self.checkpoints.hashed_at = Instant::now();
        self.state.seal(digest);
        let hash =
            StateHash::of(&self.state).journaled(self.journal.records + u64::try_from(closed).unwrap_or_default());
        self.unkeyed("hash", v1::journal_record::Kind::StateHashed(hash))
    }

    pub(crate) fn unkeyed(&self, what: &str, kind: v1::journal_record::Kind) -> v1::JournalRecord {
        let meta = v1::Meta {
            event_id: format!("{what}-{}-{}", self.journal.leader_id, self.journal.last),
            occurred_at_micros: now().micros(),
            ..v1::Meta::default()
        };
        v1::JournalRecord { meta: Some(meta), key: None, kind: Some(kind) }
    }

    /// Everything large in it is shared, so that deciding waits for little.
    fn snapshot(&self, journal_sequence: u64, hash: v1::StateHashed) -> Snapshot {
        let stored = self.state.stored();
        let header = v1::SnapshotHeader {
            journal_sequence,
            journal_created_micros: self.journal.created_micros,
            executions_sequence: self.reports.stored(),
            ledger_sequence: self.ledger_sequence,
            hash: Some(hash),
            taken_at_micros: now().micros(),
            epoch: stored.epoch,
            known_trades_max: u64::try_from(stored.known_max).unwrap_or(u64::MAX),
            known_trades_forgotten: stored.known.taken(),
        };
        let tickets = stored.orders.iter().filter_map(|own| self.tickets.get_key_value(&own.order.terms.id));
        let entries = Entries {
            tickets: tickets.map(|(id, ticket)| (id.clone(), ticket.clone())).collect(),
            reports: self.last_reports.all(),
            untold: self.work.untold.iter().map(|untold| untold.report.clone()).collect(),
            stored,
        };
        Snapshot { header, entries }
    }
}
