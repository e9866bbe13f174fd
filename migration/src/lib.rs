//! The schema, as forward-only migrations.
