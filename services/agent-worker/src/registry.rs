//! The configured agents, kept up to date from the registry bucket.

use crate::{bars::style_of, control::Scoped, metrics};
use ::metrics::counter;
use anyhow::Context as _;
use futures::StreamExt as _;
use prost::Message as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, RwLock},
    time::Duration,
};
use tragen_bus::{Bucket, Bus};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::personality::{AnalysisStyle, Personality},
    id::{AccountId, AgentId, InstrumentId, PoolId},
    market::Timeframe,
};
use tragen_host::Context;

/// One configured agent, checked.
#[derive(Debug, Clone)]
pub(crate) struct ConfiguredAgent {
    pub(crate) id: AgentId,
    pub(crate) account: AccountId,
    pub(crate) pool: PoolId,
    pub(crate) personality: Personality,
    pub(crate) instruments: Vec<InstrumentId>,
    pub(crate) timeframe: Timeframe,
}

/// Enabled agents by id; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    agents: Arc<RwLock<BTreeMap<String, Arc<ConfiguredAgent>>>>,
}

impl Registry {
    pub(crate) async fn start(context: &Context, bus: &Bus) -> anyhow::Result<Self> {
        let registry = Self::default();
        let bucket = bus.bucket(Bucket::Agents).await.context("opening the agents bucket")?;
        let (writer, context, mut connections) = (registry.clone(), context.clone(), bus.connections());
        context.clone().spawn("registry", async move {
            let stopped = context.stopped();
            tokio::pin!(stopped);
            loop {
                connections.borrow_and_update();
                let Ok(mut entries) = bucket.watch_with_history(">").await else {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                };
                loop {
                    tokio::select! {
                        () = &mut stopped => return Ok(()),
                        _ = connections.changed() => break,
                        entry = entries.next() => match entry {
                            Some(Ok(entry)) => writer.take(&entry.key, &entry.value),
                            Some(Err(_)) | None => break,
                        },
                    }
                }
            }
        });
        Ok(registry)
    }

    /// The styles that enabled agents use on a series.
    pub(crate) fn styles(&self, instrument: &InstrumentId, timeframe: Timeframe) -> Vec<AnalysisStyle> {
        let agents = self.agents.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let on_series = agents.values().filter(|agent| agent.trades(instrument, timeframe));
        let styles: BTreeSet<u8> = on_series.map(|agent| order_of(agent.personality.style())).collect();
        [AnalysisStyle::Scalper, AnalysisStyle::Swing, AnalysisStyle::Conservative]
            .into_iter()
            .filter(|s| styles.contains(&order_of(*s)))
            .collect()
    }

    /// Enabled agents of a style on a series, sorted by id.
    pub(crate) fn agents(
        &self,
        style: AnalysisStyle,
        instrument: &InstrumentId,
        timeframe: Timeframe,
    ) -> Vec<Arc<ConfiguredAgent>> {
        let agents = self.agents.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fits =
            |agent: &&Arc<ConfiguredAgent>| agent.personality.style() == style && agent.trades(instrument, timeframe);
        agents.values().filter(fits).cloned().collect()
    }

    /// Enabled agents whose scopes `is_meant` says yes to.
    pub(crate) fn count(&self, is_meant: impl Fn(&[Scoped]) -> bool) -> usize {
        let agents = self.agents.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        agents.values().filter(|agent| is_meant(&agent.scopes())).count()
    }

    fn take(&self, key: &str, value: &[u8]) {
        let agent = v1::Agent::decode(value).ok().filter(|_| !value.is_empty()).and_then(|agent| parse(&agent));
        let mut agents = self.agents.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        match agent {
            Some(agent) => {
                agents.insert(key.to_owned(), Arc::new(agent));
            }
            None => {
                agents.remove(key);
            }
        }
    }
}

impl ConfiguredAgent {
    /// What it belongs to, whatever it trades.
    pub(crate) fn scopes(&self) -> Vec<Scoped> {
        vec![
            (v1::ScopeKind::Pool, self.pool.to_string()),
            (v1::ScopeKind::Agent, self.id.to_string()),
            (v1::ScopeKind::Account, self.account.to_string()),
        ]
    }

    fn trades(&self, instrument: &InstrumentId, timeframe: Timeframe) -> bool {
        self.timeframe == timeframe && self.instruments.contains(instrument)
    }
}

const fn order_of(style: AnalysisStyle) -> u8 {
    match style {
        AnalysisStyle::Scalper => 0,
        AnalysisStyle::Swing => 1,
        AnalysisStyle::Value => 2,
        AnalysisStyle::Conservative => 3,
        AnalysisStyle::MarketMaker => 4,
    }
}

/// A checked agent; `None` when it is disabled or makes no sense.
fn parse(agent: &v1::Agent) -> Option<ConfiguredAgent> {
    if !agent.is_enabled {
        return None;
    }
    let parsed = (|| {
        let style = style_of(agent.strategy())?;
        let tolerance = u8::try_from(agent.risk_tolerance).ok()?;
        let trades = u32::try_from(agent.max_trades_per_day).ok()?;
        let pool = if agent.pool.is_empty() { format!("{style:?}").to_lowercase() } else { agent.pool.clone() };
        Some(ConfiguredAgent {
            id: convert::id("agent_id", &agent.agent_id).ok()?,
            account: convert::id("account_id", &agent.account_id).ok()?,
            pool: convert::id("pool", &pool).ok()?,
            personality: Personality::new(tolerance, style, trades).ok()?,
            instruments: agent.instrument_ids.iter().filter_map(|id| convert::id("instrument_ids", id).ok()).collect(),
            timeframe: Timeframe::parse(&agent.timeframe)?,
        })
    })();
    if parsed.is_none() {
        counter!(metrics::MALFORMED, "kind" => "agent").increment(1);
        tracing::warn!(agent.id = %agent.agent_id, "agent {} is not usable and stays off", agent.agent_id);
    }
    parsed
}
