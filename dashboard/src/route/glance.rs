//! The overview, computed in the background and kept, so that looking at a page never walks an index.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::{State, Timestamp};
use store::{Overview, StoreError};
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;

/// How often it is computed.
const EVERY: Duration = Duration::from_secs(5);

/// How old the numbers of boxes may be: counting them walks an index.
const BOXES_FOR: Duration = Duration::from_secs(60);

/// How far apart the points of a trend are, and how many there are: six hours.
const TREND_STEP: Duration = Duration::from_secs(10 * 60);
const TREND_POINTS: usize = 36;

/// Sealing keys, and how many boxes each has.
type Boxes = Vec<(String, u64)>;

/// What there was at a glance, last and before.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    kept: RwLock<Kept>,
    boxes: tokio::sync::Mutex<Option<(tokio::time::Instant, Boxes)>>,
}

#[derive(Debug, Default)]
struct Kept {
    latest: Option<Arc<Overview>>,
    trends: VecDeque<Point>,
    /// When the breaker was first seen open.
    breaker_since: Option<Timestamp>,
}

#[derive(Debug)]
struct Point {
    at: Timestamp,
    states: store::StateCounts,
    hosts: Vec<(String, u64)>,
}

impl Glance {
    /// Computes it now, and then again and again until the shutdown.
    pub(crate) async fn keep(&self, auth: &Auth, ended: &CancellationToken) {
        loop {
            if let Err(error) = self.compute(auth).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the overview can't be computed");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = ended.cancelled() => return,
            }
        }
    }

    /// The latest; it is computed if there is none yet.
    pub(crate) async fn latest(&self, auth: &Auth) -> Result<Arc<Overview>, StoreError> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).latest.clone();
        match kept {
            Some(overview) => Ok(overview),
            None => self.compute(auth).await,
        }
    }

    /// How many boxes there are for each sealing key, as of a minute ago at the most.
    pub(super) async fn boxes(&self, auth: &Auth) -> Result<Vec<(String, u64)>, StoreError> {
        let mut kept = self.boxes.lock().await;
        if let Some((at, boxes)) = kept.as_ref()
            && at.elapsed() < BOXES_FOR
        {
            return Ok(boxes.clone());
        }
        let boxes = auth.store().boxes_by_key().await?;
        *kept = Some((tokio::time::Instant::now(), boxes.clone()));
        Ok(boxes)
    }

    async fn compute(&self, auth: &Auth) -> Result<Arc<Overview>, StoreError> {
        let overview = Arc::new(auth.store().overview(auth.now()).await?);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let point = Point {
            at: overview.at,
            states: overview.states,
            hosts: overview.hosts.iter().take(20).map(|host| (host.host.clone(), host.states.retrying)).collect(),
        };
        kept.breaker_since = auth.breaker_open().then(|| kept.breaker_since.unwrap_or(overview.at));
        // The newest point is always now; the others keep their distance.
        if kept.trends.len() >= 2
            && let Some(before) = kept.trends.get(kept.trends.len() - 2)
            && point.at.since(before.at) < TREND_STEP
        {
            kept.trends.pop_back();
        }
        kept.trends.push_back(point);
        if kept.trends.len() > TREND_POINTS {
            kept.trends.pop_front();
        }
        kept.latest = Some(Arc::clone(&overview));
        Ok(overview)
    }

    /// Since when the breaker has been open, to a few seconds; none if it is closed.
    pub(crate) fn breaker_since(&self) -> Option<Timestamp> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).breaker_since
    }

    /// How many sessions were in a state, the oldest point first.
    pub(crate) fn trend(&self, state: State) -> Vec<u64> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.trends.iter().map(|point| point.states.of(state)).collect()
    }

    /// How many sessions of a host retried.
    pub(crate) fn host_trend(&self, host: &str) -> Vec<u64> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let of = |point: &Point| point.hosts.iter().find(|(name, _)| name == host).map_or(0, |(_, retrying)| *retrying);
        kept.trends.iter().map(of).collect()
    }
}
