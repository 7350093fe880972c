//! Natural batching: while one message is being stored the next one gathers, so
//! a message carries one item at low load and many at high load.

use crate::{
    connection::Bus,
    publish::{PublishError, PublishOptions},
    subject::Subject,
};
use prost::Message;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tragen_host::Context;

/// Where items of one subject gather; clones share the batches.
#[derive(Debug)]
pub struct BatchPublisher<T> {
    queue: mpsc::Sender<Item<T>>,
}

impl<T> Clone for BatchPublisher<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

#[derive(Debug)]
struct Item<T> {
    item: T,
    traceparent: String,
    stored: oneshot::Sender<Result<u64, Arc<PublishError>>>,
}

/// Bounds of a batch publisher.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most items in one message.
    pub items_max: usize,
    /// Most items that may wait.
    pub queue_max: usize,
    /// How long a failing message is tried again.
    pub patience: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { items_max: 256, queue_max: 8_192, patience: Duration::from_secs(5) }
    }
}

/// Why an item was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BatchError {
    /// The process's own queue is full; nothing was sent.
    #[error("{limit} items wait already")]
    QueueFull {
        /// The queue's bound.
        limit: usize,
    },
    /// The message failed.
    #[error(transparent)]
    Publish(#[from] Arc<PublishError>),
    /// The process stops.
    #[error("the publisher has stopped")]
    Stopped,
}

impl<T: Send + 'static> BatchPublisher<T> {
    /// Starts gathering for `subject`; `wrap` makes one message of many items.
    #[must_use]
    pub fn start<M: Message + 'static>(
        context: &Context,
        bus: &Bus,
        subject: Subject,
        limits: BatchLimits,
        wrap: impl Fn(Vec<T>) -> M + Send + 'static,
    ) -> Self {
        let (queue, mut items) = mpsc::channel::<Item<T>>(limits.queue_max);
        let bus = bus.clone();
        let stopped = context.stopped();
        context.spawn("bus-batch", async move {
            tokio::pin!(stopped);
            let mut gathered = Vec::new();
            loop {
                tokio::select! {
                    // First what waits, then the stop: nothing accepted is left behind.
                    biased;
                    count = items.recv_many(&mut gathered, limits.items_max) => if count == 0 { break },
                    () = &mut stopped => {
                        items.close();
                        continue;
                    }
                }
                let traceparent = gathered.first().map(|i| i.traceparent.clone()).unwrap_or_default();
                let (payload, waiting): (Vec<_>, Vec<_>) = gathered.drain(..).map(|i| (i.item, i.stored)).unzip();
                let options = PublishOptions {
                    message_id: uuid::Uuid::now_v7().to_string().into(),
                    traceparent,
                    ..PublishOptions::default()
                };
                let stored = bus.publish(&subject, &wrap(payload), &options, limits.patience).await.map_err(Arc::new);
                metrics::histogram!("bus_batch_items", "subject" => subject.template())
                    .record(f64::from(u32::try_from(waiting.len()).unwrap_or(u32::MAX)));
                for waiter in waiting {
                    let _ = waiter.send(stored.clone());
                }
            }
            Ok(())
        });
        Self { queue }
    }

    /// Adds `item` and waits until its message is stored.
    ///
    /// # Errors
    /// [`BatchError`].
    pub async fn publish(&self, item: T, traceparent: String) -> Result<u64, BatchError> {
        let (stored, answer) = oneshot::channel();
        self.queue.try_send(Item { item, traceparent, stored }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BatchError::QueueFull { limit: self.queue.max_capacity() },
            mpsc::error::TrySendError::Closed(_) => BatchError::Stopped,
        })?;
        Ok(answer.await.map_err(|_| BatchError::Stopped)??)
    }
}
