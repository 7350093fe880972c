//! `tragen risk`: stops and resumes trading. Stopping takes one person,
//! resuming two.

mod journal;
mod known;
mod replay;

use super::ClientArgs;
use crate::{
    Verdict,
    api::{ask, within},
    output::{Format, decimal, moment, print, word},
};
use clap::Subcommand;
use std::time::Duration;
use tragen_contracts::v1::{self, ScopeKind};

/// What to do about the trading state.
#[derive(Debug, Subcommand)]
pub(crate) enum RiskCommand {
    /// Every scope that is not active, and the workers.
    #[command(after_help = "Example:\n  tragen risk status")]
    Status,
    /// Stops a scope at once; needs the role operator.
    #[command(after_help = "Example:\n  tragen risk halt --scope pool:scalper --reason \"prices look wrong\"")]
    Halt {
        /// What: global, pool:NAME (scalper, swing, value, user or an agent's own pool), agent:ID, instrument:ID or
        /// account:ID.
        #[arg(long, default_value = "global", value_parser = parse_scope)]
        scope: v1::Scope,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// How long to wait for the workers, milliseconds.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i32).range(1..=10_000))]
        wait_ms: i32,
    },
    /// First step of a resume by one level; needs the role risk_admin.
    #[command(after_help = "Example:\n  tragen risk propose-resume --scope global --reason \"the feed is back\"")]
    ProposeResume {
        /// What: global, pool:NAME (scalper, swing, value, user or an agent's own pool), agent:ID, instrument:ID or
        /// account:ID.
        #[arg(long, default_value = "global", value_parser = parse_scope)]
        scope: v1::Scope,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Rebuilds the guard's state from its journal, checks every hash in it, and prints the hash of the end.
    #[command(
        after_help = "Examples:\n  tragen risk replay --nats nats://127.0.0.1:4222\n  tragen risk replay --until 5000 --save journal.tragen\n  tragen risk replay --journal journal.tragen --snapshot data/risk-guard/snapshot-00000000000000004000\n\nExit code 1 if the state differs from what the journal says."
    )]
    Replay(replay::ReplayArgs),
    /// Second step of a resume, by another person with the role risk_admin.
    #[command(after_help = "Example:\n  tragen risk confirm-resume 7f9c2ba4e88f827d")]
    ConfirmResume {
        /// What `propose-resume` has printed.
        proposal: String,
    },
}

impl RiskCommand {
    pub(super) async fn run(self, client: &ClientArgs) -> anyhow::Result<Verdict> {
        let format = client.output;
        // The journal is there when the API is not.
        if let Self::Replay(args) = self {
            return args.run(format).await;
        }
        let api = client.connect().await?;
        let mut risk = api.risk();
        match self {
            Self::Replay(_) => {}
            Self::Status => {
                show_state(format, &risk.get_risk_state(ask(v1::GetRiskStateRequest {})).await?.into_inner())?;
            }
            Self::Halt { scope, reason, wait_ms } => {
                let patience = Duration::from_millis(u64::from(wait_ms.unsigned_abs()) + 5_000);
                let question = v1::HaltRequest { scope: Some(scope.clone()), reason, wait_ms };
                show_halt(format, &scope, &risk.halt(within(question, patience)).await?.into_inner())?;
                if let Some(warning) = known::warning(&api, &scope).await {
                    eprintln!("{warning}");
                }
            }
            Self::ProposeResume { scope, reason } => {
                let question = v1::ProposeResumeRequest { scope: Some(scope), target: 0, reason };
                let answer = risk.propose_resume(ask(question)).await?.into_inner();
                let fields = [
                    ("proposal", answer.token.clone()),
                    ("target", word(answer.target().as_str_name(), "TRADING_STATE_")),
                    ("epoch", answer.epoch.to_string()),
                    ("expires", moment(answer.expires_at.as_ref().map_or(0, |at| at.seconds))),
                    ("next", format!("somebody else: tragen risk confirm-resume {}", answer.token)),
                ];
                format.record(&answer, &fields)?;
            }
            Self::ConfirmResume { proposal } => {
                let question = v1::ConfirmResumeRequest { token: proposal };
                let answer = risk.confirm_resume(ask(question)).await?.into_inner();
                let state = word(answer.state().as_str_name(), "TRADING_STATE_");
                format.record(&answer, &[("state", state), ("epoch", answer.epoch.to_string())])?;
            }
        }
        Ok(Verdict::Good)
    }
}

