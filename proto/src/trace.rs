//! Trace context on the wire: gRPC metadata, and the `traceparent` text that the store and a push carry.
//!
//! What goes through metadata is up to the global text-map propagator; while none is installed, which is when
//! OpenTelemetry is off, [`extract`] and [`inject`] do nothing. The texts are W3C Trace Context, version 00.

use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, global};
use tonic::metadata::{KeyRef, MetadataKey, MetadataMap, MetadataValue};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The caller's context; an empty one if the metadata has none that can be read.
pub fn extract(metadata: &MetadataMap) -> Context {
    // On an empty context, so that what happens to be current here never becomes a caller's parent.
    global::get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), &Reader(metadata)))
}

/// Puts the context of the current tracing span into the metadata.
pub fn inject(metadata: &mut MetadataMap) {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut Writer(metadata)));
}

/// The `traceparent` of the current tracing span; none while OpenTelemetry is off.
pub fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// Links `span` to the span that `traceparent` names. A text that names none is left alone.
pub fn link_to(span: &Span, traceparent: &str) {
    if let Some(context) = parse(traceparent) {
        span.add_link(context);
    }
}

/// A context in which the span that `traceparent` names is the parent, for
/// [`set_parent`](tracing_opentelemetry::OpenTelemetrySpanExt::set_parent). None if the text names no span.
pub fn parent_of(traceparent: &str) -> Option<Context> {
    parse(traceparent).map(|context| Context::new().with_remote_span_context(context))
}

/// Reads a `traceparent` (W3C Trace Context, section 3.2). Later versions may have more fields at the end; they are
/// read as far as they are known, as section 3.3 wants it.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut fields = traceparent.split('-');
    let version = hex(fields.next()?, 2)?;
    let trace_id = TraceId::from_hex(hex(fields.next()?, 32)?).ok()?;
    let span_id = SpanId::from_hex(hex(fields.next()?, 16)?).ok()?;
    let flags = u8::from_str_radix(hex(fields.next()?, 2)?, 16).ok()?;
    if version == "ff" || (version == "00" && fields.next().is_some()) {
        return None;
    }
    // The sampled bit is the only one that means something to us.
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    Some(SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

/// `text`, if it is `len` digits of lower-case hexadecimal.
fn hex(text: &str, len: usize) -> Option<&str> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == len && digits).then_some(text)
}

struct Reader<'a>(&'a MetadataMap);

impl Extractor for Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .keys()
            .filter_map(|key| match key {
                KeyRef::Ascii(key) => Some(key.as_str()),
                KeyRef::Binary(_) => None,
            })
            .collect()
    }
}

struct Writer<'a>(&'a mut MetadataMap);

impl Injector for Writer<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), MetadataValue::try_from(value)) {
            self.0.insert(key, value);
        }
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
