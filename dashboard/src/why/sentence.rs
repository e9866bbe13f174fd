//! A session's state and why, in one sentence.

use std::time::Duration;

use domain::{EndReason, Failure, FailureClass, FailureCode, Life, State, Timestamp};

use super::{Facts, Fate, Way};
use crate::part::format::{at_moment, clock, moment, moment_short, span, spelled, until};
use crate::part::mark::Mark;
use crate::words;

/// The head of a session's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// Shape and colour of the whole.
    pub(crate) mark: Mark,
    /// The first words, which carry the colour.
    pub(crate) lead: &'static str,
    /// The rest of the first sentence.
    pub(crate) rest: String,
    /// What follows from it.
    pub(crate) why: String,
    /// The state itself.
    pub(crate) badge: (Mark, String),
}

/// After this many pushes without an answer, the silence is worth a word.
const SILENT: u32 = 4;

const NOT_LOST: &str = "Mail that comes in the meantime is not lost; it is pushed as soon as the connection stands.";

/// The sentence for what is known.
pub(crate) fn sentence(facts: &Facts) -> Sentence {
    let life = &facts.life;
    let badge = badge(life, facts);
    let made = |mark, lead, rest: String, why: String| Sentence { mark, lead, rest, why, badge: badge.clone() };
    if let Some(turn_in) = long_wait(facts) {
        let rest = format!("it waits its turn to connect, about {}", span(turn_in));
        let why = format!(
            "Many sessions wait to connect to {} at the moment, and Pinger goes easy on it. {NOT_LOST}",
            facts.host
        );
        return made(Mark::Running, "Not pushing yet:", rest, why);
    }
    match (life.state(), life.end_reason()) {
        (_, Some(reason)) => {
            let (mark, lead, rest, why) = ended(reason, facts);
            made(mark, lead, rest, why)
        }
        (State::Retrying, None) => {
            let (mark, rest, why) = retrying(facts);
            made(mark, "Not pushing:", rest, why)
        }
        (_, None) if facts.push.as_ref().is_some_and(|push| push.fate.is_broken()) => {
            let (mark, rest, why) = not_arriving(facts);
            made(mark, "Not arriving:", rest, why)
        }
        (State::Waiting, None) => {
            let until = life.deadline().unwrap_or(life.expires_at);
            let why = match &life.failure {
                None => format!(
                    "It reads its mail itself, so nothing is connected. Pinger looks {} and counts what came in the \
                     meantime as new.",
                    self::until(until, facts.now)
                ),
                Some(failure) => format!(
                    "Pinger wanted to look at the mailbox beforehand, but {}. It is tried again before the wait is over.",
                    words::clause(failure.code)
                ),
            };
            made(Mark::Waiting, "Waiting:", format!("the device is awake until {}", clock(until)), why)
        }
        (State::Holding, None) => {
            let (mark, lead, rest, why) = holding(facts);
            made(mark, lead, rest, why)
        }
        (State::Watching | State::Ended, None) => {
            let (mark, lead, rest, why) = watching(facts);
            made(mark, lead, rest, why)
        }
    }
}

/// How long a session waits for its turn to connect, where that is worth a word.
fn long_wait(facts: &Facts) -> Option<Duration> {
    facts.turn_in.filter(|turn_in| facts.life.is_live() && *turn_in >= Duration::from_secs(2))
}

/// The state with its reason, for a cell of a table.
pub(crate) fn cell(life: &Life) -> (Mark, String) {
    match (life.state(), &life.failure) {
        (State::Ended, failure) => {
            let reason = life.end_reason().unwrap_or(EndReason::Stopped);
            let text = match (reason, failure) {
                (EndReason::CredentialRefused, Some(failure)) if failure.code != FailureCode::LoginRefused => {
                    format!("Ended, {}", words::cell(failure.code).to_lowercase())
                }
                _ => words::end_cell(reason).to_owned(),
            };
            (end_mark(reason), text)
        }
        (State::Retrying, Some(failure)) => (failure_mark(failure.code), words::cell(failure.code).to_owned()),
        (State::Watching, Some(_)) => (Mark::Running, "Connecting again".to_owned()),
        (State::Waiting, _) => (Mark::Waiting, "Waiting, device awake".to_owned()),
        (state, _) => (Mark::of(state), words::state(state).to_owned()),
    }
}

