//! Further ways in: passkeys, the names that people have at a provider, and links by which a password is set anew.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob, string_len, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Passkey {
    Table,
    IdHash,
    CredentialId,
    StaffId,
    PublicKey,
    SignCount,
    Name,
    CreatedAt,
    LastUsedAt,
}

#[derive(DeriveIden)]
enum StaffIdentity {
    Table,
    IdHash,
    Issuer,
    Subject,
    StaffId,
    CreatedAt,
}

#[derive(DeriveIden)]
enum PasswordReset {
    Table,
    TokenHash,
    StaffId,
    CreatedBy,
    CreatedAt,
    ExpiresAt,
}

// Times are milliseconds since the Unix epoch.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let passkey = Table::create()
            .table(Passkey::Table)
            // SHA-256 of the credential's id, which may be longer than a database indexes.
            .col(string_len(Passkey::IdHash, 64).primary_key())
            .col(blob(Passkey::CredentialId))
            .col(uuid(Passkey::StaffId))
            // COSE (RFC 9052).
            .col(blob(Passkey::PublicKey))
            .col(big_integer(Passkey::SignCount))
            .col(string_len(Passkey::Name, 64))
            .col(big_integer(Passkey::CreatedAt))
            .col(big_integer_null(Passkey::LastUsedAt))
            .to_owned();
        manager.create_table(passkey).await?;

        let identity = Table::create()
            .table(StaffIdentity::Table)
            // SHA-256 of issuer and subject.
            .col(string_len(StaffIdentity::IdHash, 64).primary_key())
            .col(string_len(StaffIdentity::Issuer, 512))
            .col(string_len(StaffIdentity::Subject, 255))
            .col(uuid(StaffIdentity::StaffId))
            .col(big_integer(StaffIdentity::CreatedAt))
            .to_owned();
        manager.create_table(identity).await?;

        let reset = Table::create()
            .table(PasswordReset::Table)
            // SHA-256 of what the link carries.
            .col(string_len(PasswordReset::TokenHash, 64).primary_key())
            .col(uuid(PasswordReset::StaffId))
            .col(string_len(PasswordReset::CreatedBy, 64))
            .col(big_integer(PasswordReset::CreatedAt))
            .col(big_integer(PasswordReset::ExpiresAt))
            .to_owned();
        manager.create_table(reset).await?;

        let index = |name: &str| Index::create().name(name).to_owned();
        for index in [
            index("passkey_staff").table(Passkey::Table).col(Passkey::StaffId).to_owned(),
            index("staff_identity_staff").table(StaffIdentity::Table).col(StaffIdentity::StaffId).to_owned(),
            index("password_reset_staff").table(PasswordReset::Table).col(PasswordReset::StaffId).to_owned(),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
