//! Whether the bus still has what it has taken. A damaged file makes messages
//! vanish out of the middle of a stream; its counters do not tell, reading does.

use crate::{
    connection::{Bus, BusError},
    subject::Subject,
    topology::Stream,
};
use async_nats::{
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{
        consumer::{AckPolicy, DeliverPolicy, pull},
        stream::RawMessageErrorKind,
    },
};
use futures::StreamExt as _;
use std::time::Duration;

/// Messages read at once, and how long the server may take for them.
const MESSAGES: usize = 512;
const READ_WITHIN: Duration = Duration::from_secs(5);

/// What of a subject is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The newest so many messages of the stream, those of other subjects counted too.
    pub messages_max: u64,
    /// Only messages that came later than this, microseconds since the epoch.
    pub since_micros: i64,
}

impl Bus {
    /// Which run of the server we are connected to; empty before the first connection.
    #[must_use]
    pub fn server_run(&self) -> String {
        self.client.server_info().server_id
    }

    /// The place of a message on `subject` that its stream should have and has not. Every message there must have
    /// been published with [`expected_last_subject_sequence`](crate::PublishOptions): so each of them says which
    /// one was before it. Of the newest one nobody says anything.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read.
    pub async fn missing_on(&self, stream: Stream, subject: &Subject, look: Look) -> Result<Option<u64>, BusError> {
        let action = || format!("looking for gaps in {subject}");
        let handle = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        let state = handle.cached_info().state.clone();
        let first = state.first_sequence.max(state.last_sequence.saturating_sub(look.messages_max)).max(1);
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first },
            ack_policy: AckPolicy::None,
            filter_subject: subject.to_string(),
            // The server reads and checks whole messages all the same.
            headers_only: true,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: READ_WITHIN * 6,
            ..pull::Config::default()
        };
        let consumer = handle.create_consumer(config).await.map_err(|e| BusError::api(action(), e))?;
        let mut left = consumer.cached_info().num_pending;
        let mut before = None;
        while left > 0 {
            let batch = consumer.fetch().max_messages(MESSAGES).expires(READ_WITHIN).messages().await;
            let mut batch = batch.map_err(|e| BusError::api(action(), e))?;
            let mut read = 0;
            while let Some(message) = batch.next().await {
                let message = message.map_err(|e| BusError::api(action(), e))?;
                let info = message.info().map_err(|e| BusError::api(action(), e))?;
                let place = info.stream_sequence;
                (left, read) = (info.pending, read + 1);
                let said = message.headers.as_ref().and_then(|all| all.get(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE));
                let named = said.and_then(|said| said.as_str().parse::<u64>().ok()).unwrap_or_default();
                let is_old = info.published.unix_timestamp_nanos() / 1_000 < i128::from(look.since_micros);
                let is_known = named == 0 || before == Some(named);
                before = Some(place);
                if is_known || is_old {
                    continue;
                }
                // It may also be older than what was read.
                match handle.get_raw_message(named).await {
                    Ok(_) => {}
                    Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(Some(named)),
                    Err(error) => return Err(BusError::api(action(), error)),
                }
            }
            if read == 0 {
                // Counted, but the server has nothing to give: the newest ones cannot be read.
                return Ok(Some(state.last_sequence));
            }
        }
        Ok(None)
    }

    /// Takes all messages on `subject` out of `stream`; what comes later is not touched.
    ///
    /// # Errors
    /// [`BusError::Api`] when the server does not do it.
    pub async fn clear(&self, stream: Stream, subject: &Subject) -> Result<(), BusError> {
        let action = || format!("clearing {subject}");
        let handle = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        handle.purge().filter(subject.to_string()).await.map(drop).map_err(|e| BusError::api(action(), e))
    }
}
