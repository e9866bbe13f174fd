//! Sessions and the outbox in a database: the only crate that names sea-orm.
