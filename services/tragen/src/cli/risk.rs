//! `tragen risk`: stops, reduces and resumes trading. Tightening takes one person,
//! resuming two.

mod explain;
mod journal;
mod known;
mod limits;
mod repeated;
mod replay;
mod scope;
mod shown;

use super::{ClientArgs, pages};
use crate::{
    Verdict,
    api::{Api, ask, within},
    output::{Format, moment},
};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use repeated::until_answered;
use scope::{parse_factor, parse_scope};
use shown::{show_flattened, show_halt, show_history, show_reduced, show_state, state_line, state_word};
use std::time::Duration;
use tonic::Request;
use tragen_contracts::v1::{self, ScopeKind};

/// What to do about the trading state.
#[derive(Debug, Subcommand)]
pub(crate) enum RiskCommand {
    /// Every scope that is not active, waiting resumes, reductions and the workers.
    #[command(after_help = "Example:\n  tragen risk status -o json")]
    Status,
    /// The state now and again whenever something changes, until Ctrl-C.
    #[command(after_help = "Example:\n  tragen risk watch")]
    Watch,
    /// The last changes: who, when, why, in which epoch.
    #[command(after_help = "Example:\n  tragen risk history --limit 20")]
    History {
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1_000))]
        limit: i32,
    },
    /// Stops a scope at once, and asks again while nobody answers; needs the role operator.
    #[command(
        after_help = "Example:\n  tragen risk halt --scope pool:scalper --reason \"prices look wrong\"\n\nExit code 4 if the gate is closed and not every worker has confirmed it."
    )]
    Halt {
        #[command(flatten)]
        scope: ScopeArgs,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Puts a scope into REDUCING and shrinks its positions; needs the role operator.
    #[command(
        after_help = "Examples:\n  tragen risk reduce --scope pool:scalper --factor 0.5 --reason \"too much risk\"\n  \
                      tragen risk reduce --scope instrument:GBPUSD --factor 0 --reason \"get out\"\n\n\
                      Exit code 4 if nothing in the scope grows any more and not every worker has confirmed it."
    )]
    Reduce {
        #[command(flatten)]
        scope: ScopeArgs,
        /// What is left of every position, 0 (flat) to 1 (unchanged), rounded toward zero to the lot.
        #[arg(long, value_parser = parse_factor, allow_negative_numbers = true)]
        factor: i64,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        command: CommandArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Flattens positions of an account, also while it is halted; needs the role risk_admin.
    #[command(
        after_help = "Example:\n  tragen risk flatten --account alice --instrument GBPUSD --reason \"margin call\""
    )]
    Flatten {
        /// Whose positions.
        #[arg(long)]
        account: String,
        /// Only this one.
        #[arg(long, default_value = "")]
        instrument: String,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        command: CommandArgs,
    },
    /// Stops a configured agent and cancels its orders; needs the role operator.
    #[command(after_help = "Example:\n  tragen risk shutdown-agent s-1 --reason \"it trades too much\"")]
    ShutdownAgent {
        /// Which.
        agent: String,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// First step of ending a reduction that is not through; needs the role risk_admin.
    #[command(
        after_help = "Example:\n  tragen risk reduce-end 0198f2c1-7c1e-7d6e-9b1a-3f0d --reason \"no quotes until Monday\""
    )]
    ReduceEnd {
        /// The id of its command, as `status` shows it.
        command_id: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Second step of ending a reduction, by another person with the role risk_admin.
    #[command(after_help = "Example:\n  tragen risk confirm-reduce-end 7f9c2ba4e88f827d")]
    ConfirmReduceEnd {
        /// What `reduce-end` has printed.
        proposal: String,
    },
    /// First step of a resume by one level; needs the role risk_admin.
    #[command(after_help = "Example:\n  tragen risk propose-resume --scope global --reason \"the feed is back\"")]
    ProposeResume {
        #[command(flatten)]
        scope: ScopeArgs,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Why a tripped breaker that is not low need not be.
        #[arg(long = "override", default_value = "")]
        override_reason: String,
    },
    /// Limits by scope: shown, and changed by two people where they become looser.
    #[command(subcommand, after_help = "Example:\n  tragen risk limits show")]
    Limits(limits::LimitsCommand),
    /// Rebuilds the guard's state from its journal, checks every hash in it, and prints the hash of the end.
    #[command(
        after_help = "Examples:\n  tragen risk replay --nats nats://127.0.0.1:4222\n  tragen risk replay --until 5000 --save journal.tragen\n  tragen risk replay --journal journal.tragen --snapshot data/risk-guard/snapshot-00001796066218607256-00000000000000004000\n\nExit code 1 if the state differs from what the journal says."
    )]
    Replay(replay::ReplayArgs),
    /// Shows a past decision: the order, the quote and the states it was decided on, its hold or its denial, its end.
    #[command(
        after_help = "Example:\n  tragen risk explain 0b1c6b2e-5d9a-5a52-8a43-0d9d3c0a7f11 --nats nats://127.0.0.1:4222"
    )]
    Explain(explain::ExplainArgs),
    /// Second step of a resume, by another person with the role risk_admin.
    #[command(after_help = "Example:\n  tragen risk confirm-resume 7f9c2ba4e88f827d")]
    ConfirmResume {
        /// What `propose-resume` has printed.
        proposal: String,
        /// The hash of the evidence you have looked at; refused when the proposal has another one.
        #[arg(long, default_value = "")]
        evidence: String,
    },
}

