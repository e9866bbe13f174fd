//! The dashboard for support staff: pages rendered on the server, over the backend's handle.
//!
//! [`Config`] is pure; [`Dashboard::bind`] opens the listener; [`Dashboard::run`] serves until it is told to stop. One layer
//! over all routes looks at who asks and whether they may (`auth`); pages are plain data and how it is shown (`page`).

#![recursion_limit = "512"]

// What the server makes. The browser's side has none of it.
#[cfg(feature = "ssr")]
mod assets;
#[cfg(feature = "ssr")]
mod auth;
#[cfg(feature = "ssr")]
mod bulk;
#[cfg(feature = "ssr")]
mod compress;
#[cfg(feature = "ssr")]
mod config;
#[cfg(feature = "ssr")]
mod oidc_config;
#[cfg(feature = "ssr")]
mod page;
#[cfg(feature = "ssr")]
mod part;
#[cfg(feature = "ssr")]
mod route;
#[cfg(feature = "ssr")]
mod server;
#[cfg(feature = "ssr")]
#[expect(unreachable_pub, reason = "the component macro makes the properties of a component pub")]
mod shell;
#[cfg(feature = "ssr")]
mod why;
#[cfg(feature = "ssr")]
mod words;

#[cfg(feature = "ssr")]
pub use auth::{Now, OidcSettingError, SettingError};
#[cfg(feature = "ssr")]
pub use config::{Argon2Config, Config, Tls};
#[cfg(feature = "ssr")]
pub use oidc_config::{OidcConfig, RoleName};
#[cfg(feature = "ssr")]
pub use server::{Access, AppKey, Dashboard, DashboardError, SYSTEM, invite, reset};

#[cfg(feature = "hydrate")]
mod browser;
mod island;

#[cfg(feature = "hydrate")]
pub use browser::{begin, hydrate};
