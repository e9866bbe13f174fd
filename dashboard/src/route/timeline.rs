//! What the timeline's entries say, in words.

use domain::{EndReason, FailureClass, FailureCode, Life, State, Timestamp};
use store::{TimelineEntry, TimelineKind};

use crate::page::session::Show;
use crate::part::format::{count, moment, span, took};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, Tone};
use crate::part::timeline::Entry;
use crate::words;

/// Whether an entry is in this part of the timeline.
pub(super) fn is_in(show: Show, entry: &TimelineEntry) -> bool {
    use TimelineKind as Kind;
    match (show, entry.note.kind) {
        (Show::All, _) => true,
        (Show::Faults, Kind::Failed | Kind::PushRefused | Kind::PushRetry | Kind::PushGone) => true,
        (Show::Faults, Kind::PingDone) => entry.failure().is_some(),
        (Show::Faults, _) => false,
        (
            Show::Pushes,
            Kind::PushQueued
            | Kind::PushAccepted
            | Kind::PushRefused
            | Kind::PushRetry
            | Kind::PushGone
            | Kind::TestPush,
        ) => true,
        (Show::Pushes, _) => false,
    }
}

fn number(value: Option<i64>) -> u64 {
    u64::try_from(value.unwrap_or(0)).unwrap_or(0)
}

fn uid_next(a: Option<i64>, b: Option<i64>) -> Option<String> {
    match (a, b) {
        (Some(_), Some(_)) => Some(format!("UIDNEXT {} → {}", count(number(a)), count(number(b)))),
        (Some(one), None) | (None, Some(one)) => Some(format!("UIDNEXT {}", count(number(Some(one))))),
        (None, None) => None,
    }
}

const fn failure_look(code: FailureCode) -> (Icon, Tone) {
    match code.class() {
        FailureClass::Transport | FailureClass::Throttled | FailureClass::Unresolved => (Icon::Retrying, Tone::Warn),
        FailureClass::Misconfigured | FailureClass::CredentialRefused | FailureClass::CredentialUnusable => {
            (Icon::Fault, Tone::Bad)
        }
    }
}

