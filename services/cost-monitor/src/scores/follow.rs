//! Keeps the records up: reads what was stored, follows facts and bars, stores what has changed.

use super::SharedScores;
use crate::{bar_of, bets::SharedBets, config::Config, kept, metrics as names};
use metrics::{counter, gauge};
use prost::Message as _;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tracing::warn;
use tragen_bus::{Bucket, Bus, Followed, StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::time::Timestamp;
use tragen_host::{Context, clock};

/// Where the records are kept, and what one is called.
const KEPT: (Bucket, &str) = (Bucket::Scores, "score");
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
    kept::read_stored(bus, KEPT, |stored| scores.lock().restore(stored)).await?;
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
    let (changes, count) = {
        let mut scores = scores.lock();
        (scores.take_changed(), scores.count())
    };
    gauge!(names::SCORED_AGENTS).set(f64::from(count));
    let failed = kept::store(bus, KEPT, changes).await;
    scores.lock().keep_changed(&failed);
}
