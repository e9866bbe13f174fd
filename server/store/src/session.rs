//! What is written of sessions. Each function runs inside a transaction of the writer's.

use domain::{Dice, Event, Life, NodeId, PushTarget, Rules, SessionId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::entity::session::{self, Column, Entity};
use crate::outbox::NewPush;
use crate::record::{live_key, push_columns};
use crate::{NewSession, StoreError};

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
}

/// A change that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The session's revision from now on.
    pub revision: u64,
}

/// Stores a session, ends the one that it replaces, or finds that it is already there.
pub(crate) async fn register(db: &impl ConnectionTrait, new: &NewSession) -> Result<Registered, StoreError> {
    let key = live_key(&new.registration);
    let mut replaced = None;
    if let Some(mut old) = Entity::find().filter(Column::LiveKey.eq(&key)).one(db).await? {
        let id = SessionId::from_uuid(old.id);
        let mut life = old.life()?;
        if old.registration_hash == new.registration_hash {
            return Ok(Registered { id, generation: old.generation.unsigned_abs(), life, replaced });
        }
        // Being replaced is decided without rules or chance.
        life.apply(&Rules::default(), new.created_at, Dice(0), Event::Replaced);
        old.generation += 1;
        old.set_life(&life, new.created_at);
        write(db, old).await?;
        replaced = Some(id);
    }
    let row = new.clone().into_row();
    let (generation, life) = (row.generation.unsigned_abs(), new.life.clone());
    Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
    Ok(Registered { id: new.id, generation, life, replaced })
}

/// Writes a whole row.
async fn write(db: &impl ConnectionTrait, row: session::Model) -> Result<(), StoreError> {
    let id = row.id;
    let mut active = row.into_active_model().reset_all();
    active.id = ActiveValue::Unchanged(id);
    Entity::update(active).exec(db).await?;
    Ok(())
}

/// Changes a session by compare-and-set, and writes the push that follows from it.
pub(crate) async fn change(db: &impl ConnectionTrait, node: NodeId, change: &Change) -> Result<Applied, StoreError> {
    let found = Entity::find_by_id(change.id.as_uuid()).one(db).await?;
    let Some(mut row) = found.filter(|row| row.revision.unsigned_abs() == change.revision) else {
        return Err(StoreError::Conflict(change.id));
    };
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
    if let Some(push) = &change.push {
        crate::outbox::insert(db, node, &row, push, change.now).await?;
    }
    let (id, compared) = (row.id, row.revision - 1);
    let mut active = row.into_active_model().reset_all();
    active.id = ActiveValue::NotSet;
    // The row was read in this transaction, but databases with many writers let others change it until here.
    let updated = Entity::update_many()
        .set(active)
        .filter(Column::Id.eq(id))
        .filter(Column::Revision.eq(compared))
        .exec(db)
        .await?;
    if updated.rows_affected == 0 {
        return Err(StoreError::Conflict(change.id));
    }
    Ok(Applied { revision })
}

/// Takes up to `limit` live sessions that no node runs.
pub(crate) async fn claim(db: &impl ConnectionTrait, node: NodeId, limit: u64) -> Result<Vec<SessionId>, StoreError> {
    let ids: Vec<sea_orm::prelude::Uuid> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::NodeId.is_null())
        .filter(Column::LiveKey.is_not_null())
        .order_by_asc(Column::LiveKey)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    if !ids.is_empty() {
        Entity::update_many()
            .col_expr(Column::NodeId, Expr::value(node.as_uuid()))
            .filter(Column::Id.is_in(ids.iter().copied()))
            .filter(Column::NodeId.is_null())
            .exec(db)
            .await?;
    }
    Ok(ids.into_iter().map(SessionId::from_uuid).collect())
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

/// Deletes sessions that ended before `before`.
pub(crate) async fn purge(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, StoreError> {
    let deleted = Entity::delete_many().filter(Column::EndedAt.lt(before.as_millis())).exec(db).await?;
    Ok(deleted.rows_affected)
}
