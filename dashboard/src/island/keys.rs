//! The keyboard: its help, and its switch in the menu.

use leptos::prelude::*;

use super::{Signals, signals};

const KEYS: [(&str, &str); 14] = [
    ("/", "find a session"),
    ("g o", "go to the overview"),
    ("g s", "go to the sessions"),
    ("g p", "go to the pushes"),
    ("g a", "go to the audit"),
    ("j  k", "next and previous row of a list"),
    ("Enter", "open the row"),
    ("x", "select the row"),
    ("[  ]", "page back and on"),
    ("l", "stop or go on keeping the page up to date"),
    ("p", "force a ping, on a session"),
    ("t", "trace it"),
    ("c", "copy its id"),
    ("Esc", "close what is open"),
];

/// Turns single keys off and on, in this browser.
#[island]
pub fn KeysSwitch() -> impl IntoView {
    let Signals { keys, .. } = signals();
    let (pressed, shown) = (keys.clone(), keys);
    view! {
        <button
            type="button"
            class="b quiet scripted"
            aria-pressed=move || if pressed.get() { "true" } else { "false" }
            on:click=move |_| switch()
        >
            {move || if shown.get() { "Keyboard shortcuts: on" } else { "Keyboard shortcuts: off" }}
        </button>
    }
}

/// The keys, in a dialog that `?` opens, and a button in the foot.
#[island]
pub fn KeysHelp() -> impl IntoView {
    let lines = KEYS.into_iter().map(|(key, text)| view! { <dt><kbd>{key}</kbd></dt><dd>{text}</dd> }).collect_view();
    view! {
        <button type="button" class="standing calm scripted" on:click=move |_| open()>"Keyboard"</button>
        <dialog id="keyboard" class="dialog" aria-labelledby="keyboard-title">
            <div class="dhead"><h2 id="keyboard-title">"Keyboard"</h2></div>
            <div class="body"><dl class="keys">{lines}</dl><p class="soft note">"Never while you type. Your menu has a switch."</p></div>
            <div class="dfoot"><form method="dialog"><button class="b">"Close"</button></form></div>
        </dialog>
    }
}

fn switch() {
    #[cfg(feature = "hydrate")]
    crate::browser::keys::switch();
}

fn open() {
    #[cfg(feature = "hydrate")]
    crate::browser::keys::help();
}
