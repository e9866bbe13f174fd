//! The order of texts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Texts here are ids and names, compared byte by byte. In PostgreSQL a database's own order is a language's, in which a
/// range of ids is another one, and which no index on a prefix follows. Columns that have that order get the other one;
/// where they have it already, nothing is done.
const BYTES: &str = r#"
DO $$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT c.table_name, c.column_name, c.character_maximum_length
        FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
        WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.table_name <> 'seaql_migrations'
            AND c.data_type = 'character varying' AND c.character_maximum_length IS NOT NULL
            AND c.collation_name IS DISTINCT FROM 'C'
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE varchar(%s) COLLATE "C"',
            col.table_name, col.column_name, col.character_maximum_length);
    END LOOP;
END
$$
"#;

/// Has texts compared byte by byte, as SQLite does. It is called after [`Migrator`](crate::Migrator) is up.
///
/// # Errors
/// When the database fails.
pub async fn compare_bytes(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(BYTES).await?;
    }
    Ok(())
}
