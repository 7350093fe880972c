//! Something that does not agree.

use super::HALT_WAIT_MS;
use crate::publish::{self, code};
use tragen_contracts::v1;

/// What does not agree, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The same for the same thing in a later round.
    pub(super) id: String,
    /// Of [`publish::code`].
    pub(super) code: &'static str,
    severity: v1::AlertSeverity,
    /// The account, instrument or shard it is about.
    pub(super) subject: String,
    /// For a person.
    pub(super) message: String,
    halts: Option<Halts>,
}

/// Whom it halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halts {
    /// The account it is about.
    Account,
    /// Everything.
    Everything,
}

impl Finding {
    /// The money of an account is not what it should be: the account is halted.
    pub(super) fn of_account(account_id: &str, what: &str, message: String) -> Self {
        Self {
            id: format!("{account_id}-{what}"),
            code: code::BALANCE_MISMATCH,
            severity: v1::AlertSeverity::Critical,
            subject: account_id.to_owned(),
            message,
            halts: Some(Halts::Account),
        }
    }

    /// The history of a shard is not what it should be: everything is halted.
    pub(super) fn of_history(shard: u16, what: &str, message: String) -> Self {
        Self {
            id: format!("shard-{shard}-{what}"),
            code: code::BALANCE_MISMATCH,
            severity: v1::AlertSeverity::Critical,
            subject: format!("shard {shard}"),
            message,
            halts: Some(Halts::Everything),
        }
    }

    /// The venue has executed what is not in the books: its account is halted, or everything if it is not known.
    pub(super) fn of_venue(execution_id: &str, account_id: Option<&str>, message: String) -> Self {
        Self {
            id: format!("execution-{execution_id}"),
            code: code::MISMATCH,
            severity: v1::AlertSeverity::Critical,
            subject: account_id.unwrap_or(execution_id).to_owned(),
            message,
            halts: Some(if account_id.is_some() { Halts::Account } else { Halts::Everything }),
        }
    }

    /// Something a person should look at; no money is wrong.
    pub(super) fn to_look_at(subject: &str, what: &str, message: String) -> Self {
        Self {
            id: format!("{subject}-{what}"),
            code: code::MISMATCH,
            severity: v1::AlertSeverity::Warning,
            subject: subject.to_owned(),
            message,
            halts: None,
        }
    }

    /// The alert about it.
    pub(super) fn alert(&self) -> v1::Alert {
        publish::alert(self.severity, self.code, &self.id, &self.subject, self.message.clone())
    }

    /// What the guard is asked for, if money is wrong.
    pub(super) fn halt(&self) -> Option<v1::HaltRequest> {
        let scope = match self.halts? {
            Halts::Account => v1::Scope { kind: v1::ScopeKind::Account.into(), id: self.subject.clone() },
            Halts::Everything => v1::Scope { kind: v1::ScopeKind::Global.into(), id: String::new() },
        };
        Some(v1::HaltRequest { scope: Some(scope), reason: self.message.clone(), wait_ms: HALT_WAIT_MS })
    }
}
