//! What staff type into the search field: qualifiers such as `host:imap.example.com state:retrying`. The text is the truth;
//! it is in the URL, and chips mirror it.

use std::fmt::{self, Write as _};
use std::time::Duration;

use domain::{EndReason, FailureCode, SessionId, State, Timestamp};

/// What can be searched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Address,
    Session,
    Device,
    User,
    Context,
    Host,
    State,
    Reason,
    Node,
    Since,
}

impl Key {
    const ALL: [Self; 10] = [
        Self::Address,
        Self::Session,
        Self::Device,
        Self::User,
        Self::Context,
        Self::Host,
        Self::State,
        Self::Reason,
        Self::Node,
        Self::Since,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Session => "session",
            Self::Device => "device",
            Self::User => "user",
            Self::Context => "context",
            Self::Host => "host",
            Self::State => "state",
            Self::Reason => "reason",
            Self::Node => "node",
            Self::Since => "since",
        }
    }
}

/// One qualifier with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) key: Key,
    pub(crate) value: String,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key.as_str(), self.value)
    }
}

/// A search, as it was typed and as it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// Its terms, one for a key at most, in the order of the text.
    pub(crate) terms: Vec<Term>,
    /// What could not be understood, as sentences.
    pub(crate) problems: Vec<String>,
}

/// The longest search that is read.
const LONGEST: usize = 400;

impl Search {
    /// Reads what was typed. A later term wins over an earlier one of the same key.
    pub(crate) fn parse(text: &str) -> Self {
        let mut search = Self::default();
        let text = text.get(..LONGEST).unwrap_or(text);
        for word in text.split_whitespace() {
            match Self::term(word) {
                Ok(term) => {
                    search.terms.retain(|other| other.key != term.key);
                    search.terms.push(term);
                }
                Err(problem) => search.problems.push(problem),
            }
        }
        search
    }

    fn term(word: &str) -> Result<Term, String> {
        let named = word.split_once(':').and_then(|(name, value)| {
            Some((Key::ALL.into_iter().find(|key| key.as_str() == name.to_lowercase())?, value))
        });
        let (key, value) = match named {
            Some(named) => named,
            // Without a qualifier, the shape tells.
            None if word.contains('@') => (Key::Address, word),
            None if SessionId::parse(word).is_ok() => (Key::Session, word),
            None if word.contains(':') => {
                return Err(format!("“{word}” begins with none of the qualifiers below."));
            }
            None if word.contains('.') => (Key::Host, word),
            None => (Key::User, word),
        };
        let value = match key {
            _ if value.is_empty() => return Err(format!("{}: needs a value.", key.as_str())),
            Key::State => state(value).map(|state| state.as_str().to_owned()).ok_or_else(|| {
                format!("No state is called “{value}”; there are waiting, watching, holding, retrying, ended.")
            })?,
            Key::Reason => reason(value).ok_or_else(|| {
                format!(
                    "No reason is called “{value}”; try refused, throttled, certificate, timeout, revoked, stopped."
                )
            })?,
            Key::Since if since(value, Timestamp::from_millis(0)).is_none() => {
                return Err(format!("“{value}” is no time; try since:today, since:2h or since:3d."));
            }
            Key::Session if SessionId::parse(value).is_err() => {
                return Err(format!("“{value}” is no session id; it has 36 characters."));
            }
            Key::Host => value.to_lowercase(),
            Key::Address | Key::Session | Key::Device | Key::User | Key::Context | Key::Node | Key::Since => {
                value.to_owned()
            }
        };
        Ok(Term { key, value })
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: Key) -> Option<&str> {
        self.terms.iter().find(|term| term.key == key).map(|term| term.value.as_str())
    }

    /// The state that is searched for.
    pub(crate) fn state(&self) -> Option<State> {
        self.get(Key::State).and_then(state)
    }

