//! What the bus does not have any more: its store was wiped, set back or damaged.

use crate::metrics as names;
use metrics::counter;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::MissedTickBehavior};
use tracing::{debug, warn};
use tragen_bus::{Bus, Look, Stream, StreamState, Subject};
use tragen_host::{Context, clock::now_micros};

use super::HOUR_MICROS;

/// How often the bus is asked whether it still has what it had.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many of the newest messages of all shards are read when the bus has begun anew.
const READ_MAX: u64 = 1_000_000;

/// Seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Times the stream was made anew or set back: its end is missing.
    ends: u64,
    /// Times something was missing in the middle: what was told later stands in front of it.
    pub(super) gaps: u64,
}

/// Watches the facts of `shard` on the bus until nobody listens any more.
pub(super) fn watch_losses(context: &Context, bus: &Bus, shard: u16, retell_hours: i64) -> watch::Receiver<Losses> {
    let (losses, seen) = watch::channel(Losses::default());
    let losses = Arc::new(losses);
    let (own, end_bus, ends) = (context.clone(), bus.clone(), Arc::clone(&losses));
    context.spawn("ledger-bus-watch", async move {
        let stopped = own.stopped();
        tokio::select! {
            () = stopped => {}
            () = ends.closed() => {}
            () = watch_end(&end_bus, &ends) => {}
        }
        Ok(())
    });
    let (own, bus) = (context.clone(), bus.clone());
    context.spawn("ledger-bus-read", async move {
        let stopped = own.stopped();
        tokio::select! {
            () = stopped => {}
            () = losses.closed() => {}
            () = watch_middle(&bus, shard, retell_hours, &losses) => {}
        }
        Ok(())
    });
    seen
}

/// Counts the times the stream of facts was made anew or set back.
async fn watch_end(bus: &Bus, losses: &watch::Sender<Losses>) {
    let mut known: Option<StreamState> = None;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Ok(state) = bus.stream_state(Stream::Ledger).await else {
            // A stream that is gone is made anew, also when nobody has anything to tell.
            let _ = bus.apply_stream(Stream::Ledger).await;
            continue;
        };
        let is_lost = known.is_some_and(|known| {
            known.created_micros != state.created_micros || known.last_sequence > state.last_sequence
        });
        known = Some(state);
        if is_lost {
            warn!("the bus has lost facts: its store was wiped or set back");
            counter!(names::BUS_LOSSES).increment(1);
            losses.send_modify(|seen| seen.ends += 1);
        }
    }
}

/// Reads what there is each time the bus has begun anew: it may have come back with damaged files.
async fn watch_middle(bus: &Bus, shard: u16, retell_hours: i64, losses: &watch::Sender<Losses>) {
    let subject = Subject::LedgerFacts(shard);
    let mut read_of = String::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let run = bus.server_run();
        if run == read_of {
            continue;
        }
        // What is older could not be told again.
        let look = Look { messages_max: READ_MAX, since_micros: now_micros() - retell_hours * HOUR_MICROS };
        match bus.missing_on(Stream::Ledger, &subject, look).await {
            Ok(missing) => {
                read_of = run;
                // What was lost while it was away also shows at its end.
                losses.send_modify(|seen| seen.ends += 1);
                if let Some(place) = missing {
                    warn!("the bus has lost facts: message {place} of {subject} is missing, its store is damaged");
                    counter!(names::BUS_LOSSES).increment(1);
                    losses.send_modify(|seen| seen.gaps += 1);
                }
            }
            Err(error) => debug!("reading the facts on the bus: {:#}", anyhow::Error::new(error)),
        }
    }
}
