//! What the environment says about logs and traces. It is read once, in the parent: a gateway below `pinger serve` has an
//! empty environment and gets this by its standard input.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;

/// Why a variable is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{variable} {problem}")]
    Value { variable: &'static str, problem: &'static str },
    #[error("{variable} names a file that could not be read")]
    File { variable: &'static str, source: std::io::Error },
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// All of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Settings {
    /// PINGER_LOG, in the syntax of tracing-subscriber's `EnvFilter`.
    pub(crate) log_filter: String,
    /// PINGER_LOG_FORMAT; without it, text on a terminal and JSON elsewhere.
    pub(crate) log_format: Option<LogFormat>,
    /// Where traces go; absent where nobody wants them.
    pub(crate) export: Option<Export>,
}

/// Where traces go, and which of them. The fields are named like the variables of OpenTelemetry's specification
/// (“Environment Variable Specification”, “OpenTelemetry Protocol Exporter”).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Export {
    pub(crate) endpoint: String,
    /// May have the collector's key in it.
    pub(crate) headers: Headers,
    pub(crate) timeout: Duration,
    /// PEM, as it is in the file that OTEL_EXPORTER_OTLP_CERTIFICATE names.
    pub(crate) certificate: Option<String>,
    pub(crate) service_name: Option<String>,
    pub(crate) resource_attributes: BTreeMap<String, String>,
    pub(crate) sampler: SamplerSetting,
    pub(crate) schedule: Schedule,
}

/// Headers for the collector. They do not print.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Headers(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Which traces are kept.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct SamplerSetting {
    /// Whether a caller's decision is followed.
    pub(crate) parent_based: bool,
    /// The part of the other traces that is kept: 0 to 1.
    pub(crate) ratio: f64,
}

/// When spans are sent: OTEL_BSP_*.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Schedule {
    pub(crate) delay: Duration,
    pub(crate) max_queue_size: usize,
    pub(crate) max_export_batch_size: usize,
}

impl Settings {
    /// Reads the variables.
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let log_format = match environment.get("PINGER_LOG_FORMAT") {
            None => None,
            Some("json") => Some(LogFormat::Json),
            Some("text") => Some(LogFormat::Text),
            Some(_) => {
                return Err(SettingsError::Value { variable: "PINGER_LOG_FORMAT", problem: "must be json or text" });
            }
        };
        Ok(Self {
            log_filter: environment.get("PINGER_LOG").unwrap_or("info").to_owned(),
            log_format,
            export: Export::read(environment)?,
        })
    }
}

impl Export {
    fn read(environment: &Environment) -> Result<Option<Self>, SettingsError> {
        let off = environment.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || environment.get("OTEL_TRACES_EXPORTER") == Some("none");
        let endpoint = of_traces(environment, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        let Some((_, endpoint)) = endpoint.filter(|_| !off) else { return Ok(None) };
        if let Some((variable, protocol)) =
            of_traces(environment, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
            && protocol != "grpc"
        {
            return Err(SettingsError::Value { variable, problem: "must be grpc, the only protocol that is built in" });
        }
        let headers = of_traces(environment, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
        let timeout = of_traces(environment, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        let certificate =
            of_traces(environment, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE");
        Ok(Some(Self {
            endpoint: endpoint.to_owned(),
            headers: headers.map(|(name, list)| pairs(name, list)).transpose()?.map(Headers).unwrap_or_default(),
            timeout: timeout.map_or(Ok(Duration::from_secs(10)), |(name, text)| milliseconds(name, text))?,
            certificate: certificate.map(|(name, path)| read(name, path)).transpose()?,
            service_name: environment.get("OTEL_SERVICE_NAME").map(str::to_owned),
            resource_attributes: match environment.get("OTEL_RESOURCE_ATTRIBUTES") {
                Some(list) => pairs("OTEL_RESOURCE_ATTRIBUTES", list)?,
                None => BTreeMap::new(),
            },
            sampler: SamplerSetting::read(environment)?,
            schedule: Schedule::read(environment)?,
        }))
    }
}

impl SamplerSetting {
    fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let argument = || match environment.get("OTEL_TRACES_SAMPLER_ARG") {
            None => Ok(1.0),
            Some(text) => text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or(SettingsError::Value {
                variable: "OTEL_TRACES_SAMPLER_ARG",
                problem: "must be a number from 0 to 1",
            }),
        };
        let name = environment.get("OTEL_TRACES_SAMPLER").unwrap_or("parentbased_always_on");
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => argument()?,
            _ => {
                return Err(SettingsError::Value {
                    variable: "OTEL_TRACES_SAMPLER",
                    problem: "must be always_on, always_off or traceidratio, or one of them after parentbased_",
                });
            }
        };
        Ok(Self { parent_based, ratio })
    }
}

impl Schedule {
    fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let number = |variable, default| match environment.get(variable) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(SettingsError::Value { variable, problem: "must be a number above 0" }),
            },
        };
        let delay = environment.get("OTEL_BSP_SCHEDULE_DELAY");
        Ok(Self {
            delay: delay.map_or(Ok(Duration::from_secs(5)), |text| milliseconds("OTEL_BSP_SCHEDULE_DELAY", text))?,
            max_queue_size: number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?,
            max_export_batch_size: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?,
        })
    }
}

