//! Many proposers at one limit over the real bus: together they never get beyond it.

use crate::rig::{HOME, ONE, PATIENCE, Rig, key, proposal};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tragen_bus::{Bus, PublishError, PublishOptions, Source, Subject};
use tragen_contracts::v1;
use tragen_host::clock;
use tragen_risk_guard::{Config, LimitsConfig};

const PROPOSERS: u64 = 64;
/// Proposals in one message of a proposer.
const AT_ONCE: u64 = 8;
/// What each proposer's account has, dollars.
const CASH: i64 = 1_000;
/// Of the capital of all of them in one instrument, parts per million.
const SHARE_PPM: i64 = 100_000;
const ASK: i64 = 520_000;

/// How long they go on: `TRAGEN_OVERSHOOT_SECS`, else two seconds.
fn duration() -> Duration {
    let secs = std::env::var("TRAGEN_OVERSHOOT_SECS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(secs.unwrap_or(2))
}

fn account(number: u64) -> String {
    format!("house-{number:02}")
}

/// Three purchases of a few contracts to one sale of some of them.
fn order(account: &str, number: u64, chance: u64) -> v1::Proposal {
    let key = key(account, &format!("{account}-{number}"));
    let is_sale = number % 4 == 3;
    let terms = v1::OrderTerms {
        order_id: format!("{}-o", key.trade_id),
        instrument_id: HOME.into(),
        side: if is_sale { v1::Side::Sell } else { v1::Side::Buy }.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: i64::try_from(1 + chance % 40).expect("small") * ONE,
        limit_price_micros: if is_sale { 500_000 } else { ASK },
        time_in_force: v1::TimeInForce::Ioc.into(),
        expire_at_micros: 0,
        is_reduce_only: is_sale,
        is_post_only: false,
    };
    let proposed = v1::OrderProposed {
        terms: Some(terms),
        agent: "tradingAgent".into(),
        valid_until_micros: clock::now_micros() + 600_000_000,
        ..v1::OrderProposed::default()
    };
    proposal(key, v1::proposal::Kind::Order(proposed))
}

/// Proposes until `end`; how many.
async fn hammer(bus: Bus, proposer: u64, end: Instant) -> u64 {
    let account = account(proposer);
    // Knuth's MMIX generator.
    let mut chance = proposer;
    let mut next = || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chance >> 33
    };
    let mut number = 0;
    while Instant::now() < end {
        let proposals = (number..number + AT_ONCE).map(|number| order(&account, number, next())).collect();
        let batch = v1::ProposalBatch { proposals };
        let subject = Subject::Proposals(Source::Worker);
        match bus.publish(&subject, &batch, &PublishOptions::default(), PATIENCE).await {
            Ok(_) => number += AT_ONCE,
            // They are faster than the guard: whoever finds the stream full tries again.
            Err(PublishError::Full { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("not stored: {error}"),
        }
    }
    number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_proposers_never_get_beyond_one_limit() {
    let mut rig = Rig::start().await;
    for number in 0..PROPOSERS {
        rig.ledger.deposit(&account(number), CASH * ONE);
    }
    let off = ["open_risk_max_ppm", "pool_exposure_max_ppm", "timeframe_exposure_max_ppm", "day_loss_reduce_ppm"];
    let off = off.into_iter().chain(["month_loss_halt_ppm", "drawdown_halt_ppm", "agent_loss_halt_ppm"]);
    let mut rules: BTreeMap<String, i64> = off.map(|name| (name.to_owned(), 0)).collect();
    rules.insert("instrument_exposure_max_ppm".to_owned(), SHARE_PPM);
    let limits = LimitsConfig {
        house_accounts: (0..PROPOSERS).map(account).collect(),
        rules,
        repeated_orders: "off".to_owned(),
        ..LimitsConfig::default()
    };
    let guard = rig.standby(Config { limits, venue_latency_micros_max: 0, ..rig.config() });
    guard.wait_ready().await;
    rig.quote(500_000, ASK, 1_000_000_000).await;

    let end = Instant::now() + duration();
    let proposers: Vec<_> = (0..PROPOSERS).map(|number| tokio::spawn(hammer(rig.bus.clone(), number, end))).collect();
    let mut proposed = 0;
    for proposer in proposers {
        proposed += usize::try_from(proposer.await.expect("it ends")).expect("small");
    }
    // After a long run many wait; what matters is that it goes on, on a machine with other work perhaps slowly.
    let mut rounds_without = 0;
    while rig.outcomes.finished() < proposed {
        let before = rig.outcomes.finished();
        rig.outcomes.during(Duration::from_secs(2)).await;
        rounds_without = if rig.outcomes.finished() > before { 0 } else { rounds_without + 1 };
        assert!(rounds_without < 15, "{before} of {proposed} are decided, and no more for half a minute");
    }

    // Reports are in the order in which the guard has booked them.
    let (mut contracts, mut most, mut denied) = (BTreeMap::<String, i64>::new(), 0, 0);
    let mut seen = BTreeSet::new();
    let mut capital = i128::from(CASH * ONE) * i128::from(PROPOSERS);
    for report in rig.outcomes.in_order() {
        let Some(v1::execution_report::Kind::Trade(trade)) = &report.kind else { continue };
        denied +=
            usize::from(trade.denial.as_ref().map(v1::Denial::code) == Some(v1::DenialCode::InstrumentExposureLimit));
        let Some(terms) = &trade.terms else { continue };
        let account = report.key.as_ref().expect("a key").account_id.clone();
        let held = contracts.entry(account).or_default();
        // A proposal that was delivered again has its report told again.
        for fill in trade.fills.iter().filter(|fill| seen.insert(fill.execution_id.clone())) {
            match terms.side() {
                v1::Side::Buy => *held += fill.quantity_micros / ONE,
                v1::Side::Sell => {
                    let sold = fill.quantity_micros / ONE;
                    *held -= sold;
                    // What a sale loses is capital no more.
                    capital -= i128::from(sold) * i128::from(ASK - fill.price_micros);
                }
                v1::Side::Unspecified => panic!("an order without a side"),
            }
            assert!(*held >= 0, "more was sold than was held");
            capital -= i128::from(fill.fee_micros);
        }
        let invested: i128 = contracts.values().map(|held| i128::from(*held) * i128::from(ASK)).sum();
        most = most.max(invested);
        let start = i128::from(CASH * ONE) * i128::from(PROPOSERS);
        let limit = start * i128::from(SHARE_PPM) / 1_000_000;
        assert!(invested <= limit, "{invested} are in one instrument, the limit is {limit}");
    }
    // The limit was reached, and lost capital makes it smaller: nearly all of it was used.
    let limit = capital * i128::from(SHARE_PPM) / 1_000_000;
    assert!(denied > 0 && most * 10 > limit * 9, "{most} of {limit}, {denied} denied");
    println!("{proposed} proposals, {denied} denied by the limit, at most {most} of {limit} used: overshoot 0");
    guard.stop().await;
    rig.stop().await;
}
