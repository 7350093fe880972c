//! Keeps the records up: reads what was stored, follows facts and bars, stores what has changed.

use super::SharedScores;
use crate::{bar_of, bets::SharedBets, config::Config, metrics as names};
use futures::{StreamExt as _, stream};
use metrics::{counter, gauge};
use prost::Message as _;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tracing::warn;
use tragen_bus::{Bucket, Bus, Followed, StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::time::Timestamp;
use tragen_host::{Context, clock};

/// Records stored at the same time: one fsync of the bus serves several.
const STORED_AT_ONCE: usize = 32;
/// How long storing everything may take while the process stops.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Reads the records and keeps them up until the process stops; `bets` gets the same facts.
///
/// # Errors
/// When the bucket, the facts or the bars cannot be read.
pub(crate) async fn start(
    context: &Context,
    bus: &Bus,
    config: &Config,
    bets: SharedBets,
) -> anyhow::Result<SharedScores> {
    let scores = SharedScores::new(config.scored_agents_max);
    read_stored(bus, &scores).await?;
    // From the first fact there is: what is in a record already is passed over.
    let mut facts = bus.follow(context, Stream::Ledger, "", StartAt::Beginning).await?;
    let mut bars = bus.follow(context, Stream::Bars, "", StartAt::Now).await?;
    let every = Duration::from_millis(config.scores_interval_ms);
    let (kept, bus, own) = (scores.clone(), bus.clone(), context.clone());
    context.spawn("scores", async move {
        let stopped = own.stopped();
        tokio::pin!(stopped);
        let mut turn = tokio::time::interval(every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                Some(fact) = facts.next() => take_facts(&kept, &bets, &fact),
                Some(bar) = bars.next() => take_bar(&kept, &bar),
                _ = turn.tick() => {
                    kept.lock().pass(now());
                    store(&bus, &kept).await;
                }
            }
        }
        if tokio::time::timeout(LAST_PATIENCE, store(&bus, &kept)).await.is_err() {
            warn!("not all scores were stored: the rest is counted again from the facts");
        }
        Ok(())
    });
    Ok(scores)
}

fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_micros())
}

async fn read_stored(bus: &Bus, scores: &SharedScores) -> anyhow::Result<()> {
    let bucket = bus.bucket(Bucket::Scores).await?;
    if bucket.status().await?.values() == 0 {
        return Ok(());
    }
    let mut entries = bucket.watch_with_history(">").await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let restored = v1::AgentScore::decode(entry.value.clone()).map_err(anyhow::Error::from);
        let restored = restored.and_then(|stored| scores.lock().restore(&stored).map_err(anyhow::Error::from));
        if let Err(error) = restored {
            // It is counted anew from the facts that are still there.
            counter!(names::MALFORMED, "kind" => "score").increment(1);
            warn!("the record of agent {} cannot be read: {error:#}", entry.key);
        }
        if entry.seen_current {
            break;
        }
    }
    Ok(())
}

fn take_facts(scores: &SharedScores, bets: &SharedBets, message: &Followed) {
    let shard = message.subject.rsplit('.').next().and_then(|shard| shard.parse::<u16>().ok());
    let (Some(shard), Ok(batch)) = (shard, v1::LedgerFactBatch::decode(message.payload.clone())) else {
        counter!(names::MALFORMED, "kind" => "facts").increment(1);
        return;
    };
    let mut scores = scores.lock();
    for fact in &batch.facts {
        if let Err(error) = scores.take_fact(shard, fact) {
            counter!(names::MALFORMED, "kind" => "fact").increment(1);
            warn!("fact {} of shard {shard} is not counted: {error}", fact.sequence);
        }
    }
    drop(scores);
    let mut bets = bets.lock();
    for fact in &batch.facts {
        if let Err(error) = bets.take_fact(shard, fact) {
            counter!(names::MALFORMED, "kind" => "fact").increment(1);
            warn!("fact {} of shard {shard} is no bet that can be counted: {error}", fact.sequence);
        }
    }
}

fn take_bar(scores: &SharedScores, message: &Followed) {
    if let Some(bar) = bar_of(message) {
        // Bars of the past are played as if they were of now; facts are always of now.
        scores.lock().take_bar(&bar, now());
    }
}

/// Stores what has changed; what cannot be stored is tried again at the next turn.
async fn store(bus: &Bus, scores: &SharedScores) {
    let (changed, count) = {
        let mut scores = scores.lock();
        (scores.take_changed(), scores.count())
    };
    gauge!(names::SCORED_AGENTS).set(f64::from(count));
    if changed.is_empty() {
        return;
    }
    let bucket = match bus.bucket(Bucket::Scores).await {
        Ok(bucket) => bucket,
        Err(error) => {
            warn!("scores cannot be stored now: {error}");
            changed.iter().for_each(|score| scores.lock().keep_changed(&score.agent_id));
            return;
        }
    };
    let puts = changed.into_iter().map(|score| {
        let bucket = &bucket;
        async move {
            let stored = bucket.put(score.agent_id.as_str(), score.encode_to_vec().into()).await;
            stored.err().map(|error| (score.agent_id, error))
        }
    });
    let failed: Vec<_> =
        stream::iter(puts).buffer_unordered(STORED_AT_ONCE).filter_map(std::future::ready).collect().await;
    if let Some((agent, error)) = failed.first() {
        warn!("{} scores could not be stored, e.g. of agent {agent}: {error}", failed.len());
    }
    failed.iter().for_each(|(agent, _)| scores.lock().keep_changed(agent));
}
