//! Money on its way between shards: what a shard has sent and the other one does
//! not have is handed on again, once the receiver's slot is at rest. So the loss of the bus loses no money, and a
//! receiver that has it already changes nothing.

use crate::{
    facts, metrics as names,
    publish::HandedOn,
    slot::Directory,
    store::{Books, StoreError, rows::CashRow},
};
use metrics::counter;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{debug, warn};
use tragen_bus::{Bus, PublishOptions, Stream, Subject};
use tragen_contracts::v1;
use tragen_host::{Context, clock::now_micros};
use uuid::Uuid;

/// How often is looked; what is younger than that is on its way.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a payment that was handed on again has time to arrive; twice as long after each time.
const PATIENCE: Duration = Duration::from_secs(10);
/// But never longer.
const PATIENCE_MAX: Duration = Duration::from_secs(3_600);
/// Movements looked at in one go.
const PAGE: i64 = 1_000;
/// How far back is looked at first: as long as the bus keeps what is handed on.
const LOOK_BACK_MICROS: i64 = 7 * 24 * 3_600_000_000;

/// Looks after what one shard sends, for one term of its owner.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    /// The books of all shards, by number.
    pub(crate) books: Arc<[Books]>,
    pub(crate) shard: u16,
    pub(crate) directory: Directory,
}

/// How far it is known what has arrived.
#[derive(Debug, Default)]
struct Seen {
    /// Everything up to this fact has arrived.
    arrived: Option<i64>,
    /// Everything up to this fact has had time to.
    due: i64,
    /// What was handed on again, and has not arrived yet.
    handed_on: HashMap<Uuid, Again>,
}

/// How often, and when, a payment was handed on again.
#[derive(Debug)]
struct Again {
    at: Instant,
    times: u32,
    patience: Duration,
}

impl Arrivals {
    /// Works until the shard is given up.
    pub(crate) async fn watch(self) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = self.context.stopped();
        tokio::pin!(stopped);
        let mut seen = Seen::default();
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                _ = tick.tick() => {}
            }
            let looked = tokio::select! {
                () = &mut stopped => return Ok(()),
                looked = self.look(&mut seen) => looked,
            };
            if let Err(error) = looked {
                debug!("looking for what shard {} has sent: {:#}", self.shard, anyhow::Error::new(error));
            }
        }
    }

    async fn look(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let Some(own) = self.books.get(usize::from(self.shard)) else { return Ok(()) };
        let mut after = match seen.arrived {
            Some(arrived) => arrived,
            None => own.fact_before(now_micros() - LOOK_BACK_MICROS).await?,
        };
        let newest = own.fact_sequence().await?;
        let (mut missing, mut is_complete) = (Vec::new(), true);
        loop {
            let sent = own.sent(after, seen.due, PAGE).await?;
            let unseen = self.unseen(&sent).await;
            // Up to the first that has not arrived, all have.
            is_complete = is_complete && unseen.is_empty();
            let is_last = i64::try_from(sent.len()).unwrap_or(PAGE) < PAGE;
            after = if is_last { after.max(seen.due) } else { sent.last().map_or(after, |row| row.fact_sequence) };
            if is_complete {
                seen.arrived = Some(after);
            } else if let Some(first) = unseen.first().filter(|_| missing.is_empty()) {
                seen.arrived = Some(seen.arrived.unwrap_or_default().max(first.fact_sequence - 1));
            }
            missing.extend(unseen);
            if is_last || i64::try_from(missing.len()).unwrap_or(i64::MAX) >= 10 * PAGE {
                break;
            }
        }
        seen.due = newest;
        let still: HashSet<Uuid> = missing.iter().map(|row| row.trade_id).collect();
        seen.handed_on.retain(|trade_id, _| still.contains(trade_id));
        self.hand_on(missing, &mut seen.handed_on).await;
        Ok(())
    }

    /// What of `sent` no shard has seen that keeps or has kept the receiver. A shard that does not
    /// answer has not seen it, for all we know: another look will tell.
    async fn unseen(&self, sent: &[CashRow]) -> Vec<CashRow> {
        let mut asked: HashMap<u16, Vec<Uuid>> = HashMap::new();
        for row in sent {
            let kept = self.directory.shards_of(&row.counterparty_account_id);
            let shards: HashSet<u16> = kept.into_iter().chain(u16::try_from(row.counterparty_shard)).collect();
            for shard in shards {
                asked.entry(shard).or_default().push(facts::arrival_of(row));
            }
        }
        let mut arrived = HashSet::new();
        for (shard, ids) in asked {
            let Some(books) = self.books.get(usize::from(shard)) else { continue };
            match books.seen_cash(&ids).await {
                Ok(ids) => arrived.extend(ids),
                Err(error) => debug!("shard {shard} does not say what has arrived: {error}"),
            }
        }
        sent.iter().filter(|row| !arrived.contains(&facts::arrival_of(row))).cloned().collect()
    }

    async fn hand_on(&self, missing: Vec<CashRow>, handed_on: &mut HashMap<Uuid, Again>) {
        // Where a slot is leaving, what was handed on waits already: once more would only be more that waits.
        let is_due = |row: &CashRow| {
            let is_patient = handed_on.get(&row.trade_id).is_some_and(|again| again.at.elapsed() <= again.patience);
            !is_patient && self.directory.is_at_rest(&row.counterparty_account_id)
        };
        let due: Vec<CashRow> = missing.into_iter().filter(is_due).collect();
        if due.is_empty() {
            return;
        }
        warn!("{} payments of shard {} have not arrived and are handed on again", due.len(), self.shard);
        let reports: Vec<HandedOn> = facts::arrivals(self.shard, &due);
        let _ = self.bus.apply_stream(Stream::Executions).await;
        for ((shard, venue, report), row) in reports.into_iter().zip(&due) {
            let times = handed_on.get(&row.trade_id).map_or(0, |again| again.times);
            let batch = v1::ExecutionBatch { reports: vec![report] };
            let subject = Subject::ExecutionsFor { venue, shard };
            let options = PublishOptions {
                message_id: format!("{}/{times}", facts::arrival_of(row)).into(),
                ..PublishOptions::default()
            };
            if let Err(error) = self.bus.publish(&subject, &batch, &options, Duration::from_secs(2)).await {
                debug!("handing on again: {error}");
                return;
            }
            counter!(names::HANDED_ON).increment(1);
            let patience = PATIENCE.saturating_mul(1 << times.min(9)).min(PATIENCE_MAX);
            handed_on.insert(row.trade_id, Again { at: Instant::now(), times: times + 1, patience });
        }
    }
}
