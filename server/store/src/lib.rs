//! Sessions and the outbox in a database: the only crate that names sea-orm.
//!
//! Everything that writes goes through one queue, whose worker commits many writes in one transaction (group commit): a
//! call is answered when the transaction that holds its write is durable. What reads goes past the queue.

mod audit;
mod bulk;
mod deliveries;
pub mod demo;
mod devices;
mod dialect;
mod entity;
mod error;
mod identity;
mod list;
mod mail_columns;
mod node;
mod open;
mod outbox;
mod overview;
mod passkey;
mod read;
mod record;
mod reset;
mod saved_view;
mod search;
mod session;
mod staff;
mod staff_act;
mod timeline;
mod view;
mod writer;

pub use audit::{AuditAction, AuditCheck, AuditEntry, AuditFault, AuditFilter, AuditPage, AuditStart, NewAudit};
pub use bulk::{BulkId, BulkOutcome, BulkProgress, BulkRecord, BulkRefusal, BulkStage, BulkStep, NewBulk};
pub use deliveries::{DeliveryFilter, DeliveryRow, Holder};
pub use devices::{DevicePage, DeviceRow};
pub use error::StoreError;
pub use identity::Identity;
pub use list::{Direction, ListPage, ListPart, Named, NotServed, SessionList, Sort, SortBy, SortCursor};
pub use node::{NodeBeat, NodeRecord};
pub use outbox::{Finish, NewPush, PushStatus};
pub use overview::{FailureGroup, HostHealth, Latency, Overview, PushMinute, StateCounts};
pub use passkey::{PASSKEYS_MAX, Passkey};
pub use record::{NewSession, SessionRecord};
pub use reset::PasswordReset;
pub use saved_view::{SavedView, ViewAct, ViewId, ViewRefusal};
pub use search::{Count, Cursor, Page, Paged, SessionFilter, SessionPage, Start, StateReason};
pub use session::{Applied, Change, Claimed, Registered};
pub use staff::{Factor, Invite, Role, SignIn, StaffId, StaffName, StaffRecord};
pub use staff_act::{Refusal, Spend, StaffAct};
pub use timeline::{Connection, Note, TimelineCursor, TimelineEntry, TimelineKind, TimelinePage};
pub use view::{PushView, SessionDetail, SessionRow};
pub use writer::Store;
