//! Outcomes on their way to EXECUTIONS: in order, many in one message under
//! load, each tried until it is stored. And the last ones, to answer repeats.

use crate::{VENUE, config::Config};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use tragen_bus::{Bus, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::id::TradeId;
use tragen_host::Context;

/// How long one attempt to store may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The way to EXECUTIONS; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    queue: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    report: v1::ExecutionReport,
    stored: oneshot::Sender<()>,
}

/// Resolves with Ok when the report is stored, with an error when the guard stops before.
pub(crate) type Stored = oneshot::Receiver<()>;

impl Reports {
    pub(crate) fn start(context: &Context, bus: &Bus, config: &Config) -> Self {
        let (queue, waiting) = mpsc::channel(config.waiting_reports_max);
        context.spawn("reports", store_all(context.clone(), bus.clone(), waiting, config.batch_reports_max));
        Self { queue }
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

async fn store_all(
    context: Context,
    bus: Bus,
    mut waiting: mpsc::Receiver<Waiting>,
    batch_max: usize,
) -> anyhow::Result<()> {
    let stopped = context.stopped();
    tokio::pin!(stopped);
    let mut gathered = Vec::new();
    loop {
        tokio::select! {
            // First what waits, then the stop: nothing decided is left untold if the bus is there.
            biased;
            count = waiting.recv_many(&mut gathered, batch_max) => if count == 0 { return Ok(()) },
            () = &mut stopped, if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        }
        let (reports, answers): (Vec<_>, Vec<_>) = gathered.drain(..).map(|w| (w.report, w.stored)).unzip();
        let traceparent = reports.first().and_then(|r: &v1::ExecutionReport| r.meta.as_ref());
        let options = PublishOptions {
            message_id: uuid::Uuid::now_v7().to_string().into(),
            traceparent: traceparent.map(|meta| meta.traceparent.clone()).unwrap_or_default(),
            ..PublishOptions::default()
        };
        let batch = v1::ExecutionBatch { reports };
        while let Err(error) = bus.publish(&Subject::Executions(VENUE), &batch, &options, ATTEMPT).await {
            if context.is_stopping() {
                // The next leader finds it again in the journal and at the venue.
                warn!("{} reports could not be stored before the stop: {error}", batch.reports.len());
                return Ok(());
            }
            warn!("{} reports wait for the bus: {error}", batch.reports.len());
        }
        for answer in answers {
            let _ = answer.send(());
        }
    }
}

/// The last report of the trades that ended last.
#[derive(Debug)]
pub(crate) struct LastReports {
    reports: HashMap<TradeId, v1::ExecutionReport>,
    oldest_first: VecDeque<TradeId>,
    limit: usize,
}

impl LastReports {
    pub(crate) fn new(limit: usize) -> Self {
        Self { reports: HashMap::new(), oldest_first: VecDeque::new(), limit }
    }

    pub(crate) fn keep(&mut self, trade: TradeId, report: v1::ExecutionReport) {
        if self.reports.insert(trade.clone(), report).is_none() {
            self.oldest_first.push_back(trade);
        }
        while self.oldest_first.len() > self.limit {
            if let Some(oldest) = self.oldest_first.pop_front() {
                self.reports.remove(&oldest);
            }
        }
    }

    pub(crate) fn get(&self, trade: &TradeId) -> Option<&v1::ExecutionReport> {
        self.reports.get(trade)
    }
}
