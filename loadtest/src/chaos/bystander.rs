//! A user who has nothing to do with a fault: reads his account and places small orders all the time, at fixed
//! times, whatever becomes of those before. What he feels in a fault's window is held against quiet times.

use super::deposit::deposit;
use crate::{
    crowd::{Issuer, Role, Tier},
    target::Account,
};
use anyhow::Context as _;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tonic::transport::{Channel, Endpoint};
use tragen_contracts::v1::{self, accounts_client::AccountsClient, trading_client::TradingClient};
use uuid::Uuid;

/// Who it is.
const NAME: &str = "chaos-bystander";
/// From one question to the next.
const EVERY: Duration = Duration::from_millis(40);
/// Each of so many is an order.
const ORDER_ONE_OF: u64 = 5;
/// Questions with the same token: it lasts longer than they take.
const TOKEN_FOR: u64 = 10_000;
const FUNDS_MICROS: i64 = 1_000_000_000;
/// How long one may take; longer counts as never.
const ATTEMPT_MAX: Duration = Duration::from_secs(4);
/// Questions on their way at most; more are not asked, and count as never answered.
const IN_FLIGHT_MAX: usize = 256;
/// Samples kept: 27 hours.
const SAMPLES_MAX: usize = 2_500_000;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// The account.
    Read,
    /// An order that finds no price and is canceled: through guard, venue and ledger.
    Order,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) asked: Asked,
    /// When it should have started.
    pub(super) at: Instant,
    /// From then to the answer; `None` without one.
    pub(super) took: Option<Duration>,
}

/// Asks until it is ended.
#[derive(Debug)]
pub(super) struct Bystander {
    samples: Arc<Mutex<Vec<Sample>>>,
    asking: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct User {
    channel: Channel,
    account: Account,
    instrument_id: String,
    lowest_price_micros: i64,
    quantity_micros: i64,
}

impl Bystander {
    /// Trades `instrument`.
    pub(super) async fn start(endpoint: &str, issuer: &Issuer, instrument: &v1::Instrument) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(endpoint.to_owned()).context("the API's address")?.connect_lazy();
        let (issuer, instrument) = (issuer.clone(), instrument.clone());
        let first = User::new(&channel, &issuer, &instrument)?;
        deposit(&first.channel, &first.account, FUNDS_MICROS).await.context("the bystander's deposit")?;
        let samples: Arc<Mutex<Vec<Sample>>> = Arc::default();
        let kept = Arc::clone(&samples);
        let asking = tokio::spawn(async move {
            let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
            let mut beat = interval(EVERY);
            // All of them: what comes late has waited.
            beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut user = Some(first);
            let mut number: u64 = 0;
            loop {
                let at = beat.tick().await.into_std();
                if number % TOKEN_FOR == TOKEN_FOR - 1 {
                    user = User::new(&channel, &issuer, &instrument).ok();
                }
                let asked = if number.is_multiple_of(ORDER_ONE_OF) { Asked::Order } else { Asked::Read };
                number += 1;
                let (slot, kept, user) = (Arc::clone(&slots).try_acquire_owned().ok(), Arc::clone(&kept), user.clone());
                tokio::spawn(async move {
                    let is_answered =
                        if let (Some(_), Some(user)) = (&slot, user) { user.ask(asked).await } else { false };
                    let took = is_answered.then(|| at.elapsed());
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() < SAMPLES_MAX {
                        kept.push(Sample { asked, at, took });
                    }
                });
            }
        });
        Ok(Self { samples, asking })
    }

    /// Everything that was asked, in no order.
    pub(super) fn end(self) -> Vec<Sample> {
        self.asking.abort();
        std::mem::take(&mut self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl User {
    fn new(channel: &Channel, issuer: &Issuer, instrument: &v1::Instrument) -> anyhow::Result<Self> {
        Ok(Self {
            channel: channel.clone(),
            account: Account::new(NAME, &issuer.issue(NAME, Tier::Premium, Role::Trader)?)?,
            instrument_id: instrument.instrument_id.clone(),
            lowest_price_micros: instrument.min_price_micros,
            quantity_micros: instrument.min_quantity_micros.max(instrument.lot_micros),
        })
    }

    /// Whether there was an answer in time.
    async fn ask(&self, asked: Asked) -> bool {
        let asking = async {
            match asked {
                Asked::Read => {
                    let request = self.account.request(v1::GetAccountRequest::default(), ATTEMPT_MAX);
                    AccountsClient::new(self.channel.clone()).get_account(request).await.is_ok()
                }
                Asked::Order => {
                    let order = v1::OrderIntent {
                        instrument_id: self.instrument_id.clone(),
                        side: v1::Side::Buy.into(),
                        order_type: v1::OrderType::Limit.into(),
                        quantity_micros: self.quantity_micros,
                        limit_price_micros: self.lowest_price_micros,
                        time_in_force: v1::TimeInForce::Ioc.into(),
                        ..v1::OrderIntent::default()
                    };
                    let intent = Some(v1::place_trade_request::Intent::Order(order));
                    let request = v1::PlaceTradeRequest { request_id: Uuid::now_v7().to_string(), intent };
                    let request = self.account.request(request, ATTEMPT_MAX);
                    TradingClient::new(self.channel.clone()).place_trade(request).await.is_ok()
                }
            }
        };
        tokio::time::timeout(ATTEMPT_MAX, asking).await.unwrap_or(false)
    }
}