    /// Since when.
    pub(crate) fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.get(Key::Since).and_then(|value| since(value, now))
    }

    /// Whether it is nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.problems.is_empty()
    }

    /// The search without a key.
    pub(crate) fn without(&self, key: Key) -> Self {
        let terms = self.terms.iter().filter(|term| term.key != key).cloned().collect();
        Self { terms, problems: Vec::new() }
    }

    /// The search with a value for a key.
    pub(crate) fn with(&self, key: Key, value: &str) -> Self {
        let mut search = self.without(key);
        search.terms.push(Term { key, value: value.to_owned() });
        search
    }

    /// A link to the list of what it finds.
    pub(crate) fn href(&self) -> String {
        let text = self.to_string();
        if text.is_empty() { "/sessions".to_owned() } else { format!("/sessions?q={}", encode(&text)) }
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

fn state(text: &str) -> Option<State> {
    [State::Waiting, State::Watching, State::Holding, State::Retrying, State::Ended]
        .into_iter()
        .find(|state| state.as_str() == text.to_lowercase())
}

/// A reason's stable name, from itself or from the word that people use for it.
fn reason(text: &str) -> Option<String> {
    let code = match text.to_lowercase().as_str() {
        "refused" | "password" => FailureCode::LoginRefused,
        "certificate" => FailureCode::CertificateInvalid,
        "timeout" => FailureCode::ConnectTimeout,
        "dns" => FailureCode::HostNotFound,
        lower => {
            let ended = || EndReason::parse(lower).map(|reason| reason.as_str().to_owned());
            return FailureCode::parse(&lower.to_uppercase()).map(|code| code.as_str().to_owned()).or_else(ended);
        }
    };
    Some(code.as_str().to_owned())
}

/// `today`, `30m`, `2h`, `3d`
fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
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

/// Percent-encodes a value for a query (RFC 3986 §2.3: what is unreserved stays; colon and slash are allowed there).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // Writing to a String can't fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let search = Search::parse(text);
        assert_eq!(search.to_string(), expect);
        assert_eq!(search.problems, Vec::<String>::new());
        assert_eq!(Search::parse(&search.to_string()), search, "it reads what it writes");
    }

    #[track_caller]
    fn check_problem(text: &str, expect: &str) {
        assert_eq!(Search::parse(text).problems, [expect]);
    }

    #[test]
    fn searches() {
        check("", "");
        check("state:retrying  host:IMAP.example.com", "state:retrying host:imap.example.com");
        check("Host:a.example host:b.example", "host:b.example");
        check("anna@example.org", "address:anna@example.org");
        check("imap.example.com", "host:imap.example.com");
        check("u-48213", "user:u-48213");
        check("019aa3c1-8f2c-7d41-b5c0-77f3c90a71c4", "session:019aa3c1-8f2c-7d41-b5c0-77f3c90a71c4");
        check("reason:refused", "reason:LOGIN_REFUSED");
        check("reason:login_refused", "reason:LOGIN_REFUSED");
        check("reason:push_target_gone since:2h", "reason:push_target_gone since:2h");
        check("user:a:b", "user:a:b");
    }

    #[test]
    fn problems_say_what_would_do() {
        check_problem(
            "state:asleep",
            "No state is called “asleep”; there are waiting, watching, holding, retrying, ended.",
        );
        check_problem("since:yesterdayish", "“yesterdayish” is no time; try since:today, since:2h or since:3d.");
        check_problem(
            "since:9999999999999999999d",
            "“9999999999999999999d” is no time; try since:today, since:2h or since:3d.",
        );
        check_problem("colour:red", "“colour:red” begins with none of the qualifiers below.");
        check_problem("user:", "user: needs a value.");
    }

    #[test]
    fn links() {
        let search = Search::parse("state:retrying host:imap.example.com");
        assert_eq!(search.without(Key::State).href(), "/sessions?q=host:imap.example.com");
        assert_eq!(
            search.with(Key::User, "a&b=ü").href(),
            "/sessions?q=state:retrying+host:imap.example.com+user:a%26b%3D%C3%BC"
        );
        assert_eq!(Search::default().href(), "/sessions");
        let now = Timestamp::from_millis(1_795_168_694_000);
        assert_eq!(Search::parse("since:today").since(now), Some(Timestamp::from_millis(1_795_132_800_000)));
        assert_eq!(Search::parse("since:2h").since(now), Some(Timestamp::from_millis(1_795_161_494_000)));
    }
}
