//! A session and what belongs to it: its pages, its timeline, its deliveries.

use domain::{EndReason, Phase, PushKind, Timestamp};

use crate::page::delivery::Delivery;
use crate::page::session::{Acts, Details, Handshake, Line, PingPage, RevokePage, SessionPage, Show, Subject};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, Tone};
use crate::part::run::{Run, Step};
use crate::part::timeline::Entry;
use crate::why::sample::{self, at, before};
use crate::why::{Facts, Fate, LastPush};

use super::{TRACE, uuid};

pub(super) fn subject(facts: Facts) -> Subject {
    Subject {
        id: uuid("7kf3"),
        facts,
        user: "u-48213".into(),
        device: "dev_9KQ2XW41M07T".into(),
        device_is: "iOS 19.1, app 8.4.1".into(),
        context: "ctx_personal_2f81".into(),
    }
}

pub(super) fn acts() -> Acts {
    Acts { allowed: true, csrf: "c5rf".into() }
}

pub(super) fn entry(at: Timestamp, icon: Icon, tone: Option<Tone>, title: &str) -> Entry {
    Entry { at, icon, tone, title: title.into(), text: None, quote: None, planned: false, hot: false, trace: None }
}

pub(super) fn with(mut entry: Entry, text: &str, trace: bool) -> Entry {
    entry.text = Some(text.into());
    entry.trace = trace.then(|| TRACE.into());
    entry
}

pub(super) fn said(mut entry: Entry, quote: &str) -> Entry {
    entry.quote = Some(quote.into());
    entry.trace = Some(TRACE.into());
    entry
}

