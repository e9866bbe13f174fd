//! What the store knows of a push, as pages show it.

use std::time::Duration;

use domain::Timestamp;
use store::{DeliveryRow, PushStatus};

use super::Traces;
use crate::page::delivery::Delivery;
use crate::why::{Fate, LastPush};
use crate::words;

/// What became of a push.
pub(super) fn fate(row: &DeliveryRow, breaker_open: bool) -> Fate {
    let reason = || row.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
    let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match row.status {
        PushStatus::Queued if row.attempts == 0 && !breaker_open => Fate::Queued,
        PushStatus::Queued if breaker_open => Fate::Waits { reason: reason() },
        PushStatus::Queued => Fate::Retrying { next: row.next_attempt_at, reason: reason() },
        PushStatus::Accepted => Fate::Accepted { millis: row.took().map(millis) },
        PushStatus::Refused => Fate::Refused { reason: reason() },
        PushStatus::Gone => Fate::Gone { reason: reason() },
        PushStatus::Expired => Fate::Expired,
    }
}

/// `APNs, production`
pub(super) fn channel(service: &str, environment: &str) -> String {
    let service = if service == "apns" { words::APNS } else { service };
    format!("{service}, {environment}")
}

/// The newest push, for the sentence and the chain.
pub(super) fn last(row: &DeliveryRow, breaker_open: bool) -> LastPush {
    let at: Timestamp = row.done_at.unwrap_or(row.created_at);
    LastPush { at, fate: fate(row, breaker_open) }
}

/// A line of a table.
pub(super) fn line(row: DeliveryRow, breaker_open: bool, traces: &Traces) -> Delivery {
    let user = row.holder.as_ref().map(|holder| holder.user.clone());
    Delivery {
        at: row.created_at,
        kind: row.kind,
        fate: fate(&row, breaker_open),
        tries: row.attempts,
        session: row.session.to_string(),
        user,
        channel: channel(&row.service, &row.environment),
        provider_id: row.provider_id,
        trace: traces.link(row.traceparent.as_deref()),
    }
}
