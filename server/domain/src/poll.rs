//! When a mailbox is asked for news, where its server can't be trusted to tell: often when mail usually comes, seldom when it
//! doesn't.
//!
//! What a poll costs is the same at all times; what it saves is the delay of the mail that it finds. The sum of both is least
//! where the pause is inverse to the *square root* of the rate at which mail comes. That rate is taken from the session's own
//! past: from the last hours, and from the same hour of the days before.

use std::time::Duration;

use crate::{Dice, Timestamp};

/// The shortest and the longest pause between two polls, each give or take a tenth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollBounds {
    min: Duration,
    max: Duration,
}

impl PollBounds {
    /// A `min` of less than a second is taken for one; a `max` that is less than `min` for `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_secs(1));
        Self { min, max: max.max(min) }
    }

    /// The shortest.
    pub const fn min(&self) -> Duration {
        self.min
    }

    /// The longest.
    pub const fn max(&self) -> Duration {
        self.max
    }
}

impl Default for PollBounds {
    /// 1 to 15 minutes.
    fn default() -> Self {
        Self { min: Duration::from_secs(60), max: Duration::from_secs(15 * 60) }
    }
}

const HOUR: f64 = 3600.0;

/// The past counts for less by the factor e with each of these.
const MEMORY: Duration = Duration::from_secs(60 * 60);

/// What an hour of the day is worth, in mails: an eighth.
const GRAIN: f64 = 8.0;

/// Mails of one poll beyond this many are one burst, which is found by one poll.
const BURST: u32 = 4;

/// When mail comes to a mailbox. 40 bytes, whatever happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Rhythm {
    /// As of when it is.
    at: Timestamp,
    /// Mails an hour lately.
    lately: f32,
    /// Mails in this hour so far, in grains.
    this_hour: u8,
    /// Mails in each hour of the day (UTC) usually, in grains.
    usually: [u8; 24],
}

impl Rhythm {
    /// A rhythm of which nothing is known but that somebody wants to know of mail soon: a mail an hour, for a start.
    pub const fn new(now: Timestamp) -> Self {
        Self { at: now, lately: 1.0, this_hour: 0, usually: [0; 24] }
    }

    /// The mailbox was asked at `now`, and `mails` had come since it was asked before.
    pub fn polled(&mut self, now: Timestamp, mails: u32) {
        self.move_to(now);
        let mails = mails.min(BURST);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let more = mails as f32;
        self.lately += more;
        let grains = u8::try_from(mails).unwrap_or(u8::MAX).saturating_mul(8);
        self.this_hour = self.this_hour.saturating_add(grains);
    }

    /// How long to wait from `now` until the next poll. The dice see to it that sessions which began together don't poll
    /// together.
    pub fn pause(&self, bounds: PollBounds, now: Timestamp, dice: Dice) -> Duration {
        let mut rhythm = self.clone();
        rhythm.move_to(now);
        let pause = rhythm.pause_at(bounds, f64::from(rhythm.lately).max(rhythm.usual(hour(now))));
        // The next hour may be a busier one.
        let rest = Duration::from_secs_f64(HOUR) - into_hour(now);
        let then = rest + rhythm.pause_at(bounds, rhythm.usual((hour(now) + 1) % 24));
        let jitter = 0.9 + 0.2 * f64::from(dice.0) / (f64::from(u32::MAX) + 1.0);
        pause.min(then).clamp(bounds.min, bounds.max).mul_f64(jitter)
    }

    /// At a mail an hour it is the geometric mean of the bounds.
    #[expect(clippy::unused_self, reason = "it is the rhythm's law")]
    fn pause_at(&self, bounds: PollBounds, rate: f64) -> Duration {
        let middle = (bounds.min.as_secs_f64() * bounds.max.as_secs_f64()).sqrt();
        let longest = bounds.max.as_secs_f64();
        Duration::from_secs_f64((middle / rate.max(1e-6).sqrt()).min(longest))
    }

    fn usual(&self, hour: usize) -> f64 {
        f64::from(self.usually.get(hour).copied().unwrap_or(0)) / GRAIN
    }

    /// Lets time go by.
    fn move_to(&mut self, now: Timestamp) {
        let passed = now.since(self.at);
        if passed.is_zero() {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a fraction")]
        let faded = (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp() as f32;
        self.lately *= faded;
        // Each hour that has ended moves what is usual for it, by a third. More than a day of silence is as good as one.
        let (first, ended) = (hour_number(self.at), hour_number(now).saturating_sub(hour_number(self.at)));
        for number in first..first.saturating_add(ended.min(24)) {
            let came = std::mem::take(&mut self.this_hour);
            if let Some(usual) = self.usually.get_mut(usize::try_from(number.rem_euclid(24)).unwrap_or(0)) {
                *usual = nearer(*usual, came);
            }
        }
        self.at = now;
    }
}

/// `from`, a third of the way nearer to `to`, and never stuck before it.
fn nearer(from: u8, to: u8) -> u8 {
    let step = from.abs_diff(to).div_ceil(3);
    if to > from { from + step } else { from - step }
}

/// Hours since the epoch.
fn hour_number(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(3_600_000)
}

fn hour(at: Timestamp) -> usize {
    usize::try_from(hour_number(at).rem_euclid(24)).unwrap_or(0)
}

fn into_hour(at: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(at.as_millis().rem_euclid(3_600_000)).unwrap_or(0))
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
