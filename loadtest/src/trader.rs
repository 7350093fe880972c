//! One operation from its start to its answer, as a careful client does it.

use crate::{
    answered::Meant,
    crowd::{Crowd, Turn},
    operation::{Mix, Operation},
    record::Recorder,
    target::Account,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tonic::{Code, Status, transport::Channel};
use tragen_contracts::v1::{self, accounts_client::AccountsClient, trading_client::TradingClient};
use uuid::Uuid;

/// One of so many orders rests, if there are cancels: a twelfth of 60 % is the 5 % that cancel.
const RESTS_ONE_OF: u64 = 12;
/// Orders that rest at a time, at most.
const RESTING_MAX: usize = 10_000;
/// Between the first two attempts of the same request; twice as long before each one after that.
const PAUSE_BEFORE_RETRY: Duration = Duration::from_millis(100);
/// But no longer, unless the platform says so: whoever asks again and again keeps it busy with nothing else.
const PAUSE_BEFORE_RETRY_MAX: Duration = Duration::from_secs(2);
/// The least that a mandate may spend, 1e-6.
const BUDGET_MICROS: i64 = 5_000_000;

/// What a mandate or an order is told, and how the client behaves.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    pub(crate) instrument_id: Arc<str>,
    pub(crate) quantity_micros: i64,
    /// The lowest price of the instrument, 1e-6; orders that rest are placed there. 0: none rests.
    pub(crate) lowest_price_micros: i64,
    /// Matches that mandates are for.
    pub(crate) matches: Arc<[String]>,
    pub(crate) mix: Mix,
    /// A request that failed in a way that may pass is repeated with the same id for so long.
    pub(crate) retry_for: Duration,
    /// Of a hundred trades so many are asked for twice at the same time, with the same id.
    pub(crate) doubled_percent: u64,
}

/// Acts; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Trader {
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) channels: Arc<[Channel]>,
    pub(crate) wishes: Wishes,
    pub(crate) quotes: watch::Receiver<v1::Quote>,
    pub(crate) deadline: Duration,
    /// Numbers the operations, so that accounts, connections and sides take turns.
    pub(crate) next: Arc<AtomicU64>,
    pub(crate) resting: Arc<Mutex<VecDeque<Resting>>>,
    pub(crate) recorder: Recorder,
}

/// An order that rests.
#[derive(Debug, Clone)]
pub(crate) struct Resting {
    pub(crate) account: usize,
    pub(crate) request_id: Uuid,
    pub(crate) trade_id: String,
}

/// One operation that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Number of the account.
    pub(crate) account: usize,
    pub(crate) operation: Operation,
    pub(crate) meant: Meant,
    /// Of the trade that was asked for or canceled; `None` for reads.
    pub(crate) request_id: Option<Uuid>,
    /// When it should have started: the schedule's time in an open loop.
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) answer: Result<Answer, Status>,
    /// Two answers to the same request that differ.
    pub(crate) contradiction: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    Trade(Box<v1::Trade>),
    Read,
}

impl Trader {
    /// The number of the next operation.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The operation with this number; `started` is when it should start.
    pub(crate) async fn act(&self, number: u64, started: Instant) -> Outcome {
        let turn = self.crowd.turn(number);
        let channel = usize::try_from(number).unwrap_or(0) % self.channels.len();
        let channel = self.channels[channel].clone();
        let operation = self.wishes.mix.pick(turn.chance);
        match operation {
            Operation::Order => self.ask(turn, (operation, self.order(turn)), channel, started).await,
            Operation::Mandate => self.ask(turn, (operation, self.mandate(turn)), channel, started).await,
            Operation::Read => self.read(turn, channel, started).await,
            Operation::Cancel => {
                let oldest = self.resting().pop_front();
                match oldest {
                    Some(resting) => self.cancel(resting, channel, started).await,
                    None => self.ask(turn, (Operation::Order, self.resting_order(turn)), channel, started).await,
                }
            }
        }
    }

    pub(crate) fn resting(&self) -> std::sync::MutexGuard<'_, VecDeque<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels what still rests, so that every trade can end.
    pub(crate) async fn clear(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        loop {
            let Some(resting) = self.resting().pop_front() else { return outcomes };
            outcomes.push(self.cancel(resting, self.channels[0].clone(), Instant::now()).await);
        }
    }

    /// A small order at the quote, or one that rests if its turn says so.
    fn order(&self, turn: Turn) -> v1::place_trade_request::Intent {
        let rests = self.wishes.mix.cancels > 0 && (turn.chance / 100).is_multiple_of(RESTS_ONE_OF);
        if rests && self.resting().len() < RESTING_MAX {
            return self.resting_order(turn);
        }
        self.executed_order(turn)
    }

