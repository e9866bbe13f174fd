//! Opening a database: connections, pragmas, schema.

use std::time::Duration;

use migration::Migrator;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sea_orm_migration::MigratorTrait as _;

use crate::StoreError;

/// One connection that writes, and some that read. SQLite has one writer at a time anyway; the others lose nothing by it,
/// because the writer commits in groups.
pub(crate) struct Connections {
    pub(crate) write: DatabaseConnection,
    pub(crate) read: DatabaseConnection,
}

impl Connections {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { url: without_password(url), source };
        let write = Database::connect(options(url, 1)).await.map_err(failed)?;
        Migrator::up(&write, None).await.map_err(StoreError::Migrate)?;
        let read = Database::connect(options(url, 4)).await.map_err(failed)?;
        Ok(Self { write, read })
    }
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .connect_timeout(Duration::from_secs(10))
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(10))
                .pragma("journal_mode", "WAL")
                // A commit that was answered survives a power cut, not a crash of the process alone.
                .pragma("synchronous", "FULL")
                // 32 MB of log before it goes into the database: pages of indexes that change often go there once.
                .pragma("wal_autocheckpoint", "8000")
                // What is deleted is overwritten: a box that was destroyed is not in the file any more.
                .pragma("secure_delete", "ON")
                .pragma("temp_store", "MEMORY")
                .pragma("cache_size", "-16384")
        });
    options
}

fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn passwords_are_left_out() {
        assert_eq!(without_password("postgres://pinger:secret@db/pinger"), "postgres://…@db/pinger");
        assert_eq!(without_password("sqlite:///var/lib/pinger/pinger.db"), "sqlite:///var/lib/pinger/pinger.db");
    }
}
