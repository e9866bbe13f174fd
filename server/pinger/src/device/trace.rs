//! The trace that a command starts: the server's spans hang below it.

use std::fmt;

/// A W3C trace context (“Trace Context”, § 3.2) with a trace of its own, sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    trace: u128,
    span: u64,
}

impl Trace {
    /// A new trace.
    pub(super) fn new() -> Self {
        // Zeros mean that there is none.
        Self { trace: rand::random::<u128>().max(1), span: rand::random::<u64>().max(1) }
    }

    /// The trace's id, 32 hexadecimal digits.
    pub(super) fn id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// The header's value.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}
