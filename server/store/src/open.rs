//! Opening a database: connections and schema.

use migration::Migrator;
use sea_orm::{Database, DatabaseConnection, DbErr, RuntimeErr};
use sea_orm_migration::MigratorTrait as _;

use crate::StoreError;
use crate::dialect::Dialect;

/// One connection that writes, and some that read. SQLite has one writer at a time anyway; the others lose nothing by it,
/// because the writer commits in groups.
pub(crate) struct Connections {
    pub(crate) dialect: Dialect,
    pub(crate) write: DatabaseConnection,
    pub(crate) read: DatabaseConnection,
}

impl Connections {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { url: without_password(url), source };
        let unknown = || DbErr::Conn(RuntimeErr::Internal("it is neither sqlite: nor postgres:".to_owned()));
        let (dialect, address) = Dialect::of_url(url).ok_or_else(|| failed(unknown()))?;
        let connect = async |connections| Database::connect(dialect.options(&address, connections)).await;
        let write = connect(1).await.map_err(failed)?;
        migrate(dialect, &write).await.map_err(StoreError::Migrate)?;
        let write = if dialect.writers() == 1 {
            write
        } else {
            let _ = write.close().await;
            connect(dialect.writers()).await.map_err(failed)?
        };
        let read = connect(dialect.readers()).await.map_err(failed)?;
        Ok(Self { dialect, write, read })
    }
}

/// `db` has one connection, which holds the lock.
async fn migrate(dialect: Dialect, db: &DatabaseConnection) -> Result<(), DbErr> {
    dialect.lock_schema(db).await?;
    Migrator::up(db, None).await?;
    migration::compare_bytes(db).await
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
