//! Devices: what there is of each, by the app's name of it.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::dialect::is_storable;
use crate::entity::session::{Column, Entity, Model};
use crate::view::{SessionRow, without_secrets};
use crate::{Store, StoreError};

/// The most devices of one page.
const PAGE_MAX: u64 = 200;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// The app's id of it.
    pub device: String,
    /// How many sessions there are of it.
    pub sessions: u64,
    /// How many of them live.
    pub live: u64,
    /// The newest of them, which says what the device is.
    pub newest: SessionRow,
}

/// A page of devices, by their ids.
#[derive(Clone, Debug, Default)]
pub struct DevicePage {
    /// The devices.
    pub rows: Vec<DeviceRow>,
    /// After which id the next page begins, if there is one.
    pub next: Option<String>,
}

/// The ids of the devices that begin with `prefix`, after `after`.
pub(crate) fn ids(prefix: &str, after: Option<&str>, limit: u64) -> SelectStatement {
    let mut query = Query::select();
    query.distinct().column(Column::DeviceId).from(Entity);
    if !prefix.is_empty() {
        // Ids are printable ASCII: nothing that begins with the prefix is beyond this.
        let end = format!("{prefix}\u{7f}");
        query.and_where(Expr::col(Column::DeviceId).gte(prefix)).and_where(Expr::col(Column::DeviceId).lt(end));
    }
    if let Some(after) = after {
        query.and_where(Expr::col(Column::DeviceId).gt(after));
    }
    query.order_by(Column::DeviceId, sea_orm::Order::Asc).limit(limit).to_owned()
}

/// Of each device: its id, how many sessions, how many of them live, and the newest one.
pub(crate) fn summary(devices: &[String]) -> SelectStatement {
    let newest = Query::select()
        .column(("newest", Column::Id))
        .from_as(Entity, "newest")
        .and_where(Expr::col(("newest", Column::DeviceId)).equals((Entity, Column::DeviceId)))
        .order_by(("newest", Column::Id), sea_orm::Order::Desc)
        .limit(1)
        .to_owned();
    Query::select()
        .column((Entity, Column::DeviceId))
        .expr_as(Expr::col((Entity, Column::Id)).count(), "sessions")
        .expr_as(Expr::col((Entity, Column::LiveKey)).count(), "live")
        .expr_as(Expr::SubQuery(None, Box::new(newest.into())), "newest")
        .from(Entity)
        .and_where(Expr::col((Entity, Column::DeviceId)).is_in(devices))
        .group_by_col((Entity, Column::DeviceId))
        .to_owned()
}

impl Store {
    /// Devices whose id begins with `prefix` (all, if it is empty) and comes after `after`, in the order of their ids. At
    /// most 200.
    pub async fn devices(&self, prefix: &str, after: Option<&str>, limit: u64) -> Result<DevicePage, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        if !is_storable(prefix) || !after.is_none_or(is_storable) {
            return Ok(DevicePage::default());
        }
        let found = self.reader().query_all(&ids(prefix, after, limit + 1)).await?;
        let mut devices = found.iter().map(|row| row.try_get("", "device_id")).collect::<Result<Vec<String>, _>>()?;
        let mut next = None;
        if u64::try_from(devices.len()).unwrap_or(u64::MAX) > limit {
            devices.pop();
            next = devices.last().cloned();
        }
        if devices.is_empty() {
            return Ok(DevicePage::default());
        }
        let mut summaries = HashMap::new();
        for row in self.reader().query_all(&summary(&devices)).await? {
            let (sessions, live): (i64, i64) = (row.try_get("", "sessions")?, row.try_get("", "live")?);
            let newest: Uuid = row.try_get("", "newest")?;
            summaries.insert(newest, (sessions.unsigned_abs(), live.unsigned_abs()));
        }
        let newest = Entity::find().filter(Column::Id.is_in(summaries.keys().copied()));
        let newest: Vec<Model> = without_secrets(newest).all(self.reader()).await?;
        let mut rows = Vec::with_capacity(devices.len());
        for model in newest {
            let (sessions, live) = summaries.get(&model.id).copied().unwrap_or_default();
            let newest = SessionRow::read(model)?;
            rows.push(DeviceRow { device: newest.device.clone(), sessions, live, newest });
        }
        rows.sort_by(|a, b| a.device.cmp(&b.device));
        Ok(DevicePage { rows, next })
    }
}
