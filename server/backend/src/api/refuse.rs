//! The one place where an error of ours becomes what a caller is told. No text of ours crosses the wire.

use std::time::Duration;

use proto::{Reason, Refusal};
use store::StoreError;

use crate::vault::OpenError;

/// When trying again may help.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn refused(error: StoreError) -> Refusal {
    match error {
        StoreError::Open { .. } | StoreError::Migrate(_) | StoreError::Database(_) | StoreError::Closed => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
            Refusal::new(Reason::StoreUnavailable).retry_after(RETRY)
        }
        // Whoever changes a session tries again by themselves; to meet this here is odd.
        StoreError::Conflict(_) => Refusal::new(Reason::StoreUnavailable).retry_after(RETRY),
        StoreError::Corrupt { .. } => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store holds what it can't hold");
            Refusal::new(Reason::Internal)
        }
    }
}

pub(super) fn unopened(error: OpenError) -> Refusal {
    match error {
        OpenError::UnknownKey => Refusal::new(Reason::SealingKeyUnknown).field("credential.key_id"),
        OpenError::Refused | OpenError::Content => {
            Refusal::new(Reason::CredentialUnreadable).field("credential.ciphertext")
        }
    }
}
