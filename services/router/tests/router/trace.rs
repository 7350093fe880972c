//! One trace from the client's span to the request on the lane.

use crate::stage::{Backstage, FILLS, Stage, generous, order, place, request_id};
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tragen_host::trace::Spans;

#[tokio::test]
async fn the_clients_trace_goes_on_to_the_lane() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let spans = Spans::new(provider.tracer("test"));
    let stage = Stage::start_with(generous(), Backstage::Works, 100, spans).await;
    let mut request = stage.from("alice", place(&request_id(), order(FILLS)));
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", parent.parse().expect("a header"));
    stage.trading().place_trade(request).await.expect("placed");
    let mut malformed = stage.from("alice", place(&request_id(), order("a b")));
    malformed.metadata_mut().insert("traceparent", "00-zz".parse().expect("a header"));
    stage.trading().place_trade(malformed).await.expect_err("refused");

    let spans = exporter.get_finished_spans().expect("spans");
    let servers: Vec<_> = spans.iter().filter(|span| span.span_kind == SpanKind::Server).collect();
    let [server, refused] = servers.as_slice() else { panic!("not two server spans") };
    let producer = spans.iter().find(|span| span.span_kind == SpanKind::Producer).expect("a producer span");
    assert_eq!(
        (server.name.as_ref(), producer.name.as_ref()),
        ("tragen.v1.Trading/PlaceTrade", "publish req.trade.{tier}")
    );
    assert_eq!(server.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(server.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(producer.parent_span_id, server.span_context.span_id());
    let request = stage.books.lock().expect("books").last_request.clone().expect("a request");
    let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", producer.span_context.span_id());
    assert_eq!(request.meta.expect("an envelope").traceparent, expected);

    let attribute = |span: &opentelemetry_sdk::trace::SpanData, key: &str| {
        span.attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.to_string()).unwrap_or_default()
    };
    assert_eq!(attribute(server, "rpc.response.status_code"), "OK");
    assert_eq!(attribute(refused, "rpc.response.status_code"), "INVALID_ARGUMENT");
    assert_eq!(attribute(refused, "error.type"), "INSTRUMENT_BAD_CHARSET");
    assert_ne!(
        refused.span_context.trace_id(),
        server.span_context.trace_id(),
        "a malformed parent starts a new trace"
    );
}
