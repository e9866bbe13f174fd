//! A push receiver that speaks Apple's provider API: HTTP/2 over TLS, and Apple's checks, statuses and reasons.
//!
//! A push is checked as Apple checks it, and refused for the same reason; one in order gets the answer that the test set
//! for its token, or for the next pushes, or else 200.

mod answer;
mod check;
mod connection;
mod provider_key;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use http::{HeaderMap, StatusCode};
use rustls::ServerConfig;
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

pub use self::answer::Answer;
pub use self::check::{COLLAPSE_ID_LIMIT, PAYLOAD_LIMIT};
use self::provider_key::TokenCheck;
pub use self::provider_key::{PROVIDER_TOKEN_LIFETIME, ProviderKey};
use crate::certificate::Authority;
use crate::listener::{Acceptor, listen};
use crate::record::{Record, lock};

/// How a sender has to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authentication {
    /// By a token signed with the [`ProviderKey`].
    #[default]
    Token,
    /// By a client certificate of the receiver's authority.
    Certificate,
}

/// How to start an [`ApnsReceiver`].
#[derive(Default)]
pub struct ApnsOptions {
    /// The port; 0 for any free one.
    pub port: u16,
    /// Who signs its certificate; a new authority when absent.
    pub authority: Option<Arc<Authority>>,
    /// How a sender proves who it is.
    pub authentication: Authentication,
    /// The key of the senders; a new one when absent.
    pub provider_key: Option<ProviderKey>,
    /// The topics that are allowed; any, when there are none.
    pub topics: Vec<String>,
    /// How long the receiver thinks before it answers.
    pub latency: Duration,
}

/// One push as it came in.
#[derive(Debug, Clone)]
pub struct ReceivedPush {
    /// The device token of the path, or the whole path if it is none.
    pub token: String,
    /// `apns-topic`
    pub topic: Option<String>,
    /// `apns-push-type`
    pub push_type: Option<String>,
    /// `apns-priority`
    pub priority: Option<String>,
    /// `apns-expiration`, in seconds since 1970.
    pub expiration: Option<u64>,
    /// `apns-collapse-id`
    pub collapse_id: Option<String>,
    /// The id in the answer: the sender's, or one of ours.
    pub apns_id: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; `null` if it isn't JSON.
    pub payload: Value,
    /// The body's size.
    pub payload_bytes: usize,
    /// When its headers had arrived.
    pub at: Instant,
    /// The same by the clock on the wall.
    pub at_time: SystemTime,
    /// The number of its connection, from 1.
    pub connection: u64,
    /// Whether all of it was as Apple wants it; if not, it was refused whatever the test had set.
    pub valid: bool,
    /// What Apple takes, but a phone would not wake for.
    pub warnings: Vec<String>,
    /// The status it was answered with; `None` for no answer.
    pub status: Option<StatusCode>,
    /// Apple's reason in the answer; empty for a 200.
    pub reason: String,
}

impl ReceivedPush {
    /// Whether it was answered with 200.
    pub fn accepted(&self) -> bool {
        self.status == Some(StatusCode::OK)
    }
}

/// A receiver of pushes on a port of 127.0.0.1. Dropping it cuts its connections.
pub struct ApnsReceiver {
    address: SocketAddr,
    authority: Arc<Authority>,
    provider_key: ProviderKey,
    tls: TlsAcceptor,
    state: Arc<State>,
    acceptor: Option<Acceptor>,
}

/// What the connections share; it outlives a restart.
struct State {
    token_check: Option<TokenCheck>,
    topics: Vec<String>,
    latency: Mutex<Duration>,
    pushes: Record<ReceivedPush>,
    next: Mutex<VecDeque<Answer>>,
    by_token: Mutex<HashMap<String, Answer>>,
    by_default: Mutex<Answer>,
    connections: AtomicU64,
}

impl State {
    /// What the test wants for a push that is in order.
    fn answer_for(&self, token: &str) -> Answer {
        if let Some(answer) = lock(&self.by_token).get(token) {
            return answer.clone();
        }
        if let Some(answer) = lock(&self.next).pop_front() {
            return answer;
        }
        lock(&self.by_default).clone()
    }
}

