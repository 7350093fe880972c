//! The guard's memory on the bus. An append names the sequence it follows, so
//! only a guard that has seen everything can write: a deposed one is fenced.

use crate::metrics;
use ::metrics::histogram;
use std::time::{Duration, Instant};
use tragen_bus::{Bus, PublishError, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::time::Timestamp;

#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) bus: Bus,
    pub(crate) leader_id: String,
    /// The newest message this guard knows of.
    pub(crate) last: u64,
    pub(crate) patience: Duration,
}

impl Journal {
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
        let batch =
            v1::JournalBatch { leader_id: self.leader_id.clone(), decided_at_micros: decided_at.micros(), records };
        let options = PublishOptions {
            message_id: uuid::Uuid::now_v7().to_string().into(),
            expected_last_sequence: Some(self.last),
            ..PublishOptions::default()
        };
        self.last = self.bus.publish(&Subject::Journal, &batch, &options, self.patience).await?;
        histogram!(metrics::JOURNAL_SECONDS).record(started.elapsed().as_secs_f64());
        Ok(self.last)
    }
}
