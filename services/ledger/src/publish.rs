//! After the commit: hand on what belongs to other shards, tell the facts, answer
//! deposits, then take the reports off the bus. What the bus loses, because its
//! store was wiped, set back or damaged, is told again from the books.

mod losses;
mod reading;

use crate::{metrics as names, slot::slot_of, store::Books};
use losses::{Losses, watch_losses};
use metrics::{counter, gauge};
use prost::Message as _;
use reading::read_ahead;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};
use tragen_bus::{Bus, Delivery, PublishError, PublishOptions, Severity, Stream, Subject};
use tragen_contracts::v1;
use tragen_host::{Context, clock::now_micros, failpoint, retry::Backoff};

/// So often in a row the bus may end elsewhere than it says, before what it has of us is taken away.
const GAPS_MAX: u32 = 5;
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
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    pub(crate) books: Books,
    pub(crate) queue: mpsc::Receiver<Committed>,
    pub(crate) limits: Limits,
    /// Every fact up to this one should be on the bus: it was told, or committed before this term.
    told_up_to: i64,
    /// Where on the stream the newest of our messages is, and when it came there, microseconds since the epoch; 0 when
    /// there is none.
    newest_on_bus: (u64, i64),
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
    pub(crate) const fn new(
        context: Context,
        bus: Bus,
        books: Books,
        queue: mpsc::Receiver<Committed>,
        limits: Limits,
        committed_before: i64,
    ) -> Self {
        // What the writer commits from now on comes through the queue.
        Self { context, bus, books, queue, limits, told_up_to: committed_before, newest_on_bus: (0, 0) }
    }

    /// Publishes committed batches until the writer is gone. Before anything new it
    /// tells what was committed but perhaps never told.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut losses = watch_losses(&self.context, &self.bus, self.books.shard, self.limits.retell_hours);
        let (mut known, mut is_watching) = (Losses::default(), true);
        let mut is_cut_off = !self.tell_lost().await;
        loop {
            let committed = tokio::select! {
                biased;
                changed = losses.changed(), if is_watching && !is_cut_off => {
                    is_watching = changed.is_ok();
                    if is_watching {
                        let seen = *losses.borrow_and_update();
                        let is_gap = seen.gaps > known.gaps;
                        known = seen;
                        is_cut_off = is_gap && !self.clear().await || !self.tell_lost().await;
                    }
                    continue;
                }
                committed = self.queue.recv() => committed,
            };
            let Some(mut committed) = committed else { return Ok(()) };
            is_cut_off = is_cut_off || !self.publish(&mut committed).await;
            if is_cut_off {
                // Stopping without a bus: the facts are told again by whoever starts next, in their order.
                for delivery in &committed.deliveries {
                    delivery.retry(Duration::ZERO).await;
                }
                continue;
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
    }

    /// False only when the shard is given up before everything is out.
    async fn publish(&mut self, committed: &mut Committed) -> bool {
        failpoint::pass("before_publish");
        // First: facts that are told are not looked at again, what they tell of must be on its way by then.
        if !self.hand_on(&committed.handed_on, &committed.deliveries).await {
            return false;
        }
        failpoint::pass("after_hand_on_before_facts");
        let newest = committed.facts.last().map_or(0, |fact| fact.sequence).max(committed.fact_sequence);
        if !self.tell_passed_over(&committed.facts, newest).await {
            return false;
        }
        let mut messages = messages_of(std::mem::take(&mut committed.facts), self.limits.message_bytes_max);
        loop {
            match self.tell(&mut messages, newest, false, &committed.deliveries).await {
                Telling::Done => break,
                Telling::Stopped => return false,
                Telling::Gap => {
                    if !self.tell_lost().await {
                        return false;
                    }
                }
            }
        }
        for alert in &committed.alerts {
            raise(&self.bus, alert).await;
        }
        true
    }

    /// A message says that everything up to its last fact was told, and nobody looks again at what is below. So what
    /// is committed and comes in no batch is read from the books before. False when the shard is given up.
    async fn tell_passed_over(&mut self, facts: &[v1::LedgerFact], newest: i64) -> bool {
        if is_gapless(self.told_up_to, facts, newest) {
            return true;
        }
        warn!("facts after {} of shard {} come from the books: no batch told them", self.told_up_to, self.books.shard);
        loop {
            match self.tell_between(self.told_up_to, newest).await {
                Telling::Done => return true,
                Telling::Stopped => return false,
                Telling::Gap => {
                    if !self.tell_lost().await {
                        return false;
                    }
                }
            }
        }
    }

    /// Publishes facts; with them everything up to `sequence` is told.
    async fn tell(
        &mut self,
        messages: &mut [v1::LedgerFactBatch],
        sequence: i64,
        is_again: bool,
        waiting: &[Delivery<v1::ExecutionBatch>],
    ) -> Telling {
        let last = messages.len().saturating_sub(1);
        for (place, message) in messages.iter_mut().enumerate() {
            let newest = if place == last { sequence } else { message.facts.last().map_or(0, |fact| fact.sequence) };
            // What is told again says how far it has come, not how far it was.
            message.told_up_to = if is_again { newest } else { self.told_up_to.max(newest) };
            let subject = Subject::LedgerFacts(self.books.shard);
            match self.send(&subject, message, Some(self.newest_on_bus), waiting).await {
                Ok(place) => self.newest_on_bus = (place, now_micros()),
                Err(other) => return other,
            }
            self.told_up_to = self.told_up_to.max(message.told_up_to);
            failpoint::pass("between_fact_messages");
            counter!(names::FACTS).increment(u64::try_from(message.facts.len()).unwrap_or(0));
        }
        gauge!(names::PUBLISHED, "shard" => self.books.shard.to_string())
            .set(f64::from(u32::try_from(self.told_up_to).unwrap_or(u32::MAX)));
        Telling::Done
    }

    /// Sends on what belongs to other shards. What one slot gets stays in order, and in messages of
    /// its own: where a slot waits to move, no other one waits with it.
    async fn hand_on(&self, reports: &[HandedOn], waiting: &[Delivery<v1::ExecutionBatch>]) -> bool {
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

    /// Publishes one message, however long the bus takes; returns its place on the stream. With `newest`
    /// the last message on the subject must be the one at that place, which came there at that time.
    async fn send<M: prost::Message>(
        &self,
        subject: &Subject,
        message: &M,
        newest: Option<(u64, i64)>,
        waiting: &[Delivery<v1::ExecutionBatch>],
    ) -> Result<u64, Telling> {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            let options = PublishOptions {
                // A fact told again must not be dropped as a repeat: the id names this message.
                message_id: uuid::Uuid::now_v7().to_string().into(),
                expected_last_subject_sequence: newest.map(|(place, _)| place),
                last_on_subject_micros: newest.map_or(0, |(_, came_at)| came_at),
                ..PublishOptions::default()
            };
            let error = match self.bus.publish(subject, message, &options, self.limits.patience).await {
                Ok(place) => return Ok(place),
                Err(PublishError::Fenced { .. }) => return Err(Telling::Gap),
                Err(error) => error,
            };
            if self.context.is_stopping() {
                return Err(Telling::Stopped);
            }
            warn!("committed facts wait for the bus: {error}");
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

    /// Takes what the bus still has of our facts away: what is told again must not stand behind what came later,
    /// where nobody looks for it. False when the shard is given up before that is done.
    async fn clear(&self) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        while let Err(error) = self.bus.clear(Stream::Ledger, &Subject::LedgerFacts(self.books.shard)).await {
            if self.context.is_stopping() {
                return false;
            }
            warn!("taking damaged facts off the bus: {:#}", anyhow::Error::new(error));
            let _ = self.bus.apply_stream(Stream::Ledger).await;
            backoff.wait().await;
        }
        true
    }

    /// Tells again what the bus does not have; false when the shard is given up before that is done.
    async fn tell_lost(&mut self) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut gaps = 0;
        loop {
            match self.find_lost().await {
                Ok((after, newest)) => match self.tell_between(after, newest).await {
                    Telling::Done => return true,
                    Telling::Stopped => return false,
                    // Whoever owns the shard now tells it, and would take what somebody else tells for damage.
                    Telling::Gap if self.context.is_stopping() => return false,
                    Telling::Gap => {
                        gaps += 1;
                        // Its newest message cannot be read, and still it is counted as the last one.
                        if gaps % GAPS_MAX == 0 && !self.clear().await {
                            return false;
                        }
                    }
                },
                Err(error) => {
                    if self.context.is_stopping() {
                        return false;
                    }
                    warn!("asking the bus which facts it has: {error:#}");
                    let _ = self.bus.apply_stream(Stream::Ledger).await;
                }
            }
            backoff.wait().await;
        }
    }

    /// The last fact the bus surely has, and the last one it should have.
    async fn find_lost(&mut self) -> anyhow::Result<(i64, i64)> {
        let message = self.bus.newest_on(Stream::Ledger, &Subject::LedgerFacts(self.books.shard)).await?;
        let (newest_on_bus, has) = match message {
            Some((place, payload, came_at)) => ((place, came_at), v1::LedgerFactBatch::decode(payload)?.told_up_to),
            None => ((0, 0), 0),
        };
        self.newest_on_bus = newest_on_bus;
        let newest = self.told_up_to;
        // Where the bus has nothing, it had all that is old; where it has something, it has it up to there.
        let since = now_micros() - self.limits.retell_hours * HOUR_MICROS;
        let after = if has == 0 && newest > 0 { self.books.fact_before(since).await? } else { has };
        Ok((after, newest))
    }

    async fn tell_between(&mut self, after: i64, newest: i64) -> Telling {
        if after >= newest {
            return Telling::Done;
        }
        info!("telling the facts {} to {newest} of shard {} again", after + 1, self.books.shard);
        let mut parts = read_ahead(&self.context, &self.books, (after, newest), self.limits.message_bytes_max);
        while let Some(mut part) = parts.recv().await {
            // Whoever has the shard next tells the rest: what two tell at once, each takes for damage of the other's.
            if self.context.is_stopping() {
                break;
            }
            counter!(names::RETOLD).increment(u64::try_from(part.facts).unwrap_or(0));
            if !self.hand_on(&part.handed_on, &[]).await {
                break;
            }
            match self.tell(&mut part.messages, part.up_to, true, &[]).await {
                Telling::Done => {}
                ended @ (Telling::Gap | Telling::Stopped) => return ended,
            }
            self.told_up_to = self.told_up_to.max(part.up_to);
            if part.up_to >= newest {
                return Telling::Done;
            }
        }
        Telling::Stopped
    }
}

/// Calls a person, once: an alert is not worth waiting for. Whether the bus has stored it.
pub(crate) async fn raise(bus: &Bus, alert: &v1::Alert) -> bool {
    let severity = match alert.severity() {
        v1::AlertSeverity::Critical => Severity::Critical,
        v1::AlertSeverity::Warning | v1::AlertSeverity::Unspecified => Severity::Warning,
    };
    let options = PublishOptions { message_id: alert.alert_id.clone().into(), ..PublishOptions::default() };
    let subject = Subject::Alert(severity, code_of(alert));
    let stored = bus.publish(&subject, alert, &options, Duration::from_secs(1)).await;
    if let Err(error) = &stored {
        warn!("raising alert {}: {error}", alert.code);
    }
    stored.is_ok()
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

/// Messages that fit, with all of `facts` in their order.
fn messages_of(mut facts: Vec<v1::LedgerFact>, bytes_max: usize) -> Vec<v1::LedgerFactBatch> {
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
