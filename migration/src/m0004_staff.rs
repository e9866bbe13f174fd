//! Staff: who may see the dashboard, where they are signed in, and the links by which they sign up.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, blob_null, string_len, string_len_null, text_null, uuid,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Staff {
    Table,
    Id,
    Name,
    Role,
    PasswordHash,
    PasswordChangedAt,
    TotpSecret,
    TotpStep,
    RecoveryCodes,
    CreatedAt,
    DisabledAt,
}

#[derive(DeriveIden)]
enum StaffSession {
    Table,
    IdHash,
    StaffId,
    CreatedAt,
    LastSeenAt,
    Address,
    UserAgent,
    Csrf,
    Factor,
}

#[derive(DeriveIden)]
enum Invite {
    Table,
    TokenHash,
    Role,
    CreatedBy,
    CreatedAt,
    ExpiresAt,
    UsedAt,
}

// Times are milliseconds since the Unix epoch.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let staff = Table::create()
            .table(Staff::Table)
            .col(uuid(Staff::Id).primary_key())
            .col(string_len(Staff::Name, 64).unique_key())
            .col(string_len(Staff::Role, 16))
            // Argon2id, in PHC's form.
            .col(string_len_null(Staff::PasswordHash, 255))
            .col(big_integer(Staff::PasswordChangedAt))
            // Sealed by the vault.
            .col(blob_null(Staff::TotpSecret))
            // The last step whose code was used.
            .col(big_integer_null(Staff::TotpStep))
            // Hashes of the codes that are left, with a space between them.
            .col(text_null(Staff::RecoveryCodes))
            .col(big_integer(Staff::CreatedAt))
            .col(big_integer_null(Staff::DisabledAt))
            .to_owned();
        manager.create_table(staff).await?;

        let session = Table::create()
            .table(StaffSession::Table)
            // SHA-256 of the cookie's value.
            .col(string_len(StaffSession::IdHash, 64).primary_key())
            .col(uuid(StaffSession::StaffId))
            .col(big_integer(StaffSession::CreatedAt))
            .col(big_integer(StaffSession::LastSeenAt))
            .col(string_len(StaffSession::Address, 64))
            .col(string_len(StaffSession::UserAgent, 255))
            .col(string_len(StaffSession::Csrf, 64))
            .col(string_len(StaffSession::Factor, 16))
            .to_owned();
        manager.create_table(session).await?;
        let by_staff = Index::create()
            .name("staff_session_staff")
            .table(StaffSession::Table)
            .col(StaffSession::StaffId)
            .col(StaffSession::CreatedAt)
            .to_owned();
        manager.create_index(by_staff).await?;

        let invite = Table::create()
            .table(Invite::Table)
            // SHA-256 of what the link carries.
            .col(string_len(Invite::TokenHash, 64).primary_key())
            .col(string_len(Invite::Role, 16))
            .col(string_len(Invite::CreatedBy, 64))
            .col(big_integer(Invite::CreatedAt))
            .col(big_integer(Invite::ExpiresAt))
            .col(big_integer_null(Invite::UsedAt))
            .to_owned();
        manager.create_table(invite).await
    }
}