/// What a command is about.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// What: global, pool:NAME (scalper, swing, value, user or an agent's own pool), agent:ID, instrument:ID or
    /// account:ID.
    #[arg(long, default_value = "global", value_parser = parse_scope)]
    scope: v1::Scope,
}

/// Names a command, so that a repeat changes nothing.
#[derive(Debug, Args)]
pub(crate) struct CommandArgs {
    /// Up to 36 letters, digits, - and _; the same id again changes nothing [default: a new one].
    #[arg(long)]
    command_id: Option<String>,
}

/// How long to wait for the workers.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// How long to wait for the workers, milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    wait_ms: i32,
    /// For how long to ask again while nobody answers, seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    patience_secs: u64,
}

impl CommandArgs {
    fn id(self) -> String {
        self.command_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
    }
}

impl WaitArgs {
    const fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_secs)
    }

    /// A question that is answered when the workers have confirmed.
    fn ask<T>(&self, question: T) -> Request<T> {
        within(question, Duration::from_millis(u64::from(self.wait_ms.unsigned_abs()) + 5_000))
    }
}

impl RiskCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let format = client.output;
        // The journal is there when the API is not.
        if let Self::Replay(args) = self {
            return args.run(format).await;
        }
        if let Self::Explain(args) = self {
            return args.run(format).await;
        }
        let api = client.connect().await?;
        match self {
            Self::Replay(_) | Self::Explain(_) => {}
            Self::Status => {
                let state = api.risk().get_risk_state(ask(v1::GetRiskStateRequest {})).await?.into_inner();
                show_state(format, &state)?;
            }
            Self::Watch => watch(&api, format).await?,
            Self::History { limit } => history(&api, format, limit).await?,
            Self::Halt { scope: ScopeArgs { scope }, reason, wait } => {
                let question = v1::HaltRequest { scope: Some(scope.clone()), reason, wait_ms: wait.wait_ms };
                let halt = async || api.risk().halt(wait.ask(question.clone())).await;
                let answer = until_answered("HALTED", wait.patience(), halt).await?.into_inner();
                return halted(&api, format, &scope, &answer).await;
            }
            Self::Reduce { scope: ScopeArgs { scope }, factor, reason, command, wait } => {
                let question = v1::ReducePositionsRequest {
                    scope: Some(scope.clone()),
                    factor_ppm: factor,
                    reason,
                    command_id: command.id(),
                    wait_ms: wait.wait_ms,
                };
                return reduce(&api, format, (&scope, question), &wait).await;
            }
            Self::Flatten { account, instrument, reason, command } => {
                let (account_id, instrument_id, command_id) = (account, instrument, command.id());
                let question = v1::FlattenRequest { account_id, instrument_id, reason, command_id };
                show_flattened(format, &api.risk().flatten(ask(question)).await?.into_inner())?;
            }
            Self::ShutdownAgent { agent, reason, wait } => {
                let scope = v1::Scope { kind: ScopeKind::Agent.into(), id: agent.clone() };
                let question = v1::ShutdownAgentRequest { agent_id: agent, reason, wait_ms: wait.wait_ms };
                let shut_down = async || api.risk().shutdown_agent(wait.ask(question.clone())).await;
                let answer = until_answered("HALTED", wait.patience(), shut_down).await?.into_inner();
                return halted(&api, format, &scope, &answer.halt.context("the answer has no halt")?).await;
            }
            Self::ReduceEnd { command_id, reason } => {
                let question = v1::ProposeReductionEndRequest { command_id, reason };
                propose_reduction_end(&api, format, question).await?;
            }
            Self::ConfirmReduceEnd { proposal } => {
                let question = v1::ConfirmReductionEndRequest { token: proposal };
                let answer = api.risk().confirm_reduction_end(ask(question)).await?.into_inner();
                format.record(&answer, &[("ended", answer.reduction.clone().unwrap_or_default().command_id)])?;
            }
            Self::ProposeResume { scope: ScopeArgs { scope }, reason, override_reason } => {
                let question = v1::ProposeResumeRequest { scope: Some(scope), target: 0, reason, override_reason };
                propose(&api, format, question).await?;
            }
            Self::Limits(command) => command.run(&api, format).await?,
            Self::ConfirmResume { proposal, evidence } => {
                let question = v1::ConfirmResumeRequest { token: proposal, evidence_hash: evidence };
                let answer = api.risk().confirm_resume(ask(question)).await?.into_inner();
                format
                    .record(&answer, &[("state", state_word(answer.state())), ("epoch", answer.epoch.to_string())])?;
            }
        }
        Ok(Verdict::Good)
    }
}

