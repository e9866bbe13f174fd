//! The audit: who did or looked at what, one row after another, each with the hash of the one before it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len, string_len_null};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Audit {
    Table,
    Seq,
    At,
    Staff,
    Action,
    Subject,
    Reason,
    Address,
    PrevHash,
    Hash,
}

/// The chain shows what was changed; this keeps mistakes from changing it.
const NO_CHANGE: [&str; 2] = [
    "CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
];

const NO_CHANGE_POSTGRES: [&str; 2] = [
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$",
    "CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Audit::Table)
            // 1, 2, 3 and so on, without gaps.
            .col(big_integer(Audit::Seq).primary_key())
            .col(big_integer(Audit::At))
            .col(string_len(Audit::Staff, 64))
            .col(string_len(Audit::Action, 32))
            .col(string_len(Audit::Subject, 128))
            .col(string_len_null(Audit::Reason, 512))
            .col(string_len_null(Audit::Address, 64))
            .col(string_len(Audit::PrevHash, 64))
            .col(string_len(Audit::Hash, 64))
            .to_owned();
        manager.create_table(table).await?;
        let index = |name: &str| Index::create().name(name).table(Audit::Table).to_owned();
        for index in [
            index("audit_staff").col(Audit::Staff).col(Audit::Seq).to_owned(),
            index("audit_action").col(Audit::Action).col(Audit::Seq).to_owned(),
            index("audit_subject").col(Audit::Subject).col(Audit::Seq).to_owned(),
            index("audit_at").col(Audit::At).col(Audit::Seq).to_owned(),
        ] {
            manager.create_index(index).await?;
        }
        let triggers: &[&str] = match manager.get_database_backend() {
            DbBackend::Sqlite => &NO_CHANGE,
            DbBackend::Postgres => &NO_CHANGE_POSTGRES,
            _ => &[],
        };
        for trigger in triggers {
            manager.get_connection().execute_unprepared(trigger).await?;
        }
        Ok(())
    }
}
