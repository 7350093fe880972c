//! Pulling messages off a durable consumer. The puller survives reconnects, and
//! every message it hands out is settled exactly once by its owner.

use crate::{
    connection::{Bus, BusError},
    dead_letter,
    topology::Consumer,
};
use async_nats::jetstream::{AckKind, consumer::PullConsumer};
use futures::StreamExt as _;
use metrics::counter;
use prost::Message;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use tragen_host::{Context, retry::Backoff};

/// How many messages one pull asks for. Below 64 the client library's pull
/// stream can stall with messages pending; 256 has never been seen to.
const PULL_BATCH: usize = 256;
/// Messages that may wait in the process.
const BUFFER: usize = 256;
/// How long a pull stays open: so long messages may still go to a process that hangs.
const PULL_EXPIRES: Duration = Duration::from_secs(1);
/// A pull stream silent for twice this long is opened again.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// One message, to be settled by [`Delivery::ack`], [`Delivery::retry`] or [`Delivery::dead_letter`].
#[derive(Debug)]
pub struct Delivery<M> {
    /// The decoded payload.
    pub message: M,
    /// Position in the stream.
    pub sequence: u64,
    /// 1 for the first delivery.
    pub deliveries: u64,
    /// When the server took it in, microseconds since the epoch by its clock.
    pub published_micros: i64,
    raw: async_nats::jetstream::Message,
    bus: Bus,
    consumer: Consumer,
}

/// Decoded messages of one consumer, at least once each.
#[derive(Debug)]
pub struct Puller<M> {
    queue: mpsc::Receiver<Delivery<M>>,
}

impl Bus {
    /// Starts pulling from `consumer`. Messages that do not decode, or that were
    /// delivered too often, become dead letters before they get here. When the
    /// process stops, pulling ends and what waits is given back.
    #[must_use]
    pub fn pull<M: Message + Default + Send + 'static>(&self, context: &Context, consumer: Consumer) -> Puller<M> {
        let (sender, queue) = mpsc::channel(BUFFER);
        let bus = self.clone();
        let stopped = context.stopped();
        context.spawn("bus-pull", async move {
            tokio::pin!(stopped);
            let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
            loop {
                let pulled = tokio::select! {
                    () = &mut stopped => break,
                    () = sender.closed() => break,
                    pulled = pull_until_broken(&bus, consumer, &sender) => pulled,
                };
                match pulled {
                    Ok(()) => backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500)),
                    Err(error) => debug!("pulling for {}: {error:#}", consumer.name()),
                }
                counter!("bus_pull_reopened_total", "consumer" => consumer.name()).increment(1);
                backoff.wait().await;
            }
            Ok(())
        });
        Puller { queue }
    }
}

/// Pulls until the stream breaks; Ok if it delivered anything.
async fn pull_until_broken<M: Message + Default>(
    bus: &Bus,
    consumer: Consumer,
    sender: &mpsc::Sender<Delivery<M>>,
) -> Result<(), BusError> {
    let action = || format!("pulling for {}", consumer.name());
    if matches!(consumer, Consumer::Ledger(_)) {
        // A shard may be served for the first time long after the bus was put in place.
        bus.apply_consumer(consumer).await?;
    }
    let handle: PullConsumer = bus
        .jetstream
        .get_consumer_from_stream(&*consumer.name(), consumer.stream().as_str())
        .await
        .map_err(|e| BusError::api(action(), e))?;
    let mut messages = handle
        .stream()
        .max_messages_per_batch(PULL_BATCH)
        .expires(PULL_EXPIRES)
        .heartbeat(HEARTBEAT)
        .messages()
        .await
        .map_err(|e| BusError::api(action(), e))?;
    while let Some(next) = messages.next().await {
        let raw = next.map_err(|e| BusError::api(action(), e))?;
        let Some(delivery) = open(bus, consumer, raw).await else { continue };
        if let Err(mpsc::error::SendError(delivery)) = sender.send(delivery).await {
            delivery.retry(Duration::ZERO).await;
            return Ok(());
        }
    }
    Ok(())
}

