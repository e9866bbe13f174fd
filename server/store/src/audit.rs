//! The audit: who did or looked at what. Rows are only ever added. Each has the hash of the one before it in its own, so
//! that a row that was changed, removed or put in between is found by [`Store::verify_audit`].

use std::fmt::Write as _;

use domain::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use sha2::{Digest as _, Sha256};

use crate::dialect::is_storable;
use crate::entity::audit::{ActiveModel, Column, Entity, Model};
use crate::{Store, StoreError};

/// What stands before the first entry.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The most entries of one page.
const PAGE_MAX: u64 = 500;

/// How many entries are checked at once.
const CHUNK: u64 = 1_000;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[$doc])* $variant,)*
        }

        impl AuditAction {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, as the store has it: at most 32 bytes.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Finds an action by its stable name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

actions! {
    /// Signed in. Subject: with what.
    SignedIn = "signed_in",
    /// Was not let in. Subject: why.
    SignInRefused = "sign_in_refused",
    /// Tried so often that further tries are not looked at for a while. Subject: what was slowed down.
    SignInThrottled = "sign_in_throttled",
    /// Signed out.
    SignedOut = "signed_out",
    /// Signed up by a link. Subject: the role.
    SignedUp = "signed_up",
    /// Made a link for a new member of staff. Subject: the role.
    Invited = "invited",
    /// Changed their password.
    PasswordChanged = "password_changed",
    /// Set up codes of an authenticator.
    TotpSet = "totp_set",
    /// Switched codes of an authenticator off. Subject: whose.
    TotpRemoved = "totp_removed",
    /// Made new recovery codes.
    RecoveryRenewed = "recovery_renewed",
    /// Registered a passkey. Subject: its name.
    PasskeyAdded = "passkey_added",
    /// Removed a passkey. Subject: its name.
    PasskeyRemoved = "passkey_removed",
    /// Switched off all that somebody signs in with besides the password. Subject: whose.
    FactorsRemoved = "factors_removed",
    /// Connected their account with a provider. Subject: the provider.
    IdentityLinked = "identity_linked",
    /// Took their account and a provider apart. Subject: the provider.
    IdentityUnlinked = "identity_unlinked",
    /// Withdrew a link for signing up. Subject: the role.
    InviteWithdrawn = "invite_withdrawn",
    /// Made a link for a new password. Subject: whose.
    ResetOffered = "reset_offered",
    /// Set their password by such a link.
    PasswordReset = "password_reset",
    /// Changed a role. Subject: whose, from what to what.
    RoleChanged = "role_changed",
    /// Shut a member of staff out. Subject: whom.
    StaffDisabled = "staff_disabled",
    /// Let a member of staff in again. Subject: whom.
    StaffEnabled = "staff_enabled",
    /// Ended sign-ins. Subject: whose.
    SignInsEnded = "sign_ins_ended",
    /// Looked at a session. Subject: its id.
    SessionViewed = "session_viewed",
    /// Searched by an address. Subject: its keyed hash.
    AddressSearched = "address_searched",
    /// Took a list away as a file. Subject: which.
    Exported = "exported",
    /// Forced a ping. Subject: the session's id.
    PingForced = "ping_forced",
    /// Sent a test push. Subject: the session's id.
    TestPushSent = "test_push_sent",
    /// Destroyed a session's credential. Subject: its id.
    SessionRevoked = "session_revoked",
    /// Has a session traced. Subject: its id.
    TraceOn = "trace_on",
    /// Began to do something to many sessions at once. Subject: what, to how many, and found by what.
    BulkStarted = "bulk_started",
    /// Stopped that before its end. Subject: which.
    BulkStopped = "bulk_stopped",
    /// Had that done, to the last of them. Subject: which, and to how many it was done.
    BulkEnded = "bulk_ended",
    /// Saved, renamed or removed a view that everybody has. Subject: what, and which.
    ViewsChanged = "views_changed",
    /// Was refused something for want of a role. Subject: what.
    Forbidden = "forbidden",
}

/// An entry that is to be added. What is longer than the store has room for is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// Who, by name: at most 64 bytes.
    pub staff: String,
    /// What was done.
    pub action: AuditAction,
    /// To what, such as a session's id: at most 128 bytes.
    pub subject: String,
    /// Why, in the words of whoever did it: at most 512 bytes.
    pub reason: Option<String>,
    /// From which address: at most 64 bytes.
    pub address: Option<String>,
}