pub(super) fn timeline() -> Vec<Entry> {
    let mut planned = with(
        entry(at("10:12:14"), Icon::Nothing, None, "Last login planned"),
        "If it is refused too, the session ends and the device is told to register again.",
        false,
    );
    planned.planned = true;
    let mut hot = said(
        entry(at("09:42:14"), Icon::Fault, Some(Tone::Bad), "Password refused"),
        "a2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    );
    hot.hot = true;
    vec![
        planned,
        hot,
        said(
            entry(at("09:41:58"), Icon::Retrying, Some(Tone::Warn), "Closed by the server"),
            "* BYE Session expired, please log in again",
        ),
        with(entry(at("09:17:41"), Icon::Ok, Some(Tone::Ok), "Push accepted by APNs in 214 ms"), "First try.", true),
        with(entry(at("09:17:40"), Icon::Mail, None, "Mail seen"), "UIDNEXT 8,811 → 8,812", false),
        with(
            entry(at("08:46:02"), Icon::Phone, None, "Deferred by the device for 60 s"),
            "Awake, reads its mail itself.",
            false,
        ),
        with(entry(at("08:31:27"), Icon::Ok, Some(Tone::Ok), "Push accepted by APNs in 187 ms"), "First try.", false),
        with(entry(at("06:14:40"), Icon::Plug, None, "Connected and logged in, in 1.2 s"), "UIDNEXT 8,808", true),
        with(
            entry(before(1, "22:05:49"), Icon::Eye, None, "Viewed by amara"),
            "“Customer asks whether night mode stops pushes”, ticket 58102",
            false,
        ),
        with(
            entry(before(1, "07:58:03"), Icon::Ok, Some(Tone::Ok), "Registered"),
            "For 2 days. The device had seen UIDNEXT 8,790.",
            true,
        ),
    ]
}

pub(super) fn delivery(at: Timestamp, fate: Fate, tries: u32, end: &str) -> Delivery {
    Delivery {
        at,
        kind: PushKind::NewMail,
        fate,
        tries,
        session: uuid(end),
        user: Some("u-48213".into()),
        channel: "APNs, production".into(),
        provider_id: Some("8F2C0A77-51B7-4E66-B1C4-77F3C90A41D0".into()),
        trace: Some(TRACE.into()),
    }
}

pub(super) fn deliveries() -> Vec<Delivery> {
    let accepted = |millis| Fate::Accepted { millis: Some(millis) };
    vec![
        delivery(at("09:17:41"), accepted(214), 1, "7kf3"),
        delivery(at("08:31:27"), accepted(187), 1, "7kf3"),
        delivery(at("03:12:06"), accepted(5_340), 2, "7kf3"),
        delivery(before(1, "21:40:55"), accepted(241), 1, "7kf3"),
    ]
}

pub(super) fn handshake() -> Handshake {
    let line = |millis, from_server, text: &str, is_bad| Line { millis, from_server, text: text.into(), is_bad };
    Handshake {
        at: Some(at("09:42:13")),
        lines: vec![
            line(0, true, "* OK ExampleMail IMAP4rev1 ready", false),
            line(42, false, "a1 CAPABILITY", false),
            line(84, true, "* CAPABILITY IMAP4rev1 IDLE CONDSTORE SASL-IR AUTH=PLAIN", false),
            line(85, false, "a2 AUTHENTICATE PLAIN (masked, 96 bytes)", false),
            line(1_459, true, "a2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", true),
        ],
        capabilities: Some("IDLE CONDSTORE SASL-IR ID UIDPLUS COMPRESS".into()),
        address: Some("192.0.2.14, port 993".into()),
        tls: Some("TLS 1.3".into()),
    }
}

pub(super) fn session_page(facts: Facts) -> SessionPage {
    SessionPage {
        subject: subject(facts),
        acts: acts(),
        show: Show::All,
        timeline: timeline(),
        older: Some("/sessions/x?before=1".into()),
        handshake: Some(handshake()),
        deliveries: deliveries(),
        target: "APNs, production, token ends 9c41".into(),
        details: Details {
            security: "TLS",
            port: 993,
            generation: 4,
            app: "courier-ios".into(),
            node: Some("019aa3c1-0000-7d41-b5c0-77f3c90a41d0".into()),
            topic: "com.example.courier".into(),
        },
        trace_until: Some(at("10:40:00")),
        fault_trace: Some(TRACE.into()),
        traces: vec![
            ("Password refused, 09:42:13".into(), TRACE.into()),
            ("Mail to push, 09:17:40".into(), TRACE.into()),
            ("Registration, 19 Nov 07:58".into(), TRACE.into()),
        ],
    }
}

pub(crate) fn refused() -> SessionPage {
    session_page(sample::refused())
}

pub(crate) fn watching() -> SessionPage {
    let mut page = session_page(sample::watching());
    page.timeline.drain(..3);
    page.fault_trace = None;
    page
}

pub(crate) fn waiting() -> SessionPage {
    let mut facts = sample::watching();
    facts.life.phase = Phase::Waiting { until: at("09:58:41") };
    (facts.push, facts.mail_at, facts.connected_at) = (None, None, None);
    let mut page = session_page(facts);
    page.timeline.drain(..9);
    page.older = None;
    page.deliveries.clear();
    page.handshake = None;
    page.traces.clear();
    page.acts.allowed = false;
    page
}

pub(crate) fn ended() -> SessionPage {
    let mut facts = sample::watching();
    facts.life.phase = Phase::Ended(EndReason::Revoked);
    facts.life.state_since = at("09:31:17");
    facts.revoked_by = Some("tomas".into());
    facts.key = None;
    let mut page = session_page(facts);
    page.timeline.drain(..3);
    page.timeline.insert(
        0,
        with(entry(at("09:31:17"), Icon::Revoked, None, "Revoked by tomas"), "“Device lost or stolen, 58197”", false),
    );
    page
}

pub(super) fn step(mark: Mark, name: &str, text: &str, span: Option<(u64, u64)>) -> Step {
    Step { mark, name: name.into(), text: text.into(), span, quote: None }
}

pub(crate) fn ping() -> PingPage {
    let mut facts = sample::watching();
    facts.life.hold_until = Some(at("09:58:41"));
    facts.life.state_since = at("09:58:11");
    facts.connected_at = Some(at("09:58:11"));
    facts.mail_at = Some(at("09:58:11"));
    facts.push = Some(LastPush { at: at("09:58:11"), fate: Fate::Accepted { millis: Some(104) } });
    PingPage {
        subject: subject(facts),
        acts: acts(),
        run: Run {
            steps: vec![
                step(Mark::Ok, "Connecting", "imap.example.net", Some((0, 84))),
                step(Mark::Ok, "Logged in", "XOAUTH2", Some((84, 176))),
                step(Mark::Ok, "UIDNEXT 41 → 42", "One new mail", Some((176, 208))),
                step(Mark::Ok, "Pushed", "APNs accepted it", Some((208, 312))),
            ],
            done: true,
            summary: "from click to accepted".into(),
            asked: "Asked by kim at 09:58:11".into(),
            finding: Some((
                Mark::Retrying,
                "IDLE on imap.example.net stays silent.".into(),
                "The server had not announced this mail. The slow cross-check would have found it later.".into(),
            )),
            trace: Some(TRACE.into()),
        },
    }
}

pub(crate) fn ping_runs() -> PingPage {
    let mut page = ping();
    page.run.steps = vec![
        step(Mark::Ok, "Connecting", "imap.example.net", Some((0, 84))),
        step(Mark::Running, "Logging in", "XOAUTH2", None),
        step(Mark::NotReached, "UIDNEXT", "", None),
        step(Mark::NotReached, "Push", "", None),
    ];
    page.run.done = false;
    page.run.finding = None;
    page
}

pub(crate) fn ping_failed() -> PingPage {
    let mut page = ping();
    page.subject.facts = sample::refused();
    let mut failed = step(Mark::Fault, "Logged in", "Password refused", Some((84, 1_459)));
    failed.quote = Some("a2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)".into());
    page.run.steps = vec![
        step(Mark::Ok, "Connecting", "imap.example.com", Some((0, 84))),
        failed,
        step(Mark::NotReached, "UIDNEXT", "", None),
        step(Mark::NotReached, "Push", "", None),
    ];
    page.run.summary = "from click to refused".into();
    page.run.finding = Some((
        Mark::Fault,
        "The mail server refused the user name or password.".into(),
        "Sign in to the account in the app again, and register again.".into(),
    ));
    page
}

pub(crate) fn revoke() -> RevokePage {
    RevokePage { subject: subject(sample::refused()), csrf: "c5rf".into(), problem: None, note: "58230".into() }
}
