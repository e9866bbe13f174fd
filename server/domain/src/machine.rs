//! The machine: `(life, now, event) -> effects`.
//!
//! Watchers and senders report what they saw; only this decides what becomes of it.

use std::time::Duration;

use crate::{
    Baseline, EndReason, Evidence, Failure, FailureClass, FailureCode, Life, Mailbox, News, Phase, Poll, PushKind,
    Timestamp,
};

/// How patient we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The first hold after a push.
    pub hold_min: Duration,
    /// The longest hold; it doubles from the first to this while the device stays silent.
    pub hold_max: Duration,
    /// The first back-off after a fault, before jitter.
    pub retry_min: Duration,
    /// The longest back-off after a fault.
    pub retry_max: Duration,
    /// The longest back-off where trying again soon can't help.
    pub slow_retry: Duration,
    /// How long a connection must have lived for its end not to count as one more fault in a row.
    pub survival: Duration,
    /// Refused log-ins in a row after which the session ends.
    pub max_refusals: u32,
    /// The pause after a refused log-in, before the last try.
    pub refusal_pause: Duration,
    /// How long a host may fail to resolve.
    pub gone_after: Duration,
    /// Long polls in a row that may be answered “nothing new” too early; with the next one we back off.
    pub hasty_polls: u32,
    /// The longest hold where a push would only repeat that the device has not synced.
    pub repeat_max: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            hold_min: Duration::from_secs(30),
            hold_max: Duration::from_secs(10 * 60),
            retry_min: Duration::from_secs(2),
            retry_max: Duration::from_secs(10 * 60),
            slow_retry: Duration::from_secs(60 * 60),
            survival: Duration::from_secs(60),
            max_refusals: 2,
            refusal_pause: Duration::from_secs(60),
            gone_after: Duration::from_secs(24 * 60 * 60),
            hasty_polls: 2,
            repeat_max: Duration::from_secs(60 * 60),
        }
    }
}

/// A throw of dice from outside: any number, evenly distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dice(pub u32);

impl Dice {
    /// A duration from zero up to, and without, `limit`.
    fn below(self, limit: Duration) -> Duration {
        limit.mul_f64(f64::from(self.0) / (f64::from(u32::MAX) + 1.0))
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time went by: a deadline may be over.
    Tick,
    /// The device is awake, for `wait`; zero acknowledges a push.
    Deferred {
        /// For how long.
        wait: Duration,
        /// What it has seen by now.
        baseline: Option<Baseline>,
    },
    /// The device left.
    Stopped,
    /// Staff took the credential away.
    Revoked,
    /// The device registered anew.
    Replaced,
    /// The connection is made, and this is the mailbox.
    Connected(Mailbox),
    /// A ping on an open connection, and this is the mailbox.
    Checked(Mailbox),
    /// A long poll is under way: the server has taken it, or has not answered it at once.
    Polling,
    /// A long poll was answered.
    Polled {
        /// What it came to.
        poll: Poll,
        /// How long the server took.
        took: Duration,
        /// How long it was to wait.
        asked: Duration,
    },
    /// The episode failed.
    Failed {
        /// How.
        failure: Failure,
        /// How long the connection had lived; zero if there was none.
        lived: Duration,
    },
    /// The push service said that the push target is gone.
    PushTargetGone,
}

/// What follows, beside the changed life itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Effects {
    /// A push to write to the outbox, in the transaction that stores the life.
    pub push: Option<PushKind>,
    /// The session ended: the credential is destroyed in that transaction.
    pub ended: bool,
    /// The session token is worth nothing from now on.
    pub token_dies: bool,
}

impl Life {
    /// Lets `event` happen at `now`. An ended session stays as it is, whatever happens.
    pub fn apply(&mut self, rules: &Rules, now: Timestamp, dice: Dice, event: Event) -> Effects {
        if !self.is_live() {
            return Effects::default();
        }
        let before = self.state();
        let effects = self.step(rules, now, dice, event);
        if self.state() != before {
            self.state_since = now;
        }
        effects
    }

    fn step(&mut self, rules: &Rules, now: Timestamp, dice: Dice, event: Event) -> Effects {
        // A session that has outlived its time does nothing else any more, but a last word of the device's counts.
        match event {
            Event::Stopped => return self.end(EndReason::Stopped, None),
            Event::Revoked => return self.end(EndReason::Revoked, Some(PushKind::Register)),
            Event::Replaced => return self.end(EndReason::Replaced, None),
            Event::PushTargetGone => return self.end(EndReason::PushTargetGone, None),
            _ if now >= self.expires_at => return self.end(EndReason::Expired, Some(PushKind::Register)),
            Event::Tick => {}
            Event::Deferred { wait, baseline } => self.defer(now, wait, baseline),
            Event::Connected(mailbox) => {
                self.refusals = 0;
                self.retry_at = None;
                self.unresolved_since = None;
                self.failure = None;
                self.failed_at = None;
                self.see(mailbox);
            }
            Event::Checked(mailbox) => self.see(mailbox),
            Event::Polling => {
                // Refusals stay: a poll that hangs is no log-in that worked.
                self.retry_at = None;
                self.unresolved_since = None;
                self.failure = None;
            }
            Event::Polled { poll, took, asked } => self.polled(rules, now, dice, poll, took < asked / 4),
            Event::Failed { failure, lived } => {
                if let Some(reason) = self.fail(rules, now, dice, failure, lived) {
                    return self.end(reason, Some(PushKind::Register));
                }
            }
        }
        self.pass_time(rules, now)
    }

