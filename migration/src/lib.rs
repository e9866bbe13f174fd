//! The schema, as forward-only migrations. It is written so that SQLite, PostgreSQL and MySQL take it as it is.

#![allow(elided_lifetimes_in_paths, reason = "async_trait wants the trait's own spelling of lifetimes")]

use sea_orm_migration::prelude::*;

mod collation;
mod m0001_session;
mod m0002_outbox;
mod m0003_timeline;
mod m0004_staff;
mod m0005_audit;
mod m0006_passkey;
mod m0007_search;
mod m0008_speed;
mod m0009_eas;
mod m0012_node_bulk;

pub use collation::compare_bytes;

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_session::Migration),
            Box::new(m0002_outbox::Migration),
            Box::new(m0003_timeline::Migration),
            Box::new(m0004_staff::Migration),
            Box::new(m0005_audit::Migration),
            Box::new(m0006_passkey::Migration),
            Box::new(m0007_search::Migration),
            Box::new(m0008_speed::Migration),
            Box::new(m0009_eas::Migration),
            Box::new(m0012_node_bulk::Migration),
        ]
    }
}
