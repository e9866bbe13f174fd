//! `pinger staff`: who may sign in to the dashboard.

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::ExitCode;

use ::dashboard::SYSTEM;
use domain::NodeId;
use serde_json::json;
use store::{AuditAction, NewAudit, Role, StaffAct, StaffId, StaffName, StaffRecord, Store, StoreError};

use super::{RoleError, block_on};
use crate::cli::StaffCommand;
use crate::clock;
use crate::config::ConfigFile;
use crate::environment::Environment;

/// A command is no node, and runs no session.
const NO_NODE: &str = "00000000-0000-0000-0000-000000000000";

/// Does something on the store of a backend, which may be running.
pub(super) fn on_store<T>(
    file: &ConfigFile,
    environment: &Environment,
    work: impl AsyncFnOnce(&Store) -> Result<T, StoreError>,
) -> Result<T, RoleError> {
    let config = file.any_backend(environment)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(|source| RoleError::Prepare { what: "the data folder could not be made", source })?;
    let node = NodeId::parse(NO_NODE).map_err(|error| RoleError::Prepare {
        what: "the store could not be opened",
        source: std::io::Error::other(error),
    })?;
    block_on("pinger-command", async {
        let store = Store::open(&config.database_url(), node).await.map_err(RoleError::Store)?;
        let outcome = work(&store).await.map_err(RoleError::Store);
        store.close().await;
        outcome
    })
}

/// Does what was asked for.
pub(crate) fn run(file: &ConfigFile, environment: &Environment, command: StaffCommand) -> Result<ExitCode, RoleError> {
    let text = match command {
        StaffCommand::Invite { role, json } => {
            invite(file, environment, Role::parse(&role).unwrap_or(Role::Viewer), json)?
        }
        StaffCommand::List { json } => {
            let (staff, owners) = on_store(file, environment, async |store| {
                Ok((store.all_staff().await?, store.passkey_owners().await?))
            })?;
            list(&staff, &owners, json)
        }
        StaffCommand::Reset { name, json } => reset(file, environment, &name, json)?,
        StaffCommand::Disable { name } => disable(file, environment, &name)?,
    };
    writeln!(std::io::stdout(), "{text}").map_err(RoleError::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn invite(file: &ConfigFile, environment: &Environment, role: Role, json: bool) -> Result<String, RoleError> {
    let config = file.dashboard()?.unwrap_or_default();
    let path = on_store(file, environment, async |store| ::dashboard::invite(store, clock::now(), role).await)?;
    let link = format!("{}{path}", config.url(config.listen));
    Ok(if json {
        json!({ "sign_up": link, "role": role.as_str() }).to_string()
    } else {
        format!(
            "{link}\nThe link makes an account with the role {role}. It works once, within 24 hours; send it on a way that only they read."
        )
    })
}

fn reset(file: &ConfigFile, environment: &Environment, name: &str, json: bool) -> Result<String, RoleError> {
    let config = file.dashboard()?.unwrap_or_default();
    let nobody = || RoleError::Staff { name: name.to_owned() };
    let parsed = StaffName::parse(name).ok_or_else(nobody)?;
    let path = on_store(file, environment, async |store| {
        let Some(person) = store.staff_by_name(&parsed).await? else { return Ok(None) };
        ::dashboard::reset(store, clock::now(), &person).await
    })?;
    let link = format!("{}{}", config.url(config.listen), path.ok_or_else(nobody)?);
    Ok(if json {
        json!({ "reset": link, "name": parsed.as_str() }).to_string()
    } else {
        format!(
            "{link}\nThe link sets a new password for {parsed}, once, within 24 hours, and ends all their sign-ins; send it on a way that only they read."
        )
    })
}

fn list(staff: &[StaffRecord], with_passkeys: &[StaffId], json: bool) -> String {
    if json {
        let all: Vec<_> = staff
            .iter()
            .map(|person| {
                json!({
                    "name": person.name,
                    "role": person.role.as_str(),
                    "password": person.password_hash.is_some(),
                    "codes": person.totp_secret.is_some(),
                    "passkeys": with_passkeys.contains(&person.id),
                    "disabled": person.disabled_at.is_some(),
                })
            })
            .collect();
        return json!(all).to_string();
    }
    if staff.is_empty() {
        return "nobody may sign in yet; `pinger staff invite --role admin` makes a link".to_owned();
    }
    let line = |person: &StaffRecord| {
        let factors = [
            (if person.password_hash.is_some() { "password" } else { "provider" }, true),
            ("codes", person.totp_secret.is_some()),
            ("passkeys", with_passkeys.contains(&person.id)),
        ];
        let factors: Vec<_> = factors.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect();
        let state = if person.disabled_at.is_some() { "disabled" } else { "may sign in" };
        format!("{:<24} {:<8} {state:<12} {}", person.name, person.role.as_str(), factors.join(", "))
    };
    staff.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn disable(file: &ConfigFile, environment: &Environment, name: &str) -> Result<String, RoleError> {
    let nobody = || RoleError::Staff { name: name.to_owned() };
    let parsed = StaffName::parse(name).ok_or_else(nobody)?;
    let done = on_store(file, environment, async |store| {
        let Some(person) = store.staff_by_name(&parsed).await? else { return Ok(false) };
        let entry = NewAudit {
            at: clock::now(),
            staff: SYSTEM.to_owned(),
            action: AuditAction::StaffDisabled,
            subject: person.name,
            reason: Some("on the command line".to_owned()),
            address: None,
        };
        Ok(store.staff_act(clock::now(), StaffAct::Disable(person.id), Some(entry)).await?.is_ok())
    })?;
    if done { Ok(format!("{parsed} is shut out, and their sign-ins are ended")) } else { Err(nobody()) }
}
