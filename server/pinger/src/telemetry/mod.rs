//! Logs and traces: where they go, and what never gets into them.
//!
//! Traces are sent only where an OTLP endpoint is configured; without one, no layer is installed and a span costs next to
//! nothing. There is no bridge from the crate `log`, in which async-imap would write what passes between us and a mail
//! server.

mod export;
mod format;
mod sampler;
mod settings;

use std::io::IsTerminal as _;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::{DefaultFields, JsonFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

pub(crate) use export::ExportError;
use settings::LogFormat;
pub(crate) use settings::{Settings, SettingsError};

/// Our crates, which never put a secret into an event.
const OURS: [&str; 7] = ["pinger", "gateway", "backend", "dashboard", "store", "domain", "proto"];

/// Crates that handle log-ins. They say nothing, whatever the filter says.
const SILENT: [&str; 2] = ["async_imap", "imap_proto"];

/// How long the last spans may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    #[error("traces can't be sent")]
    Export(#[from] ExportError),
    #[error("PINGER_LOG is no filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs were set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// What has to be told to stop, so that the last spans are sent.
#[derive(Default)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Sets up logs and traces for the whole process, which is the `role` of Pinger: `gateway` or `backend`. Call it within
/// the runtime: the exporter's connection lives there.
pub(crate) fn start(settings: &Settings, role: &str) -> Result<Telemetry, TelemetryError> {
    let provider = settings.export.as_ref().map(|settings| export::provider(settings, role)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("pinger"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(traceable))
    });
    Registry::default().with(logs(settings)?).with(traces).try_init()?;
    Ok(Telemetry(provider))
}

impl Telemetry {
    /// Sends what is left, for at most five seconds.
    pub(crate) async fn stop(self) {
        let Some(provider) = self.0 else { return };
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

fn logs<S>(settings: &Settings) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(&settings.log_filter)?;
    let filter = filter.and(filter_fn(loggable));
    let terminal = std::io::stderr().is_terminal();
    let json = settings.log_format.map_or(!terminal, |format| format == LogFormat::Json);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    Ok(if json {
        layer.with_ansi(false).fmt_fields(JsonFields::new()).event_format(format::Json).with_filter(filter).boxed()
    } else {
        layer
            .with_ansi(terminal)
            .fmt_fields(DefaultFields::new())
            .event_format(format::Text)
            .with_filter(filter)
            .boxed()
    })
}

/// What may be logged, whatever the filter says: other people's crates warn, and do nothing more. At finer levels they
/// print headers, frames and statements, and with them tokens.
fn loggable(metadata: &Metadata<'_>) -> bool {
    let of = |crates: &[&str]| is_of(metadata.target(), crates);
    !of(&SILENT) && (of(&OURS) || *metadata.level() <= LevelFilter::WARN)
}

/// What may become a span or an event of one: ours alone.
fn traceable(metadata: &Metadata<'_>) -> bool {
    is_of(metadata.target(), &OURS) && *metadata.level() <= LevelFilter::INFO
}

fn is_of(target: &str, crates: &[&str]) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    crates.contains(&name)
}
