//! Numbers of operators' commands: reductions, the flatten lane, who resumes.

use super::{ConfigError, above_zero};
use serde::Deserialize;
use tragen_domain::risk::{CommandLimits, Confirmer};

/// What the process is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Somebody relies on it: nothing that weakens a check is accepted.
    #[default]
    Production,
    /// One person tries things out.
    Development,
}

/// Limits of operators' commands.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandsConfig {
    /// Most orders a minute in the operator's flatten lane, all accounts together.
    pub flatten_orders_per_minute_max: u32,
    /// Most positions that one reduction may be about.
    pub reduction_targets_max: usize,
    /// Most reductions under way and in time, and as many that are overdue; as many ended ones are kept to answer repeats.
    pub reductions_max: usize,
    /// After how long a reduction that is not through is overdue, milliseconds: people are told, it goes on, and it keeps no place of others.
    pub reduction_overdue_ms: i64,
    /// Changes of the trading state that are kept for the history.
    pub changes_kept_max: usize,
    /// People that a resume takes: 2, or 1 in the profile `development` only.
    pub resume_people: u8,
}

impl Default for CommandsConfig {
    fn default() -> Self {
        let limits = CommandLimits::default();
        Self {
            flatten_orders_per_minute_max: limits.flatten_orders_per_minute_max,
            reduction_targets_max: limits.reduction_targets_max,
            reductions_max: limits.reductions_max,
            reduction_overdue_ms: limits.reduction_overdue_ms,
            changes_kept_max: limits.changes_kept_max,
            resume_people: 2,
        }
    }
}

/// Most targets that fit into one message of the bus (4 MB) with the longest ids.
const REDUCTION_TARGETS_MAX: usize = 20_000;

impl CommandsConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that makes no sense.
    pub(super) fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        above_zero("limits.commands.flatten_orders_per_minute_max", self.flatten_orders_per_minute_max)?;
        above_zero("limits.commands.reductions_max", self.reductions_max)?;
        above_zero("limits.commands.reduction_overdue_ms", self.reduction_overdue_ms)?;
        above_zero("limits.commands.changes_kept_max", self.changes_kept_max)?;
        if !(1..=REDUCTION_TARGETS_MAX).contains(&self.reduction_targets_max) {
            let (key, value) =
                ("limits.commands.reduction_targets_max".to_owned(), self.reduction_targets_max.to_string());
            return Err(ConfigError {
                key,
                value,
                rule: "1 to 20000, so that the targets fit into one message".to_owned(),
            });
        }
        let rule = match (self.resume_people, profile) {
            (2, Profile::Production | Profile::Development) | (1, Profile::Development) => return Ok(()),
            (1, Profile::Production) => "2 unless the profile is development: nobody resumes alone in production",
            (_, Profile::Production | Profile::Development) => "1 or 2",
        };
        let (key, value) = ("limits.commands.resume_people".to_owned(), self.resume_people.to_string());
        Err(ConfigError { key, value, rule: rule.to_owned() })
    }

    pub(super) const fn limits(&self) -> CommandLimits {
        CommandLimits {
            flatten_orders_per_minute_max: self.flatten_orders_per_minute_max,
            reduction_targets_max: self.reduction_targets_max,
            reductions_max: self.reductions_max,
            reduction_overdue_ms: self.reduction_overdue_ms,
            changes_kept_max: self.changes_kept_max,
            resume_confirmer: if self.resume_people == 1 { Confirmer::Anyone } else { Confirmer::Another },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_resumes_alone_in_production() {
        let check = |resume_people, profile| {
            let config = CommandsConfig { resume_people, ..CommandsConfig::default() };
            config.validate(profile).map_err(|refused| refused.key)
        };
        let refused = Err("limits.commands.resume_people".to_owned());
        assert_eq!(check(2, Profile::Production), Ok(()));
        assert_eq!(check(2, Profile::Development), Ok(()));
        assert_eq!(check(1, Profile::Development), Ok(()));
        assert_eq!(check(1, Profile::Production), refused);
        assert_eq!(check(0, Profile::Development), refused);
        assert_eq!(check(3, Profile::Production), refused);
    }
}