/// An entry in words.
pub(super) fn entry(of: &TimelineEntry, now: Timestamp) -> Entry {
    use TimelineKind as Kind;
    let note = &of.note;
    let detail = note.detail.clone();
    let staff = note.staff.as_deref().unwrap_or("staff");
    let tries = match number(note.b) {
        0 | 1 => "First try.".to_owned(),
        tries => format!("Try {tries}."),
    };
    let at = |value: Option<i64>| moment(Timestamp::from_millis(value.unwrap_or(0)), now);
    let quoted = |text: Option<String>| text.map(|text| format!("“{text}”"));
    let (icon, tone, title, text, quote) = match note.kind {
        Kind::Registered => {
            let lifetime =
                note.b.map(|millis| format!("For {}.", span(std::time::Duration::from_millis(number(Some(millis))))));
            let seen = note.a.map(|uid| format!(" The device had seen UIDNEXT {}.", count(number(Some(uid)))));
            let text = format!("{}{}", lifetime.unwrap_or_default(), seen.unwrap_or_default());
            (Icon::Ok, Some(Tone::Ok), "Registered".to_owned(), Some(text), None)
        }
        Kind::Replaced => (Icon::Ended, Some(Tone::Calm), "Replaced by a newer session".to_owned(), detail, None),
        Kind::Deferred if number(note.a) == 0 => {
            (Icon::Phone, None, "Push acknowledged by the device".to_owned(), None, None)
        }
        Kind::Deferred => {
            let wait = span(std::time::Duration::from_millis(number(note.a)));
            let text = "Awake, reads its mail itself.".to_owned();
            (Icon::Phone, None, format!("Deferred by the device for {wait}"), Some(text), None)
        }
        Kind::Connected => {
            let title = format!("Connected and logged in, in {}", took(number(note.a)));
            (Icon::Plug, None, title, uid_next(None, note.b), None)
        }
        Kind::IdleDistrusted => (
            Icon::Retrying,
            Some(Tone::Warn),
            "The mail server did not tell of new mail, so it is asked".to_owned(),
            Some(words::POLLED.to_owned()),
            None,
        ),
        Kind::MailSeen if detail.as_deref() == Some("renumbered") => (
            Icon::Mail,
            None,
            "Mailbox renumbered, so whatever is there may be new".to_owned(),
            uid_next(note.a, note.b),
            None,
        ),
        Kind::MailSeen => (Icon::Mail, None, "Mail seen".to_owned(), uid_next(note.a, note.b), None),
        Kind::PushQueued => {
            let text = match detail.as_deref() {
                Some("register") => "It asks the device to register again.",
                _ => "It says that there is new mail.",
            };
            (Icon::Bell, None, "Push written".to_owned(), Some(text.to_owned()), None)
        }
        Kind::PushAccepted => {
            let title = format!("Push accepted by {} in {}", words::APNS, took(number(note.a)));
            (Icon::Ok, Some(Tone::Ok), title, Some(tries), None)
        }
        Kind::PushRefused if detail.as_deref() == Some("expired") => {
            (Icon::Retrying, Some(Tone::Warn), "Push given up, too late".to_owned(), Some(tries), None)
        }
        Kind::PushRefused => {
            (Icon::Fault, Some(Tone::Bad), format!("Push refused by {}", words::APNS), Some(tries), detail)
        }
        Kind::PushRetry => {
            let title = format!("Push is tried again at {}", at(note.a));
            (Icon::Retrying, Some(Tone::Warn), title, Some(tries), detail)
        }
        Kind::PushGone => {
            let title = format!("{} says that the app is gone", words::APNS);
            (Icon::Revoked, Some(Tone::Calm), title, None, detail)
        }
        Kind::Failed => match of.failure() {
            Some((code, evidence)) => {
                let (icon, tone) = failure_look(code);
                let text = match note.a {
                    Some(_) => format!("{} Tried again at {}.", code.message(), at(note.a)),
                    None => code.message().to_owned(),
                };
                let quote = (!evidence.is_empty()).then(|| evidence.to_owned());
                (icon, Some(tone), words::cell(code).to_owned(), Some(text), quote)
            }
            None => (Icon::Retrying, Some(Tone::Warn), "Failed".to_owned(), None, detail),
        },
        Kind::Ended => {
            let reason = of.end_reason();
            let title = match (reason, &note.staff) {
                (Some(EndReason::Revoked), Some(name)) => format!("Revoked by {name}"),
                (Some(reason), _) => words::end_cell(reason).to_owned(),
                (None, _) => "Ended".to_owned(),
            };
            let mark = match reason {
                Some(EndReason::CredentialRefused | EndReason::MailServerGone | EndReason::Quota) => Mark::Fault,
                Some(EndReason::Revoked | EndReason::PushTargetGone) => Mark::Revoked,
                _ => Mark::Ended,
            };
            (mark.icon(), Some(mark.tone()), title, None, None)
        }
        Kind::PingForced => (Icon::Ping, None, format!("Ping forced by {staff}"), quoted(detail), None),
        Kind::PingDone => match of.failure() {
            Some((code, evidence)) => {
                let (icon, tone) = failure_look(code);
                let quote = (!evidence.is_empty()).then(|| evidence.to_owned());
                (icon, Some(tone), format!("Forced ping: {}", words::cell(code).to_lowercase()), None, quote)
            }
            None if note.a == note.b => {
                (Icon::Ok, Some(Tone::Ok), "Forced ping: nothing new".to_owned(), uid_next(None, note.b), None)
            }
            None => (Icon::Ok, Some(Tone::Ok), "Forced ping: new mail".to_owned(), uid_next(note.a, note.b), None),
        },
        Kind::TestPush => (Icon::Bell, None, format!("Test push sent by {staff}"), None, None),
        Kind::Viewed => (Icon::Eye, None, format!("Viewed by {staff}"), quoted(detail), None),
        Kind::TraceOn => (Icon::Trace, None, format!("Traced by {staff} until {}", at(note.a)), None, None),
    };
    Entry { at: of.at, icon, tone, title, text, quote, planned: false, hot: false, trace: None }
}

/// What comes next, at the top of the timeline.
pub(super) fn planned(life: &Life, max_refusals: u32) -> Option<Entry> {
    let (at, title, text) = match life.state() {
        State::Retrying => {
            let refused =
                life.failure.as_ref().is_some_and(|failure| failure.code.class() == FailureClass::CredentialRefused);
            let last = life.refusals + 1 >= max_refusals;
            match (refused, last) {
                (true, true) => (
                    life.retry_at?,
                    "Last login planned",
                    Some("If it is refused too, the session ends and the device is told to register again."),
                ),
                (true, false) => (life.retry_at?, "Next login planned", None),
                (false, _) => (life.retry_at?, "Next try planned", None),
            }
        }
        State::Waiting => (life.deadline()?, "Watching begins", Some("Unless the device defers again.")),
        State::Holding if life.owed => {
            (life.hold_until?, "Push planned", Some("It tells of all mail that came meanwhile."))
        }
        State::Holding => (life.hold_until?, "Hold ends", None),
        State::Watching | State::Ended => return None,
    };
    Some(Entry {
        at,
        icon: Icon::Nothing,
        tone: None,
        title: title.to_owned(),
        text: text.map(str::to_owned),
        quote: None,
        planned: true,
        hot: false,
        trace: None,
    })
}
