//! What the pools are sized by: the enabled agents, and the figures of the markets.

use crate::{config::SizedPool, scores::Scores};
use futures::StreamExt as _;
use prost::Message as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::sync::mpsc;
use tragen_bus::{Bucket, Bus};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::{
        bar::Ohlc,
        pool_metrics::{PoolMeter, PoolMetrics, as_ppm},
    },
    cost::pool::{
        PoolMetric,
        line_up::{Candidate, LineUp},
    },
    id::{AgentId, InstrumentId, PoolId},
    market::{self, Timeframe},
    money::Price,
    time::Timestamp,
};
use tragen_host::Context;

/// Changes of the registry that may wait.
const CHANGES_MAX: usize = 1_024;

/// An entry of the registry; without an agent it was taken away.
pub(super) type Change = (String, Option<v1::Agent>);

/// What is known.
pub(super) struct Known {
    agents: BTreeMap<AgentId, (PoolId, &'static str, Timeframe)>,
    active: BTreeSet<AgentId>,
    /// Agents that a decision of this process was about.
    decided: BTreeSet<AgentId>,
    /// Who did not trade when the process before this one ended, by pool.
    benched_before: BTreeMap<PoolId, BTreeSet<String>>,
    meters: BTreeMap<(InstrumentId, Timeframe), Meter>,
}

/// Everything that a pool's state is made of.
pub(super) struct Shown<'a> {
    pub(super) known: &'a Known,
    pub(super) scores: &'a Scores,
}

#[derive(Default)]
struct Meter {
    meter: PoolMeter,
    last_start: Option<Timestamp>,
    metrics: PoolMetrics,
}

impl Known {
    /// `stored` is how the pools were left.
    pub(super) fn new(pools: &[SizedPool], stored: &BTreeMap<PoolId, v1::PoolState>) -> Self {
        let series = pools.iter().map(|pool| ((pool.instrument.clone(), pool.timeframe), Meter::default()));
        let benched = |state: &v1::PoolState| state.benched.iter().map(|agent| agent.agent_id.clone()).collect();
        Self {
            agents: BTreeMap::new(),
            active: BTreeSet::new(),
            decided: BTreeSet::new(),
            benched_before: stored.iter().map(|(pool, state)| (pool.clone(), benched(state))).collect(),
            meters: series.collect(),
        }
    }

    pub(super) fn take_agent(&mut self, (key, agent): Change) {
        let Ok(id) = AgentId::new(&key) else { return };
        match agent.filter(|agent| agent.is_enabled).and_then(|agent| placed(&agent)) {
            Some(place) => _ = self.agents.insert(id, place),
            None => _ = self.agents.remove(&id),
        }
    }

    /// Bars of other series, and bars that were seen, change nothing.
    pub(super) fn take_bar(&mut self, bar: &market::Bar) {
        let Some(known) = self.meters.get_mut(&(bar.instrument.clone(), bar.timeframe)) else { return };
        if known.last_start.is_some_and(|last| bar.start <= last) {
            return;
        }
        known.last_start = Some(bar.start);
        let mid = |bid: Price, ask: Price| units(bid.micros()).midpoint(units(ask.micros()));
        known.metrics = known.meter.update(&Ohlc {
            open: mid(bar.bid.open, bar.ask.open),
            high: mid(bar.bid.high, bar.ask.high),
            low: mid(bar.bid.low, bar.ask.low),
            close: mid(bar.bid.close, bar.ask.close),
        });
    }

    /// The figure a pool follows.
    pub(super) fn metric_ppm(&self, pool: &SizedPool) -> Option<i64> {
        let metrics = self.meters.get(&(pool.instrument.clone(), pool.timeframe))?.metrics;
        let figure = match pool.rule.metric() {
            PoolMetric::MarketVolatility => metrics.market_volatility,
            PoolMetric::TrendStrength => metrics.trend_strength,
        };
        figure.and_then(as_ppm)
    }

