//! `tragen agents`: configured agents, which trade on their own.

use super::{ClientArgs, pages};
use crate::{
    Verdict,
    api::ask,
    output::{Format, word},
};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use tragen_contracts::v1;

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
        after_help = "Example:\n  tragen agents put --id scalper-1 --strategy scalper --instrument GBPUSD --account agent-scalper-1"
    )]
    Put(PutArgs),
    /// One of them.
    #[command(after_help = "Example:\n  tragen agents get scalper-1")]
    Get {
        /// Which.
        id: String,
    },
}

/// A configured agent.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// Letters, digits, `-` and `_`.
    #[arg(long)]
    id: String,
    /// Its rules.
    #[arg(long)]
    strategy: Strategy,
    /// What it may trade; may be given more than once.
    #[arg(long = "instrument", value_name = "INSTRUMENT", required = true)]
    instruments: Vec<String>,
    /// The account whose money it uses.
    #[arg(long)]
    account: String,
    /// Bars it looks at: 1m, 5m, 1h, 4h or 1d.
    #[arg(long, default_value = "1m")]
    timeframe: String,
    /// From 1 (careful) to 10 (bold).
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(i32).range(1..=10))]
    risk_tolerance: i32,
    /// Most accepted orders in a UTC day.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..))]
    max_trades_per_day: i32,
    /// Pool for limits and states; the strategy's name without it.
    #[arg(long, default_value = "")]
    pool: String,
    /// Keep it from trading.
    #[arg(long)]
    disabled: bool,
    /// Replace only this version of it; 0 for whatever there is.
    #[arg(long, default_value_t = 0)]
    if_version: i64,
}

/// An agent's rules.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Strategy {
    /// Fades short moves.
    Scalper,
    /// Follows breakouts.
    Swing,
    /// Buys outcomes below the consensus price.
    Value,
}

impl AgentsCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let mut agents = client.connect().await?.agents();
        match self {
            Self::Ls { limit } => {
                let found = pages(limit, async |page_size, page_token| {
                    let page = agents.list_agents(ask(v1::ListAgentsRequest { page_size, page_token })).await?;
                    let page = page.into_inner();
                    Ok((page.agents, page.next_page_token))
                });
                let headers = ["AGENT", "STRATEGY", "INSTRUMENTS", "BARS", "RISK", "TRADES/DAY", "ACCOUNT", "ENABLED"];
                let none = "No agents of yours; an operator sees all.";
                client.output.list_or(none, "agents", &found.await?, &headers, row)?;
            }
            Self::Put(args) => {
                let question = v1::PutAgentRequest { agent: Some(args.agent()) };
                show(client.output, agents.put_agent(ask(question)).await?.into_inner().agent)?;
            }
            Self::Get { id } => {
                let question = v1::GetAgentRequest { agent_id: id };
                show(client.output, agents.get_agent(ask(question)).await?.into_inner().agent)?;
            }
        }
        Ok(Verdict::Good)
    }
}

impl PutArgs {
    fn agent(self) -> v1::Agent {
        let strategy = match self.strategy {
            Strategy::Scalper => v1::Strategy::Scalper,
            Strategy::Swing => v1::Strategy::Swing,
            Strategy::Value => v1::Strategy::Value,
        };
        v1::Agent {
            agent_id: self.id,
            strategy: strategy.into(),
            instrument_ids: self.instruments,
            timeframe: self.timeframe,
            risk_tolerance: self.risk_tolerance,
            max_trades_per_day: self.max_trades_per_day,
            account_id: self.account,
            is_enabled: !self.disabled,
            pool: self.pool,
            version: self.if_version,
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
