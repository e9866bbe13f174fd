//! Views of the list of sessions that staff keep: a name, and what was searched for. Each is one member's own, or
//! everybody's.

use std::fmt;

use domain::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::entity::saved_view::{ActiveModel, Column, Entity, Model};
use crate::{NewAudit, StaffId, Store, StoreError, audit};

/// The most views that one member of staff has, and the most that everybody has.
const VIEWS: u64 = 20;

/// A saved view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewId(Uuid);

impl ViewId {
    /// A new id. It sorts by time.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Parses an id in its usual form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl Default for ViewId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ViewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// A view that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedView {
    /// Which.
    pub id: ViewId,
    /// Whose; none if it is everybody's.
    pub owner: Option<StaffId>,
    /// What it is called: at most 64 bytes.
    pub name: String,
    /// What is searched for, as staff type it: at most 512 bytes.
    pub query: String,
    /// In which order, as a URL has it; may be empty. At most 32 bytes.
    pub sort: String,
    /// When it was saved.
    pub created_at: Timestamp,
}

impl From<Model> for SavedView {
    fn from(row: Model) -> Self {
        Self {
            id: ViewId(row.id),
            owner: row.owner.map(StaffId),
            name: row.name,
            query: row.query,
            sort: row.sort,
            created_at: Timestamp::from_millis(row.created_at),
        }
    }
}

/// What is done to views. `owner` says whose they are: a member's own, or, if it is none, everybody's.
#[derive(Clone, Debug)]
pub enum ViewAct {
    /// Saves one.
    Save(SavedView),
    /// Gives one another name.
    Rename {
        /// Which.
        id: ViewId,
        /// Whose.
        owner: Option<StaffId>,
        /// The name from now on.
        name: String,
    },
    /// Removes one.
    Remove {
        /// Which.
        id: ViewId,
        /// Whose.
        owner: Option<StaffId>,
    },
}

/// Why it was not done. Nothing was written then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewRefusal {
    /// There is no such view of theirs.
    #[error("there is no such view")]
    Unknown,
    /// One of theirs has that name.
    #[error("there is a view of that name")]
    NameTaken,
    /// They have 20.
    #[error("there are 20 views, and no more are kept")]
    TooMany,
}

fn whose(owner: Option<StaffId>) -> Condition {
    Condition::all().add(match owner {
        Some(StaffId(owner)) => Column::Owner.eq(owner),
        None => Column::Owner.is_null(),
    })
}

async fn is_taken(db: &impl ConnectionTrait, owner: Option<StaffId>, name: &str) -> Result<bool, StoreError> {
    Ok(Entity::find().filter(whose(owner)).filter(Column::Name.eq(name)).count(db).await? > 0)
}

/// Does it, inside the writer's transaction.
pub(crate) async fn act(
    db: &impl ConnectionTrait,
    act: &ViewAct,
    entry: Option<&NewAudit>,
) -> Result<Result<(), ViewRefusal>, StoreError> {
    let changed = match act {
        ViewAct::Save(view) => {
            if is_taken(db, view.owner, &view.name).await? {
                return Ok(Err(ViewRefusal::NameTaken));
            }
            if Entity::find().filter(whose(view.owner)).count(db).await? >= VIEWS {
                return Ok(Err(ViewRefusal::TooMany));
            }
            let row = ActiveModel {
                id: Set(view.id.0),
                owner: Set(view.owner.map(|owner| owner.0)),
                name: Set(view.name.clone()),
                query: Set(view.query.clone()),
                sort: Set(view.sort.clone()),
                created_at: Set(view.created_at.as_millis()),
            };
            Entity::insert(row).exec_without_returning(db).await?
        }
        ViewAct::Rename { id, owner, name } => {
            if is_taken(db, *owner, name).await? {
                return Ok(Err(ViewRefusal::NameTaken));
            }
            let set = Entity::update_many().col_expr(Column::Name, Expr::value(name.clone()));
            set.filter(Column::Id.eq(id.0)).filter(whose(*owner)).exec(db).await?.rows_affected
        }
        ViewAct::Remove { id, owner } => {
            let delete = Entity::delete_many().filter(Column::Id.eq(id.0)).filter(whose(*owner));
            delete.exec(db).await?.rows_affected
        }
    };
    if changed == 0 {
        return Ok(Err(ViewRefusal::Unknown));
    }
    if let Some(entry) = entry {
        audit::append(db, entry).await?;
    }
    Ok(Ok(()))
}

impl Store {
    /// The views that a member of staff has: everybody's first, then their own, each by name. At most 40.
    pub async fn views_of(&self, owner: StaffId) -> Result<Vec<SavedView>, StoreError> {
        let either = Condition::any().add(Column::Owner.is_null()).add(Column::Owner.eq(owner.0));
        let rows = Entity::find().filter(either).order_by_asc(Column::Name).limit(2 * VIEWS).all(self.reader()).await?;
        let mut views: Vec<SavedView> = rows.into_iter().map(SavedView::from).collect();
        views.sort_by_key(|view| view.owner.is_some());
        Ok(views)
    }
}