const fn end_mark(reason: EndReason) -> Mark {
    match reason {
        EndReason::Stopped | EndReason::Replaced | EndReason::Expired => Mark::Ended,
        EndReason::Revoked | EndReason::PushTargetGone => Mark::Revoked,
        EndReason::CredentialRefused | EndReason::MailServerGone | EndReason::Quota | EndReason::RequestRefused => {
            Mark::Fault
        }
    }
}

/// Warn: Pinger goes on by itself. Bad: a person has to act.
pub(crate) const fn failure_mark(code: FailureCode) -> Mark {
    match code.class() {
        FailureClass::Transport | FailureClass::Throttled | FailureClass::Unresolved => Mark::Retrying,
        FailureClass::Misconfigured
        | FailureClass::CredentialRefused
        | FailureClass::CredentialUnusable
        | FailureClass::RequestRefused => Mark::Fault,
    }
}

fn badge(life: &Life, facts: &Facts) -> (Mark, String) {
    let now = facts.now;
    match life.state() {
        State::Waiting => (Mark::Waiting, "Waiting, device awake".to_owned()),
        State::Watching if facts.connected_at.is_none() || life.failure.is_some() || long_wait(facts).is_some() => {
            (Mark::Running, "Connecting".to_owned())
        }
        State::Watching => (Mark::Watching, "Watching".to_owned()),
        State::Holding => {
            let until = life.hold_until.unwrap_or(life.expires_at);
            (Mark::Holding, format!("Holding until {}", moment(until, now)))
        }
        State::Retrying => {
            let at = life.retry_at.unwrap_or(life.expires_at);
            let what = match life.failure.as_ref().map(|failure| failure.code.class()) {
                Some(FailureClass::CredentialRefused) => "next login",
                _ => "next try",
            };
            (Mark::Retrying, format!("Retrying, {what} {}", moment(at, now)))
        }
        State::Ended => {
            let reason = life.end_reason().unwrap_or(EndReason::Stopped);
            let text = match (reason, &facts.revoked_by) {
                (EndReason::Revoked, Some(name)) => format!("Revoked by {name}"),
                _ => words::end_cell(reason).to_owned(),
            };
            (end_mark(reason), text)
        }
    }
}

fn watching(facts: &Facts) -> (Mark, &'static str, String, String) {
    let life = &facts.life;
    match (&life.failure, facts.connected_at) {
        (Some(failure), _) => {
            let at = life.failed_at.unwrap_or(life.state_since);
            let rest = format!("Pinger connects to {} again", facts.host);
            let why = format!("{} That was {}. {NOT_LOST}", failure.code.message(), at_moment(at, facts.now));
            (Mark::Running, "Not pushing yet:", rest, why)
        }
        (None, None) => {
            let rest = format!("Pinger connects to {}", facts.host);
            let why = format!(
                "The session was registered {} and has not been watched yet. What came since then counts as new.",
                at_moment(facts.registered_at, facts.now)
            );
            (Mark::Running, "Starting:", rest, why)
        }
        (None, Some(_)) => {
            let since = moment_short(life.state_since, facts.now);
            let rest = match facts.way {
                Way::Imap(_) => format!("{} is watched since {since}", facts.mailbox),
                Way::Eas(..) => format!("a long poll waits at {} since {since}", facts.host),
            };
            let why = match &facts.push {
                Some(push) => format!(
                    "The last push was {} {}, and no mail has come since then.",
                    if push.fate == Fate::Queued { "written" } else { "accepted" },
                    at_moment(push.at, facts.now)
                ),
                None => {
                    "No mail has come since it was registered. A test push shows whether the device can be reached."
                        .to_owned()
                }
            };
            let why = match facts.is_polled {
                true => format!("{why} The mail server does not tell of new mail by itself. {}", words::POLLED),
                false => why,
            };
            (Mark::Watching, "Pushing:", rest, why)
        }
    }
}

fn holding(facts: &Facts) -> (Mark, &'static str, String, String) {
    let life = &facts.life;
    let until = clock(life.hold_until.unwrap_or(life.expires_at));
    let gathered = if life.poll.is_some() {
        format!("The server would only repeat itself until the device has synced, so it is asked again at {until}.")
    } else if life.owed {
        format!("More mail has come since; it goes out in one push at {until}.")
    } else {
        format!("Further mail is gathered, and goes out in one push at {until}.")
    };
    if life.silence >= SILENT {
        let rest =
            format!("the device has not answered the last {} pushes", spelled(life.silence.into()).to_lowercase());
        let why = format!("It may be off, out of reach, or without the app. {gathered}");
        return (Mark::Retrying, "Pushing, no answer:", rest, why);
    }
    let at = facts.push.as_ref().map_or(life.state_since, |push| push.at);
    let rest = format!("a push went out {}, and the device has not answered yet", at_moment(at, facts.now));
    (Mark::Watching, "Pushing:", rest, gathered)
}

