//! One connection to the bus, and everything on it put in place.

use crate::{
    server::{PAYLOAD_BYTES_MAX, PAYLOAD_MAX},
    subject::Subject,
    topology::{Bucket, Consumer, Stream},
};
use async_nats::{
    Client, ConnectOptions, Event,
    jetstream::{
        self, ErrorCode,
        context::{ContextBuilder, GetStreamErrorKind},
        kv,
        stream::{self, ConsumerError, ConsumerErrorKind, LastRawMessageErrorKind},
    },
};
use bytes::Bytes;
use metrics::counter;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{info, warn};

/// A connection to the bus; clones share it.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    connected: watch::Receiver<u64>,
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// When it was made, microseconds since the epoch.
    pub created_micros: i64,
    /// Sequence of its newest message; 0 when there never was one.
    pub last_sequence: u64,
}

/// What a consumer has before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Messages that nobody has taken yet: at least one if there is any, their number as the server counted it last.
    pub waiting: u64,
    /// Messages that were taken and are not acked.
    pub in_hand: u64,
    /// Pulls that wait for a message.
    pub pulls: usize,
}

/// Why the bus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The server does not answer.
    #[error("connecting to NATS at {url}")]
    Connect {
        /// Where it should be.
        url: String,
        /// What went wrong.
        #[source]
        source: async_nats::ConnectError,
    },
    /// A stream that now belongs elsewhere still has messages.
    #[error(
        "{stream} still has {messages} messages where an earlier version kept it: let that version work them off, or delete the stream"
    )]
    NotDrained {
        /// Which stream.
        stream: &'static str,
        /// How many are in it.
        messages: u64,
    },
    /// Something could not be put in place or read.
    #[error("{action} on the bus")]
    Api {
        /// What was tried, e.g. `creating stream JOURNAL`.
        action: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BusError {
    pub(crate) fn api(action: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Api { action: action.into(), source: source.into() }
    }
}

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one JetStream call may take before it is tried again.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the server is asked whether it is there; the third question without an answer ends the connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to reconnect.
const RECONNECT_DELAY_MAX: Duration = Duration::from_millis(250);

impl Bus {
    /// Connects as `service`; the connection heals itself from then on.
    ///
    /// # Errors
    /// [`BusError::Connect`] when the server cannot be reached at first.
    pub async fn connect(url: &str, service: &str) -> Result<Self, BusError> {
        let (connected_sender, connected) = watch::channel(0);
        let name: Arc<str> = service.into();
        let client = ConnectOptions::new()
            .name(format!("tragen-{service}"))
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(CALL_TIMEOUT))
            .subscription_capacity(65_536)
            // A server that is cut off without a word is noticed after two pings without an answer.
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(|attempt| {
                let doubled = Duration::from_millis(4 << attempt.min(6));
                doubled.min(RECONNECT_DELAY_MAX)
            })
            .event_callback(move |event| {
                on_event(&name, &event, &connected_sender);
                std::future::ready(())
            })
            .connect(url)
            .await
            .map_err(|source| BusError::Connect { url: url.to_owned(), source })?;
        let payload_bytes_max = client.server_info().max_payload;
        if payload_bytes_max < PAYLOAD_BYTES_MAX {
            warn!(
                "the bus takes messages of {payload_bytes_max} bytes, larger ones are lost: set max_payload: {PAYLOAD_MAX}"
            );
        }
        let jetstream = ContextBuilder::new()
            .timeout(CALL_TIMEOUT)
            .ack_timeout(CALL_TIMEOUT)
            .backpressure_on_inflight(false)
            .build(client.clone());
        Ok(Self { client, jetstream, connected })
    }

    /// Creates what is missing of streams, consumers and buckets, and updates what differs.
    ///
    /// # Errors
    /// [`BusError::Api`] naming the part that could not be put in place.
    pub async fn apply(&self, lane_messages_max: i64) -> Result<(), BusError> {
        for stream in Stream::ALL {
            self.apply_config(stream, stream.config(lane_messages_max)).await?;
        }
        for consumer in Consumer::ALL {
            self.apply_consumer(consumer).await?;
        }
        for bucket in Bucket::ALL {
            self.jetstream
                .create_or_update_key_value(bucket.config())
                .await
                .map_err(|e| BusError::api(format!("creating bucket {}", bucket.as_str()), e))?;
        }
        Ok(())
    }

    /// Creates `stream` if it is missing, and updates what differs; not for REQUESTS,
    /// whose bounds only [`Bus::apply`] knows.
    ///
    /// # Errors
    /// [`BusError::Api`] when the server does not do it.
    pub async fn apply_stream(&self, stream: Stream) -> Result<(), BusError> {
        self.apply_config(stream, stream.config(0)).await
    }

    /// Where a stream is kept cannot be changed: one that is kept elsewhere is made anew once nothing is in it.
    async fn apply_config(&self, stream: Stream, config: stream::Config) -> Result<(), BusError> {
        let failed = |error| BusError::api(format!("creating stream {}", stream.as_str()), error);
        let existing = self.jetstream.get_stream(stream.as_str()).await.ok();
        let moved = existing.filter(|existing| existing.cached_info().config.storage != config.storage);
        if let Some(moved) = moved {
            let messages = moved.cached_info().state.messages;
            if messages > 0 {
                return Err(BusError::NotDrained { stream: stream.as_str(), messages });
            }
            let deleted = self.jetstream.delete_stream(stream.as_str()).await;
            deleted.map_err(|e| BusError::api(format!("making stream {} anew", stream.as_str()), e))?;
        }
        self.jetstream.create_or_update_stream(config).await.map(drop).map_err(failed)
    }

    /// Sequence and payload of the newest message on `subject` that its stream still has, and when it was stored,
    /// microseconds since the epoch.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read.
    pub async fn newest_on(&self, stream: Stream, subject: &Subject) -> Result<Option<(u64, Bytes, i64)>, BusError> {
        let action = || format!("reading the newest message on {subject}");
        let handle = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        match handle.get_last_raw_message_by_subject(&subject.to_string()).await {
            Ok(message) => {
                let stored_at = i64::try_from(message.time.unix_timestamp_nanos() / 1_000).unwrap_or_default();
                Ok(Some((message.sequence, message.payload, stored_at)))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(BusError::api(action(), error)),
        }
    }

    /// Creates `consumer` if it is missing, and updates what differs. A new one
    /// starts with the oldest message of its stream.
    ///
    /// # Errors
    /// [`BusError::Api`] when the server does not do it.
    pub async fn apply_consumer(&self, consumer: Consumer) -> Result<(), BusError> {
        self.jetstream
            .create_consumer_on_stream(consumer.config(), consumer.stream().as_str())
            .await
            .map(drop)
            .map_err(|e| BusError::api(format!("creating consumer {}", consumer.name()), e))
    }

    /// For a reader that was set back to an earlier state: `consumer` begins again with the oldest
    /// message of its stream the next time it is put in place, and what the reader has `told` is forgotten.
    ///
    /// # Errors
    /// [`BusError::Api`] when the server does not do it.
    pub async fn start_anew(&self, consumer: Consumer, told: (Stream, &Subject)) -> Result<(), BusError> {
        let (stream, subject) = told;
        let action = || format!("starting consumer {} anew", consumer.name());
        let read = self.jetstream.get_stream(consumer.stream().as_str()).await;
        let read = read.map_err(|e| BusError::api(action(), e))?;
        match read.delete_consumer(&consumer.name()).await {
            Ok(_) => {}
            // Nothing to forget.
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(BusError::api(action(), error)),
        }
        let written = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        written.purge().filter(subject.to_string()).await.map(drop).map_err(|e| BusError::api(action(), e))
    }

    /// A key-value bucket.
    ///
    /// # Errors
    /// [`BusError::Api`] when it cannot be read.
    pub async fn bucket(&self, bucket: Bucket) -> Result<kv::Store, BusError> {
        self.jetstream
            .get_key_value(bucket.as_str())
            .await
            .map_err(|e| BusError::api(format!("opening bucket {}", bucket.as_str()), e))
    }

    /// How far behind a consumer is.
    ///
    /// # Errors
    /// [`BusError::Api`] when it cannot be read.
    pub async fn lag(&self, consumer: Consumer) -> Result<Lag, BusError> {
        let action = || format!("reading consumer {}", consumer.name());
        let stream = self.jetstream.get_stream(consumer.stream().as_str()).await;
        let stream = stream.map_err(|e| BusError::api(action(), e))?;
        let info = stream.consumer_info(&*consumer.name()).await.map_err(|e| BusError::api(action(), e))?;
        // The server counts what waits a moment after it has acknowledged it.
        let mut newest = 0;
        for filter in consumer.config().filter_subjects {
            match stream.get_last_raw_message_by_subject(&filter).await {
                Ok(message) => newest = message.sequence.max(newest),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {}
                Err(error) => return Err(BusError::api(action(), error)),
            }
        }
        let waiting = info.num_pending.max(u64::from(newest > info.delivered.stream_sequence));
        let in_hand = u64::try_from(info.num_ack_pending).unwrap_or(0);
        Ok(Lag { waiting, in_hand, pulls: info.num_waiting })
    }

    /// Sequence of the newest message of a stream; 0 when it is empty.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read.
    pub async fn last_sequence(&self, stream: Stream) -> Result<u64, BusError> {
        let action = || format!("reading stream {}", stream.as_str());
        let handle = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        Ok(handle.cached_info().state.last_sequence)
    }

    /// Which life of a stream this is, and how far it has come: with both, a reader
    /// that remembers its place sees that a store was wiped or set back.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read.
    pub async fn stream_state(&self, stream: Stream) -> Result<StreamState, BusError> {
        let action = || format!("reading stream {}", stream.as_str());
        let handle = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        let info = handle.cached_info();
        let created_micros = i64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
        Ok(StreamState { created_micros, last_sequence: info.state.last_sequence })
    }

    /// Sequence of the newest message that can still be read; `None` when there is
    /// none, also when all have aged out.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read.
    pub async fn newest(&self, stream: Stream) -> Result<Option<u64>, BusError> {
        let action = || format!("reading stream {}", stream.as_str());
        let handle = self.jetstream.get_stream(stream.as_str()).await.map_err(|e| BusError::api(action(), e))?;
        let state = &handle.cached_info().state;
        Ok((state.messages > 0).then_some(state.last_sequence))
    }

    /// Counts connections: it changes each time the bus is (re)connected, so
    /// that memory streams can be filled again.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.connected.clone()
    }

    /// Whether the bus is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Whether the server answers a question within `within`: a connection alone may be silent for long.
    pub async fn answers(&self, within: Duration) -> bool {
        let asked = self.jetstream.get_stream(Stream::Executions.as_str());
        match tokio::time::timeout(within, asked).await {
            Ok(Ok(_)) => true,
            // A store that was wiped answers too.
            Ok(Err(error)) => matches!(error.kind(), GetStreamErrorKind::JetStream(_)),
            Err(_) => false,
        }
    }

    /// Sends what is buffered; call it last before a process ends.
    pub async fn flush(&self) {
        if let Err(error) = tokio::time::timeout(CALL_TIMEOUT, self.client.flush()).await {
            warn!("the bus could not be flushed: {error}");
        }
    }
}

fn is_missing(error: &ConsumerError) -> bool {
    matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}

fn on_event(service: &str, event: &Event, connected: &watch::Sender<u64>) {
    counter!("bus_connection_events_total", "event" => event_name(event)).increment(1);
    if matches!(event, Event::Connected) {
        connected.send_modify(|count| *count += 1);
        info!("{service} is connected to the bus");
    } else {
        warn!("{service} bus event: {event}");
    }
}

const fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Connected => "connected",
        Event::Disconnected => "disconnected",
        Event::SlowConsumer(_) => "slow_consumer",
        Event::LameDuckMode => "lame_duck",
        Event::Draining => "draining",
        Event::Closed => "closed",
        Event::ServerError(_) => "server_error",
        Event::ClientError(_) => "client_error",
    }
}
