//! The wire: Pinger's gRPC messages, their parsing into what [`domain`] knows, and the refusals that callers get.
//!
//! [`v1`] is the public device API, [`internal_v1`] what the gateway calls on the backend. [`parse`] is the edge at which
//! messages become trusted types; [`render`] is the way back. [`Refusal`] is the only way in which an error leaves.
//! [`trace`] carries the trace context along.

pub mod parse;
mod refusal;
pub mod render;
pub mod trace;

pub use refusal::{Reason, Refusal, Violation};

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod pinger {
    pub mod v1 {
        tonic::include_proto!("pinger.v1");
    }
    pub mod internal {
        pub mod v1 {
            tonic::include_proto!("pinger.internal.v1");
        }
    }
}

/// What the gateway calls on the backend: `pinger.internal.v1`.
pub use pinger::internal::v1 as internal_v1;
/// The public device API: `pinger.v1`. Documented in the proto files.
pub use pinger::v1;

/// The public API's descriptors, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Metadata in which an app key travels.
pub const APP_KEY_METADATA: &str = "x-pinger-app-key";

/// What is put before a sealing key set, when it is signed and when that is verified.
pub const KEY_SET_PREFIX: &[u8] = b"pinger.v1.SealingKeySet\0";

/// HPKE's `info` for a sealed credential.
pub const CREDENTIAL_INFO: &[u8] = b"pinger.v1.Credential";

/// The most bytes that a request may have.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

// Messages that carry a secret don't print it. Their Debug is not generated (build.rs).
mod secret_messages {
    use std::fmt;

    impl fmt::Debug for crate::v1::Credential {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Credential(..)")
        }
    }

    impl fmt::Debug for crate::v1::credential::Secret {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Secret(..)")
        }
    }

    impl fmt::Debug for crate::v1::ApnsTarget {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ApnsTarget(..)")
        }
    }

    impl fmt::Debug for crate::v1::RegisterResponse {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("RegisterResponse").field("session_id", &self.session_id).finish_non_exhaustive()
        }
    }
}
