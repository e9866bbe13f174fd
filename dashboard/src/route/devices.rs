//! Devices and one device.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use store::{DeliveryFilter, Page, SessionFilter};

use super::sessions::{device_is, mailbox};
use super::{Asker, Data, delivery};
use crate::auth::Failure;
use crate::page::devices::{Device, DeviceRow, DeviceSession, Devices};
use crate::page::search::encode;
use crate::page::trouble::Trouble;
use crate::shell::Section;
use crate::why;

const PAGE: u64 = 50;
const DELIVERIES: u64 = 25;

/// What the list is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    id: String,
    after: Option<String>,
}

pub(super) async fn list(
    State(data): State<Data>,
    asker: Asker,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    // Ids have no spaces and at most 64 characters; what else was typed finds nothing.
    let prefix = asked.id.trim().to_owned();
    let page = data.store().devices(&prefix, asked.after.as_deref(), PAGE).await?;
    let from = |after: &str| format!("/devices?id={}&after={}", encode(&prefix), encode(after));
    let rows = page
        .rows
        .into_iter()
        .map(|of| {
            let (mark, state) = why::cell(&of.newest.life);
            DeviceRow {
                is: device_is(&of.newest),
                last_push: of.newest.last_push_at,
                user: of.newest.user,
                device: of.device,
                sessions: of.sessions,
                live: of.live,
                mark,
                state,
            }
        })
        .collect();
    let devices = Devices {
        now: data.now(),
        rows,
        first: asked.after.is_some().then(|| format!("/devices?id={}", encode(&prefix))),
        next: page.next.as_deref().map(from),
        prefix,
    };
    Ok(asker.show(&data, Section::Devices, "Devices", || devices.view()))
}

pub(super) async fn page(
    State(data): State<Data>,
    asker: Asker,
    Path((user, device)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let filter = SessionFilter { user: Some(user.clone()), device: Some(device.clone()), ..SessionFilter::default() };
    let sessions = data.store().find_sessions(&filter, Page::newest(PAGE)).await?.rows;
    let Some(newest) = sessions.first() else {
        return Ok(asker.trouble(&data, StatusCode::NOT_FOUND, Trouble::NoPage));
    };
    let is = device_is(newest);
    let breaker_open = asker.frame(&data, Section::Devices, "").breaker_open;
    let deliveries = data.store().deliveries(&DeliveryFilter::Device(device.clone()), Page::newest(DELIVERIES)).await?;
    let deliveries = deliveries
        .rows
        .into_iter()
        // Two users may have devices of one id.
        .filter(|row| row.holder.as_ref().is_none_or(|holder| holder.user == user))
        .map(|row| delivery::line(row, breaker_open, &data.traces))
        .collect();
    let sessions = sessions
        .into_iter()
        .map(|of| {
            let (mark, state) = why::cell(&of.life);
            DeviceSession {
                id: of.id.to_string(),
                mark,
                state,
                since: of.life.state_since,
                mailbox: mailbox(&of).to_owned(),
                host: of.mail.host().to_string(),
                last_push: of.last_push_at,
                next: of.life.deadline(),
                live: of.life.is_live(),
                context: of.context,
            }
        })
        .collect();
    let page = Device { now: data.now(), device, user, is, sessions, deliveries };
    Ok(asker.show(&data, Section::Devices, "Device", || page.view()))
}
