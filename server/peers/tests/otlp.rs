//! The OTLP receiver takes what OpenTelemetry's own exporter sends.

use std::time::Duration;

use anyhow::{Context as _, Result};
use opentelemetry::trace::{Link, Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use peers::otlp::OtlpReceiver;

const SHORTLY: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receives_spans() -> Result<()> {
    let receiver = OtlpReceiver::start().await?;
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(receiver.endpoint()).build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("peers-test").build())
        .build();
    let tracer = provider.tracer("a-scope");

    let other = tracer.start("other");
    let link = Link::with_context(other.span_context().clone());
    drop(other);
    let parent = tracer.span_builder("parent").with_kind(SpanKind::Server).with_links(vec![link]).start(&tracer);
    let context = Context::current_with_span(parent);
    let mut child = tracer.start_with_context("child", &context);
    child.set_attribute(KeyValue::new("pinger.number", 7));
    child.add_event("mail", vec![KeyValue::new("pinger.new", true)]);
    child.set_status(Status::error("it broke"));
    child.end();
    context.span().end();
    tokio::task::spawn_blocking(move || provider.force_flush()).await??;

    let parent = receiver.wait_for_span("parent", SHORTLY).await.context("no parent")?;
    let child = receiver.wait_for_span("child", SHORTLY).await.context("no child")?;
    let other = receiver.wait_for_span("other", SHORTLY).await.context("no other")?;
    assert!(child.is_child_of(&parent) && !parent.is_child_of(&child));
    assert_eq!(receiver.trace(&parent.trace_id).len(), 2);
    assert!(parent.links_to(&other));
    assert_eq!(parent.parent_id, None);
    assert_eq!((parent.service.as_str(), parent.scope.as_str()), ("peers-test", "a-scope"));
    assert_eq!(parent.kind, opentelemetry_proto::tonic::trace::v1::span::SpanKind::Server);
    assert_eq!(child.attribute("pinger.number"), Some("7"));
    assert_eq!(child.events[0].attributes["pinger.new"], "true");
    assert_eq!((child.is_error, child.status_message.as_str()), (true, "it broke"));
    assert!(receiver.wait_for_span("never", Duration::ZERO).await.is_none());
    Ok(())
}
