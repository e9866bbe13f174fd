//! What the gallery shows. Names, hosts and numbers are made up.

use domain::{FailureCode, State};

use store::{Sort, SortBy};

use crate::bulk::Act;
use crate::page::audit::{Audit, Check, Entry as AuditEntry};
use crate::page::devices::{Device, DeviceRow, DeviceSession, Devices};
use crate::page::node::Node;
use crate::page::overview::{Attention, Host, Overview, StateCount};
use crate::page::pushes::{Channel, Pushes, Show as Pushed};
use crate::page::search::{Key, Search};
use crate::page::sessions::{Found, Offer, Row, Sessions, Tab};
use crate::page::settings::{App, Quirk, SealingKey, Settings};
use crate::page::sign_in::{Code, SignIn, SignUp};
use crate::page::staff::{Invite, Person, SignIn as StaffSignIn, StaffPage};
use crate::page::trouble::Trouble;
use crate::part::breaker::{Breaker, OpenBreaker};
use crate::part::chart::{Latency, PerMinute};
use crate::part::mark::Mark;
use crate::why::Fate;
use crate::why::sample::{NOW, at, before};

mod session;

use session::{deliveries, delivery};
pub(super) use session::{ended, ping, ping_failed, ping_runs, refused, revoke, waiting, watching};

const TRACE: &str = "/trace/4bf92f3577b34da6a3ce929d0e0e4736";

fn uuid(end: &str) -> String {
    format!("019aa3c1-8f2c-7d41-b5c0-77f3c90a{end}")
}

fn wave(from: u64, swing: u64, len: u64) -> Vec<u64> {
    (0..len).map(|index| from + (index * index * 7 + index * 13) % swing.max(1) + index * swing / 90).collect()
}

pub(super) fn per_minute() -> PerMinute {
    let waiting: Vec<u64> = (0..60).map(|minute| if minute < 48 { 0 } else { 84 + minute * 7 % 23 }).collect();
    let accepted = wave(1_120, 90, 60).into_iter().zip(&waiting).map(|(number, waits)| number - waits).collect();
    let times = (0..7).map(|ten| format!("{:02}:{:02}", 9 + ten / 6, ten % 6 * 10)).collect();
    PerMinute { accepted, waiting, times }
}

pub(super) fn latency() -> Latency {
    let shares = [21, 98, 196, 242, 213, 104, 60, 29, 16, 12, 6, 3];
    let bounds = [50, 100, 150, 200, 300, 400, 600, 800, 1_000, 2_000, 5_000];
    let bins = shares.iter().enumerate().map(|(index, share)| (bounds.get(index).copied(), share * 1_410)).collect();
    Latency { bins, p50: Some(188), p95: Some(710), p99: Some(1_900) }
}

fn nodes() -> Vec<Node> {
    let node = |name: &str, remark: &str, version: Option<&str>| Node {
        name: name.into(),
        href: format!("/sessions?q=node:{}", &name[..8]),
        sessions: 49_206,
        version: version.map(Into::into),
        remark: remark.into(),
        mark: Mark::Ok,
        state: "Runs".into(),
        seen: Some(at("09:58:07")),
        started: Some(before(3, "06:12:40")),
        next: None,
    };
    let silent = Node {
        mark: Mark::Fault,
        state: "Silent".into(),
        seen: Some(at("09:41:12")),
        next: Some(
            "019aa3c2…9e17 is silent, and its 49,206 sessions are not watched until it starts again. Then they go on without \
             any help, and mail that came meanwhile is pushed. Start it again; its log says why it ended."
                .into(),
        ),
        ..node("019aa3c2…9e17", "has sessions", Some("0.1.0"))
    };
    vec![node("019aa3c1…41d0", "this one", Some("0.1.0")), silent]
}

