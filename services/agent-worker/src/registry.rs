//! The configured agents, kept up to date from the registry bucket.

use crate::{
    bars::as_units,
    control::Scoped,
    metrics,
    roster::{Audience, ConfiguredAgent, Roster, Series},
};
use ::metrics::{counter, gauge};
use anyhow::Context as _;
use futures::StreamExt as _;
use prost::Message as _;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::watch;
use tragen_bus::{Bucket, Bus};
use tragen_contracts::v1;
use tragen_domain::id::{AgentId, MatchId};
use tragen_host::Context;

/// How long reading everything may take at the start.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// Takes what a bucket has under a key.
type Take = fn(&Registry, &str, &[u8]);

/// Enabled agents, and which of them may only close what they hold; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    roster: Arc<RwLock<Roster>>,
    /// By pool, as the cost monitor says.
    pools: Arc<RwLock<HashMap<String, SizedPool>>>,
}

/// What the cost monitor says of a pool.
#[derive(Debug, Default)]
struct SizedPool {
    benched: HashSet<AgentId>,
    /// Most of its money that an agent works with, 1e-6 of the currency.
    capital: HashMap<AgentId, i64>,
}

impl Registry {
    pub(crate) async fn start(context: &Context, bus: &Bus) -> anyhow::Result<Self> {
        let registry = Self::default();
        registry.follow(context, bus, (Bucket::Agents, Self::take)).await.context("following the agents")?;
        registry.follow(context, bus, (Bucket::Pools, Self::take_pool)).await.context("following the pools")?;
        Ok(registry)
    }

    /// Reads a bucket from its beginning, and keeps up with it across reconnects. Returns when everything that is
    /// in it is known: a worker that acts on a bar must not have overlooked an agent.
    async fn follow(&self, context: &Context, bus: &Bus, (bucket, take): (Bucket, Take)) -> anyhow::Result<()> {
        let bucket = bus.bucket(bucket).await?;
        let is_empty = bucket.status().await?.values() == 0;
        let (known, mut is_known) = watch::channel(is_empty);
        let (writer, context, mut connections) = (self.clone(), context.clone(), bus.connections());
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
                            Some(Ok(entry)) => {
                                take(&writer, &entry.key, &entry.value);
                                // The last one of those that were there.
                                if entry.seen_current {
                                    known.send_replace(true);
                                }
                            }
                            Some(Err(_)) | None => break,
                        },
                    }
                }
            }
        });
        let read = tokio::time::timeout(READ_PATIENCE, is_known.wait_for(|is_known| *is_known)).await;
        read.context("it was not read in time")?.context("nobody reads it any more").map(drop)
    }

    /// Whether the agent may only close what it holds, because its pool has no place for it.
    pub(crate) fn is_benched(&self, agent: &ConfiguredAgent) -> bool {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools.get(agent.pool.as_str()).is_some_and(|pool| pool.benched.contains(&agent.id))
    }

    /// What the agent works with when its account has `cash`, units of the currency: its part of the pool's capital
    /// if it has one, never more than there is.
    pub(crate) fn capital(&self, agent: &ConfiguredAgent, cash: f64) -> f64 {
        working(cash, self.part_micros(agent))
    }

    /// The agent's part of its pool's capital, 1e-6 of the currency; None where the pool has no say.
    pub(crate) fn part_micros(&self, agent: &ConfiguredAgent) -> Option<i64> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools.get(agent.pool.as_str()).and_then(|pool| pool.capital.get(&agent.id).copied())
    }

    fn take_pool(&self, key: &str, value: &[u8]) {
        // A pool that nobody sizes any more has no value.
        let Ok(pool) = v1::PoolState::decode(value) else {
            counter!(metrics::MALFORMED, "kind" => "pool").increment(1);
            return;
        };
        let part = |agent: &v1::PlacedAgent| Some((AgentId::new(&agent.agent_id).ok()?, agent.capital_micros?));
        let sized = SizedPool {
            benched: pool.benched.iter().filter_map(|agent| AgentId::new(&agent.agent_id).ok()).collect(),
            capital: pool.placed.iter().filter_map(part).collect(),
        };
        self.pools.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), sized);
    }

    /// Who looks at a series: one entry for each rule set.
    pub(crate) fn on_series(&self, series: &Series) -> Arc<Vec<Audience>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).on_series(series)
    }

    /// Who bets on a match, sorted by id.
    pub(crate) fn bettors_on(&self, game: &MatchId) -> Vec<Arc<ConfiguredAgent>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).bettors_on(game)
    }

    /// Who leaves what is held of a match in play, sorted by id.
    pub(crate) fn exiters_on(&self, game: &MatchId) -> Vec<Arc<ConfiguredAgent>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).exiters_on(game)
    }

    /// Who quotes contracts on matches, sorted by id.
    pub(crate) fn makers(&self) -> Vec<Arc<ConfiguredAgent>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).makers().to_vec()
    }

    /// Makers that do not quote any more, or not so, and may have quotes in the book.
    pub(crate) fn retired_makers(&self) -> Vec<Arc<ConfiguredAgent>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).retired_makers().cloned().collect()
    }

    /// Enabled agents whose scopes `is_meant` says yes to.
    pub(crate) fn count(&self, is_meant: impl Fn(&[Scoped]) -> bool) -> usize {
        let roster = self.roster.read().unwrap_or_else(PoisonError::into_inner);
        roster.agents().filter(|agent| is_meant(&agent.scopes())).count()
    }

    fn take(&self, key: &str, value: &[u8]) {
        // A deleted agent has no value.
        let agent = if value.is_empty() { Ok(None) } else { v1::Agent::decode(value).map(Some) };
        let mut roster = self.roster.write().unwrap_or_else(PoisonError::into_inner);
        let taken = roster.take(key, agent.as_ref().ok().and_then(Option::as_ref));
        gauge!(metrics::AGENTS).set(f64::from(u32::try_from(roster.agents().count()).unwrap_or(u32::MAX)));
        drop(roster);
        let complaint = match (agent, taken) {
            (Ok(_), Ok(())) => return,
            (Ok(_), Err(unusable)) => unusable.to_string(),
            (Err(error), _) => format!("agent {key} cannot be read and stays off: {error}"),
        };
        counter!(metrics::MALFORMED, "kind" => "agent").increment(1);
        tracing::warn!(agent.id = %key, "{complaint}");
    }
}

