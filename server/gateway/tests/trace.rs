//! One trace from the caller through the gateway to the backend, with nothing in it that is nobody's business.

mod support;

use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use proto::Reason;
use support::web::{client, post};
use support::*;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn attribute(span: &SpanData, name: &str) -> Option<Value> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| attribute.value.clone())
}

fn string(span: &SpanData, name: &str) -> Option<String> {
    attribute(span, name).map(|value| value.to_string())
}

// One thread, on which all tasks run, so that the subscriber of this test is theirs.
#[tokio::test]
async fn a_trace_goes_through() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test")).with_location(false);
    let log = Log::default();
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer({
        let log = log.clone();
        move || log.clone()
    });
    let ours = tracing_subscriber::filter::Targets::new().with_target("gateway", tracing::Level::TRACE);
    let _subscribed = tracing::subscriber::set_default(
        tracing_subscriber::registry().with(layer.with_filter(ours.clone())).with(lines.with_filter(ours)),
    );
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());

    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    exporter.reset();
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let traced = |mut request: tonic::Request<_>| {
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        request
    };
    device.register(traced(with_app_key(registration()))).await.unwrap();
    let token = world.signer.token(SESSION);
    let bearer = format!("Bearer {token}");
    let client = client();
    let metadata = [("authorization", bearer.as_str()), ("traceparent", traceparent.as_str())];
    post(&client, &format!("http://{}", world.address), "Defer", &metadata, &defer()).await;
    let mut wrong = registration();
    wrong.context.clear();
    refused(device.register(traced(with_app_key(wrong))).await, Reason::FieldInvalid);

    let spans: Vec<_> =
        exporter.get_finished_spans().unwrap().into_iter().filter(|span| span.name.starts_with("pinger.")).collect();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(
        names,
        [
            "pinger.internal.v1.BackendService/Register",
            "pinger.v1.DeviceService/Register",
            "pinger.internal.v1.BackendService/Defer",
            "pinger.v1.DeviceService/Defer",
            "pinger.v1.DeviceService/Register",
        ]
    );
    for (call, pair) in backend.calls().iter().zip(spans.chunks_exact(2)) {
        let [client, server] = pair else { panic!() };
        assert_eq!((client.span_kind.clone(), server.span_kind.clone()), (SpanKind::Client, SpanKind::Server));
        assert_eq!(server.span_context.trace_id().to_string(), TRACE);
        assert_eq!(server.parent_span_id.to_string(), SPAN);
        assert_eq!(client.parent_span_id, server.span_context.span_id());
        // What the backend got names the client's span.
        let sent = text(&call.metadata, "traceparent").unwrap();
        assert_eq!(sent, format!("00-{TRACE}-{}-01", client.span_context.span_id()));
        assert_eq!(string(server, "pinger.session_id").as_deref(), Some(SESSION));
        assert_eq!(string(server, "rpc.method").as_deref(), Some(call.method));
        assert_eq!(string(client, "rpc.service").as_deref(), Some("pinger.internal.v1.BackendService"));
        for span in [client, server] {
            assert_eq!(attribute(span, "rpc.grpc.status_code"), Some(Value::I64(0)));
            assert_eq!(string(span, "rpc.system").as_deref(), Some("grpc"));
        }
    }
    let refusal = &spans[4];
    assert_eq!(string(refusal, "pinger.reason").as_deref(), Some("FIELD_INVALID"));
    assert_eq!(attribute(refusal, "rpc.grpc.status_code"), Some(Value::I64(3)));

    refused(device.get_session(with_bearer(get_session(), "nonsense")).await, Reason::TokenInvalid);
    backend.answer(support::backend::Answer::Plain);
    refused(device.get_session(world.with_token(get_session())).await, Reason::Internal);
    let log = log.text();
    assert!(log.contains("the backend answered with a status that has no details"), "{log}");
    let spans = format!("{:?}", exporter.get_finished_spans().unwrap());
    assert!(!spans.contains("127.0.0.1"), "a peer's address is in the spans");
    let all = spans + &log;
    for secret in [token.as_str(), APP_KEY, "user-1", "device-1", "account-1", "imap.example.org", "SELECT"] {
        assert!(!all.contains(secret), "{secret} is in the spans or the log");
    }
    world.stop().await;
}
