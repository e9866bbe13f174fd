//! The nodes, as each tells of itself: a row that is written every few seconds while it runs. What a node runs stands in the
//! sessions; this says whether anybody is there to run it.

use domain::{NodeId, Timestamp};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use crate::entity::node::{ActiveModel, Column, Entity, Model};
use crate::{Store, StoreError};

/// The nodes that are told of at the most.
const NODES: u64 = 100;

/// The most bytes of a version that are kept.
const VERSION: usize = 32;

/// What a node tells of itself, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeBeat {
    /// What it runs, such as `0.3.1`: at most 32 bytes are kept.
    pub version: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// Now.
    pub seen_at: Timestamp,
    /// Whether this is the last time, because it was told to stop.
    pub stops: bool,
}

/// A node, as it told of itself last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Which.
    pub id: NodeId,
    /// What it runs.
    pub version: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it told of itself last, by its own clock.
    pub seen_at: Timestamp,
    /// When it was told to stop; none while it runs, or if it was killed.
    pub stopped_at: Option<Timestamp>,
}

impl From<Model> for NodeRecord {
    fn from(row: Model) -> Self {
        Self {
            id: NodeId::from_uuid(row.id),
            version: row.version,
            started_at: Timestamp::from_millis(row.started_at),
            seen_at: Timestamp::from_millis(row.seen_at),
            stopped_at: row.stopped_at.map(Timestamp::from_millis),
        }
    }
}

/// Writes what a node tells of itself in the place of what it told before.
pub(crate) async fn beat(db: &impl ConnectionTrait, node: NodeId, beat: &NodeBeat) -> Result<(), StoreError> {
    let row = ActiveModel {
        id: Set(node.as_uuid()),
        version: Set(crate::timeline::cut(beat.version.clone(), VERSION)),
        started_at: Set(beat.started_at.as_millis()),
        seen_at: Set(beat.seen_at.as_millis()),
        stopped_at: Set(beat.stops.then(|| beat.seen_at.as_millis())),
    };
    let again = OnConflict::column(Column::Id)
        .update_columns([Column::Version, Column::StartedAt, Column::SeenAt, Column::StoppedAt])
        .to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// Forgets nodes that were not seen since `before` and run nothing.
pub(crate) async fn purge(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, StoreError> {
    use crate::entity::session;

    let silent = Entity::find().filter(Column::SeenAt.lt(before.as_millis())).limit(NODES).all(db).await?;
    let mut forgotten = 0;
    for node in silent {
        let runs = session::Entity::find()
            .select_only()
            .expr(Expr::value(1))
            .filter(session::Column::NodeId.eq(node.id))
            .limit(1)
            .into_tuple::<i32>()
            .one(db)
            .await?;
        if runs.is_none() {
            let same = Condition::all().add(Column::Id.eq(node.id)).add(Column::SeenAt.eq(node.seen_at));
            forgotten += Entity::delete_many().filter(same).exec(db).await?.rows_affected;
        }
    }
    Ok(forgotten)
}

impl Store {
    /// The nodes that have told of themselves, the one that was seen last first: at most 100.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let rows = Entity::find().order_by_desc(Column::SeenAt).limit(NODES).all(self.reader()).await?;
        Ok(rows.into_iter().map(NodeRecord::from).collect())
    }
}
