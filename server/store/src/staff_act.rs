//! What is written of staff, inside the writer's transaction: the act and its entry in the audit, both or neither.

use domain::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _,
};

use crate::entity::{invite, staff, staff_session};
use crate::staff::split;
use crate::{
    Identity, Invite, Passkey, PasswordReset, Role, SignIn, StaffId, StaffName, StoreError, identity, passkey, reset,
};

/// What is done to staff and their sign-ins.
#[derive(Clone, Debug)]
pub enum StaffAct {
    /// Makes a link.
    Invite(Invite),
    /// Uses a link up, and makes whoever has it a member of staff.
    SignUp {
        /// SHA-256 of what the link carries.
        token_hash: String,
        /// The new member's id.
        id: StaffId,
        /// Their name.
        name: StaffName,
        /// Their password's hash.
        password_hash: String,
    },
    /// Sets a password, and ends all sign-ins but one.
    SetPassword {
        /// Whose.
        id: StaffId,
        /// Its hash.
        hash: String,
        /// The sign-in that stays.
        keep: String,
    },
    /// Hashes the same password in another way, if it is still the same.
    Rehash {
        /// Whose.
        id: StaffId,
        /// The hash that there was.
        was: String,
        /// The hash from now on.
        hash: String,
    },
    /// Sets up an authenticator.
    SetTotp {
        /// Whose.
        id: StaffId,
        /// Its secret, sealed.
        secret: Vec<u8>,
        /// The step whose code proved it.
        step: i64,
        /// Hashes of new recovery codes.
        recovery: Vec<String>,
    },
    /// Switches the authenticator and the recovery codes off.
    RemoveTotp(StaffId),
    /// Puts new recovery codes in the place of the old ones.
    SetRecovery {
        /// Whose.
        id: StaffId,
        /// Their hashes.
        recovery: Vec<String>,
    },
    /// Registers a passkey.
    AddPasskey {
        /// The passkey.
        passkey: Passkey,
        /// Hashes of new recovery codes, for whoever has none.
        recovery: Option<Vec<String>>,
    },
    /// Removes one of somebody's passkeys.
    RemovePasskey {
        /// Whose.
        id: StaffId,
        /// Which, by the hash of its id.
        passkey: String,
    },
    /// Removes all that is asked for besides the password: authenticator, recovery codes, passkeys.
    RemoveFactors(StaffId),
    /// Connects a member of staff with a person at a provider.
    Link {
        /// Whom.
        id: StaffId,
        /// With whom.
        identity: Identity,
    },
    /// Takes a member of staff and their person at a provider apart.
    Unlink(StaffId),
    /// Makes a person at a provider a member of staff.
    Welcome {
        /// The new member's id.
        id: StaffId,
        /// Their name.
        name: StaffName,
        /// What they may do.
        role: Role,
        /// Who they are at the provider.
        identity: Identity,
    },
    /// Withdraws a link for signing up, by its hash.
    WithdrawInvite(String),
    /// Makes a link for a new password.
    OfferReset(PasswordReset),
    /// Uses such a link up: sets the password, and ends all sign-ins.
    UseReset {
        /// SHA-256 of what the link carries.
        token_hash: String,
        /// The password's hash.
        hash: String,
    },
    /// Changes a role.
    SetRole {
        /// Whose.
        id: StaffId,
        /// To what.
        role: Role,
    },
    /// Shuts somebody out, and ends their sign-ins.
    Disable(StaffId),
    /// Lets somebody in again.
    Enable(StaffId),
    /// Signs somebody in, and uses up what they did it with.
    SignIn {
        /// The new sign-in.
        sign_in: SignIn,
        /// What is used up by it.
        spend: Option<Spend>,
    },
    /// Ends one sign-in.
    EndSignIn(String),
    /// Ends all sign-ins of somebody, but perhaps one.
    EndSignIns {
        /// Whose.
        id: StaffId,
        /// The sign-in that stays.
        keep: Option<String>,
    },
    /// Ends the sign-ins of everybody, but one.
    EndAllSignIns {
        /// The sign-in that stays.
        keep: String,
    },
    /// Notes that a sign-in is used.
    Touch(String),
    /// Deletes sign-ins that have run out, and links that can't be used.
    Tidy {
        /// Those that were last used before this.
        idle_since: Timestamp,
        /// Those that were made before this.
        made_before: Timestamp,
    },
}

/// What a sign-in uses up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spend {
    /// A step of an authenticator, and all before it.
    Step(i64),
    /// A recovery code, by its hash.
    Recovery(String),
    /// A passkey, by the hash of its id, and the use of it, as its authenticator counts.
    Passkey {
        /// Which.
        id_hash: String,
        /// The count.
        count: u32,
    },
}

