//! What is known of the mail servers of large providers, and what an operator adds to that.

use std::time::Duration;

use domain::{HostName, PollBounds};
use serde::Deserialize;

/// IDLE is renewed after this at the latest, in minutes: servers may log out whoever idles for 30 (RFC 2177 §3).
pub const MOST_RENEW_MINUTES: u32 = 28;

/// What is known of one provider's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirk {
    /// Its hosts end like this: `example.org` is also `imap.example.org`.
    pub hosts: &'static [&'static str],
    /// IDLE is renewed after so many minutes.
    pub renew_minutes: u32,
    /// What its IDLE is worth.
    pub idle: IdleTrust,
    /// The shortest and the longest pause between polls, in seconds, where it wants to be left alone for longer than we
    /// would.
    pub poll_seconds: Option<(u32, u32)>,
    /// Connections that it takes at once for one account, where it says so.
    pub max_connections: Option<u16>,
    /// It opens no mailbox to whoever has not said who it is.
    pub needs_id: bool,
    /// Where this is from.
    pub source: &'static str,
}

/// What a server's IDLE is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleTrust {
    /// It tells of new mail.
    Trusted,
    /// It is offered, and not worth trying: the mailbox is polled.
    Never,
}

const ORDINARY: Quirk = Quirk {
    hosts: &[],
    renew_minutes: MOST_RENEW_MINUTES,
    idle: IdleTrust::Trusted,
    poll_seconds: None,
    max_connections: None,
    needs_id: false,
    source: "RFC 2177: renewed at least every 29 minutes",
};

/// Of providers that have published nothing.
const GUESS: &str = "not published: a careful guess, which costs a few more commands where it is wrong";

/// The providers, by the ends of their hosts' names. Where a figure is too high, it is learnt while a node runs: see `host`.
pub const TABLE: &[Quirk] = &[
    Quirk {
        hosts: &["gmail.com", "googlemail.com"],
        renew_minutes: 9,
        max_connections: Some(15),
        source: "Gmail's help: 15 connections an account; jstedfast/MailKit issue 707: idle for more than some 9 minutes is \
                 cut",
        ..ORDINARY
    },
    Quirk {
        hosts: &["outlook.com", "office365.com", "hotmail.com", "live.com"],
        renew_minutes: 24,
        max_connections: Some(16),
        source: "Exchange's documentation of IMAP4: authenticated time-out 1,800 s, 16 connections a user, by default",
        ..ORDINARY
    },
    Quirk { hosts: &["yahoo.com", "yahoo.co.jp", "ymail.com", "aol.com"], renew_minutes: 5, source: GUESS, ..ORDINARY },
    Quirk { hosts: &["mail.me.com", "icloud.com"], renew_minutes: 20, source: GUESS, ..ORDINARY },
    Quirk {
        hosts: &["fastmail.com", "messagingengine.com"],
        source: "Cyrus, whose time-out is no less than 30 minutes (RFC 3501 §5.4)",
        ..ORDINARY
    },
    Quirk {
        hosts: &["yandex.ru", "yandex.com"],
        renew_minutes: 9,
        source: "mjs/imapclient issue 234: idle connections end without a word after 6 to 45 minutes",
        ..ORDINARY
    },
    Quirk {
        hosts: &["163.com", "126.com", "yeah.net", "188.com"],
        renew_minutes: 9,
        needs_id: true,
        source: "the server's own words without ID: “SELECT Unsafe Login. Please contact kefu@188.com for help”, as in \
                 mjs/imapclient issue 544",
        ..ORDINARY
    },
    Quirk { hosts: &["qq.com", "foxmail.com"], renew_minutes: 9, needs_id: true, source: GUESS, ..ORDINARY },
    Quirk { hosts: &["rambler.ru"], renew_minutes: 5, source: GUESS, ..ORDINARY },
    Quirk { hosts: &["gmx.net", "gmx.com", "gmx.de", "web.de"], renew_minutes: 9, source: GUESS, ..ORDINARY },
    Quirk { hosts: &["mail.ru", "bk.ru", "inbox.ru", "list.ru"], renew_minutes: 9, source: GUESS, ..ORDINARY },
];

/// What an operator knows of a provider: `[[backend.quirk]]`. It wins over the table, key by key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuirkRule {
    /// The host, or the end of its name.
    pub host: String,
    /// IDLE is renewed after so many seconds: at most 1,680, which is 28 minutes.
    #[serde(default)]
    pub renew_seconds: Option<u32>,
    /// What its IDLE is worth.
    #[serde(default)]
    pub idle: Option<IdleTrust>,
    /// The shortest and the longest pause between polls, in seconds.
    #[serde(default)]
    pub poll_seconds: Option<(u32, u32)>,
    /// Whether it wants to know who we are before it opens a mailbox, although it doesn't offer ID.
    #[serde(default)]
    pub needs_id: Option<bool>,
}

/// What is done otherwise at some hosts, for staff to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownQuirk {
    /// The ends of the hosts' names.
    pub hosts: Vec<String>,
    /// After how long IDLE is renewed, if that is said.
    pub renew: Option<Duration>,
    /// What its IDLE is worth, if that is said.
    pub idle: Option<IdleTrust>,
    /// The shortest and the longest pause between polls, in seconds, if that is said.
    pub poll_seconds: Option<(u32, u32)>,
    /// Whether it wants to know who we are first, if that is said.
    pub needs_id: Option<bool>,
    /// Where this is from; none if it is the operator's.
    pub source: Option<&'static str>,
}

