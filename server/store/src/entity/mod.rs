//! The tables as sea-orm sees them. `migration` makes them.

pub(crate) mod outbox;
pub(crate) mod session;
