//! What can go wrong in the store.

use domain::SessionId;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be opened.
    #[error("the database {url} can't be opened")]
    Open {
        /// Which one, without a password.
        url: String,
        /// Why.
        #[source]
        source: sea_orm::DbErr,
    },
    /// The schema can't be brought up to date.
    #[error("the database's schema can't be brought up to date")]
    Migrate(#[source] sea_orm::DbErr),
    /// The database refused or is out of reach.
    #[error("the database failed")]
    Database(#[from] sea_orm::DbErr),
    /// Somebody else changed the session in between, or it isn't there.
    #[error("session {0} was changed in between")]
    Conflict(SessionId),
    /// A row holds what no version of ours has written.
    #[error("row {row} has a wrong {column}")]
    Corrupt {
        /// The row's id.
        row: String,
        /// The column.
        column: &'static str,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
