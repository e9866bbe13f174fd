//! Sessions to try words on.

use std::num::NonZeroU32;

use domain::{Evidence, Failure, FailureCode, Life, Mailbox, Mechanism, Phase, Timestamp};

use super::{Facts, Fate, LastPush};

/// 2026-11-20 09:58:14 UTC, a Friday.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_168_694_000);

/// A time of that day, from `09:42:14`.
pub(crate) fn at(clock: &str) -> Timestamp {
    let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
    Timestamp::from_millis(NOW.as_millis() / 86_400_000 * 86_400_000 + seconds * 1_000)
}

/// A time some days before, from `09:42:14`.
pub(crate) fn before(days: i64, clock: &str) -> Timestamp {
    Timestamp::from_millis(at(clock).as_millis() - days * 86_400_000)
}

/// A session that is well.
pub(crate) fn watching() -> Facts {
    Facts {
        now: NOW,
        life: Life {
            phase: Phase::Active,
            state_since: at("09:17:50"),
            baseline: Some(Mailbox {
                uid_validity: NonZeroU32::new(1_700).unwrap(),
                uid_next: NonZeroU32::new(8_812).unwrap(),
                highest_modseq: None,
            }),
            expires_at: before(-1, "07:58:03"),
            retry_at: None,
            hold_until: None,
            owed: false,
            silence: 0,
            attempts: 0,
            refusals: 0,
            failure: None,
            failed_at: None,
            unresolved_since: None,
        },
        registered_at: before(1, "07:58:03"),
        host: "imap.example.com".into(),
        mailbox: "INBOX".into(),
        mechanism: Mechanism::Plain,
        key: Some("2026-11".into()),
        connected_at: Some(at("06:14:40")),
        is_polled: false,
        mail_at: Some(at("09:17:40")),
        push: Some(LastPush { at: at("09:17:41"), fate: Fate::Accepted { millis: Some(214) } }),
        revoked_by: None,
        max_refusals: 2,
        turn_in: None,
    }
}

/// A session that failed at 09:42:14.
pub(crate) fn failed(code: FailureCode) -> Facts {
    let mut facts = watching();
    facts.life.failure = Some(Failure::new(code, Evidence::redact("a2 NO [UNAVAILABLE] Try again later", None)));
    facts.life.failed_at = Some(at("09:42:14"));
    facts.life.state_since = at("09:42:14");
    facts.life.attempts = 1;
    facts.life.retry_at = Some(at("10:12:14"));
    facts
}

/// A session whose password was refused at 09:42:14.
pub(crate) fn refused() -> Facts {
    let mut facts = failed(FailureCode::LoginRefused);
    facts.life.failure = Some(Failure::new(
        FailureCode::LoginRefused,
        Evidence::redact("a2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", None),
    ));
    facts.life.refusals = 1;
    facts
}