/// Why an act was not done. Nothing was written then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such member of staff, or they are shut out; or no such sign-in.
    #[error("there is nobody of that name who may sign in")]
    Unknown,
    /// The link is unknown, used or too old.
    #[error("the link was used before, or is too old")]
    LinkSpent,
    /// Somebody has that name.
    #[error("somebody has that name")]
    NameTaken,
    /// The code was used before.
    #[error("the code was used before")]
    CodeSpent,
    /// The passkey is somebody's already.
    #[error("the passkey is registered already")]
    PasskeyTaken,
    /// The person at the provider is another member of staff.
    #[error("that account is connected with somebody else here")]
    IdentityTaken,
    /// Nobody would be left who may invite others.
    #[error("nobody would be left who is an admin")]
    LastAdmin,
}

/// What an act came to.
pub(crate) type Acted = Result<(), Refusal>;

pub(crate) async fn act(db: &impl ConnectionTrait, now: Timestamp, act: &StaffAct) -> Result<Acted, StoreError> {
    match act {
        StaffAct::Invite(new) => invite(db, new).await,
        StaffAct::SignUp { token_hash, id, name, password_hash } => {
            sign_up(db, now, token_hash, *id, name, password_hash).await
        }
        StaffAct::SetPassword { id, hash, keep } => {
            let set = staff::Entity::update_many()
                .col_expr(staff::Column::PasswordHash, Expr::value(hash.clone()))
                .col_expr(staff::Column::PasswordChangedAt, Expr::value(now.as_millis()));
            let acted = one(set.filter(staff::Column::Id.eq(id.0)).exec(db).await?.rows_affected);
            end_sign_ins(db, *id, Some(keep)).await?;
            Ok(acted)
        }
        StaffAct::Rehash { id, was, hash } => {
            let set = staff::Entity::update_many().col_expr(staff::Column::PasswordHash, Expr::value(hash.clone()));
            let same = Condition::all().add(staff::Column::Id.eq(id.0)).add(staff::Column::PasswordHash.eq(was));
            Ok(one(set.filter(same).exec(db).await?.rows_affected))
        }
        StaffAct::SetTotp { id, secret, step, recovery } => {
            let set = staff::Entity::update_many()
                .col_expr(staff::Column::TotpSecret, Expr::value(secret.clone()))
                .col_expr(staff::Column::TotpStep, Expr::value(*step))
                .col_expr(staff::Column::RecoveryCodes, Expr::value(recovery.join(" ")));
            Ok(one(set.filter(staff::Column::Id.eq(id.0)).exec(db).await?.rows_affected))
        }
        StaffAct::RemoveTotp(id) => {
            let keeps_codes = passkey::count(db, *id).await? > 0;
            remove_totp(db, *id, keeps_codes).await
        }
        StaffAct::RemoveFactors(id) => {
            passkey::remove_all(db, *id).await?;
            remove_totp(db, *id, false).await
        }
        StaffAct::SetRecovery { id, recovery } => {
            let mut set =
                staff::Entity::update_many().col_expr(staff::Column::RecoveryCodes, Expr::value(recovery.join(" ")));
            if passkey::count(db, *id).await? == 0 {
                set = set.filter(staff::Column::TotpSecret.is_not_null());
            }
            Ok(one(set.filter(staff::Column::Id.eq(id.0)).exec(db).await?.rows_affected))
        }
        StaffAct::AddPasskey { passkey, recovery } => passkey::add(db, passkey, recovery.as_deref()).await,
        StaffAct::RemovePasskey { id, passkey } => passkey::remove(db, *id, passkey).await,
        StaffAct::Link { id, identity } => identity::link(db, now, *id, identity).await,
        StaffAct::Unlink(id) => Ok(one(identity::unlink(db, *id).await?)),
        StaffAct::Welcome { id, name, role, identity } => identity::welcome(db, now, *id, name, *role, identity).await,
        StaffAct::WithdrawInvite(token_hash) => {
            let open = invite::Entity::delete_many().filter(invite::Column::UsedAt.is_null());
            Ok(one(open.filter(invite::Column::TokenHash.eq(token_hash)).exec(db).await?.rows_affected))
        }
        StaffAct::OfferReset(new) => reset::offer(db, new).await,
        StaffAct::UseReset { token_hash, hash } => reset::spend(db, now, token_hash, hash).await,
        StaffAct::SetRole { id, role } => {
            if *role != Role::Admin && is_last_admin(db, *id).await? {
                return Ok(Err(Refusal::LastAdmin));
            }
            let set = staff::Entity::update_many().col_expr(staff::Column::Role, Expr::value(role.as_str()));
            Ok(one(set.filter(staff::Column::Id.eq(id.0)).exec(db).await?.rows_affected))
        }
        StaffAct::Disable(id) => {
            if is_last_admin(db, *id).await? {
                return Ok(Err(Refusal::LastAdmin));
            }
            let set = staff::Entity::update_many()
                .col_expr(staff::Column::DisabledAt, Expr::value(now.as_millis()))
                .filter(staff::Column::DisabledAt.is_null());
            let acted = one(set.filter(staff::Column::Id.eq(id.0)).exec(db).await?.rows_affected);
            end_sign_ins(db, *id, None).await?;
            reset::withdraw(db, *id).await?;
            Ok(acted)
        }
        StaffAct::Enable(id) => {
            let set = staff::Entity::update_many()
                .col_expr(staff::Column::DisabledAt, Expr::value(Option::<i64>::None))
                .filter(staff::Column::DisabledAt.is_not_null());
            Ok(one(set.filter(staff::Column::Id.eq(id.0)).exec(db).await?.rows_affected))
        }
        StaffAct::SignIn { sign_in: new, spend } => sign_in(db, now, new, spend.as_ref()).await,
        StaffAct::EndSignIn(id_hash) => {
            let deleted = staff_session::Entity::delete_by_id(id_hash.clone()).exec(db).await?;
            Ok(one(deleted.rows_affected))
        }
        StaffAct::EndSignIns { id, keep } => {
            end_sign_ins(db, *id, keep.as_deref()).await?;
            Ok(Ok(()))
        }
        StaffAct::EndAllSignIns { keep } => {
            let others = staff_session::Entity::delete_many().filter(staff_session::Column::IdHash.ne(keep));
            others.exec(db).await?;
            Ok(Ok(()))
        }
        StaffAct::Touch(id_hash) => {
            let set = staff_session::Entity::update_many()
                .col_expr(staff_session::Column::LastSeenAt, Expr::value(now.as_millis()))
                .filter(staff_session::Column::LastSeenAt.lt(now.as_millis()));
            Ok(one(set.filter(staff_session::Column::IdHash.eq(id_hash)).exec(db).await?.rows_affected))
        }
        StaffAct::Tidy { idle_since, made_before } => {
            let over = Condition::any()
                .add(staff_session::Column::LastSeenAt.lt(idle_since.as_millis()))
                .add(staff_session::Column::CreatedAt.lt(made_before.as_millis()));
            staff_session::Entity::delete_many().filter(over).exec(db).await?;
            let over = Condition::any()
                .add(invite::Column::UsedAt.is_not_null())
                .add(invite::Column::ExpiresAt.lte(now.as_millis()));
            invite::Entity::delete_many().filter(over).exec(db).await?;
            reset::tidy(db, now).await?;
            Ok(Ok(()))
        }
    }
}

