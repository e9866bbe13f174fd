//! Acts on many sessions, which go on where they were after a restart: the order, a row for each session in its turn, and
//! what became of it.

use std::fmt;

use domain::{NodeId, SessionId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use crate::entity::{bulk, bulk_item};
use crate::timeline::cut;
use crate::{NewAudit, Store, StoreError, audit};

/// How many may wait or run at once.
const UNDER_WAY: u64 = 10;

/// Sessions that are written or read at once.
const CHUNK: usize = 500;

/// The sessions that are named of those to which it was not done.
const NAMED: u64 = 20;

const WAITS: &str = "waits";
const RUNS: &str = "runs";
const DONE: &str = "done";
const STOPPED: &str = "stopped";

/// A bulk act, by a number that nobody guesses and the audit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BulkId(u64);

impl BulkId {
    /// An id of 64 bits of chance.
    pub const fn new(random: u64) -> Self {
        Self(random)
    }

    /// Parses an id as it is written: hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for BulkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is to be done, to what, for whom and why. What is longer than the store has room for is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBulk {
    /// Which.
    pub id: BulkId,
    /// What is done to each, by its word: at most 16 bytes.
    pub act: String,
    /// To which, in this order.
    pub sessions: Vec<SessionId>,
    /// By what they were found, for people: at most 512 characters.
    pub found_by: String,
    /// The list that it came from: a path of the dashboard's.
    pub back: String,
    /// Whose order: at most 64 characters.
    pub staff: String,
    /// From which address.
    pub address: String,
    /// Why, in the words of whoever ordered it: at most 512 characters.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Where a bulk act stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkStage {
    /// Others are before it.
    Waits,
    /// It is under way.
    Runs,
    /// All were looked at.
    Done {
        /// When that was.
        at: Timestamp,
    },
    /// Somebody stopped it.
    Stopped {
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
    },
}

/// One that was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRecord {
    /// Which.
    pub id: BulkId,
    /// What is done to each, by its word.
    pub act: String,
    /// To how many.
    pub sessions: u64,
    /// By what they were found.
    pub found_by: String,
    /// The list that it came from.
    pub back: String,
    /// Whose order.
    pub staff: String,
    /// From which address.
    pub address: String,
    /// Why; may be empty.
    pub reason: String,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// Where it stands.
    pub stage: BulkStage,
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What became of a session in a bulk act.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum BulkOutcome {
            $($(#[$doc])* $variant,)*
        }

        impl BulkOutcome {
            const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

outcomes! {
    /// It was done to it.
    Done = "done",
    /// It had ended meanwhile.
    Ended = "ended",
    /// It is not known any more.
    Unknown = "unknown",
    /// No node here watches it.
    NotWatched = "not_watched",
    /// The store failed.
    Failed = "failed",
}

/// How far a bulk act has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkProgress {
    /// To how many it was done.
    pub done: u64,
    /// How many had ended.
    pub ended: u64,
    /// How many are not known any more.
    pub unknown: u64,
    /// How many no node here watches.
    pub not_watched: u64,
    /// For how many the store failed.
    pub failed: u64,
    /// The first of those to which it was not done: at most 20.
    pub missed: Vec<(SessionId, BulkOutcome)>,
}

impl BulkProgress {
    /// How many were looked at.
    pub const fn seen(&self) -> u64 {
        self.done + self.ended + self.unknown + self.not_watched + self.failed
    }
}

/// What is written of bulk acts.
#[derive(Clone, Debug)]
pub enum BulkStep {
    /// Has one done by this node, after those that were ordered before.
    Order(Box<NewBulk>),
    /// Its turn has come.
    Begin(BulkId),
    /// The turn of one of its sessions is over.
    Did {
        /// Which.
        id: BulkId,
        /// The session's place.
        position: u32,
        /// What became of it.
        outcome: BulkOutcome,
    },
    /// All were looked at.
    End {
        /// Which.
        id: BulkId,
        /// When.
        at: Timestamp,
    },
    /// Somebody stops it. What was done stays done.
    Stop {
        /// Which.
        id: BulkId,
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
    },
}

/// Why a step was not written, or leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BulkRefusal {
    /// Ten wait or run already.
    #[error("ten bulk acts wait already")]
    Crowded,
    /// It is not under way (any more).
    #[error("the bulk act is not under way")]
    Over,
}

/// Does a step, inside the writer's transaction, with its entry in the audit.
pub(crate) async fn step(
    db: &impl ConnectionTrait,
    node: NodeId,
    step: &BulkStep,
    entry: Option<&NewAudit>,
) -> Result<Result<(), BulkRefusal>, StoreError> {
    let moved = match step {
        BulkStep::Order(new) => {
            let under_way = bulk::Entity::find().filter(bulk::Column::Stage.is_in([WAITS, RUNS])).count(db).await?;
            if under_way >= UNDER_WAY {
                return Ok(Err(BulkRefusal::Crowded));
            }
            order(db, node, new).await?;
            1
        }
        BulkStep::Begin(id) => moving(*id, &[WAITS, RUNS], RUNS).exec(db).await?.rows_affected,
        BulkStep::Did { id, position, outcome } => {
            bulk_item::Entity::update_many()
                .col_expr(bulk_item::Column::Outcome, Expr::value(outcome.as_str()))
                .filter(bulk_item::Column::BulkId.eq(id.to_string()))
                .filter(bulk_item::Column::Position.eq(*position))
                .exec(db)
                .await?;
            let runs = bulk::Entity::find_by_id(id.to_string()).filter(bulk::Column::Stage.eq(RUNS));
            runs.count(db).await?
        }
        BulkStep::End { id, at } => {
            let set = moving(*id, &[RUNS], DONE).col_expr(bulk::Column::EndedAt, Expr::value(at.as_millis()));
            set.exec(db).await?.rows_affected
        }
        BulkStep::Stop { id, at, by } => {
            let set = moving(*id, &[WAITS, RUNS], STOPPED)
                .col_expr(bulk::Column::EndedAt, Expr::value(at.as_millis()))
                .col_expr(bulk::Column::StoppedBy, Expr::value(cut(by.clone(), 64)));
            set.exec(db).await?.rows_affected
        }
    };
    if moved == 0 {
        return Ok(Err(BulkRefusal::Over));
    }
    if let Some(entry) = entry {
        audit::append(db, entry).await?;
    }
    Ok(Ok(()))
}

fn moving(id: BulkId, from: &[&str], to: &str) -> sea_orm::UpdateMany<bulk::Entity> {
    bulk::Entity::update_many()
        .col_expr(bulk::Column::Stage, Expr::value(to))
        .filter(bulk::Column::Id.eq(id.to_string()))
        .filter(bulk::Column::Stage.is_in(from.iter().copied()))
}

async fn order(db: &impl ConnectionTrait, node: NodeId, new: &NewBulk) -> Result<(), StoreError> {
    let row = bulk::ActiveModel {
        id: Set(new.id.to_string()),
        node_id: Set(Some(node.as_uuid())),
        act: Set(cut(new.act.clone(), 16)),
        found_by: Set(cut(new.found_by.clone(), 512)),
        back: Set(cut(new.back.clone(), 2048)),
        staff: Set(cut(new.staff.clone(), 64)),
        address: Set(cut(new.address.clone(), 64)),
        reason: Set(cut(new.reason.clone(), 512)),
        ordered_at: Set(new.at.as_millis()),
        stage: Set(WAITS.to_owned()),
        ended_at: Set(None),
        stopped_by: Set(None),
        sessions: Set(i32::try_from(new.sessions.len()).unwrap_or(i32::MAX)),
    };
    bulk::Entity::insert(row).exec_without_returning(db).await?;
    let item = |(position, session): (i32, &SessionId)| bulk_item::ActiveModel {
        bulk_id: Set(new.id.to_string()),
        position: Set(position),
        session_id: Set(session.as_uuid()),
        outcome: Set(None),
    };
    let items: Vec<_> = (0..).zip(&new.sessions).map(item).collect();
    for piece in items.chunks(CHUNK) {
        bulk_item::Entity::insert_many(piece.iter().cloned()).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Deletes up to `limit` that were over before `before`.
pub(crate) async fn purge(db: &impl ConnectionTrait, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let over: Vec<String> = bulk::Entity::find()
        .select_only()
        .column(bulk::Column::Id)
        .filter(bulk::Column::Stage.is_in([DONE, STOPPED]))
        .filter(bulk::Column::EndedAt.lt(before.as_millis()))
        // Each has up to a thousand sessions.
        .limit(limit.div_ceil(500))
        .into_tuple()
        .all(db)
        .await?;
    if over.is_empty() {
        return Ok(0);
    }
    let items = bulk_item::Entity::delete_many().filter(bulk_item::Column::BulkId.is_in(over.iter().cloned()));
    items.exec(db).await?;
    let deleted = bulk::Entity::delete_many().filter(bulk::Column::Id.is_in(over)).exec(db).await?;
    Ok(deleted.rows_affected)
}

impl TryFrom<bulk::Model> for BulkRecord {
    type Error = StoreError;

    fn try_from(row: bulk::Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { row: row.id.clone(), column };
        let ended_at = row.ended_at.map(Timestamp::from_millis);
        let stage = match (row.stage.as_str(), ended_at) {
            (WAITS, None) => BulkStage::Waits,
            (RUNS, None) => BulkStage::Runs,
            (DONE, Some(at)) => BulkStage::Done { at },
            (STOPPED, Some(at)) => BulkStage::Stopped { at, by: row.stopped_by.clone().unwrap_or_default() },
            _ => return Err(corrupt("stage")),
        };
        Ok(Self {
            id: BulkId::parse(&row.id).ok_or_else(|| corrupt("id"))?,
            act: row.act,
            sessions: u64::try_from(row.sessions).unwrap_or(0),
            found_by: row.found_by,
            back: row.back,
            staff: row.staff,
            address: row.address,
            reason: row.reason,
            ordered_at: Timestamp::from_millis(row.ordered_at),
            stage,
        })
    }
}

impl Store {
    /// A bulk act; none if there never was one of this id, or it was over so long ago that it is forgotten.
    pub async fn bulk(&self, id: BulkId) -> Result<Option<BulkRecord>, StoreError> {
        let row = bulk::Entity::find_by_id(id.to_string()).one(self.reader()).await?;
        row.map(BulkRecord::try_from).transpose()
    }

    /// The one that this node has to go on with, or to begin with, if there is one: what was begun first comes first.
    pub async fn next_bulk(&self) -> Result<Option<BulkRecord>, StoreError> {
        let row = bulk::Entity::find()
            .filter(bulk::Column::NodeId.eq(self.node().as_uuid()))
            .filter(bulk::Column::Stage.is_in([WAITS, RUNS]))
            .order_by_asc(bulk::Column::OrderedAt)
            .order_by_asc(bulk::Column::Id)
            .one(self.reader())
            .await?;
        row.map(BulkRecord::try_from).transpose()
    }

    /// The next sessions whose turn is not over, each with its place: at most 500.
    pub async fn bulk_rest(&self, id: BulkId) -> Result<Vec<(u32, SessionId)>, StoreError> {
        let rows: Vec<(i32, sea_orm::prelude::Uuid)> = bulk_item::Entity::find()
            .select_only()
            .column(bulk_item::Column::Position)
            .column(bulk_item::Column::SessionId)
            .filter(bulk_item::Column::BulkId.eq(id.to_string()))
            .filter(bulk_item::Column::Outcome.is_null())
            .order_by_asc(bulk_item::Column::Position)
            .limit(CHUNK as u64)
            .into_tuple()
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|(at, id)| (at.unsigned_abs(), SessionId::from_uuid(id))).collect())
    }

    /// How far one has come.
    pub async fn bulk_progress(&self, id: BulkId) -> Result<BulkProgress, StoreError> {
        let corrupt = || StoreError::Corrupt { row: id.to_string(), column: "outcome" };
        let mut progress = BulkProgress::default();
        let counts: Vec<(String, i64)> = bulk_item::Entity::find()
            .select_only()
            .column(bulk_item::Column::Outcome)
            .column_as(bulk_item::Column::Position.count(), "sessions")
            .filter(bulk_item::Column::BulkId.eq(id.to_string()))
            .filter(bulk_item::Column::Outcome.is_not_null())
            .group_by(bulk_item::Column::Outcome)
            .into_tuple()
            .all(self.reader())
            .await?;
        for (outcome, sessions) in counts {
            *match BulkOutcome::parse(&outcome).ok_or_else(corrupt)? {
                BulkOutcome::Done => &mut progress.done,
                BulkOutcome::Ended => &mut progress.ended,
                BulkOutcome::Unknown => &mut progress.unknown,
                BulkOutcome::NotWatched => &mut progress.not_watched,
                BulkOutcome::Failed => &mut progress.failed,
            } = sessions.unsigned_abs();
        }
        let missed = bulk_item::Entity::find()
            .filter(bulk_item::Column::BulkId.eq(id.to_string()))
            .filter(bulk_item::Column::Outcome.ne(BulkOutcome::Done.as_str()))
            .order_by_asc(bulk_item::Column::Position)
            .limit(NAMED)
            .all(self.reader())
            .await?;
        for row in missed {
            let outcome = row.outcome.as_deref().and_then(BulkOutcome::parse).ok_or_else(corrupt)?;
            progress.missed.push((SessionId::from_uuid(row.session_id), outcome));
        }
        Ok(progress)
    }
}
