//! Sessions and the outbox in a database: the only crate that names sea-orm.
//!
//! Everything that writes goes through one queue, whose worker commits many writes in one transaction (group commit): a
//! call is answered when the transaction that holds its write is durable. What reads goes past the queue.

mod entity;
mod error;
mod open;
mod outbox;
mod read;
mod record;
mod session;
mod writer;

pub use error::StoreError;
pub use outbox::{Finish, NewPush, PushStatus};
pub use record::{NewSession, SessionRecord};
pub use session::{Applied, Change, Claimed, Registered};
pub use writer::Store;
