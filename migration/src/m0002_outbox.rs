//! The outbox: pushes on their way, and what became of them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer, string_len, string_len_null, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Outbox {
    Table,
    Id,
    SessionId,
    Context,
    Kind,
    Status,
    PushService,
    PushToken,
    PushTopic,
    PushEnvironment,
    PushType,
    NodeId,
    CreatedAt,
    ExpiresAt,
    NextAttemptAt,
    Attempts,
    ProviderId,
    Reason,
    DoneAt,
    Traceparent,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Outbox::Table)
            .col(uuid(Outbox::Id).primary_key())
            .col(uuid(Outbox::SessionId))
            .col(string_len(Outbox::Context, 64))
            .col(string_len(Outbox::Kind, 16))
            .col(string_len(Outbox::Status, 16))
            .col(string_len(Outbox::PushService, 16))
            // The token goes when the push is done.
            .col(string_len_null(Outbox::PushToken, 255))
            .col(string_len(Outbox::PushTopic, 255))
            .col(string_len(Outbox::PushEnvironment, 16))
            .col(string_len(Outbox::PushType, 16))
            .col(uuid_null(Outbox::NodeId))
            .col(big_integer(Outbox::CreatedAt))
            .col(big_integer(Outbox::ExpiresAt))
            // Null once it is done, so that the sender's index holds queued rows only at its front.
            .col(big_integer_null(Outbox::NextAttemptAt))
            .col(integer(Outbox::Attempts))
            .col(string_len_null(Outbox::ProviderId, 64))
            .col(string_len_null(Outbox::Reason, 128))
            .col(big_integer_null(Outbox::DoneAt))
            .col(string_len_null(Outbox::Traceparent, 64))
            .to_owned();
        manager.create_table(table).await?;
        let index = |name: &str| Index::create().name(name).table(Outbox::Table).to_owned();
        for index in [
            index("outbox_due").col(Outbox::NodeId).col(Outbox::NextAttemptAt).to_owned(),
            index("outbox_session").col(Outbox::SessionId).col(Outbox::CreatedAt).to_owned(),
            index("outbox_done").col(Outbox::DoneAt).to_owned(),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
