//! Traces on their way to an OTLP collector.

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::{Certificate, ClientTlsConfig};

use super::sampler::Marked;
use super::settings::Export;

/// Why traces can't be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("OTEL_EXPORTER_OTLP_HEADERS has something that is no header")]
    Headers,
    #[error("the exporter can't be made")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Makes the provider of tracers for one role of Pinger.
pub(super) fn provider(settings: &Export, role: &str) -> Result<SdkTracerProvider, ExportError> {
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(settings.endpoint.clone())
        .with_timeout(settings.timeout)
        .with_metadata(metadata(settings)?);
    if settings.endpoint.starts_with("https://") {
        let tls = ClientTlsConfig::new().with_native_roots();
        let certificate = settings.certificate.as_ref();
        exporter = exporter.with_tls_config(match certificate {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls,
        });
    }
    let schedule = BatchConfigBuilder::default()
        .with_scheduled_delay(settings.schedule.delay)
        .with_max_queue_size(settings.schedule.max_queue_size)
        .with_max_export_batch_size(settings.schedule.max_export_batch_size)
        .build();
    let processor = BatchSpanProcessor::builder(exporter.build()?).with_batch_config(schedule).build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Marked::new(settings.sampler))
        .with_resource(resource(settings, role))
        .build())
}

fn metadata(settings: &Export) -> Result<MetadataMap, ExportError> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in &settings.headers.0 {
        let name = http::HeaderName::try_from(name).map_err(|_| ExportError::Headers)?;
        let mut value = http::HeaderValue::try_from(value).map_err(|_| ExportError::Headers)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let metadata = MetadataMap::from_headers(headers);
    // Binary metadata is base64, and a header from a variable hardly is.
    let all_text = metadata.iter().all(|entry| matches!(entry, KeyAndValueRef::Ascii(..)));
    if all_text { Ok(metadata) } else { Err(ExportError::Headers) }
}

fn resource(settings: &Export, role: &str) -> Resource {
    let service = settings.service_name.as_ref().or_else(|| settings.resource_attributes.get("service.name"));
    let service = service.map_or("pinger", String::as_str);
    let given = settings.resource_attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(given)
        .with_service_name(format!("{service}-{role}"))
        .build()
}
