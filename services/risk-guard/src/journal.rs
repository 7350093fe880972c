//! The guard's memory on the bus. An append names the sequence it follows, so
//! only a guard that has seen everything can write: a deposed one is fenced.

use crate::{metrics, wire::house_losses};
use ::metrics::histogram;
use std::time::{Duration, Instant};
use tragen_bus::{Bus, PublishError, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::{risk::Measured, time::Timestamp};
use tragen_host::failpoint;

#[derive(Debug)]
pub(crate) struct Journal {
    bus: Bus,
    pub(crate) leader_id: String,
    /// The newest message this guard knows of.
    pub(crate) last: u64,
    patience: Duration,
    /// When the stream was made, microseconds since the epoch.
    pub(crate) created_micros: i64,
    /// Records of this term.
    pub(crate) records: u64,
    /// Records since the state was hashed.
    pub(crate) unhashed: u64,
    /// What the records that come are decided on.
    pub(crate) decided_on: DecidedOn,
}

/// What the journal itself cannot tell of what was decided on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DecidedOn {
    /// The last message on LEDGER that is in the state.
    pub(crate) ledger_sequence: u64,
    /// The newest measurement of the house.
    pub(crate) measured: Option<Measured>,
}

impl Journal {
    /// Goes on after the message `last` of the stream made at `created_micros`.
    pub(crate) fn new(bus: &Bus, leader_id: &str, patience: Duration, (last, created_micros): (u64, i64)) -> Self {
        let (bus, leader_id) = (bus.clone(), leader_id.to_owned());
        Self {
            bus,
            leader_id,
            last,
            patience,
            created_micros,
            records: 0,
            unhashed: 0,
            decided_on: DecidedOn::default(),
        }
    }

    /// Stores `records` as one message; returns its sequence.
    ///
    /// # Errors
    /// [`PublishError`]: another guard has written, or it is unknown whether this
    /// was stored. Either way this guard's memory is of no use any more.
    pub(crate) async fn append(
        &mut self,
        records: Vec<v1::JournalRecord>,
        decided_at: Timestamp,
    ) -> Result<u64, PublishError> {
        let started = Instant::now();
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let last = records.last().and_then(|record| record.kind.as_ref());
        let is_hashed = matches!(last, Some(v1::journal_record::Kind::StateHashed(_)));
        let batch = v1::JournalBatch {
            leader_id: self.leader_id.clone(),
            decided_at_micros: decided_at.micros(),
            records,
            ledger_sequence: self.decided_on.ledger_sequence,
            house_losses: self.decided_on.measured.as_ref().map(house_losses),
        };
        let options = PublishOptions {
            message_id: uuid::Uuid::now_v7().to_string().into(),
            expected_last_sequence: Some(self.last),
            ..PublishOptions::default()
        };
        failpoint::pass("before_journal");
        self.last = self.bus.publish(&Subject::Journal, &batch, &options, self.patience).await?;
        histogram!(metrics::JOURNAL_SECONDS).record(started.elapsed().as_secs_f64());
        self.records += count;
        self.unhashed = if is_hashed { 0 } else { self.unhashed + count };
        Ok(self.last)
    }
}
