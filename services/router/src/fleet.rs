//! The enabled agents by strategy and timeframe, kept up to date from the registry bucket, so that an agent that
//! would make its kind too common is refused. Routers that let agents start at the same moment may each let one
//! through: the next start sees both.

use crate::refusal::Refusal;
use futures::StreamExt as _;
use prost::Message as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use tonic::Code;
use tragen_bus::{Bucket, Bus};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    cost::pool::shares::{Census, Kinship, ShareExceeded, Shares},
    id::AgentId,
    market::Timeframe,
    routing::AGENTS_MAX,
};
use tragen_host::{Context, retry::Backoff};

/// Strategy and length of the bars.
type Kind = (&'static str, Timeframe);

/// The enabled agents; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    enabled: Arc<Mutex<Enabled>>,
    is_known: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
struct Enabled {
    agents: BTreeMap<AgentId, Kind>,
    census: Census,
    /// All of the registry, those that do not trade too.
    registered: BTreeSet<AgentId>,
}

impl Fleet {
    /// Follows the registry from its beginning, across reconnects.
    pub(crate) fn start(context: &Context, bus: &Bus) -> Self {
        let (known, is_known) = watch::channel(false);
        let fleet = Self { enabled: Arc::default(), is_known };
        let (writer, bus, stopped) = (fleet.clone(), bus.clone(), context.stopped());
        context.spawn("fleet", async move {
            tokio::pin!(stopped);
            let mut connections = bus.connections();
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
            loop {
                connections.borrow_and_update();
                tokio::select! {
                    () = &mut stopped => return Ok(()),
                    _ = connections.changed() => {}
                    read = writer.read(&bus, &known) => if let Err(error) = read {
                        tracing::debug!("following the registry: {error:#}");
                    },
                }
                backoff.wait().await;
            }
        });
        fleet
    }

    /// Reads until the connection breaks.
    async fn read(&self, bus: &Bus, known: &watch::Sender<bool>) -> anyhow::Result<()> {
        let bucket = bus.bucket(Bucket::Agents).await?;
        if bucket.status().await?.values() == 0 {
            known.send_replace(true);
        }
        let mut entries = bucket.watch_with_history(">").await?;
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            self.take(&entry.key, v1::Agent::decode(entry.value.clone()).ok().as_ref());
            if entry.seen_current {
                known.send_replace(true);
            }
        }
        Ok(())
    }

    /// What the registry has under `key`: an agent that is disabled, gone or makes no sense does not trade.
    pub(crate) fn take(&self, key: &str, agent: Option<&v1::Agent>) {
        let Ok(id) = AgentId::new(key) else { return };
        let mut enabled = self.lock();
        enabled.remove(&id);
        if agent.is_some() {
            enabled.registered.insert(id.clone());
        } else {
            enabled.registered.remove(&id);
        }
        if let Some(kind) = agent.and_then(kind_of) {
            enabled.census.add(kind.0, kind.1);
            enabled.agents.insert(id, kind);
        }
    }

    /// Whether `agent` may be stored: always, unless it is one more than there may be, or begins to trade, or to trade
    /// otherwise, and its kind would be too common with it.
    ///
    /// # Errors
    /// A refusal with limit and observed value, or while the registry is not known yet.
    pub(crate) fn admit(&self, agent: &v1::Agent, shares: &Shares) -> Result<(), Refusal> {
        if !*self.is_known.borrow() {
            let wait = Duration::from_secs(1);
            return Err(Refusal::unavailable("REGISTRY_UNAVAILABLE", "the registry is being read").retry_after(wait));
        }
        let enabled = self.lock();
        let registered = &enabled.registered;
        if registered.len() >= AGENTS_MAX && !registered.iter().any(|id| id.as_str() == agent.agent_id) {
            return Err(full(registered.len()));
        }
        let Some((strategy, timeframe)) = kind_of(agent) else { return Ok(()) };
        let before = enabled.agents.get(agent.agent_id.as_str());
        if before == Some(&(strategy, timeframe)) {
            return Ok(());
        }
        let mut others = enabled.census.clone();
        if let Some((strategy, timeframe)) = before {
            others.remove(strategy, *timeframe);
        }
        others.admit(shares, strategy, timeframe).map_err(|exceeded| refusal(&exceeded))
    }

    fn lock(&self) -> MutexGuard<'_, Enabled> {
        self.enabled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Enabled {
    fn remove(&mut self, id: &AgentId) {
        if let Some((strategy, timeframe)) = self.agents.remove(id) {
            self.census.remove(strategy, timeframe);
        }
    }
}

/// What an enabled agent is; `None` for one that does not trade.
fn kind_of(agent: &v1::Agent) -> Option<Kind> {
    let style = convert::style_of(agent.strategy()).filter(|_| agent.is_enabled)?;
    Some((style.as_str(), Timeframe::parse(&agent.timeframe)?))
}

fn full(registered: usize) -> Refusal {
    let message = format!("{registered} agents are configured, at most {AGENTS_MAX} may be");
    Refusal::new(Code::ResourceExhausted, "REGISTRY_FULL", message)
        .with("limit", AGENTS_MAX.to_string())
        .with("observed", registered.to_string())
}

fn refusal(exceeded: &ShareExceeded) -> Refusal {
    let ShareExceeded { kinship, observed, limit, all } = *exceeded;
    let reason = match kinship {
        Kinship::Strategy => "STRATEGY_SHARE",
        Kinship::Timeframe => "TIMEFRAME_SHARE",
    };
    Refusal::new(Code::FailedPrecondition, reason, exceeded.to_string())
        .with("limit", limit.to_string())
        .with("observed", observed.to_string())
        .with("trading_agents", all.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str, strategy: v1::Strategy, timeframe: &str) -> v1::Agent {
        v1::Agent {
            agent_id: id.to_owned(),
            strategy: strategy.into(),
            timeframe: timeframe.to_owned(),
            is_enabled: true,
            ..v1::Agent::default()
        }
    }

    fn fleet() -> Fleet {
        let (known, is_known) = watch::channel(true);
        drop(known);
        Fleet { enabled: Arc::default(), is_known }
    }

    fn reason(fleet: &Fleet, agent: &v1::Agent) -> Option<String> {
        fleet.admit(agent, &Shares::default()).err().map(|refusal| refusal.reason().to_owned())
    }

    #[test]
    fn the_tenth_of_one_kind_is_refused_and_who_trades_already_may_be_changed() {
        let fleet = fleet();
        for number in 0..9 {
            let scalper = agent(&format!("a{number}"), v1::Strategy::Scalper, "1m");
            assert_eq!(reason(&fleet, &scalper), None);
            fleet.take(&scalper.agent_id, Some(&scalper));
        }
        let tenth = agent("a9", v1::Strategy::Scalper, "5m");
        assert_eq!(reason(&fleet, &tenth).as_deref(), Some("STRATEGY_SHARE"));
        let swing = agent("a9", v1::Strategy::Swing, "1m");
        assert_eq!(reason(&fleet, &swing).as_deref(), Some("TIMEFRAME_SHARE"));
        assert_eq!(reason(&fleet, &agent("a9", v1::Strategy::Swing, "4h")), None);
        assert_eq!(reason(&fleet, &v1::Agent { is_enabled: false, ..tenth.clone() }), None);
        let bolder = v1::Agent { risk_tolerance: 9, ..agent("a3", v1::Strategy::Scalper, "1m") };
        assert_eq!(reason(&fleet, &bolder), None, "it trades already");
        fleet.take("a3", None);
        assert_eq!(reason(&fleet, &tenth), None, "nine of nine say nothing");
    }

    #[test]
    fn a_full_registry_takes_no_new_agent_and_lets_the_others_be_changed() {
        let fleet = fleet();
        let idle =
            |number: usize| v1::Agent { is_enabled: false, ..agent(&format!("a{number}"), v1::Strategy::Swing, "1h") };
        for number in 0..AGENTS_MAX {
            assert_eq!(reason(&fleet, &idle(number)), None);
            fleet.take(&format!("a{number}"), Some(&idle(number)));
        }
        let refused = fleet.admit(&idle(AGENTS_MAX), &Shares::default()).expect_err("one too many");
        assert_eq!(refused.message(), "10000 agents are configured, at most 10000 may be");
        assert_eq!(refused.reason(), "REGISTRY_FULL");
        assert_eq!(reason(&fleet, &idle(7)), None, "it is there already");
        fleet.take("a8", None);
        assert_eq!(reason(&fleet, &idle(AGENTS_MAX)), None);
    }

    #[test]
    fn a_refusal_names_limit_and_observed_value() {
        let fleet = fleet();
        for number in 0..9 {
            let id = format!("a{number}");
            fleet.take(&id, Some(&agent(&id, v1::Strategy::Scalper, "1m")));
        }
        let refused = fleet.admit(&agent("x", v1::Strategy::Scalper, "4h"), &Shares::default()).expect_err("refused");
        let told = "with it 10 of 10 trading agents would have the same strategy, at most 3 may";
        assert_eq!(refused.message(), told);
    }
}