pub(super) fn overview() -> Overview {
    let count = |state, sessions, trend, remark: &str| StateCount { state, sessions, trend, remark: remark.into() };
    let host = |name: &str, live, retrying, worst, trend| Host { name: name.into(), live, retrying, worst, trend };
    Overview {
        now: NOW,
        attention: vec![
            Attention {
                mark: Mark::Fault,
                title: "APNs refuses our key".into(),
                text:
                    "1,204 pushes wait since 09:47; the first is given up at 21:47. An admin has to put in a new key."
                        .into(),
                link: ("Open Pushes".into(), "/pushes".into()),
            },
            Attention::of_failure("imap.example.com", FailureCode::LoginRefused, 24, at("09:40:09"), NOW),
            Attention::of_failure("imap.example.com", FailureCode::Throttled, 121, at("09:31:02"), NOW),
            Attention::of_failure("mx.legacy.example.org", FailureCode::CertificateInvalid, 7, at("06:58:00"), NOW),
        ],
        counts: vec![
            count(State::Watching, 91_172, wave(90_000, 900, 12), "+312 in the last hour"),
            count(State::Waiting, 4_871, wave(4_000, 900, 12), "devices awake"),
            count(State::Holding, 2_124, wave(1_900, 300, 12), "push sent, no answer yet"),
            count(State::Retrying, 245, vec![20, 22, 25, 21, 24, 23, 23, 26, 60, 140, 230, 245], "28 an hour ago"),
            count(State::Ended, 1_032, wave(400, 500, 12), "998 by their devices, 34 by fault"),
        ],
        fine: 98_167,
        queued: 1_204,
        per_minute: per_minute(),
        latency: latency(),
        hosts: vec![
            host(
                "imap.example.com",
                31_904,
                214,
                Some((FailureCode::Throttled, 121)),
                vec![3, 3, 4, 3, 5, 4, 33, 98, 150, 214],
            ),
            host(
                "mx.legacy.example.org",
                7,
                7,
                Some((FailureCode::CertificateInvalid, 7)),
                vec![0, 0, 0, 0, 0, 0, 7, 7, 7, 7],
            ),
            host(
                "imap.example.net",
                5_077,
                6,
                Some((FailureCode::ConnectionLost, 6)),
                vec![0, 0, 0, 1, 1, 2, 3, 4, 5, 6],
            ),
            host("mail.example.net", 18_220, 3, None, vec![1, 2, 1, 1, 2, 1, 2, 1, 2, 3]),
            host("outlook.example.com", 17_486, 11, None, wave(8, 5, 10)),
        ],
        host_count: 412,
        nodes: nodes(),
    }
}

pub(super) fn first_start() -> Overview {
    let counts = [State::Watching, State::Waiting, State::Holding, State::Retrying, State::Ended]
        .map(|state| StateCount { state, sessions: 0, trend: Vec::new(), remark: String::new() })
        .to_vec();
    Overview {
        now: NOW,
        attention: Vec::new(),
        counts,
        fine: 0,
        queued: 0,
        per_minute: PerMinute::default(),
        latency: Latency::default(),
        hosts: Vec::new(),
        host_count: 0,
        nodes: Vec::new(),
    }
}

