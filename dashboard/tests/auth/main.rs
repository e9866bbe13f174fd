//! Signing in and up, roles, staff and the audit, through real HTTP on a real store.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod attacks;
mod audit;
mod compression;
mod passkey;
mod provider;
mod routes;
mod second_factor;
mod sign_in;
mod sign_up;
mod staff;
mod support;
