//! A receiver of traces by OTLP over gRPC, in this process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::listener::listen;
use crate::record::Record;

/// Attributes by name, their values as text.
pub type Attributes = BTreeMap<String, String>;

/// A link from one span to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The other span's trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// The other span, 16 hexadecimal digits.
    pub span_id: String,
    /// The link's own attributes.
    pub attributes: Attributes,
}

/// Something that happened in a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEvent {
    /// What happened.
    pub name: String,
    /// The event's own attributes.
    pub attributes: Attributes,
}

/// A span as it was exported.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    /// Its name.
    pub name: String,
    /// The library that made it, the tracer's name.
    pub scope: String,
    /// `service.name` of its resource.
    pub service: String,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The parent's span id; `None` for a root.
    pub parent_id: Option<String>,
    /// Server, client, …
    pub kind: SpanKind,
    /// Where it points to.
    pub links: Vec<Link>,
    /// What happened in it.
    pub events: Vec<SpanEvent>,
    /// Its attributes.
    pub attributes: Attributes,
    /// The attributes of its resource.
    pub resource: Attributes,
    /// Whether its status is an error.
    pub is_error: bool,
    /// The message of its status.
    pub status_message: String,
    /// When it began, in nanoseconds since 1970.
    pub begin_ns: u64,
    /// When it ended.
    pub end_ns: u64,
}

impl ReceivedSpan {
    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Whether it is a child of the other.
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.trace_id == parent.trace_id && self.parent_id.as_ref() == Some(&parent.span_id)
    }

    /// Whether it has a link to the other.
    pub fn links_to(&self, other: &Self) -> bool {
        self.links.iter().any(|link| link.trace_id == other.trace_id && link.span_id == other.span_id)
    }

    fn new(span: Span, scope: &str, resource: &Attributes) -> Self {
        let status = span.status.clone().unwrap_or_default();
        Self {
            kind: span.kind(),
            scope: scope.to_owned(),
            service: resource.get("service.name").cloned().unwrap_or_default(),
            trace_id: hexadecimal(&span.trace_id),
            span_id: hexadecimal(&span.span_id),
            parent_id: (!span.parent_span_id.is_empty()).then(|| hexadecimal(&span.parent_span_id)),
            links: span
                .links
                .iter()
                .map(|link| Link {
                    trace_id: hexadecimal(&link.trace_id),
                    span_id: hexadecimal(&link.span_id),
                    attributes: attributes(&link.attributes),
                })
                .collect(),
            events: span
                .events
                .iter()
                .map(|event| SpanEvent { name: event.name.clone(), attributes: attributes(&event.attributes) })
                .collect(),
            attributes: attributes(&span.attributes),
            resource: resource.clone(),
            is_error: status.code == STATUS_ERROR,
            status_message: status.message,
            begin_ns: span.start_time_unix_nano,
            end_ns: span.end_time_unix_nano,
            name: span.name,
        }
    }
}

/// `STATUS_CODE_ERROR` of the protocol.
const STATUS_ERROR: i32 = 2;

/// A running receiver. Dropping it ends it.
pub struct OtlpReceiver {
    address: SocketAddr,
    spans: Arc<Record<ReceivedSpan>>,
    _server: AbortOnDropHandle<()>,
}

impl OtlpReceiver {
    /// Starts a receiver on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self> {
        let (listener, address) = listen(0).await?;
        let spans = Arc::<Record<ReceivedSpan>>::default();
        let service = TraceServiceServer::new(Collector(Arc::clone(&spans)));
        let server = tokio::spawn(async move {
            let serving = Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
            // It fails only if its listener does; whoever waits for spans will then wait in vain, and say so.
            let _ = serving.await;
        });
        Ok(Self { address, spans, _server: AbortOnDropHandle::new(server) })
    }

    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans, in the order of their arrival: a child usually comes before its parent.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.spans.all()
    }

    /// The spans of one trace.
    pub fn trace(&self, trace_id: &str) -> Vec<ReceivedSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace_id == trace_id);
        spans
    }

    /// Forgets the spans so far.
    pub fn clear(&self) {
        self.spans.clear();
    }

    /// The first span of this name, past or to come; `None` when the time is over.
    pub async fn wait_for_span(&self, name: &str, timeout: Duration) -> Option<ReceivedSpan> {
        self.wait_for(timeout, |span| span.name == name).await
    }

    /// The first span that fits, past or to come; `None` when the time is over.
    pub async fn wait_for(&self, timeout: Duration, wanted: impl Fn(&ReceivedSpan) -> bool) -> Option<ReceivedSpan> {
        self.spans.wait_for(timeout, wanted).await
    }
}

struct Collector(Arc<Record<ReceivedSpan>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default();
            for of_scope in of_resource.scope_spans {
                let scope = of_scope.scope.map(|scope| scope.name).unwrap_or_default();
                for span in of_scope.spans {
                    self.0.push(ReceivedSpan::new(span, &scope, &resource));
                }
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    pairs.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::BytesValue(bytes)) => hexadecimal(bytes),
        Some(Value::ArrayValue(array)) => {
            let values: Vec<_> = array.values.iter().map(|value| text(Some(value))).collect();
            format!("[{}]", values.join(", "))
        }
        Some(other) => format!("{other:?}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String never fails.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
