//! The dashboard for support staff: pages rendered on the server, over the backend's handle.
//!
//! [`Config`] is pure; [`Dashboard::bind`] opens the listener; [`Dashboard::run`] serves until it is told to stop. One layer
//! over all routes looks at who asks and whether they may (`auth`); pages are plain data and how it is shown (`page`).

#![recursion_limit = "512"]

mod assets;
mod auth;
mod compress;
mod config;
mod page;
mod part;
mod route;
mod server;
#[expect(unreachable_pub, reason = "the component macro makes the properties of a component pub")]
mod shell;
mod why;
mod words;

pub use auth::{Now, SettingError};
pub use config::{Argon2Config, Config, Tls};
pub use server::{Access, Dashboard, DashboardError, SYSTEM, invite};
