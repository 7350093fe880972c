//! After the commit: tell the facts in the order they were committed, then
//! answer deposits, then take the reports off the bus.

use crate::metrics as names;
use metrics::{counter, gauge};
use prost::Message as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use tragen_bus::{Bus, Delivery, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_host::Context;

/// The ledger writes one shard.
const SHARD: u16 = 0;

/// A committed batch on its way out.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// Sequences ascending.
    pub(crate) facts: Vec<v1::LedgerFact>,
    /// The newest sequence the store has given out.
    pub(crate) fact_sequence: i64,
    /// To be answered once the facts are out.
    pub(crate) replies: Vec<(oneshot::Sender<v1::LedgerAnswer>, v1::LedgerAnswer)>,
    /// To be acked at the very end.
    pub(crate) deliveries: Vec<Delivery<v1::ExecutionBatch>>,
}

/// Up to which fact the bus has everything; the writer keeps it with the next commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published(Arc<AtomicI64>);

impl Published {
    /// The newest fact that, with all before it, is on the bus.
    pub(crate) fn sequence(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    fn advance(&self, sequence: i64) {
        let newest = self.0.fetch_max(sequence, Ordering::AcqRel).max(sequence);
        gauge!(names::PUBLISHED).set(f64::from(u32::try_from(newest).unwrap_or(u32::MAX)));
    }
}

/// Publishes committed batches until the writer is gone.
pub(crate) async fn publish_all(
    context: Context,
    bus: Bus,
    mut queue: mpsc::Receiver<Committed>,
    published: Published,
    limits: Limits,
) -> anyhow::Result<()> {
    let mut is_cut_off = false;
    while let Some(committed) = queue.recv().await {
        is_cut_off = is_cut_off || !publish_facts(&context, &bus, &committed, limits).await;
        if is_cut_off {
            // Stopping without a bus: the facts are told again by whoever starts next, in their order.
            for delivery in &committed.deliveries {
                delivery.retry(Duration::ZERO).await;
            }
            continue;
        }
        published.advance(committed.fact_sequence);
        for (reply, answer) in committed.replies {
            let _ = reply.send(answer);
        }
        for delivery in &committed.deliveries {
            delivery.ack().await;
        }
    }
    Ok(())
}

/// Bounds of publishing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most encoded bytes of one message.
    pub(crate) message_bytes_max: usize,
    /// How long one attempt may take.
    pub(crate) patience: Duration,
}

/// False only when the process stops before everything is out.
async fn publish_facts(context: &Context, bus: &Bus, committed: &Committed, limits: Limits) -> bool {
    for facts in messages(&committed.facts, limits.message_bytes_max) {
        let options = PublishOptions {
            // A fact told again must not be dropped as a repeat: the id names this message.
            message_id: uuid::Uuid::now_v7().to_string().into(),
            ..PublishOptions::default()
        };
        let message = v1::LedgerFactBatch { facts: facts.to_vec() };
        while let Err(error) = bus.publish(&Subject::LedgerFacts(SHARD), &message, &options, limits.patience).await {
            if context.is_stopping() {
                return false;
            }
            warn!("{} committed facts wait for the bus: {error}", facts.len());
            for delivery in &committed.deliveries {
                delivery.in_progress().await;
            }
        }
        counter!(names::FACTS).increment(u64::try_from(facts.len()).unwrap_or(0));
    }
    true
}

/// Cuts facts into runs of at most `bytes_max`; a larger fact goes alone.
fn messages(facts: &[v1::LedgerFact], bytes_max: usize) -> impl Iterator<Item = &[v1::LedgerFact]> {
    let mut rest = facts;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|fact| {
            bytes += fact.encoded_len() + 8;
            bytes <= bytes_max
        });
        let (message, after) = rest.split_at(fits.count().max(1).min(rest.len()));
        rest = after;
        (!message.is_empty()).then_some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_cut_into_messages_that_fit() {
        let fact = v1::LedgerFact { sequence: 1, ..v1::LedgerFact::default() };
        let facts = vec![fact; 5];
        let sizes = |bytes_max| messages(&facts, bytes_max).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(20), [2, 2, 1]);
        assert_eq!(sizes(1), [1, 1, 1, 1, 1]);
        assert_eq!(sizes(1_000), [5]);
        assert_eq!(messages(&[], 10).count(), 0);
    }
}