fn retrying(facts: &Facts) -> (Mark, String, String) {
    let life = &facts.life;
    let now = facts.now;
    let next = moment_short(life.retry_at.unwrap_or(life.expires_at), now);
    let Some(failure) = &life.failure else {
        return (Mark::Retrying, "the connection is made again".to_owned(), NOT_LOST.to_owned());
    };
    let at = life.failed_at.unwrap_or(life.state_since);
    let rest = match failure.code.class() {
        // “come back later at 17:11” would say when to come back.
        FailureClass::Throttled => {
            format!("the mail server limits how often we may look, since {}", moment_short(at, now))
        }
        FailureClass::Unresolved => {
            let since = life.unresolved_since.unwrap_or(at);
            format!("the mail server's name has not resolved since {}", moment_short(since, now))
        }
        _ => format!("{} {}", words::clause(failure.code), at_moment(at, now)),
    };
    let why = match failure.code.class() {
        FailureClass::CredentialRefused => format!(
            "{} of {} logins {} used up. Pinger tries the last one at {next} and then stops, so that the account is never \
             locked. Mail that comes in the meantime is not lost; it is pushed after the next login that works.",
            spelled(life.refusals.into()),
            spelled(facts.max_refusals.into()).to_lowercase(),
            if life.refusals == 1 { "is" } else { "are" },
        ),
        FailureClass::Throttled if failure.code == FailureCode::LoginPaused => format!(
            "The account must not be locked by us, so the next login is at {next}, or as soon as a new password is \
             registered. {NOT_LOST}"
        ),
        FailureClass::Throttled => {
            format!("Pinger comes back at {next}, as the server asks. Nobody has to do anything. {NOT_LOST}")
        }
        FailureClass::Misconfigured => format!(
            "Trying again soon can’t help, so Pinger looks again at {next}, and about once an hour after that. {NOT_LOST}"
        ),
        FailureClass::Unresolved => format!(
            "Pinger asks again at {next}, and gives up {}, a day after it began. {NOT_LOST}",
            at_moment(gone_at(life, failure, now), now)
        ),
        FailureClass::Transport | FailureClass::CredentialUnusable | FailureClass::RequestRefused => {
            let tries = if life.attempts > 1 { format!(", try {} in a row", life.attempts + 1) } else { String::new() };
            format!("Pinger connects again at {next}{tries}. Nobody has to do anything. {NOT_LOST}")
        }
    };
    (failure_mark(failure.code), rest, why)
}

fn gone_at(life: &Life, _failure: &Failure, now: Timestamp) -> Timestamp {
    life.unresolved_since.unwrap_or(now).after(domain::Rules::default().gone_after)
}

fn not_arriving(facts: &Facts) -> (Mark, String, String) {
    let service = words::APNS;
    let Some(push) = &facts.push else {
        return (Mark::Retrying, "the last push has not arrived".to_owned(), String::new());
    };
    let at = at_moment(push.at, facts.now);
    match &push.fate {
        Fate::Waits { .. } => (
            Mark::Fault,
            format!("{service} takes no pushes of ours, and the one of {} waits", moment_short(push.at, facts.now)),
            "The fault is ours, not the device’s. The push is kept and goes out as soon as the service takes it. An admin \
             has to act; Pushes says how."
                .to_owned(),
        ),
        Fate::Retrying { next, .. } => (
            Mark::Retrying,
            format!("{service} was busy {at}, and the push is tried again"),
            next.map_or_else(
                || "Nobody has to do anything.".to_owned(),
                |next| format!("The next try is at {}. Nobody has to do anything.", clock(next)),
            ),
        ),
        Fate::Refused { .. } => (
            Mark::Fault,
            format!("{service} refused the last push {at}"),
            "The mailbox is watched, but this push can’t be sent. Opening the app on the device gives us a fresh push \
             token."
                .to_owned(),
        ),
        Fate::Gone { .. } => (
            Mark::Revoked,
            format!("{service} says that the app is gone from the device"),
            "Opening the app registers again.".to_owned(),
        ),
        Fate::Expired => (
            Mark::Retrying,
            format!("the push of {} was given up", moment_short(push.at, facts.now)),
            "The service did not take it in time. The next mail is pushed anew.".to_owned(),
        ),
        Fate::Queued | Fate::Accepted { .. } => (Mark::Ok, format!("the last push was accepted {at}"), String::new()),
    }
}

