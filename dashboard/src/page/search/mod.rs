//! What staff type into the search field: qualifiers such as `host:imap.example.com state:retrying`. The text is the truth;
//! it is in the URL, and chips mirror it.

mod value;

pub(crate) use value::{ENDED_BY_FAULT, GROUPS, needs_a_person};

use std::fmt::{self, Write as _};

use domain::{SessionId, State, Timestamp};
use store::{Sort, StateReason};

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
    Changed,
}

impl Key {
    pub(crate) const ALL: [Self; 11] = [
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
        Self::Changed,
    ];

    /// Whether it may have several values, with commas between them.
    const fn takes_several(self) -> bool {
        matches!(self, Self::Host | Self::State | Self::Reason)
    }

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
            Self::Changed => "changed",
        }
    }
}

/// One qualifier with its values: those that are wanted or, with a minus before it, those that are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) key: Key,
    /// At least one.
    pub(crate) values: Vec<String>,
    pub(crate) not: bool,
}

impl Term {
    /// Its values, as they are typed.
    pub(crate) fn value(&self) -> String {
        self.values.join(",")
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}", if self.not { "-" } else { "" }, self.key.as_str(), self.value())
    }
}

/// A search, as it was typed and as it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// Its terms, one for a key at most, in the order of the text.
    pub(crate) terms: Vec<Term>,
    /// What could not be understood, as sentences.
    pub(crate) problems: Vec<String>,
    /// The order that was asked for; none for the usual one.
    pub(crate) sort: Option<Sort>,
}

/// The longest search that is read, in bytes.
const LONGEST: usize = 400;

/// The most values of one qualifier.
const SEVERAL: usize = 8;

impl Search {
    /// Reads what was typed. A later term wins over an earlier one of the same key.
    pub(crate) fn parse(text: &str) -> Self {
        let mut search = Self::default();
        let mut left = LONGEST;
        for word in text.split_whitespace() {
            let read = Self::term(word);
            // What links say may be longer than what was typed, and is to be read as this was.
            let long = read.as_ref().map_or(0, |term| term.to_string().len()).max(word.len());
            // Half a qualifier would be another one.
            if long > left {
                search
                    .problems
                    .push(format!("A search has at most {LONGEST} characters; what is behind that was left out."));
                break;
            }
            left -= long;
            match read {
                Ok(term) => {
                    search.terms.retain(|other| other.key != term.key);
                    search.terms.push(term);
                }
                Err(problem) => search.problems.push(problem),
            }
        }
        search
    }

    /// The same, in the order that a URL asks for.
    pub(crate) fn sorted(mut self, sort: &str) -> Self {
        self.sort = Sort::parse(sort);
        if self.sort.is_none() && !sort.is_empty() {
            self.problems.push(format!("No order is called “{sort}”; try sort=registered, since, next or host."));
        }
        self
    }

    fn term(word: &str) -> Result<Term, String> {
        let key_of = |name: &str| Key::ALL.into_iter().find(|key| key.as_str() == name.to_lowercase());
        let named = word.split_once(':').and_then(|(name, value)| {
            let (name, not) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
            Some((key_of(name)?, not, value))
        });
        let (key, not, value) = match named {
            Some(named) => named,
            // Without a qualifier, the shape tells.
            None if word.contains('@') => (Key::Address, false, word),
            None if SessionId::parse(word).is_ok() => (Key::Session, false, word),
            None if word.contains(':') => {
                let name = word.split(':').next().unwrap_or_default();
                let all = Key::ALL.map(Key::as_str).join(", ");
                return Err(format!("“{word}”: nothing is called “{name}:”; there are {all}."));
            }
            None if word.contains('.') => (Key::Host, false, word),
            None => (Key::User, false, word),
        };
        if not && key != Key::State {
            return Err(format!(
                "“{word}”: only state: can be turned round, as in -state:ended. Leave the minus away."
            ));
        }
        let mut values = Vec::new();
        let parts: Vec<&str> = if key.takes_several() { value.split(',').collect() } else { vec![value] };
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let value = value::read(key, part)?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        match values.len() {
            0 => Err(format!("{}: needs a value.", key.as_str())),
            1..=SEVERAL => Ok(Term { key, values, not }),
            _ => Err(format!("{}: takes at most {SEVERAL} values at once.", key.as_str())),
        }
    }

    fn term_of(&self, key: Key) -> Option<&Term> {
        self.terms.iter().find(|term| term.key == key)
    }

    /// The value of a key, the first of several.
    pub(crate) fn get(&self, key: Key) -> Option<&str> {
        self.term_of(key).filter(|term| !term.not).and_then(|term| term.values.first()).map(String::as_str)
    }

    /// All values of a key.
    pub(crate) fn values(&self, key: Key) -> &[String] {
        self.term_of(key).map_or(&[], |term| &term.values)
    }

    /// The states that are searched for; none if any will do.
    pub(crate) fn states(&self) -> Option<Vec<State>> {
        let term = self.term_of(Key::State)?;
        let named: Vec<State> = term.values.iter().flat_map(|value| value::states(value)).collect();
        Some(State::ALL.iter().copied().filter(|state| named.contains(state) != term.not).collect())
    }

    /// The one state that is searched for, if it is one.
    pub(crate) fn state(&self) -> Option<State> {
        self.states().filter(|states| states.len() == 1).and_then(|states| states.first().copied())
    }

