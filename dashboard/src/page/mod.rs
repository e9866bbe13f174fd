//! The pages: what each shows, as plain data, and how it shows it. Where the data come from is `route`'s business.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod delivery;
pub(crate) mod devices;
pub(crate) mod node;
pub(crate) mod overview;
pub(crate) mod person;
pub(crate) mod pushes;
pub(crate) mod reset;
pub(crate) mod search;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod staff;
pub(crate) mod trouble;
pub(crate) mod views;

#[cfg(test)]
mod gallery;
