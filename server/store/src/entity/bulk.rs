//! The table `bulk`. Times are in milliseconds.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "bulk")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    pub(crate) node_id: Option<Uuid>,
    pub(crate) act: String,
    pub(crate) found_by: String,
    pub(crate) back: String,
    pub(crate) staff: String,
    pub(crate) address: String,
    pub(crate) reason: String,
    pub(crate) ordered_at: i64,
    pub(crate) stage: String,
    pub(crate) ended_at: Option<i64>,
    pub(crate) stopped_by: Option<String>,
    pub(crate) sessions: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
