//! The load itself: a closed loop keeps a number of operations in flight, an
//! open loop starts them by a schedule.

use crate::{schedule::Schedule, target::Account};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};
use tonic::{Status, transport::Channel};
use tragen_contracts::v1::{self, trading_client::TradingClient};
use uuid::Uuid;

/// A refused caller of a closed loop waits this long, so that refusals do not become a flood.
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
        /// Starts per second.
        per_second: u32,
        /// Most operations in flight; later starts wait, and their latency with them.
        in_flight_max: usize,
    },
}

/// One operation that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Index of the account.
    pub(crate) account: usize,
    pub(crate) request_id: Uuid,
    /// When it should have started: the schedule's time in an open loop.
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) answer: Result<v1::Trade, Status>,
}

/// Places orders; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Trader {
    pub(crate) accounts: Arc<[Account]>,
    pub(crate) channels: Arc<[Channel]>,
    pub(crate) instrument_id: Arc<str>,
    pub(crate) quantity_micros: i64,
    pub(crate) quotes: watch::Receiver<v1::Quote>,
    pub(crate) deadline: Duration,
    /// Numbers the operations, so that accounts, connections and sides take turns.
    pub(crate) next: Arc<AtomicU64>,
}

impl Trader {
    /// One small order at the quote: each account buys and sells in turn.
    async fn place(&self, started: Instant) -> Outcome {
        let number = usize::try_from(self.next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
        let account = number % self.accounts.len();
        let is_buy = (number / self.accounts.len()).is_multiple_of(2);
        let (side, limit_price_micros) = {
            let quote = self.quotes.borrow();
            if is_buy { (v1::Side::Buy, quote.ask_price_micros) } else { (v1::Side::Sell, quote.bid_price_micros) }
        };
        let request_id = Uuid::now_v7();
        let order = v1::OrderIntent {
            instrument_id: self.instrument_id.to_string(),
            side: side.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: self.quantity_micros,
            limit_price_micros,
            time_in_force: v1::TimeInForce::Ioc.into(),
            ..v1::OrderIntent::default()
        };
        let request = v1::PlaceTradeRequest {
            request_id: request_id.to_string(),
            intent: Some(v1::place_trade_request::Intent::Order(order)),
        };
        let mut client = TradingClient::new(self.channels[number % self.channels.len()].clone());
        let answered = client.place_trade(self.accounts[account].request(request, self.deadline)).await;
        let answer = answered
            .and_then(|answer| answer.into_inner().trade.ok_or_else(|| Status::internal("an answer without a trade")));
        Outcome { account, request_id, started, ended: Instant::now(), answer }
    }
}

/// Runs `load` for `length`; every operation's outcome goes to `outcomes`.
/// Returns how many of the scheduled operations were never started.
pub(crate) async fn run(load: Load, trader: Trader, length: Duration, outcomes: mpsc::Sender<Outcome>) -> u64 {
    match load {
        Load::Closed { in_flight } => {
            closed(in_flight, &trader, Instant::now() + length, &outcomes).await;
            0
        }
        Load::Open { per_second, in_flight_max } => {
            let schedule = Schedule::new(per_second, length);
            // Its own thread: the runtime's timer is a millisecond coarse, and its threads are busy.
            let pacing = tokio::task::spawn_blocking(move || open(schedule, in_flight_max, &trader, &outcomes));
            pacing.await.unwrap_or_else(|_| schedule.count())
        }
    }
}

async fn closed(in_flight: usize, trader: &Trader, end: Instant, outcomes: &mpsc::Sender<Outcome>) {
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (trader, outcomes) = (trader.clone(), outcomes.clone());
        callers.spawn(async move {
            loop {
                let started = Instant::now();
                if started >= end {
                    return;
                }
                let outcome = trader.place(started).await;
                let is_error = outcome.answer.is_err();
                if outcomes.send(outcome).await.is_err() {
                    return;
                }
                if is_error {
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        });
    }
    callers.join_all().await;
}

/// Starts operations by the schedule and gives up what is late by a whole deadline after its end.
fn open(schedule: Schedule, in_flight_max: usize, trader: &Trader, outcomes: &mpsc::Sender<Outcome>) -> u64 {
    let runtime = Handle::current();
    let slots = Arc::new(Semaphore::new(in_flight_max));
    let begin = Instant::now();
    let give_up = begin + schedule.length() + trader.deadline;
    let mut started = 0;
    for start in schedule.starts() {
        let intended = begin + start;
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        let Ok(slot) = runtime.block_on(Arc::clone(&slots).acquire_owned()) else { break };
        if Instant::now() > give_up {
            break;
        }
        let (trader, outcomes) = (trader.clone(), outcomes.clone());
        runtime.spawn(async move {
            let outcome = trader.place(intended).await;
            drop(slot);
            let _ = outcomes.send(outcome).await;
        });
        started += 1;
    }
    schedule.count() - started
}
