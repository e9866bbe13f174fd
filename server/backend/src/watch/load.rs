//! What a watch asks the store, for as long as it takes to be answered.

use domain::{HostName, SessionId};
use store::SessionRecord;
use tokio_util::sync::CancellationToken;

use super::{STORE_PAUSE, Watcher};

impl Watcher {
    /// The session as the store has it; none if it isn't there any more or we are to stop.
    pub(super) async fn load(&self, id: SessionId, stop: &CancellationToken) -> Option<SessionRecord> {
        loop {
            match self.store().session(id).await {
                Ok(record) => {
                    if let Some(until) = record.as_ref().and_then(|record| record.trace_until)
                        && until > self.sessions.clock.now()
                    {
                        self.sessions.traced.set(id, until);
                    }
                    return record;
                }
                Err(error) => {
                    tracing::error!(session = %id, error = &error as &dyn std::error::Error, "can't load a session");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_PAUSE) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// The session's mail server; none if there is no such session or we are to stop.
    pub(super) async fn host(&self, id: SessionId, stop: &CancellationToken) -> Option<HostName> {
        loop {
            match self.store().mail_host(id).await {
                Ok(host) => return host,
                Err(error) => {
                    tracing::error!(session = %id, error = &error as &dyn std::error::Error, "can't load a session's host");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_PAUSE) => {}
                () = stop.cancelled() => return None,
            }
        }
    }
}