/// All that is known: the operator's rules, which win, then the table.
pub fn known(rules: &[QuirkRule]) -> Vec<KnownQuirk> {
    let rules = rules.iter().map(|rule| KnownQuirk {
        hosts: vec![rule.host.clone()],
        renew: rule.renew_seconds.map(renewed_after),
        idle: rule.idle,
        poll_seconds: rule.poll_seconds,
        needs_id: rule.needs_id,
        source: None,
    });
    let table = TABLE.iter().map(|quirk| KnownQuirk {
        hosts: quirk.hosts.iter().map(ToString::to_string).collect(),
        renew: Some(renewed_after(60 * quirk.renew_minutes)),
        idle: Some(quirk.idle),
        poll_seconds: quirk.poll_seconds,
        needs_id: Some(quirk.needs_id),
        source: Some(quirk.source),
    });
    rules.chain(table).collect()
}

/// As soon as somebody wants it, and no later than servers log out whoever idles.
fn renewed_after(seconds: u32) -> Duration {
    Duration::from_secs(seconds.clamp(1, 60 * MOST_RENEW_MINUTES).into())
}

/// How a host is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) renew: Duration,
    pub(super) idle: IdleTrust,
    pub(super) polls: Option<PollBounds>,
    pub(super) needs_id: bool,
}

impl Manner {
    /// By the operator's rules, then by the table, then by the book. Of several that fit, the longest end counts.
    pub(super) fn of(host: &HostName, rules: &[QuirkRule]) -> Self {
        let known = TABLE
            .iter()
            .flat_map(|quirk| quirk.hosts.iter().map(move |end| (*end, quirk)))
            .filter(|(end, _)| ends(host, end))
            .max_by_key(|(end, _)| end.len());
        let known = known.map_or(&ORDINARY, |(_, quirk)| quirk);
        let rule = rules.iter().filter(|rule| ends(host, &rule.host)).max_by_key(|rule| rule.host.len());
        let renew_seconds = rule.and_then(|rule| rule.renew_seconds).unwrap_or(60 * known.renew_minutes);
        let polls = rule.and_then(|rule| rule.poll_seconds).or(known.poll_seconds);
        Self {
            renew: renewed_after(renew_seconds),
            idle: rule.and_then(|rule| rule.idle).unwrap_or(known.idle),
            polls: polls
                .map(|(min, max)| PollBounds::new(Duration::from_secs(min.into()), Duration::from_secs(max.into()))),
            needs_id: rule.and_then(|rule| rule.needs_id).unwrap_or(known.needs_id),
        }
    }
}

/// Whether a host is this one, or below it.
fn ends(host: &HostName, end: &str) -> bool {
    let end = end.trim_start_matches('.');
    let Some(before) = host.as_str().len().checked_sub(end.len()) else { return false };
    host.as_str().is_char_boundary(before)
        && host.as_str()[before..].eq_ignore_ascii_case(end)
        && (before == 0 || host.as_str()[..before].ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner(host: &str, rules: &[QuirkRule]) -> Manner {
        Manner::of(&HostName::parse(host).unwrap(), rules)
    }

    fn rule(host: &str) -> QuirkRule {
        QuirkRule { host: host.to_owned(), renew_seconds: None, idle: None, poll_seconds: None, needs_id: None }
    }

    #[test]
    fn hosts_are_known_by_their_ends() {
        let minutes = |host| manner(host, &[]).renew.as_secs() / 60;
        assert_eq!(minutes("imap.gmail.com"), 9);
        assert_eq!(minutes("IMAP.GMAIL.COM"), 9);
        assert_eq!(minutes("gmail.com"), 9);
        assert_eq!(minutes("notgmail.com"), 28);
        assert_eq!(minutes("imap.gmail.com.example.org"), 28);
        assert_eq!(minutes("192.0.2.1"), 28);
        assert!(manner("imap.163.com", &[]).needs_id && !manner("imap.gmail.com", &[]).needs_id);
        assert_eq!(minutes("imap-mail.outlook.com"), 24);
    }

    #[test]
    fn the_operator_knows_better() {
        let wide = QuirkRule { idle: Some(IdleTrust::Never), poll_seconds: Some((30, 90)), ..rule("gmail.com") };
        let narrow = QuirkRule { renew_seconds: Some(90 * 60), ..rule("imap.gmail.com") };
        let (imap, other) = (manner("imap.gmail.com", &[wide.clone(), narrow]), manner("x.gmail.com", &[wide]));
        assert_eq!((imap.renew.as_secs(), imap.idle), (28 * 60, IdleTrust::Trusted));
        assert_eq!((other.renew.as_secs(), other.idle), (9 * 60, IdleTrust::Never));
        assert_eq!(other.polls.unwrap().max(), Duration::from_secs(90));
    }

    #[test]
    fn staff_are_shown_the_operators_rules_first_as_they_are_kept() {
        let wide = QuirkRule { renew_seconds: Some(90 * 60), ..rule("example.org") };
        let known = known(&[wide]);
        assert_eq!(known.len(), 1 + TABLE.len());
        assert_eq!((known[0].hosts[0].as_str(), known[0].source), ("example.org", None));
        assert_eq!(
            known[0].renew,
            Some(manner("example.org", &[rule("example.org")]).renew),
            "no later than 28 minutes"
        );
        assert_eq!(known[1].renew, Some(manner(&known[1].hosts[0], &[]).renew));
    }

    #[test]
    fn the_table_is_sound() {
        for quirk in TABLE {
            assert!((1..=MOST_RENEW_MINUTES).contains(&quirk.renew_minutes), "{quirk:?}");
            assert!(!quirk.source.is_empty() && quirk.hosts.iter().all(|host| HostName::parse(host).is_ok()));
        }
    }
}
