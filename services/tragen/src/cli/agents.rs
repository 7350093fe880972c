//! `tragen agents`: configured agents, which trade on their own.

mod bulk;
mod put;

use super::{ClientArgs, pages};
use crate::{
    Verdict,
    api::{Authorized, ask},
    output::{Format, word},
};
use anyhow::Context as _;
use clap::Subcommand;
use std::path::PathBuf;
use tonic::Code;
use tragen_contracts::v1::{self, agents_client::AgentsClient};
use tragen_domain::routing::AGENTS_MAX;

/// How often a change starts over because somebody else changed the agent meanwhile.
const CHANGES_MAX: usize = 5;

/// What to do with the agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// All of them.
    #[command(after_help = "Example:\n  tragen agents ls")]
    Ls {
        /// At most this many.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(i32).range(1..))]
        limit: i32,
    },
    /// Creates or replaces one; needs the role operator.
    #[command(
        after_help = "Example:\n  tragen agents put --id scalper-1 --strategy scalper --instrument GBPUSD --account agent-scalper-1\n  tragen agents put --id swing-1 --template swing --risk-tolerance 3 --instrument EURUSD --account agent-swing-1\n  tragen agents put --id bettor-1 --template value_bettor --instrument EPL-2026 --account agent-bettor-1"
    )]
    Put(Box<put::PutArgs>),
    /// One of them.
    #[command(after_help = "Example:\n  tragen agents get scalper-1")]
    Get {
        /// Which.
        id: String,
    },
    /// Lets some trade; needs the role operator.
    #[command(after_help = "Example:\n  tragen agents enable scalper-1 scalper-2")]
    Enable {
        /// Which.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Keeps some from trading; what they hold stays. Needs the role operator.
    #[command(after_help = "Example:\n  tragen agents disable scalper-1")]
    Disable {
        /// Which.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Stores all agents of a file, or none if anything is wrong with it; needs the role operator.
    #[command(after_help = "Example:\n  tragen agents import agents.toml")]
    Import {
        /// A TOML file of [[agent]] entries; `tragen agents export` writes one.
        file: PathBuf,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Prints all agents as a file for import.
    #[command(after_help = "Example:\n  tragen agents export > agents.toml")]
    Export,
}

impl AgentsCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        match self {
            Self::Import { file, dry_run } => return bulk::import(client, &file, dry_run).await,
            Self::Export => return bulk::export(client).await,
            Self::Ls { .. } | Self::Put(_) | Self::Get { .. } | Self::Enable { .. } | Self::Disable { .. } => {}
        }
        let mut agents = client.connect().await?.agents();
        match self {
            Self::Ls { limit } => {
                let headers = ["AGENT", "STRATEGY", "INSTRUMENTS", "BARS", "RISK", "TRADES/DAY", "ACCOUNT", "ENABLED"];
                let none = "No agents of yours; an operator sees all.";
                client.output.list_or(none, "agents", &list(&mut agents, limit).await?, &headers, row)?;
            }
            Self::Put(args) => {
                let question = v1::PutAgentRequest { agent: Some(args.agent()?) };
                let stored = agents.put_agent(ask(question)).await?.into_inner().agent;
                show(client.output, stored)?;
            }
            Self::Get { id } => show(client.output, Some(get(&mut agents, &id).await?))?,
            Self::Enable { ids } => turn(&mut agents, client.output, &ids, Turn::On).await?,
            Self::Disable { ids } => turn(&mut agents, client.output, &ids, Turn::Off).await?,
            Self::Import { .. } | Self::Export => {}
        }
        Ok(Verdict::Good)
    }
}

/// Whether agents shall trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    On,
    Off,
}

/// Up to `limit` agents, sorted by id.
async fn list(agents: &mut AgentsClient<Authorized>, limit: i32) -> anyhow::Result<Vec<v1::Agent>> {
    pages(limit, async |page_size, page_token| {
        let page = agents.list_agents(ask(v1::ListAgentsRequest { page_size, page_token })).await?;
        let page = page.into_inner();
        Ok((page.agents, page.next_page_token))
    })
    .await
}

/// The whole registry.
async fn list_all(agents: &mut AgentsClient<Authorized>) -> anyhow::Result<Vec<v1::Agent>> {
    // One more than there may be, so that a registry that is too full is noticed.
    list(agents, i32::try_from(AGENTS_MAX)?.saturating_add(1)).await
}

async fn get(agents: &mut AgentsClient<Authorized>, id: &str) -> anyhow::Result<v1::Agent> {
    let question = v1::GetAgentRequest { agent_id: id.to_owned() };
    agents.get_agent(ask(question)).await?.into_inner().agent.context("the answer has no agent")
}

/// Changes only what it is about: an agent that was changed meanwhile is read again.
async fn turn(agents: &mut AgentsClient<Authorized>, format: Format, ids: &[String], to: Turn) -> anyhow::Result<()> {
    for id in ids {
        let agent = turn_one(agents, id, to).await.with_context(|| format!("agent {id}"))?;
        let word = if agent.is_enabled { "enabled" } else { "disabled" };
        format.event(&agent, || format!("{} is {word} (version {})", agent.agent_id, agent.version))?;
    }
    Ok(())
}

async fn turn_one(agents: &mut AgentsClient<Authorized>, id: &str, to: Turn) -> anyhow::Result<v1::Agent> {
    let mut changes = 0;
    loop {
        let mut agent = get(agents, id).await?;
        if agent.is_enabled == (to == Turn::On) {
            return Ok(agent);
        }
        agent.is_enabled = to == Turn::On;
        changes += 1;
        match agents.put_agent(ask(v1::PutAgentRequest { agent: Some(agent) })).await {
            Ok(stored) => return stored.into_inner().agent.context("the answer has no agent"),
            Err(status) if status.code() == Code::Aborted && changes < CHANGES_MAX => {}
            Err(status) => return Err(status.into()),
        }
    }
}

fn show(format: Format, agent: Option<v1::Agent>) -> anyhow::Result<()> {
    let agent = agent.context("the answer has no agent")?;
    let fields = [
        ("agent", agent.agent_id.clone()),
        ("strategy", word(agent.strategy().as_str_name(), "STRATEGY_")),
        ("instruments", agent.instrument_ids.join(" ")),
        ("bars", agent.timeframe.clone()),
        ("risk tolerance", agent.risk_tolerance.to_string()),
        ("trades per day", agent.max_trades_per_day.to_string()),
        ("account", agent.account_id.clone()),
        ("enabled", yes_or_no(agent.is_enabled)),
        ("pool", agent.pool.clone()),
        ("version", agent.version.to_string()),
    ];
    format.record(&agent, &fields)
}

fn row(agent: &v1::Agent) -> Vec<String> {
    vec![
        agent.agent_id.clone(),
        word(agent.strategy().as_str_name(), "STRATEGY_"),
        agent.instrument_ids.join(" "),
        agent.timeframe.clone(),
        agent.risk_tolerance.to_string(),
        agent.max_trades_per_day.to_string(),
        agent.account_id.clone(),
        yes_or_no(agent.is_enabled),
    ]
}

fn yes_or_no(is_true: bool) -> String {
    if is_true { "yes" } else { "no" }.to_owned()
}
