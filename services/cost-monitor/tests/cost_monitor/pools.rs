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
    let told = tokio::time::timeout(PATIENCE, facts.next()).await?.context("a fact")?;
    ensure!(told.subject == "pool.swing.line-up", "{}", told.subject);
    let lined_up = v1::PoolLinedUp::decode(told.payload)?;
    ensure!((lined_up.places, lined_up.strategy_share_max_ppm) == (2, 300_000), "{lined_up:?}");
    let changes: Vec<_> = lined_up
        .changes
        .iter()
        .map(|c| (c.agent_id.as_str(), c.is_active, c.rank.as_str(), c.observed, c.limit))
        .collect();
    let active = |id| (id, true, "TESTING", 0, 0);
    let benched = |id| (id, false, "TESTING", 3, 2);
    ensure!(changes == [active("s0"), active("s1"), benched("s2"), benched("s3"), benched("s4")], "{changes:?}");
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
    let bench =
        |id: &str| v1::BenchedAgent { agent_id: id.into(), why: "NO_PLACE".into(), ..v1::BenchedAgent::default() };
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

/// A trade of `agent` on the account of its own; position and cash after it, in whole units.
fn traded(agent: &str, sequence: i64, [quantity, realized, fees, cash]: [i64; 4], at_micros: i64) -> v1::LedgerFact {
    let (unit, account_id) = (1_000_000, format!("agent-{agent}"));
    let account = v1::Account {
        account_id: account_id.clone(),
        currency: "USD".into(),
        cash_micros: cash * unit,
        ..v1::Account::default()
    };
    let position = v1::Position {
        instrument_id: "EURUSD".into(),
        quantity_micros: quantity * unit,
        average_price_micros: unit,
        realized_pnl_micros: realized * unit,
        fee_micros: fees * unit,
        margin_micros: 0,
    };
    let trade = v1::Trade {
        account_id: account_id.clone(),
        filled_quantity_micros: unit,
        fee_micros: unit,
        cash_change_micros: -unit,
        ..v1::Trade::default()
    };
    v1::LedgerFact {
        meta: Some(v1::Meta { occurred_at_micros: at_micros, ..v1::Meta::default() }),
        sequence,
        kind: Some(v1::ledger_fact::Kind::Trade(v1::TradePosted {
            trade: Some(trade),
            agent_id: agent.into(),
            ..v1::TradePosted::default()
        })),
        balances: vec![v1::BalanceChanged { account: Some(account) }],
        positions: vec![v1::PositionChanged { account_id, position: Some(position), account_version: 1 }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_shown_what_it_can_do_has_a_place_before_others_and_more_capital() -> anyhow::Result<()> {
    const DAY: i64 = 86_400_000_000;
    let rig = Rig::new(Spans::default()).await?;
    for number in 0..5 {
        put_agent(&rig, &format!("s{number}"), v1::Strategy::Swing, "4h").await?;
    }
    // s4 wins 40 times in a row of days, s3 has traded once.
    let began = tragen_host::clock::now_micros() - 40 * DAY;
    let mut facts = vec![traded("s3", 1, [1, 0, 1, 9_999], began)];
    for trip in 0..40_i64 {
        let lost = if trip % 5 == 4 { 3 } else { 0 };
        let (before, at) = (10 * trip, began + trip * DAY);
        for (held, realized) in [(1, before), (0, before + 10 - lost)] {
            let sequence = i64::try_from(facts.len())? + 1;
            facts.push(traded("s4", sequence, [held, realized, sequence - 1, 10_000 + realized - sequence + 1], at));
        }
    }
    let told_up_to = i64::try_from(facts.len())?;
    rig.publish(Subject::LedgerFacts(0), &v1::LedgerFactBatch { facts, told_up_to }).await?;
    rig.start_with(Config { scores_interval_ms: 50, ..config() }).await?;
    let state = pool_when(&rig, "s4 is placed by its score", |state| {
        state.placed.iter().any(|agent| agent.agent_id == "s4" && agent.rank == "HIGH_PERFORMER")
    })
    .await?;
    let score = state.placed.iter().find(|agent| agent.agent_id == "s4").and_then(|agent| agent.score_ppm);
    ensure!(score.is_some_and(|ppm| ppm >= 800_000), "{state:?}");
    ensure!(state.ranks.iter().map(|rank| (rank.agents, rank.capital_ppm)).eq([
        (1, 400_000),
        (0, 400_000),
        (1, 200_000)
    ]));
    let parts: Vec<_> = state.placed.iter().filter(|agent| agent.agent_id == "s4").map(|a| a.capital_micros).collect();
    ensure!(parts == [Some(state.capital_micros * 2 / 5)], "two fifths for the only high performer: {state:?}");

    let bucket = rig.bus.bucket(Bucket::Scores).await?;
    let started = Instant::now();
    let stored = loop {
        if let Some(bytes) = bucket.get("s4").await? {
            break v1::AgentScore::decode(bytes)?;
        }
        ensure!(started.elapsed() < PATIENCE, "the record is stored");
        tokio::task::yield_now().await;
    };
    ensure!((stored.wins + stored.losses, stored.told_up_to.get(&0)) == (40, Some(&81)), "{stored:?}");
    Ok(())
}
