//! The frame around every page: bar, menu, search, foot.

use domain::Timestamp;
use leptos::prelude::*;

use crate::assets;
use crate::island::{KeysHelp, KeysSwitch, StreamStanding};
use crate::part::format::{Time, utc};
use crate::part::icon::Icon;
use crate::part::notice::Toast;

/// The sections of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Sessions,
    Devices,
    Pushes,
    Staff,
    Audit,
    Settings,
    /// A page that belongs to none of them, such as an error.
    Nowhere,
}

const SECTIONS: [(Section, &str, &str); 7] = [
    (Section::Overview, "Overview", "/"),
    (Section::Sessions, "Sessions", "/sessions"),
    (Section::Devices, "Devices", "/devices"),
    (Section::Pushes, "Pushes", "/pushes"),
    (Section::Staff, "Staff", "/staff"),
    (Section::Audit, "Audit", "/audit"),
    (Section::Settings, "Settings", "/settings"),
];

/// Light, dark, or as the system has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The word in the cookie and in the form.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Finds a theme by its word; anything else is the system's.
    pub(crate) fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text).unwrap_or_default()
    }

    const fn attribute(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Light => Some("light"),
            Self::Dark => Some("dark"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }
}

/// Whoever looks at the page.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) name: String,
    /// The role's name.
    pub(crate) role: &'static str,
    /// May ping, push, trace and revoke.
    #[allow(dead_code, reason = "pages take it from the role so far")]
    pub(crate) may_act: bool,
    /// May invite, disable and change roles.
    #[allow(dead_code, reason = "pages take it from the role so far")]
    pub(crate) may_manage: bool,
    /// Goes into every form.
    pub(crate) csrf: String,
}

/// What is around a page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) section: Section,
    pub(crate) title: String,
    pub(crate) who: Who,
    pub(crate) theme: Theme,
    /// The path and query of this page, to come back to.
    pub(crate) path: String,
    pub(crate) now: Timestamp,
    /// Whether pushes wait for a breaker.
    pub(crate) breaker_open: bool,
    /// The node that answers.
    pub(crate) node: String,
    pub(crate) toast: Option<Toast>,
}

/// A whole page.
pub(crate) fn page(frame: Frame, body: impl FnOnce() -> AnyView) -> String {
    let owner = Owner::new();
    owner.with(|| {
        let head = head(&frame.title, true);
        let Frame { section, who, theme, path, now, breaker_open, node, toast, .. } = frame;
        let whole = view! {
            <html lang="en" data-theme=theme.attribute()>
                {head}
                <body>
                    <a class="skip" href="#main">"Skip to content"</a>
                    {top(section, &who, breaker_open)}
                    {menu(&who, theme, path)}
                    <main id="main" tabindex="-1">{toast.map(Toast::view)}{body()}</main>
                    <footer class="foot">
                        <span>"As of "<Time at=now text=utc(now)/></span>
                        <span>{format!("Node {node}")}</span>
                        <span>{concat!("Pinger ", env!("CARGO_PKG_VERSION"))}</span>
                        <KeysHelp/>
                        <StreamStanding/>
                    </footer>
                </body>
            </html>
        };
        format!("<!DOCTYPE html>{}", whole.to_html())
    })
}

/// A page for whoever is not signed in.
pub(crate) fn bare_page(title: &str, theme: Theme, body: impl FnOnce() -> AnyView) -> String {
    let owner = Owner::new();
    owner.with(|| {
        let whole = view! {
            <html lang="en" data-theme=theme.attribute()>
                {head(title, false)}
                <body>
                    <main class="signin" id="main">
                        <div class="mark">{Icon::Brand.view()}"Pinger"</div>
                        {body()}
                    </main>
                </body>
            </html>
        };
        format!("<!DOCTYPE html>{}", whole.to_html())
    })
}

/// Scripts are on the pages of whoever is signed in.
fn head(title: &str, scripts: bool) -> AnyView {
    let script = assets::script().filter(|_| scripts).map(|(script, wasm)| {
        view! { <script type="module" src=script data-wasm=wasm></script> }
    });
    view! {
        <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta name="color-scheme" content="light dark"/>
            <meta name="robots" content="noindex"/>
            <title>{format!("{title} · Pinger")}</title>
            <link rel="icon" type="image/svg+xml" href=assets::favicon()/>
            <link rel="stylesheet" href=assets::stylesheet()/>
            {script}
        </head>
    }
    .into_any()
}

fn top(section: Section, who: &Who, breaker_open: bool) -> AnyView {
    let links = SECTIONS
        .into_iter()
        .map(|(of, name, href)| {
            let alarm = (of == Section::Pushes && breaker_open).then(
                || view! { <span class="bad"><span class="c">{Icon::Fault.named("a breaker is open")}</span></span> },
            );
            view! { <li><a href=href aria-current=(of == section).then_some("page")>{name}{alarm}</a></li> }
        })
        .collect_view();
    view! {
        <header class="top">
            <div>
                <a class="brand" href="/" aria-label="Pinger, overview">{Icon::Brand.view()}<span>"Pinger"</span></a>
                <nav class="nav" aria-label="Main"><ul>{links}</ul></nav>
                <form class="find q" role="search" aria-label="Find a session" action="/sessions">
                    {Icon::Search.view()}
                    <label class="sr" for="find">"Find a session"</label>
                    <input class="in" id="find" name="q" type="search" placeholder="Find a session" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="400"/>
                </form>
                <div class="tools">
                    <button class="b quiet" type="button" popovertarget="me" aria-label=format!("{}, your menu", who.name)>
                        {Icon::User.view()}<span class="who">{who.name.clone()}</span>
                    </button>
                </div>
            </div>
        </header>
    }
    .into_any()
}

fn menu(who: &Who, theme: Theme, path: String) -> AnyView {
    let themes = Theme::ALL
        .map(|of| {
            view! {
                <button name="theme" value=of.as_str() aria-pressed=if of == theme { "true" } else { "false" }>{of.name()}</button>
            }
        })
        .collect_view();
    view! {
        <div popover="auto" id="me" class="pop" role="dialog" aria-label="Your menu">
            <div class="who"><b>{who.name.clone()}</b><p>{format!("Role: {}", who.role)}</p></div>
            <form method="post" action="/theme">
                <input type="hidden" name="csrf" value=who.csrf.clone()/>
                <input type="hidden" name="back" value=path/>
                <fieldset><legend>"Theme"</legend><div class="seg">{themes}</div></fieldset>
            </form>
            <KeysSwitch/>
            <a class="b quiet" href="/account">{Icon::Key.view()}"Your account"</a>
            <form method="post" action="/sign-out">
                <input type="hidden" name="csrf" value=who.csrf.clone()/>
                <button class="b quiet">{Icon::Leave.view()}"Sign out"</button>
            </form>
        </div>
    }
    .into_any()
}

/// The head of a page about many things: title, one line that sums it up, and what can be done.
#[component]
pub(crate) fn Head(
    #[prop(into)] title: String,
    #[prop(into)] text: String,
    #[prop(optional, into)] acts: Option<AnyView>,
) -> impl IntoView {
    view! {
        <div class="head">
            <div><h1>{title}</h1><p>{text}</p></div>
            {acts.map(|acts| view! { <div class="acts">{acts}</div> })}
        </div>
    }
}
