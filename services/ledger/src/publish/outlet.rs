//! The way out to the bus, whatever it does: what is committed waits for it, and is
//! not lost with it.

use super::{Committed, HandedOn, Limits, Telling, raise};
use crate::{metrics as names, slot::slot_of};
use metrics::counter;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};
use tracing::{debug, warn};
use tragen_bus::{Bus, CoreSubject, Delivery, PublishError, PublishOptions, Stream, Subject};
use tragen_contracts::v1;
use tragen_host::{Context, failpoint, retry::Backoff};

/// The way out to the bus.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) context: Context,
    pub(super) bus: Bus,
    pub(super) shard: u16,
    pub(super) limits: Limits,
}

impl Outlet {
    /// For facts that come to the stream behind others, from the books: whoever listens hears of them now. What they
    /// tell of is on its way.
    pub(super) async fn tell_ahead(&self, mut committed: Committed, due_up_to: &AtomicI64) {
        // From here on they are told whatever happens.
        due_up_to.fetch_max(committed.newest(), Ordering::Relaxed);
        counter!(names::AHEAD).increment(u64::try_from(committed.facts.len()).unwrap_or(0));
        for message in messages_of(std::mem::take(&mut committed.facts), self.limits.message_bytes_max) {
            if let Err(error) = self.bus.broadcast(&CoreSubject::FactsAhead(self.shard), &message).await {
                debug!("telling facts ahead: {:#}", anyhow::Error::new(error));
            }
        }
        self.close(committed).await;
    }

    /// Once its facts are told, or sure to be: what else a batch has to say, and the end of its reports.
    pub(super) async fn close(&self, committed: Committed) {
        for alert in &committed.alerts {
            raise(&self.bus, alert).await;
        }
        failpoint::pass("after_publish_before_ack");
        for (reply, answer) in committed.replies {
            let _ = reply.send(answer);
        }
        for delivery in &committed.deliveries {
            delivery.ack().await;
        }
        failpoint::pass("after_ack");
    }

    /// Sends on what belongs to other shards. What one slot gets stays in order, and in messages of
    /// its own: where a slot waits to move, no other one waits with it. False when the shard is given up before.
    pub(super) async fn hand_on(&self, reports: &[HandedOn], waiting: &[Delivery<v1::ExecutionBatch>]) -> bool {
        let mut runs: BTreeMap<(u16, &str, u16), Vec<v1::ExecutionReport>> = BTreeMap::new();
        for (shard, venue, report) in reports {
            let account_id = report.key.as_ref().map_or("", |key| key.account_id.as_str());
            runs.entry((*shard, venue, slot_of(account_id))).or_default().push(report.clone());
        }
        let sending = runs.into_iter().map(|((shard, venue, _), reports)| {
            let subject = Subject::ExecutionsFor { venue: venue.to_owned(), shard };
            self.hand_on_run(subject, reports, waiting)
        });
        futures::future::join_all(sending).await.iter().all(Result::is_ok)
    }

    async fn hand_on_run(
        &self,
        subject: Subject,
        reports: Vec<v1::ExecutionReport>,
        waiting: &[Delivery<v1::ExecutionBatch>],
    ) -> Result<(), Telling> {
        let mut rest = reports.as_slice();
        while !rest.is_empty() {
            let (message, after) = cut(rest, self.limits.message_bytes_max);
            rest = after;
            let batch = v1::ExecutionBatch { reports: message.to_vec() };
            self.send(&subject, &batch, None, waiting).await?;
        }
        Ok(())
    }

    /// Publishes one message, however long the bus takes. With `newest` the last message on the subject must be the
    /// one at that place, which came there at that time; returns the new one's place.
    pub(super) async fn send<M: prost::Message>(
        &self,
        subject: &Subject,
        message: &M,
        newest: Option<(u64, i64)>,
        waiting: &[Delivery<v1::ExecutionBatch>],
    ) -> Result<u64, Telling> {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            let error = match self.attempt(subject, message, newest).await {
                Ok(place) => return Ok(place),
                Err(PublishError::Fenced { .. }) => return Err(Telling::Gap),
                Err(error) => error,
            };
            if self.context.is_stopping() {
                return Err(Telling::Stopped);
            }
            warn!("what is committed waits for the bus: {error}");
            // A store that was wiped has no streams either.
            for stream in [Stream::Ledger, Stream::Executions, Stream::Alerts] {
                let _ = self.bus.apply_stream(stream).await;
            }
            for delivery in waiting {
                delivery.in_progress().await;
            }
            backoff.wait().await;
        }
    }

    pub(super) async fn attempt<M: prost::Message>(
        &self,
        subject: &Subject,
        message: &M,
        newest: Option<(u64, i64)>,
    ) -> Result<u64, PublishError> {
        let options = PublishOptions {
            // A fact told again must not be dropped as a repeat: the id names this message.
            message_id: uuid::Uuid::now_v7().to_string().into(),
            expected_last_subject_sequence: newest.map(|(place, _)| place),
            last_on_subject_micros: newest.map_or(0, |(_, came_at)| came_at),
            ..PublishOptions::default()
        };
        self.bus.publish(subject, message, &options, self.limits.patience).await
    }
}

/// Messages that fit, with all of `facts` in their order.
pub(super) fn messages_of(mut facts: Vec<v1::LedgerFact>, bytes_max: usize) -> Vec<v1::LedgerFactBatch> {
    let mut messages = Vec::new();
    while !facts.is_empty() {
        let (fitting, _) = cut(&facts, bytes_max);
        let rest = facts.split_off(fitting.len());
        messages.push(v1::LedgerFactBatch { facts: std::mem::replace(&mut facts, rest), told_up_to: 0 });
    }
    messages
}

/// The first `parts` that fit into `bytes_max`, and the rest; a larger one goes alone.
fn cut<M: prost::Message>(parts: &[M], bytes_max: usize) -> (&[M], &[M]) {
    let mut bytes = 0;
    let fits = parts.iter().take_while(|part| {
        bytes += part.encoded_len() + 8;
        bytes <= bytes_max
    });
    parts.split_at(fits.count().max(1).min(parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_cut_into_messages_that_fit() {
        let fact = v1::LedgerFact { sequence: 1, ..v1::LedgerFact::default() };
        let facts = vec![fact; 5];
        let first = |bytes_max| cut(&facts, bytes_max).0.len();
        assert_eq!([first(20), first(1), first(1_000)], [2, 1, 5]);
        assert_eq!(cut(&facts, 20).1.len(), 3);
        assert_eq!(cut::<v1::LedgerFact>(&[], 10).0.len(), 0);
        let lengths =
            |bytes_max| messages_of(facts.clone(), bytes_max).iter().map(|m| m.facts.len()).collect::<Vec<_>>();
        assert_eq!((lengths(20), lengths(1_000)), (vec![2, 2, 1], vec![5]));
    }
}
