//! The monitor is part of each trade's trace.

use crate::rig::{Rig, outcome};
use opentelemetry::{Context, trace::TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tragen_bus::Subject;
use tragen_contracts::v1::{self, TradeStatus};
use tragen_host::trace::Spans;

/// Keeps ended spans.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn every_item_continues_its_own_trace() -> anyhow::Result<()> {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_span_processor(kept.clone()).build();
    let rig = Rig::new(Spans::new(provider.tracer("test"))).await?;
    rig.start().await?;

    let traces = ["4bf92f3577b34da6a3ce929d0e0e4736", "a3ce929d0e0e47364bf92f3577b34da6"];
    let reports = traces.map(|trace| outcome(trace, TradeStatus::Filled, &format!("00-{trace}-00f067aa0ba902b7-01")));
    rig.publish(Subject::Executions("paper"), &v1::ExecutionBatch { reports: reports.to_vec() }).await?;

    let started = Instant::now();
    let counted = loop {
        let spans = kept.0.lock().expect("not poisoned").clone();
        let counted: Vec<_> = spans.into_iter().filter(|span| span.name == "count trade").collect();
        if counted.len() == traces.len() {
            break counted;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "waiting for the spans: {counted:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let of: Vec<_> = counted.iter().map(|span| span.span_context.trace_id().to_string()).collect();
    assert_eq!(of, traces);
    assert!(counted.iter().all(|span| span.parent_span_id.to_string() == "00f067aa0ba902b7"));
    Ok(())
}
