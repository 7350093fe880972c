//! Keeps the bets up: reads what was stored, hears of matches and instruments, stores what has changed, answers.
//! The facts come from the one reader of the ledger ([`crate::scores`]).

use super::SharedBets;
use crate::{config::Config, kept, metrics as names};
use futures::FutureExt as _;
use metrics::{counter, gauge};
use prost::Message as _;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::warn;
use tragen_bus::{Ask, Bucket, Bus, Follower, StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::{instrument::Instrument, market::Match};
use tragen_host::Context;

/// Where they are kept, and what they are called.
const KEPT: (Bucket, &str) = (Bucket::Bets, "bets");
/// Matches in one answer.
const PAGE_MAX: usize = 100;
/// How long the matches and instruments that exist may take to be read.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// How long a stream that may be empty is waited for: the first message of one that is not comes at once.
const EMPTY_PATIENCE: Duration = Duration::from_millis(200);
/// How long storing everything may take while the process stops.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Reads what is known, and keeps it up until the process stops. The matches of the bus are known when it returns.
///
/// # Errors
/// When the bucket or the market cannot be read, or the question cannot be subscribed.
pub(crate) async fn start(context: &Context, bus: &Bus, config: &Config) -> anyhow::Result<SharedBets> {
    let bets = SharedBets::new(config.bet_matches_max);
    kept::read_stored(bus, KEPT, |stored| bets.lock().restore(stored)).await?;
    let mut instruments = bus.follow(context, Stream::Market, "md.instrument.>", StartAt::NewestOfEach).await?;
    let mut matches = bus.follow(context, Stream::Market, "md.match.>", StartAt::NewestOfEach).await?;
    if bus.newest(Stream::Market).await?.is_some() {
        read_first(&mut instruments, |payload| hear_instrument(&bets, payload)).await;
        read_first(&mut matches, |payload| hear_match(&bets, payload)).await;
    }
    let asked = bets.clone();
    bus.answer(context, Ask::Bets, move |question: v1::BetsQuestion| {
        let answer = asked.lock().page(&question, PAGE_MAX);
        std::future::ready(answer).boxed()
    })
    .await?;
    let every = Duration::from_millis(config.scores_interval_ms);
    let (kept, bus, own) = (bets.clone(), bus.clone(), context.clone());
    context.spawn("bets", async move {
        let stopped = own.stopped();
        tokio::pin!(stopped);
        let mut turn = tokio::time::interval(every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                Some(told) = instruments.next() => hear_instrument(&kept, &told.payload),
                Some(game) = matches.next() => hear_match(&kept, &game.payload),
                _ = turn.tick() => store(&bus, &kept).await,
            }
        }
        if tokio::time::timeout(LAST_PATIENCE, store(&bus, &kept)).await.is_err() {
            warn!("not all bets were stored: the rest is counted again from the facts");
        }
        Ok(())
    });
    Ok(bets)
}

/// Reads what exists now, so that few purchases have to wait. What comes later is heard of while the process runs.
async fn read_first(follower: &mut Follower, mut hear: impl FnMut(&[u8])) {
    let end = Instant::now() + FIRST_PATIENCE;
    let mut patience = EMPTY_PATIENCE;
    while let Ok(Some(message)) = tokio::time::timeout_at(end.min(Instant::now() + patience), follower.next()).await {
        hear(&message.payload);
        if message.pending == 0 {
            return;
        }
        patience = FIRST_PATIENCE;
    }
}

fn hear_instrument(bets: &SharedBets, payload: &[u8]) {
    let instrument = v1::Instrument::decode(payload).ok().and_then(|wire| Instrument::try_from(&wire).ok());
    match instrument {
        Some(instrument) => bets.lock().hear_instrument(instrument),
        None => counter!(names::MALFORMED, "kind" => "instrument").increment(1),
    }
}

fn hear_match(bets: &SharedBets, payload: &[u8]) {
    let game = v1::Match::decode(payload).ok().and_then(|wire| Match::try_from(&wire).ok());
    match game {
        Some(game) => bets.lock().hear_match(&game),
        None => counter!(names::MALFORMED, "kind" => "match").increment(1),
    }
}

/// Stores what has changed and forgets what was dropped; what fails is tried again at the next turn.
async fn store(bus: &Bus, bets: &SharedBets) {
    let changes = {
        let mut bets = bets.lock();
        gauge!(names::BET_MATCHES).set(f64::from(u32::try_from(bets.count()).unwrap_or(u32::MAX)));
        bets.take_changes()
    };
    let failed = kept::store(bus, KEPT, changes).await;
    bets.lock().keep_changes(&failed);
}
