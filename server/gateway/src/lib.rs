//! The public edge: the device API, checked and passed on. It holds nothing worth stealing.
//!
//! A call goes through these modules in this order: `listener` (connections, TLS), `edge` (span, rates, load
//! shedding, deadline, size), `service` (app key or session token, then fields) and `backend` (the one internal
//! call). [`Gateway::bind`] opens the listener; [`Gateway::run`] works until it is told to stop.

mod admission;
mod backend;
mod body;
mod config;
mod deadline;
mod edge;
mod keys;
mod listener;
mod method;
mod peer;
mod rate;
mod server;
mod service;
mod token;

pub use config::{AppKey, BackendAddress, Config, GatewayError, MutualTls, Rate, Rates, Tls};
pub use server::Gateway;
