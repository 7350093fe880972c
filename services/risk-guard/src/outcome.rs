//! Reports of outcomes, as they go to EXECUTIONS.

use crate::{config::now, wire::Ticket};
use tragen_contracts::v1;
use tragen_domain::{execution::Fill, order::TradeStatus};

/// The envelope of a report. Equal outcomes have equal ids, however often they are told.
fn meta(trade: &str, step: &str, traceparent: &str, causation_id: &str) -> Option<v1::Meta> {
    Some(v1::Meta {
        event_id: format!("{trade}-{step}"),
        traceparent: traceparent.to_owned(),
        causation_id: causation_id.to_owned(),
        occurred_at_micros: now().micros(),
        deadline_micros: 0,
    })
}

/// A trade that ended without an order.
pub(crate) fn refused(meta: Option<&v1::Meta>, key: &v1::TradeKey, report: v1::TradeReport) -> v1::ExecutionReport {
    let kind = v1::execution_report::Kind::Trade(report);
    without_order(meta, key, "refused", kind)
}

/// A withdrawal or sending that was decided.
pub(crate) fn withdrawal(
    meta: Option<&v1::Meta>,
    key: &v1::TradeKey,
    report: v1::WithdrawalReport,
) -> v1::ExecutionReport {
    let kind = v1::execution_report::Kind::Withdrawal(report);
    without_order(meta, key, "withdrawal", kind)
}

/// Something two operators book by hand.
pub(crate) fn booking(
    meta: Option<&v1::Meta>,
    key: Option<&v1::TradeKey>,
    booking: v1::Booking,
) -> v1::ExecutionReport {
    let kind = v1::execution_report::Kind::Booking(booking);
    without_order(meta, &key.cloned().unwrap_or_default(), "booking", kind)
}

fn without_order(
    cause: Option<&v1::Meta>,
    key: &v1::TradeKey,
    step: &str,
    kind: v1::execution_report::Kind,
) -> v1::ExecutionReport {
    let (traceparent, causation_id) =
        cause.map(|meta| (meta.traceparent.as_str(), meta.event_id.as_str())).unwrap_or_default();
    v1::ExecutionReport {
        meta: meta(&key.trade_id, step, traceparent, causation_id),
        key: Some(key.clone()),
        kind: Some(kind),
    }
}

/// Where an order stands after `fills`, the new ones of `executions` in all.
pub(crate) fn of_order(
    ticket: &Ticket,
    status: TradeStatus,
    (fills, executions): (&[Fill], usize),
    rejection: &str,
) -> v1::ExecutionReport {
    let status = v1::TradeStatus::from(status);
    let step = format!("{}-{executions}", status.as_str_name());
    let report = v1::TradeReport {
        terms: Some(ticket.terms.clone()),
        settlement: Some(ticket.settlement.clone()),
        fills: fills.iter().map(Into::into).collect(),
        status: status.into(),
        denial: None,
        rejection: rejection.to_owned(),
        agent: ticket.agent.clone(),
        agent_id: ticket.agent_id.clone(),
        rationale: ticket.rationale.clone(),
    };
    v1::ExecutionReport {
        meta: meta(&ticket.key.trade_id, &step, &ticket.traceparent, &ticket.causation_id),
        key: Some(ticket.key.clone()),
        kind: Some(v1::execution_report::Kind::Trade(report)),
    }
}

/// Fills of an order that was said to be over; `last` is what was said, `known` how many
/// executions had been told then.
pub(crate) fn late(
    last: &v1::ExecutionReport,
    status: TradeStatus,
    fills: &[Fill],
    known: usize,
) -> v1::ExecutionReport {
    let mut told = last.clone();
    let trade = told.key.as_ref().map(|key| key.trade_id.clone()).unwrap_or_default();
    if let Some(meta) = &mut told.meta {
        meta.event_id = format!("{trade}-late-{}", known + fills.len());
        meta.occurred_at_micros = now().micros();
    }
    if let Some(v1::execution_report::Kind::Trade(report)) = &mut told.kind {
        report.status = v1::TradeStatus::from(status).into();
        report.fills = fills.iter().map(Into::into).collect();
    }
    told
}
