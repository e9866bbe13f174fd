//! What adaptive polls cost, and how late they are, beside polls at fixed intervals:
//!
//! ```text
//! cargo run --release -p domain --example polls [-- SEED]
//! ```
//!
//! Each row is 100 mailboxes over 14 days, from the first poll on, with nothing known beforehand. A mail is as late as the
//! first poll after it. Mail comes at random (Poisson) at a rate that each kind of mailbox has by the hour.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::Duration;

use domain::{Dice, PollBounds, Rhythm, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const MAILBOXES: u64 = 100;
const DAYS: i64 = 14;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Mails an hour by day (0 is Monday) and hour.
type Rate = fn(i64, i64) -> f64;

const KINDS: [(&str, Rate); 5] = [
    ("office worker, 40 a working day", |day, hour| match (day, hour) {
        (5 | 6, _) => 0.1,
        (_, 12) => 2.0,
        (_, 8..18) => 4.0,
        (_, 6..8 | 18..22) => 0.7,
        _ => 0.05,
    }),
    // The burst itself is in `mails`.
    ("newsletters, 20 within minutes at 7", |_, hour| if (7..22).contains(&hour) { 0.2 } else { 0.02 }),
    ("quiet, 2 a day", |_, hour| if (8..22).contains(&hour) { 0.14 } else { 0.004 }),
    ("night shift, 24 a night", |_, hour| if !(6..22).contains(&hour) { 3.0 } else { 0.15 }),
    ("team inbox, 200 a day", |_, hour| if (7..20).contains(&hour) { 14.0 } else { 1.6 }),
];

/// The times at which mail comes, in ms.
fn mails(kind: usize, chance: &mut StdRng) -> Vec<i64> {
    let (_, rate) = KINDS[kind];
    let mut mails = Vec::new();
    for hour in 0..DAYS * 24 {
        // The gaps of a Poisson process are exponential.
        let rate = rate(hour / 24 % 7, hour % 24);
        let mut at = 0.0;
        loop {
            at -= chance.random_range(f64::MIN_POSITIVE..1.0_f64).ln() / rate;
            if at >= 1.0 {
                break;
            }
            mails.push(hour * HOUR + milliseconds(at * 3_600_000.0));
        }
    }
    if kind == 1 {
        for day in 0..DAYS {
            let begin = day * DAY + 7 * HOUR + chance.random_range(0..10 * MINUTE);
            mails.extend((0..20).map(|_| begin + chance.random_range(0..6 * MINUTE)));
        }
    }
    mails.sort_unstable();
    mails
}

#[expect(clippy::cast_possible_truncation, reason = "within an hour")]
fn milliseconds(at: f64) -> i64 {
    at as i64
}

/// How a mailbox is polled.
#[derive(Clone, Copy)]
enum Polls {
    Fixed(i64),
    Adaptive(PollBounds),
}

/// Polls one mailbox; how often, and how late each mail was.
fn watch(polls: Polls, mails: &[i64], chance: &mut StdRng, delays: &mut Vec<i64>) -> u64 {
    let mut rhythm = Rhythm::new(Timestamp::from_millis(0));
    let (mut now, mut count, mut seen) = (0, 0, 0);
    loop {
        now += match polls {
            Polls::Fixed(pause) => pause,
            Polls::Adaptive(bounds) => {
                let pause = rhythm.pause(bounds, Timestamp::from_millis(now), Dice(chance.random()));
                i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
            }
        };
        if now >= DAYS * DAY {
            return count;
        }
        count += 1;
        let before = seen;
        while let Some(at) = mails.get(seen).filter(|at| **at <= now) {
            delays.push(now - at);
            seen += 1;
        }
        rhythm.polled(Timestamp::from_millis(now), u32::try_from(seen - before).unwrap_or(u32::MAX));
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers, for people")]
fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    println!("seed {seed}; {MAILBOXES} mailboxes of each kind, {DAYS} days; bounds 1 to 15 min\n");
    println!("| mailbox | polls | polls/day | median delay | p95 delay |");
    println!("| --- | --- | ---: | ---: | ---: |");
    let ways = [
        ("adaptive", Polls::Adaptive(PollBounds::new(Duration::from_secs(60), Duration::from_secs(900)))),
        ("every 1 min", Polls::Fixed(MINUTE)),
        ("every 5 min", Polls::Fixed(5 * MINUTE)),
        ("every 15 min", Polls::Fixed(15 * MINUTE)),
    ];
    for (kind, (name, _)) in KINDS.iter().enumerate() {
        for (how, polls) in ways {
            let (mut count, mut delays) = (0, Vec::new());
            for mailbox in 0..MAILBOXES {
                // Each way sees the same mail.
                let mut chance = StdRng::seed_from_u64(seed ^ (mailbox << 16) ^ ((kind as u64) << 48));
                let mails = mails(kind, &mut chance);
                count += watch(polls, &mails, &mut chance, &mut delays);
            }
            delays.sort_unstable();
            let at =
                |percent: usize| delays.get(delays.len() * percent / 100).map_or(0.0, |delay| *delay as f64 / 60_000.0);
            let each = count as f64 / (MAILBOXES * DAYS.unsigned_abs()) as f64;
            println!("| {name} | {how} | {each:.0} | {:.1} min | {:.1} min |", at(50), at(95));
        }
    }
}
