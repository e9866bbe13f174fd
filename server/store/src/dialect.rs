//! Where databases differ. Everything else in this crate is SQL that SQLite, PostgreSQL and MySQL take alike.

use std::time::Duration;

use sea_orm::sea_query::{Expr, Func, SimpleExpr};
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{
    ColumnTrait, ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, SqlErr,
    SqliteTransactionMode, TransactionOptions,
};

/// A connection that was not used for so long is asked whether it still is one, before it is used.
const IDLE: Duration = Duration::from_secs(1);

/// The lock that a node holds while it brings the schema up to date: `pinger` in ASCII.
const MIGRATING: i64 = 0x0070_696e_6765_7200;

/// A database that this crate was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite: one file, one writer.
    Sqlite,
    /// PostgreSQL: any number of writers, which may be other nodes.
    Postgres,
}

impl Dialect {
    /// The dialect of a URL, and the URL as the driver wants it.
    pub(crate) fn of_url(url: &str) -> Option<(Self, String)> {
        let (scheme, rest) = url.split_once(':')?;
        match scheme {
            "sqlite" => Some((Self::Sqlite, url.to_owned())),
            "postgres" | "postgresql" => Some((Self::Postgres, format!("postgres:{rest}"))),
            _ => None,
        }
    }

    /// The dialect of an open connection.
    pub(crate) fn of(db: &DatabaseConnection) -> Self {
        match db.get_database_backend() {
            DbBackend::Postgres => Self::Postgres,
            _ => Self::Sqlite,
        }
    }

    /// Its name in traces, after the semantic conventions.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }

    /// How connections are made, and how many at the most.
    pub(crate) fn options(self, url: &str, connections: u32) -> ConnectOptions {
        let mut options = ConnectOptions::new(url);
        options.max_connections(connections).min_connections(1).test_before_acquire(false).sqlx_logging(false);
        match self {
            Self::Sqlite => {
                options
                    .connect_timeout(Duration::from_secs(10))
                    .acquire_timeout(Duration::from_secs(10))
                    .map_sqlx_sqlite_opts(|sqlite| {
                        sqlite
                            .create_if_missing(true)
                            .foreign_keys(true)
                            .busy_timeout(Duration::from_secs(10))
                            .pragma("journal_mode", "WAL")
                            // A commit that was answered survives a power cut, not a crash of the process alone.
                            .pragma("synchronous", "FULL")
                            // 32 MB of log before it goes into the database: pages of indexes that change often go
                            // there once.
                            .pragma("wal_autocheckpoint", "8000")
                            // What is deleted is overwritten: a box that was destroyed is not in the file any more.
                            .pragma("secure_delete", "ON")
                            .pragma("temp_store", "MEMORY")
                            .pragma("cache_size", "-16384")
                    });
            }
            Self::Postgres => {
                options
                    // While it is away, callers are told so before their deadline.
                    .connect_timeout(Duration::from_secs(3))
                    .acquire_timeout(Duration::from_secs(3))
                    .test_before_acquire_if_idle_for(IDLE)
                    .set_application_name("pinger")
                    .map_sqlx_postgres_opts(|postgres| {
                        postgres.options([
                            // Whatever the server's default is: a commit that was answered is on the disk.
                            ("synchronous_commit", "on"),
                            // Queries here are short; compiling one takes longer than running it.
                            ("jit", "off"),
                        ])
                    });
            }
        }
        options
    }

    /// How many connections write. PostgreSQL's second one is for when the first hangs.
    pub(crate) const fn writers(self) -> u32 {
        match self {
            Self::Sqlite => 1,
            Self::Postgres => 2,
        }
    }

    /// How many connections read.
    pub(crate) const fn readers(self) -> u32 {
        match self {
            Self::Sqlite => 4,
            Self::Postgres => 8,
        }
    }

    /// How long a transaction may take before the database is taken for gone, if that is known by its connection only.
    pub(crate) const fn patience(self) -> Option<Duration> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Duration::from_secs(30)),
        }
    }

    /// How the writer begins a transaction: where there is one writer, it takes the lock at once.
    pub(crate) fn transaction(self) -> TransactionOptions {
        let sqlite_transaction_mode = (self == Self::Sqlite).then_some(SqliteTransactionMode::Immediate);
        TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() }
    }

    /// Before the schema is looked at: other nodes that start in this moment wait. It ends with the connection.
    pub(crate) async fn lock_schema(self, db: &DatabaseConnection) -> Result<(), DbErr> {
        if self == Self::Postgres {
            db.execute_unprepared(&format!("SELECT pg_advisory_lock({MIGRATING})")).await?;
        }
        Ok(())
    }

    /// After a transaction that failed. When its disk is full or fails, SQLite rolls back by itself (“Response To Errors
    /// Within A Transaction” of its documentation), and sqlx takes the transaction for an open one still: the next would be
    /// a savepoint in it, answered and never committed. So the connection goes, and whatever it has open with it.
    pub(crate) async fn after_failure(self, db: &DatabaseConnection) {
        if self == Self::Sqlite {
            let closed = match db.get_sqlite_connection_pool().acquire().await {
                Ok(connection) => connection.close().await,
                Err(error) => Err(error),
            };
            if let Err(error) = closed {
                tracing::warn!(%error, "the connection of a failed transaction can't be closed");
            }
        }
    }

    /// After much was deleted. SQLite's log still has it, until it is cut; PostgreSQL looks after itself.
    pub(crate) async fn after_purge(self, db: &DatabaseConnection) -> Result<(), DbErr> {
        if self == Self::Sqlite {
            db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }
}

/// Whether a text can be in the store: none of ours has a NUL, and PostgreSQL takes none, not even to compare with.
pub(crate) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// A comparison that no index is used for, so that the database can't choose the wrong one: SQLite keeps no statistics
/// here, and then takes any index for as good as any other. A null is no value that is looked for.
pub(crate) fn by_row<C: ColumnTrait>(column: C, value: &str) -> SimpleExpr {
    use sea_orm::sea_query::ExprTrait as _;

    let column = Expr::col((column.entity_name(), column));
    Expr::expr(Func::coalesce([column, Expr::val("")])).eq(value)
}

/// Whether the database is out of reach, so that whatever else is asked of it now fails, too.
pub(crate) fn is_lost(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => match &**error {
            SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed => true,
            // PostgreSQL's classes: connections; shut down by an operator; too many connections.
            SqlxError::Database(error) => error.code().is_some_and(|code| {
                code.len() == 5 && ["08", "57P", "53300"].iter().any(|class| code.starts_with(class))
            }),
            _ => false,
        },
        _ => false,
    }
}

/// Whether other writers came between, so that the same transaction may well succeed when it is done over.
pub(crate) fn is_contested(error: &DbErr) -> bool {
    // Two nodes that write the next entry of the audit take the same number.
    if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
        return true;
    }
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => error
            .as_database_error()
            .and_then(|error| error.code())
            // A deadlock; a serialization failure.
            .is_some_and(|code| code == "40P01" || code == "40001"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn the_scheme_decides() {
        let of = |url| Dialect::of_url(url).map(|(dialect, url)| (dialect.name(), url));
        assert_eq!(of("sqlite:///a/b.db"), Some(("sqlite", "sqlite:///a/b.db".to_owned())));
        assert_eq!(of("postgresql://db/pinger"), Some(("postgresql", "postgres://db/pinger".to_owned())));
        assert_eq!(of("postgres://db/pinger"), Some(("postgresql", "postgres://db/pinger".to_owned())));
        assert_eq!(of("mysql://db/pinger"), None);
        assert_eq!(of("pinger.db"), None);
    }
}