    /// Every enabled agent. Those of pools without a bound trade already.
    pub(super) fn candidates(&self, places: &BTreeMap<PoolId, u32>, scores: &Scores) -> Vec<Candidate> {
        let candidate =
            |(agent, (pool, strategy, timeframe)): (&AgentId, &(PoolId, &'static str, Timeframe))| Candidate {
                agent: agent.clone(),
                pool: pool.clone(),
                strategy,
                timeframe: *timeframe,
                score_ppm: scores.score_ppm(agent),
                is_active: self.is_active(agent, pool) || !places.contains_key(pool),
            };
        self.agents.iter().map(candidate).collect()
    }

    pub(super) fn set_active(&mut self, line_up: &LineUp) {
        self.active = line_up.active.keys().cloned().collect();
        self.decided = line_up.active.keys().chain(line_up.benched.keys()).cloned().collect();
    }

    /// Whether an agent of a sized pool trades already; one that is new here may have done so before a restart.
    fn is_active(&self, agent: &AgentId, pool: &PoolId) -> bool {
        let did_before = || self.benched_before.get(pool).is_some_and(|benched| !benched.contains(agent.as_str()));
        if self.decided.contains(agent) { self.active.contains(agent) } else { did_before() }
    }

    /// Strategy and timeframe of an enabled agent.
    pub(super) fn kind_of(&self, agent: &str) -> Option<(&'static str, Timeframe)> {
        self.agents.get(agent).map(|(_, strategy, timeframe)| (*strategy, *timeframe))
    }

    /// Enabled agents of a pool.
    pub(super) fn enabled(&self, pool: &PoolId) -> usize {
        self.agents.values().filter(|(other, ..)| other == pool).count()
    }
}

/// Pool, strategy and timeframe of an agent that makes sense.
fn placed(agent: &v1::Agent) -> Option<(PoolId, &'static str, Timeframe)> {
    let style = convert::style_of(agent.strategy())?;
    let pool = if agent.pool.is_empty() { style.as_str() } else { &agent.pool };
    Some((PoolId::new(pool).ok()?, style.as_str(), Timeframe::parse(&agent.timeframe)?))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures of a market are estimates; 2^53 micros are nine thousand million"
)]
fn units(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The registry as it is: nobody is given a place before everybody is known.
pub(super) async fn read_agents(bus: &Bus) -> anyhow::Result<Vec<Change>> {
    let bucket = bus.bucket(Bucket::Agents).await?;
    let mut changes = Vec::new();
    if bucket.status().await?.values() == 0 {
        return Ok(changes);
    }
    let mut entries = bucket.watch_with_history(">").await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let is_last = entry.seen_current;
        changes.push(change(entry.key, &entry.value));
        if is_last {
            break;
        }
    }
    Ok(changes)
}

/// A deleted agent has no value.
fn change(key: String, value: &[u8]) -> Change {
    (key, v1::Agent::decode(value).ok().filter(|_| !value.is_empty()))
}

/// Follows the registry from its beginning, across reconnects.
pub(super) fn follow_agents(context: &Context, bus: &Bus) -> mpsc::Receiver<Change> {
    let (sender, changes) = mpsc::channel(CHANGES_MAX);
    let (bus, mut connections, stopped) = (bus.clone(), bus.connections(), context.stopped());
    context.spawn("pools-registry", async move {
        tokio::pin!(stopped);
        loop {
            connections.borrow_and_update();
            let read = async {
                let bucket = bus.bucket(Bucket::Agents).await?;
                let mut entries = bucket.watch_with_history(">").await?;
                while let Some(entry) = entries.next().await {
                    let entry = entry?;
                    if sender.send(change(entry.key, &entry.value)).await.is_err() {
                        break;
                    }
                }
                anyhow::Ok(())
            };
            tokio::select! {
                () = &mut stopped => return Ok(()),
                () = sender.closed() => return Ok(()),
                _ = connections.changed() => {}
                read = read => {
                    if let Err(error) = read {
                        tracing::debug!("following the registry: {error:#}");
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    });
    changes
}
