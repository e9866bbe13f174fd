//! Sessions.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, blob_null, boolean, integer, string_len, string_len_null, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Session {
    Table,
    Id,
    AppId,
    UserId,
    DeviceId,
    Context,
    Platform,
    OsVersion,
    AppVersion,
    PushService,
    PushToken,
    PushTopic,
    PushEnvironment,
    PushType,
    MailKind,
    MailHost,
    MailPort,
    MailSecurity,
    MailMailbox,
    MailMechanism,
    BoxKeyId,
    BoxEncapsulatedKey,
    BoxCiphertext,
    AddressHash,
    RegistrationHash,
    LiveKey,
    Generation,
    Revision,
    NodeId,
    ResponseTimeout,
    State,
    EndReason,
    StateSince,
    WaitUntil,
    RetryAt,
    HoldUntil,
    Owed,
    Silence,
    Attempts,
    Refusals,
    FailureCode,
    FailureEvidence,
    FailedAt,
    UnresolvedSince,
    UidValidity,
    UidNext,
    HighestModseq,
    ExpiresAt,
    CreatedAt,
    EndedAt,
    Traceparent,
}

// Times are milliseconds since the Unix epoch; durations are milliseconds.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Session::Table)
            .col(uuid(Session::Id).primary_key())
            .col(string_len(Session::AppId, 64))
            .col(string_len(Session::UserId, 64))
            .col(string_len(Session::DeviceId, 64))
            .col(string_len(Session::Context, 64))
            .col(string_len(Session::Platform, 16))
            .col(string_len(Session::OsVersion, 64))
            .col(string_len(Session::AppVersion, 64))
            .col(string_len(Session::PushService, 16))
            .col(string_len(Session::PushToken, 255))
            .col(string_len(Session::PushTopic, 255))
            .col(string_len(Session::PushEnvironment, 16))
            .col(string_len(Session::PushType, 16))
            .col(string_len(Session::MailKind, 16))
            .col(string_len(Session::MailHost, 253))
            .col(integer(Session::MailPort))
            .col(string_len(Session::MailSecurity, 16))
            .col(string_len(Session::MailMailbox, 255))
            .col(string_len(Session::MailMechanism, 16))
            // The box goes when the session ends.
            .col(string_len_null(Session::BoxKeyId, 64))
            .col(blob_null(Session::BoxEncapsulatedKey))
            .col(blob_null(Session::BoxCiphertext))
            .col(string_len(Session::AddressHash, 64))
            .col(string_len(Session::RegistrationHash, 64))
            // The (user, device, context) of a live session, so that there is one only; null once it has ended.
            .col(string_len_null(Session::LiveKey, 200))
            .col(big_integer(Session::Generation))
            .col(big_integer(Session::Revision))
            .col(uuid_null(Session::NodeId))
            .col(big_integer(Session::ResponseTimeout))
            .col(string_len(Session::State, 16))
            .col(string_len_null(Session::EndReason, 32))
            .col(big_integer(Session::StateSince))
            .col(big_integer_null(Session::WaitUntil))
            .col(big_integer_null(Session::RetryAt))
            .col(big_integer_null(Session::HoldUntil))
            .col(boolean(Session::Owed))
            .col(integer(Session::Silence))
            .col(integer(Session::Attempts))
            .col(integer(Session::Refusals))
            .col(string_len_null(Session::FailureCode, 64))
            .col(string_len_null(Session::FailureEvidence, 255))
            .col(big_integer_null(Session::FailedAt))
            .col(big_integer_null(Session::UnresolvedSince))
            .col(big_integer_null(Session::UidValidity))
            .col(big_integer_null(Session::UidNext))
            .col(big_integer_null(Session::HighestModseq))
            .col(big_integer(Session::ExpiresAt))
            .col(big_integer(Session::CreatedAt))
            .col(big_integer_null(Session::EndedAt))
            .col(string_len_null(Session::Traceparent, 64))
            .to_owned();
        manager.create_table(table).await?;
        let index = |name: &str| Index::create().name(name).table(Session::Table).to_owned();
        for index in [
            index("session_live_key").col(Session::LiveKey).unique().to_owned(),
            // A node claims what is live and has no node.
            index("session_node").col(Session::NodeId).col(Session::LiveKey).to_owned(),
            index("session_device").col(Session::DeviceId).col(Session::UserId).to_owned(),
            index("session_address").col(Session::AddressHash).to_owned(),
            index("session_ended").col(Session::EndedAt).to_owned(),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
