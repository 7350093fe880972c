//! After the commit: hand on what belongs to other shards, tell the facts, answer
//! deposits, then take the reports off the bus. What the bus loses, because its
//! store was wiped, set back or damaged, is told again from the books, in its
//! order. However much that is, nobody waits for it: what is committed meanwhile
//! is told ahead to whoever listens, and comes to the stream at its place.

mod losses;
mod outlet;
mod stream;

use crate::store::Books;
use losses::{Loss, Losses, watch_losses};
use outlet::Outlet;
use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};
use stream::FactStream;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;
use tragen_bus::{Bus, Delivery, PublishOptions, Severity, Subject};
use tragen_contracts::v1;
use tragen_host::{Context, clock::now_micros, failpoint};

const HOUR_MICROS: i64 = 3_600_000_000;
/// A person is called when the stream is behind the books for longer.
const BEHIND_MAX: Duration = Duration::from_secs(60);

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
    /// To be answered once the facts are out, or sure to be.
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
    /// Not all is, and what is missing comes from the books: the bus does not end where it did, does not take facts,
    /// or nothing has them but the books.
    Gap,
    /// The shard is given up.
    Stopped,
}

/// How far the stream is behind the books while what it lacks is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// At most by one reading: what is committed waits for its turn.
    Near,
    /// For longer: what is committed is told ahead.
    Behind,
    /// Not any more, or the shard is given up.
    Over,
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
        let mut is_cut_off = !self.catch_up(Loss::End).await;
        loop {
            let committed = tokio::select! {
                biased;
                changed = losses.changed(), if is_watching && !is_cut_off => {
                    is_watching = changed.is_ok();
                    if is_watching {
                        let seen = *losses.borrow_and_update();
                        let loss = if seen.gaps > known.gaps { Loss::Middle } else { Loss::End };
                        known = seen;
                        is_cut_off = !self.catch_up(loss).await;
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
                Telling::Gap => !self.catch_up(Loss::End).await,
                Telling::Stopped => true,
            };
        }
    }

    async fn publish(&mut self, mut committed: Committed) -> Telling {
        failpoint::pass("before_publish");
        // First: facts that are told are not looked at again, what they tell of must be on its way by then.
        if !self.outlet.hand_on(&committed.handed_on, &committed.deliveries).await {
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

    /// Tells what the bus does not have. While that is much, what is committed is told ahead. False when the shard is
    /// given up before all is out.
    async fn catch_up(&mut self, loss: Loss) -> bool {
        let Self { queue, outlet, stream } = self;
        let due_up_to = Arc::clone(&stream.due_up_to);
        let (pace, seen) = watch::channel(Pace::Near);
        let telling = async {
            let is_told = stream.tell_lost(loss, &pace).await;
            pace.send_replace(Pace::Over);
            is_told
        };
        // Beside each other: neither waits for the bus with the other one.
        let going_ahead = go_ahead(queue, outlet, &due_up_to, seen.clone());
        let (is_told, is_handed_on, ()) = tokio::join!(telling, going_ahead, call_when_late(outlet, seen));
        is_told && is_handed_on
    }
}

/// Calls a person when it takes long.
async fn call_when_late(outlet: &Outlet, mut pace: watch::Receiver<Pace>) {
    if tokio::time::timeout(BEHIND_MAX, pace.wait_for(|pace| *pace == Pace::Over)).await.is_ok() {
        return;
    }
    let shard = outlet.shard;
    let message = format!(
        "the stream lacks facts of shard {shard} for {} s now: who reads it is behind the books",
        BEHIND_MAX.as_secs()
    );
    let id = format!("{shard}-{}", now_micros());
    let alert = alert(v1::AlertSeverity::Warning, code::FACTS_BEHIND, &id, &format!("shard {shard}"), message);
    raise(&outlet.bus, &alert).await;
}

/// Takes what is committed as long as the stream is behind. False when the shard is given up before all of it was
/// handed on.
async fn go_ahead(
    queue: &mut mpsc::Receiver<Committed>,
    outlet: &Outlet,
    due_up_to: &AtomicI64,
    mut pace: watch::Receiver<Pace>,
) -> bool {
    let (mut is_open, mut is_cut_off) = (true, false);
    loop {
        let now = *pace.borrow_and_update();
        let committed = match now {
            Pace::Over => return !is_cut_off,
            Pace::Near => {
                let _ = pace.changed().await;
                continue;
            }
            Pace::Behind => tokio::select! {
                biased;
                _ = pace.changed() => continue,
                committed = queue.recv(), if is_open => committed,
            },
        };
        is_open = committed.is_some();
        let Some(committed) = committed else { continue };
        // What comes after something that was not handed on is given back as well: it stays in order.
        is_cut_off = is_cut_off || !outlet.hand_on(&committed.handed_on, &committed.deliveries).await;
        if is_cut_off {
            committed.give_back().await;
        } else {
            outlet.tell_ahead(committed, due_up_to).await;
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
    /// For a while now facts are committed faster than the bus takes them, or it takes none.
    pub(crate) const FACTS_BEHIND: &str = "LEDGER_FACTS_BEHIND";
    /// Reconciliation found a difference in money.
    pub(crate) const BALANCE_MISMATCH: &str = "LEDGER_BALANCE_MISMATCH";
    /// Reconciliation found something else that does not agree.
    pub(crate) const MISMATCH: &str = "LEDGER_MISMATCH";
    /// All of them.
    pub(crate) const ALL: [&str; 6] =
        [REPORT_SET_ASIDE, ACCOUNT_FROZEN, BOOKING_REFUSED, FACTS_BEHIND, BALANCE_MISMATCH, MISMATCH];
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
