//! How the trading state, reductions and the history look.

use super::scope::scope_text;
use crate::output::{Format, decimal, moment, print, word};
use tragen_contracts::v1;

pub(super) fn show_state(format: Format, answer: &v1::GetRiskStateResponse) -> anyhow::Result<()> {
    let fields = [
        ("global", state_word(answer.global_state())),
        ("epoch", answer.epoch.to_string()),
        ("journal", answer.journal_sequence.to_string()),
        ("open orders", answer.open_orders.to_string()),
        ("held", format!("{} USD", decimal(answer.held_micros))),
        ("workers", workers(answer)),
    ];
    format.record(answer, &fields)?;
    if format != Format::Table {
        return Ok(());
    }
    if !answer.scopes.is_empty() {
        print("")?;
        let headers = ["SCOPE", "STATE", "EPOCH", "SINCE", "NOT BEFORE", "BY", "REASON"];
        format.list("scopes", &answer.scopes, &headers, scope_row)?;
    }
    if !answer.waiting_resumes.is_empty() {
        print("")?;
        let headers = ["RESUME", "TO", "BY", "UNTIL", "REASON", "EVIDENCE"];
        format.list("waiting_resumes", &answer.waiting_resumes, &headers, resume_row)?;
    }
    if !answer.reductions.is_empty() {
        print("")?;
        show_reductions(format, &answer.reductions)?;
    }
    Ok(())
}

