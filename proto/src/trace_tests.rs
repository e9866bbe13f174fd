use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Runs `inside` with OpenTelemetry on, and returns the spans that it made.
fn traced(inside: impl FnOnce()) -> Vec<opentelemetry_sdk::trace::SpanData> {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), inside);
    provider.force_flush().unwrap();
    spans.get_finished_spans().unwrap()
}

#[track_caller]
fn check(traceparent: &str, expect: bool) {
    assert_eq!(parse(traceparent).is_some(), expect, "{traceparent}");
}

#[test]
fn traceparents_are_read_as_the_standard_says() {
    check(TRACEPARENT, true);
    check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true);
    check("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true);
    check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false);
    check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
    check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false);
    check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
    check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
    check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false);
    check("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false);
    check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1", false);
    check("", false);
    check("–ü-", false);
}

#[test]
fn without_opentelemetry_nothing_happens() {
    assert_eq!(current_traceparent(), None);
    link_to(&Span::current(), TRACEPARENT);
    let mut metadata = MetadataMap::new();
    inject(&mut metadata);
    assert!(!metadata.contains_key("traceparent"));
}

#[test]
fn a_context_goes_over_the_wire_and_back() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let mut metadata = MetadataMap::new();
    metadata.insert("traceparent", TRACEPARENT.parse().unwrap());
    let spans = traced(|| {
        let span = tracing::info_span!("server");
        span.set_parent(extract(&metadata)).unwrap();
        let _entered = span.enter();
        let mut onward = MetadataMap::new();
        inject(&mut onward);
        let sent = onward.get("traceparent").unwrap().to_str().unwrap();
        assert_eq!(Some(sent.to_owned()), current_traceparent());
        assert!(sent.contains("0af7651916cd43dd8448eb211c80319c"), "{sent}");
        assert!(!sent.contains("b7ad6b7169203331"), "the span is new: {sent}");
    });
    assert_eq!(spans[0].parent_span_id.to_string(), "b7ad6b7169203331");
}

#[test]
fn a_stored_traceparent_becomes_a_link_or_a_parent() {
    let spans = traced(|| {
        let linked = tracing::info_span!("linked");
        link_to(&linked, TRACEPARENT);
        link_to(&linked, "nonsense");
        drop(linked);
        let child = tracing::info_span!("child");
        child.set_parent(parent_of(TRACEPARENT).unwrap()).unwrap();
    });
    let [linked, child] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(linked.links.len(), 1);
    assert_eq!(linked.links[0].span_context.span_id().to_string(), "b7ad6b7169203331");
    assert_ne!(linked.span_context.trace_id(), linked.links[0].span_context.trace_id());
    assert_eq!(child.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(child.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
}
