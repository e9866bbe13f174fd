//! What is written of sessions. Each function runs inside a transaction of the writer's.

use domain::{Dice, Event, HostName, Life, NodeId, PushTarget, Rules, SessionId, Timestamp};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, Iterable as _,
    ModelTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};

use crate::entity::session::{self, Column, Entity};
use crate::outbox::NewPush;
use crate::record::{live_key, push_columns};
use crate::timeline::{self, Connection, Note, TimelineKind};
use crate::{NewSession, StoreError};

/// The most characters of a handshake that are kept.
const HANDSHAKE_MAX: usize = 2048;

/// What became of a registration.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The session: a new one, or the one that the very same request made before.
    pub id: SessionId,
    /// What its token is bound to.
    pub generation: u64,
    /// Where it is in its life.
    pub life: Life,
    /// The session that it replaced, if there was one.
    pub replaced: Option<SessionId>,
}

/// A change of one session, which holds only if nobody else changed it in between.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which session.
    pub id: SessionId,
    /// The revision that the change was made from.
    pub revision: u64,
    /// When.
    pub now: Timestamp,
    /// Its new life.
    pub life: Life,
    /// Its token is worth nothing from now on.
    pub token_dies: bool,
    /// Where pushes go from now on, if that changes.
    pub push_target: Option<PushTarget>,
    /// A push to write into the outbox.
    pub push: Option<NewPush>,
    /// What the timeline tells of it; that a push was queued is told anyway.
    pub notes: Vec<Note>,
}

/// A change that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The session's revision from now on.
    pub revision: u64,
}

/// A session that this node runs from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which session.
    pub id: SessionId,
    /// Nothing is to be done for it before then, unless it is changed. In the past or none: now.
    pub wait_until: Option<Timestamp>,
    /// Its mail server; none if the row has nothing that could be one.
    pub host: Option<HostName>,
    /// Until when staff want each of its episodes traced.
    pub trace_until: Option<Timestamp>,
}

/// Stores a session, ends the one that it replaces, or finds that it is already there.
pub(crate) async fn register(db: &impl ConnectionTrait, new: &NewSession) -> Result<Registered, StoreError> {
    let row = new.clone().into_row();
    let registered =
        Registered { id: new.id, generation: row.generation.unsigned_abs(), life: new.life.clone(), replaced: None };
    // Nearly always it is new, and one statement is enough.
    if insert(db, row.clone()).await? {
        return Ok(registered);
    }
    let key = live_key(&new.registration);
    let Some(old) = first(db, Entity::find().filter(Column::LiveKey.eq(&key))).await? else {
        return Err(StoreError::Conflict(new.id));
    };
    let (id, mut life) = (SessionId::from_uuid(old.id), old.life()?);
    if old.registration_hash == new.registration_hash {
        return Ok(Registered { id, generation: old.generation.unsigned_abs(), life, replaced: None });
    }
    // Being replaced is decided without rules or chance.
    life.apply(&Rules::default(), new.created_at, Dice(0), Event::Replaced);
    let mut ended = old.clone();
    ended.generation += 1;
    ended.set_life(&life, new.created_at);
    update(db, old, ended).await?;
    let note = Note::new(TimelineKind::Replaced).detail(new.id.to_string()).traced(new.traceparent.clone());
    timeline::insert(db, id.as_uuid(), new.created_at, [note]).await?;
    if insert(db, row).await? {
        Ok(Registered { replaced: Some(id), ..registered })
    } else {
        Err(StoreError::Conflict(new.id))
    }
}

/// Writes a new row and the first entry of its timeline, unless there is a live session of that key.
async fn insert(db: &impl ConnectionTrait, row: session::Model) -> Result<bool, StoreError> {
    let (id, at, lifetime) = (row.id, row.created_at, row.expires_at.saturating_sub(row.created_at));
    let note =
        Note::new(TimelineKind::Registered).numbers(row.uid_next, Some(lifetime)).traced(row.traceparent.clone());
    let unless_live = OnConflict::column(Column::LiveKey).do_nothing_on([Column::Id]).to_owned();
    let inserted = Entity::insert(row.into_active_model()).on_conflict(unless_live).exec_without_returning(db).await?;
    if inserted > 0 {
        timeline::insert(db, id, Timestamp::from_millis(at), [note]).await?;
    }
    Ok(inserted > 0)
}

