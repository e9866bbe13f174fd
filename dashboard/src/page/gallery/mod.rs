//! Every page with believable data, checked for what no page may lack or have. With `PINGER_GALLERY=DIR` the pages are
//! written there, with the stylesheet, to be looked at in a browser.

mod sample;

use std::fs;
use std::path::PathBuf;

use crate::assets;
use crate::part::mark::Mark;
use crate::part::notice::Toast;
use crate::shell::{Frame, Section, Theme, Who, bare_page, page};
use crate::why::sample::NOW;

fn who() -> Who {
    Who { name: "kim".into(), role: "Support", may_act: true, may_manage: true, csrf: "c5rf".into() }
}

fn frame(section: Section, title: &str) -> Frame {
    Frame {
        section,
        title: title.into(),
        who: who(),
        theme: Theme::System,
        path: "/".into(),
        now: NOW,
        breaker_open: true,
        node: "019aa3c1…41d0".into(),
        toast: None,
    }
}

/// What no page may lack or have.
#[track_caller]
fn check(name: &str, html: &str) {
    let count = |needle: &str| html.matches(needle).count();
    assert_eq!(count("<h1"), 1, "{name}: one h1");
    assert_eq!(count("<main"), 1, "{name}: one main");
    assert_eq!(count(" style="), 0, "{name}: a style attribute is against the content policy");
    let ours = count("<script type=\"module\" src=\"/assets/");
    assert_eq!(count("<script"), ours, "{name}: a script in a page is against the content policy");
    assert_eq!(count(" onclick"), 0, "{name}");
    assert_eq!(count("http://"), 0, "{name}: nothing is loaded from elsewhere");
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\""), "{name}");
    assert!(!html.contains("undefined") && !html.contains("NaN") && !html.contains("{}"), "{name}");
    let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for (index, id) in ids.iter().enumerate() {
        assert!(!ids[..index].contains(id), "{name}: the id {id} is there twice");
    }
    for of in ["aria-labelledby=\"", "aria-describedby=\"", " for=\"", "popovertarget=\""] {
        for target in html.split(of).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(ids.contains(&target), "{name}: {of}{target}\" leads nowhere");
        }
    }
    for form in html.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next()) {
        let signed_in = !name.starts_with("sign");
        if form.contains("method=\"post\"") && signed_in {
            assert!(form.contains("name=\"csrf\""), "{name}: a form without its proof");
        }
    }
}

fn show(name: &str, html: String) {
    check(name, &html);
    let Some(folder) = std::env::var_os("PINGER_GALLERY").map(PathBuf::from) else { return };
    fs::create_dir_all(folder.join("assets")).unwrap();
    for path in [assets::stylesheet(), assets::favicon(), assets::passkey_script()] {
        let asset = assets::find(path).unwrap();
        fs::write(folder.join(path.trim_start_matches('/')), asset.plain).unwrap();
    }
    fs::write(folder.join(format!("{name}.html")), html.replace("=\"/assets/", "=\"assets/")).unwrap();
    for theme in ["light", "dark"] {
        let themed = html
            .replace("=\"/assets/", "=\"assets/")
            .replace("<html lang=\"en\"", &format!("<html lang=\"en\" data-theme=\"{theme}\""));
        fs::write(folder.join(format!("{name}.{theme}.html")), themed).unwrap();
    }
}

#[test]
fn overview() {
    show("overview", page(frame(Section::Overview, "Overview"), || sample::overview().view()));
    let mut quiet = sample::overview();
    quiet.attention.clear();
    show("overview-well", page(frame(Section::Overview, "Overview"), || quiet.view()));
    show("overview-first", page(frame(Section::Overview, "Overview"), || sample::first_start().view()));
}

#[test]
fn sessions() {
    show("sessions", page(frame(Section::Sessions, "Sessions"), || sample::sessions().view()));
    show("sessions-none", page(frame(Section::Sessions, "Sessions"), || sample::no_sessions().view()));
}

#[test]
fn session() {
    let of = sample::refused();
    let title = of.title();
    show("session", page(frame(Section::Sessions, &title), || of.view()));
    let mut watched = frame(Section::Sessions, "Session");
    watched.toast = Some(Toast {
        mark: Mark::Ok,
        text: "Test push accepted by APNs in 96 ms".into(),
        link: Some(("Pushes".into(), "/pushes".into())),
    });
    show("session-watching", page(watched, || sample::watching().view()));
    show("session-ended", page(frame(Section::Sessions, "Session"), || sample::ended().view()));
    show("session-waiting", page(frame(Section::Sessions, "Session"), || sample::waiting().view()));
    show("session-ping", page(frame(Section::Sessions, "Forced ping"), || sample::ping().view()));
    show("session-ping-runs", page(frame(Section::Sessions, "Forced ping"), || sample::ping_runs().view()));
    show("session-ping-failed", page(frame(Section::Sessions, "Forced ping"), || sample::ping_failed().view()));
    show("session-revoke", page(frame(Section::Sessions, "Revoke"), || sample::revoke().view()));
}

#[test]
fn devices() {
    show("devices", page(frame(Section::Devices, "Devices"), || sample::devices().view()));
    show("device", page(frame(Section::Devices, "Device"), || sample::device().view()));
}

#[test]
fn pushes() {
    show("pushes", page(frame(Section::Pushes, "Pushes"), || sample::pushes().view()));
    let mut well = frame(Section::Pushes, "Pushes");
    well.breaker_open = false;
    show("pushes-well", page(well, || sample::pushes_well().view()));
}

#[test]
fn people() {
    show("staff", page(frame(Section::Staff, "Staff"), || sample::staff().view()));
    show("audit", page(frame(Section::Audit, "Audit"), || sample::audit().view()));
    show("settings", page(frame(Section::Settings, "Settings"), || sample::settings().view()));
}

#[test]
fn signing_in() {
    show("sign-in", bare_page("Sign in", Theme::System, || sample::sign_in(false).view()));
    show("sign-in-refused", bare_page("Sign in", Theme::System, || sample::sign_in(true).view()));
    show("sign-in-code", bare_page("Sign in", Theme::System, || sample::code().view()));
    show("sign-up", bare_page("Sign up", Theme::System, || sample::sign_up().view()));
    show(
        "sign-up-recovery",
        bare_page("Recovery codes", Theme::System, || crate::page::sign_in::recovery(sample::recovery())),
    );
    show("sign-up-dead", bare_page("Sign up", Theme::System, crate::page::sign_in::dead_link));
}

#[test]
fn troubles() {
    for (name, trouble) in sample::troubles() {
        show(&format!("trouble-{name}"), page(frame(Section::Nowhere, trouble.title()), || trouble.view()));
    }
}

/// Whatever a device, a mail server or a customer writes is text, never markup.
#[test]
fn hostile_text_stays_text() {
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=y>";
    let mut of = sample::refused();
    of.subject.user = evil.into();
    of.subject.device = evil.into();
    of.subject.device_is = evil.into();
    of.subject.context = evil.into();
    of.subject.facts.host = evil.into();
    of.subject.facts.mailbox = evil.into();
    of.target = evil.into();
    for entry in &mut of.timeline {
        entry.quote = Some(evil.into());
        entry.title = evil.into();
    }
    if let Some(handshake) = &mut of.handshake {
        for line in &mut handshake.lines {
            line.text = evil.into();
        }
    }
    let html = page(frame(Section::Sessions, evil), || of.view());
    assert!(!html.contains("<script>") && !html.contains("<img"), "markup came through");
    assert!(html.contains("&lt;script&gt;"));
    check("hostile", &html);
}
