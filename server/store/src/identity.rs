//! Who somebody is at a provider: by its issuer and its subject, which never change, and never by a mail address, which may
//! be another's tomorrow.

use domain::Timestamp;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use sha2::{Digest as _, Sha256};

use crate::entity::{staff, staff_identity};
use crate::staff_act::{Acted, Refusal};
use crate::{Role, StaffId, StaffName, StaffRecord, Store, StoreError};

/// A person at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider: at most 512 bytes.
    pub issuer: String,
    /// The provider's id of the person: at most 255 bytes.
    pub subject: String,
}

impl Identity {
    fn hash(&self) -> String {
        use std::fmt::Write as _;
        // The length keeps the two apart.
        let text = format!("{} {}{}", self.issuer.len(), self.issuer, self.subject);
        Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Store {
    /// The member of staff who is this person.
    pub async fn staff_by_identity(&self, identity: &Identity) -> Result<Option<StaffRecord>, StoreError> {
        let found = staff_identity::Entity::find_by_id(identity.hash()).one(self.reader()).await?;
        match found {
            Some(found) => self.staff(StaffId(found.staff_id)).await,
            None => Ok(None),
        }
    }

    /// Who a member of staff is at providers.
    pub async fn identities_of(&self, staff: StaffId) -> Result<Vec<Identity>, StoreError> {
        let query = staff_identity::Entity::find().filter(staff_identity::Column::StaffId.eq(staff.0));
        let rows = query.all(self.reader()).await?;
        Ok(rows.into_iter().map(|row| Identity { issuer: row.issuer, subject: row.subject }).collect())
    }
}

/// Connects a member of staff with a person. Each has one of the other at the most.
pub(crate) async fn link(
    db: &impl ConnectionTrait,
    now: Timestamp,
    staff: StaffId,
    identity: &Identity,
) -> Result<Acted, StoreError> {
    if let Some(found) = staff_identity::Entity::find_by_id(identity.hash()).one(db).await? {
        return Ok(if found.staff_id == staff.0 { Ok(()) } else { Err(Refusal::IdentityTaken) });
    }
    unlink(db, staff).await?;
    let row = staff_identity::ActiveModel {
        id_hash: Set(identity.hash()),
        issuer: Set(identity.issuer.clone()),
        subject: Set(identity.subject.clone()),
        staff_id: Set(staff.0),
        created_at: Set(now.as_millis()),
    };
    staff_identity::Entity::insert(row).exec_without_returning(db).await?;
    Ok(Ok(()))
}

/// Takes a member of staff and their person apart. How many there were.
pub(crate) async fn unlink(db: &impl ConnectionTrait, staff: StaffId) -> Result<u64, StoreError> {
    let query = staff_identity::Entity::delete_many().filter(staff_identity::Column::StaffId.eq(staff.0));
    Ok(query.exec(db).await?.rows_affected)
}

/// Makes a person a member of staff, without a password.
pub(crate) async fn welcome(
    db: &impl ConnectionTrait,
    now: Timestamp,
    id: StaffId,
    name: &StaffName,
    role: Role,
    identity: &Identity,
) -> Result<Acted, StoreError> {
    if staff::Entity::find().filter(staff::Column::Name.eq(name.as_str())).one(db).await?.is_some() {
        return Ok(Err(Refusal::NameTaken));
    }
    if staff_identity::Entity::find_by_id(identity.hash()).one(db).await?.is_some() {
        return Ok(Err(Refusal::IdentityTaken));
    }
    let row = staff::ActiveModel {
        id: Set(id.0),
        name: Set(name.as_str().to_owned()),
        role: Set(role.as_str().to_owned()),
        password_hash: Set(None),
        password_changed_at: Set(now.as_millis()),
        totp_secret: Set(None),
        totp_step: Set(None),
        recovery_codes: Set(None),
        created_at: Set(now.as_millis()),
        disabled_at: Set(None),
    };
    staff::Entity::insert(row).exec_without_returning(db).await?;
    link(db, now, id, identity).await
}