pub(super) fn sessions() -> Sessions {
    let row = |end: &str, mark, state: &str, since: &str, user: &str, device: &str, mailbox: &str, next: &str| Row {
        id: uuid(end),
        mark,
        state: state.into(),
        since: at(since),
        user: user.into(),
        device: device.into(),
        device_id: format!("dev_9KQ2XW{user}M07T"),
        mailbox: mailbox.into(),
        host: "imap.example.com".into(),
        last_push: Some(at("09:17:41")),
        next: Some(at(next)),
        node: None,
    };
    let mut rows = vec![
        row("x0qa", Mark::Retrying, "Throttled", "09:57:50", "u-11802", "Android 15, app 8.4.0", "INBOX", "09:58:45"),
        row("m5zd", Mark::Retrying, "Throttled", "09:57:49", "u-30551", "iOS 18.7, app 8.3.2", "INBOX", "09:58:47"),
        row("2vhn", Mark::Retrying, "No answer", "09:57:31", "u-90417", "Android 16, app 8.4.1", "INBOX", "09:59:02"),
        row(
            "q9tb",
            Mark::Retrying,
            "Connection lost",
            "09:57:12",
            "u-07734",
            "iOS 19.1, app 8.4.1",
            "Archive",
            "09:59:40",
        ),
        row("e1gk", Mark::Retrying, "Throttled", "09:56:58", "u-61209", "Web 145, app 8.4.1", "INBOX", "09:59:44"),
        row("4nys", Mark::Retrying, "TLS failed", "09:56:20", "u-48990", "Android 13, app 7.9.6", "INBOX", "10:00:11"),
        row("t7pj", Mark::Retrying, "Throttled", "09:56:02", "u-15077", "iOS 19.1, app 8.4.1", "Support", "10:00:31"),
        row("7kf3", Mark::Fault, "Password refused", "09:42:14", "u-48213", "iOS 19.1, app 8.4.1", "INBOX", "10:12:14"),
        row(
            "8rwc",
            Mark::Fault,
            "Password refused",
            "09:41:40",
            "u-25580",
            "Android 16, app 8.4.0",
            "INBOX",
            "10:12:14",
        ),
        row(
            "b3mx",
            Mark::Fault,
            "Certificate not valid",
            "09:40:09",
            "u-72315",
            "Android 15, app 8.2.0",
            "INBOX",
            "10:44:01",
        ),
    ];
    rows[9].last_push = None;
    Sessions {
        now: NOW,
        search: Search::parse("state:retrying host:imap.example.com"),
        found: Found::Exactly(214),
        of: Some(98_412),
        rows,
        newer: None,
        older: Some("/sessions?q=state:retrying&older=019aa3c1".into()),
        offers: vec![
            Offer { key: Key::Reason, value: "THROTTLED".into(), word: "Throttled".into(), count: Some(121) },
            Offer { key: Key::Reason, value: "CONNECT_TIMEOUT".into(), word: "No answer".into(), count: Some(69) },
            Offer { key: Key::Reason, value: "LOGIN_REFUSED".into(), word: "Password refused".into(), count: Some(24) },
        ],
        may_export: true,
        tabs: vec![Tab {
            name: "Retrying".into(),
            href: "/sessions?q=state:retrying".into(),
            count: Some(214),
            mark: Some(Mark::Retrying),
            chosen: false,
        }],
        orders: SortBy::ALL.to_vec(),
        sort: Sort::usual(SortBy::Next),
        acts: vec![Act::Ping, Act::TestPush, Act::Trace, Act::Revoke],
        nodes: 1,
    }
}

pub(super) fn no_sessions() -> Sessions {
    Sessions {
        search: Search::parse("state:retrying host:imap.exmaple.com colour:red"),
        found: Found::Exactly(0),
        rows: Vec::new(),
        older: None,
        offers: Vec::new(),
        ..sessions()
    }
}

pub(super) fn devices() -> Devices {
    let row = |end: &str, user: &str, is: &str, live, sessions, mark, state: &str| DeviceRow {
        device: format!("dev_9KQ2XW41{end}"),
        user: user.into(),
        is: is.into(),
        sessions,
        live,
        mark,
        state: state.into(),
        last_push: Some(at("09:17:41")),
    };
    Devices {
        now: NOW,
        prefix: String::new(),
        rows: vec![
            row("M07T", "u-48213", "iOS 19.1, app 8.4.1", 3, 5, Mark::Fault, "Password refused"),
            row("W88C", "u-20977", "Android 16, app 8.4.0", 1, 1, Mark::Watching, "Watching"),
            row("X0QA", "u-11802", "Android 15, app 8.4.0", 1, 2, Mark::Holding, "Holding"),
            row("Z1PP", "u-72315", "Android 15, app 8.2.0", 0, 1, Mark::Ended, "Ended, stopped by the device"),
        ],
        first: None,
        next: Some("/devices?after=x".into()),
    }
}

pub(super) fn device() -> Device {
    let session = |end: &str, mark, state: &str, context: &str, live: bool| DeviceSession {
        id: uuid(end),
        mark,
        state: state.into(),
        since: at("09:42:14"),
        context: context.into(),
        mailbox: "INBOX".into(),
        host: "imap.example.com".into(),
        last_push: Some(at("09:17:41")),
        next: live.then(|| at("10:12:14")),
        live,
    };
    Device {
        now: NOW,
        device: "dev_9KQ2XW41M07T".into(),
        user: "u-48213".into(),
        is: "iOS 19.1, app 8.4.1".into(),
        sessions: vec![
            session("7kf3", Mark::Fault, "Password refused", "ctx_personal_2f81", true),
            session("6aa1", Mark::Watching, "Watching", "ctx_work_a77e", true),
            session("51c9", Mark::Ended, "Ended, replaced by a newer one", "ctx_work_a77e", false),
        ],
        deliveries: deliveries(),
    }
}