fn ended(reason: EndReason, facts: &Facts) -> (Mark, &'static str, String, String) {
    let life = &facts.life;
    let at = at_moment(life.state_since, facts.now);
    let (lead, rest, why): (_, _, String) = match reason {
        EndReason::Stopped => (
            "Ended:",
            format!("the device stopped it {at}"),
            "That is what an app does when somebody signs out or switches notifications off. The credential was \
             destroyed. To be notified again, they switch it on in the app."
                .into(),
        ),
        EndReason::Revoked => (
            "Revoked:",
            format!("{} took the credential away {at}", facts.revoked_by.as_deref().unwrap_or("staff")),
            "The connection was closed at once, and nobody can bring the credential back. The device was told to register \
             again."
                .into(),
        ),
        EndReason::Replaced => (
            "Replaced:",
            format!("the device registered the same account again {at}"),
            "The newer session carries on from there. Nothing was lost on the way.".into(),
        ),
        EndReason::Expired => (
            "Ended:",
            format!("its lifetime was over {at}"),
            "The device was told to register again. If it did not, the app has not been opened since, or the push did not \
             reach it."
                .into(),
        ),
        EndReason::CredentialRefused => {
            let code = life.failure.as_ref().map_or(FailureCode::LoginRefused, |failure| failure.code);
            let why = match code.class() {
                FailureClass::CredentialRefused => {
                    let refused = match life.refusals {
                        0 | 1 => "The login was refused".to_owned(),
                        refusals => format!("{} logins were refused in a row", spelled(refusals.into())),
                    };
                    format!(
                        "{refused}, and another could lock the account. The credential was destroyed, and the device was \
                         told to register again."
                    )
                }
                _ => "The credential was destroyed, and the device was told to register again.".to_owned(),
            };
            ("Not pushing:", format!("{}, so the session ended {at}", words::clause(code)), why)
        }
        EndReason::MailServerGone => (
            "Not pushing:",
            format!("{} was not found for a day, so the session ended {at}", facts.host),
            "The credential was destroyed, and the device was told to register again. If the name is right, its DNS has a \
             fault."
                .into(),
        ),
        EndReason::PushTargetGone => (
            "Ended:",
            format!("{} said {at} that the app is gone from the device", words::APNS),
            "That happens when the app is removed, or after the device was set up anew. Opening the app registers again."
                .into(),
        ),
        EndReason::RequestRefused => {
            let code = life.failure.as_ref().map_or(FailureCode::RequestRefused, |failure| failure.code);
            let rest = format!("{}, so the session ended {at}", words::clause(code));
            let why = "Only the app can make another request. The device was told to register again; it syncs first.";
            ("Not pushing:", rest, why.into())
        }
        EndReason::Quota => (
            "Ended:",
            format!("a limit of this server was reached {at}"),
            "An admin can raise it; Settings shows which.".into(),
        ),
    };
    (end_mark(reason), lead, rest, why)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, NOW, at};
    use super::super::{Fate, LastPush};
    use super::*;
    use domain::Phase;

    #[track_caller]
    fn check(facts: &Facts, mark: Mark, expect: &str, badge: &str) {
        let made = sentence(facts);
        assert_eq!(format!("{} {}", made.lead, made.rest), expect);
        assert_eq!(made.mark, mark);
        assert_eq!(made.badge.1, badge);
        assert!(made.why.ends_with('.'), "{}", made.why);
        assert!(!made.why.contains("  "), "{}", made.why);
    }

    fn push(facts: &mut Facts, fate: Fate) {
        facts.push = Some(LastPush { at: at("09:47:12"), fate });
    }

    #[test]
    fn living() {
        let mut facts = sample::watching();
        check(&facts, Mark::Watching, "Pushing: INBOX is watched since 09:17", "Watching");

        facts.connected_at = None;
        check(&facts, Mark::Running, "Starting: Pinger connects to imap.example.com", "Connecting");

        let mut facts = sample::watching();
        facts.turn_in = Some(std::time::Duration::from_secs(42));
        check(&facts, Mark::Running, "Not pushing yet: it waits its turn to connect, about 42 s", "Connecting");
        facts.turn_in = Some(std::time::Duration::from_secs(1));
        check(&facts, Mark::Watching, "Pushing: INBOX is watched since 09:17", "Watching");

        let mut facts = sample::watching();
        facts.life.phase = Phase::Waiting { until: at("09:58:41") };
        check(&facts, Mark::Waiting, "Waiting: the device is awake until 09:58:41", "Waiting, device awake");

        let mut facts = sample::watching();
        facts.life.hold_until = Some(at("09:58:41"));
        facts.life.silence = 1;
        check(
            &facts,
            Mark::Watching,
            "Pushing: a push went out at 09:17, and the device has not answered yet",
            "Holding until 09:58:41",
        );
        facts.life.silence = 6;
        check(
            &facts,
            Mark::Retrying,
            "Pushing, no answer: the device has not answered the last six pushes",
            "Holding until 09:58:41",
        );
    }

    #[test]
    fn faults() {
        check(
            &sample::refused(),
            Mark::Fault,
            "Not pushing: the mail server refused the user name or password at 09:42",
            "Retrying, next login 10:12:14",
        );
        check(
            &sample::failed(FailureCode::ConnectTimeout),
            Mark::Retrying,
            "Not pushing: the mail server did not answer in time at 09:42",
            "Retrying, next try 10:12:14",
        );
        check(
            &sample::failed(FailureCode::CertificateInvalid),
            Mark::Fault,
            "Not pushing: the mail server's certificate is not valid for its name at 09:42",
            "Retrying, next try 10:12:14",
        );
        check(
            &sample::failed(FailureCode::HostNotFound),
            Mark::Retrying,
            "Not pushing: the mail server's name has not resolved since 09:42",
            "Retrying, next try 10:12:14",
        );
        let mut facts = sample::failed(FailureCode::ServerBye);
        facts.life.retry_at = None;
        check(&facts, Mark::Running, "Not pushing yet: Pinger connects to imap.example.com again", "Connecting");
    }

    #[test]
    fn every_failure_makes_a_sentence() {
        for code in FailureCode::ALL {
            let made = sentence(&sample::failed(*code));
            assert_eq!(made.lead, "Not pushing:");
            assert!(made.why.contains("not lost"), "say what is not lost: {}", made.why);
        }
    }

    #[test]
    fn pushes_that_do_not_arrive() {
        let mut facts = sample::watching();
        push(&mut facts, Fate::Waits { reason: "ExpiredProviderToken".into() });
        check(
            &facts,
            Mark::Fault,
            "Not arriving: APNs takes no pushes of ours, and the one of 09:47 waits",
            "Watching",
        );
        push(&mut facts, Fate::Refused { reason: "BadDeviceToken".into() });
        check(&facts, Mark::Fault, "Not arriving: APNs refused the last push at 09:47", "Watching");
        // What is wrong with the mail server comes first in the chain, so it comes first in the sentence.
        let mut facts = sample::refused();
        push(&mut facts, Fate::Refused { reason: "BadDeviceToken".into() });
        assert_eq!(sentence(&facts).lead, "Not pushing:");
    }

    #[test]
    fn ends() {
        let ended = |reason| {
            let mut facts = sample::watching();
            facts.life.phase = Phase::Ended(reason);
            facts.life.state_since = at("09:42:14");
            facts
        };
        check(
            &ended(EndReason::Stopped),
            Mark::Ended,
            "Ended: the device stopped it at 09:42",
            "Ended, stopped by the device",
        );
        let mut revoked = ended(EndReason::Revoked);
        revoked.revoked_by = Some("kim".into());
        check(&revoked, Mark::Revoked, "Revoked: kim took the credential away at 09:42", "Revoked by kim");
        check(
            &ended(EndReason::MailServerGone),
            Mark::Fault,
            "Not pushing: imap.example.com was not found for a day, so the session ended at 09:42",
            "Ended, mail server not found",
        );
        for reason in EndReason::ALL {
            assert!(sentence(&ended(*reason)).why.ends_with('.'));
        }
        assert!(NOW > at("09:42:14"));
    }

    #[test]
    fn a_server_that_does_not_tell_is_named() {
        let mut facts = sample::watching();
        assert!(!sentence(&facts).why.contains(words::POLLED));
        facts.is_polled = true;
        let made = sentence(&facts);
        assert!(made.why.ends_with(words::POLLED), "{}", made.why);
    }
}
