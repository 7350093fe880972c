//! `tragen risk limits`: what the guard limits, and changing it while it runs.

use crate::{
    api::{Api, ask},
    output::{Format, moment},
};
use clap::Subcommand;
use tragen_contracts::v1::{self, ScopeKind};
use tragen_domain::risk::{LimitName, Whose};

/// What to do about limits by scope.
#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Every limit with its value; 0 is off.
    #[command(after_help = "Example:\n  tragen risk limits show")]
    Show,
    /// Changes a limit: tighter at once, looser once somebody else confirms; needs the role risk_admin.
    #[command(
        after_help = "Examples:\n  tragen risk limits propose day_loss_reduce_ppm 40000 --reason \"a rough week\"\n  tragen risk limits propose pool_exposure_max_ppm 200000 --id scalper --reason \"it has earned it\""
    )]
    Propose {
        /// Which, as `show` names it; the unit stands at the end.
        name: String,
        /// The value it shall have; 0 switches it off.
        value: i64,
        /// Of which pool, agent, account ... [default: everybody who has no value of his own].
        #[arg(long, default_value = "")]
        id: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Second step of a looser limit, by another person with the role risk_admin.
    #[command(after_help = "Example:\n  tragen risk limits confirm 7f9c2ba4e88f827d")]
    Confirm {
        /// What `propose` has printed.
        proposal: String,
    },
}

impl LimitsCommand {
    pub(super) async fn run(self, api: &Api, format: Format) -> anyhow::Result<()> {
        let mut risk = api.risk();
        match self {
            Self::Show => {
                let limits = risk.list_limits(ask(v1::ListLimitsRequest {})).await?.into_inner().limits;
                let headers = ["LIMIT", "OF", "VALUE", "STATE", "DEFAULT", "BY", "SINCE", "REASON"];
                format.list("limits", &limits, &headers, row)
            }
            Self::Propose { name, value, id, reason } => {
                let question = v1::ProposeLimitRequest { name: name.clone(), id: id.clone(), value, reason };
                let answer = risk.propose_limit(ask(question)).await?.into_inner();
                warn(api, (&name, &id), &answer.warning).await;
                if answer.is_done {
                    return format.record(&answer, &[("value", answer.value.to_string())]);
                }
                let fields = [
                    ("proposal", answer.token.clone()),
                    ("value now", answer.value.to_string()),
                    ("expires", moment(answer.expires_at.as_ref().map_or(0, |at| at.seconds))),
                    ("next", format!("somebody else: tragen risk limits confirm {}", answer.token)),
                ];
                format.record(&answer, &fields)
            }
            Self::Confirm { proposal } => {
                let answer = risk.confirm_limit(ask(v1::ConfirmLimitRequest { token: proposal })).await?.into_inner();
                let fields =
                    [("limit", answer.name.clone()), ("of", answer.id.clone()), ("value", answer.value.to_string())];
                format.record(&answer, &fields)
            }
        }
    }
}

/// A value for nobody is taken, and said; `told` is what the guard says of it.
async fn warn(api: &Api, (name, id): (&str, &str), told: &str) {
    let kind = match LimitName::parse(name).map(LimitName::whose) {
        Some(Whose::Pool) if !id.is_empty() => ScopeKind::Pool,
        Some(Whose::Agent) if !id.is_empty() => ScopeKind::Agent,
        Some(_) | None => ScopeKind::Unspecified,
    };
    super::warn(api, &v1::Scope { kind: kind.into(), id: id.to_owned() }, told).await;
}

fn state(limit: &v1::LimitValue) -> String {
    match (limit.value, limit.off_because.as_str()) {
        (0, _) => "off".to_owned(),
        (_, "") => "on".to_owned(),
        (_, because) => format!("off: {because}"),
    }
}

fn row(limit: &v1::LimitValue) -> Vec<String> {
    let since = if limit.changed_at_micros == 0 { String::new() } else { moment(limit.changed_at_micros / 1_000_000) };
    vec![
        limit.name.clone(),
        limit.id.clone(),
        limit.value.to_string(),
        state(limit),
        limit.default_value.to_string(),
        limit.changed_by.clone(),
        since,
        limit.reason.clone(),
    ]
}
