//! The timeline: what happened to a session, one row each, written in the transaction that changes the session. A ping that
//! finds nothing leaves no row.

use std::time::Duration;

use domain::{EndReason, Failure, FailureCode, PushId, PushKind, SessionId, Timestamp};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::entity::timeline::{self, Column, Entity};
use crate::{Store, StoreError};

/// The most characters of a detail that are kept.
const DETAIL_MAX: usize = 512;

/// The most entries of one page.
const PAGE_MAX: u64 = 200;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What an entry of the timeline tells. For each: what its detail and its numbers `a` and `b` are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum TimelineKind {
            $($(#[$doc])* $variant,)*
        }

        impl TimelineKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, as the store has it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Finds a kind by its stable name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// The device registered. a: the UIDNEXT that it had seen, if it said; b: the lifetime, in ms.
    Registered = "registered",
    /// The device registered the account anew. Detail: the session that replaced this one.
    Replaced = "replaced",
    /// The device is awake. a: for how long, in ms; zero acknowledges a push. b: the UIDNEXT that it had seen, if it said.
    Deferred = "deferred",
    /// Connected and logged in to the mail server. a: how long that took, in ms; b: the mailbox's UIDNEXT.
    Connected = "connected",
    /// There is new mail. a: UIDNEXT before; b: UIDNEXT after. Detail: `renumbered` if the mailbox got a new UIDVALIDITY.
    MailSeen = "mail_seen",
    /// A push was put into the outbox. Detail: what it says, `new_mail` or `register`.
    PushQueued = "push_queued",
    /// The push service took a push. a: how long after it was queued, in ms; b: the number of tries.
    PushAccepted = "push_accepted",
    /// The push service refused a push, or it was not delivered in time (`expired`). Detail: its reason; a, b as above.
    PushRefused = "push_refused",
    /// A push is tried again. Detail: the push service's reason; a: when, in ms since the epoch; b: the number of tries.
    PushRetry = "push_retry",
    /// The push service says that the token is dead. Detail: its reason; a: how long after it was queued, in ms.
    PushGone = "push_gone",
    /// The mail server can't be watched. Detail: the failure's code, a space, the evidence. a: when it is tried again, in ms
    /// since the epoch, if it is.
    Failed = "failed",
    /// The session ended. Detail: the reason, one of [`EndReason`].
    Ended = "ended",
    /// The server's IDLE kept quiet about mail, and the mailbox is polled from now on.
    IdleDistrusted = "idle_distrusted",
    /// Staff asked for a ping.
    PingForced = "ping_forced",
    /// What a forced ping found. Detail: a failure as above, or nothing; a: UIDNEXT before; b: UIDNEXT after.
    PingDone = "ping_done",
    /// Staff sent a test push. Detail: the push's id.
    TestPush = "test_push",
    /// Staff looked at the session. Detail: the reason they gave, if any.
    Viewed = "viewed",
    /// Staff have each episode traced. a: until when, in ms since the epoch.
    TraceOn = "trace_on",
}

/// An entry of a timeline that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it tells.
    pub kind: TimelineKind,
    /// The variable part, or the other side's own words, redacted; at most 512 characters are kept.
    pub detail: Option<String>,
    /// See [`TimelineKind`].
    pub a: Option<i64>,
    /// See [`TimelineKind`].
    pub b: Option<i64>,
    /// The member of staff who caused it.
    pub staff: Option<String>,
    /// The W3C trace context of the episode.
    pub traceparent: Option<String>,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Note {
    /// A note with nothing but its kind.
    pub const fn new(kind: TimelineKind) -> Self {
        Self { kind, detail: None, a: None, b: None, staff: None, traceparent: None }
    }

    /// With a detail.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// With numbers.
    #[must_use]
    pub fn numbers(self, a: Option<i64>, b: Option<i64>) -> Self {
        Self { a, b, ..self }
    }

    /// Caused by a member of staff.
    #[must_use]
    pub fn staff(self, staff: Option<String>) -> Self {
        Self { staff, ..self }
    }

    /// In an episode.
    #[must_use]
    pub fn traced(self, traceparent: Option<String>) -> Self {
        Self { traceparent, ..self }
    }

    /// The device is awake.
    pub fn deferred(wait: Duration, seen: Option<u32>) -> Self {
        Self::new(TimelineKind::Deferred).numbers(Some(millis(wait)), seen.map(i64::from))
    }

    /// Connected and logged in.
    pub fn connected(took: Duration, uid_next: u32) -> Self {
        Self::new(TimelineKind::Connected).numbers(Some(millis(took)), Some(i64::from(uid_next)))
    }

    /// There is new mail.
    pub fn mail_seen(before: u32, after: u32) -> Self {
        Self::new(TimelineKind::MailSeen).numbers(Some(i64::from(before)), Some(i64::from(after)))
    }

    /// The mail server can't be watched.
    pub fn failed(failure: &Failure, retry_at: Option<Timestamp>) -> Self {
        Self::new(TimelineKind::Failed)
            .detail(format!("{} {}", failure.code, failure.evidence.as_str()).trim_end().to_owned())
            .numbers(retry_at.map(Timestamp::as_millis), None)
    }

    /// The session ended.
    pub fn ended(reason: EndReason) -> Self {
        Self::new(TimelineKind::Ended).detail(reason.as_str())
    }

    /// A push was put into the outbox.
    pub(crate) fn push_queued(kind: PushKind) -> Self {
        Self::new(TimelineKind::PushQueued).detail(kind.as_str())
    }

    /// Staff sent a test push.
    pub fn test_push(push: PushId) -> Self {
        Self::new(TimelineKind::TestPush).detail(push.to_string())
    }

    pub(crate) fn into_row(self, session: Uuid, at: Timestamp) -> timeline::Model {
        timeline::Model {
            // Where two entries have one time, the ids keep them in order.
            id: Uuid::now_v7(),
            session_id: session,
            at: at.as_millis(),
            kind: self.kind.as_str().to_owned(),
            detail: self.detail.map(|detail| cut(detail, DETAIL_MAX)),
            number_a: self.a,
            number_b: self.b,
            staff: self.staff.map(|staff| cut(staff, 64)),
            traceparent: self.traceparent.filter(|text| text.len() <= 64),
        }
    }
}

/// At most `max` characters, without the one that PostgreSQL has none of.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    text.retain(|character| character != '\0');
    match text.char_indices().nth(max) {
        None => text,
        Some((at, _)) => text[..at].to_owned(),
    }
}