/// An entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// 1, 2, 3 and so on, without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who, by name.
    pub staff: String,
    /// What was done: the name of an [`AuditAction`], perhaps of a later version.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// The entry's hash, in hexadecimal.
    pub hash: String,
}

/// What to look for in the audit. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Who, by name.
    pub staff: Option<String>,
    /// What was done.
    pub action: Option<AuditAction>,
    /// To what, as a whole.
    pub subject: Option<String>,
    /// Then or later.
    pub since: Option<Timestamp>,
}

/// Which part of the audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditStart {
    /// The newest entries.
    #[default]
    Newest,
    /// Those before this one.
    OlderThan(i64),
    /// Those right after this one.
    NewerThan(i64),
}

/// A page of the audit, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where the older ones begin, if there are any.
    pub older: Option<i64>,
    /// Where the newer ones begin, if there may be any.
    pub newer: Option<i64>,
}

/// What checking the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditCheck {
    /// Nothing was changed, removed or put in between.
    Whole {
        /// How many entries there are; it is the last one's number, too.
        entries: i64,
        /// When the last one was written; none if there is none.
        newest: Option<Timestamp>,
        /// The last one's hash. Kept elsewhere, it shows later whether the end was cut off.
        hash: String,
    },
    /// The first entry that is not what was written.
    Broken {
        /// Its number.
        seq: i64,
        /// What is wrong.
        fault: AuditFault,
    },
}

/// What is wrong with an entry of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFault {
    /// It is not there, and later ones are.
    Missing,
    /// It doesn't follow the one before it.
    Unlinked,
    /// Its content was changed.
    Changed,
}

impl From<Model> for AuditEntry {
    fn from(row: Model) -> Self {
        Self {
            seq: row.seq,
            at: Timestamp::from_millis(row.at),
            staff: row.staff,
            action: row.action,
            subject: row.subject,
            reason: row.reason,
            address: row.address,
            hash: row.hash,
        }
    }
}

/// At most `max` bytes of a text, without control characters, which have no place in a line of a log.
fn cut(text: &str, max: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(max));
    for character in text.chars().map(|character| if character.is_control() { ' ' } else { character }) {
        if kept.len() + character.len_utf8() > max {
            break;
        }
        kept.push(character);
    }
    kept
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The hash of an entry: over everything in it, each part with its length before it, so that no two entries read the same.
fn hash(row: &Model) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"pinger audit 1");
    hasher.update(row.seq.to_be_bytes());
    hasher.update(row.at.to_be_bytes());
    let given = [&row.staff, &row.action, &row.subject, &row.prev_hash].map(|text| Some(text.as_str()));
    for part in given.into_iter().chain([row.reason.as_deref(), row.address.as_deref()]) {
        match part {
            None => hasher.update([0]),
            Some(text) => {
                hasher.update([1]);
                hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
                hasher.update(text.as_bytes());
            }
        }
    }
    hex(&hasher.finalize())
}

