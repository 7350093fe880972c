//! Money on its way between shards: what a shard has sent and the other one does
//! not have is handed on again. So the loss of the bus loses no money, and a
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
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a report that was handed on again has time to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Movements looked at in one go.
const PAGE: i64 = 1_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Looks after what one shard sends, for one term of its owner.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    /// The books of all shards, by number.
    pub(crate) books: Arc<[Books]>,
    pub(crate) shard: u16,
    pub(crate) directory: Directory,
    /// How far back is looked at first, hours.
    pub(crate) hours: i64,
}

impl Arrivals {
    /// Works until the shard is given up.
    pub(crate) async fn watch(self) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = self.context.stopped();
        tokio::pin!(stopped);
        // Everything up to `arrived` has arrived; what was there a look ago has had time to.
        let (mut arrived, mut due) = (None, 0);
        let mut handed_on: HashMap<Uuid, Instant> = HashMap::new();
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                _ = tick.tick() => {}
            }
            if let Err(error) = self.look(&mut arrived, &mut due, &mut handed_on).await {
                debug!("looking for what shard {} has sent: {:#}", self.shard, anyhow::Error::new(error));
            }
        }
    }

    async fn look(
        &self,
        arrived: &mut Option<i64>,
        due: &mut i64,
        handed_on: &mut HashMap<Uuid, Instant>,
    ) -> Result<(), StoreError> {
        let Some(own) = self.books.get(usize::from(self.shard)) else { return Ok(()) };
        let mut after = match *arrived {
            Some(after) => after,
            None => own.fact_before(now_micros() - self.hours * HOUR_MICROS).await?,
        };
        let newest = own.fact_sequence().await?;
        handed_on.retain(|_, at| at.elapsed() < PATIENCE);
        loop {
            let sent = own.sent(after, *due, PAGE).await?;
            let missing = self.missing(&sent).await?;
            let last = sent.last().map(|row| row.fact_sequence);
            let is_all = i64::try_from(sent.len()).unwrap_or(PAGE) < PAGE;
            match missing.first() {
                None => after = if is_all { after.max(*due) } else { last.unwrap_or(after) },
                Some(first) => {
                    *arrived = Some(after.max(first.fact_sequence - 1));
                    self.hand_on(missing, handed_on).await;
                    break;
                }
            }
            *arrived = Some(after);
            if is_all {
                break;
            }
        }
        *due = newest;
        Ok(())
    }

    /// What of `sent` no shard has seen that keeps or has kept the receiver.
    async fn missing(&self, sent: &[CashRow]) -> Result<Vec<CashRow>, StoreError> {
        let mut asked: HashMap<u16, Vec<Uuid>> = HashMap::new();
        for (arrival, row) in sent.iter().map(|row| (facts::arrival_of(row), row)) {
            let kept = self.directory.shards_of(&row.counterparty_account_id);
            let shards: HashSet<u16> = kept.into_iter().chain(u16::try_from(row.counterparty_shard)).collect();
            for shard in shards {
                asked.entry(shard).or_default().push(arrival);
            }
        }
        let mut arrived = HashSet::new();
        for (shard, ids) in asked {
            let Some(books) = self.books.get(usize::from(shard)) else { continue };
            arrived.extend(books.seen_cash(&ids).await?);
        }
        Ok(sent.iter().filter(|row| !arrived.contains(&facts::arrival_of(row))).cloned().collect())
    }

    async fn hand_on(&self, missing: Vec<CashRow>, handed_on: &mut HashMap<Uuid, Instant>) {
        let (patience, is_due) = (Duration::from_secs(2), |row: &CashRow| !handed_on.contains_key(&row.trade_id));
        let due: Vec<CashRow> = missing.into_iter().filter(is_due).collect();
        if due.is_empty() {
            return;
        }
        warn!("{} payments of shard {} have not arrived and are handed on again", due.len(), self.shard);
        let reports: Vec<HandedOn> = facts::arrivals(self.shard, &due);
        let _ = self.bus.apply_stream(Stream::Executions).await;
        for ((shard, venue, report), row) in reports.into_iter().zip(&due) {
            let batch = v1::ExecutionBatch { reports: vec![report] };
            let subject = Subject::ExecutionsFor { venue, shard };
            if let Err(error) = self.bus.publish(&subject, &batch, &PublishOptions::default(), patience).await {
                debug!("handing on again: {error}");
                return;
            }
            counter!(names::HANDED_ON).increment(1);
            handed_on.insert(row.trade_id, Instant::now());
        }
    }
}