/// The variable for traces, or the one for everything.
fn of_traces<'a>(
    environment: &'a Environment,
    traces: &'static str,
    general: &'static str,
) -> Option<(&'static str, &'a str)> {
    let get = |name| environment.get(name).map(|value| (name, value));
    get(traces).or_else(|| get(general))
}

fn milliseconds(variable: &'static str, text: &str) -> Result<Duration, SettingsError> {
    let millis =
        text.parse().map_err(|_| SettingsError::Value { variable, problem: "must be a number of milliseconds" })?;
    Ok(Duration::from_millis(millis))
}

fn read(variable: &'static str, path: &str) -> Result<String, SettingsError> {
    std::fs::read_to_string(Path::new(path)).map_err(|source| SettingsError::File { variable, source })
}

/// A list such as `key=value,key=value`, its values percent-encoded (W3C Baggage).
fn pairs(variable: &'static str, list: &str) -> Result<BTreeMap<String, String>, SettingsError> {
    let problem = || SettingsError::Value { variable, problem: "must be a list such as key=value,key=value" };
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('=').ok_or_else(problem)?;
        Ok((key.trim().to_owned(), decoded(value.trim()).ok_or_else(problem)?))
    };
    list.split(',').filter(|entry| !entry.trim().is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(&Environment::of(variables)).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_off(variables: &[(&str, &str)]) {
        assert!(read(variables).unwrap().export.is_none(), "{variables:?}");
    }

    #[test]
    fn traces_are_off_unless_an_endpoint_is_set() {
        check_off(&[]);
        check_off(&[("OTEL_SERVICE_NAME", "x")]);
        check_off(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]);
        check_off(&[ON, ("OTEL_SDK_DISABLED", "TRUE")]);
        check_off(&[ON, ("OTEL_TRACES_EXPORTER", "none")]);
    }

    #[test]
    fn the_variable_for_traces_wins() {
        let settings = read(&[ON, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:1")]).unwrap();
        assert_eq!(settings.export.unwrap().endpoint, "http://other:1");
    }

    #[test]
    fn all_is_read_and_handed_over_unchanged() {
        let settings = read(&[
            ON,
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
            ("OTEL_SERVICE_NAME", "mail"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
            ("PINGER_LOG_FORMAT", "json"),
        ]);
        let line = serde_json::to_string(&settings.unwrap()).unwrap();
        let settings: Settings = serde_json::from_str(&line).unwrap();
        let export = settings.export.unwrap();
        assert_eq!(settings.log_format, Some(LogFormat::Json));
        assert_eq!(export.headers.0["api-key"], "a b");
        assert_eq!(export.timeout, Duration::from_millis(1500));
        assert_eq!(export.resource_attributes["deployment.environment.name"], "test");
        assert_eq!(export.service_name.as_deref(), Some("mail"));
        assert_eq!(export.sampler, SamplerSetting { parent_based: false, ratio: 0.25 });
        assert_eq!(export.schedule.delay, Duration::from_millis(100));
        assert_eq!((export.schedule.max_queue_size, export.schedule.max_export_batch_size), (10, 512));
        assert!(!format!("{:?}", export.headers).contains("a b"));
    }

    #[track_caller]
    fn check_refused(variable: (&str, &str)) {
        let error = read(&[ON, variable]).unwrap_err();
        assert!(error.contains(variable.0), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        check_refused(("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"));
        check_refused(("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"));
        check_refused(("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"));
        check_refused(("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere"));
        check_refused(("OTEL_TRACES_SAMPLER", "xray"));
        check_refused(("OTEL_BSP_MAX_QUEUE_SIZE", "0"));
        check_refused(("PINGER_LOG_FORMAT", "xml"));
    }
}
