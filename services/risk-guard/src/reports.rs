//! Outcomes on their way to EXECUTIONS: in order, many in one message under
//! load, each tried until it is stored. And the last ones, to answer repeats.

use crate::{VENUE, config::Config};
use bytes::Bytes;
use prost::Message as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use tragen_bus::{Bus, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::{
    arrivals::{Arrivals, Arrived},
    id::{ExecutionId, TradeId},
    money::Quantity,
};
use tragen_host::{Context, failpoint};

/// How long one attempt to store may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The way to EXECUTIONS; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    queue: mpsc::Sender<Waiting>,
    /// The message on EXECUTIONS that was stored last.
    stored: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Waiting {
    report: v1::ExecutionReport,
    stored: oneshot::Sender<()>,
}

/// Resolves with Ok when the report is stored, with an error when the guard stops before.
pub(crate) type Stored = oneshot::Receiver<()>;

impl Reports {
    /// `last` is the newest message on EXECUTIONS that the guard knows of.
    pub(crate) fn start(context: &Context, bus: &Bus, config: &Config, last: u64) -> Self {
        let (queue, waiting) = mpsc::channel(config.waiting_reports_max);
        let stored = Arc::new(AtomicU64::new(last));
        let store = Store { bus: bus.clone(), batch_max: config.batch_reports_max, stored: Arc::clone(&stored) };
        context.spawn("reports", store.all(context.clone(), waiting));
        Self { queue, stored }
    }

    /// Every report up to this message on EXECUTIONS was in the state before it was stored.
    pub(crate) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// How many more may wait.
    pub(crate) fn room(&self) -> usize {
        self.queue.capacity()
    }

    /// Queues a report behind those before it.
    pub(crate) async fn send(&self, report: v1::ExecutionReport) -> Stored {
        let (stored, answer) = oneshot::channel();
        // A failed send drops `stored`, which the answer shows.
        let _ = self.queue.send(Waiting { report, stored }).await;
        answer
    }
}

#[derive(Debug)]
struct Store {
    bus: Bus,
    batch_max: usize,
    stored: Arc<AtomicU64>,
}

impl Store {
    async fn all(self, context: Context, mut waiting: mpsc::Receiver<Waiting>) -> anyhow::Result<()> {
        let stopped = context.stopped();
        tokio::pin!(stopped);
        let mut gathered = Vec::new();
        loop {
            tokio::select! {
                // First what waits, then the stop: nothing decided is left untold if the bus is there.
                biased;
                count = waiting.recv_many(&mut gathered, self.batch_max) => if count == 0 { return Ok(()) },
                () = &mut stopped, if !waiting.is_closed() => {
                    waiting.close();
                    continue;
                }
            }
            let (reports, answers): (Vec<_>, Vec<_>) = gathered.drain(..).map(|w| (w.report, w.stored)).unzip();
            if !self.store(&context, v1::ExecutionBatch { reports }).await {
                return Ok(());
            }
            for answer in answers {
                let _ = answer.send(());
            }
        }
    }

    /// Tries until it is stored; whether it was before the stop.
    async fn store(&self, context: &Context, batch: v1::ExecutionBatch) -> bool {
        let traceparent = batch.reports.first().and_then(|report| report.meta.as_ref());
        let options = PublishOptions {
            message_id: uuid::Uuid::now_v7().to_string().into(),
            traceparent: traceparent.map(|meta| meta.traceparent.clone()).unwrap_or_default(),
            ..PublishOptions::default()
        };
        failpoint::pass("after_send_before_report");
        loop {
            match self.bus.publish(&Subject::Executions(VENUE), &batch, &options, ATTEMPT).await {
                Ok(sequence) => {
                    self.stored.store(sequence, Ordering::Relaxed);
                    failpoint::pass("after_report_before_closed");
                    return true;
                }
                Err(error) if context.is_stopping() => {
                    // The next leader finds it again in the journal and at the venue.
                    warn!("{} reports could not be stored before the stop: {error}", batch.reports.len());
                    return false;
                }
                Err(error) => warn!("{} reports wait for the bus: {error}", batch.reports.len()),
            }
        }
    }
}

/// The last word on a trade that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// As it was told.
    pub(crate) report: v1::ExecutionReport,
    /// Executions of its order, told in it or before it: what else the venue tells came late.
    pub(crate) executions: Vec<ExecutionId>,
    /// Filled in all.
    pub(crate) filled: Quantity,
}

impl Kept {
    /// Of a trade that never had an order.
    pub(crate) const fn without_order(report: v1::ExecutionReport) -> Self {
        Self { report, executions: Vec::new(), filled: Quantity::ZERO }
    }

    fn encoded(self) -> Bytes {
        let kept = v1::KeptReport {
            report: Some(self.report),
            execution_ids: self.executions.iter().map(ToString::to_string).collect(),
            filled_micros: self.filled.micros(),
        };
        kept.encode_to_vec().into()
    }

    /// `None` only for what was not made by [`Kept::encoded`].
    fn decoded(encoded: &Bytes) -> Option<Self> {
        let kept = v1::KeptReport::decode(encoded.clone()).ok()?;
        let executions = kept.execution_ids.iter().map(|id| ExecutionId::new(id).ok());
        Some(Self {
            report: kept.report?,
            executions: executions.collect::<Option<_>>()?,
            filled: Quantity::from_micros(kept.filled_micros),
        })
    }
}

/// The last reports of the trades that ended last; encoded, as nearly none is ever asked for.
#[derive(Debug)]
pub(crate) struct LastReports {
    reports: Arrivals<TradeId, Bytes>,
    limit: usize,
}

impl LastReports {
    pub(crate) fn new(limit: usize) -> Self {
        let mut reports = Arrivals::default();
        reports.make_room(limit.saturating_add(1));
        Self { reports, limit }
    }

    pub(crate) fn keep(&mut self, trade: TradeId, kept: Kept) {
        self.reports.set(trade, kept.encoded());
        while self.reports.len() > self.limit {
            self.reports.take_oldest();
        }
    }

    pub(crate) fn get(&self, trade: &TradeId) -> Option<Kept> {
        self.reports.get(trade).and_then(Kept::decoded)
    }

    /// The report to tell again.
    pub(crate) fn report(&self, trade: &TradeId) -> Option<v1::ExecutionReport> {
        self.get(trade).map(|kept| kept.report)
    }

    /// All of them as `KeptReport`s, the one that is forgotten first at the beginning; shared, so that this takes little
    /// time.
    pub(crate) fn all(&self) -> Arrived<TradeId, Bytes> {
        self.reports.arrived().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_as_it_was_and_the_oldest_goes_first() {
        let mut reports = LastReports::new(2);
        let trade = |name: &str| TradeId::new(name).expect("an id");
        for name in ["a", "b", "c"] {
            let key = v1::TradeKey { trade_id: name.to_owned(), ..v1::TradeKey::default() };
            let report = v1::ExecutionReport { key: Some(key), ..v1::ExecutionReport::default() };
            let executions = vec![ExecutionId::new(format!("{name}-x1")).expect("an id")];
            reports.keep(trade(name), Kept { report, executions, filled: Quantity::from_micros(7) });
        }
        assert!(reports.get(&trade("a")).is_none());
        let kept = reports.get(&trade("b")).expect("kept");
        assert_eq!((kept.executions[0].as_str(), kept.filled.micros()), ("b-x1", 7));
        assert_eq!(reports.report(&trade("c")).and_then(|report| report.key).expect("a key").trade_id, "c");
        assert_eq!(reports.all().len(), 2);
    }
}