    /// The reasons that are searched for; none if any will do.
    pub(crate) fn reasons(&self) -> Option<Vec<StateReason>> {
        let term = self.term_of(Key::Reason)?;
        let mut reasons = Vec::new();
        for reason in term.values.iter().flat_map(|value| value::reasons(value)) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        Some(reasons)
    }

    /// Since when registered.
    pub(crate) fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.get(Key::Since).and_then(|value| value::since(value, now))
    }

    /// Since when in its state.
    pub(crate) fn changed(&self, now: Timestamp) -> Option<Timestamp> {
        self.get(Key::Changed).and_then(|value| value::since(value, now))
    }

    /// Whether it is nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.problems.is_empty()
    }

    /// The search without a key.
    pub(crate) fn without(&self, key: Key) -> Self {
        let terms = self.terms.iter().filter(|term| term.key != key).cloned().collect();
        Self { terms, problems: Vec::new(), sort: self.sort }
    }

    /// The search with a value for a key.
    pub(crate) fn with(&self, key: Key, value: &str) -> Self {
        let mut search = self.without(key);
        search.terms.push(Term { key, values: vec![value.to_owned()], not: false });
        search
    }

    /// The search in another order; none for the usual one.
    pub(crate) fn in_order(&self, sort: Option<Sort>) -> Self {
        Self { terms: self.terms.clone(), problems: Vec::new(), sort }
    }

    /// A link to the list of what it finds.
    pub(crate) fn href(&self) -> String {
        format!("/sessions{}", self.query())
    }

    /// The query of such a link, with its question mark; may be empty.
    pub(crate) fn query(&self) -> String {
        let text = self.to_string();
        let search = (!text.is_empty()).then(|| format!("q={}", encode(&text)));
        let sort = self.sort.map(|sort| format!("sort={sort}"));
        let parts: Vec<String> = search.into_iter().chain(sort).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
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

/// Percent-encodes a value for a query (RFC 3986 §2.3: what is unreserved stays; colon, comma and slash are allowed there).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b',' => {
                out.push(char::from(byte))
            }
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
        check("reason:refused", "reason:refused");
        check("reason:password", "reason:refused");
        check("reason:Password-Refused", "reason:LOGIN_REFUSED");
        check("reason:ended-app-gone-from-the-device", "reason:push_target_gone");
        check("reason:login_refused", "reason:LOGIN_REFUSED");
        check("reason:push_target_gone since:2h", "reason:push_target_gone since:2h");
        check("reason:Person changed:24h", "reason:person changed:24h");
        check("state:retrying,Holding,retrying,", "state:retrying,holding");
        check("-state:ended", "-state:ended");
        check("host:A.example,b.example node:019aa3c1", "host:a.example,b.example node:019aa3c1");
        check("user:a,b", "user:a,b");
        check("user:a:b", "user:a:b");
    }

    #[test]
    fn problems_say_what_would_do() {
        check_problem(
            "state:asleep",
            "No state is called “asleep”; there are waiting, watching, holding, retrying, ended, and live.",
        );
        check_problem("since:yesterdayish", "“yesterdayish” is no time; try since:today, since:2h or since:3d.");
        check_problem(
            "since:9999999999999999999d",
            "“9999999999999999999d” is no time; try since:today, since:2h or since:3d.",
        );
        check_problem(
            "colour:red",
            "“colour:red”: nothing is called “colour:”; there are address, session, device, user, context, host, state, \
             reason, node, since, changed.",
        );
        check_problem(
            "-host:a.example",
            "“-host:a.example”: only state: can be turned round, as in -state:ended. Leave the minus away.",
        );
        check_problem("state:,", "state: needs a value.");
        check_problem("host:1,2,3,4,5,6,7,8,9", "host: takes at most 8 values at once.");
        check_problem("changed:soon", "“soon” is no time; try changed:today, changed:2h or changed:3d.");
        let long = format!("state:retrying user:{}", "x".repeat(400));
        check_problem(&long, "A search has at most 400 characters; what is behind that was left out.");
        check_problem("user:", "user: needs a value.");
    }

    #[test]
    fn several_values_and_groups() {
        use domain::FailureCode;
        assert_eq!(Search::parse("state:holding,waiting").states(), Some(vec![State::Waiting, State::Holding]));
        assert_eq!(Search::parse("-state:live").states(), Some(vec![State::Ended]));
        assert_eq!(Search::parse("state:live").states().map(|states| states.len()), Some(4));
        assert_eq!(Search::parse("").states(), None);
        let person = Search::parse("reason:person,refused").reasons().unwrap_or_default();
        assert!(person.contains(&StateReason::Ended(domain::EndReason::CredentialRefused)));
        assert!(!person.contains(&StateReason::Ended(domain::EndReason::Stopped)));
        assert!(!person.contains(&StateReason::Failed(FailureCode::Throttled)));
        assert!(person.contains(&StateReason::Failed(FailureCode::LoginRefused)));
    }

    #[test]
    fn orders_stay_in_links() {
        let search = Search::parse("state:retrying").sorted("-next");
        assert_eq!(search.href(), "/sessions?q=state:retrying&sort=-next");
        assert_eq!(search.without(Key::State).href(), "/sessions?sort=-next");
        assert_eq!(search.in_order(None).href(), "/sessions?q=state:retrying");
        assert_eq!(Search::default().sorted("colour").problems.len(), 1);
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
