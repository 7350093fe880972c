//! After the commit: hand on what belongs to other shards, tell the facts, answer
//! deposits, then take the reports off the bus. What the bus loses, because its
//! store was wiped, set back or damaged, is told again from the books, in its
//! order. However much that is, nobody waits for it: what is committed meanwhile
//! is told ahead to whoever listens, and comes to the stream at its place.

mod losses;
mod outlet;
mod stream;

use crate::store::Books;
use losses::{Losses, watch_losses};
use outlet::Outlet;
use std::{sync::Arc, time::Duration};
use stream::FactStream;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use tragen_bus::{Bus, Delivery, PublishOptions, Severity, Subject};
use tragen_contracts::v1;
use tragen_host::{Context, clock::now_micros, failpoint};

const HOUR_MICROS: i64 = 3_600_000_000;

/// A report for another shard, and the name of the venue it came from.
pub(crate) type HandedOn = (u16, String, v1::ExecutionReport);

/// A committed batch on its way out.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// Sequences ascending.
    pub(crate) facts: Vec<v1::LedgerFact>,
    /// The newest sequence the store has given out.
    pub(crate) fact_sequence: i64,
    /// For other shards.
    pub(crate) handed_on: Vec<HandedOn>,
    /// For a person.
    pub(crate) alerts: Vec<v1::Alert>,
    /// To be answered once the facts are out.
    pub(crate) replies: Vec<(oneshot::Sender<v1::LedgerAnswer>, v1::LedgerAnswer)>,
    /// To be acked at the very end.
    pub(crate) deliveries: Vec<Delivery<v1::ExecutionBatch>>,
}

/// Bounds of publishing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most encoded bytes of one message.
    pub(crate) message_bytes_max: usize,
    /// How long one attempt may take.
    pub(crate) patience: Duration,
    /// How much of the past is told again to a bus that has nothing, hours.
    pub(crate) retell_hours: i64,
}

/// Tells the facts of one shard.
#[derive(Debug)]
pub(crate) struct Publisher {
    queue: mpsc::Receiver<Committed>,
    outlet: Outlet,
    stream: FactStream,
}

/// How telling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// All is on the bus.
    Done,
    /// The bus does not end where it did: nothing was told, and something is missing there.
    Gap,
    /// The shard is given up.
    Stopped,
}

impl Publisher {
    /// For one term of the shard's owner, which begins after the fact `committed_before`.
    pub(crate) fn new(
        context: Context,
        bus: Bus,
        books: Books,
        queue: mpsc::Receiver<Committed>,
        limits: Limits,
        committed_before: i64,
    ) -> Self {
        let outlet = Outlet { context, bus, shard: books.shard, limits };
        // What the writer commits from now on comes through the queue.
        let stream = FactStream::new(outlet.clone(), books, committed_before);
        Self { queue, outlet, stream }
    }

    /// Publishes committed batches until the writer is gone. Before anything new it
    /// tells what was committed but perhaps never told.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let Outlet { context, bus, shard, limits } = &self.outlet;
        let mut losses = watch_losses(context, bus, *shard, limits.retell_hours);
        let (mut known, mut is_watching) = (Losses::default(), true);
        let mut is_cut_off = !self.tell_lost(false).await;
        loop {
            let committed = tokio::select! {
                biased;
                changed = losses.changed(), if is_watching && !is_cut_off => {
                    is_watching = changed.is_ok();
                    if is_watching {
                        let seen = *losses.borrow_and_update();
                        let is_damaged = seen.gaps > known.gaps;
                        known = seen;
                        is_cut_off = !self.tell_lost(is_damaged).await;
                    }
                    continue;
                }
                committed = self.queue.recv() => committed,
            };
            let Some(committed) = committed else { return Ok(()) };
            if is_cut_off {
                // Stopping without a bus: the facts are told again by whoever starts next, in their order.
                committed.give_back().await;
                continue;
            }
            is_cut_off = match self.publish(committed).await {
                Telling::Done => false,
                Telling::Gap => !self.tell_lost(false).await,
                Telling::Stopped => true,
            };
        }
    }

    async fn publish(&mut self, mut committed: Committed) -> Telling {
        failpoint::pass("before_publish");
        // First: facts that are told are not looked at again, what they tell of must be on its way by then.
        if !self.outlet.hand_on(&committed).await {
            committed.give_back().await;
            return Telling::Stopped;
        }
        failpoint::pass("after_hand_on_before_facts");
        let (shard, due) = (self.outlet.shard, self.stream.due_up_to());
        // A message says that everything up to its last fact was told, and nobody looks again at what is below. So
        // what is committed and comes in no batch is read from the books.
        let told = if is_gapless(due, &committed.facts, committed.newest()) {
            self.stream.tell_batch(&mut committed).await
        } else {
            warn!("facts after {due} of shard {shard} come from the books: no batch told them");
            Telling::Gap
        };
        match told {
            Telling::Done => self.outlet.close(committed).await,
            Telling::Gap => self.outlet.tell_ahead(committed, &self.stream.due_up_to).await,
            Telling::Stopped => committed.give_back().await,
        }
        told
    }

    /// Tells again what the bus does not have, after taking away what `is_damaged`. Meanwhile what is committed is told
    /// ahead. False when the shard is given up before all is out.
    async fn tell_lost(&mut self, is_damaged: bool) -> bool {
        let due_up_to = Arc::clone(&self.stream.due_up_to);
        let telling = self.stream.tell_lost(is_damaged);
        tokio::pin!(telling);
        let mut is_open = true;
        loop {
            let committed = tokio::select! {
                biased;
                is_told = &mut telling => return is_told,
                committed = self.queue.recv(), if is_open => committed,
            };
            is_open = committed.is_some();
            let Some(committed) = committed else { continue };
            if self.outlet.hand_on(&committed).await {
                self.outlet.tell_ahead(committed, &due_up_to).await;
            } else {
                committed.give_back().await;
            }
        }
    }
}

