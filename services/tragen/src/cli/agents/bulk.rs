//! Many agents at once: a file becomes the registry, the registry becomes a file.

use super::{AgentsClient, Authorized, ask, list_all};
use crate::{Verdict, agent_file, cli::ClientArgs, explain, output::print};
use futures::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tonic::{Code, Status};
use tragen_contracts::v1;
use tragen_domain::routing::AGENTS_MAX;

/// Agents stored at the same time: one fsync of the bus serves several.
const STORED_AT_ONCE: usize = 32;
/// Refusals that are shown; the rest is counted.
const REFUSALS_SHOWN_MAX: usize = 10;

/// What is to be done with each agent of a file.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    created: usize,
    unchanged: usize,
    /// Created or changed agents, each with the version it replaces.
    to_store: Vec<v1::Agent>,
}

/// Stores the agents of `file`: checked whole first, and what is there already is left alone, so a second
/// import changes nothing and one that was cut off can be repeated.
pub(super) async fn import(client: &ClientArgs, file: &Path, dry_run: bool) -> anyhow::Result<Verdict> {
    let wanted = agent_file::load(file)?;
    let mut agents = client.connect().await?.agents();
    let stored = list_all(&mut agents).await?;
    let plan = plan(wanted, &stored);
    let total = stored.len() + plan.created;
    anyhow::ensure!(
        total <= AGENTS_MAX,
        "the registry would have {total} agents, at most {AGENTS_MAX} are allowed; nothing was stored"
    );
    let changed = plan.to_store.len() - plan.created;
    let said = format!("{} created, {changed} changed, {} unchanged", plan.created, plan.unchanged);
    if dry_run {
        print(&format!("would be {said}"))?;
        return Ok(Verdict::Good);
    }
    let refused = store_all(&agents, plan.to_store).await?;
    anyhow::ensure!(
        refused.is_empty(),
        "{} agents were not stored; repeat the import for them:\n{}",
        refused.len(),
        refused.iter().take(REFUSALS_SHOWN_MAX).cloned().collect::<Vec<_>>().join("\n")
    );
    print(&said)?;
    Ok(Verdict::Good)
}

/// Prints the registry as a file.
pub(super) async fn export(client: &ClientArgs) -> anyhow::Result<Verdict> {
    let mut agents = client.connect().await?.agents();
    print(agent_file::write(&list_all(&mut agents).await?).trim_end())?;
    Ok(Verdict::Good)
}

/// Compares what is wanted with what is stored.
fn plan(wanted: Vec<v1::Agent>, stored: &[v1::Agent]) -> Plan {
    let stored: BTreeMap<&str, &v1::Agent> = stored.iter().map(|agent| (agent.agent_id.as_str(), agent)).collect();
    let mut plan = Plan::default();
    for agent in wanted {
        match stored.get(agent.agent_id.as_str()) {
            None => {
                plan.created += 1;
                plan.to_store.push(agent);
            }
            Some(known) => {
                // Compare and set: what somebody else changes meanwhile is not overwritten.
                let agent = v1::Agent { version: known.version, ..agent };
                if agent == **known { plan.unchanged += 1 } else { plan.to_store.push(agent) }
            }
        }
    }
    plan
}

/// Stores them; returns what was refused, a line each. Which kind is too common depends on who trades already, so
/// those that are refused for that are tried again for as long as others get in.
async fn store_all(agents: &AgentsClient<Authorized>, to_store: Vec<v1::Agent>) -> anyhow::Result<Vec<String>> {
    let mut waiting = to_store;
    let mut refused = Vec::new();
    loop {
        let before = waiting.len();
        let found = store(agents, waiting).await?;
        waiting = Vec::new();
        let mut too_common = Vec::new();
        for (agent, status) in found {
            let line = format!("{}: {}", agent.agent_id, explain::sentence(&status.clone().into()));
            if status.code() == Code::FailedPrecondition {
                too_common.push(line);
                waiting.push(agent);
            } else {
                refused.push(line);
            }
        }
        if waiting.is_empty() || waiting.len() == before {
            refused.extend(too_common);
            return Ok(refused);
        }
    }
}

/// Tries each once, some at a time; returns what was refused.
async fn store(
    agents: &AgentsClient<Authorized>,
    to_store: Vec<v1::Agent>,
) -> anyhow::Result<Vec<(v1::Agent, Status)>> {
    let bar = ProgressBar::new(u64::try_from(to_store.len()).unwrap_or(u64::MAX));
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} agents, {elapsed}")?);
    bar.enable_steady_tick(Duration::from_millis(100));
    let puts = to_store.into_iter().map(|agent| {
        let (mut agents, bar) = (agents.clone(), bar.clone());
        async move {
            let put = agents.put_agent(ask(v1::PutAgentRequest { agent: Some(agent.clone()) })).await;
            bar.inc(1);
            put.err().map(|status| (agent, status))
        }
    });
    let refused = stream::iter(puts).buffer_unordered(STORED_AT_ONCE).filter_map(std::future::ready).collect().await;
    bar.finish_and_clear();
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str, version: i64, risk_tolerance: i32) -> v1::Agent {
        v1::Agent { agent_id: id.to_owned(), version, risk_tolerance, ..v1::Agent::default() }
    }

    #[test]
    fn only_what_differs_is_stored_and_with_the_version_it_replaces() {
        let stored = [agent("a", 3, 5), agent("b", 7, 5)];
        let found = plan(vec![agent("a", 0, 5), agent("b", 0, 6), agent("c", 0, 1)], &stored);
        let to_store = vec![agent("b", 7, 6), agent("c", 0, 1)];
        assert_eq!(found, Plan { created: 1, unchanged: 1, to_store });
    }
}
