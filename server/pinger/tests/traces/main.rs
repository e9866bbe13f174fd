//! One trace from the device to the push, as a collector receives it, and nothing in it that is nobody's business.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../harness/browser.rs"]
mod browser;

mod episodes;
mod forced;
mod off;
mod secrets;
mod web;

use std::collections::BTreeSet;

use harness::{Account, PATIENCE, Phone, Server, World};
use peers::imap_server::{ImapOptions, ImapServer};
use peers::otlp::{OtlpReceiver, ReceivedSpan};

/// The trace that the phone says to be part of, and its own span in it.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PHONE_SPAN: &str = "00f067aa0ba902b7";

const NAME: &str = "trace.dancer@example.org";
const PASSWORD: &str = "one two cha cha cha";

const GATEWAY: &str = "pinger-gateway";
const BACKEND: &str = "pinger-backend";

fn traceparent() -> Option<String> {
    Some(format!("00-{TRACE}-{PHONE_SPAN}-01"))
}

/// A server whose traces are collected, and a mail server.
struct Scene {
    world: World,
    collector: OtlpReceiver,
    mail: ImapServer,
    server: Server,
}

impl Scene {
    /// `ports` are further mail ports, `environment` further variables.
    async fn new(world: World, ports: &[u16], environment: &[(&str, &str)]) -> Self {
        let collector = OtlpReceiver::start().await.unwrap();
        let options = ImapOptions {
            users: vec![(NAME.to_owned(), PASSWORD.to_owned())],
            authority: Some(world.authority.clone()),
            ..ImapOptions::default()
        };
        let mail = ImapServer::start(options).await.unwrap();
        let ports = [&[mail.address().port()], ports].concat();
        world.configure(&ports, "refusal_pause_seconds = 1\nhold_seconds = 4", "");
        let endpoint = collector.endpoint();
        let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
        let server = world.serve_with(&[&own[..], environment].concat()).await;
        Self { world, collector, mail, server }
    }

    fn account(&self) -> Account {
        Account::imaps(self.mail.address(), NAME, PASSWORD)
    }

    /// A phone that is part of [`TRACE`]. It has not registered yet.
    async fn phone(&self) -> Phone {
        let mut phone = Phone::new(&self.server, &self.account()).await;
        phone.traceparent = traceparent();
        phone
    }

    /// The first span that fits, which must come.
    #[track_caller]
    fn span<'a>(
        &'a self,
        what: &'a str,
        wanted: impl Fn(&ReceivedSpan) -> bool + 'a,
    ) -> impl Future<Output = ReceivedSpan> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let found = self.collector.wait_for(PATIENCE, wanted).await;
            found.unwrap_or_else(|| panic!("{caller}: no span {what} among {}", self.overview()))
        }
    }

    /// The child of that name, which must come.
    #[track_caller]
    fn child<'a>(&'a self, parent: &'a ReceivedSpan, name: &'a str) -> impl Future<Output = ReceivedSpan> + 'a {
        self.span(name, move |span| span.name == name && span.is_child_of(parent))
    }

    /// The root of that name, linked to the registration, which must come.
    #[track_caller]
    fn episode<'a>(&'a self, registration: &'a ReceivedSpan, name: &'a str) -> impl Future<Output = ReceivedSpan> + 'a {
        self.span(name, move |span| span.name == name && span.parent_id.is_none() && span.links_to(registration))
    }

    fn overview(&self) -> String {
        let line = |span: ReceivedSpan| {
            let parent = span.parent_id.unwrap_or_else(|| "root".to_owned());
            format!("\n{} {} {} ← {parent} {}", span.trace_id, span.service, span.span_id, span.name)
        };
        self.collector.spans().into_iter().map(line).collect()
    }
}

/// The names of the spans that ARCHITECTURE.md lists.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../../../ARCHITECTURE.md");
    let table = page.split("\n## Traces\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

/// Whether ARCHITECTURE.md lists a span's name.
fn is_documented(documented: &BTreeSet<String>, name: &str) -> bool {
    documented.contains(name)
        || name.rsplit_once('/').is_some_and(|(service, _)| documented.contains(&format!("{service}/<Method>")))
}
