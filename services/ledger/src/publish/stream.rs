//! The facts of a shard on their stream: each message expects the one before it, so
//! that what is missing is noticed, and told again from the books.

use super::{
    Committed, HOUR_MICROS, Pace, Telling,
    losses::Loss,
    outlet::{Outlet, messages_of},
};
use crate::{facts, metrics as names, store::Books};
use metrics::{counter, gauge};
use prost::Message as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tracing::{info, warn};
use tragen_bus::{PublishError, Stream, Subject};
use tragen_contracts::v1;
use tragen_host::{clock::now_micros, failpoint, retry::Backoff};

/// Facts read at once.
const READ_MAX: i64 = 1_000;
/// So often in a row the bus may end elsewhere than it says, before what it has of us is taken away.
const GAPS_MAX: u32 = 5;

/// The facts of the shard on their stream.
#[derive(Debug)]
pub(super) struct FactStream {
    outlet: Outlet,
    books: Books,
    /// Every fact up to this one should be on the bus: it was told, or what was committed is to be read from the books.
    pub(super) due_up_to: Arc<AtomicI64>,
    /// Where on the stream the newest of our messages is, and when it came there, microseconds since the epoch; 0 when
    /// there is none.
    newest_on_bus: (u64, i64),
}

impl FactStream {
    /// The facts up to `committed_before` are committed already.
    pub(super) fn new(outlet: Outlet, books: Books, committed_before: i64) -> Self {
        Self { outlet, books, due_up_to: Arc::new(AtomicI64::new(committed_before)), newest_on_bus: (0, 0) }
    }

    pub(super) fn due_up_to(&self) -> i64 {
        self.due_up_to.load(Ordering::Relaxed)
    }

    /// Publishes the facts of a batch. A gap as well when the bus does not take them: what it has then is not known.
    pub(super) async fn tell_batch(&mut self, committed: &mut Committed) -> Telling {
        let newest = committed.newest();
        let facts = std::mem::take(&mut committed.facts);
        let mut messages = messages_of(facts, self.outlet.limits.message_bytes_max);
        number(&mut messages, newest);
        for message in &mut messages {
            // Perhaps all of its facts are told again.
            message.told_up_to = message.told_up_to.max(self.due_up_to());
            match self.outlet.attempt(&self.subject(), message, Some(self.newest_on_bus)).await {
                Ok(place) => self.now_told(message.told_up_to, message.facts.len(), place),
                Err(error) => {
                    let is_stopping = self.outlet.context.is_stopping();
                    if !is_stopping && !matches!(error, PublishError::Fenced { .. }) {
                        warn!("committed facts wait for the bus: {error}");
                    }
                    committed.facts = messages.into_iter().flat_map(|message| message.facts).collect();
                    return if is_stopping { Telling::Stopped } else { Telling::Gap };
                }
            }
        }
        Telling::Done
    }

    /// Publishes facts from the books, however long the bus takes; with them everything up to `sequence` is told.
    async fn tell_again(
        &mut self,
        mut messages: Vec<v1::LedgerFactBatch>,
        sequence: i64,
        pace: &watch::Sender<Pace>,
    ) -> Telling {
        number(&mut messages, sequence);
        for message in &messages {
            let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
            loop {
                let error = match self.outlet.attempt(&self.subject(), message, Some(self.newest_on_bus)).await {
                    Ok(place) => {
                        self.now_told(message.told_up_to, message.facts.len(), place);
                        break;
                    }
                    Err(PublishError::Fenced { .. }) => return Telling::Gap,
                    Err(error) => error,
                };
                if self.outlet.context.is_stopping() {
                    return Telling::Stopped;
                }
                warn!("facts from the books wait for the bus: {error}");
                pace.send_replace(Pace::Behind);
                let _ = self.outlet.bus.apply_stream(Stream::Ledger).await;
                backoff.wait().await;
            }
        }
        Telling::Done
    }

    const fn subject(&self) -> Subject {
        Subject::LedgerFacts(self.outlet.shard)
    }

    fn now_told(&mut self, up_to: i64, facts: usize, place: u64) {
        self.newest_on_bus = (place, now_micros());
        self.due_up_to.fetch_max(up_to, Ordering::Relaxed);
        gauge!(names::PUBLISHED, "shard" => self.outlet.shard.to_string())
            .set(f64::from(u32::try_from(up_to).unwrap_or(u32::MAX)));
        counter!(names::FACTS).increment(u64::try_from(facts).unwrap_or(0));
        failpoint::pass("between_fact_messages");
    }

