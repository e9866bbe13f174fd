//! The table `outbox`. Times are in milliseconds.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) context: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) push_service: String,
    pub(crate) push_token: Option<String>,
    pub(crate) push_topic: String,
    pub(crate) push_environment: String,
    pub(crate) push_type: String,
    pub(crate) node_id: Option<Uuid>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) next_attempt_at: Option<i64>,
    pub(crate) attempts: i32,
    pub(crate) provider_id: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) done_at: Option<i64>,
    pub(crate) traceparent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
