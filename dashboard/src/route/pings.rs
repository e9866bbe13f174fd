//! The forced pings of late, each as far as it has come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use backend::{PingReport, PingStep};
use domain::SessionId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::page::session::{Progress, Reports};

/// Pings that are remembered, so that their page can be looked at again.
const REMEMBERED: usize = 256;

/// The pings of late. Whoever looks at a session's is woken by its steps, and by the next one that is begun.
pub(crate) struct Pings {
    all: Mutex<VecDeque<Remembered>>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// The last ping of a session.
struct Remembered {
    session: SessionId,
    reports: Arc<watch::Sender<Reports>>,
    /// Cancelled when another takes its place.
    replaced: CancellationToken,
}

impl Pings {
    /// None yet; those to come are let go when `closing` is cancelled.
    pub(crate) fn new(closing: CancellationToken) -> Self {
        Self { all: Mutex::default(), tasks: TaskTracker::new(), closing }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Remembered>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a ping that was begun, in the place of the session's last one.
    pub(super) fn begin(&self, session: SessionId, reports: Reports, mut steps: mpsc::Receiver<PingStep>) {
        let replaced = self.closing.child_token();
        let mut all = self.lock();
        let sender = match all.iter().position(|ping| ping.session == session).and_then(|at| all.remove(at)) {
            Some(last) => {
                last.replaced.cancel();
                last.reports.send_replace(reports);
                last.reports
            }
            None => Arc::new(watch::Sender::new(reports)),
        };
        all.push_back(Remembered { session, reports: Arc::clone(&sender), replaced: replaced.clone() });
        if all.len() > REMEMBERED {
            all.pop_front();
        }
        self.tasks.spawn(replaced.run_until_cancelled_owned(async move {
            while let Some(step) = steps.recv().await {
                sender.send_modify(|reports| reports.reports.push(report(step)));
            }
        }));
    }

    /// The ping of a session: what has been reported by now, and a wake with each report to come.
    pub(super) fn watch(&self, session: SessionId) -> Option<watch::Receiver<Reports>> {
        self.lock().iter().find(|ping| ping.session == session).map(|ping| ping.reports.subscribe())
    }

    /// Waits for those that report still, once no more are begun.
    pub(crate) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn report(PingStep { elapsed, report }: PingStep) -> (u64, Progress) {
    let progress = match report {
        PingReport::Connecting { host } => Progress::Connecting { host },
        PingReport::Connected => Progress::Connected,
        PingReport::LoggedIn => Progress::LoggedIn,
        PingReport::Opened => Progress::Opened,
        PingReport::Asked { before, after } => Progress::Asked { before, after },
        PingReport::NothingNew => Progress::NothingNew,
        PingReport::Pushed => Progress::Pushed,
        PingReport::Gathered => Progress::Gathered,
        PingReport::Failed { code, evidence } => Progress::Failed { code, evidence },
    };
    (u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), progress)
}