    fn executed_order(&self, turn: Turn) -> v1::place_trade_request::Intent {
        let quote = self.quotes.borrow();
        let (side, limit_price_micros) = if turn.round.is_multiple_of(2) {
            (v1::Side::Buy, quote.ask_price_micros)
        } else {
            (v1::Side::Sell, quote.bid_price_micros)
        };
        self.order_at(side, limit_price_micros, v1::TimeInForce::Ioc)
    }

    fn resting_order(&self, turn: Turn) -> v1::place_trade_request::Intent {
        match self.wishes.lowest_price_micros {
            0 => self.executed_order(turn),
            lowest => self.order_at(v1::Side::Buy, lowest, v1::TimeInForce::Gtc),
        }
    }

    fn order_at(
        &self,
        side: v1::Side,
        limit_price_micros: i64,
        time_in_force: v1::TimeInForce,
    ) -> v1::place_trade_request::Intent {
        v1::place_trade_request::Intent::Order(v1::OrderIntent {
            instrument_id: self.wishes.instrument_id.to_string(),
            side: side.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: self.wishes.quantity_micros,
            limit_price_micros,
            time_in_force: time_in_force.into(),
            ..v1::OrderIntent::default()
        })
    }

    fn mandate(&self, turn: Turn) -> v1::place_trade_request::Intent {
        let matches = &self.wishes.matches;
        let place = usize::try_from(turn.chance >> 32).unwrap_or(0).checked_rem(matches.len());
        match place.and_then(|place| matches.get(place)) {
            None => self.executed_order(turn),
            Some(match_id) => v1::place_trade_request::Intent::Mandate(v1::Mandate {
                match_id: match_id.clone(),
                budget_micros: BUDGET_MICROS,
                ..v1::Mandate::default()
            }),
        }
    }

    async fn ask(
        &self,
        turn: Turn,
        (operation, intent): (Operation, v1::place_trade_request::Intent),
        channel: Channel,
        started: Instant,
    ) -> Outcome {
        let request_id = Uuid::now_v7();
        let meant = Meant::by(operation, &intent);
        let request = v1::PlaceTradeRequest { request_id: request_id.to_string(), intent: Some(intent) };
        let account = turn.account;
        self.recorder.asked((operation, meant), request_id, &request, || self.name(account)).await;
        let is_doubled = (turn.chance / 10_000) % 100 < self.wishes.doubled_percent;
        let (answer, contradiction) = if is_doubled {
            // Over two connections: the second may overtake the first.
            let other = self.channels[self.channels.len() - 1].clone();
            let (first, second) =
                tokio::join!(self.place(account, &request, channel), self.place(account, &request, other));
            let contradiction = contradiction(&first, &second);
            (first.or(second), contradiction)
        } else {
            (self.place(account, &request, channel).await, None)
        };
        if let Ok(trade) = &answer
            && trade.status() == v1::TradeStatus::Working
        {
            let trade_id = trade.trade_id.clone();
            self.resting().push_back(Resting { account, request_id, trade_id });
        }
        let answer = answer.map(|trade| Answer::Trade(Box::new(trade)));
        Outcome {
            account,
            operation,
            meant,
            request_id: Some(request_id),
            started,
            ended: Instant::now(),
            answer,
            contradiction,
        }
    }

    async fn place(
        &self,
        account: usize,
        request: &v1::PlaceTradeRequest,
        channel: Channel,
    ) -> Result<v1::Trade, Status> {
        self.persistently(|| async {
            let account = self.account(account)?;
            let mut client = TradingClient::new(channel.clone());
            let answer = client.place_trade(account.request(request.clone(), self.deadline)).await?;
            answer.into_inner().trade.ok_or_else(|| Status::internal("an answer without a trade"))
        })
        .await
    }

    async fn cancel(&self, resting: Resting, channel: Channel, started: Instant) -> Outcome {
        let Resting { account, request_id, trade_id } = resting;
        let answer = self.persistently(|| async {
            let account = self.account(account)?;
            let request = v1::CancelTradeRequest { trade_id: trade_id.clone() };
            let mut client = TradingClient::new(channel.clone());
            let answer = client.cancel_trade(account.request(request, self.deadline)).await?;
            answer.into_inner().trade.ok_or_else(|| Status::internal("an answer without a trade"))
        });
        let answer = answer.await.map(|trade| Answer::Trade(Box::new(trade)));
        Outcome {
            account,
            operation: Operation::Cancel,
            meant: Meant::Cancel,
            request_id: Some(request_id),
            started,
            ended: Instant::now(),
            answer,
            contradiction: None,
        }
    }