fn show_state(format: Format, answer: &v1::GetRiskStateResponse) -> anyhow::Result<()> {
    let fields = [
        ("global", word(answer.global_state().as_str_name(), "TRADING_STATE_")),
        ("epoch", answer.epoch.to_string()),
        ("journal", answer.journal_sequence.to_string()),
        ("open orders", answer.open_orders.to_string()),
        ("held", format!("{} USD", decimal(answer.held_micros))),
        ("workers", answer.workers.join(" ")),
    ];
    format.record(answer, &fields)?;
    if format == Format::Table && !answer.scopes.is_empty() {
        print("")?;
        let headers = ["SCOPE", "STATE", "EPOCH", "SINCE", "BY", "REASON"];
        format.list("scopes", &answer.scopes, &headers, scope_row)?;
    }
    Ok(())
}

fn show_halt(format: Format, scope: &v1::Scope, answer: &v1::HaltResponse) -> anyhow::Result<()> {
    let scope = scope_text(scope);
    let next = format!("a risk_admin: tragen risk propose-resume --scope {scope} --reason ...");
    let fields = [
        ("scope", scope),
        ("state", "HALTED".to_owned()),
        ("epoch", answer.epoch.to_string()),
        ("journal", answer.journal_sequence.to_string()),
        ("gate closed", format!("after {} us", answer.gate_closed_micros)),
        ("workers", format!("{} of {} have confirmed", answer.confirmed_workers, answer.total_workers)),
        ("missing", answer.missing_workers.join(" ")),
        ("canceled", format!("{} orders", answer.canceled_orders)),
        ("next", next),
    ];
    format.record(answer, &fields)
}

fn scope_row(state: &v1::ScopeState) -> Vec<String> {
    vec![
        state.scope.as_ref().map(scope_text).unwrap_or_default(),
        word(state.state().as_str_name(), "TRADING_STATE_"),
        state.epoch.to_string(),
        moment(state.changed_at_micros / 1_000_000),
        state.changed_by.clone(),
        state.reason.clone(),
    ]
}

const KINDS: [(&str, ScopeKind); 4] = [
    ("pool", ScopeKind::Pool),
    ("agent", ScopeKind::Agent),
    ("instrument", ScopeKind::Instrument),
    ("account", ScopeKind::Account),
];

fn parse_scope(text: &str) -> Result<v1::Scope, String> {
    if text == "global" {
        return Ok(v1::Scope { kind: ScopeKind::Global.into(), id: String::new() });
    }
    let expected = || "expected global, pool:NAME, agent:ID, instrument:ID or account:ID".to_owned();
    let (name, id) = text.split_once(':').filter(|(_, id)| !id.is_empty()).ok_or_else(expected)?;
    let (_, kind) = KINDS.into_iter().find(|(known, _)| *known == name).ok_or_else(expected)?;
    Ok(v1::Scope { kind: kind.into(), id: id.to_owned() })
}

fn scope_text(scope: &v1::Scope) -> String {
    match KINDS.into_iter().find(|(_, kind)| *kind == scope.kind()) {
        Some((name, _)) => format!("{name}:{}", scope.id),
        None => "global".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_as_they_are_read() {
        for text in ["global", "pool:scalper", "agent:a1", "instrument:GBPUSD", "account:alice"] {
            assert_eq!(parse_scope(text).map(|scope| scope_text(&scope)), Ok(text.to_owned()));
        }
        for bad in ["", "pool", "pool:", "planet:earth", "GLOBAL"] {
            assert!(parse_scope(bad).is_err(), "{bad}");
        }
    }
}
