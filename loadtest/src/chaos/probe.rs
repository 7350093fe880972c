//! A client that asks for new trades after a fault until one is decided as in quiet times.

use super::{deposit::deposit, operators::Operators, world::World};
use crate::{
    crowd::{Issuer, Role, Tier},
    target::Account,
};
use anyhow::Context as _;
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};
use tragen_contracts::v1::{self, markets_client::MarketsClient, trading_client::TradingClient};
use uuid::Uuid;

/// Who asks.
const NAME: &str = "chaos-probe";
/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// After this long it is given up.
const GIVE_UP: Duration = Duration::from_secs(45);
const FUNDS_MICROS: i64 = 1_000_000_000_000;

/// Asks for trades.
#[derive(Debug)]
pub(super) struct Probe {
    channel: Channel,
    issuer: Issuer,
    instrument_id: String,
    operators: Operators,
}

impl Probe {
    pub(super) async fn new(endpoint: &str, issuer: &Issuer, instrument_id: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(endpoint.to_owned()).context("the API's address")?.connect_lazy();
        let (issuer, instrument_id) = (issuer.clone(), instrument_id.to_owned());
        let operators = Operators::new(endpoint, issuer.clone())?;
        let probe = Self { channel, issuer, instrument_id, operators };
        deposit(&probe.channel, &probe.account()?, FUNDS_MICROS).await.context("the probe's deposit")?;
        Ok(probe)
    }

    /// How long it takes until a new trade is filled; `None` if it never is. What has ended by itself is
    /// started again, and a platform that has come up halted is resumed meanwhile.
    pub(super) async fn recovered(&self, world: &mut World) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < GIVE_UP {
            if world.revive().await.is_ok()
                && self.operators.resume().await.unwrap_or(false)
                && self.trade().await.unwrap_or(false)
            {
                return Some(began.elapsed());
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// One small order at the market; whether it was filled.
    async fn trade(&self) -> anyhow::Result<bool> {
        let account = self.account()?;
        let request = v1::GetQuoteRequest { instrument_id: self.instrument_id.clone() };
        let mut markets = MarketsClient::new(self.channel.clone());
        let market = markets.get_quote(account.request(request, ATTEMPT_MAX)).await?.into_inner();
        let (quote, instrument) = (market.quote.context("no quote")?, market.instrument.context("no instrument")?);
        let order = v1::OrderIntent {
            instrument_id: self.instrument_id.clone(),
            side: v1::Side::Buy.into(),
            order_type: v1::OrderType::Limit.into(),
            quantity_micros: instrument.min_quantity_micros.max(instrument.lot_micros),
            limit_price_micros: quote.ask_price_micros,
            time_in_force: v1::TimeInForce::Ioc.into(),
            ..v1::OrderIntent::default()
        };
        let request = v1::PlaceTradeRequest {
            request_id: Uuid::now_v7().to_string(),
            intent: Some(v1::place_trade_request::Intent::Order(order)),
        };
        let mut trading = TradingClient::new(self.channel.clone());
        let answer = trading.place_trade(account.request(request, ATTEMPT_MAX)).await?.into_inner();
        Ok(answer.trade.is_some_and(|trade| match trade.status() {
            // The price may have moved away between quote and order; the venue has decided all the same.
            v1::TradeStatus::Filled | v1::TradeStatus::PartiallyFilled | v1::TradeStatus::Canceled => true,
            v1::TradeStatus::Unspecified
            | v1::TradeStatus::Pending
            | v1::TradeStatus::Working
            | v1::TradeStatus::Rejected
            | v1::TradeStatus::Denied
            | v1::TradeStatus::Expired
            | v1::TradeStatus::NoTrade => false,
        }))
    }

    fn account(&self) -> anyhow::Result<Account> {
        Account::new(NAME, &self.issuer.issue(NAME, Tier::Premium, Role::Trader)?)
    }
}
