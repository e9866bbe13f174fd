//! Links by which somebody sets their password anew, once.

use domain::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};

use crate::entity::{password_reset, staff};
use crate::staff_act::{Acted, Refusal, end_sign_ins};
use crate::{StaffId, StaffRecord, Store, StoreError};

/// A link by which somebody sets their password anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordReset {
    /// SHA-256 of what the link carries, in hexadecimal.
    pub token_hash: String,
    /// Whose password.
    pub staff: StaffId,
    /// Who made it, by name.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

impl Store {
    /// Whose password may be set by this link at `now`.
    pub async fn password_reset(&self, token_hash: &str, now: Timestamp) -> Result<Option<StaffRecord>, StoreError> {
        let found = password_reset::Entity::find_by_id(token_hash.to_owned()).one(self.reader()).await?;
        match found.filter(|link| now.as_millis() < link.expires_at) {
            Some(link) => {
                let person = self.staff(StaffId(link.staff_id)).await?;
                Ok(person.filter(|person| person.disabled_at.is_none()))
            }
            None => Ok(None),
        }
    }
}

/// Makes one, in the place of those that there were.
pub(crate) async fn offer(db: &impl ConnectionTrait, new: &PasswordReset) -> Result<Acted, StoreError> {
    let person = staff::Entity::find_by_id(new.staff.0).filter(staff::Column::DisabledAt.is_null()).one(db).await?;
    if person.is_none() {
        return Ok(Err(Refusal::Unknown));
    }
    withdraw(db, new.staff).await?;
    let row = password_reset::ActiveModel {
        token_hash: Set(new.token_hash.clone()),
        staff_id: Set(new.staff.0),
        created_by: Set(new.created_by.clone()),
        created_at: Set(new.created_at.as_millis()),
        expires_at: Set(new.expires_at.as_millis()),
    };
    password_reset::Entity::insert(row).exec_without_returning(db).await?;
    Ok(Ok(()))
}

/// Uses one up: sets the password, and ends all sign-ins.
pub(crate) async fn spend(
    db: &impl ConnectionTrait,
    now: Timestamp,
    token_hash: &str,
    hash: &str,
) -> Result<Acted, StoreError> {
    let found = password_reset::Entity::find_by_id(token_hash.to_owned()).one(db).await?;
    let Some(link) = found.filter(|link| now.as_millis() < link.expires_at) else {
        return Ok(Err(Refusal::LinkSpent));
    };
    // Whoever deletes it has it.
    if password_reset::Entity::delete_by_id(token_hash.to_owned()).exec(db).await?.rows_affected == 0 {
        return Ok(Err(Refusal::LinkSpent));
    }
    let set = staff::Entity::update_many()
        .col_expr(staff::Column::PasswordHash, Expr::value(hash))
        .col_expr(staff::Column::PasswordChangedAt, Expr::value(now.as_millis()))
        .filter(staff::Column::Id.eq(link.staff_id))
        .filter(staff::Column::DisabledAt.is_null());
    if set.exec(db).await?.rows_affected == 0 {
        return Ok(Err(Refusal::Unknown));
    }
    end_sign_ins(db, StaffId(link.staff_id), None).await?;
    Ok(Ok(()))
}

/// Deletes those of somebody.
pub(crate) async fn withdraw(db: &impl ConnectionTrait, staff: StaffId) -> Result<(), StoreError> {
    password_reset::Entity::delete_many().filter(password_reset::Column::StaffId.eq(staff.0)).exec(db).await?;
    Ok(())
}

/// Deletes those that are too old.
pub(crate) async fn tidy(db: &impl ConnectionTrait, now: Timestamp) -> Result<(), StoreError> {
    let over = password_reset::Column::ExpiresAt.lte(now.as_millis());
    password_reset::Entity::delete_many().filter(over).exec(db).await?;
    Ok(())
}
