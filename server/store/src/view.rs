//! Sessions as staff see them: everything but the credential and the push token.

use std::collections::HashMap;
use std::time::Duration;

use domain::{KeyId, Life, MailTarget, NodeId, Platform, SessionId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IdenStatic as _, Iterable as _, QueryFilter as _,
    QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::entity::session::{Column, Entity, Model};
use crate::{Store, StoreError};

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// The app's id of its user.
    pub user: String,
    /// The app's id of the device.
    pub device: String,
    /// The app's id of the account.
    pub context: String,
    /// What the device runs.
    pub platform: Platform,
    /// The system's version, as the device names it; may be empty.
    pub os_version: String,
    /// The app's version, as the device names it; may be empty.
    pub app_version: String,
    /// What is watched.
    pub mail: MailTarget,
    /// Where it is in its life: state, failure, deadlines, baseline.
    pub life: Life,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// When it was last connected to the mail server.
    pub connected_at: Option<Timestamp>,
    /// When the push service last took a push.
    pub last_push_at: Option<Timestamp>,
    /// The node that runs it.
    pub node: Option<NodeId>,
}

/// A session on its own page.
#[derive(Clone, Debug)]
pub struct SessionDetail {
    /// What a list shows.
    pub row: SessionRow,
    /// The app that admitted it.
    pub app: String,
    /// The keyed hash of the account's address.
    pub address_hash: String,
    /// What its token is bound to.
    pub generation: u64,
    /// What changes with each change.
    pub revision: u64,
    /// How long one wait at the mail server may last.
    pub response_timeout: Duration,
    /// The sealing key of the stored credential; none once it is destroyed.
    pub sealed_for: Option<KeyId>,
    /// Where pushes go.
    pub push: PushView,
    /// The last handshake with the mail server, as lines of JSON, if one was kept.
    pub handshake: Option<String>,
    /// Until when each of its episodes is traced.
    pub trace_until: Option<Timestamp>,
    /// The W3C trace context of the registration.
    pub traceparent: Option<String>,
}

/// A push target without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushView {
    /// The push service: `apns`.
    pub service: String,
    /// The app's name there.
    pub topic: String,
    /// `production` or `development`.
    pub environment: String,
    /// `alert` or `background`.
    pub kind: String,
    /// The token's last four characters.
    pub token_ends: String,
}

/// Reads sessions without what no page shows: boxes, tokens and handshakes stay in the database.
pub(crate) fn without_secrets(query: Select<Entity>) -> Select<Entity> {
    let query = query.select_only();
    Column::iter().fold(query, |query, column| match column {
        Column::BoxEncapsulatedKey | Column::BoxCiphertext => {
            query.expr_as(Expr::val(Option::<Vec<u8>>::None), column.as_str())
        }
        Column::Handshake | Column::BoxKeyId | Column::LiveKey => {
            query.expr_as(Expr::val(Option::<String>::None), column.as_str())
        }
        Column::PushToken | Column::RegistrationHash => query.expr_as(Expr::val(""), column.as_str()),
        // A registration may have kilobytes of them, and no page shows any.
        Column::EasBody | Column::EasNoChangeBody => query.expr_as(Expr::val(Vec::<u8>::new()), column.as_str()),
        Column::EasHeaders => query.expr_as(Expr::val(""), column.as_str()),
        column => query.column(column),
    })
}

/// The rows of a page, without secrets, in the order of `query`, which says which and how many.
///
/// First the ids alone, which an index of the filter has with its order, then those rows. PostgreSQL would rather walk the
/// primary key, with the rows beside it, and skip what doesn't match: it doesn't know that old sessions have ended, and that
/// a page of old ones that are watched is behind a hundred thousand others.
pub(crate) async fn rows(db: &impl ConnectionTrait, query: Select<Entity>) -> Result<Vec<Model>, DbErr> {
    let ids: Vec<Uuid> = query.select_only().column(Column::Id).into_tuple().all(db).await?;
    by_ids(db, &ids).await
}

/// The rows with these ids, without secrets, in the same order.
pub(crate) async fn by_ids(db: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<Model>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found = without_secrets(Entity::find().filter(Column::Id.is_in(ids.iter().copied()))).all(db).await?;
    let mut found: HashMap<Uuid, Model> = found.into_iter().map(|row: Model| (row.id, row)).collect();
    // What was deleted in between is on no page.
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

impl SessionRow {
    pub(crate) fn read(row: Model) -> Result<Self, StoreError> {
        let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        Ok(Self {
            id: SessionId::from_uuid(row.id),
            platform: Platform::parse(&row.platform).ok_or_else(|| row.corrupt("platform"))?,
            mail: row.mail()?,
            life: row.life()?,
            created_at: Timestamp::from_millis(row.created_at),
            ended_at: at(row.ended_at),
            connected_at: at(row.connected_at),
            last_push_at: at(row.last_push_at),
            node: row.node_id.map(NodeId::from_uuid),
            user: row.user_id,
            device: row.device_id,
            context: row.context,
            os_version: row.os_version,
            app_version: row.app_version,
        })
    }
}

impl SessionDetail {
    fn read(mut row: Model) -> Result<Self, StoreError> {
        let sealed_for = row.box_key_id.take().map(|id| KeyId::parse(&id)).transpose();
        let tail = row.push_token.len().saturating_sub(4);
        Ok(Self {
            sealed_for: sealed_for.map_err(|_| row.corrupt("box_key_id"))?,
            app: std::mem::take(&mut row.app_id),
            address_hash: std::mem::take(&mut row.address_hash),
            generation: row.generation.unsigned_abs(),
            revision: row.revision.unsigned_abs(),
            response_timeout: Duration::from_millis(row.response_timeout.unsigned_abs()),
            push: PushView {
                token_ends: row.push_token.get(tail..).unwrap_or_default().to_owned(),
                service: std::mem::take(&mut row.push_service),
                topic: std::mem::take(&mut row.push_topic),
                environment: std::mem::take(&mut row.push_environment),
                kind: std::mem::take(&mut row.push_type),
            },
            handshake: row.handshake.take(),
            trace_until: row.trace_until.map(Timestamp::from_millis),
            traceparent: row.traceparent.take(),
            row: SessionRow::read(row)?,
        })
    }
}

impl Store {
    /// A session for its own page.
    pub async fn session_detail(&self, id: SessionId) -> Result<Option<SessionDetail>, StoreError> {
        let row = crate::session::first(self.reader(), Entity::find_by_id(id.as_uuid())).await?;
        row.map(SessionDetail::read).transpose()
    }
}