/// Workers that are here, and those of them that have not applied the newest epoch.
fn workers(answer: &v1::GetRiskStateResponse) -> String {
    let name = |worker: &v1::WorkerStatus| match worker.epoch {
        epoch if epoch >= answer.epoch => worker.worker_id.clone(),
        epoch => format!("{} (at epoch {epoch})", worker.worker_id),
    };
    answer.worker_states.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// One line for a state that was watched.
pub(super) fn state_line(answer: &v1::GetRiskStateResponse) -> String {
    let scopes = answer.scopes.iter().map(|entry| {
        let scope = entry.scope.as_ref().map(scope_text).unwrap_or_default();
        format!("{scope} {} ({}: {})", state_word(entry.state()), entry.changed_by, entry.reason)
    });
    let scopes = scopes.collect::<Vec<_>>().join(", ");
    let open = answer.reductions.iter().filter(|reduction| reduction.ended_at_micros == 0);
    let open = open.map(|own| {
        let overdue = if own.is_overdue { " overdue" } else { "" };
        format!("; reduction {} {}{overdue}", own.command_id, done(own))
    });
    format!(
        "epoch {}: {}; {} orders, {} workers{}",
        answer.epoch,
        if scopes.is_empty() { "all active".to_owned() } else { scopes },
        answer.open_orders,
        answer.workers.len(),
        open.collect::<String>(),
    )
}

pub(super) fn show_halt(format: Format, scope: &v1::Scope, answer: &v1::HaltResponse) -> anyhow::Result<()> {
    let scope = scope_text(scope);
    let next = format!("a risk_admin: tragen risk propose-resume --scope {scope} --reason ...");
    let counted = [
        (answer.dropped_requests, "requests in hand"),
        (answer.withdrawn_proposals, "proposals on their way"),
        (answer.stopped_agents, "agents"),
    ];
    let stopped: Vec<String> =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let fields = [
        ("scope", scope),
        ("state", "HALTED".to_owned()),
        ("epoch", answer.epoch.to_string()),
        ("journal", answer.journal_sequence.to_string()),
        ("gate closed", format!("after {} us", answer.gate_closed_micros)),
        ("workers", confirmed(answer.confirmed_workers, answer.total_workers)),
        ("missing", answer.missing_workers.join(" ")),
        ("stopped", stopped.join(", ")),
        ("canceled", format!("{} orders", answer.canceled_orders)),
        ("next", next),
    ];
    format.record(answer, &fields)
}

pub(super) fn show_reduced(format: Format, answer: &v1::ReducePositionsResponse) -> anyhow::Result<()> {
    let Some(reduction) = &answer.reduction else { return format.record(answer, &[]) };
    let mut fields = reduction_fields(reduction);
    fields.push(("state", state_word(answer.state())));
    if !answer.is_repeat {
        fields.push(("workers", confirmed(answer.confirmed_workers, answer.total_workers)));
        fields.push(("missing", answer.missing_workers.join(" ")));
        fields.push(("canceled", format!("{} orders", answer.canceled_orders)));
    }
    fields.push(("repeat", repeat(answer.is_repeat)));
    format.record(answer, &fields)?;
    show_positions(format, reduction)
}

pub(super) fn show_flattened(format: Format, answer: &v1::FlattenResponse) -> anyhow::Result<()> {
    let Some(reduction) = &answer.reduction else { return format.record(answer, &[]) };
    let mut fields = reduction_fields(reduction);
    fields.push(("repeat", repeat(answer.is_repeat)));
    format.record(answer, &fields)?;
    show_positions(format, reduction)
}

pub(super) fn show_history(format: Format, changes: &[v1::RiskChange]) -> anyhow::Result<()> {
    let headers = ["EPOCH", "WHEN", "SCOPE", "CHANGE", "BY", "REASON"];
    format.list_or("Nothing has changed yet.", "changes", changes, &headers, |change| {
        vec![
            change.epoch.to_string(),
            moment(change.changed_at_micros / 1_000_000),
            change.scope.as_ref().map(scope_text).unwrap_or_default(),
            match change.command_id.as_str() {
                "" => state_word(change.state()),
                command => format!("reduce {command}"),
            },
            change.changed_by.clone(),
            change.reason.clone(),
        ]
    })
}

pub(super) fn state_word(state: v1::TradingState) -> String {
    word(state.as_str_name(), "TRADING_STATE_")
}

fn confirmed(confirmed: i32, total: i32) -> String {
    format!("{confirmed} of {total} have confirmed")
}

fn repeat(is_repeat: bool) -> String {
    if is_repeat { "the command was known already; nothing was changed".to_owned() } else { String::new() }
}

fn reduction_fields(reduction: &v1::ReductionStatus) -> Vec<(&'static str, String)> {
    vec![
        ("command", reduction.command_id.clone()),
        ("scope", reduction.scope.as_ref().map(scope_text).unwrap_or_default()),
        ("factor", decimal(reduction.factor_ppm)),
        ("epoch", reduction.epoch.to_string()),
        ("positions", format!("{} of {} are at their target", reduction.done_positions, reduction.total_positions)),
        ("waiting", waiting(reduction)),
    ]
}

/// More positions than one command may be about at a time.
fn waiting(reduction: &v1::ReductionStatus) -> String {
    match reduction.waiting_positions {
        0 => String::new(),
        waiting => format!("{waiting} get their target as those before them reach theirs"),
    }
}

fn show_reductions(format: Format, reductions: &[v1::ReductionStatus]) -> anyhow::Result<()> {
    let headers = ["REDUCTION", "SCOPE", "FACTOR", "DONE", "ORDERED", "ENDED", "BY", "REASON"];
    format.list("reductions", reductions, &headers, |own| {
        vec![
            own.command_id.clone(),
            own.scope.as_ref().map(scope_text).unwrap_or_default(),
            decimal(own.factor_ppm),
            done(own),
            moment(own.ordered_at_micros / 1_000_000),
            if own.is_overdue { "OVERDUE".to_owned() } else { moment(own.ended_at_micros / 1_000_000) },
            own.ordered_by.clone(),
            own.reason.clone(),
        ]
    })?;
    reductions.iter().try_for_each(|reduction| show_positions(format, reduction))
}

fn done(reduction: &v1::ReductionStatus) -> String {
    let (done, total) = (reduction.done_positions, reduction.total_positions);
    match reduction.waiting_positions {
        0 => format!("{done}/{total}"),
        waiting => format!("{done}/{total}, {waiting} wait"),
    }
}

fn show_positions(format: Format, reduction: &v1::ReductionStatus) -> anyhow::Result<()> {
    if format != Format::Table || reduction.positions.is_empty() {
        return Ok(());
    }
    print("")?;
    let headers = ["ACCOUNT", "INSTRUMENT", "FROM", "TARGET", "NOW", "ORDERED", "BLOCKED"];
    format.list("positions", &reduction.positions, &headers, |own| {
        let blocked = own.blocked.as_ref().map(|denial| word(denial.code().as_str_name(), "DENIAL_CODE_"));
        vec![
            own.account_id.clone(),
            own.instrument_id.clone(),
            decimal(own.from_micros),
            decimal(own.target_micros),
            decimal(own.current_micros),
            decimal(own.open_micros),
            blocked.unwrap_or_default(),
        ]
    })
}

fn scope_row(state: &v1::ScopeState) -> Vec<String> {
    vec![
        state.scope.as_ref().map(scope_text).unwrap_or_default(),
        state_word(state.state()),
        state.epoch.to_string(),
        moment(state.changed_at_micros / 1_000_000),
        moment(state.resume_from_micros / 1_000_000),
        state.changed_by.clone(),
        state.reason.clone(),
    ]
}

fn resume_row(waiting: &v1::WaitingResume) -> Vec<String> {
    vec![
        waiting.scope.as_ref().map(scope_text).unwrap_or_default(),
        state_word(waiting.target()),
        waiting.proposed_by.clone(),
        moment(waiting.expires_at.as_ref().map_or(0, |at| at.seconds)),
        waiting.reason.clone(),
        waiting.evidence.join("; "),
    ]
}
