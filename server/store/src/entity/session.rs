//! The table `session`. Times and durations are in milliseconds.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) app_id: String,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) context: String,
    pub(crate) platform: String,
    pub(crate) os_version: String,
    pub(crate) app_version: String,
    pub(crate) push_service: String,
    pub(crate) push_token: String,
    pub(crate) push_topic: String,
    pub(crate) push_environment: String,
    pub(crate) push_type: String,
    pub(crate) mail_kind: String,
    pub(crate) mail_host: String,
    pub(crate) mail_port: i32,
    pub(crate) mail_security: String,
    pub(crate) mail_mailbox: String,
    pub(crate) mail_mechanism: String,
    pub(crate) box_key_id: Option<String>,
    pub(crate) box_encapsulated_key: Option<Vec<u8>>,
    pub(crate) box_ciphertext: Option<Vec<u8>>,
    pub(crate) address_hash: String,
    pub(crate) registration_hash: String,
    pub(crate) live_key: Option<String>,
    pub(crate) generation: i64,
    pub(crate) revision: i64,
    pub(crate) node_id: Option<Uuid>,
    pub(crate) response_timeout: i64,
    pub(crate) state: String,
    pub(crate) end_reason: Option<String>,
    pub(crate) state_since: i64,
    pub(crate) wait_until: Option<i64>,
    pub(crate) retry_at: Option<i64>,
    pub(crate) hold_until: Option<i64>,
    pub(crate) owed: bool,
    pub(crate) silence: i32,
    pub(crate) attempts: i32,
    pub(crate) refusals: i32,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_evidence: Option<String>,
    pub(crate) failed_at: Option<i64>,
    pub(crate) unresolved_since: Option<i64>,
    pub(crate) uid_validity: Option<i64>,
    pub(crate) uid_next: Option<i64>,
    pub(crate) highest_modseq: Option<i64>,
    pub(crate) expires_at: i64,
    pub(crate) created_at: i64,
    pub(crate) ended_at: Option<i64>,
    pub(crate) traceparent: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) handshake: Option<String>,
    pub(crate) connected_at: Option<i64>,
    pub(crate) last_push_at: Option<i64>,
    pub(crate) trace_until: Option<i64>,
    pub(crate) next_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
