//! What agents buy before a kick-off is kept, told, and still known after a restart.

use super::rig::Rig;
use anyhow::ensure;
use prost::Message as _;
use std::time::{Duration, Instant};
use tragen_bus::{Ask, Bucket, Subject};
use tragen_contracts::v1;
use tragen_cost_monitor::Config;
use tragen_domain::id::{InstrumentId, MatchId};
use tragen_host::trace::Spans;

const PATIENCE: Duration = Duration::from_secs(20);
const MATCH: &str = "EPL-2026-ARS-MCI";
const CONTRACT: &str = "EPL-2026-ARS-MCI-HOME";
const UNIT: i64 = 1_000_000;

async fn list(rig: &Rig) -> anyhow::Result<()> {
    let contract = v1::Instrument {
        instrument_id: CONTRACT.into(),
        settlement_style: v1::SettlementStyle::Prediction.into(),
        currency: "USD".into(),
        tick_micros: 10_000,
        lot_micros: UNIT,
        min_quantity_micros: UNIT,
        max_quantity_micros: 1_000 * UNIT,
        min_price_micros: 10_000,
        max_price_micros: 990_000,
        status: v1::InstrumentStatus::Open.into(),
        match_id: MATCH.into(),
        outcome: "HOME".into(),
        ..v1::Instrument::default()
    };
    rig.publish(Subject::Instrument(InstrumentId::new(CONTRACT)?), &contract).await?;
    tell(rig, v1::MatchStatus::Scheduled, 0).await
}

async fn tell(rig: &Rig, status: v1::MatchStatus, published_at_micros: i64) -> anyhow::Result<()> {
    let game = v1::Match {
        match_id: MATCH.into(),
        home: "Arsenal".into(),
        away: "Man City".into(),
        kickoff_micros: 5_000,
        status: status.into(),
        published_at_micros,
        ..v1::Match::default()
    };
    rig.publish(Subject::Match(MatchId::new(MATCH)?), &game).await
}

/// eplScoutAgent has bought 10 contracts for 4.1 in all.
async fn buy(rig: &Rig, sequence: i64, at: i64) -> anyhow::Result<()> {
    let trade = v1::Trade {
        account_id: "alice".into(),
        instrument_id: CONTRACT.into(),
        side: v1::Side::Buy.into(),
        status: v1::TradeStatus::Filled.into(),
        filled_quantity_micros: 10 * UNIT,
        average_price_micros: 400_000,
        fee_micros: 100_000,
        agent: "eplScoutAgent".into(),
        ..v1::Trade::default()
    };
    let fact = v1::LedgerFact {
        meta: Some(v1::Meta { occurred_at_micros: at, ..v1::Meta::default() }),
        sequence,
        kind: Some(v1::ledger_fact::Kind::Trade(v1::TradePosted { trade: Some(trade), ..v1::TradePosted::default() })),
        ..v1::LedgerFact::default()
    };
    rig.publish(Subject::LedgerFacts(0), &v1::LedgerFactBatch { facts: vec![fact], told_up_to: sequence }).await
}

/// The bets on the match once `is_reached`.
async fn told_when(rig: &Rig, is_reached: impl Fn(&v1::MatchBets) -> bool) -> anyhow::Result<v1::MatchBets> {
    let started = Instant::now();
    let asked = v1::BetsQuestion { to_micros: 10_000, ..v1::BetsQuestion::default() };
    loop {
        let answer: v1::BetsAnswer = rig.bus.ask(Ask::Bets, &asked, Duration::from_secs(2)).await?;
        if let Some(own) = answer.matches.first().filter(|own| is_reached(own)) {
            return Ok(own.clone());
        }
        ensure!(started.elapsed() < PATIENCE, "waiting for bets: {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn bets_are_kept_told_and_stored() -> anyhow::Result<()> {
    let rig = Rig::new(Spans::default()).await?;
    // Known before the monitor starts: it has read the market before it counts the first fact.
    list(&rig).await?;
    buy(&rig, 1, 10).await?;
    rig.start_with(Config { scores_interval_ms: 50, ..Config::default() }).await?;
    buy(&rig, 2, 20).await?;
    let own = told_when(&rig, |own| own.bets.iter().any(|bet| bet.trades == 2)).await?;
    assert_eq!((own.bets.len(), own.has_begun), (1, false));
    assert_eq!((own.bets[0].quantity_micros, own.bets[0].paid_micros), (20 * UNIT, 8_200_000));

    tell(&rig, v1::MatchStatus::InPlay, 30).await?;
    told_when(&rig, |own| own.has_begun).await?;
    buy(&rig, 3, 40).await?;
    let own = told_when(&rig, |own| !own.late.is_empty()).await?;
    assert_eq!((own.bets[0].trades, own.late[0].trades, own.began_at_micros), (2, 1, 30));

    let bucket = rig.bus.bucket(Bucket::Bets).await?;
    let started = Instant::now();
    loop {
        let stored = bucket.get(MATCH).await?.map(v1::MatchBets::decode).transpose()?;
        if stored.as_ref() == Some(&own) {
            return Ok(());
        }
        ensure!(started.elapsed() < PATIENCE, "waiting for the bucket: {stored:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
