//! What lists of sessions are sorted by, and the views of them that staff keep.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len, uuid, uuid_null};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Session {
    Table,
    Id,
    NodeId,
    MailHost,
    State,
    Reason,
    StateSince,
    NextAt,
}

#[derive(DeriveIden)]
enum SavedView {
    Table,
    Id,
    Owner,
    Name,
    Query,
    Sort,
    CreatedAt,
}

// Times are milliseconds since the Unix epoch.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // When something happens by itself. What has ended has the greatest time there is, so that it comes last and no
        // database has to be told where nulls go.
        let next_at = big_integer(Session::NextAt).default(i64::MAX).to_owned();
        manager.alter_table(Table::alter().table(Session::Table).add_column(next_at).to_owned()).await?;
        let least = if manager.get_database_backend() == DbBackend::Sqlite { "MIN" } else { "LEAST" };
        let never = i64::MAX;
        let fill = format!(
            "UPDATE session SET next_at = {least}(expires_at, COALESCE(wait_until, hold_until, {never}), \
             COALESCE(retry_at, {never})) WHERE end_reason IS NULL"
        );
        manager.get_connection().execute_unprepared(&fill).await?;
        session_indexes(manager).await?;

        let view = Table::create()
            .table(SavedView::Table)
            .col(uuid(SavedView::Id).primary_key())
            // Whose; none if it is everybody's.
            .col(uuid_null(SavedView::Owner))
            .col(string_len(SavedView::Name, 64))
            .col(string_len(SavedView::Query, 512))
            .col(string_len(SavedView::Sort, 32))
            .col(big_integer(SavedView::CreatedAt))
            .to_owned();
        manager.create_table(view).await?;
        let by_owner = Index::create()
            .name("saved_view_owner")
            .table(SavedView::Table)
            .col(SavedView::Owner)
            .col(SavedView::Name)
            .to_owned();
        manager.create_index(by_owner).await
    }
}

/// Each is a list in an order that is never sorted. A reason stands before the host now, so that one index is both the
/// sessions of a host and reason, and those of a reason by their hosts.
async fn session_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager.drop_index(Index::drop().name("session_host_reason").table(Session::Table).to_owned()).await?;
    let index = |name: &str| Index::create().name(name).table(Session::Table).to_owned();
    for index in [
        index("session_reason_host").col(Session::Reason).col(Session::MailHost).col(Session::Id).to_owned(),
        index("session_reason_since").col(Session::Reason).col(Session::StateSince).col(Session::Id).to_owned(),
        index("session_state_since").col(Session::State).col(Session::StateSince).col(Session::Id).to_owned(),
        index("session_state_next").col(Session::State).col(Session::NextAt).col(Session::Id).to_owned(),
        index("session_host_next")
            .col(Session::State)
            .col(Session::MailHost)
            .col(Session::NextAt)
            .col(Session::Id)
            .to_owned(),
        index("session_of_node").col(Session::NodeId).col(Session::Id).to_owned(),
    ] {
        manager.create_index(index).await?;
    }
    Ok(())
}
