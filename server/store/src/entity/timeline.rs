//! The table `timeline`. Times are in milliseconds.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "timeline")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) at: i64,
    pub(crate) kind: String,
    pub(crate) detail: Option<String>,
    pub(crate) number_a: Option<i64>,
    pub(crate) number_b: Option<i64>,
    pub(crate) staff: Option<String>,
    pub(crate) traceparent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
