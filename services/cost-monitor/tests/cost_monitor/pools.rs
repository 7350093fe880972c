//! Pools are sized by their market, and told.

use super::rig::Rig;
use anyhow::{Context as _, ensure};
use futures::{FutureExt as _, StreamExt as _};
use prost::Message as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tragen_bus::{Ask, Bucket, StartAt, Stream, Subject};
use tragen_contracts::v1;
use tragen_cost_monitor::{Config, PoolConfig, PoolFigure};
use tragen_domain::{id::InstrumentId, market::Timeframe};
use tragen_host::trace::Spans;

const PATIENCE: Duration = Duration::from_secs(20);

fn config() -> Config {
    let pool = PoolConfig {
        pool: "swing".into(),
        agents_min: 2,
        agents_max: 4,
        metric: PoolFigure::TrendStrength,
        instrument: "EURUSD".into(),
        timeframe: "1m".into(),
    };
    Config { pools: vec![pool], pools_interval_ms: 50, ..Config::default() }
}

async fn put_agent(rig: &Rig, id: &str, strategy: v1::Strategy, timeframe: &str) -> anyhow::Result<()> {
    let agent = v1::Agent {
        agent_id: id.into(),
        strategy: strategy.into(),
        instrument_ids: vec!["EURUSD".into()],
        timeframe: timeframe.into(),
        risk_tolerance: 5,
        max_trades_per_day: 10,
        account_id: format!("agent-{id}"),
        is_enabled: true,
        ..v1::Agent::default()
    };
    rig.bus.bucket(Bucket::Agents).await?.put(id, agent.encode_to_vec().into()).await?;
    Ok(())
}

/// A market that climbs: after enough bars its direction is as clear as can be.
async fn climb(rig: &Rig, bars: i64) -> anyhow::Result<()> {
    for number in 0..bars {
        let close = 1_100_000 + number * 1_000;
        let bar = v1::Bar {
            instrument_id: "EURUSD".into(),
            timeframe: "1m".into(),
            start_micros: number * 60_000_000,
            bid_open_micros: close,
            bid_high_micros: close + 500,
            bid_low_micros: close - 500,
            bid_close_micros: close,
            ask_open_micros: close,
            ask_high_micros: close + 500,
            ask_low_micros: close - 500,
            ask_close_micros: close,
            published_at_micros: 1,
        };
        let subject = Subject::Bar(Timeframe::Minute1, InstrumentId::new("EURUSD")?);
        rig.publish(subject, &bar).await?;
    }
    Ok(())
}

