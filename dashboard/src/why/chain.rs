//! Why no push? Eight links, always the same, from the registration to the push that was accepted.

use domain::{EndReason, FailureCode, Phase, State, Timestamp};

use super::sentence::failure_mark;
use super::{Facts, Fate};
use crate::part::format::{clock, moment, moment_short, took};
use crate::part::mark::Mark;
use crate::words;

const NAMES: [&str; 8] =
    ["Registered", "Credential opens", "Connected", "Logged in", "Watching", "Mail seen", "Push sent", "Accepted"];

const REGISTERED: usize = 0;
const OPENS: usize = 1;
const CONNECTED: usize = 2;
const LOGGED_IN: usize = 3;
const WATCHING: usize = 4;
const SENT: usize = 6;
const ACCEPTED: usize = 7;

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Holds,
    /// It is the first that does not hold.
    Broken(Mark),
    NotReached,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) standing: Standing,
    pub(crate) note: String,
}

/// What the first broken link is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// “What imap.example.com said”
    pub(crate) heading: String,
    /// The other side's own words.
    pub(crate) quote: Option<String>,
    /// When.
    pub(crate) at: Option<Timestamp>,
    /// The stable name.
    pub(crate) code: Option<String>,
    /// What it means.
    pub(crate) note: String,
    /// What to say to the customer.
    pub(crate) tell: Option<&'static str>,
    /// What helps.
    pub(crate) helps: Option<String>,
    /// What happens without help.
    pub(crate) by_itself: Option<&'static str>,
    /// A list of others that have the same: a search.
    pub(crate) alike: Option<String>,
}

/// All links, and the verdict on the first that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) links: Vec<Link>,
    pub(crate) verdict: Option<Verdict>,
    /// Beside the heading: what it comes to.
    pub(crate) summary: String,
}

/// The chain for what is known.
pub(crate) fn chain(facts: &Facts) -> Chain {
    let broken = broken(facts);
    let reached = reached(facts);
    let links = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let standing = match &broken {
                Some((at, mark, _)) if *at == index => Standing::Broken(*mark),
                Some((at, ..)) if *at < index => Standing::NotReached,
                _ if index < reached => Standing::Holds,
                _ => Standing::NotReached,
            };
            let note = match standing {
                Standing::Broken(_) => broken_note(facts, index),
                Standing::Holds => holds_note(facts, index),
                Standing::NotReached => not_reached_note(facts, index),
            };
            Link { name, standing, note }
        })
        .collect();
    let summary = match (&broken, reached) {
        (Some((at, ..)), _) => format!("Link {} of 8 is broken", at + 1),
        (None, 8..) => "All eight links hold".to_owned(),
        (None, _) if facts.life.state() == State::Waiting => "Every link so far holds; the device is awake".to_owned(),
        (None, 5) => "Every link so far holds; no mail has come yet".to_owned(),
        (None, _) => "Every link so far holds".to_owned(),
    };
    Chain { links, verdict: broken.map(|(_, _, verdict)| verdict), summary }
}

/// How many links hold, where none is broken.
fn reached(facts: &Facts) -> usize {
    match (facts.life.state(), &facts.push) {
        (State::Waiting, _) => CONNECTED,
        _ if facts.connected_at.is_none() => CONNECTED,
        (_, None) if facts.mail_at.is_some() => SENT,
        (_, None) => WATCHING + 1,
        (_, Some(push)) if matches!(push.fate, Fate::Queued) => SENT,
        (_, Some(_)) => 8,
    }
}

