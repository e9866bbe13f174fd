//! The outbox: a push is a row, written in the transaction that moves the session's baseline.

use domain::{Delivery, NodeId, PushId, PushKind, SessionId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::StoreError;
use crate::entity::outbox::{self, Column, Entity};
use crate::entity::session;
use crate::record::push_target;
use crate::timeline::{self, Note, TimelineKind};

/// The most characters of a push service's own id that are kept.
const PROVIDER_ID_MAX: usize = 64;

/// The most characters of what a push service said that are kept.
const REASON_MAX: usize = 128;

/// A push that is to be sent to a session's push target.
#[derive(Clone, Debug)]
pub struct NewPush {
    /// Its id.
    pub id: PushId,
    /// What it says.
    pub kind: PushKind,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// The W3C trace context of the episode that caused it.
    pub traceparent: Option<String>,
}

/// What became of a push for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushStatus {
    /// On its way.
    Queued,
    /// The push service took it.
    Accepted,
    /// The push service refused it.
    Refused,
    /// Its token is dead.
    Gone,
    /// It was not delivered in time.
    Expired,
}

impl PushStatus {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Queued, Self::Accepted, Self::Refused, Self::Gone, Self::Expired];

    /// Finds a status by its stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.as_str() == text)
    }

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Expired => "expired",
        }
    }
}

/// What one attempt to send a push led to.
#[derive(Clone, Debug)]
pub enum Finish {
    /// It is done.
    Done {
        /// How.
        status: PushStatus,
        /// The push service's own id of it.
        provider_id: Option<String>,
        /// What the push service said.
        reason: Option<String>,
    },
    /// It is tried again.
    Again {
        /// When.
        at: Timestamp,
        /// What the push service said.
        reason: String,
    },
}

pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    node: NodeId,
    session: &session::Model,
    push: &NewPush,
    now: Timestamp,
) -> Result<(), StoreError> {
    let kind = push.kind.as_str().to_owned();
    let row = outbox::Model {
        id: push.id.as_uuid(),
        session_id: session.id,
        context: session.context.clone(),
        kind,
        status: PushStatus::Queued.as_str().to_owned(),
        push_service: session.push_service.clone(),
        push_token: Some(session.push_token.clone()),
        push_topic: session.push_topic.clone(),
        push_environment: session.push_environment.clone(),
        push_type: session.push_type.clone(),
        // Whoever writes it is the first to send it.
        node_id: Some(node.as_uuid()),
        created_at: now.as_millis(),
        expires_at: push.expires_at.as_millis(),
        next_attempt_at: Some(now.as_millis()),
        attempts: 0,
        provider_id: None,
        reason: None,
        done_at: None,
        traceparent: push.traceparent.clone().filter(|text| text.len() <= 64),
    };
    Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
    Ok(())
}

/// Pushes of a node that are due, oldest first.
pub(crate) async fn due(
    db: &impl ConnectionTrait,
    node: NodeId,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows = Entity::find()
        .filter(Column::NodeId.eq(node.as_uuid()))
        .filter(Column::NextAttemptAt.lte(now.as_millis()))
        .order_by_asc(Column::NextAttemptAt)
        .limit(limit)
        .all(db)
        .await?;
    rows.into_iter().map(delivery).collect()
}

