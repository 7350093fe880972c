//! Counts the trades that each agent served. The business key is the trade: a
//! report may be delivered, and even published, more than once.

use crate::{SharedCosts, agent_named, config::Config, metrics as names, recent::Recent};
use metrics::counter;
use opentelemetry::trace::SpanKind;
use tragen_bus::{Delivery, Puller};
use tragen_contracts::{
    convert::{InvalidField, required},
    v1,
};
use tragen_domain::{cost::Served, order::TradeStatus};
use tragen_host::trace::Spans;

/// Counts until the process stops.
pub(crate) async fn count(
    mut outcomes: Puller<v1::ExecutionBatch>,
    costs: SharedCosts,
    spans: Spans,
    config: Config,
) -> anyhow::Result<()> {
    let mut counted = Recent::new(config.recent_trades_max);
    loop {
        let batch = outcomes.next_batch(config.messages_at_once_max).await;
        if batch.is_empty() {
            return Ok(());
        }
        for delivery in batch {
            settle(&delivery, &costs, &spans, &mut counted).await;
        }
        names::show(&costs.lock());
    }
}

/// Counts what makes sense of a message; if anything did not, the message is set
/// aside, and sending it again counts only what was not counted.
async fn settle(delivery: &Delivery<v1::ExecutionBatch>, costs: &SharedCosts, spans: &Spans, counted: &mut Recent) {
    let mut malformed = None;
    for report in &delivery.message.reports {
        let traceparent = report.meta.as_ref().map_or("", |meta| meta.traceparent.as_str());
        // A redelivery is linked to the trade's trace, not nested in it again.
        let mut span = if delivery.deliveries > 1 {
            spans.start_linked("count trade", SpanKind::Consumer, "", traceparent)
        } else {
            spans.start("count trade", SpanKind::Consumer, traceparent)
        };
        span.set("messaging.system", "nats");
        span.set("messaging.destination.name", delivery.subject().to_owned());
        if let Err(invalid) = add(report, costs, counted) {
            span.fail(invalid.reason, invalid.message.clone());
            malformed = Some(invalid);
        }
    }
    match malformed {
        None => delivery.ack().await,
        Some(invalid) => {
            counter!(names::MALFORMED, "kind" => "executions").increment(1);
            delivery.dead_letter(&invalid.to_string()).await;
        }
    }
}

fn add(report: &v1::ExecutionReport, costs: &SharedCosts, counted: &mut Recent) -> Result<(), InvalidField> {
    let key = required("key", report.key.as_ref())?;
    let trade = match required("kind", report.kind.as_ref())? {
        v1::execution_report::Kind::Trade(trade) => trade,
        v1::execution_report::Kind::Withdrawal(_)
        | v1::execution_report::Kind::Booking(_)
        | v1::execution_report::Kind::Arrival(_) => return Ok(()),
    };
    let status = TradeStatus::try_from(trade.status()).map_err(|invalid| invalid.inside("trade"))?;
    let agent = agent_named(&trade.agent)
        .map_err(|invalid| InvalidField::new("trade.agent", "AGENT_INVALID", invalid.to_string()))?;
    if !status.is_final() {
        return Ok(());
    }
    if !counted.remember(&key.trade_id) {
        counter!(names::DUPLICATES, "kind" => "trade").increment(1);
        return Ok(());
    }
    costs.lock().serve(agent.as_ref(), Served::of(status));
    Ok(())
}
