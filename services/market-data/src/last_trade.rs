//! Follows executions and keeps the price of the last trade of every instrument.

use crate::{market::Market, publish::write};
use metrics::counter;
use opentelemetry::trace::SpanKind;
use prost::Message as _;
use std::sync::{Arc, RwLock};
use tracing::warn;
use tragen_bus::{Bus, BusError, StartAt, Stream};
use tragen_contracts::v1::{self, execution_report::Kind};
use tragen_domain::money::Price;
use tragen_host::Context;

/// Follows until the process stops.
///
/// # Errors
/// When the stream cannot be read at first.
pub(crate) async fn start(context: &Context, bus: &Bus, market: Arc<RwLock<Market>>) -> Result<(), BusError> {
    let mut executions = bus.follow(context, Stream::Executions, "exec.*", StartAt::Now).await?;
    let spans = context.spans.clone();
    context.spawn("last-trade", async move {
        while let Some(followed) = executions.next().await {
            match v1::ExecutionBatch::decode(followed.payload) {
                Ok(batch) => {
                    for report in &batch.reports {
                        let traceparent = report.meta.as_ref().map_or("", |meta| meta.traceparent.as_str());
                        let mut span = spans.start("record trade price", SpanKind::Consumer, traceparent);
                        span.set("messaging.system", "nats");
                        span.set("messaging.destination.name", followed.subject.clone());
                        if let Some(trade) = last_trade(report) {
                            span.set("tragen.instrument", trade.0.to_owned());
                            write(&market).set_last_price(trade.0, trade.1);
                            counter!("market_data_trades_seen_total").increment(1);
                        }
                    }
                }
                Err(error) => warn!("passing over an execution batch that does not decode: {error}"),
            }
        }
        Ok(())
    });
    Ok(())
}

/// Instrument and price of the newest fill of a report.
fn last_trade(report: &v1::ExecutionReport) -> Option<(&str, Price)> {
    let Some(Kind::Trade(trade)) = &report.kind else { return None };
    let fill = trade.fills.last().filter(|fill| fill.price_micros > 0)?;
    Some((trade.terms.as_ref()?.instrument_id.as_str(), Price::from_micros(fill.price_micros)))
}