pub(super) fn pushes() -> Pushes {
    let waits = || Fate::Waits { reason: "ExpiredProviderToken".into() };
    Pushes {
        now: NOW,
        breaker: Breaker {
            open: Some(OpenBreaker {
                reason: "403 ExpiredProviderToken".into(),
                cause: "The push service finds fault with us".into(),
                since: Some(at("09:47:12")),
                probe_at: Some(at("10:02:12")),
                waiting: 1_204,
                first_lost_at: Some(at("21:47:12")),
            }),
        },
        channel: Channel {
            accepted: 67_002,
            refused: 12,
            gone: 41,
            waiting: 1_204,
            p95: Some(710),
            trend: wave(1_120, 90, 60),
            last_refusal: Some("403 ExpiredProviderToken".into()),
        },
        per_minute: per_minute(),
        latency: latency(),
        show: Pushed::All,
        deliveries: vec![
            delivery(at("09:58:41"), waits(), 1, "c0mw"),
            delivery(at("09:58:40"), Fate::Accepted { millis: Some(104) }, 1, "r2pd"),
            delivery(at("09:58:38"), Fate::Gone { reason: "Unregistered".into() }, 1, "5wqe"),
            delivery(at("09:58:36"), waits(), 2, "m5zd"),
            delivery(
                at("09:58:35"),
                Fate::Retrying { next: Some(at("09:59:05")), reason: "ServiceUnavailable".into() },
                2,
                "hh7a",
            ),
            delivery(at("09:58:33"), Fate::Refused { reason: "BadDeviceToken".into() }, 1, "x0qa"),
            delivery(at("09:58:30"), Fate::Expired, 9, "x0qb"),
            delivery(at("09:58:29"), Fate::Queued, 0, "x0qc"),
        ],
        newer: None,
        older: Some("/pushes?older=x".into()),
    }
}

pub(super) fn pushes_well() -> Pushes {
    let mut pushes = pushes();
    pushes.breaker = Breaker::default();
    pushes.channel.waiting = 0;
    pushes.channel.last_refusal = None;
    pushes.deliveries.clear();
    pushes.older = None;
    pushes.show = Pushed::Waiting;
    pushes.per_minute.waiting.clear();
    pushes
}

pub(super) fn staff() -> StaffPage {
    let person = |name: &str, role: &str, factors: &str, disabled: bool| Person {
        id: name.into(),
        name: name.into(),
        role: role.into(),
        factors: factors.into(),
        since: before(30, "08:00:00"),
        disabled_at: disabled.then(|| before(2, "16:20:00")),
        is_me: name == "kim",
    };
    let sign_in = |name: &str, address: &str, browser: &str| StaffSignIn {
        id: format!("{name}{address}"),
        name: name.into(),
        since: at("08:02:10"),
        seen: at("09:57:40"),
        address: address.into(),
        browser: browser.into(),
        is_this: name == "kim",
    };
    StaffPage {
        now: NOW,
        people: vec![
            person("amara", "admin", "Password and codes", false),
            person("kim", "support", "Password and codes", false),
            person("tomas", "viewer", "Password", false),
            person("old.colleague", "support", "Password", true),
        ],
        sign_ins: vec![
            sign_in("kim", "203.0.113.8", "Firefox 145 on Linux"),
            sign_in("amara", "203.0.113.21", "Chrome 142 on macOS"),
        ],
        invites: vec![Invite { id: "0".into(), role: "support".into(), by: "amara".into(), expires: at("21:00:00") }],
        new_link: None,
        may_manage: true,
        csrf: "c5rf".into(),
    }
}