/// The first broken link.
fn broken(facts: &Facts) -> Option<(usize, Mark, Verdict)> {
    let life = &facts.life;
    if let Phase::Ended(reason) = life.phase {
        return Some(ended(facts, reason));
    }
    if let Some(failure) = &life.failure
        && life.state() != State::Waiting
    {
        return Some((link_of(failure.code), failure_mark(failure.code), of_failure(facts, failure.code)));
    }
    let push = facts.push.as_ref().filter(|push| push.fate.is_broken())?;
    let (index, mark, quote, helps) = match &push.fate {
        Fate::Waits { reason } => (
            SENT,
            Mark::Fault,
            Some(reason),
            "An admin mends it; Pushes says how. The push is kept and goes out by itself then.",
        ),
        Fate::Retrying { reason, .. } => {
            (SENT, Mark::Retrying, Some(reason), "Nothing needs to be done; it is tried again.")
        }
        Fate::Refused { reason } => {
            (ACCEPTED, Mark::Fault, Some(reason), "Opening the app on the device gives us a fresh push token.")
        }
        Fate::Gone { reason } => (ACCEPTED, Mark::Revoked, Some(reason), "Opening the app registers again."),
        Fate::Expired => (SENT, Mark::Retrying, None, "Nothing needs to be done; the next mail is pushed anew."),
        Fate::Queued | Fate::Accepted { .. } => return None,
    };
    let note = match &push.fate {
        Fate::Waits { .. } => "The fault is ours: our key, our topic or our request. No device is to blame.",
        Fate::Expired => "The service did not take the push before it was worth nothing any more.",
        _ => "The mailbox is watched, and the mail was seen.",
    };
    let verdict = Verdict {
        heading: format!("What {} said", words::APNS),
        quote: quote.cloned(),
        at: Some(push.at),
        note: note.to_owned(),
        helps: Some(helps.to_owned()),
        ..Verdict::default()
    };
    Some((index, mark, verdict))
}

/// Where in the chain a failure happens.
const fn link_of(code: FailureCode) -> usize {
    match code {
        FailureCode::CredentialUnreadable | FailureCode::CredentialMismatch => OPENS,
        FailureCode::HostNotFound
        | FailureCode::AddressBlocked
        | FailureCode::ConnectRefused
        | FailureCode::ConnectTimeout
        | FailureCode::TlsFailed
        | FailureCode::CertificateInvalid
        | FailureCode::StartTlsMissing
        | FailureCode::GreetingTimeout
        | FailureCode::ProtocolError
        | FailureCode::FloodRefused => CONNECTED,
        FailureCode::Throttled
        | FailureCode::LoginRefused
        | FailureCode::LoginDisabled
        | FailureCode::LoginHeld
        | FailureCode::LoginPaused => LOGGED_IN,
        FailureCode::MailboxMissing
        | FailureCode::ConnectionLost
        | FailureCode::CommandTimeout
        | FailureCode::ServerBye
        | FailureCode::Internal => WATCHING,
    }
}

fn of_failure(facts: &Facts, code: FailureCode) -> Verdict {
    let life = &facts.life;
    let evidence = life.failure.as_ref().map(|failure| failure.evidence.as_str()).unwrap_or_default();
    Verdict {
        heading: format!("What {} said", facts.host),
        quote: (!evidence.is_empty()).then(|| evidence.to_owned()),
        at: life.failed_at,
        code: Some(code.as_str().to_owned()),
        note: worked_before(facts, code).unwrap_or_else(|| code.message().to_owned()),
        tell: words::tell(code),
        helps: Some(code.remedy().to_owned()),
        by_itself: Some(words::by_itself(code)),
        alike: Some(format!("host:{} reason:{}", facts.host, code.as_str())),
    }
}

/// A login that worked before and is refused now was not changed in the app.
fn worked_before(facts: &Facts, code: FailureCode) -> Option<String> {
    let at = facts.connected_at.filter(|_| code == FailureCode::LoginRefused)?;
    Some(format!(
        "The same {} still worked at {}. It was changed or blocked at the provider, not in the app.",
        words::credential(facts.mechanism).to_lowercase(),
        moment_short(at, facts.now)
    ))
}

