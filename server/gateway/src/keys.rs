//! The public keys, as the backend last told them: what devices seal for, and what session tokens are verified with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use proto::{Reason, Refusal, internal_v1 as internal, v1};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::backend::{Backend, unavailable};

/// How often the keys are asked for: within this time a rotation is known everywhere.
const REFRESH_EVERY: Duration = Duration::from_secs(60);

/// A token with a key that isn't known makes us ask at once, but no more often than this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How long one attempt may take; the next one follows on it.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The pause after an answer that is of no use.
const PAUSE: Duration = Duration::from_secs(1);

/// One answer of the backend.
pub(crate) struct PublicKeys {
    sealing_keys: v1::GetSealingKeysResponse,
    tokens: HashMap<String, DecodingKey>,
    fetched_at: Instant,
}

impl PublicKeys {
    fn parse(response: internal::GetPublicKeysResponse, fetched_at: Instant) -> Option<Self> {
        let tokens = response
            .token_keys
            .into_iter()
            .filter(|key| key.public_key.len() == 32)
            // jsonwebtoken's “DER” of an Ed25519 public key is the 32 bytes themselves.
            .map(|key| (key.key_id, DecodingKey::from_ed_der(&key.public_key)))
            .collect();
        Some(Self { sealing_keys: response.sealing_keys?, tokens, fetched_at })
    }
}

/// The newest answer, shared with the task that fetches it.
#[derive(Clone)]
pub(crate) struct KeyCache {
    newest: watch::Receiver<Option<Arc<PublicKeys>>>,
    wanted: Arc<Notify>,
}

/// The task that fetches.
pub(crate) struct Refresher {
    newest: watch::Sender<Option<Arc<PublicKeys>>>,
    wanted: Arc<Notify>,
}

/// An empty cache, and the task that fills it.
pub(crate) fn cache() -> (KeyCache, Refresher) {
    let (sender, receiver) = watch::channel(None);
    let wanted = Arc::new(Notify::new());
    (KeyCache { newest: receiver, wanted: Arc::clone(&wanted) }, Refresher { newest: sender, wanted })
}

impl KeyCache {
    /// What devices seal for. Waits for it until the deadline, if the backend has never been reached.
    pub(crate) async fn sealing_keys(&self, deadline: Instant) -> Result<v1::GetSealingKeysResponse, Refusal> {
        Ok(self.next(deadline, |_| true).await?.sealing_keys.clone())
    }

    /// The key of that id. One that isn't known may be new: the backend is asked, unless it has just been.
    pub(crate) async fn token_key(&self, key_id: &str, deadline: Instant) -> Result<DecodingKey, Refusal> {
        let mut keys = self.next(deadline, |_| true).await?;
        if !keys.tokens.contains_key(key_id) && keys.fetched_at.elapsed() >= ASK_AGAIN_AFTER {
            self.wanted.notify_one();
            let last = keys.fetched_at;
            keys = self.next(deadline, |keys| keys.fetched_at > last).await?;
        }
        keys.tokens.get(key_id).cloned().ok_or(Refusal::new(Reason::TokenInvalid))
    }

    /// Waits until the backend has been reached.
    pub(crate) async fn reached(&self) {
        // An error says that the task has ended, and we with it.
        let _ = self.newest.clone().wait_for(Option::is_some).await;
    }

    async fn next(
        &self,
        deadline: Instant,
        wanted: impl Fn(&PublicKeys) -> bool + Send,
    ) -> Result<Arc<PublicKeys>, Refusal> {
        let mut newest = self.newest.clone();
        let fitting = newest.wait_for(|keys| keys.as_deref().is_some_and(&wanted));
        match timeout_at(deadline, fitting).await {
            Ok(Ok(keys)) => keys.as_ref().map(Arc::clone).ok_or_else(unavailable),
            _ => Err(unavailable()),
        }
    }
}

impl Refresher {
    /// Fetches the keys now, every minute, and when a token names one that isn't known.
    pub(crate) async fn run(self, backend: Arc<Backend>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.refresh(&backend) => {}
        }
    }

    async fn refresh(&self, backend: &Backend) {
        let mut reached = None;
        loop {
            let answer = backend.public_keys(Instant::now() + ATTEMPT).await;
            let keys = answer.ok().and_then(|answer| PublicKeys::parse(answer, Instant::now()));
            let success = keys.is_some();
            if reached != Some(success) {
                match &keys {
                    Some(keys) => info!(token_keys = keys.tokens.len(), "the backend is there"),
                    None => warn!("the backend does not tell its public keys; calls wait for it"),
                }
                reached = Some(success);
            }
            let Some(keys) = keys else {
                sleep(PAUSE).await;
                continue;
            };
            let next = keys.fetched_at + REFRESH_EVERY;
            let earliest = keys.fetched_at + ASK_AGAIN_AFTER;
            self.newest.send_replace(Some(Arc::new(keys)));
            sleep_until(earliest).await;
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.wanted.notified() => debug!("a token names a key that is not known"),
            }
        }
    }
}
