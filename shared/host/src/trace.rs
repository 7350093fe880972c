//! Spans that follow a message from service to service by W3C trace context.
//!
//! A process may run several services, so spans come from the service's own
//! tracer instead of a global one. Without an OTLP endpoint everything here is
//! free: no ids are made and the trace context stays empty.

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

/// Starts spans under one service's name.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    tracer: Option<SdkTracer>,
}

/// A span that ends when it is dropped.
#[derive(Debug, Default)]
pub struct ActiveSpan {
    span: Option<Box<Span>>,
}

impl Spans {
    /// Spans from `tracer`.
    #[must_use]
    pub const fn new(tracer: SdkTracer) -> Self {
        Self { tracer: Some(tracer) }
    }

    /// Whether spans are recorded at all.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.tracer.is_some()
    }

    /// A span continuing `traceparent`; an empty or malformed one starts a new trace.
    #[must_use]
    pub fn start(
        &self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        kind: SpanKind,
        traceparent: &str,
    ) -> ActiveSpan {
        self.start_linked(name, kind, traceparent, "")
    }

    /// Like [`Spans::start`], with a link to another span, e.g. the first
    /// delivery of a message that is being handled again.
    #[must_use]
    pub fn start_linked(
        &self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        kind: SpanKind,
        traceparent: &str,
        linked: &str,
    ) -> ActiveSpan {
        let Some(tracer) = &self.tracer else { return ActiveSpan::default() };
        let parent = match parse(traceparent) {
            Some(remote) => Context::new().with_remote_span_context(remote),
            None => Context::new(),
        };
        let mut builder = SpanBuilder::from_name(name).with_kind(kind);
        if let Some(remote) = parse(linked) {
            builder = builder.with_links(vec![Link::with_context(remote)]);
        }
        ActiveSpan { span: Some(Box::new(tracer.build_with_context(builder, &parent))) }
    }
}

impl ActiveSpan {
    /// The W3C `traceparent` for what this span causes; empty when not recorded.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let Some(span) = &self.span else { return String::new() };
        let context = span.span_context();
        let flags = context.trace_flags().to_u8();
        format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
    }

    /// The trace's 32 hex digits; empty when not recorded.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.span.as_ref().map(|span| span.span_context().trace_id().to_string()).unwrap_or_default()
    }

    /// Adds an attribute, e.g. `messaging.system`.
    pub fn set(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(span) = &mut self.span {
            span.set_attribute(KeyValue::new(key, value.into()));
        }
    }

    /// Marks the span as failed.
    pub fn fail(&mut self, error_type: impl Into<String>, message: impl Into<String>) {
        if let Some(span) = &mut self.span {
            span.set_attribute(KeyValue::new("error.type", error_type.into()));
            span.set_status(Status::error(message.into()));
        }
    }
}

/// The trace id inside a `traceparent`; empty when there is none.
#[must_use]
pub fn trace_id_of(traceparent: &str) -> &str {
    if parse(traceparent).is_some() { &traceparent[3..35] } else { "" }
}

fn parse(traceparent: &str) -> Option<SpanContext> {
    if traceparent.len() != 55 || !traceparent.is_ascii() || !traceparent.starts_with("00-") {
        return None;
    }
    let trace_id = TraceId::from_hex(&traceparent[3..35]).ok()?;
    let span_id = SpanId::from_hex(&traceparent[36..52]).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(&traceparent[53..55], 16).ok()?);
    let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_trace_context_is_continued() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_id_of(valid), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in [
            "",
            "00-zz",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &"0".repeat(55),
            &valid.replace('4', "é"),
        ] {
            assert_eq!(trace_id_of(bad), "", "{bad}");
        }
    }
}
