//! Publishing: the ack is awaited, a failed attempt is repeated under the same
//! message id, and the caller learns in which of three ways it ended.

use crate::{connection::Bus, subject::Subject};
use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind, message::PublishMessage},
};
use metrics::{counter, histogram};
use prost::Message;
use std::{
    borrow::Cow,
    time::{Duration, Instant},
};
use tragen_host::retry::Backoff;

/// JetStream's code for "a bounded stream is full".
const STREAM_FULL: [u64; 3] = [10_077, 10_122, 10_047];

/// When the message before this one was stored on the subject, microseconds since the epoch.
pub(crate) const LAST_STORED_AT: &str = "Tragen-Last-Stored-At";

/// What a message is published with besides its payload.
#[derive(Debug, Clone, Default)]
pub struct PublishOptions {
    /// Repeats with the same id are dropped by the server; empty for none.
    pub message_id: Cow<'static, str>,
    /// W3C trace context; empty when unsampled.
    pub traceparent: String,
    /// The id of what caused it; empty for none.
    pub causation_id: String,
    /// When the caller stops waiting, microseconds since the epoch; 0 for none.
    pub deadline_micros: i64,
    /// The stream's last sequence must be this: fences a deposed writer.
    pub expected_last_sequence: Option<u64>,
    /// The sequence of the last message on the subject must be this, 0 for none: a writer notices
    /// that the stream lost what it wrote, or that another one has written.
    pub expected_last_subject_sequence: Option<u64>,
    /// When that message was stored, microseconds since the epoch; 0 when nobody knows. Who finds it missing later
    /// can tell what was lost from what has become too old.
    pub last_on_subject_micros: i64,
}

/// How a publish failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The lane is full; nothing was stored.
    #[error("{subject} is full")]
    Full {
        /// The subject.
        subject: String,
    },
    /// The stream does not end where it was expected to: another writer has written, or something was lost.
    #[error("{subject} does not end where it was expected to")]
    Fenced {
        /// The subject.
        subject: String,
    },
    /// No answer in time; it may or may not be stored.
    #[error("no acknowledgment for {subject} within {waited_ms} ms")]
    Unknown {
        /// The subject.
        subject: String,
        /// How long it was tried.
        waited_ms: u128,
    },
}

impl Bus {
    /// Publishes `message` and waits until it is stored; returns its sequence.
    /// Failed attempts are repeated for at most `patience`.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish<M: Message>(
        &self,
        subject: &Subject,
        message: &M,
        options: &PublishOptions,
        patience: Duration,
    ) -> Result<u64, PublishError> {
        let (headers, payload) = (headers::<M>(options), bytes::Bytes::from(message.encode_to_vec()));
        let name = subject.to_string();
        let started = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));
        loop {
            let mut publish = PublishMessage::build().payload(payload.clone()).headers(headers.clone());
            if let Some(sequence) = options.expected_last_sequence {
                publish = publish.expected_last_sequence(sequence);
            }
            if let Some(sequence) = options.expected_last_subject_sequence {
                publish = publish.expected_last_subject_sequence(sequence);
            }
            let sent = async { self.jetstream.send_publish(name.clone(), publish).await?.await };
            let error = match tokio::time::timeout(Duration::from_secs(2), sent).await {
                Ok(Ok(ack)) => {
                    histogram!("bus_publish_seconds", "subject" => subject.template())
                        .record(started.elapsed().as_secs_f64());
                    return Ok(ack.sequence);
                }
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            counter!("bus_publish_failures_total", "subject" => subject.template()).increment(1);
            if let Some(error) = error {
                if error.kind() == PublishErrorKind::WrongLastSequence {
                    return Err(PublishError::Fenced { subject: name });
                }
                if is_full(&error) {
                    return Err(PublishError::Full { subject: name });
                }
                tracing::debug!("publishing on {name}: {error}");
            }
            if started.elapsed() >= patience {
                return Err(PublishError::Unknown { subject: name, waited_ms: started.elapsed().as_millis() });
            }
            backoff.wait().await;
        }
    }
}

fn headers<M: Message>(options: &PublishOptions) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-protobuf");
    headers.insert("Tragen-Schema", schema_of::<M>());
    if !options.message_id.is_empty() {
        headers.insert("Nats-Msg-Id", options.message_id.as_ref());
    }
    if !options.traceparent.is_empty() {
        headers.insert("traceparent", options.traceparent.as_str());
    }
    if !options.causation_id.is_empty() {
        headers.insert("Tragen-Causation-Id", options.causation_id.as_str());
    }
    if options.deadline_micros != 0 {
        headers.insert("Tragen-Deadline", options.deadline_micros.to_string());
    }
    if options.last_on_subject_micros != 0 {
        headers.insert(LAST_STORED_AT, options.last_on_subject_micros.to_string());
    }
    headers
}

/// Schema name and version of a message, e.g. `tragen.v1.ProposalBatch`.
fn schema_of<M>() -> String {
    let path = std::any::type_name::<M>();
    format!("tragen.v1.{}", path.rsplit("::").next().unwrap_or(path))
}

fn is_full(error: &async_nats::jetstream::context::PublishError) -> bool {
    let source = std::error::Error::source(error);
    let code = source.and_then(|s| s.downcast_ref::<async_nats::jetstream::Error>());
    code.is_some_and(|e| STREAM_FULL.contains(&e.error_code().0))
}