fn ended(facts: &Facts, reason: EndReason) -> (usize, Mark, Verdict) {
    let at = Some(facts.life.state_since);
    let plain = |heading: &str, note: &str, helps: &str| Verdict {
        heading: heading.to_owned(),
        at,
        note: note.to_owned(),
        helps: Some(helps.to_owned()),
        ..Verdict::default()
    };
    let code = facts.life.failure.as_ref().map(|failure| failure.code);
    match reason {
        EndReason::Stopped => (
            REGISTERED,
            Mark::Ended,
            plain(
                "What happened",
                "The device stopped the session.",
                "Switching notifications on in the app registers again.",
            ),
        ),
        EndReason::Replaced => (
            REGISTERED,
            Mark::Ended,
            plain(
                "What happened",
                "The device registered the same account again; the newer session carries on.",
                "Look at the newer session of this device.",
            ),
        ),
        EndReason::Expired => (
            REGISTERED,
            Mark::Ended,
            plain("What happened", "The session’s lifetime was over.", "Opening the app registers again."),
        ),
        EndReason::Quota => (
            REGISTERED,
            Mark::Fault,
            plain("What happened", "A limit of this server was reached.", "An admin can raise the limit."),
        ),
        EndReason::Revoked => (
            OPENS,
            Mark::Revoked,
            plain(
                "What happened",
                "The credential was taken away and deleted. Nobody can bring it back.",
                "Signing in to the account in the app registers again.",
            ),
        ),
        EndReason::CredentialRefused => {
            let code = code.unwrap_or(FailureCode::LoginRefused);
            (link_of(code), Mark::Fault, of_failure(facts, code))
        }
        EndReason::MailServerGone => {
            (CONNECTED, Mark::Fault, of_failure(facts, code.unwrap_or(FailureCode::HostNotFound)))
        }
        EndReason::PushTargetGone => {
            let quote = facts.push.as_ref().and_then(|push| match &push.fate {
                Fate::Gone { reason } => Some(reason.clone()),
                _ => None,
            });
            let verdict = Verdict {
                heading: format!("What {} said", words::APNS),
                quote,
                ..plain(
                    "",
                    "The app is gone from the device, or the device was set up anew.",
                    "Opening the app registers again.",
                )
            };
            (ACCEPTED, Mark::Revoked, Verdict { heading: format!("What {} said", words::APNS), ..verdict })
        }
    }
}

fn broken_note(facts: &Facts, index: usize) -> String {
    let life = &facts.life;
    match (life.end_reason(), index) {
        (Some(reason), REGISTERED) => {
            let word = match reason {
                EndReason::Stopped => "Stopped",
                EndReason::Replaced => "Replaced",
                EndReason::Expired => "Expired",
                _ => "Ended",
            };
            format!("{word} {}", moment_short(life.state_since, facts.now))
        }
        (Some(EndReason::Revoked), _) => format!("Deleted {}", moment_short(life.state_since, facts.now)),
        (_, SENT | ACCEPTED) => match &facts.push {
            Some(push) => {
                let word = match push.fate {
                    Fate::Waits { .. } => "Waits since",
                    Fate::Retrying { .. } => "Busy at",
                    Fate::Expired => "Given up,",
                    Fate::Gone { .. } => "Gone",
                    _ => "Refused",
                };
                format!("{word} {}", moment_short(push.at, facts.now))
            }
            None => "Gone".to_owned(),
        },
        _ => {
            let refused = life.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::LoginRefused);
            let word = if refused { "Refused" } else { "Failed" };
            life.failed_at.map_or_else(|| word.to_owned(), |at| format!("{word} {}", moment(at, facts.now)))
        }
    }
}

fn holds_note(facts: &Facts, index: usize) -> String {
    let now = facts.now;
    match index {
        REGISTERED => moment_short(facts.registered_at, now),
        OPENS => {
            facts.key.as_ref().map_or_else(|| "Destroyed since".to_owned(), |key| format!("Key {}", short_key(key)))
        }
        CONNECTED => facts.connected_at.map_or_else(String::new, |at| moment_short(at, now)),
        LOGGED_IN => words::mechanism(facts.mechanism).to_owned(),
        WATCHING => format!("Since {}", moment_short(facts.life.state_since, now)),
        ACCEPTED => match &facts.push {
            Some(push) => match push.fate {
                Fate::Accepted { millis: Some(millis) } => format!("{}, {}", words::APNS, took(millis)),
                _ => words::APNS.to_owned(),
            },
            None => String::new(),
        },
        SENT => facts.push.as_ref().map_or_else(String::new, |push| moment(push.at, now)),
        _ => facts.mail_at.map_or_else(String::new, |at| moment(at, now)),
    }
}

