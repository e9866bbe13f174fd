//! How Pinger behaves towards mail servers, and what staff are told of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../harness/browser.rs"]
mod browser;

use harness::PATIENCE;

mod handshake;
mod logins;
mod pacing;
mod restart;
