//! What happened to each session, what is shown of it, and what staff find it by.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string_len, string_len_null, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Timeline {
    Table,
    Id,
    SessionId,
    At,
    Kind,
    Detail,
    NumberA,
    NumberB,
    Staff,
    Traceparent,
}

#[derive(DeriveIden)]
enum Session {
    Table,
    Id,
    UserId,
    DeviceId,
    Context,
    MailHost,
    AddressHash,
    State,
    EndReason,
    EndedAt,
    Reason,
    Handshake,
    ConnectedAt,
    LastPushAt,
    TraceUntil,
}

#[derive(DeriveIden)]
enum Outbox {
    Table,
    Id,
    SessionId,
    Status,
    CreatedAt,
    DoneAt,
}

// Times are milliseconds since the Unix epoch.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Timeline::Table)
            .col(uuid(Timeline::Id).primary_key())
            .col(uuid(Timeline::SessionId))
            .col(big_integer(Timeline::At))
            .col(string_len(Timeline::Kind, 32))
            .col(string_len_null(Timeline::Detail, 512))
            .col(big_integer_null(Timeline::NumberA))
            .col(big_integer_null(Timeline::NumberB))
            .col(string_len_null(Timeline::Staff, 64))
            .col(string_len_null(Timeline::Traceparent, 64))
            .to_owned();
        manager.create_table(table).await?;
        let by_session = Index::create()
            .name("timeline_session")
            .table(Timeline::Table)
            .col(Timeline::SessionId)
            .col(Timeline::At)
            .col(Timeline::Id)
            .to_owned();
        manager.create_index(by_session).await?;

        // SQLite adds one column at a time.
        for column in [
            // Why the session is in its state: why it ended, else what failed; null if all is well.
            string_len_null(Session::Reason, 64),
            string_len_null(Session::Handshake, 2048),
            big_integer_null(Session::ConnectedAt),
            big_integer_null(Session::LastPushAt),
            big_integer_null(Session::TraceUntil),
        ] {
            manager.alter_table(Table::alter().table(Session::Table).add_column(column).to_owned()).await?;
        }
        manager
            .get_connection()
            .execute_unprepared("UPDATE session SET reason = COALESCE(end_reason, failure_code)")
            .await?;
        session_indexes(manager).await?;
        outbox_indexes(manager).await
    }
}

/// Ids sort by time, so each index that ends in the id is a list, newest first, that is never sorted.
async fn session_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for name in ["session_device", "session_address", "session_ended"] {
        manager.drop_index(Index::drop().name(name).table(Session::Table).to_owned()).await?;
    }
    let index = |name: &str| Index::create().name(name).table(Session::Table).to_owned();
    for index in [
        index("session_device").col(Session::DeviceId).col(Session::Id).to_owned(),
        index("session_address").col(Session::AddressHash).col(Session::Id).to_owned(),
        index("session_user").col(Session::UserId).col(Session::Id).to_owned(),
        index("session_context").col(Session::Context).col(Session::Id).to_owned(),
        index("session_host").col(Session::MailHost).col(Session::Id).to_owned(),
        // The overview counts along this one, past all that ended.
        index("session_host_state").col(Session::State).col(Session::MailHost).col(Session::Id).to_owned(),
        index("session_host_reason").col(Session::MailHost).col(Session::Reason).col(Session::Id).to_owned(),
        index("session_state").col(Session::State).col(Session::Id).to_owned(),
        index("session_reason").col(Session::Reason).col(Session::Id).to_owned(),
        index("session_ended").col(Session::EndedAt).col(Session::EndReason).to_owned(),
    ] {
        manager.create_index(index).await?;
    }
    Ok(())
}

async fn outbox_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for name in ["outbox_session", "outbox_done"] {
        manager.drop_index(Index::drop().name(name).table(Outbox::Table).to_owned()).await?;
    }
    let index = |name: &str| Index::create().name(name).table(Outbox::Table).to_owned();
    for index in [
        index("outbox_session").col(Outbox::SessionId).col(Outbox::Id).to_owned(),
        index("outbox_status").col(Outbox::Status).col(Outbox::Id).to_owned(),
        // How long pushes took is read from this index alone.
        index("outbox_done").col(Outbox::DoneAt).col(Outbox::Status).col(Outbox::CreatedAt).to_owned(),
    ] {
        manager.create_index(index).await?;
    }
    Ok(())
}