    fn end(&mut self, reason: EndReason, push: Option<PushKind>) -> Effects {
        self.phase = Phase::Ended(reason);
        self.retry_at = None;
        self.hold_until = None;
        self.owed = false;
        Effects { push, ended: true, token_dies: matches!(reason, EndReason::Revoked | EndReason::Replaced) }
    }

    fn defer(&mut self, now: Timestamp, wait: Duration, baseline: Option<Baseline>) {
        self.silence = 0;
        self.hold_until = None;
        if let Some(seen) = baseline.filter(|_| self.poll.is_none()) {
            // The device has seen all that a push was still owed for, unless it looked before that mail came.
            if self.baseline.is_none_or(|ours| seen.uid_validity != ours.uid_validity || seen.uid_next >= ours.uid_next)
            {
                self.owed = false;
            }
            self.baseline = Some(seen);
        }
        if self.poll.is_some() {
            // Whatever it has not synced by then, the server tells again.
            self.owed = false;
        }
        self.phase = if wait.is_zero() { Phase::Active } else { Phase::Waiting { until: now.after(wait) } };
    }

    fn see(&mut self, mailbox: Mailbox) {
        let Some(baseline) = self.baseline else {
            self.baseline = Some(mailbox);
            return;
        };
        match mailbox.beside(&baseline) {
            News::Nothing => return,
            News::NewMail | News::Renumbered => self.owed = true,
            News::WentBack => {}
        }
        self.baseline = Some(mailbox);
    }

    fn polled(&mut self, rules: &Rules, now: Timestamp, dice: Dice, poll: Poll, hasty: bool) {
        self.refusals = 0;
        self.retry_at = None;
        self.unresolved_since = None;
        self.failure = None;
        let Some(state) = &mut self.poll else { return };
        state.hasty = if hasty && poll == Poll::Unchanged { state.hasty.saturating_add(1) } else { 0 };
        let beyond = state.hasty.saturating_sub(rules.hasty_polls);
        if beyond > 0 {
            self.failure = Some(Failure::new(FailureCode::PollTooFast, Evidence::default()));
            self.failed_at = Some(now);
            self.retry_at = Some(now.after(backoff(rules, beyond, dice)));
        }
        // While the device is awake it syncs by itself; what it leaves is told by the next poll.
        if poll == Poll::Changed && self.phase == Phase::Active {
            self.owed = true;
        }
    }

    fn fail(
        &mut self,
        rules: &Rules,
        now: Timestamp,
        dice: Dice,
        failure: Failure,
        lived: Duration,
    ) -> Option<EndReason> {
        // Back-off is reset by survival, never by the connect alone: a server that drops each of us right after the
        // log-in must not get seventeen log-ins a second.
        self.attempts = if lived >= rules.survival { 1 } else { self.attempts.saturating_add(1) };
        let class = failure.code.class();
        let retry_after = failure.retry_after;
        self.failure = Some(failure);
        self.failed_at = Some(now);
        if class != FailureClass::Unresolved {
            self.unresolved_since = None;
        }
        let pause = match class {
            FailureClass::Transport => backoff(rules, self.attempts, dice),
            FailureClass::Unresolved => {
                let since = *self.unresolved_since.get_or_insert(now);
                if now.since(since) >= rules.gone_after {
                    return Some(EndReason::MailServerGone);
                }
                backoff(rules, self.attempts, dice)
            }
            FailureClass::Throttled => {
                let asked = retry_after.unwrap_or(rules.retry_min * 30).min(rules.slow_retry);
                asked + dice.below(asked / 2)
            }
            FailureClass::Misconfigured => rules.slow_retry / 4 + dice.below(rules.slow_retry * 3 / 4),
            FailureClass::CredentialRefused => {
                self.refusals += 1;
                if self.refusals >= rules.max_refusals {
                    return Some(EndReason::CredentialRefused);
                }
                rules.refusal_pause / 2 + dice.below(rules.refusal_pause / 2)
            }
            FailureClass::CredentialUnusable => return Some(EndReason::CredentialRefused),
            FailureClass::RequestRefused => return Some(EndReason::RequestRefused),
        };
        self.retry_at = Some(now.after(pause));
        None
    }

    /// What deadlines that are over bring, and a push that is owed and need not wait.
    fn pass_time(&mut self, rules: &Rules, now: Timestamp) -> Effects {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        if self.hold_until.is_some_and(|until| until <= now) {
            self.hold_until = None;
        }
        if let Phase::Waiting { until } = self.phase
            && until <= now
        {
            self.phase = Phase::Active;
        }
        if self.phase != Phase::Active || !self.owed || self.hold_until.is_some() {
            return Effects::default();
        }
        let longest = if self.poll.is_some() { rules.repeat_max.max(rules.hold_max) } else { rules.hold_max };
        let hold = rules.hold_min.saturating_mul(1 << self.silence.min(16)).min(longest);
        self.owed = false;
        self.silence = self.silence.saturating_add(1);
        self.hold_until = Some(now.after(hold));
        Effects { push: Some(PushKind::NewMail), ..Effects::default() }
    }
}

/// Full jitter: anything between a moment and the whole of a back-off that doubles.
fn backoff(rules: &Rules, attempts: u32, dice: Dice) -> Duration {
    let whole = rules.retry_min.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(rules.retry_max);
    (whole / 20).max(Duration::from_millis(50)) + dice.below(whole)
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