/// What an agent works with of `cash`, units of the currency, when `part_micros` of its pool's capital is its own.
pub(crate) fn working(cash: f64, part_micros: Option<i64>) -> f64 {
    part_micros.map_or(cash, |part| cash.min(as_units(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_works_with_its_part_of_the_pool_and_never_with_more_than_it_has() {
        let registry = Registry::default();
        for id in ["a", "b", "c"] {
            let agent = v1::Agent {
                agent_id: id.to_owned(),
                strategy: v1::Strategy::Scalper.into(),
                instrument_ids: vec!["X".to_owned()],
                timeframe: "1m".to_owned(),
                risk_tolerance: 5,
                max_trades_per_day: 10,
                account_id: "fund".to_owned(),
                is_enabled: true,
                ..v1::Agent::default()
            };
            registry.take(id, &agent.encode_to_vec());
        }
        let placed = |agent_id: &str, capital_micros| v1::PlacedAgent {
            agent_id: agent_id.to_owned(),
            capital_micros,
            ..v1::PlacedAgent::default()
        };
        let bench = v1::BenchedAgent { agent_id: "c".to_owned(), ..v1::BenchedAgent::default() };
        let pool = v1::PoolState {
            placed: vec![placed("a", Some(200_000_000)), placed("b", None)],
            benched: vec![bench],
            ..v1::PoolState::default()
        };
        registry.take_pool("scalper", &pool.encode_to_vec());
        let agents: Vec<_> = registry.roster.read().expect("whole").agents().cloned().collect();
        let told = |id: &str, cash: f64| {
            let agent = agents.iter().find(|agent| agent.id.as_str() == id).expect("known");
            (registry.capital(agent, cash), registry.is_benched(agent))
        };
        assert_eq!(told("a", 1_000.0), (200.0, false));
        assert_eq!(told("a", 50.0), (50.0, false));
        assert_eq!(told("b", 1_000.0), (1_000.0, false));
        assert_eq!(told("c", 1_000.0), (1_000.0, true));
        registry.take_pool("scalper", &[]);
        assert_eq!(told("a", 1_000.0), (1_000.0, false), "nobody sizes it any more");
    }
}
