//! Sessions that are watched over Exchange ActiveSync: the request, as the device made it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{blob_null, integer_null, text_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Session {
    Table,
    EasPath,
    EasHeaders,
    EasBody,
    EasNoChangeBody,
    EasHasty,
}

// All of them are null for IMAP. Host, port and mechanism are in the columns that were there.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for column in [
            // Path and query of the URL: at most 2,048 bytes.
            text_null(Session::EasPath),
            // One `name: value` a line.
            text_null(Session::EasHeaders),
            blob_null(Session::EasBody),
            blob_null(Session::EasNoChangeBody),
            // Polls in a row that were answered too early.
            integer_null(Session::EasHasty),
        ] {
            manager.alter_table(Table::alter().table(Session::Table).add_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
