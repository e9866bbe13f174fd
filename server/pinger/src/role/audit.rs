//! `pinger audit`: what staff did, checked.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;
use store::{AuditCheck, AuditFault};

use super::{RoleError, staff};
use crate::config::ConfigFile;
use crate::environment::Environment;

/// Checks the chain of hashes; the exit code is 1 if it is broken.
pub(crate) fn verify(file: &ConfigFile, environment: &Environment, json: bool) -> Result<ExitCode, RoleError> {
    let checked = staff::on_store(file, environment, async |store| store.verify_audit().await)?;
    let (text, code) = match checked {
        AuditCheck::Whole { entries, hash, .. } => {
            let text = if json {
                json!({ "whole": true, "entries": entries, "hash": hash }).to_string()
            } else {
                format!("the audit is whole: {entries} entries; the last one's hash is {hash}")
            };
            (text, ExitCode::SUCCESS)
        }
        AuditCheck::Broken { seq, fault } => {
            let what = match fault {
                AuditFault::Missing => "is missing",
                AuditFault::Unlinked => "does not follow the one before it",
                AuditFault::Changed => "was changed",
            };
            let text = if json {
                json!({ "whole": false, "first_broken": seq, "fault": what }).to_string()
            } else {
                format!("the audit is broken: entry {seq} {what}")
            };
            (text, ExitCode::FAILURE)
        }
    };
    writeln!(std::io::stdout(), "{text}").map_err(RoleError::Output)?;
    Ok(code)
}
