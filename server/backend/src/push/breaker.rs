//! A circuit breaker for one channel: when a push service refuses everybody, the fault is ours, and no amount of sending
//! helps. It stops the sending, says why, and lets a single push through from time to time to see whether it is mended.
//!
//! Pure: it reads no clock and sends nothing.

use std::fmt;
use std::time::Duration;

use domain::{PushOutcome, PushReason, PushTarget, Timestamp};

/// When a breaker opens, and how long it stays so.
#[derive(Clone, Debug)]
pub struct BreakerRules {
    /// It opens after this many outcomes in a row that are our fault.
    pub faults: u32,
    /// It opens after refusals for this many different targets in a row. One refused token is that token's business; many
    /// are a wrong environment or a wrong topic.
    pub refused_targets: usize,
    /// The first pause before a probe. It doubles with each probe that fails.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// How long a probe may take. After that, another one is let through.
    pub probe_patience: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self {
            faults: 5,
            refused_targets: 10,
            pause_min: Duration::from_secs(30),
            pause_max: Duration::from_secs(10 * 60),
            probe_patience: Duration::from_secs(60),
        }
    }
}

/// Why a breaker is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The service says that our key, topic or request is wrong.
    OurFault(PushReason),
    /// The service refuses one device after the other.
    Refusals(PushReason),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OurFault(reason) => write!(f, "the push service finds fault with us: {reason}"),
            Self::Refusals(reason) => write!(f, "the push service refuses one device after the other: {reason}"),
        }
    }
}

/// What an outcome did to a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing is sent from now on but probes. It is said once, not with each probe that fails.
    Opened(Cause),
    /// A push was accepted: all is well again.
    Closed,
}

/// The breaker of one channel.
#[derive(Debug)]
pub struct Breaker {
    rules: BreakerRules,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed(Bad),
    Open(Open),
}

/// What went wrong since a push was accepted.
#[derive(Debug, Default)]
struct Bad {
    faults: u32,
    refused: Vec<PushTarget>,
}

#[derive(Debug)]
struct Open {
    cause: Cause,
    pause: Duration,
    /// When the next push may go.
    probe_at: Timestamp,
    probing: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(rules: BreakerRules) -> Self {
        Self { rules, state: State::Closed(Bad::default()) }
    }

    /// Whether a push may be sent at `now`. A yes of an open breaker is for one push, the probe: whoever asks sends it and
    /// records its outcome.
    pub fn allows(&mut self, now: Timestamp) -> bool {
        let patience = self.rules.probe_patience;
        match &mut self.state {
            State::Closed(_) => true,
            State::Open(open) if now < open.probe_at => false,
            State::Open(open) => {
                open.probing = true;
                open.probe_at = now.after(patience);
                true
            }
        }
    }

    /// Takes what became of a push to `target`.
    pub fn record(&mut self, now: Timestamp, target: &PushTarget, outcome: &PushOutcome) -> Option<Change> {
        match (&mut self.state, outcome) {
            (State::Closed(bad), PushOutcome::Accepted { .. }) => {
                *bad = Bad::default();
                None
            }
            (State::Open(_), PushOutcome::Accepted { .. }) => {
                self.state = State::Closed(Bad::default());
                Some(Change::Closed)
            }
            (State::Closed(bad), PushOutcome::OurFault { reason }) => {
                bad.faults = bad.faults.saturating_add(1);
                if bad.faults < self.rules.faults {
                    return None;
                }
                Some(self.open(now, Cause::OurFault(reason.clone())))
            }
            (State::Closed(bad), PushOutcome::Refused { reason }) => {
                if !bad.refused.contains(target) {
                    bad.refused.push(target.clone());
                }
                if bad.refused.len() < self.rules.refused_targets {
                    return None;
                }
                Some(self.open(now, Cause::Refusals(reason.clone())))
            }
            (State::Open(open), PushOutcome::OurFault { .. } | PushOutcome::Refused { .. }) => {
                // Without a probe on its way it is the outcome of a push from before, which says nothing new.
                if open.probing {
                    open.pause = open.pause.saturating_mul(2).min(self.rules.pause_max);
                    open.rest(now);
                }
                None
            }
            (State::Open(open), PushOutcome::Retry { .. } | PushOutcome::Gone { .. }) => {
                // It says nothing about us: another probe, after the same pause.
                if open.probing {
                    open.rest(now);
                }
                None
            }
            (State::Closed(_), PushOutcome::Retry { .. } | PushOutcome::Gone { .. }) => None,
        }
    }

    /// Why it is open; none if it is closed.
    pub fn cause(&self) -> Option<&Cause> {
        match &self.state {
            State::Closed(_) => None,
            State::Open(open) => Some(&open.cause),
        }
    }

    /// When an open breaker lets the next push through; none if it is closed.
    pub fn probe_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Closed(_) => None,
            State::Open(open) => Some(open.probe_at),
        }
    }

    fn open(&mut self, now: Timestamp, cause: Cause) -> Change {
        let pause = self.rules.pause_min.min(self.rules.pause_max);
        self.state = State::Open(Open { cause: cause.clone(), pause, probe_at: now.after(pause), probing: false });
        Change::Opened(cause)
    }
}

impl Open {
    fn rest(&mut self, now: Timestamp) {
        self.probing = false;
        self.probe_at = now.after(self.pause);
    }
}
