//! What a session's timeline tells of an event: the facts, in the transaction that stores what became of it.

use domain::{Event, Life, News, Poll};
use store::{Note, TimelineKind};

/// The entries for what `event` made of a life. None for what changes nothing that anybody would look for.
pub(crate) fn notes(event: &Event, before: &Life, after: &Life) -> Vec<Note> {
    let happened = match event {
        // An event that met a session whose time was over did not happen; its end did.
        Event::Deferred { wait, baseline } if after.is_live() => {
            Some(Note::deferred(*wait, baseline.map(|seen| seen.uid_next.get())))
        }
        Event::Connected(mailbox) | Event::Checked(mailbox) if after.is_live() => {
            before.baseline.and_then(|baseline| {
                let seen = Note::mail_seen(baseline.uid_next.get(), mailbox.uid_next.get());
                match mailbox.beside(&baseline) {
                    News::NewMail => Some(seen),
                    News::Renumbered => Some(seen.detail("renumbered")),
                    News::Nothing | News::WentBack => None,
                }
            })
        }
        // An answer that came while the device was awake is none of its mail.
        Event::Polled { poll: Poll::Changed, .. } if after.owed || after.silence > before.silence => {
            Some(Note::new(TimelineKind::MailSeen))
        }
        Event::Polled { .. } => {
            after.failure.as_ref().filter(|_| after.is_live()).map(|failure| Note::failed(failure, after.retry_at))
        }
        Event::Failed { failure, .. } if after.failure.as_ref() == Some(failure) => {
            Some(Note::failed(failure, after.retry_at))
        }
        _ => None,
    };
    let ended = after.end_reason().filter(|_| before.is_live()).map(Note::ended);
    happened.into_iter().chain(ended).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use domain::{Dice, EndReason, Evidence, Failure, FailureCode, Mailbox, Rules, Timestamp};
    use store::TimelineKind;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn mailbox(uid_validity: u32, uid_next: u32) -> Mailbox {
        Mailbox {
            uid_validity: NonZeroU32::new(uid_validity).unwrap(),
            uid_next: NonZeroU32::new(uid_next).unwrap(),
            highest_modseq: None,
        }
    }

    /// Kind, detail and the two numbers of an entry.
    type Told<'a> = (TimelineKind, Option<&'a str>, Option<i64>, Option<i64>);

    #[track_caller]
    fn check(at: Timestamp, event: Event, expect: &[Told<'_>]) {
        let before = Life::begin(NOW, Duration::ZERO, Duration::from_secs(3600), Some(mailbox(1, 40)));
        let mut after = before.clone();
        after.apply(&Rules::default(), at, Dice(0), event.clone());
        let notes = notes(&event, &before, &after);
        let told: Vec<_> = notes.iter().map(|note| (note.kind, note.detail.as_deref(), note.a, note.b)).collect();
        assert_eq!(told, expect, "{event:?}");
    }

    #[test]
    fn events() {
        use TimelineKind::{Deferred, Ended, Failed, MailSeen};
        let expired = NOW.after(Duration::from_secs(3600));
        let defer = |baseline| Event::Deferred { wait: Duration::from_secs(5), baseline };
        check(NOW, Event::Tick, &[]);
        check(NOW, Event::Checked(mailbox(1, 40)), &[]);
        check(NOW, Event::Connected(mailbox(1, 40)), &[]);
        check(NOW, Event::Connected(mailbox(1, 42)), &[(MailSeen, None, Some(40), Some(42))]);
        check(NOW, Event::Checked(mailbox(2, 7)), &[(MailSeen, Some("renumbered"), Some(40), Some(7))]);
        check(NOW, defer(None), &[(Deferred, None, Some(5000), None)]);
        check(NOW, defer(Some(mailbox(1, 41))), &[(Deferred, None, Some(5000), Some(41))]);
        check(NOW, Event::Stopped, &[(Ended, Some("stopped"), None, None)]);
        check(expired, Event::Tick, &[(Ended, Some("expired"), None, None)]);
        check(expired, defer(None), &[(Ended, Some("expired"), None, None)]);
        check(expired, Event::Checked(mailbox(1, 41)), &[(Ended, Some("expired"), None, None)]);

        let failed = |code, evidence: &str| Event::Failed {
            failure: Failure::new(code, Evidence::redact(evidence, None)),
            lived: Duration::ZERO,
        };
        let retry = NOW.after(Rules::default().refusal_pause / 2).as_millis();
        let refused = failed(FailureCode::LoginRefused, "a2 NO no");
        check(NOW, refused, &[(Failed, Some("LOGIN_REFUSED a2 NO no"), Some(retry), None)]);
        let unreadable = failed(FailureCode::CredentialUnreadable, "");
        let ended = EndReason::CredentialRefused.as_str();
        let told = [(Failed, Some("CREDENTIAL_UNREADABLE"), None, None), (Ended, Some(ended), None, None)];
        check(NOW, unreadable, &told);
    }
}
