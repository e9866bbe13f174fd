//! What a session *is*: ids, registration, states, the machine `(now, event) -> effects`, failures with their remedies,
//! push outcomes.
//!
//! This crate does no I/O, reads no clock and rolls no dice: times and chance are handed in. Everything in it can be
//! tested without a server, and is.

mod failure;
mod id;
mod life;
mod login_budget;
mod machine;
mod mail;
mod poll;
mod push;
mod registration;
mod time;

pub use failure::{Evidence, Failure, FailureClass, FailureCode};
pub use id::{AppId, Context, DeviceId, IdError, KeyId, NodeId, PushId, SessionId, UserId};
pub use life::{Connect, EndReason, Life, Phase, State};
pub use login_budget::{AccountKey, Admission, LoginBudget, LoginOutcome, LoginRules};
pub use machine::{Dice, Effects, Event, Rules};
pub use mail::{Baseline, HostName, ImapTarget, MailTarget, Mailbox, Mechanism, News, Security, TargetError};
pub use poll::{PollBounds, Rhythm};
pub use push::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, Delivery, PushKind, PushOutcome, PushReason, PushTarget, TokenError,
};
pub use registration::{Device, Limits, Platform, Registration, SealedBox, Timings, VersionText};
pub use time::Timestamp;