impl Committed {
    /// The newest fact there is with it.
    fn newest(&self) -> i64 {
        self.facts.last().map_or(0, |fact| fact.sequence).max(self.fact_sequence)
    }

    /// Lets its reports be delivered again, also to another process.
    async fn give_back(self) {
        for delivery in &self.deliveries {
            delivery.retry(Duration::ZERO).await;
        }
    }
}

/// Calls a person; once, as far as the bus allows: an alert is not worth waiting for.
pub(crate) async fn raise(bus: &Bus, alert: &v1::Alert) {
    let severity = match alert.severity() {
        v1::AlertSeverity::Critical => Severity::Critical,
        v1::AlertSeverity::Warning | v1::AlertSeverity::Unspecified => Severity::Warning,
    };
    let options = PublishOptions { message_id: alert.alert_id.clone().into(), ..PublishOptions::default() };
    let subject = Subject::Alert(severity, code_of(alert));
    if let Err(error) = bus.publish(&subject, alert, &options, Duration::from_secs(1)).await {
        warn!("raising alert {}: {error}", alert.code);
    }
}

/// Alerts of the ledger, by code.
pub(crate) mod code {
    /// A report could not be booked.
    pub(crate) const REPORT_SET_ASIDE: &str = "LEDGER_REPORT_SET_ASIDE";
    /// An account could not cover a payment.
    pub(crate) const ACCOUNT_FROZEN: &str = "LEDGER_ACCOUNT_FROZEN";
    /// What two operators wanted to be booked is refused.
    pub(crate) const BOOKING_REFUSED: &str = "LEDGER_BOOKING_REFUSED";
    /// Reconciliation found a difference in money.
    pub(crate) const BALANCE_MISMATCH: &str = "LEDGER_BALANCE_MISMATCH";
    /// Reconciliation found something else that does not agree.
    pub(crate) const MISMATCH: &str = "LEDGER_MISMATCH";
    /// All of them.
    pub(crate) const ALL: [&str; 5] = [REPORT_SET_ASIDE, ACCOUNT_FROZEN, BOOKING_REFUSED, BALANCE_MISMATCH, MISMATCH];
}

fn code_of(alert: &v1::Alert) -> &'static str {
    code::ALL.into_iter().find(|code| *code == alert.code).unwrap_or(code::MISMATCH)
}

/// An alert of the ledger about `subject`; the same `id` for a repeat of it.
pub(crate) fn alert(
    severity: v1::AlertSeverity,
    code: &'static str,
    id: &str,
    subject: &str,
    message: String,
) -> v1::Alert {
    v1::Alert {
        alert_id: format!("{code}-{id}"),
        severity: severity.into(),
        code: code.to_owned(),
        service: "ledger".to_owned(),
        message,
        subject: subject.to_owned(),
        raised_at_micros: now_micros(),
    }
}

/// Whether `facts` have every sequence after `told` up to `newest`; those up to `told` are told again.
fn is_gapless(told: i64, facts: &[v1::LedgerFact], newest: i64) -> bool {
    let new = facts.iter().map(|fact| fact.sequence).filter(|sequence| *sequence > told);
    new.zip(told + 1..).try_fold(told, |_, (own, next)| (own == next).then_some(own)) == Some(told.max(newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_no_batch_tells_is_noticed() {
        let check = |told, sequences: &[i64], newest| {
            let fact = |sequence: &i64| v1::LedgerFact { sequence: *sequence, ..v1::LedgerFact::default() };
            is_gapless(told, &sequences.iter().map(fact).collect::<Vec<_>>(), newest)
        };
        assert!(check(0, &[], 0) && check(7, &[], 7) && check(7, &[8, 9], 9));
        assert!(check(7, &[3, 6, 8], 8), "told again, and told anew");
        assert!(check(7, &[3], 5), "only told again");
        assert!(!check(7, &[9], 9), "8 is missing");
        assert!(!check(7, &[8], 9), "9 is missing");
        assert!(!check(7, &[], 8));
    }
}
