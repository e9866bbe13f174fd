//! Pushes as staff see them: the outbox's rows, without tokens.

use std::collections::HashMap;
use std::time::Duration;

use domain::{PushId, PushKind, SessionId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IdenStatic as _, Iterable as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select,
};

use crate::dialect::is_storable;
use crate::entity::outbox::{Column, Entity, Model};
use crate::entity::session;
use crate::{Page, Paged, PushStatus, Store, StoreError};

/// The most sessions of a device whose pushes are looked at.
const SESSIONS_OF_DEVICE: u64 = 500;

/// A push, on its way or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its id.
    pub id: PushId,
    /// The session that it is for.
    pub session: SessionId,
    /// The account, by the app's name.
    pub context: String,
    /// The user and the device, while the session is known.
    pub holder: Option<Holder>,
    /// What it says.
    pub kind: PushKind,
    /// What became of it.
    pub status: PushStatus,
    /// The push service: `apns`.
    pub service: String,
    /// `production` or `development`.
    pub environment: String,
    /// When the reason for it was seen.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// When it is tried next, while it is on its way.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was done.
    pub done_at: Option<Timestamp>,
    /// How often it has been tried.
    pub attempts: u32,
    /// The push service's own id of it.
    pub provider_id: Option<String>,
    /// What the push service said last.
    pub reason: Option<String>,
    /// The W3C trace context of the episode that caused it.
    pub traceparent: Option<String>,
}

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The app's id of the user.
    pub user: String,
    /// The app's id of the device.
    pub device: String,
}

impl DeliveryRow {
    /// From mail to push: from when the reason was seen until the push service took it.
    pub fn took(&self) -> Option<Duration> {
        self.done_at.filter(|_| self.status == PushStatus::Accepted).map(|done| done.since(self.created_at))
    }

    fn read(row: Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { row: row.id.to_string(), column };
        let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        Ok(Self {
            id: PushId::from_uuid(row.id),
            session: SessionId::from_uuid(row.session_id),
            kind: crate::outbox::kind(&row.kind).ok_or_else(|| corrupt("kind"))?,
            status: PushStatus::parse(&row.status).ok_or_else(|| corrupt("status"))?,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: Timestamp::from_millis(row.expires_at),
            next_attempt_at: at(row.next_attempt_at),
            done_at: at(row.done_at),
            attempts: row.attempts.unsigned_abs(),
            holder: None,
            context: row.context,
            service: row.push_service,
            environment: row.push_environment,
            provider_id: row.provider_id,
            reason: row.reason,
            traceparent: row.traceparent,
        })
    }
}

/// Which pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeliveryFilter {
    /// All.
    #[default]
    All,
    /// Those with this status.
    Status(PushStatus),
    /// A session's.
    Session(SessionId),
    /// A device's: those of its 500 newest sessions.
    Device(String),
}

/// The pushes that match, without tokens.
pub(crate) fn select(filter: &DeliveryFilter, sessions: Vec<uuid::Uuid>) -> Select<Entity> {
    let query = match filter {
        DeliveryFilter::All => Entity::find(),
        DeliveryFilter::Status(status) => Entity::find().filter(Column::Status.eq(status.as_str())),
        DeliveryFilter::Session(id) => Entity::find().filter(Column::SessionId.eq(id.as_uuid())),
        DeliveryFilter::Device(_) => Entity::find().filter(Column::SessionId.is_in(sessions)),
    };
    Column::iter().fold(query.select_only(), |query, column| match column {
        Column::PushToken => query.expr_as(Expr::val(Option::<String>::None), column.as_str()),
        column => query.column(column),
    })
}

impl Store {
    /// A page of pushes, newest first.
    pub async fn deliveries(&self, filter: &DeliveryFilter, page: Page) -> Result<Paged<DeliveryRow>, StoreError> {
        let sessions = match filter {
            DeliveryFilter::Device(device) => self.session_ids_of_device(device).await?,
            _ => Vec::new(),
        };
        let rows = page.ordered(select(filter, sessions), Column::Id).all(self.reader()).await?;
        let Paged { rows, older, newer } = Paged::cut(rows, &page, |row| row.id);
        let mut rows = rows.into_iter().map(DeliveryRow::read).collect::<Result<Vec<_>, _>>()?;
        self.add_holders(&mut rows).await?;
        Ok(Paged { rows, older, newer })
    }

    async fn session_ids_of_device(&self, device: &str) -> Result<Vec<uuid::Uuid>, StoreError> {
        let sessions = crate::SessionFilter { device: Some(device.to_owned()), ..crate::SessionFilter::default() };
        if !is_storable(device) {
            return Ok(Vec::new());
        }
        let ids = sessions.select().select_only().column(session::Column::Id);
        let newest = ids.order_by_desc(session::Column::Id).limit(SESSIONS_OF_DEVICE);
        Ok(newest.into_tuple().all(self.reader()).await?)
    }

    /// Says whose the pushes are, with one query for all of them.
    async fn add_holders(&self, rows: &mut [DeliveryRow]) -> Result<(), StoreError> {
        let found: Vec<(uuid::Uuid, String, String)> = session::Entity::find()
            .select_only()
            .columns([session::Column::Id, session::Column::UserId, session::Column::DeviceId])
            .filter(session::Column::Id.is_in(rows.iter().map(|row| row.session.as_uuid())))
            .into_tuple()
            .all(self.reader())
            .await?;
        let holders: HashMap<_, _> =
            found.into_iter().map(|(id, user, device)| (id, Holder { user, device })).collect();
        for row in rows {
            row.holder = holders.get(&row.session.as_uuid()).cloned();
        }
        Ok(())
    }
}