async fn halted(api: &Api, format: Format, scope: &v1::Scope, answer: &v1::HaltResponse) -> anyhow::Result<Verdict> {
    show_halt(format, scope, answer)?;
    warn(api, scope, &answer.warning).await;
    Ok(confirmed_by_all(&answer.missing_workers))
}

async fn reduce(
    api: &Api,
    format: Format,
    (scope, question): (&v1::Scope, v1::ReducePositionsRequest),
    wait: &WaitArgs,
) -> anyhow::Result<Verdict> {
    let reduce = async || api.risk().reduce_positions(wait.ask(question.clone())).await;
    let answer = until_answered("REDUCING", wait.patience(), reduce).await?.into_inner();
    show_reduced(format, &answer)?;
    warn(api, scope, &answer.warning).await;
    Ok(confirmed_by_all(&answer.missing_workers))
}

async fn propose_reduction_end(
    api: &Api,
    format: Format,
    question: v1::ProposeReductionEndRequest,
) -> anyhow::Result<()> {
    let answer = api.risk().propose_reduction_end(ask(question)).await?.into_inner();
    let reduction = answer.reduction.clone().unwrap_or_default();
    let fields = [
        ("proposal", answer.token.clone()),
        ("reduction", reduction.command_id),
        ("done", format!("{} of {} positions", reduction.done_positions, reduction.total_positions)),
        ("expires", moment(answer.expires_at.as_ref().map_or(0, |at| at.seconds))),
        ("next", format!("somebody else: tragen risk confirm-reduce-end {}", answer.token)),
    ];
    format.record(&answer, &fields)
}

async fn propose(api: &Api, format: Format, question: v1::ProposeResumeRequest) -> anyhow::Result<()> {
    let answer = api.risk().propose_resume(ask(question)).await?.into_inner();
    let fields = [
        ("proposal", answer.token.clone()),
        ("target", state_word(answer.target())),
        ("epoch", answer.epoch.to_string()),
        ("expires", moment(answer.expires_at.as_ref().map_or(0, |at| at.seconds))),
        ("evidence", answer.evidence.join("; ")),
        ("hash", answer.evidence_hash.clone()),
        ("next", format!("somebody else: tragen risk confirm-resume {}", answer.token)),
    ];
    format.record(&answer, &fields)
}

async fn watch(api: &Api, format: Format) -> anyhow::Result<()> {
    let mut states = api.risk().watch_risk(Request::new(v1::WatchRiskRequest {})).await?.into_inner();
    while let Some(answer) = states.message().await? {
        let state = answer.state.context("the answer has no state")?;
        format.event(&state, || state_line(&state))?;
    }
    anyhow::bail!("the API has ended the stream of states")
}

async fn history(api: &Api, format: Format, limit: i32) -> anyhow::Result<()> {
    let mut risk = api.risk();
    let changes = pages(limit, async |page_size, page_token: String| {
        let before_epoch = page_token.parse().unwrap_or(0);
        let page =
            risk.get_risk_history(ask(v1::GetRiskHistoryRequest { before_epoch, page_size })).await?.into_inner();
        let next = if page.next_before_epoch == 0 { String::new() } else { page.next_before_epoch.to_string() };
        Ok((page.changes, next))
    });
    show_history(format, &changes.await?)
}

/// A scope that is the name of nothing is obeyed, and said; `told` is what the guard says of it.
async fn warn(api: &Api, scope: &v1::Scope, told: &str) {
    match known::warning(api, scope).await {
        Some(warning) => eprintln!("{warning}"),
        None if told.is_empty() => {}
        None => eprintln!("warning: {told}"),
    }
}

/// The gate is closed whatever workers do; whoever scripts this must hear that some have not said so.
fn confirmed_by_all(missing: &[String]) -> Verdict {
    if missing.is_empty() {
        return Verdict::Good;
    }
    eprintln!(
        "warning: the gate is closed, but {} workers have not confirmed: {}; without a lease they stop by themselves within a second",
        missing.len(),
        missing.join(" ")
    );
    Verdict::Partly
}
