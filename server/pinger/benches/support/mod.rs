//! What the benches share: how long they are, how figures are summed up, and the other processes.
//!
//! A bench starts itself again, told by an environment variable, for what must be a process of its own.

#![allow(dead_code, reason = "each bench uses its own part")]
#![allow(unreachable_pub, reason = "a module of benches")]

pub mod machine;
pub mod mail_server;

use std::process::{Command, Stdio};
use std::time::Duration;

/// Tells a bench that was started again which part it plays.
const PART: &str = "PINGER_BENCH_PART";

/// `BENCH_QUICK=1`: runs through everything once and small, to see that it works. Its figures mean nothing.
pub fn quick() -> bool {
    std::env::var_os("BENCH_QUICK").is_some_and(|value| value == "1")
}

/// One size, and another for the quick mode.
pub fn size(full: usize, quick_size: usize) -> usize {
    if quick() { quick_size } else { full }
}

/// The part that this process plays; none for the bench itself.
pub fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// This very program in another part. Its input and output are pipes; it ends with its input.
pub fn play(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PART, part).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What was measured, in order of size.
pub struct Sample(Vec<Duration>);

impl Sample {
    pub fn new(mut measured: Vec<Duration>) -> Self {
        assert!(!measured.is_empty(), "nothing was measured");
        measured.sort_unstable();
        Self(measured)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest that is not exceeded by `percent` of all (nearest rank).
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    pub fn worst(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}

/// The middle of a few runs.
pub fn median<T: PartialOrd + Copy>(runs: &[T]) -> T {
    let mut runs = runs.to_vec();
    runs.sort_by(|a, b| a.partial_cmp(b).unwrap());
    runs[runs.len() / 2]
}

/// Milliseconds, for people.
pub fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// A number with its thousands apart, for people.
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < -0.5 { format!("-{text}") } else { text }
}
