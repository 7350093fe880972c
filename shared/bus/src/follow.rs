//! Reading facts: every message of a stream from a point on, in order, without
//! acks, across reconnects and even when the stream is made anew.

use crate::{
    connection::{Bus, BusError},
    topology::Stream,
};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use bytes::Bytes;
use futures::StreamExt as _;
use metrics::counter;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use tragen_host::{Context, retry::Backoff};

/// Messages that may wait in the process.
const BUFFER: usize = 1_024;

/// Where following starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// With the stream's first message.
    Beginning,
    /// With messages published from now on.
    Now,
    /// With the newest message of every subject, then on.
    NewestOfEach,
    /// With this sequence.
    Sequence(u64),
}

/// One fact.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The subject it came on.
    pub subject: String,
    /// The payload.
    pub payload: Bytes,
    /// Position in the stream; starts over if the stream is made anew.
    pub sequence: u64,
    /// How many of the messages that existed at the start are still to come.
    pub pending: u64,
}

/// Which stream is read, and how far.
#[derive(Debug)]
struct Place {
    created: i128,
    seen: Option<u64>,
}

/// Facts in order; see [`Bus::follow`].
#[derive(Debug)]
pub struct Follower {
    queue: mpsc::Receiver<Followed>,
}

impl Follower {
    /// The next fact; `None` when the process stops. Cancel-safe.
    pub async fn next(&mut self) -> Option<Followed> {
        self.queue.recv().await
    }

    /// A fact if there is one now.
    pub fn try_next(&mut self) -> Option<Followed> {
        self.queue.try_recv().ok()
    }
}

impl Bus {
    /// Follows `stream` (only subjects matching `filter`, all if empty). With
    /// [`StartAt::Now`] everything published after this call returns is seen.
    ///
    /// # Errors
    /// [`BusError::Api`] when the stream cannot be read at first.
    pub async fn follow(
        &self,
        context: &Context,
        stream: Stream,
        filter: &str,
        start: StartAt,
    ) -> Result<Follower, BusError> {
        let (sender, queue) = mpsc::channel(BUFFER);
        let mut place = Place { created: self.created(stream).await?.0, seen: None };
        let mut consumer = Some(self.fact_consumer(stream, filter, start).await?);
        let (bus, filter) = (self.clone(), filter.to_owned());
        let stopped = context.stopped();
        context.spawn("bus-follow", async move {
            tokio::pin!(stopped);
            let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
            loop {
                let read = async {
                    let opened = match consumer.take() {
                        Some(opened) => opened,
                        None => bus.reopened(stream, &filter, start, &mut place).await?,
                    };
                    read_until_broken(opened, &sender, &mut place).await
                };
                let broken = tokio::select! {
                    () = &mut stopped => break,
                    () = sender.closed() => break,
                    broken = read => broken,
                };
                counter!("bus_follow_reopened_total", "stream" => stream.as_str()).increment(1);
                if let Err(error) = broken {
                    debug!("following {}: {error:#}", stream.as_str());
                }
                backoff.wait().await;
            }
            Ok(())
        });
        Ok(Follower { queue })
    }

    async fn fact_consumer(&self, stream: Stream, filter: &str, start: StartAt) -> Result<PullConsumer, BusError> {
        let deliver_policy = match start {
            StartAt::Beginning => DeliverPolicy::All,
            StartAt::Now => DeliverPolicy::New,
            StartAt::NewestOfEach => DeliverPolicy::LastPerSubject,
            StartAt::Sequence(sequence) => DeliverPolicy::ByStartSequence { start_sequence: sequence.max(1) },
        };
        let filter_subject =
            if filter.is_empty() && start == StartAt::NewestOfEach { ">".to_owned() } else { filter.to_owned() };
        let config = pull::Config {
            deliver_policy,
            ack_policy: AckPolicy::None,
            filter_subject,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(30),
            ..pull::Config::default()
        };
        self.jetstream
            .create_consumer_on_stream(config, stream.as_str())
            .await
            .map_err(|e| BusError::api(format!("following {}", stream.as_str()), e))
    }

    /// A consumer that goes on where reading stopped, or starts over if the
    /// stream is new: its sequence alone would not tell.
    async fn reopened(
        &self,
        stream: Stream,
        filter: &str,
        start: StartAt,
        place: &mut Place,
    ) -> Result<PullConsumer, BusError> {
        let (created, last) = self.created(stream).await?;
        let is_new = created != place.created || place.seen.is_some_and(|seen| seen > last);
        let start = match place.seen {
            _ if is_new => {
                warn!("{} was made anew; reading it from its beginning", stream.as_str());
                *place = Place { created, seen: None };
                StartAt::Beginning
            }
            Some(seen) => StartAt::Sequence(seen + 1),
            None => start,
        };
        self.fact_consumer(stream, filter, start).await
    }

    /// When the stream was made, nanoseconds since the epoch, and its last sequence.
    async fn created(&self, stream: Stream) -> Result<(i128, u64), BusError> {
        let handle = self.jetstream.get_stream(stream.as_str()).await;
        let handle = handle.map_err(|e| BusError::api(format!("reading stream {}", stream.as_str()), e))?;
        let info = handle.cached_info();
        Ok((info.created.unix_timestamp_nanos(), info.state.last_sequence))
    }
}

async fn read_until_broken(
    consumer: PullConsumer,
    sender: &mpsc::Sender<Followed>,
    place: &mut Place,
) -> Result<(), BusError> {
    let action = "reading facts";
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(512)
        .expires(Duration::from_secs(5))
        .heartbeat(Duration::from_secs(1))
        .messages()
        .await
        .map_err(|e| BusError::api(action, e))?;
    while let Some(next) = messages.next().await {
        let message = next.map_err(|e| BusError::api(action, e))?;
        let info = message.info().map_err(|e| BusError::api(action, e))?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        let followed =
            Followed { subject: message.subject.to_string(), payload: message.payload.clone(), sequence, pending };
        place.seen = Some(sequence);
        if sender.send(followed).await.is_err() {
            break;
        }
    }
    Ok(())
}
