//! The browser's side of the dashboard, as one WebAssembly module: what it exports are its islands, `hydrate` and `begin`.
//!
//! `scripts/bundle` builds it. For any other target this crate is empty.

#![cfg(target_arch = "wasm32")]

use wasm_bindgen::prelude::wasm_bindgen;

/// Called once by `start.js`, before it looks for the islands of the page.
#[wasm_bindgen]
pub fn hydrate() {
    dashboard::hydrate();
}

/// Called once behind that.
#[wasm_bindgen]
pub fn begin() {
    dashboard::begin();
}