fn not_reached_note(facts: &Facts, index: usize) -> String {
    let now = facts.now;
    let last = |at: Option<Timestamp>| {
        at.map_or_else(|| "None yet".to_owned(), |at| format!("Last {}", moment_short(at, now)))
    };
    match index {
        CONNECTED | LOGGED_IN | WATCHING if facts.life.state() == State::Waiting => "Device awake".to_owned(),
        CONNECTED | LOGGED_IN => last(facts.connected_at),
        WATCHING => facts.life.failed_at.map_or_else(|| "Not yet".to_owned(), |at| format!("Until {}", clock(at))),
        5 => last(facts.mail_at),
        SENT | ACCEPTED => last(facts.push.as_ref().map(|push| push.at)),
        _ => String::new(),
    }
}

/// Ids of keys may be UUIDs; the first part is enough for the eye.
fn short_key(key: &str) -> &str {
    key.get(..8).filter(|_| key.len() > 12).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::super::LastPush;
    use super::super::sample::{self, at};
    use super::*;

    /// One letter a link: `+` holds, `x` broken, `.` not reached.
    #[track_caller]
    fn check(facts: &Facts, expect: &str, note: &str) {
        let chain = chain(facts);
        let drawn: String = chain
            .links
            .iter()
            .map(|link| match link.standing {
                Standing::Holds => '+',
                Standing::Broken(_) => 'x',
                Standing::NotReached => '.',
            })
            .collect();
        assert_eq!(drawn, expect, "{}", chain.summary);
        let broken = chain.links.iter().find(|link| matches!(link.standing, Standing::Broken(_)));
        assert_eq!(broken.map(|link| link.note.as_str()).unwrap_or_default(), note);
        assert_eq!(broken.is_some(), chain.verdict.is_some());
    }

    #[test]
    fn chains() {
        let watching = sample::watching();
        check(&watching, "++++++++", "");
        check(&sample::refused(), "+++x....", "Refused 09:42:14");
        check(&sample::failed(FailureCode::ConnectTimeout), "++x.....", "Failed 09:42:14");
        check(&sample::failed(FailureCode::MailboxMissing), "++++x...", "Failed 09:42:14");
        check(&sample::failed(FailureCode::CredentialUnreadable), "+x......", "Failed 09:42:14");

        let mut waiting = sample::watching();
        waiting.life.phase = Phase::Waiting { until: at("10:00:00") };
        check(&waiting, "++......", "");

        let mut fresh = sample::watching();
        (fresh.push, fresh.mail_at) = (None, None);
        check(&fresh, "+++++...", "");

        let mut ours = sample::watching();
        ours.push = Some(LastPush { at: at("09:47:12"), fate: Fate::Waits { reason: "ExpiredProviderToken".into() } });
        check(&ours, "++++++x.", "Waits since 09:47");

        let mut ended = sample::watching();
        ended.life.phase = Phase::Ended(EndReason::Stopped);
        check(&ended, "x.......", "Stopped 09:17");
        ended.life.phase = Phase::Ended(EndReason::Revoked);
        check(&ended, "+x......", "Deleted 09:17");
        ended.life.phase = Phase::Ended(EndReason::PushTargetGone);
        check(&ended, "+++++++x", "Refused 09:17");
    }

    #[test]
    fn a_password_that_worked_before_is_said_so() {
        let verdict = chain(&sample::refused()).verdict.unwrap();
        assert_eq!(
            verdict.note,
            "The same password still worked at 06:14. It was changed or blocked at the provider, not in the app."
        );
        assert_eq!(verdict.code.as_deref(), Some("LOGIN_REFUSED"));
        assert_eq!(verdict.alike.as_deref(), Some("host:imap.example.com reason:LOGIN_REFUSED"));
        assert!(verdict.quote.unwrap().contains("AUTHENTICATIONFAILED"));
    }
}
