//! Until when a call must be answered.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// The metadata in which a caller says how long it waits.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// What an answer may need to reach the caller: one that comes as the caller gives up is no answer.
const TRAVEL: Duration = Duration::from_millis(100);

/// Until when a call must be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// When we answer at the latest. For a stream: begin to.
    pub(crate) answer: Instant,
    /// When the caller is gone, if it has said so. A stream ends then.
    pub(crate) caller: Option<Instant>,
}

impl Deadline {
    /// The shorter of what is configured and what the caller asks for.
    pub(crate) fn new(now: Instant, configured: Duration, headers: &HeaderMap) -> Self {
        let asked = headers.get(GRPC_TIMEOUT).and_then(|value| parse(value.to_str().ok()?));
        let answer = asked.map_or(configured, |asked| configured.min(asked - TRAVEL.min(asked / 10)));
        Self { answer: now + answer, caller: asked.and_then(|asked| now.checked_add(asked)) }
    }
}

/// Reads a `grpc-timeout`: at most eight digits and a unit, as gRPC over HTTP/2 has it. What is none is not there.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<Duration>) {
        assert_eq!(parse(text), expect, "{text}");
    }

    #[test]
    fn timeouts_are_read() {
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("3S", Some(Duration::from_secs(3)));
        check("4m", Some(Duration::from_millis(4)));
        check("5u", Some(Duration::from_micros(5)));
        check("99999999n", Some(Duration::from_nanos(99_999_999)));
        for nonsense in ["", "S", "1", "1s", "+1S", "123456789S", "1 S", "1ü", "ü"] {
            check(nonsense, None);
        }
    }

    #[test]
    fn the_shorter_one_wins() {
        let now = Instant::now();
        let answer = |timeout: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, timeout.parse().unwrap());
            Deadline::new(now, Duration::from_secs(10), &headers).answer - now
        };
        assert_eq!(answer("1H"), Duration::from_secs(10));
        assert_eq!(answer("5S"), Duration::from_millis(4_900));
        assert_eq!(answer("500m"), Duration::from_millis(450));
        assert_eq!(answer("0S"), Duration::ZERO);
        assert_eq!(answer("nonsense"), Duration::from_secs(10));
    }

    proptest! {
        #[test]
        fn no_text_does_harm(text in ".{0,12}") {
            let _ = parse(&text);
        }
    }
}
