//! Log-ins that are not tried, and what refused ones count for.

use std::time::Duration;

use domain::{Admission, Evidence, Failure, FailureCode, LoginOutcome};
use store::SessionRecord;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::imap::is_vague;
use super::{Forced, Watcher};
use crate::handle::Ping;
use crate::logins::Attempt;
use crate::session::Held;
use crate::telemetry::{CONNECT, episode};

/// The pause where other log-ins of the same account are under way.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// After this the budget of an account or a host is looked at again, which costs no log-in: a new credential may have come.
const BUDGET_PAUSE: Duration = Duration::from_secs(15 * 60);

impl Watcher {
    /// Does not log in, because others of the account or the host did, or were refused.
    pub(super) async fn hold_off(
        &self,
        record: SessionRecord,
        held: &mut Held,
        ping: Option<Ping>,
        admission: Admission,
        stop: &CancellationToken,
    ) {
        let Admission::Spent { until, host } = admission else {
            if let Some(ping) = ping {
                self.watches().ask(held.id, ping);
            }
            tokio::select! {
                () = tokio::time::sleep(BUSY_PAUSE.mul_f64(rand::random_range(0.5..1.5))) => {}
                () = stop.cancelled() => {}
            }
            return;
        };
        let whose = if host { "by this mail server" } else { "for this account" };
        let evidence = Evidence::redact(&format!("too many log-ins were refused {whose}; none was tried now"), None);
        let pause = until.since(self.sessions.clock.now()).min(BUDGET_PAUSE);
        let failure = Failure { retry_after: Some(pause), ..Failure::new(FailureCode::LoginPaused, evidence) };
        let span = episode!(CONNECT, held.id, record.traceparent.as_deref(), self.sessions.traced(held.id));
        async {
            let before = held.life.clone();
            let forced = Forced { ping: ping.as_ref(), before: &before };
            self.tell_pinged(&forced, held, Err(&failure));
            self.fail(held, failure, Duration::ZERO, stop).await;
        }
        .instrument(span)
        .await;
    }
}

/// Takes down how a log-in went that did not end well, and answers what it was. A “no” without a reason from a server that
/// asked for patience a moment ago means the same still; it counts as a refusal all the same, should it have been one.
pub(super) fn judged(failure: Failure, attempt: Option<Attempt>) -> Failure {
    let Some(attempt) = attempt else { return failure };
    let patience = is_vague(&failure) && attempt.is_throttled();
    attempt.end(match failure.code {
        FailureCode::LoginRefused | FailureCode::LoginHeld => LoginOutcome::Refused,
        FailureCode::Throttled => LoginOutcome::Throttled,
        _ => LoginOutcome::Unknown,
    });
    if patience { Failure { code: FailureCode::Throttled, ..failure } } else { failure }
}
