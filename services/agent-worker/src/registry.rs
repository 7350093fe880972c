//! The configured agents, kept up to date from the registry bucket.

use crate::{
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
use tragen_domain::id::AgentId;
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
    benched: Arc<RwLock<HashMap<String, HashSet<AgentId>>>>,
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
        let benched = self.benched.read().unwrap_or_else(PoisonError::into_inner);
        benched.get(agent.pool.as_str()).is_some_and(|agents| agents.contains(&agent.id))
    }

    fn take_pool(&self, key: &str, value: &[u8]) {
        // A pool that nobody sizes any more has no value.
        let Ok(pool) = v1::PoolState::decode(value) else {
            counter!(metrics::MALFORMED, "kind" => "pool").increment(1);
            return;
        };
        let agents = pool.benched.iter().filter_map(|agent| AgentId::new(&agent.agent_id).ok()).collect();
        self.benched.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), agents);
    }

    /// Who looks at a series: one entry for each rule set.
    pub(crate) fn on_series(&self, series: &Series) -> Arc<Vec<Audience>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).on_series(series)
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
