//! The nodes and when they were last seen; and acts on many sessions, which outlive the process that began them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, string_len, string_len_null, text, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Node {
    Table,
    Id,
    Version,
    StartedAt,
    SeenAt,
    StoppedAt,
}

#[derive(DeriveIden)]
enum Bulk {
    Table,
    Id,
    NodeId,
    Act,
    FoundBy,
    Back,
    Staff,
    Address,
    Reason,
    OrderedAt,
    Stage,
    EndedAt,
    StoppedBy,
    Sessions,
}

#[derive(DeriveIden)]
enum BulkItem {
    Table,
    BulkId,
    Position,
    SessionId,
    Outcome,
}

#[derive(DeriveIden)]
enum Session {
    Table,
    BoxKeyId,
    Id,
}

// Times are milliseconds since the Unix epoch.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let node = Table::create()
            .table(Node::Table)
            .col(uuid(Node::Id).primary_key())
            .col(string_len(Node::Version, 32))
            .col(big_integer(Node::StartedAt))
            .col(big_integer(Node::SeenAt))
            // Set by a stop that was asked for; none while it runs, and none if it was killed.
            .col(big_integer_null(Node::StoppedAt))
            .to_owned();
        manager.create_table(node).await?;
        bulk(manager).await?;
        // How many boxes a sealing key opens is counted in this alone.
        let by_key = Index::create()
            .name("session_box_key")
            .table(Session::Table)
            .col(Session::BoxKeyId)
            .col(Session::Id)
            .to_owned();
        manager.create_index(by_key).await
    }
}

async fn bulk(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let bulk = Table::create()
        .table(Bulk::Table)
        // 16 hexadecimal digits, which the audit names.
        .col(string_len(Bulk::Id, 16).primary_key())
        // Whose work it is.
        .col(uuid_null(Bulk::NodeId))
        .col(string_len(Bulk::Act, 16))
        .col(string_len(Bulk::FoundBy, 512))
        .col(text(Bulk::Back))
        .col(string_len(Bulk::Staff, 64))
        .col(string_len(Bulk::Address, 64))
        .col(string_len(Bulk::Reason, 512))
        .col(big_integer(Bulk::OrderedAt))
        .col(string_len(Bulk::Stage, 16))
        .col(big_integer_null(Bulk::EndedAt))
        .col(string_len_null(Bulk::StoppedBy, 64))
        .col(integer(Bulk::Sessions))
        .to_owned();
    manager.create_table(bulk).await?;
    let by_stage =
        Index::create().name("bulk_stage").table(Bulk::Table).col(Bulk::Stage).col(Bulk::OrderedAt).to_owned();
    manager.create_index(by_stage).await?;
    let item = Table::create()
        .table(BulkItem::Table)
        .col(string_len(BulkItem::BulkId, 16))
        // 0, 1, 2 and so on: the order in which it is done.
        .col(integer(BulkItem::Position))
        .col(uuid(BulkItem::SessionId))
        // None until its turn is over.
        .col(string_len_null(BulkItem::Outcome, 16))
        .primary_key(Index::create().col(BulkItem::BulkId).col(BulkItem::Position))
        .to_owned();
    manager.create_table(item).await
}