pub(super) fn audit() -> Audit {
    let entry = |clock: &str, staff: &str, action: &str, subject: &str, reason: Option<&str>| AuditEntry {
        at: at(clock),
        staff: staff.into(),
        action: action.into(),
        subject: subject.into(),
        reason: reason.map(Into::into),
        address: Some("203.0.113.8".into()),
        hash: "b41f0c77a6e4d99158b1c877f20c91e0e2b63f5d6d9a0d937ac24f5bc8b40917".into(),
    };
    let session = "019aa3c1-8f2c-7d41-b5c0-77f3c90a71c4";
    let mut entries = vec![
        entry("09:58:11", "kim", "ping_forced", session, Some("Customer got no notice of a mail sent at 09:51")),
        entry("09:57:40", "kim", "session_viewed", session, None),
        entry("09:57:22", "kim", "address_searched", "5e1b…c4", None),
        entry("09:49:05", "amara", "exported", "sessions, 24 rows", None),
        entry("09:31:17", "tomas", "session_revoked", session, Some("Device lost or stolen, 58197")),
        entry("08:02:10", "kim", "signed_in", "with a code", None),
        entry("07:58:44", "unknown", "sign_in_refused", "wrong name, password or code", None),
        entry("07:15:29", "amara", "role_changed", "tomas: viewer to support", Some("Joins first line")),
    ];
    entries.push(AuditEntry {
        at: before(1, "16:20:00"),
        ..entry("07:15:29", "amara", "staff_disabled", "old.colleague", None)
    });
    Audit {
        now: NOW,
        check: Some(Check::Whole {
            entries: 48_213,
            newest: Some(at("09:47:02")),
            hash: "b41f0c77a6e4d99158b1c877f20c91e0e2b63f5d6d9a0d937ac24f5bc8b40917".into(),
            at: at("09:55:00"),
        }),
        entries,
        choices: ["All", "Looked", "Pinged", "Revoked", "Signed in", "Staff"]
            .iter()
            .map(|word| ((*word).into(), "/audit".into(), *word == "All"))
            .collect(),
        newer: None,
        older: Some("/audit?older=1".into()),
        csv: "/audit.csv".into(),
        csrf: Some("token".into()),
    }
}

pub(super) fn settings() -> Settings {
    let key = |id: &str, is_current, sessions| SealingKey {
        id: id.into(),
        created: Some(before(30, "08:00:00")),
        is_current,
        is_here: true,
        sessions,
    };
    Settings {
        now: NOW,
        nodes: nodes(),
        keys: vec![key("2026-11-a", true, Some(91_207)), key("2026-08-c", false, Some(7_205))],
        apps: Some(vec![App { id: "org.example.mail".into(), fingerprint: "5f3c0a77b1e9".into() }]),
        quirks: vec![Quirk {
            hosts: vec!["mail.example.com".into(), "mail.example.org".into()],
            renewed: Some("9 min".into()),
            idle: Some("Used"),
            polls: None,
            asks_for_id: true,
            source: "the provider's help",
        }],
        kept: vec![
            ("Sessions that live", "2 days at the most, as below".into()),
            ("Ended sessions", "14 days, with their timelines".into()),
            ("Audit", "for ever".into()),
        ],
        rules: vec![
            ("Lifetime", "2 days at the most".into()),
            ("Wait before use", "10 min at the most".into()),
            ("Hold after a push", "30 s, doubling to 10 min".into()),
            ("Refused logins", "2, then the session ends".into()),
        ],
    }
}

pub(super) fn sign_in(refused: bool) -> SignIn {
    SignIn {
        host: "pinger.example.com".into(),
        next: Some("/sessions".into()),
        name: if refused { "kim".into() } else { String::new() },
        problem: refused.then(|| ("That did not work.".into(), "Name or password is wrong.".into())),
        notice: (!refused)
            .then(|| ("You were signed out".into(), "after 30 minutes without a click. Nothing was lost.".into())),
        passkeys: true,
        provider: Some("Example".into()),
    }
}

pub(super) fn code() -> Code {
    Code { next: None, problem: None, codes: true, passkeys: true }
}

pub(super) fn sign_up() -> SignUp {
    SignUp {
        token: "k3".into(),
        role: "Support".into(),
        name: String::new(),
        problem: None,
        secret: Some(("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".into(), "otpauth://totp/Pinger:kim?secret=JBSWY3DP".into())),
    }
}

pub(super) fn recovery() -> Vec<String> {
    ["4f2k-9qmd", "x77a-0plw", "b3rt-55ze", "9hve-k6df", "t7pj-4nys", "e1gk-q9tb", "2vhn-m5zd", "x0qa-7kf3"]
        .map(String::from)
        .to_vec()
}

pub(super) fn troubles() -> Vec<(&'static str, Trouble)> {
    vec![
        ("no-page", Trouble::NoPage),
        ("no-session", Trouble::NoSession { id: uuid("7kf3") }),
        ("not-allowed", Trouble::NotAllowed { role: "viewer", act: "revoke" }),
        ("stale", Trouble::Stale),
        ("ended", Trouble::Ended { id: uuid("7kf3"), what: "There is nothing to ping any more. Nothing was done." }),
        ("no-store", Trouble::NoStore { evidence: "database is locked".into() }),
        ("ours", Trouble::Ours { trace: Some("4bf92f3577b34da6".into()) }),
    ]
}
