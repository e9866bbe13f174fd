//! Staff: who may see the dashboard, where they are signed in, and the links by which they sign up.
//!
//! Nothing in these tables lets anybody in: passwords, cookies, links and recovery codes are there as hashes, the secret of
//! an authenticator is sealed by the vault.

use std::fmt;

use domain::Timestamp;
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::entity::{invite, staff, staff_session};
use crate::{Store, StoreError};

/// A member of staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StaffId(pub(crate) Uuid);

impl StaffId {
    /// A new id. It sorts by time.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Parses an id in its usual form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// The id's 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl Default for StaffId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for StaffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// What a member of staff may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything but staff.
    Viewer,
    /// Act on sessions.
    Support,
    /// Everything: staff and settings too.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: &'static [Self] = &[Self::Viewer, Self::Support, Self::Admin];

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Support => "support",
            Self::Admin => "admin",
        }
    }

    /// Finds a role by its stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name to sign in with. Its letters are ASCII and small, so that no two names look the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StaffName(String);

impl StaffName {
    /// Takes 2 to 64 letters, digits and `. _ - + @`, the first a letter or a digit; large letters become small ones.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.trim().to_ascii_lowercase();
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-+@".contains(&byte);
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (begins && (2..=64).contains(&name.len()) && name.bytes().all(fine)).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StaffName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// With what somebody signed in, besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// Nothing: no second factor is set up.
    Password,
    /// A code of an authenticator.
    Totp,
    /// A recovery code.
    Recovery,
    /// A passkey, after the password.
    Passkey,
    /// A passkey alone: it proves who uses it, and needs no password.
    PasskeyAlone,
    /// A provider, which asks for whatever it asks for.
    Provider,
}

impl Factor {
    const ALL: [Self; 6] =
        [Self::Password, Self::Totp, Self::Recovery, Self::Passkey, Self::PasskeyAlone, Self::Provider];

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Recovery => "recovery",
            Self::Passkey => "passkey",
            Self::PasskeyAlone => "passkey_alone",
            Self::Provider => "provider",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.as_str() == text)
    }
}

/// A member of staff, as stored.
#[derive(Clone)]
pub struct StaffRecord {
    /// Who.
    pub id: StaffId,
    /// The name to sign in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Argon2id, in PHC's form.
    pub password_hash: Option<String>,
    /// When the password was set.
    pub password_changed_at: Timestamp,
    /// The secret of the authenticator, sealed by the vault.
    pub totp_secret: Option<Vec<u8>>,
    /// The last step whose code was used.
    pub totp_step: Option<i64>,
    /// Hashes of the recovery codes that are left.
    pub recovery_codes: Vec<String>,
    /// When they signed up.
    pub created_at: Timestamp,
    /// Since when they are shut out.
    pub disabled_at: Option<Timestamp>,
}

impl fmt::Debug for StaffRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaffRecord").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where somebody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// SHA-256 of the cookie's value, in hexadecimal.
    pub id_hash: String,
    /// Who.
    pub staff: StaffId,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was used last, to about a minute.
    pub last_seen_at: Timestamp,
    /// From which address: at most 64 bytes.
    pub address: String,
    /// With which browser, as it says: at most 255 bytes.
    pub user_agent: String,
    /// What forms must carry.
    pub csrf: String,
    /// With what, besides the password.
    pub factor: Factor,
}

/// A link by which somebody may sign up, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// SHA-256 of what the link carries, in hexadecimal.
    pub token_hash: String,
    /// The role that they will have.
    pub role: Role,
    /// Who made it, by name.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be used.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

impl Invite {
    /// Whether somebody may sign up with it at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

impl TryFrom<staff::Model> for StaffRecord {
    type Error = StoreError;

    fn try_from(row: staff::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: StaffId(row.id),
            role: Role::parse(&row.role)
                .ok_or_else(|| StoreError::Corrupt { row: row.id.to_string(), column: "role" })?,
            name: row.name,
            password_hash: row.password_hash,
            password_changed_at: at(row.password_changed_at),
            totp_secret: row.totp_secret,
            totp_step: row.totp_step,
            recovery_codes: split(row.recovery_codes.as_deref()),
            created_at: at(row.created_at),
            disabled_at: row.disabled_at.map(at),
        })
    }
}

impl TryFrom<staff_session::Model> for SignIn {
    type Error = StoreError;

