//! What is shown: numbered steps, and below each its details, in columns.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

/// How many steps the story has.
const STEPS: usize = 6;

/// The column in which details begin.
const INDENT: usize = 5;

/// The width of a detail's name.
const NAME: usize = 18;

/// The terminal, or whatever the standard output is. That nobody reads it any more is no reason to fail.
pub(crate) struct Screen {
    coloured: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { coloured: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// A line as it is.
    pub(crate) fn line(&self, text: impl Display) {
        let mut out = stdout().lock();
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    /// A step begins: its number, its name, and what is being done.
    pub(crate) fn step(&self, number: usize, name: &str, text: impl Display) {
        self.line("");
        self.line(format!("{}  {text}", self.bold(&format!("{number}/{STEPS}  {name:<NAME$}", NAME = NAME - 2))));
    }

    /// One thing about the step: its name and what it is.
    pub(crate) fn detail(&self, name: &str, text: impl Display) {
        self.line(format!("{:INDENT$}{name:<NAME$}{text}", ""));
    }

    /// Several lines that belong to the step, such as a command to type.
    pub(crate) fn block(&self, text: &str) {
        for line in text.lines() {
            self.line(format!("{:INDENT$}{line}", ""));
        }
    }

    /// A line that stands out.
    pub(crate) fn heading(&self, text: &str) {
        self.line(self.bold(text));
    }

    /// The last line, when all went well.
    pub(crate) fn succeeded(&self, text: &str) {
        self.line("");
        self.line(self.paint("1;32", &format!("OK: {text}")));
    }

    /// The last line, when it didn't; further lines of the text, as of a log, stand before it. It goes to the standard
    /// error, where the failures of programs are looked for.
    pub(crate) fn failed(&self, text: &str) {
        let (last, before) = text.split_once('\n').unwrap_or((text, ""));
        let last = self.paint("1;31", &format!("FAILED: {last}"));
        let _ = writeln!(std::io::stderr(), "\n{before}{}{last}", if before.is_empty() { "" } else { "\n" });
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A duration in milliseconds, with as many digits as mean something.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}