/// Writes what is different in a row, if its revision is still the one that was read; answers whether it was.
async fn update(db: &impl ConnectionTrait, read: session::Model, row: session::Model) -> Result<bool, StoreError> {
    let (id, revision) = (read.id, read.revision);
    let mut active = read.into_active_model();
    // Naming a column is enough to have its indexes written.
    for column in Column::iter() {
        let value = row.get(column);
        if active.get(column).into_value().as_ref() != Some(&value) {
            active.set(column, value);
        }
    }
    // The row was read in this transaction, but databases with many writers let others change it until here.
    let updated = Entity::update_many()
        .set(active)
        .filter(Column::Id.eq(id))
        .filter(Column::Revision.eq(revision))
        .exec(db)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// The one row that a unique key selects.
///
/// sea-orm's own `one` adds `LIMIT ?`. Whatever SQLite's planner might look at, and that is one of those, makes it prepare
/// the statement anew each time (`sqlite3Reprepare`): most of what the statement costs, for nothing.
pub(crate) async fn first(
    db: &impl ConnectionTrait,
    select: Select<Entity>,
) -> Result<Option<session::Model>, StoreError> {
    Ok(select.all(db).await?.pop())
}

/// Changes a session by compare-and-set, and writes the push that follows from it.
pub(crate) async fn change(db: &impl ConnectionTrait, node: NodeId, change: &Change) -> Result<Applied, StoreError> {
    let found = first(db, Entity::find_by_id(change.id.as_uuid())).await?;
    let Some(read) = found.filter(|row| row.revision.unsigned_abs() == change.revision) else {
        return Err(StoreError::Conflict(change.id));
    };
    let mut row = read.clone();
    if let Some(target) = &change.push_target {
        let (service, token, topic, environment, push_type) = push_columns(target);
        row.push_service = service.to_owned();
        row.push_token = token.to_owned();
        row.push_topic = topic.to_owned();
        row.push_environment = environment.to_owned();
        row.push_type = push_type.to_owned();
    }
    if change.token_dies {
        row.generation += 1;
    }
    row.set_life(&change.life, change.now);
    let revision = row.revision.unsigned_abs();
    let mut notes = change.notes.clone();
    if let Some(push) = &change.push {
        crate::outbox::insert(db, node, &row, push, change.now).await?;
        notes.push(Note::push_queued(push.kind).traced(push.traceparent.clone()));
    }
    if !update(db, read, row).await? {
        return Err(StoreError::Conflict(change.id));
    }
    timeline::insert(db, change.id.as_uuid(), change.now, notes).await?;
    Ok(Applied { revision })
}

/// Writes what a connection told. The session may be gone by now.
pub(crate) async fn connected(
    db: &impl ConnectionTrait,
    id: SessionId,
    at: Timestamp,
    connection: &Connection,
) -> Result<(), StoreError> {
    let mut update = Entity::update_many()
        .col_expr(Column::ConnectedAt, Expr::value(at.as_millis()))
        .filter(Column::Id.eq(id.as_uuid()));
    if let Some(handshake) = &connection.handshake {
        update = update.col_expr(Column::Handshake, Expr::value(timeline::cut(handshake.clone(), HANDSHAKE_MAX)));
    }
    if update.exec(db).await?.rows_affected > 0 {
        timeline::insert(db, id.as_uuid(), at, [connection.note.clone()]).await?;
    }
    Ok(())
}

/// Writes what a connection told that came to nothing. The session may be gone by now.
pub(crate) async fn tried(db: &impl ConnectionTrait, id: SessionId, handshake: &str) -> Result<(), StoreError> {
    let kept = timeline::cut(handshake.to_owned(), HANDSHAKE_MAX);
    let update = Entity::update_many().col_expr(Column::Handshake, Expr::value(kept));
    update.filter(Column::Id.eq(id.as_uuid())).exec(db).await?;
    Ok(())
}

/// Has each episode of a session traced until `until`.
pub(crate) async fn trace(db: &impl ConnectionTrait, id: SessionId, until: Timestamp) -> Result<(), StoreError> {
    let update = Entity::update_many().col_expr(Column::TraceUntil, Expr::value(until.as_millis()));
    update.filter(Column::Id.eq(id.as_uuid())).exec(db).await?;
    Ok(())
}

/// Takes up to `limit` live sessions that no node runs.
pub(crate) async fn claim(db: &impl ConnectionTrait, node: NodeId, limit: u64) -> Result<Vec<Claimed>, StoreError> {
    type Row = (sea_orm::prelude::Uuid, Option<i64>, Option<i64>, String, Option<i64>);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .column(Column::Id)
        .column(Column::WaitUntil)
        .column(Column::UidValidity)
        .column(Column::MailHost)
        .column(Column::TraceUntil)
        .filter(Column::NodeId.is_null())
        .filter(Column::LiveKey.is_not_null())
        .order_by_asc(Column::LiveKey)
        .limit(limit)
        // Where there are several nodes, each takes what no other one is about to take.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .all(db)
        .await?;
    if !rows.is_empty() {
        Entity::update_many()
            .col_expr(Column::NodeId, Expr::value(node.as_uuid()))
            .filter(Column::Id.is_in(rows.iter().map(|(id, ..)| *id)))
            .filter(Column::NodeId.is_null())
            .exec(db)
            .await?;
    }
    let claimed = |(id, wait_until, uid_validity, host, trace_until): Row| Claimed {
        id: SessionId::from_uuid(id),
        // Without a baseline it does not wait: mail that comes in the meantime would be missed.
        wait_until: uid_validity.and(wait_until).map(Timestamp::from_millis),
        host: HostName::parse(&host).ok(),
        trace_until: trace_until.map(Timestamp::from_millis),
    };
    Ok(rows.into_iter().map(claimed).collect())
}

/// Gives back all sessions of a node, as at its start: whatever it ran before, it no longer does.
pub(crate) async fn release(db: &impl ConnectionTrait, node: NodeId) -> Result<u64, StoreError> {
    let released = Entity::update_many()
        .col_expr(Column::NodeId, Expr::value(Option::<sea_orm::prelude::Uuid>::None))
        .filter(Column::NodeId.eq(node.as_uuid()))
        .exec(db)
        .await?;
    Ok(released.rows_affected)
}

/// Deletes up to `limit` sessions that ended before `before`, with their timelines.
pub(crate) async fn purge(db: &impl ConnectionTrait, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let ids: Vec<sea_orm::prelude::Uuid> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::EndedAt.lt(before.as_millis()))
        .order_by_asc(Column::EndedAt)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    crate::entity::timeline::Entity::delete_many()
        .filter(crate::entity::timeline::Column::SessionId.is_in(ids.iter().copied()))
        .exec(db)
        .await?;
    let deleted = Entity::delete_many().filter(Column::Id.is_in(ids)).exec(db).await?;
    Ok(deleted.rows_affected)
}