async fn remove_totp(db: &impl ConnectionTrait, id: StaffId, keeps_codes: bool) -> Result<Acted, StoreError> {
    let mut set = staff::Entity::update_many()
        .col_expr(staff::Column::TotpSecret, Expr::value(Option::<Vec<u8>>::None))
        .col_expr(staff::Column::TotpStep, Expr::value(Option::<i64>::None));
    if !keeps_codes {
        set = set.col_expr(staff::Column::RecoveryCodes, Expr::value(Option::<String>::None));
    }
    Ok(one(set.filter(staff::Column::Id.eq(id.0)).exec(db).await?.rows_affected))
}

fn one(rows: u64) -> Acted {
    if rows == 0 { Err(Refusal::Unknown) } else { Ok(()) }
}

async fn invite(db: &impl ConnectionTrait, new: &Invite) -> Result<Acted, StoreError> {
    let row = invite::ActiveModel {
        token_hash: Set(new.token_hash.clone()),
        role: Set(new.role.as_str().to_owned()),
        created_by: Set(new.created_by.clone()),
        created_at: Set(new.created_at.as_millis()),
        expires_at: Set(new.expires_at.as_millis()),
        used_at: Set(None),
    };
    invite::Entity::insert(row).exec_without_returning(db).await?;
    Ok(Ok(()))
}

