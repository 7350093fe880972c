//! What workers would propose, and the market they would see.

use std::time::Duration;
use tragen_bus::{Bus, PublishOptions, Source, Subject};
use tragen_contracts::v1;
use tragen_domain::id::InstrumentId;
use tragen_host::clock;
use uuid::Uuid;

/// What is traded.
pub(crate) const INSTRUMENT: &str = "EPL-2026-ARS-MCI-HOME";
const ONE: i64 = 1_000_000;
const ACCOUNTS: usize = 8;
/// Proposals in one message.
pub(crate) const AT_ONCE: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

/// A market with plenty of everything, and accounts with money.
pub(crate) async fn prepare(bus: &Bus) {
    tell_market(bus).await;
    let reports = (0..ACCOUNTS).map(funds).collect();
    let batch = v1::ExecutionBatch { reports };
    bus.publish(&Subject::Executions("paper"), &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
}

/// The instrument and its quote.
pub(crate) async fn tell_market(bus: &Bus) {
    let id = InstrumentId::new(INSTRUMENT).expect("an id");
    let instrument = v1::Instrument {
        instrument_id: INSTRUMENT.into(),
        name: "Arsenal".into(),
        settlement_style: v1::SettlementStyle::Prediction.into(),
        currency: "USD".into(),
        tick_micros: 10_000,
        lot_micros: ONE,
        min_quantity_micros: ONE,
        max_quantity_micros: 10_000 * ONE,
        min_price_micros: 10_000,
        max_price_micros: 990_000,
        initial_margin_ppm: 0,
        taker_fee_ppm: 30_000,
        status: v1::InstrumentStatus::Open.into(),
        match_id: "EPL-2026-ARS-MCI".into(),
        outcome: "HOME".into(),
        max_quote_age_ms: 600_000,
    };
    let quote = v1::Quote {
        instrument_id: INSTRUMENT.into(),
        bid_price_micros: 500_000,
        bid_quantity_micros: 1_000_000 * ONE,
        ask_price_micros: 520_000,
        ask_quantity_micros: 1_000_000 * ONE,
        last_price_micros: 0,
        event_time_micros: clock::now_micros(),
        published_at_micros: clock::now_micros(),
    };
    let options = PublishOptions::default();
    bus.publish(&Subject::Instrument(id.clone()), &instrument, &options, PATIENCE).await.expect("stored");
    bus.publish(&Subject::Quote(id), &quote, &options, PATIENCE).await.expect("stored");
}

fn funds(number: usize) -> v1::ExecutionReport {
    let key = key(number, Uuid::now_v7().to_string());
    let adjustment = v1::Adjustment {
        account_id: key.account_id.clone(),
        currency: "USD".to_owned(),
        amount_micros: 1_000_000 * ONE,
    };
    let booking = v1::Booking {
        kind: Some(v1::booking::Kind::Adjustment(adjustment)),
        reason: "to trade with".to_owned(),
        proposed_by: "one".to_owned(),
        confirmed_by: "two".to_owned(),
    };
    v1::ExecutionReport {
        meta: Some(v1::Meta { event_id: Uuid::now_v7().to_string(), ..v1::Meta::default() }),
        key: Some(key),
        kind: Some(v1::execution_report::Kind::Booking(booking)),
    }
}

/// Of one of the accounts with money.
pub(crate) fn key(number: usize, request_id: String) -> v1::TradeKey {
    let account_id = format!("account-{}", number % ACCOUNTS);
    v1::TradeKey {
        trade_id: tragen_contracts::trade_id(&account_id, &request_id).to_string(),
        request_id,
        account_id,
        tier: v1::Tier::Standard.into(),
        payload_hash: vec![1; 32].into(),
        created_at_micros: clock::now_micros(),
    }
}

/// Proposes to buy one contract each, [`AT_ONCE`] in a message; the trades.
pub(crate) async fn propose(bus: &Bus, first: usize) -> Vec<String> {
    let proposals: Vec<v1::Proposal> = (first..first + AT_ONCE).map(proposal).collect();
    let trade_of = |proposal: &v1::Proposal| proposal.key.as_ref().expect("a key").trade_id.clone();
    let trades = proposals.iter().map(trade_of).collect();
    let batch = v1::ProposalBatch { proposals };
    let subject = Subject::Proposals(Source::Worker);
    bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await.expect("stored");
    trades
}

fn proposal(number: usize) -> v1::Proposal {
    let key = key(number, Uuid::now_v7().to_string());
    let terms = v1::OrderTerms {
        order_id: format!("{}-o", key.trade_id),
        instrument_id: INSTRUMENT.into(),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: ONE,
        limit_price_micros: 520_000,
        time_in_force: v1::TimeInForce::Ioc.into(),
        expire_at_micros: 0,
        is_reduce_only: false,
        is_post_only: false,
    };
    let proposed = v1::OrderProposed {
        terms: Some(terms),
        agent: "tradingAgent".into(),
        valid_until_micros: clock::now_micros() + 600_000_000,
        ..v1::OrderProposed::default()
    };
    v1::Proposal {
        meta: Some(v1::Meta { event_id: format!("{}-proposed", key.trade_id), ..v1::Meta::default() }),
        key: Some(key),
        kind: Some(v1::proposal::Kind::Order(proposed)),
    }
}
