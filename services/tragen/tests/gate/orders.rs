//! What users ask a worker for, in the router's place.

use crate::load::{INSTRUMENT, key};
use std::time::Duration;
use tragen_bus::{Bus, PublishOptions, Subject};
use tragen_contracts::v1;
use tragen_domain::tier::Tier;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for one contract each, `count` in a message; the trades.
pub(crate) async fn request(bus: &Bus, first: usize, count: usize) -> Vec<String> {
    let requests: Vec<v1::TradeRequested> = (first..first + count).map(requested).collect();
    let trade_of = |request: &v1::TradeRequested| request.key.as_ref().expect("a key").trade_id.clone();
    let trades = requests.iter().map(trade_of).collect();
    let batch = v1::TradeRequestedBatch { requests };
    let subject = Subject::TradeRequests(Tier::Standard);
    bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
    trades
}

fn requested(number: usize) -> v1::TradeRequested {
    let key = key(number, Uuid::now_v7().to_string());
    let order = v1::OrderIntent {
        instrument_id: INSTRUMENT.into(),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: 1_000_000,
        limit_price_micros: 520_000,
        time_in_force: v1::TimeInForce::Ioc.into(),
        ..v1::OrderIntent::default()
    };
    v1::TradeRequested {
        meta: Some(v1::Meta { event_id: format!("{}-requested", key.trade_id), ..v1::Meta::default() }),
        key: Some(key),
        intent: Some(v1::trade_requested::Intent::Order(order)),
    }
}
