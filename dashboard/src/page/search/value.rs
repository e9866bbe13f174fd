//! The values of qualifiers: how they are typed, and what they stand for.

use std::time::Duration;

use domain::{EndReason, FailureClass, FailureCode, SessionId, State, Timestamp};
use store::StateReason;

use super::Key;
use crate::words;

/// Reads one value and writes it as it is meant, or says what would do.
pub(super) fn read(key: Key, value: &str) -> Result<String, String> {
    match key {
        Key::State if states(value).is_empty() => Err(format!(
            "No state is called “{value}”; there are waiting, watching, holding, retrying, ended, and live."
        )),
        Key::Reason => reason(value).ok_or_else(|| {
            format!("No reason is called “{value}”; try refused, throttled, certificate, timeout, revoked, stopped.")
        }),
        Key::Since | Key::Changed if since(value, Timestamp::from_millis(0)).is_none() => {
            let key = key.as_str();
            Err(format!("“{value}” is no time; try {key}:today, {key}:2h or {key}:3d."))
        }
        Key::Session if SessionId::parse(value).is_err() => {
            Err(format!("“{value}” is no session id; it has 36 characters."))
        }
        Key::Node if value.len() < 4 || !value.chars().all(|char| char.is_ascii_hexdigit() || char == '-') => {
            Err(format!("“{value}” is no node; type the id of one, or at least how its first four characters are."))
        }
        Key::Host | Key::State | Key::Node => Ok(value.to_lowercase()),
        Key::Address | Key::Session | Key::Device | Key::User | Key::Context | Key::Since | Key::Changed => {
            Ok(value.to_owned())
        }
    }
}

/// The states that a word stands for; none if it stands for none.
pub(super) fn states(text: &str) -> Vec<State> {
    let text = text.to_lowercase();
    let live = text == "live";
    State::ALL.iter().copied().filter(|state| state.as_str() == text || live && *state != State::Ended).collect()
}

/// A reason's stable name, or the word for several, from itself or from the word that people use for it.
fn reason(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let code = match lower.as_str() {
        "certificate" => FailureCode::CertificateInvalid,
        "timeout" => FailureCode::ConnectTimeout,
        "dns" => FailureCode::HostNotFound,
        // What a person has to mend; what is broken on the way; what ended because something was wrong.
        "password" => return Some("refused".to_owned()),
        "refused" | "person" | "transport" | "fault" => return Some(lower),
        lower => return named(lower).map(|reason| reason.as_str().to_owned()),
    };
    Some(code.as_str().to_owned())
}

/// The reason with this code, or whose name on these pages this is, with hyphens for spaces: `no-answer`.
fn named(text: &str) -> Option<StateReason> {
    let by_word = || {
        let words = text.replace('-', " ");
        StateReason::all().find(|reason| {
            let word = match reason {
                StateReason::Failed(code) => words::cell(*code),
                StateReason::Ended(reason) => words::end_cell(*reason),
            };
            word.replace(',', "").eq_ignore_ascii_case(&words)
        })
    };
    StateReason::parse(text).or_else(by_word)
}

/// The words for several reasons, each with what it says.
pub(crate) const GROUPS: [(&str, &str); 4] = [
    ("refused", "Password refused, retrying or ended by it"),
    ("person", "A person has to mend it"),
    ("transport", "Broken on the way"),
    ("fault", "Ended because something was wrong"),
];

/// The reasons that a word stands for.
pub(super) fn reasons(text: &str) -> Vec<StateReason> {
    let failures = |class: fn(FailureClass) -> bool| {
        FailureCode::ALL.iter().filter(move |code| class(code.class())).map(|code| StateReason::Failed(*code)).collect()
    };
    match text {
        "refused" => {
            vec![StateReason::Failed(FailureCode::LoginRefused), StateReason::Ended(EndReason::CredentialRefused)]
        }
        "person" => failures(needs_a_person),
        "transport" => failures(|class| class == FailureClass::Transport),
        "fault" => ENDED_BY_FAULT.iter().map(|reason| StateReason::Ended(*reason)).collect(),
        one => StateReason::parse(one).into_iter().collect(),
    }
}

/// Ends that nobody wanted.
pub(crate) const ENDED_BY_FAULT: [EndReason; 4] =
    [EndReason::CredentialRefused, EndReason::MailServerGone, EndReason::Quota, EndReason::RequestRefused];

/// Whether a failure stays until a person does something.
pub(crate) const fn needs_a_person(class: FailureClass) -> bool {
    match class {
        FailureClass::Misconfigured
        | FailureClass::CredentialRefused
        | FailureClass::CredentialUnusable
        | FailureClass::RequestRefused => true,
        FailureClass::Transport | FailureClass::Throttled | FailureClass::Unresolved => false,
    }
}

/// `today`, `30m`, `2h`, `3d`
pub(super) fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "today" {
        let day = 86_400_000;
        return Some(Timestamp::from_millis(now.as_millis() / day * day));
    }
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let back = Duration::from_secs(number.checked_mul(seconds).filter(|seconds| *seconds <= 400 * 86_400)?);
    Some(Timestamp::from_millis(now.as_millis().saturating_sub(i64::try_from(back.as_millis()).ok()?)))
}
