//! Which workers there are and which epoch each has applied: known at all times,
//! so that a halt asks nobody before it counts.

use anyhow::Context as _;
use async_nats::jetstream::kv::Operation;
use futures::StreamExt as _;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tragen_bus::{Bucket, Bus, CoreSubject};
use tragen_contracts::v1;
use tragen_host::Context;

/// A worker not heard of for so long is gone; it beats every second.
const PRESENCE: Duration = Duration::from_secs(5);
/// How long to wait before the presence is read again.
const RETRY: Duration = Duration::from_millis(200);

/// The workers; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    /// Grows with every confirmation.
    confirmations: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    /// When it last was present; `None` for one that only ever confirmed.
    present_at: Option<Instant>,
    epoch: i64,
    /// The confirmation of its newest epoch; what it counts is of that epoch.
    ack: v1::ControlAck,
}

/// Who has confirmed an epoch, and what they counted together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(crate) workers: usize,
    pub(crate) missing: Vec<String>,
    pub(crate) dropped_requests: i32,
    pub(crate) withdrawn_proposals: i32,
    pub(crate) stopped_agents: i32,
}

impl Workers {
    pub(crate) fn new() -> Self {
        Self { seen: Arc::default(), confirmations: Arc::new(watch::Sender::new(0)) }
    }

    /// Listens as long as the term lasts.
    pub(crate) async fn listen(&self, term: &Context, bus: &Bus) -> anyhow::Result<()> {
        let mut acks = bus.listen::<v1::ControlAck>(&CoreSubject::ControlAcks).await?;
        let (own, stopped) = (self.clone(), term.stopped());
        term.spawn("workers-acks", async move {
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    () = &mut stopped => return Ok(()),
                    ack = acks.next() => own.confirm(ack.context("the subscription to confirmations ended")?),
                }
            }
        });
        let (own, bus, stopped) = (self.clone(), bus.clone(), term.stopped());
        term.spawn("workers-present", async move {
            tokio::select! {
                () = stopped => Ok(()),
                () = own.watch(&bus) => Ok(()),
            }
        });
        Ok(())
    }

    /// Presence as it changes, read anew after every reconnect.
    async fn watch(&self, bus: &Bus) {
        let mut connections = bus.connections();
        loop {
            connections.borrow_and_update();
            let opened = async { bus.bucket(Bucket::Workers).await.ok()?.watch_with_history(">").await.ok() };
            let Some(mut entries) = opened.await else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            loop {
                tokio::select! {
                    _ = connections.changed() => break,
                    entry = entries.next() => match entry {
                        Some(Ok(entry)) if entry.operation == Operation::Put => self.present(&entry.key),
                        Some(Ok(entry)) => drop(self.lock().remove(&entry.key)),
                        Some(Err(_)) | None => break,
                    },
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn present(&self, worker: &str) {
        self.lock().entry(worker.to_owned()).or_default().present_at = Some(Instant::now());
    }

    /// A worker has asked for its lease and said which epoch it has applied.
    pub(crate) fn asked(&self, worker: &str, epoch: i64) {
        let is_news = {
            let mut seen = self.lock();
            let own = seen.entry(worker.to_owned()).or_default();
            own.present_at = Some(Instant::now());
            let is_news = epoch > own.epoch;
            own.epoch = own.epoch.max(epoch);
            is_news
        };
        if is_news {
            self.confirmations.send_modify(|count| *count += 1);
        }
    }

    fn confirm(&self, ack: v1::ControlAck) {
        {
            let mut seen = self.lock();
            let own = seen.entry(ack.worker_id.clone()).or_default();
            if ack.epoch < own.epoch {
                return;
            }
            own.epoch = ack.epoch;
            own.ack = ack;
        }
        self.confirmations.send_modify(|count| *count += 1);
    }

    /// Every worker that is here, sorted, with the epoch it has applied.
    pub(crate) fn here(&self) -> Vec<v1::WorkerStatus> {
        let seen = self.lock();
        let here = seen.iter().filter(|(_, own)| own.is_here());
        here.map(|(worker, own)| v1::WorkerStatus { worker_id: worker.clone(), epoch: own.epoch }).collect()
    }

    /// Waits until every worker that is here has applied `epoch`, at most until `deadline`.
    pub(crate) async fn confirmed(&self, epoch: i64, deadline: tokio::time::Instant) -> Confirmed {
        let mut news = self.confirmations.subscribe();
        loop {
            news.borrow_and_update();
            // Looked at with every confirmation of a thousand workers, so nothing is collected here.
            if self.is_applied(epoch) {
                return self.count(epoch);
            }
            if !matches!(tokio::time::timeout_at(deadline, news.changed()).await, Ok(Ok(()))) {
                return self.count(epoch);
            }
        }
    }

    fn is_applied(&self, epoch: i64) -> bool {
        self.lock().values().all(|own| own.epoch >= epoch || !own.is_here())
    }

    fn count(&self, epoch: i64) -> Confirmed {
        let seen = self.lock();
        let mut confirmed = Confirmed::default();
        for (worker, own) in seen.iter().filter(|(_, own)| own.is_here()) {
            if own.epoch < epoch {
                confirmed.missing.push(worker.clone());
                continue;
            }
            confirmed.workers += 1;
            if own.ack.epoch == epoch {
                confirmed.dropped_requests = confirmed.dropped_requests.saturating_add(own.ack.dropped_requests);
                confirmed.withdrawn_proposals =
                    confirmed.withdrawn_proposals.saturating_add(own.ack.withdrawn_proposals);
                // Every worker evaluates every agent: what one has stopped the others have too.
                confirmed.stopped_agents = confirmed.stopped_agents.max(own.ack.stopped_agents);
            }
        }
        confirmed
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn is_here(&self) -> bool {
        self.present_at.is_some_and(|at| at.elapsed() < PRESENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(worker: &str, epoch: i64, dropped: i32) -> v1::ControlAck {
        let worker_id = worker.to_owned();
        v1::ControlAck { worker_id, epoch, dropped_requests: dropped, ..v1::ControlAck::default() }
    }

    #[test]
    fn only_present_workers_count_and_an_older_epoch_confirms_nothing() {
        let workers = Workers::new();
        workers.present("w-1");
        workers.asked("w-2", 3);
        workers.confirm(ack("gone", 9, 7));
        workers.confirm(ack("w-1", 4, 2));
        workers.confirm(ack("w-1", 3, 5));
        let missing = vec!["w-2".to_owned()];
        let expected = Confirmed { workers: 1, missing, dropped_requests: 2, ..Confirmed::default() };
        assert_eq!(workers.count(4), expected);
        workers.asked("w-2", 5);
        let expected = Confirmed { workers: 2, dropped_requests: 2, ..Confirmed::default() };
        assert_eq!(workers.count(4), expected, "a newer epoch contains the older one");
    }
}