/// When the next push of a node is due.
pub(crate) async fn next_due(db: &impl ConnectionTrait, node: NodeId) -> Result<Option<Timestamp>, StoreError> {
    let at: Vec<Option<i64>> = Entity::find()
        .select_only()
        .column_as(Column::NextAttemptAt.min(), "next")
        .filter(Column::NodeId.eq(node.as_uuid()))
        .filter(Column::NextAttemptAt.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    Ok(at.into_iter().flatten().next().map(Timestamp::from_millis))
}

/// Finds a kind by its stable name.
pub(crate) fn kind(text: &str) -> Option<PushKind> {
    [PushKind::NewMail, PushKind::Register, PushKind::Test].into_iter().find(|kind| kind.as_str() == text)
}

fn delivery(row: outbox::Model) -> Result<Delivery, StoreError> {
    let corrupt = |column| StoreError::Corrupt { row: row.id.to_string(), column };
    let target = push_target(
        &row.id.to_string(),
        &row.push_service,
        row.push_token.as_deref().unwrap_or_default(),
        &row.push_topic,
        &row.push_environment,
        &row.push_type,
    )?;
    let kind = kind(&row.kind).ok_or_else(|| corrupt("kind"))?;
    Ok(Delivery {
        id: PushId::from_uuid(row.id),
        session: SessionId::from_uuid(row.session_id),
        kind,
        target,
        created_at: Timestamp::from_millis(row.created_at),
        expires_at: Timestamp::from_millis(row.expires_at),
        attempts: row.attempts.unsigned_abs(),
        context: row.context,
        traceparent: row.traceparent,
    })
}

/// Writes down what an attempt led to, in the session's timeline too. A push that is already done stays as it is.
pub(crate) async fn finish(
    db: &impl ConnectionTrait,
    id: PushId,
    now: Timestamp,
    finish: &Finish,
) -> Result<(), StoreError> {
    let found = Entity::find_by_id(id.as_uuid()).filter(Column::NextAttemptAt.is_not_null()).all(db).await?;
    let Some(row) = found.into_iter().next() else { return Ok(()) };
    let update = Entity::update_many()
        .filter(Column::Id.eq(id.as_uuid()))
        .filter(Column::NextAttemptAt.is_not_null())
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1));
    let update = match finish {
        Finish::Done { status, provider_id, reason } => update
            .col_expr(Column::Status, Expr::value(status.as_str()))
            .col_expr(Column::ProviderId, Expr::value(provider_id.clone().map(|id| timeline::cut(id, PROVIDER_ID_MAX))))
            .col_expr(Column::Reason, Expr::value(reason.clone().map(|reason| timeline::cut(reason, REASON_MAX))))
            .col_expr(Column::DoneAt, Expr::value(now.as_millis()))
            .col_expr(Column::NextAttemptAt, Expr::value(Option::<i64>::None))
            .col_expr(Column::PushToken, Expr::value(Option::<String>::None)),
        Finish::Again { at, reason } => update
            .col_expr(Column::NextAttemptAt, Expr::value(at.as_millis()))
            .col_expr(Column::Reason, Expr::value(timeline::cut(reason.clone(), REASON_MAX))),
    };
    if update.exec(db).await?.rows_affected == 0 {
        return Ok(());
    }
    if matches!(finish, Finish::Done { status: PushStatus::Accepted, .. }) {
        let update = session::Entity::update_many().filter(session::Column::Id.eq(row.session_id));
        update.col_expr(session::Column::LastPushAt, Expr::value(now.as_millis())).exec(db).await?;
    }
    timeline::insert(db, row.session_id, now, [note(&row, now, finish)]).await
}

/// What the timeline tells of an attempt.
fn note(row: &outbox::Model, now: Timestamp, finish: &Finish) -> Note {
    let (took, attempts) = (now.as_millis().saturating_sub(row.created_at), i64::from(row.attempts) + 1);
    let note = match finish {
        Finish::Again { at, reason } => {
            Note::new(TimelineKind::PushRetry).detail(reason).numbers(Some(at.as_millis()), Some(attempts))
        }
        Finish::Done { status, reason, .. } => {
            let kind = match status {
                PushStatus::Queued | PushStatus::Accepted => TimelineKind::PushAccepted,
                PushStatus::Refused | PushStatus::Expired => TimelineKind::PushRefused,
                PushStatus::Gone => TimelineKind::PushGone,
            };
            let expired = (*status == PushStatus::Expired).then(|| status.as_str().to_owned());
            let note = Note::new(kind).numbers(Some(took), Some(attempts));
            Note { detail: reason.clone().or(expired), ..note }
        }
    };
    note.traced(row.traceparent.clone())
}

/// Deletes up to `limit` pushes that were done before `before`.
pub(crate) async fn purge(db: &impl ConnectionTrait, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let ids: Vec<sea_orm::prelude::Uuid> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::DoneAt.lt(before.as_millis()))
        .order_by_asc(Column::DoneAt)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let deleted = Entity::delete_many().filter(Column::Id.is_in(ids)).exec(db).await?;
    Ok(deleted.rows_affected)
}
