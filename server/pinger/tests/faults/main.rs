//! Bad input, from outside: a stable reason each, and nothing else is harmed.
//!
//! Each scene has a session in good health beside the faults. It gets its push before, during and after them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "../harness/mod.rs"]
mod harness;

mod addresses;
mod calls;
mod mail_servers;
mod pushes;
mod tokens;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use harness::{APP_KEY, Account, PATIENCE, Phone, Server, World, gateway_of, reason};
use peers::imap_server::{ImapOptions, ImapServer};
use tonic::Status;

/// What apps are told to expect.
const ERRORS_MD: &str = include_str!("../../../../docs/errors.md");

const NAME: &str = "hearty.hale@example.org";
const PASSWORD: &str = "in the best of health";

/// A server, and a session in good health.
struct Scene {
    world: World,
    mail: ImapServer,
    server: Server,
    healthy: Phone,
}

impl Scene {
    /// `ports` are further mail ports, `backend` further lines of its section.
    async fn new(ports: &[u16], backend: &str) -> Self {
        Self::changed(ports, backend, |configuration| configuration).await
    }

    /// The same, with a configuration that is changed once more.
    async fn changed(ports: &[u16], backend: &str, change: impl FnOnce(String) -> String) -> Self {
        Self::within(World::new().await, ports, backend, change).await
    }

    /// The same, in a world that is there already.
    async fn within(world: World, ports: &[u16], backend: &str, change: impl FnOnce(String) -> String) -> Self {
        let options = ImapOptions {
            addresses: 2,
            users: vec![(NAME.to_owned(), PASSWORD.to_owned())],
            open_password: Some("for everybody else".to_owned()),
            authority: Some(world.authority.clone()),
            ..ImapOptions::default()
        };
        let mail = ImapServer::start(options).await.unwrap();
        let path = world.configure(&[&[mail.address().port()], ports].concat(), backend, "");
        let configuration = change(std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, configuration).unwrap();
        let server = world.serve().await;
        // At the second address, so that the first one can be forbidden.
        let mut healthy = Phone::new(&server, &Account::imaps(mail.addresses()[1], NAME, PASSWORD)).await;
        healthy.register().await.unwrap();
        healthy.is_watched().await;
        Self { world, mail, server, healthy }
    }

    /// A phone with an account of its own at the same mail server. It has not registered yet.
    fn phone(&self, name: &str) -> Phone {
        self.phone_at(self.mail.addresses()[1], name)
    }

    fn phone_at(&self, address: SocketAddr, name: &str) -> Phone {
        self.healthy.another(&Account::imaps(address, name, "for everybody else"))
    }

    /// Mail for the healthy session is pushed at once.
    #[track_caller]
    fn unharmed(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            self.healthy.defer(0).await.unwrap();
            let token = self.healthy.push_token();
            let before = self.world.apns.pushes_to(&token).len();
            self.mail.deliver(NAME).await.unwrap();
            let pushed = self.world.apns.wait_for_count(Duration::from_secs(5), before + 1, |push| push.token == token);
            assert!(pushed.await.is_some(), "{caller}: the healthy session got no push; {}", self.server.log());
        }
    }

    /// The healthy session is well, the processes are the same ones, and nothing secret was logged.
    async fn ends_well(self, secrets: &[String]) {
        self.unharmed().await;
        assert_eq!(gateway_of(self.server.pid()), Some(self.server.gateway_pid), "{}", self.server.log());
        let log = self.server.log();
        let own = [NAME, PASSWORD, "for everybody else", APP_KEY, &self.healthy.token, &self.healthy.push_token()];
        for secret in own.into_iter().chain(secrets.iter().map(String::as_str)) {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
        assert!(!log.contains("panicked"), "{log}");
        assert!(self.server.terminate().await.success());
    }
}

/// The call was refused for this reason, which is documented, with its gRPC code.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, expected: &str) -> Status {
    let status = answer.expect_err(expected);
    assert_eq!(reason(&status), expected, "{status:?}");
    assert!(status.message().len() > 20, "no sentence for a person: {status:?}");
    let row = documented(expected);
    assert!(row.contains(&format!("({})", i32::from(status.code()))), "{:?} is not the code of {row}", status.code());
    status
}

/// The row of a reason or failure in docs/errors.md.
#[track_caller]
fn documented(name: &str) -> &'static str {
    let row = ERRORS_MD.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    row.unwrap_or_else(|| panic!("docs/errors.md does not list {name}"))
}