/// Adds an entry, inside the writer's transaction: nobody comes between reading the last one and writing the next.
pub(crate) async fn append(db: &impl ConnectionTrait, new: &NewAudit) -> Result<i64, StoreError> {
    let last = Entity::find().order_by_desc(Column::Seq).limit(1).one(db).await?;
    let (seq, prev_hash) = last.map_or((1, NO_HASH.to_owned()), |last| (last.seq + 1, last.hash));
    let mut row = Model {
        seq,
        at: new.at.as_millis(),
        staff: cut(&new.staff, 64),
        action: new.action.as_str().to_owned(),
        subject: cut(&new.subject, 128),
        reason: new.reason.as_deref().map(|reason| cut(reason, 512)),
        address: new.address.as_deref().map(|address| cut(address, 64)),
        prev_hash,
        hash: String::new(),
    };
    row.hash = hash(&row);
    let row = ActiveModel {
        seq: Set(row.seq),
        at: Set(row.at),
        staff: Set(row.staff),
        action: Set(row.action),
        subject: Set(row.subject),
        reason: Set(row.reason),
        address: Set(row.address),
        prev_hash: Set(row.prev_hash),
        hash: Set(row.hash),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(seq)
}

impl Store {
    /// A page of the audit.
    pub async fn audit_page(
        &self,
        filter: &AuditFilter,
        start: AuditStart,
        limit: u64,
    ) -> Result<AuditPage, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        if ![&filter.staff, &filter.subject].into_iter().flatten().all(|text| is_storable(text)) {
            return Ok(AuditPage { entries: Vec::new(), older: None, newer: None });
        }
        let mut query = Entity::find();
        if let Some(staff) = &filter.staff {
            query = query.filter(Column::Staff.eq(staff));
        }
        if let Some(action) = filter.action {
            query = query.filter(Column::Action.eq(action.as_str()));
        }
        if let Some(subject) = &filter.subject {
            query = query.filter(Column::Subject.eq(subject));
        }
        if let Some(since) = filter.since {
            query = query.filter(Column::At.gte(since.as_millis()));
        }
        query = match start {
            AuditStart::Newest => query.order_by_desc(Column::Seq),
            AuditStart::OlderThan(seq) => query.filter(Column::Seq.lt(seq)).order_by_desc(Column::Seq),
            AuditStart::NewerThan(seq) => query.filter(Column::Seq.gt(seq)).order_by_asc(Column::Seq),
        };
        let rows = query.limit(limit + 1).all(self.reader()).await?;
        let mut entries: Vec<AuditEntry> = rows.into_iter().map(AuditEntry::from).collect();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = entries.len() > limit;
        entries.truncate(limit);
        if matches!(start, AuditStart::NewerThan(_)) {
            entries.reverse();
        }
        let (first, last) = (entries.first().map(|entry| entry.seq), entries.last().map(|entry| entry.seq));
        let (older, newer) = match start {
            AuditStart::Newest => (last.filter(|_| more), None),
            AuditStart::OlderThan(seq) => (last.filter(|_| more), first.or(Some(seq - 1))),
            AuditStart::NewerThan(_) => (last, first.filter(|_| more)),
        };
        Ok(AuditPage { entries, older, newer })
    }

    /// Checks the whole chain, a piece at a time, up to the first entry that is not what was written.
    pub async fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        let (mut entries, mut newest, mut last) = (0, None, NO_HASH.to_owned());
        loop {
            let rows = Entity::find()
                .filter(Column::Seq.gt(entries))
                .order_by_asc(Column::Seq)
                .limit(CHUNK)
                .all(self.reader())
                .await?;
            if rows.is_empty() {
                // What has a number below 1 was never written by us.
                let stray = Entity::find().filter(Column::Seq.lt(1)).one(self.reader()).await?;
                return Ok(match stray {
                    Some(row) => AuditCheck::Broken { seq: row.seq, fault: AuditFault::Unlinked },
                    None => AuditCheck::Whole { entries, newest, hash: last },
                });
            }
            for row in rows {
                let seq = entries + 1;
                let fault = if row.seq != seq {
                    Some(AuditFault::Missing)
                } else if row.prev_hash != last {
                    Some(AuditFault::Unlinked)
                } else if row.hash != hash(&row) {
                    Some(AuditFault::Changed)
                } else {
                    None
                };
                if let Some(fault) = fault {
                    return Ok(AuditCheck::Broken { seq, fault });
                }
                (entries, newest, last) = (seq, Some(Timestamp::from_millis(row.at)), row.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(staff: &str, action: &str, reason: Option<&str>, address: Option<&str>) -> Model {
        Model {
            seq: 1,
            at: 2,
            staff: staff.to_owned(),
            action: action.to_owned(),
            subject: String::new(),
            reason: reason.map(str::to_owned),
            address: address.map(str::to_owned),
            prev_hash: NO_HASH.to_owned(),
            hash: String::new(),
        }
    }

    #[test]
    fn no_two_entries_have_the_same_hash() {
        let rows = [
            row("ab", "c", None, None),
            row("a", "bc", None, None),
            row("ab", "c", Some(""), None),
            row("ab", "c", None, Some("")),
            row("ab", "c", Some("x"), None),
            row("ab", "c", None, Some("x")),
        ];
        let hashes: std::collections::BTreeSet<String> = rows.iter().map(hash).collect();
        assert_eq!(hashes.len(), rows.len());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 5), "äö");
        assert_eq!(cut("a\r\nb", 64), "a  b");
    }

    #[test]
    fn names_of_actions_fit_and_are_found_again() {
        for action in AuditAction::ALL {
            assert!(action.as_str().len() <= 32);
            assert_eq!(AuditAction::parse(action.as_str()), Some(*action));
        }
    }
}