/// What was learnt while connecting, for staff to see. It is written when the writer gets to it, and nobody waits for it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The entry for the timeline.
    pub note: Note,
    /// The handshake, as lines of JSON, redacted; at most 2,048 characters are kept. None leaves the last one.
    pub handshake: Option<String>,
}

/// Where a page of a timeline begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineCursor {
    at: Timestamp,
    id: Uuid,
}

impl std::fmt::Display for TimelineCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at.as_millis(), self.id.as_simple())
    }
}

impl TimelineCursor {
    /// Reads a cursor as [`Display`](std::fmt::Display) writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self { at: Timestamp::from_millis(at.parse().ok()?), id: Uuid::try_parse(id).ok()? })
    }
}

/// An entry of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// Its place.
    pub cursor: TimelineCursor,
    /// When.
    pub at: Timestamp,
    /// What it tells, and the rest of it.
    pub note: Note,
}

impl TimelineEntry {
    /// The failure that it tells of, with the evidence, if it does.
    pub fn failure(&self) -> Option<(FailureCode, &str)> {
        let detail = self.note.detail.as_deref()?;
        if !matches!(self.note.kind, TimelineKind::Failed | TimelineKind::PingDone) {
            return None;
        }
        let (code, evidence) = detail.split_once(' ').unwrap_or((detail, ""));
        FailureCode::parse(code).map(|code| (code, evidence))
    }

    /// Why the session ended, if it tells that.
    pub fn end_reason(&self) -> Option<EndReason> {
        let detail = self.note.detail.as_deref().filter(|_| self.note.kind == TimelineKind::Ended)?;
        EndReason::parse(detail)
    }
}

/// A page of a timeline, newest first.
#[derive(Clone, Debug, Default)]
pub struct TimelinePage {
    /// The entries.
    pub entries: Vec<TimelineEntry>,
    /// Where the older ones begin, if there are any.
    pub older: Option<TimelineCursor>,
}

/// Writes entries.
pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    session: Uuid,
    at: Timestamp,
    notes: impl IntoIterator<Item = Note>,
) -> Result<(), StoreError> {
    let rows: Vec<_> = notes.into_iter().map(|note| note.into_row(session, at).into_active_model()).collect();
    if !rows.is_empty() {
        Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

/// The entries of a session, newest first.
pub(crate) fn select(session: SessionId, before: Option<TimelineCursor>, limit: u64) -> sea_orm::Select<Entity> {
    let mut query = Entity::find().filter(Column::SessionId.eq(session.as_uuid()));
    if let Some(before) = before {
        // The first half is what an index can begin at; a comparison of pairs is not everywhere.
        query = query
            .filter(Column::At.lte(before.at.as_millis()))
            .filter(Condition::any().add(Column::At.lt(before.at.as_millis())).add(Column::Id.lt(before.id)));
    }
    query.order_by_desc(Column::At).order_by_desc(Column::Id).limit(limit)
}

fn entry(row: timeline::Model) -> Result<TimelineEntry, StoreError> {
    let at = Timestamp::from_millis(row.at);
    let kind = TimelineKind::parse(&row.kind)
        .ok_or_else(|| StoreError::Corrupt { row: row.id.to_string(), column: "kind" })?;
    Ok(TimelineEntry {
        cursor: TimelineCursor { at, id: row.id },
        at,
        note: Note {
            kind,
            detail: row.detail,
            a: row.number_a,
            b: row.number_b,
            staff: row.staff,
            traceparent: row.traceparent,
        },
    })
}

impl Store {
    /// A page of a session's timeline, newest first: the newest entries, or those older than `before`. At most 200.
    pub async fn timeline(
        &self,
        session: SessionId,
        before: Option<TimelineCursor>,
        limit: u64,
    ) -> Result<TimelinePage, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = select(session, before, limit + 1).all(self.reader()).await?;
        let mut entries = rows.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let mut older = None;
        if u64::try_from(entries.len()).unwrap_or(u64::MAX) > limit {
            entries.pop();
            older = entries.last().map(|entry| entry.cursor);
        }
        Ok(TimelinePage { entries, older })
    }
}
