//! Live drills: every limit that can be reached through the public API is tripped
//! in a private paper system, exactly at the limit and one step beyond it.
//!
//! | file | what it is for |
//! |---|---|
//! | `drill/setting.rs` | how it is configured for each drill |
//! | `drill/stage.rs` | the private system: started, asked, stopped |
//! | `drill/step.rs` | what a drill is made of |
//! | `drill/play.rs` | playing the steps and noting what was seen |
//! | `drill/play/operator.rs` | the steps that people at the helm do |
//! | `drill/play/commands.rs` | the steps that show what limits of their commands do |
//! | `drill/orders.rs` | drills of what one order must look like |
//! | `drill/accounts.rs` | drills of what one account may |
//! | `drill/house.rs` | drills of the pooled capital |
//! | `drill/pace.rs` | drills of rates and repeats |
//! | `drill/states.rs` | drills of halts and of reducing |
//! | `drill/agents.rs` | drills of what configured agents may |
//! | `drill/breakers.rs` | drills of what trips by itself |
//! | `drill/losses.rs` | drills of losses before their breaker acts, and of agents that move together |
//! | `drill/commands.rs` | drills of what operators' commands may, and of repeats that are only counted |
//! | `drill/missing.rs` | limits without a drill, and why |

mod accounts;
mod agents;
mod breakers;
mod commands;
mod house;
mod losses;
mod missing;
mod orders;
mod pace;
mod play;
mod setting;
mod stage;
mod states;
mod step;

pub(crate) use missing::{MISSING, Missing};
pub(crate) use play::Row;

use anyhow::Context as _;
use setting::Setting;
use stage::Stage;
use step::Drill;

/// Every drill, in the order in which they run.
pub(crate) fn all() -> Vec<Drill> {
    let mut drills = orders::drills();
    drills.extend(accounts::drills());
    drills.extend(house::drills());
    drills.extend(pace::drills());
    drills.extend(states::drills());
    drills.extend(agents::drills());
    drills.extend(breakers::drills());
    drills.extend(losses::drills());
    drills.extend(commands::drills());
    drills
}

/// The drills named, or all of them if nothing is named.
///
/// # Errors
/// A name that no drill has, with what is known of it.
pub(crate) fn named(limits: &[String]) -> anyhow::Result<Vec<Drill>> {
    let drills = all();
    for limit in limits {
        if let Some(missing) = MISSING.iter().find(|missing| missing.limit == limit) {
            anyhow::bail!("{limit} is not drilled: {}", missing.reason);
        }
        anyhow::ensure!(
            drills.iter().any(|drill| drill.limit == limit),
            "there is no drill {limit}; see `tragen drill --list`"
        );
    }
    Ok(drills.into_iter().filter(|drill| limits.is_empty() || limits.iter().any(|one| one == drill.limit)).collect())
}

/// Runs `drills`, each on a system with the setting that it needs; one row for each drill.
/// `said` is told of every step of the way.
///
/// # Errors
/// When a system cannot be started or stopped. What a drill finds is in its row.
pub(crate) async fn run(drills: Vec<Drill>, said: impl Fn(&str)) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for setting in Setting::ALL {
        let mut running: Option<Stage> = None;
        for drill in drills.iter().filter(|drill| drill.setting == setting) {
            let stage = match running.take() {
                Some(stage) => stage,
                None => {
                    said("starting a paper system");
                    Stage::start(setting).await.context("starting a paper system")?
                }
            };
            let row = play::play(&stage, drill).await;
            let word = if row.problem.is_empty() { "as expected" } else { &row.problem };
            said(&format!("{}: {word}", row.limit));
            // What a drill has left undone would spoil the next one.
            if row.problem.is_empty() && !setting.is_used_once() {
                running = Some(stage);
            } else {
                stage.stop().await.context("stopping the paper system")?;
            }
            rows.push(row);
        }
        if let Some(stage) = running {
            stage.stop().await.context("stopping the paper system")?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::{step::Step, *};
    use std::collections::BTreeSet;
    use tragen_domain::risk::{DenialReason, LimitName};

    /// Every limit and denial that a drill trips, in small letters.
    fn covers(drill: &Drill) -> Vec<String> {
        let denial = |step: &Step| match step {
            Step::Denied(_, denial) | Step::MandateDenied(_, denial) | Step::CancelDenied(denial) => {
                Some(denial.code.as_str_name().trim_start_matches("DENIAL_CODE_").to_lowercase())
            }
            Step::Deposit(_)
            | Step::DeniedLater(..)
            | Step::Passes(_)
            | Step::Fills(_)
            | Step::CancelLast
            | Step::Quote(..)
            | Step::Status(_)
            | Step::Limit(..)
            | Step::Halt(_)
            | Step::Reduce(_)
            | Step::Resume(..)
            | Step::ResumeOverridden(..)
            | Step::Alerted(_)
            | Step::Warned(_)
            | Step::Swings(_)
            | Step::Holds(_)
            | Step::Overspent(_)
            | Step::Unfreeze
            | Step::ResumeRefused(_)
            | Step::Becomes(..)
            | Step::Shrink(_)
            | Step::Overdue(_)
            | Step::Flatten
            | Step::FlattenWaits(_)
            | Step::CoolsDown(..)
            | Step::FillsAndCounts(..)
            | Step::Wait(_) => None,
        };
        drill.steps.iter().filter_map(denial).chain([drill.limit.to_owned()]).collect()
    }

    #[test]
    fn every_limit_is_drilled_or_said_to_be_missing() {
        let drills = all();
        let mut names: BTreeSet<&str> = drills.iter().map(|drill| drill.limit).collect();
        assert_eq!(names.len(), drills.len(), "a name is used twice");
        names.extend(MISSING.iter().map(|missing| missing.limit));
        assert_eq!(names.len(), drills.len() + MISSING.len(), "a missing drill is there");
        let denials = DenialReason::ALL.map(|reason| reason.as_str().to_lowercase());
        let all = denials.iter().map(String::as_str).chain(LimitName::ALL.map(LimitName::as_str));
        // Limits that deny no order of a user: states of every kind of scope, and those of operators' commands.
        let scopes = ["global", "pool", "agent", "instrument", "account"];
        let states: Vec<String> =
            scopes.iter().flat_map(|own| [format!("halted_{own}"), format!("reducing_{own}")]).collect();
        let commands =
            ["flatten_orders_per_minute_max", "reduction_overdue_ms", "resume_cooldown_ms", "repeated_orders"];
        let all = all.chain(states.iter().map(String::as_str)).chain(commands);
        let mut covered: BTreeSet<String> = drills.iter().flat_map(covers).collect();
        covered.extend(MISSING.iter().map(|missing| missing.limit.to_owned()));
        let forgotten: Vec<&str> = all.filter(|name| !covered.contains(*name)).collect();
        assert_eq!(forgotten, Vec::<&str>::new());
    }
}
