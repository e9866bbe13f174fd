//! The page about pushes.

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use store::{Cursor, DeliveryFilter, Page, Paged, PushStatus, Start};

use super::sessions::{start, step};
use super::{Asker, Data, delivery, overview};
use crate::auth::Failure;
use crate::page::pushes::{Channel, Pushes, Show};
use crate::part::breaker::{Breaker, OpenBreaker};
use crate::shell::Section;

const PAGE: u64 = 50;

/// Before all ids.
const OLDEST: &str = "00000000000000000000000000000000";

/// What the page is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    show: String,
    older: Option<String>,
    newer: Option<String>,
}

pub(super) async fn page(
    State(data): State<Data>,
    asker: Asker,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let show = Show::parse(&asked.show);
    let filter = match show {
        Show::All => DeliveryFilter::All,
        Show::Waiting => DeliveryFilter::Status(PushStatus::Queued),
        Show::Refused => DeliveryFilter::Status(PushStatus::Refused),
        Show::Gone => DeliveryFilter::Status(PushStatus::Gone),
        Show::Expired => DeliveryFilter::Status(PushStatus::Expired),
    };
    let start = start(asked.older.as_deref(), asked.newer.as_deref());
    let Paged { rows, older, newer } = data.store().deliveries(&filter, Page::new(start, PAGE)).await?;
    let seen = data.glance.latest(&data.auth).await?;
    let breaker_open = asker.frame(&data, Section::Pushes, "").breaker_open;
    let newest = |status| {
        let data = data.clone();
        async move { data.store().deliveries(&DeliveryFilter::Status(status), Page::newest(1)).await }
    };
    let refused = newest(PushStatus::Refused).await?.rows.into_iter().next().and_then(|row| row.reason);
    let breaker = if breaker_open {
        let waits = newest(PushStatus::Queued).await?.rows.into_iter().next();
        let reason = waits.and_then(|row| row.reason).or_else(|| refused.clone());
        let open = data.handle.as_ref().and_then(backend::Handle::open_breaker);
        // The one that waits longest is the first to be given up.
        let oldest = Cursor::parse(OLDEST).map_or(Start::Newest, Start::NewerThan);
        let waiting = DeliveryFilter::Status(PushStatus::Queued);
        let oldest = data.store().deliveries(&waiting, Page::new(oldest, 1)).await?.rows.into_iter().next();
        Breaker {
            open: Some(OpenBreaker {
                reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
                cause: "The fault is ours: our key, our topic, our environment or our request".to_owned(),
                since: data.glance.breaker_since(),
                probe_at: open.and_then(|open| open.probe_at),
                waiting: seen.queued,
                first_lost_at: oldest.map(|row| row.expires_at),
            }),
        }
    } else {
        Breaker::default()
    };
    let sum = |of: fn(&store::PushMinute) -> u64| seen.minutes.iter().map(of).sum();
    let measured = overview::latency(&seen.latency);
    let channel = Channel {
        accepted: sum(|minute| minute.accepted),
        refused: sum(|minute| minute.refused),
        gone: sum(|minute| minute.gone),
        waiting: seen.queued,
        p95: measured.p95,
        trend: seen.minutes.iter().map(|minute| minute.accepted).collect(),
        last_refusal: refused,
    };
    let href = if show == Show::All { "/pushes".to_owned() } else { format!("/pushes?show={}", show.as_str()) };
    let pushes = Pushes {
        now: data.now(),
        breaker,
        channel,
        per_minute: overview::per_minute(&seen),
        latency: measured,
        show,
        deliveries: rows.into_iter().map(|row| delivery::line(row, breaker_open, &data.traces)).collect(),
        newer: step(&href, "newer", newer),
        older: step(&href, "older", older),
    };
    Ok(asker.show(&data, Section::Pushes, "Pushes", || pushes.view()))
}