    fn try_from(row: staff_session::Model) -> Result<Self, StoreError> {
        Ok(Self {
            factor: Factor::parse(&row.factor)
                .ok_or_else(|| StoreError::Corrupt { row: row.id_hash.clone(), column: "factor" })?,
            id_hash: row.id_hash,
            staff: StaffId(row.staff_id),
            created_at: at(row.created_at),
            last_seen_at: at(row.last_seen_at),
            address: row.address,
            user_agent: row.user_agent,
            csrf: row.csrf,
        })
    }
}

impl TryFrom<invite::Model> for Invite {
    type Error = StoreError;

    fn try_from(row: invite::Model) -> Result<Self, StoreError> {
        Ok(Self {
            role: Role::parse(&row.role)
                .ok_or_else(|| StoreError::Corrupt { row: row.token_hash.clone(), column: "role" })?,
            token_hash: row.token_hash,
            created_by: row.created_by,
            created_at: at(row.created_at),
            expires_at: at(row.expires_at),
            used_at: row.used_at.map(at),
        })
    }
}

/// Recovery codes as the store has them.
pub(crate) fn split(codes: Option<&str>) -> Vec<String> {
    codes.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
}

impl Store {
    /// All members of staff, by name.
    pub async fn all_staff(&self) -> Result<Vec<StaffRecord>, StoreError> {
        let rows = staff::Entity::find().order_by_asc(staff::Column::Name).all(self.reader()).await?;
        rows.into_iter().map(StaffRecord::try_from).collect()
    }

    /// A member of staff.
    pub async fn staff(&self, id: StaffId) -> Result<Option<StaffRecord>, StoreError> {
        staff::Entity::find_by_id(id.0).one(self.reader()).await?.map(StaffRecord::try_from).transpose()
    }

    /// A member of staff, by name.
    pub async fn staff_by_name(&self, name: &StaffName) -> Result<Option<StaffRecord>, StoreError> {
        let query = staff::Entity::find().filter(staff::Column::Name.eq(name.as_str()));
        query.one(self.reader()).await?.map(StaffRecord::try_from).transpose()
    }

    /// A sign-in and whose it is.
    pub async fn sign_in(&self, id_hash: &str) -> Result<Option<(SignIn, StaffRecord)>, StoreError> {
        let found = staff_session::Entity::find_by_id(id_hash.to_owned()).one(self.reader()).await?;
        let Some(found) = found else { return Ok(None) };
        let staff = self.staff(StaffId(found.staff_id)).await?;
        let sign_in = SignIn::try_from(found)?;
        Ok(staff.map(|staff| (sign_in, staff)))
    }

    /// Where everybody is signed in, the newest first.
    pub async fn sign_ins(&self) -> Result<Vec<SignIn>, StoreError> {
        let query = staff_session::Entity::find().order_by_desc(staff_session::Column::CreatedAt);
        query.all(self.reader()).await?.into_iter().map(SignIn::try_from).collect()
    }

    /// A link, used or not.
    pub async fn invite(&self, token_hash: &str) -> Result<Option<Invite>, StoreError> {
        let found = invite::Entity::find_by_id(token_hash.to_owned()).one(self.reader()).await?;
        found.map(Invite::try_from).transpose()
    }

    /// The links that somebody may still sign up with, the newest first.
    pub async fn open_invites(&self, now: Timestamp) -> Result<Vec<Invite>, StoreError> {
        let open =
            Condition::all().add(invite::Column::UsedAt.is_null()).add(invite::Column::ExpiresAt.gt(now.as_millis()));
        let query = invite::Entity::find().filter(open).order_by_desc(invite::Column::CreatedAt);
        query.all(self.reader()).await?.into_iter().map(Invite::try_from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered() {
        assert!(Role::Viewer < Role::Support && Role::Support < Role::Admin);
    }

    #[test]
    fn names_cannot_be_mistaken_for_another() {
        assert_eq!(StaffName::parse(" Kim ").map(|name| name.to_string()), Some("kim".to_owned()));
        assert!(StaffName::parse("anna@example.org").is_some());
        for bad in ["", "k", "-kim", "kim li", "kïm", "<b>kim", "kim'--", &"k".repeat(65)] {
            assert_eq!(StaffName::parse(bad), None, "{bad}");
        }
    }
}