    /// Takes what the bus still has of our facts away: what is told again must not stand behind what came later,
    /// where nobody looks for it. False when the shard is given up before that is done.
    async fn clear(&self) -> bool {
        let Outlet { context, bus, shard, .. } = &self.outlet;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        while let Err(error) = bus.clear(Stream::Ledger, &Subject::LedgerFacts(*shard)).await {
            if context.is_stopping() {
                return false;
            }
            warn!("taking damaged facts off the bus: {:#}", anyhow::Error::new(error));
            let _ = bus.apply_stream(Stream::Ledger).await;
            backoff.wait().await;
        }
        true
    }

    /// Tells from the books what the bus does not have, also what becomes due meanwhile, and says in `pace` how far it
    /// is behind; false when the shard is given up before that is done.
    pub(super) async fn tell_lost(&mut self, loss: Loss, pace: &watch::Sender<Pace>) -> bool {
        if loss == Loss::Middle && !self.clear().await {
            return false;
        }
        // What is told ahead from here on was on no bus yet.
        let new_from = self.due_up_to();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut gaps = 0;
        // Another owner tells the rest, and would take it for damage if somebody else told it too.
        while !self.outlet.context.is_stopping() {
            match self.find_lost(new_from).await {
                Ok(after) => match self.tell_after(after, pace).await {
                    Telling::Done => return true,
                    Telling::Stopped => return false,
                    Telling::Gap => {
                        gaps += 1;
                        // Its newest message cannot be read, and still it is counted as the last one.
                        if gaps % GAPS_MAX == 0 && !self.clear().await {
                            return false;
                        }
                    }
                },
                Err(error) => {
                    warn!("asking the bus which facts it has: {error:#}");
                    pace.send_replace(Pace::Behind);
                    let _ = self.outlet.bus.apply_stream(Stream::Ledger).await;
                }
            }
            backoff.wait().await;
        }
        false
    }

    /// The last fact the bus surely has; of those after `new_from` it has none that it does not show.
    async fn find_lost(&mut self, new_from: i64) -> anyhow::Result<i64> {
        let Outlet { bus, shard, limits, .. } = &self.outlet;
        let message = bus.newest_on(Stream::Ledger, &Subject::LedgerFacts(*shard)).await?;
        let (newest_on_bus, has) = match message {
            Some((place, payload, came_at)) => ((place, came_at), v1::LedgerFactBatch::decode(payload)?.told_up_to),
            None => ((0, 0), 0),
        };
        self.newest_on_bus = newest_on_bus;
        if has > 0 || self.due_up_to() == 0 {
            return Ok(has);
        }
        // Where the bus has nothing, it had all that is old; where it has something, it has it up to there.
        let since = now_micros() - limits.retell_hours * HOUR_MICROS;
        Ok(self.books.fact_before(since).await?.min(new_from))
    }

    /// Tells from the books what is due after the fact `after`.
    async fn tell_after(&mut self, mut after: i64, pace: &watch::Sender<Pace>) -> Telling {
        let shard = self.outlet.shard;
        if after < self.due_up_to() {
            info!("telling the facts {} to {} of shard {shard} from the books", after + 1, self.due_up_to());
        }
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        while after < self.due_up_to() {
            if self.outlet.context.is_stopping() {
                return Telling::Stopped;
            }
            let is_near = self.due_up_to() - after <= READ_MAX;
            pace.send_replace(if is_near { Pace::Near } else { Pace::Behind });
            let to = (after + READ_MAX).min(self.due_up_to());
            match self.books.untold(after, to).await {
                Ok(known) => {
                    let sent_on = facts::arrivals(shard, &known.cash);
                    let facts = facts::of_the_past(shard, known);
                    counter!(names::RETOLD).increment(u64::try_from(facts.len()).unwrap_or(0));
                    if !self.outlet.hand_on(&sent_on, &[]).await {
                        return Telling::Stopped;
                    }
                    let messages = messages_of(facts, self.outlet.limits.message_bytes_max);
                    match self.tell_again(messages, to, pace).await {
                        Telling::Done => after = to,
                        ended @ (Telling::Gap | Telling::Stopped) => return ended,
                    }
                }
                Err(error) => {
                    warn!("reading facts to tell them again: {:#}", anyhow::Error::new(error));
                    backoff.wait().await;
                }
            }
        }
        Telling::Done
    }
}

/// How far each message tells: up to its last fact, and the last one up to `newest`.
fn number(messages: &mut [v1::LedgerFactBatch], newest: i64) {
    for message in messages.iter_mut() {
        message.told_up_to = message.facts.last().map_or(0, |fact| fact.sequence);
    }
    if let Some(last) = messages.last_mut() {
        last.told_up_to = newest;
    }
}