    /// Balances and positions in turn.
    async fn read(&self, turn: Turn, channel: Channel, started: Instant) -> Outcome {
        let is_account = (turn.chance >> 32).is_multiple_of(2);
        let answer = self.persistently(|| async {
            let account = self.account(turn.account)?;
            let mut client = AccountsClient::new(channel.clone());
            if is_account {
                client.get_account(account.request(v1::GetAccountRequest::default(), self.deadline)).await?;
            } else {
                client.list_positions(account.request(v1::ListPositionsRequest::default(), self.deadline)).await?;
            }
            Ok(Answer::Read)
        });
        let answer = answer.await;
        Outcome {
            account: turn.account,
            operation: Operation::Read,
            meant: Meant::Read,
            request_id: None,
            started,
            ended: Instant::now(),
            answer,
            contradiction: None,
        }
    }

    /// Asks again while it may help, until the client's patience ends.
    async fn persistently<T, F: Future<Output = Result<T, Status>>>(&self, ask: impl Fn() -> F) -> Result<T, Status> {
        let until = Instant::now() + self.wishes.retry_for;
        let mut attempts = 0;
        loop {
            match ask().await {
                Err(status) if may_pass(&status) && Instant::now() < until => {
                    tokio::time::sleep(pause(&status, attempts)).await;
                    attempts += 1;
                }
                answer => return answer,
            }
        }
    }

    fn account(&self, number: usize) -> Result<Account, Status> {
        self.crowd.account(number).map_err(|error| Status::internal(format!("{error:#}")))
    }

    fn name(&self, number: usize) -> String {
        self.crowd.account(number).map(|account| account.name).unwrap_or_default()
    }
}

/// Whether the same question may be answered in a moment.
pub(crate) fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::Unknown
    )
}

/// How long to wait after so many attempts that were followed by others: at least as long as the platform says.
fn pause(status: &Status, attempts: u32) -> Duration {
    let own = PAUSE_BEFORE_RETRY.saturating_mul(2_u32.saturating_pow(attempts)).min(PAUSE_BEFORE_RETRY_MAX);
    own.max(told_pause(status).unwrap_or_default())
}

/// After which time the platform says to come again.
pub(crate) fn told_pause(status: &Status) -> Option<Duration> {
    let told = status.metadata().get("grpc-retry-pushback-ms")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(told))
}

/// What is wrong about two answers to the same request.
fn contradiction(first: &Result<v1::Trade, Status>, second: &Result<v1::Trade, Status>) -> Option<String> {
    let (Ok(first), Ok(second)) = (first, second) else { return None };
    let is_same = first.trade_id == second.trade_id && first.order_id == second.order_id;
    // One may have been told a little later, when a resting order had gone on.
    let is_later = first.status() == v1::TradeStatus::Working || second.status() == v1::TradeStatus::Working;
    let is_equal = first.status == second.status && first.cash_change_micros == second.cash_change_micros;
    (!is_same || !(is_later || is_equal)).then(|| {
        format!("request {} was answered twice: {:?} and {:?}", first.request_id, first.status(), second.status())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_waits_longer_each_time_and_as_long_as_it_is_told() {
        let mut status = Status::resource_exhausted("later");
        let pauses = |status: &Status| [0, 1, 2, 5, 40].map(|attempts| pause(status, attempts).as_millis());
        assert_eq!(pauses(&status), [100, 200, 400, 2_000, 2_000]);
        status.metadata_mut().insert("grpc-retry-pushback-ms", tonic::metadata::MetadataValue::from_static("1500"));
        assert_eq!(pauses(&status), [1_500, 1_500, 1_500, 2_000, 2_000]);
    }

    #[test]
    fn two_answers_to_one_request_must_agree() {
        let trade = |status: v1::TradeStatus, cash_change_micros| {
            Ok(v1::Trade { status: status.into(), cash_change_micros, ..v1::Trade::default() })
        };
        let filled = trade(v1::TradeStatus::Filled, -5);
        assert_eq!(contradiction(&filled, &filled), None);
        assert_eq!(contradiction(&filled, &Err(Status::unavailable(""))), None);
        assert_eq!(contradiction(&trade(v1::TradeStatus::Working, 0), &trade(v1::TradeStatus::Canceled, 0)), None);
        assert!(contradiction(&filled, &trade(v1::TradeStatus::Filled, -6)).is_some());
        assert!(contradiction(&filled, &trade(v1::TradeStatus::Denied, 0)).is_some());
    }
}
