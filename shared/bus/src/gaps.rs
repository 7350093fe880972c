//! Whether the bus still has what it has taken. A damaged file makes messages
//! vanish out of the middle of a stream; its counters do not tell, reading does.

use crate::{
    connection::{Bus, BusError},
    publish::LAST_STORED_AT,
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
use tragen_host::clock::now_micros;

/// Messages read at once, and how long the server may take for them.
const MESSAGES: usize = 512;
const READ_WITHIN: Duration = Duration::from_secs(5);

/// What of a subject is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The newest so many messages of the stream, those of other subjects counted too.
    pub messages_max: u64,
    /// Only messages that came later than this, microseconds since the epoch, and what stood before them if that came
    /// later too.
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
    /// one was before it. Of the newest one nobody says anything. What is missing and was stored earlier than the look
    /// goes back, or than the stream keeps anything, is none: it has become too old. Without
    /// [`last_on_subject_micros`](crate::PublishOptions) nobody knows, and it is one.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read.
    pub async fn missing_on(&self, stream: Stream, subject: &Subject, look: Look) -> Result<Option<u64>, BusError> {
        let action = || format!("looking for gaps in {subject}");
        let handle = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        let state = handle.cached_info().state.clone();
        let since_micros = kept_since(look.since_micros, handle.cached_info().config.max_age, now_micros());
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
                let stored_at = message.headers.as_ref().and_then(|all| all.get(LAST_STORED_AT));
                let stored_at = stored_at.and_then(|at| at.as_str().parse::<i64>().ok());
                let is_old = info.published.unix_timestamp_nanos() / 1_000 < i128::from(look.since_micros);
                let is_known = named == 0 || before == Some(named);
                before = Some(place);
                if is_known || is_old || !is_missed(stored_at, since_micros) {
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

/// Since when a stream that keeps messages for `age` (for ever if zero) surely has what a look back to `since` is about.
fn kept_since(since: i64, age: Duration, now: i64) -> i64 {
    if age.is_zero() {
        return since;
    }
    since.max(now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
}

/// Whether a message that was stored at that time, if anybody knows, must still be there.
fn is_missed(stored_at: Option<i64>, since: i64) -> bool {
    stored_at.is_none_or(|stored_at| stored_at >= since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_become_too_old_is_not_lost() {
        let (hour, now) = (3_600_000_000, 1_700_000_000_000_000);
        let (day, week) = (24 * hour, 7 * 24 * hour);
        let age = Duration::from_secs(7 * 24 * 3_600);
        let is_missed_after =
            |stored_ago: i64, back: i64, age| is_missed(Some(now - stored_ago), kept_since(now - back, age, now));
        assert!(is_missed_after(hour, day, age) && is_missed_after(day, day, age));
        assert!(!is_missed_after(day + 1, day, age), "older than is looked back: it could not be told again");
        assert!(is_missed_after(week, 2 * week, age), "the stream still keeps it");
        assert!(!is_missed_after(week + 1, 2 * week, age), "the stream keeps nothing for so long");
        assert!(is_missed_after(week + 1, 2 * week, Duration::ZERO), "it keeps everything");
        assert!(is_missed(None, now), "nobody says how old it was");
    }
}
