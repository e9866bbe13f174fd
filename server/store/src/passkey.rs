//! Passkeys: the public halves of what staff sign in with.

use std::fmt;

use domain::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _,
};

use crate::entity::{passkey, staff};
use crate::staff_act::{Acted, Refusal};
use crate::{StaffId, Store, StoreError};

/// The most passkeys of one member of staff.
pub const PASSKEYS_MAX: u64 = 20;

/// A passkey that somebody has registered.
#[derive(Clone, PartialEq, Eq)]
pub struct Passkey {
    /// SHA-256 of the credential's id, in hexadecimal.
    pub id_hash: String,
    /// The id by which authenticators know it: at most 1023 bytes.
    pub credential_id: Vec<u8>,
    /// Whose.
    pub staff: StaffId,
    /// The public key, in COSE.
    pub public_key: Vec<u8>,
    /// How often it was used, as its authenticator counts; 0 where it doesn't.
    pub sign_count: u32,
    /// What its owner calls it: at most 64 bytes.
    pub name: String,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passkey").field("id_hash", &self.id_hash).field("staff", &self.staff).finish_non_exhaustive()
    }
}

impl TryFrom<passkey::Model> for Passkey {
    type Error = StoreError;

    fn try_from(row: passkey::Model) -> Result<Self, StoreError> {
        Ok(Self {
            sign_count: u32::try_from(row.sign_count)
                .map_err(|_| StoreError::Corrupt { row: row.id_hash.clone(), column: "sign_count" })?,
            id_hash: row.id_hash,
            credential_id: row.credential_id,
            staff: StaffId(row.staff_id),
            public_key: row.public_key,
            name: row.name,
            created_at: Timestamp::from_millis(row.created_at),
            last_used_at: row.last_used_at.map(Timestamp::from_millis),
        })
    }
}

impl Store {
    /// The passkeys of a member of staff, the oldest first.
    pub async fn passkeys_of(&self, staff: StaffId) -> Result<Vec<Passkey>, StoreError> {
        let query = passkey::Entity::find().filter(passkey::Column::StaffId.eq(staff.0));
        let rows = query.order_by_asc(passkey::Column::CreatedAt).all(self.reader()).await?;
        rows.into_iter().map(Passkey::try_from).collect()
    }

    /// A passkey, by the hash of its credential's id.
    pub async fn passkey(&self, id_hash: &str) -> Result<Option<Passkey>, StoreError> {
        let found = passkey::Entity::find_by_id(id_hash.to_owned()).one(self.reader()).await?;
        found.map(Passkey::try_from).transpose()
    }

    /// Who has passkeys, once for each.
    pub async fn passkey_owners(&self) -> Result<Vec<StaffId>, StoreError> {
        let rows = passkey::Entity::find().all(self.reader()).await?;
        Ok(rows.into_iter().map(|row| StaffId(row.staff_id)).collect())
    }
}

/// Registers one, with recovery codes for whoever had none.
pub(crate) async fn add(
    db: &impl ConnectionTrait,
    new: &Passkey,
    recovery: Option<&[String]>,
) -> Result<Acted, StoreError> {
    let person = staff::Entity::find_by_id(new.staff.0).filter(staff::Column::DisabledAt.is_null()).one(db).await?;
    if person.is_none() || count(db, new.staff).await? >= PASSKEYS_MAX {
        return Ok(Err(Refusal::Unknown));
    }
    if passkey::Entity::find_by_id(new.id_hash.clone()).one(db).await?.is_some() {
        return Ok(Err(Refusal::PasskeyTaken));
    }
    let row = passkey::ActiveModel {
        id_hash: Set(new.id_hash.clone()),
        credential_id: Set(new.credential_id.clone()),
        staff_id: Set(new.staff.0),
        public_key: Set(new.public_key.clone()),
        sign_count: Set(i64::from(new.sign_count)),
        name: Set(new.name.clone()),
        created_at: Set(new.created_at.as_millis()),
        last_used_at: Set(None),
    };
    passkey::Entity::insert(row).exec_without_returning(db).await?;
    if let Some(codes) = recovery {
        let set = staff::Entity::update_many().col_expr(staff::Column::RecoveryCodes, Expr::value(codes.join(" ")));
        set.filter(staff::Column::Id.eq(new.staff.0)).exec(db).await?;
    }
    Ok(Ok(()))
}

/// Removes one of somebody's, and the recovery codes with the last second factor.
pub(crate) async fn remove(db: &impl ConnectionTrait, staff: StaffId, id_hash: &str) -> Result<Acted, StoreError> {
    let which = Condition::all().add(passkey::Column::StaffId.eq(staff.0)).add(passkey::Column::IdHash.eq(id_hash));
    if passkey::Entity::delete_many().filter(which).exec(db).await?.rows_affected == 0 {
        return Ok(Err(Refusal::Unknown));
    }
    if count(db, staff).await? == 0 {
        let set = staff::Entity::update_many()
            .col_expr(staff::Column::RecoveryCodes, Expr::value(Option::<String>::None))
            .filter(staff::Column::TotpSecret.is_null());
        set.filter(staff::Column::Id.eq(staff.0)).exec(db).await?;
    }
    Ok(Ok(()))
}

/// Removes all of somebody's.
pub(crate) async fn remove_all(db: &impl ConnectionTrait, staff: StaffId) -> Result<u64, StoreError> {
    let gone = passkey::Entity::delete_many().filter(passkey::Column::StaffId.eq(staff.0)).exec(db).await?;
    Ok(gone.rows_affected)
}

/// How many somebody has.
pub(crate) async fn count(db: &impl ConnectionTrait, staff: StaffId) -> Result<u64, StoreError> {
    Ok(passkey::Entity::find().filter(passkey::Column::StaffId.eq(staff.0)).count(db).await?)
}

/// Notes that one was used. False if its counter did not go on: then there are two of it (WebAuthn, section 6.1.1).
pub(crate) async fn spend(
    db: &impl ConnectionTrait,
    now: Timestamp,
    staff: StaffId,
    id_hash: &str,
    count: u32,
) -> Result<bool, StoreError> {
    let count = i64::from(count);
    let mut goes_on = Condition::any().add(passkey::Column::SignCount.lt(count));
    if count == 0 {
        goes_on = goes_on.add(passkey::Column::SignCount.eq(0));
    }
    let set = passkey::Entity::update_many()
        .col_expr(passkey::Column::SignCount, Expr::value(count))
        .col_expr(passkey::Column::LastUsedAt, Expr::value(now.as_millis()))
        .filter(passkey::Column::IdHash.eq(id_hash))
        .filter(passkey::Column::StaffId.eq(staff.0))
        .filter(goes_on);
    Ok(set.exec(db).await?.rows_affected == 1)
}
