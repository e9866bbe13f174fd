//! What pages are made of.

#![expect(unreachable_pub, reason = "the component macro makes the properties of a component pub")]

pub(crate) mod breaker;
pub(crate) mod card;
pub(crate) mod chain;
pub(crate) mod chart;
pub(crate) mod crumbs;
pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod icon;
pub(crate) mod mark;
pub(crate) mod notice;
pub(crate) mod region;
pub(crate) mod run;
pub(crate) mod sentence;
pub(crate) mod spark;
pub(crate) mod table;
pub(crate) mod timeline;
