//! The load itself: a closed loop keeps a number of operations in flight, an
//! open loop starts them by a schedule.

use crate::{
    schedule::{Schedule, Shape},
    trader::{Outcome, Trader, told_pause},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

/// A refused caller of a closed loop waits this long, so that refusals do not become a flood; or as long as it is told.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// How operations are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Each of so many callers starts its next operation when the last one has ended.
    Closed {
        /// Operations in flight at any time.
        in_flight: usize,
    },
    /// Operations start at fixed times; latency counts from the intended start.
    Open {
        /// How the rate changes.
        shape: Shape,
        /// Most operations in flight; later starts wait, and their latency with them.
        in_flight_max: usize,
    },
}

impl Load {
    /// An open loop at one rate.
    #[must_use]
    pub const fn constant(per_second: u32, in_flight_max: usize) -> Self {
        Self::Open { shape: Shape::Constant { per_second }, in_flight_max }
    }

    /// The intended starts; `None` for a closed loop.
    pub(crate) fn schedule(self, warm_up: Duration, measured: Duration) -> Option<Schedule> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { shape, .. } => Some(Schedule::new(shape, warm_up, measured)),
        }
    }
}

/// Ends a load before its time: nothing new is started then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs `load` for `length` or until `stop`, by `schedule` if it is an open loop; every operation's outcome goes to
/// `outcomes`. Returns how many of the scheduled operations should have been started and never were.
pub(crate) async fn run(
    load: Load,
    (schedule, length, stop): (Option<Schedule>, Duration, Stop),
    trader: Trader,
    outcomes: mpsc::Sender<Outcome>,
) -> u64 {
    match (load, schedule) {
        (Load::Open { in_flight_max, .. }, Some(schedule)) => {
            let count = schedule.count();
            // Its own thread: the runtime's timer is a millisecond coarse, and its threads are busy.
            let pacing =
                tokio::task::spawn_blocking(move || open((&schedule, &stop), in_flight_max, &trader, &outcomes));
            pacing.await.unwrap_or(count)
        }
        (Load::Closed { in_flight } | Load::Open { in_flight_max: in_flight, .. }, _) => {
            closed(in_flight, &trader, (Instant::now() + length, &stop), &outcomes).await;
            0
        }
    }
}

async fn closed(in_flight: usize, trader: &Trader, (end, stop): (Instant, &Stop), outcomes: &mpsc::Sender<Outcome>) {
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (trader, outcomes, stop) = (trader.clone(), outcomes.clone(), stop.clone());
        callers.spawn(async move {
            loop {
                let started = Instant::now();
                if started >= end || stop.is_now() {
                    return;
                }
                let outcome = trader.act(trader.number(), started).await;
                let pause = outcome.answer.as_ref().err().map(|status| told_pause(status).unwrap_or(PAUSE_AFTER_ERROR));
                if outcomes.send(outcome).await.is_err() {
                    return;
                }
                if let Some(pause) = pause {
                    // Who is told to come tomorrow does not keep the run.
                    tokio::time::sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
                }
            }
        });
    }
    callers.join_all().await;
}

/// Starts operations by the schedule and gives up what is late by a whole deadline after its end.
fn open(
    (schedule, stop): (&Schedule, &Stop),
    in_flight_max: usize,
    trader: &Trader,
    outcomes: &mpsc::Sender<Outcome>,
) -> u64 {
    let runtime = Handle::current();
    let slots = Arc::new(Semaphore::new(in_flight_max));
    let begin = Instant::now();
    let give_up = begin + schedule.length() + trader.deadline;
    let mut started = 0;
    for start in schedule.starts() {
        let intended = begin + start;
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        if stop.is_now() {
            return 0;
        }
        let Ok(slot) = runtime.block_on(Arc::clone(&slots).acquire_owned()) else { break };
        if Instant::now() > give_up {
            break;
        }
        // Here and not in the task: turns are taken in the order of the schedule, so a seed repeats them.
        let number = trader.number();
        let (trader, outcomes) = (trader.clone(), outcomes.clone());
        runtime.spawn(async move {
            let outcome = trader.act(number, intended).await;
            drop(slot);
            let _ = outcomes.send(outcome).await;
        });
        started += 1;
    }
    schedule.count() - started
}