async fn open<M: Message + Default>(
    bus: &Bus,
    consumer: Consumer,
    raw: async_nats::jetstream::Message,
) -> Option<Delivery<M>> {
    let (sequence, deliveries, published_micros) = match raw.info() {
        Ok(info) => {
            let published = i64::try_from(info.published.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
            (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(0), published)
        }
        Err(error) => {
            warn!("a message without delivery info on {}: {error}", raw.subject);
            return None;
        }
    };
    let decoded = M::decode(raw.payload.clone());
    let delivery =
        Delivery { message: M::default(), sequence, deliveries, published_micros, raw, bus: bus.clone(), consumer };
    match decoded {
        Ok(_) if deliveries > consumer.deliveries_max() => {
            delivery.dead_letter("delivered too often without an ack").await;
            None
        }
        Ok(message) => Some(Delivery { message, ..delivery }),
        Err(error) => {
            delivery.dead_letter(&format!("not decodable: {error}")).await;
            None
        }
    }
}

impl<M> Puller<M> {
    /// Waits for a message, then takes what else is there, at most `limit`.
    /// Empty when the process stops.
    pub async fn next_batch(&mut self, limit: usize) -> Vec<Delivery<M>> {
        let mut batch = Vec::new();
        self.queue.recv_many(&mut batch, limit).await;
        batch
    }

    /// Waits for one message; `None` when the process stops. Cancel-safe.
    pub async fn next(&mut self) -> Option<Delivery<M>> {
        self.queue.recv().await
    }

    /// One message if there is one now.
    pub fn try_next(&mut self) -> Option<Delivery<M>> {
        self.queue.try_recv().ok()
    }

    /// Gives back what waits; call it when stopping.
    pub async fn give_back(mut self) {
        self.queue.close();
        while let Some(delivery) = self.queue.recv().await {
            delivery.retry(Duration::ZERO).await;
        }
    }
}

impl<M> Delivery<M> {
    /// The message is handled for good.
    pub async fn ack(&self) {
        if let Err(error) = self.raw.ack().await {
            // It will be delivered again; handlers are idempotent.
            debug!("acking on {}: {error}", self.raw.subject);
        }
    }

    /// Deliver it again after `delay`; a dead letter once it was delivered too often.
    pub async fn retry(&self, delay: Duration) {
        if self.deliveries > self.consumer.deliveries_max() {
            self.dead_letter("gave up after repeated retries").await;
            return;
        }
        counter!("bus_retries_total", "consumer" => self.consumer.name()).increment(1);
        if let Err(error) = self.raw.ack_with(AckKind::Nak((!delay.is_zero()).then_some(delay))).await {
            debug!("giving back on {}: {error}", self.raw.subject);
        }
    }

    /// Nobody can handle it: keep it aside with the reason, then take it off the stream.
    pub async fn dead_letter(&self, reason: &str) {
        counter!("bus_dead_letters_total", "consumer" => self.consumer.name()).increment(1);
        warn!("dead letter on {} from {}: {reason}", self.raw.subject, self.consumer.name());
        match dead_letter::keep(&self.bus, self.consumer, &self.raw, self.deliveries, reason).await {
            Ok(()) => {
                if let Err(error) = self.raw.ack_with(AckKind::Term).await {
                    debug!("terminating on {}: {error}", self.raw.subject);
                }
            }
            // Not kept, so not taken off: it comes again.
            Err(error) => warn!("keeping a dead letter: {error}"),
        }
    }

    /// Still working on it: start the ack wait anew.
    pub async fn in_progress(&self) {
        let _ = self.raw.ack_with(AckKind::Progress).await;
    }

    /// The batch's trace context; empty when unsampled.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        let header = self.raw.headers.as_ref().and_then(|headers| headers.get("traceparent"));
        header.map_or("", async_nats::HeaderValue::as_str)
    }

    /// The subject it came on.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.raw.subject
    }
}
