//! The tables as sea-orm sees them. `migration` makes them.

pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod bulk_item;
pub(crate) mod invite;
pub(crate) mod node;
pub(crate) mod outbox;
pub(crate) mod passkey;
pub(crate) mod password_reset;
pub(crate) mod saved_view;
pub(crate) mod session;
pub(crate) mod staff;
pub(crate) mod staff_identity;
pub(crate) mod staff_session;
pub(crate) mod timeline;