/// The pool once `is_reached`.
async fn pool_when(
    rig: &Rig,
    what: &str,
    is_reached: impl Fn(&v1::PoolState) -> bool,
) -> anyhow::Result<v1::PoolState> {
    let (started, bucket) = (Instant::now(), rig.bus.bucket(Bucket::Pools).await?);
    loop {
        let state = bucket.get("swing").await?.map(v1::PoolState::decode).transpose()?.unwrap_or_default();
        if is_reached(&state) {
            return Ok(state);
        }
        ensure!(started.elapsed() < PATIENCE, "{what}: {state:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_begins_small_grows_with_its_market_and_says_why() -> anyhow::Result<()> {
    let rig = Rig::new(Spans::default()).await?;
    let mut facts = rig.bus.follow(&rig.context, Stream::Pools, "", StartAt::Beginning).await?;
    for number in 0..5 {
        put_agent(&rig, &format!("s{number}"), v1::Strategy::Swing, "4h").await?;
    }
    put_agent(&rig, "free", v1::Strategy::Scalper, "1m").await?;
    rig.bus.bucket(Bucket::Pools).await?.put("forgotten", v1::PoolState::default().encode_to_vec().into()).await?;
    rig.start_with(config()).await?;
    let state = pool_when(&rig, "five are known", |state| state.enabled == 5).await?;
    let sized = state.sized.clone().context("a size")?;
    ensure!((sized.target, sized.agents, sized.why.as_str()) == (2, 2, "NO_METRIC"), "{sized:?}");
    let benched: Vec<&str> = state.benched.iter().map(|agent| agent.agent_id.as_str()).collect();
    ensure!((state.active, benched.as_slice()) == (2, &["s2", "s3", "s4"]), "{state:?}");
    ensure!(state.benched.iter().all(|agent| agent.why == "NO_PLACE"), "{state:?}");
    let keys: Vec<_> = rig.bus.bucket(Bucket::Pools).await?.keys().await?.collect().await;
    ensure!(keys.len() == 1, "a pool that nobody sizes is taken away: {keys:?}");

    let told = tokio::time::timeout(PATIENCE, facts.next()).await?.context("a fact")?;
    ensure!(told.subject == "pool.swing", "{}", told.subject);
    let first = v1::PoolSized::decode(told.payload)?;
    ensure!((first.target, first.previous_target, first.metric_ppm) == (2, None, None), "{first:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_monitor_goes_on_from_the_size_it_left() -> anyhow::Result<()> {
    let rig = Rig::new(Spans::default()).await?;
    for number in 0..5 {
        put_agent(&rig, &format!("s{number}"), v1::Strategy::Swing, "4h").await?;
    }
    climb(&rig, 60).await?;
    // Left six minutes ago with two places, of which s3 and s4 had one each.
    let bench = |id: &str| v1::BenchedAgent { agent_id: id.into(), why: "NO_PLACE".into() };
    let left_at = tragen_host::clock::now_micros() - 360_000_000;
    let sized = v1::PoolSized { target: 2, target_set_at_micros: left_at, agents: 2, ..v1::PoolSized::default() };
    let benched = vec![bench("s0"), bench("s1"), bench("s2")];
    let left = v1::PoolState { sized: Some(sized), benched, ..v1::PoolState::default() };
    rig.bus.bucket(Bucket::Pools).await?.put("swing", left.encode_to_vec().into()).await?;
    rig.start_with(config()).await?;
    let grown = pool_when(&rig, "the pool grows", |state| state.sized.as_ref().is_some_and(|s| s.target == 4)).await?;
    let sized = grown.sized.clone().context("a size")?;
    ensure!((sized.why.as_str(), sized.metric_ppm) == ("METRIC", Some(1_000_000)), "{sized:?}");
    ensure!((sized.previous_target, sized.previous_set_at_micros) == (Some(2), left_at), "{sized:?}");
    let state = pool_when(&rig, "four are active", |state| state.active == 4).await?;
    let benched: Vec<&str> = state.benched.iter().map(|agent| agent.agent_id.as_str()).collect();
    ensure!(benched == ["s2"], "those that traded keep their places: {benched:?}");
    Ok(())
}

/// The guard, which has so much of its memory left for pools, parts per million.
async fn guard_says(rig: &Rig, capacity_ppm: &Arc<AtomicI64>) -> anyhow::Result<()> {
    let capacity = Arc::clone(capacity_ppm);
    rig.bus
        .answer(&rig.context, Ask::Guard, move |_: v1::GuardQuestion| {
            let capacity_ppm = capacity.load(Ordering::SeqCst);
            let state = v1::GetRiskStateResponse { capacity_ppm, ..v1::GetRiskStateResponse::default() };
            async move { v1::GuardAnswer { answer: Some(v1::guard_answer::Answer::State(state)) } }.boxed()
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_guard_is_short_of_memory_pools_have_four_fifths() -> anyhow::Result<()> {
    let rig = Rig::new(Spans::default()).await?;
    for number in 0..6 {
        put_agent(&rig, &format!("s{number}"), v1::Strategy::Swing, "4h").await?;
    }
    let capacity_ppm = Arc::new(AtomicI64::new(1_000_000));
    guard_says(&rig, &capacity_ppm).await?;
    let mut config = config();
    (config.pools[0].agents_min, config.pools[0].agents_max) = (5, 10);
    rig.start_with(config).await?;
    let is_active = |count| move |state: &v1::PoolState| state.active == count;
    pool_when(&rig, "all of the target are active", is_active(5)).await?;
    capacity_ppm.store(800_000, Ordering::SeqCst);
    let state = pool_when(&rig, "four fifths are active", is_active(4)).await?;
    let sized = state.sized.clone().context("a size")?;
    ensure!((sized.target, sized.agents) == (5, 4), "the target is as it was: {sized:?}");
    capacity_ppm.store(1_000_000, Ordering::SeqCst);
    pool_when(&rig, "all are active again", is_active(5)).await?;
    Ok(())
}