impl ApnsReceiver {
    /// Starts a receiver.
    pub async fn start(options: ApnsOptions) -> Result<Self> {
        let authority = match options.authority {
            Some(authority) => authority,
            None => Arc::new(Authority::new()?),
        };
        let provider_key = match options.provider_key {
            Some(key) => key,
            None => ProviderKey::generate()?,
        };
        let leaf = authority.issue_server()?;
        let (tls, token_check): (Arc<ServerConfig>, _) = match options.authentication {
            Authentication::Token => (leaf.server_config(&[b"h2"])?, Some(TokenCheck::new(provider_key.clone())?)),
            Authentication::Certificate => (leaf.mutual_server_config(&authority, &[b"h2"])?, None),
        };
        let state = State {
            token_check,
            topics: options.topics,
            latency: Mutex::new(options.latency),
            pushes: Record::default(),
            next: Mutex::default(),
            by_token: Mutex::default(),
            by_default: Mutex::new(Answer::Accept),
            connections: AtomicU64::new(0),
        };
        let (listener, address) = listen(options.port).await?;
        let mut receiver =
            Self { address, authority, provider_key, tls: tls.into(), state: Arc::new(state), acceptor: None };
        receiver.serve(listener);
        Ok(receiver)
    }

    fn serve(&mut self, listener: tokio::net::TcpListener) {
        let (tls, state) = (self.tls.clone(), Arc::clone(&self.state));
        self.acceptor = Some(Acceptor::new(listener, move |stream, _peer| {
            connection::serve(stream, tls.clone(), Arc::clone(&state))
        }));
    }

    /// Where it listens, also while stopped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The authority of its certificate, and of client certificates for [`Authentication::Certificate`].
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The key for [`Authentication::Token`].
    pub fn provider_key(&self) -> &ProviderKey {
        &self.provider_key
    }

    /// From now on, each push to this token gets this answer.
    pub fn answer(&self, token: &str, answer: Answer) {
        lock(&self.state.by_token).insert(token.to_owned(), answer);
    }

    /// The next `n` pushes, to tokens without an answer of their own, get this answer.
    pub fn answer_next(&self, n: usize, answer: Answer) {
        lock(&self.state.next).extend(std::iter::repeat_n(answer, n));
    }

    /// All pushes for which nothing else is set get this answer.
    pub fn answer_all(&self, answer: Answer) {
        *lock(&self.state.by_default) = answer;
    }

    /// Back to 200 for all.
    pub fn accept_all(&self) {
        lock(&self.state.by_token).clear();
        lock(&self.state.next).clear();
        self.answer_all(Answer::Accept);
    }

    /// How long it thinks before each answer, from now on.
    pub fn set_latency(&self, latency: Duration) {
        *lock(&self.state.latency) = latency;
    }

    /// All pushes, in the order of their answers.
    pub fn pushes(&self) -> Vec<ReceivedPush> {
        self.state.pushes.all()
    }

    /// The pushes to one token.
    pub fn pushes_to(&self, token: &str) -> Vec<ReceivedPush> {
        let mut pushes = self.pushes();
        pushes.retain(|push| push.token == token);
        pushes
    }

    /// Forgets the pushes so far.
    pub fn clear(&self) {
        self.state.pushes.clear();
    }

    /// The first push that fits, past or to come; `None` when the time is over.
    pub async fn wait_for(&self, timeout: Duration, wanted: impl Fn(&ReceivedPush) -> bool) -> Option<ReceivedPush> {
        self.state.pushes.wait_for(timeout, wanted).await
    }

    /// Waits until `n` pushes fit, and returns these; `None` when the time is over.
    pub async fn wait_for_count(
        &self,
        timeout: Duration,
        n: usize,
        wanted: impl Fn(&ReceivedPush) -> bool,
    ) -> Option<Vec<ReceivedPush>> {
        let look = |pushes: &[ReceivedPush]| {
            let fitting: Vec<_> = pushes.iter().filter(|push| wanted(push)).cloned().collect();
            (fitting.len() >= n).then_some(fitting)
        };
        self.state.pushes.wait(timeout, look).await
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// How many different provider tokens were good. Apple wants one to be used for 20 to 60 minutes.
    pub fn provider_tokens(&self) -> usize {
        self.state.token_check.as_ref().map_or(0, TokenCheck::distinct_tokens)
    }

    /// Cuts all connections and closes the port. What it recorded, and what was set, stays.
    pub async fn stop(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop().await;
        }
    }

    /// Stops, and listens on the same port again.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let (listener, _) = listen(self.address.port()).await?;
        self.serve(listener);
        Ok(())
    }
}