async fn sign_up(
    db: &impl ConnectionTrait,
    now: Timestamp,
    token_hash: &str,
    id: StaffId,
    name: &StaffName,
    password_hash: &str,
) -> Result<Acted, StoreError> {
    let found = invite::Entity::find_by_id(token_hash.to_owned()).one(db).await?;
    let Some(link) = found.map(Invite::try_from).transpose()?.filter(|link| link.is_open(now)) else {
        return Ok(Err(Refusal::LinkSpent));
    };
    if staff::Entity::find().filter(staff::Column::Name.eq(name.as_str())).one(db).await?.is_some() {
        return Ok(Err(Refusal::NameTaken));
    }
    let used = invite::Entity::update_many()
        .col_expr(invite::Column::UsedAt, Expr::value(now.as_millis()))
        .filter(invite::Column::TokenHash.eq(token_hash))
        .filter(invite::Column::UsedAt.is_null());
    if used.exec(db).await?.rows_affected == 0 {
        return Ok(Err(Refusal::LinkSpent));
    }
    let row = staff::ActiveModel {
        id: Set(id.0),
        name: Set(name.as_str().to_owned()),
        role: Set(link.role.as_str().to_owned()),
        password_hash: Set(Some(password_hash.to_owned())),
        password_changed_at: Set(now.as_millis()),
        totp_secret: Set(None),
        totp_step: Set(None),
        recovery_codes: Set(None),
        created_at: Set(now.as_millis()),
        disabled_at: Set(None),
    };
    staff::Entity::insert(row).exec_without_returning(db).await?;
    Ok(Ok(()))
}

/// Whoever is shut out in this very moment is not let in, and what was used up is not used twice.
async fn sign_in(
    db: &impl ConnectionTrait,
    now: Timestamp,
    new: &SignIn,
    spend: Option<&Spend>,
) -> Result<Acted, StoreError> {
    let found = staff::Entity::find_by_id(new.staff.0).filter(staff::Column::DisabledAt.is_null()).one(db).await?;
    let Some(person) = found else { return Ok(Err(Refusal::Unknown)) };
    let spent = match spend {
        None => true,
        Some(Spend::Passkey { id_hash, count }) => passkey::spend(db, now, new.staff, id_hash, *count).await?,
        Some(Spend::Step(step)) => {
            let fresh = Condition::any().add(staff::Column::TotpStep.is_null()).add(staff::Column::TotpStep.lt(*step));
            let set = staff::Entity::update_many()
                .col_expr(staff::Column::TotpStep, Expr::value(*step))
                .filter(staff::Column::Id.eq(person.id))
                .filter(fresh);
            set.exec(db).await?.rows_affected == 1
        }
        Some(Spend::Recovery(hash)) => {
            let left: Vec<_> =
                split(person.recovery_codes.as_deref()).into_iter().filter(|code| code != hash).collect();
            // What was read is compared again: a database with many writers lets others use the code until here.
            let set = staff::Entity::update_many()
                .col_expr(staff::Column::RecoveryCodes, Expr::value(left.join(" ")))
                .filter(staff::Column::Id.eq(person.id))
                .filter(staff::Column::RecoveryCodes.eq(person.recovery_codes.clone()));
            left.len() < split(person.recovery_codes.as_deref()).len() && set.exec(db).await?.rows_affected == 1
        }
    };
    if !spent {
        return Ok(Err(Refusal::CodeSpent));
    }
    let row = staff_session::ActiveModel {
        id_hash: Set(new.id_hash.clone()),
        staff_id: Set(new.staff.0),
        created_at: Set(new.created_at.as_millis()),
        last_seen_at: Set(new.last_seen_at.as_millis()),
        address: Set(new.address.clone()),
        user_agent: Set(new.user_agent.clone()),
        csrf: Set(new.csrf.clone()),
        factor: Set(new.factor.as_str().to_owned()),
    };
    staff_session::Entity::insert(row).exec_without_returning(db).await?;
    Ok(Ok(()))
}

pub(crate) async fn end_sign_ins(db: &impl ConnectionTrait, id: StaffId, keep: Option<&str>) -> Result<(), StoreError> {
    let mut which = Condition::all().add(staff_session::Column::StaffId.eq(id.0));
    if let Some(keep) = keep {
        which = which.add(staff_session::Column::IdHash.ne(keep));
    }
    staff_session::Entity::delete_many().filter(which).exec(db).await?;
    Ok(())
}

async fn is_last_admin(db: &impl ConnectionTrait, id: StaffId) -> Result<bool, StoreError> {
    let admins = || {
        staff::Entity::find()
            .filter(staff::Column::Role.eq(Role::Admin.as_str()))
            .filter(staff::Column::DisabledAt.is_null())
    };
    let is_one = admins().filter(staff::Column::Id.eq(id.0)).count(db).await? == 1;
    Ok(is_one && admins().filter(staff::Column::Id.ne(id.0)).count(db).await? == 0)
}
