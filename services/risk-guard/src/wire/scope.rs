//! Scopes and their states.

use tragen_contracts::{
    convert::{InvalidField, id},
    v1,
};
use tragen_domain::{
    risk::{Change, Record, Scope, ScopeState, TradingState},
    time::Timestamp,
};

pub(crate) const fn trading_state(state: TradingState) -> v1::TradingState {
    match state {
        TradingState::Active => v1::TradingState::Active,
        TradingState::Reducing => v1::TradingState::Reducing,
        TradingState::Halted => v1::TradingState::Halted,
    }
}

/// A state that is asked for; `None` when it is not set.
pub(crate) fn parse_state(number: i32) -> Result<Option<TradingState>, InvalidField> {
    match v1::TradingState::try_from(number) {
        Ok(v1::TradingState::Unspecified) => Ok(None),
        Ok(v1::TradingState::Active) => Ok(Some(TradingState::Active)),
        Ok(v1::TradingState::Reducing) => Ok(Some(TradingState::Reducing)),
        Ok(v1::TradingState::Halted) => Ok(Some(TradingState::Halted)),
        Err(_) => Err(InvalidField::new("target", "ENUM_UNKNOWN", format!("{number} is not a trading state"))),
    }
}

/// A scope that is named; everything when it is not.
pub(crate) fn parse_scope(scope: Option<&v1::Scope>) -> Result<Scope, InvalidField> {
    let Some(scope) = scope else { return Ok(Scope::Global) };
    let unknown = || InvalidField::new("scope.kind", "ENUM_UNSPECIFIED", "must be set");
    match v1::ScopeKind::try_from(scope.kind).map_err(|_| unknown())? {
        v1::ScopeKind::Unspecified => Err(unknown()),
        v1::ScopeKind::Global if scope.id.is_empty() => Ok(Scope::Global),
        v1::ScopeKind::Global => Err(InvalidField::new("scope.id", "ID_NOT_EMPTY", "must be empty for global")),
        v1::ScopeKind::Pool => id("scope.id", &scope.id).map(Scope::Pool),
        v1::ScopeKind::Agent => id("scope.id", &scope.id).map(Scope::Agent),
        v1::ScopeKind::Instrument => id("scope.id", &scope.id).map(Scope::Instrument),
        v1::ScopeKind::Account => id("scope.id", &scope.id).map(Scope::Account),
    }
}

pub(crate) fn scope(scope: &Scope) -> v1::Scope {
    let (kind, id) = match scope {
        Scope::Global => (v1::ScopeKind::Global, String::new()),
        Scope::Pool(id) => (v1::ScopeKind::Pool, id.to_string()),
        Scope::Agent(id) => (v1::ScopeKind::Agent, id.to_string()),
        Scope::Instrument(id) => (v1::ScopeKind::Instrument, id.to_string()),
        Scope::Account(id) => (v1::ScopeKind::Account, id.to_string()),
    };
    v1::Scope { kind: kind.into(), id }
}

pub(crate) fn scope_state(state: &ScopeState) -> v1::ScopeState {
    v1::ScopeState {
        scope: Some(scope(&state.scope)),
        state: trading_state(state.state).into(),
        epoch: state.epoch,
        changed_by: state.changed_by.clone(),
        reason: state.reason.clone(),
        changed_at_micros: state.changed_at.micros(),
        resume_from_micros: state.resume_from.micros(),
    }
}

/// The journal's form of a change of a scope.
pub(crate) fn state_record(change: &ScopeState) -> v1::JournalRecord {
    v1::JournalRecord {
        meta: Some(v1::Meta {
            event_id: format!("epoch-{}", change.epoch),
            occurred_at_micros: change.changed_at.micros(),
            ..v1::Meta::default()
        }),
        key: None,
        kind: Some(v1::journal_record::Kind::StateChanged(scope_state(change))),
    }
}

/// An entry of the history.
pub(crate) fn risk_change(change: &Change) -> v1::RiskChange {
    let state = change.state.map(trading_state);
    v1::RiskChange {
        epoch: change.epoch,
        scope: Some(scope(&change.scope)),
        state: state.unwrap_or_default().into(),
        command_id: change.reduction.as_ref().map(ToString::to_string).unwrap_or_default(),
        changed_by: change.changed_by.clone(),
        reason: change.reason.clone(),
        changed_at_micros: change.changed_at.micros(),
    }
}

/// An entry of a kept history.
pub(crate) fn read_change(change: &v1::RiskChange) -> Result<Change, InvalidField> {
    let command = &change.command_id;
    Ok(Change {
        epoch: change.epoch,
        scope: parse_scope(change.scope.as_ref())?,
        state: parse_state(change.state)?,
        reduction: (!command.is_empty()).then(|| id("command_id", command)).transpose()?,
        changed_by: change.changed_by.clone(),
        reason: change.reason.clone(),
        changed_at: Timestamp::from_micros(change.changed_at_micros),
    })
}

/// A journaled change of a scope.
pub(crate) fn state_change(state: &v1::ScopeState) -> Result<Record, InvalidField> {
    read_scope_state(state).map(Record::ScopeChanged)
}

/// A scope's state as it was told.
pub(crate) fn read_scope_state(state: &v1::ScopeState) -> Result<ScopeState, InvalidField> {
    let unset = || InvalidField::new("state", "ENUM_UNSPECIFIED", "must be set");
    Ok(ScopeState {
        scope: parse_scope(state.scope.as_ref())?,
        state: parse_state(state.state)?.ok_or_else(unset)?,
        epoch: state.epoch,
        changed_by: state.changed_by.clone(),
        reason: state.reason.clone(),
        changed_at: Timestamp::from_micros(state.changed_at_micros),
        // Older journals do not know it.
        resume_from: Timestamp::from_micros(state.resume_from_micros.max(state.changed_at_micros)),
    })
}
