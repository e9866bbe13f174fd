//! Audit: who did or looked at what.

use domain::{SessionId, Timestamp};
use leptos::prelude::*;
use store::AuditFault;

use crate::part::filter::{Chip, Pager, chips};
use crate::part::format::{Time, clock, count, day_long, moment, same_day, short_id};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, Tone};
use crate::part::notice::{Empty, Strip};
use crate::part::table::{Col, Table, labelled, row, td};
use crate::shell::Head;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    pub(crate) now: Timestamp,
    /// The last check of the chain.
    pub(crate) check: Option<Check>,
    pub(crate) entries: Vec<Entry>,
    /// Filters that are set or could be: word, link, whether it is set.
    pub(crate) choices: Vec<(String, String, bool)>,
    pub(crate) newer: Option<String>,
    pub(crate) older: Option<String>,
    pub(crate) csv: String,
    /// For the button that checks the chain; none for whoever may not.
    pub(crate) csrf: Option<String>,
}

/// What came of a check of the chain.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    Whole { entries: u64, newest: Option<Timestamp>, hash: String, at: Timestamp },
    Broken { seq: u64, fault: AuditFault, at: Timestamp },
}

impl Check {
    /// When it was.
    pub(crate) const fn at(&self) -> Timestamp {
        match self {
            Self::Whole { at, .. } | Self::Broken { at, .. } => *at,
        }
    }
}

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) staff: String,
    /// The stable name of what was done.
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) reason: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) hash: String,
}

/// What was done, in words. Names that this version doesn't know are shown as they are.
pub(crate) fn action(name: &str) -> (Icon, Option<Tone>, String) {
    let (icon, tone, text) = match name {
        "signed_in" => (Icon::Key, None, "Signed in"),
        "sign_in_refused" => (Icon::Fault, Some(Tone::Bad), "Sign-in refused"),
        "sign_in_throttled" => (Icon::Fault, Some(Tone::Bad), "Sign-ins slowed down"),
        "signed_out" => (Icon::Leave, None, "Signed out"),
        "signed_up" => (Icon::User, None, "Signed up"),
        "invited" => (Icon::Plus, None, "Invited somebody"),
        "password_changed" => (Icon::Key, None, "Changed the password"),
        "totp_set" => (Icon::Shield, None, "Set up codes"),
        "totp_removed" => (Icon::Shield, None, "Switched codes off"),
        "recovery_renewed" => (Icon::Key, None, "Made recovery codes"),
        "passkey_added" => (Icon::Key, None, "Registered a passkey"),
        "passkey_removed" => (Icon::Key, None, "Removed a passkey"),
        "factors_removed" => (Icon::Shield, None, "Switched second factors off"),
        "identity_linked" => (Icon::Key, None, "Connected a provider"),
        "identity_unlinked" => (Icon::Key, None, "Disconnected a provider"),
        "invite_withdrawn" => (Icon::Leave, None, "Withdrew a sign-up link"),
        "reset_offered" => (Icon::Key, None, "Made a link for a new password"),
        "password_reset" => (Icon::Key, None, "Set a new password by a link"),
        "role_changed" => (Icon::User, None, "Changed a role"),
        "staff_disabled" => (Icon::Revoked, None, "Shut somebody out"),
        "staff_enabled" => (Icon::User, None, "Let somebody in again"),
        "sign_ins_ended" => (Icon::Leave, None, "Ended sign-ins"),
        "session_viewed" => (Icon::Eye, None, "Looked at a session"),
        "address_searched" => (Icon::Search, None, "Searched by address"),
        "exported" => (Icon::Download, None, "Exported CSV"),
        "ping_forced" => (Icon::Ping, None, "Forced a ping"),
        "test_push_sent" => (Icon::Bell, None, "Sent a test push"),
        "session_revoked" => (Icon::Revoked, None, "Revoked a session"),
        "trace_on" => (Icon::Trace, None, "Traced a session"),
        "bulk_started" => (Icon::Dots, None, "Acted on many sessions"),
        "bulk_ended" => (Icon::Dots, None, "Came to the end of an act on many"),
        "bulk_stopped" => (Icon::Dots, None, "Stopped an act on many"),
        "views_changed" => (Icon::Pen, None, "Changed everybody’s views"),
        "forbidden" => (Icon::Shield, Some(Tone::Warn), "Was not allowed"),
        other => return (Icon::Pen, None, other.replace('_', " ")),
    };
    (icon, tone, text.to_owned())
}

impl Audit {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.now;
        let check = self.check.map(|check| match check {
            Check::Whole { entries, newest, hash, at } => view! {
                <Strip mark=Mark::Ok bold="The chain is whole." text=checked(entries, newest, at, &hash, now)/>
            }
            .into_any(),
            Check::Broken { seq, fault, at } => view! {
                <Strip mark=Mark::Fault bold="The chain is broken." text=broken(seq, fault, at) alert=true/>
            }
            .into_any(),
        });
        let choices =
            self.choices.into_iter().map(|(text, href, chosen)| Chip::Choice { text, href, chosen }).collect();
        let acts =
            view! { {check_button(self.csrf)}<a class="b" href=self.csv download="audit.csv">{Icon::Download.view()}"CSV"</a> }.into_any();
        let mut days: Vec<(Timestamp, Vec<AnyView>)> = Vec::new();
        for entry in self.entries {
            let at = entry.at;
            match days.last_mut() {
                Some((day, lines)) if same_day(*day, at) => lines.push(line(entry)),
                _ => days.push((at, vec![line(entry)])),
            }
        }
        let is_empty = days.is_empty();
        let last = days.len().saturating_sub(1);
        let pager = move |index: usize, newer: Option<String>, older: Option<String>| {
            (index == last).then(|| view! { <Pager note="Newest first" names=("Newer", "Older") back=newer on=older/> })
        };
        let cards = days
            .into_iter()
            .enumerate()
            .map(|(index, (day, rows))| {
                let foot = pager(index, self.newer.clone(), self.older.clone());
                view! {
                    <section class="card" aria-label=day_long(day, now)>
                        <header><h2>{day_long(day, now)}</h2></header>
                        <Table caption=format!("Audit entries of {}", day_long(day, now)) cols=cols() rows=rows/>
                        {foot}
                    </section>
                }
            })
            .collect_view();
        let nothing = is_empty.then(|| {
            view! { <div class="card"><Empty icon=Icon::Eye title="Nothing is written down yet" text="Every sign-in, every look at a session and every act shows up here."/></div> }
        });
        view! {
            <Head title="Audit" text="Who did or looked at what. Entries can’t be changed, and each carries the hash of the one before." acts=acts/>
            <div class="stack">
                {check}
                {chips(choices, "Show")}
                {cards}
                {nothing}
            </div>
        }
        .into_any()
    }
}

fn check_button(csrf: Option<String>) -> Option<AnyView> {
    let csrf = csrf?;
    let form = view! {
        <form method="post" action="/audit/check">
            <input type="hidden" name="csrf" value=csrf/>
            <button class="b">{Icon::Shield.view()}"Check the chain"</button>
        </form>
    };
    Some(form.into_any())
}

/// Where the chain breaks, and what to do.
fn broken(seq: u64, fault: AuditFault, at: Timestamp) -> String {
    let what = match fault {
        AuditFault::Changed => "was changed after it was written",
        AuditFault::Missing => "is missing",
        AuditFault::Unlinked => "does not follow on the one before it",
    };
    let before = match seq.saturating_sub(1) {
        0 => String::new(),
        1 => " The one entry before it is as it was written.".to_owned(),
        before => format!(" The {} entries before it are as they were written.", count(before)),
    };
    format!(
        "Entry {} {what}, as the check at {} found.{before} Keep the database as it is, compare it with a backup from that entry \
         on, and find out who could write to it.",
        count(seq),
        clock(at)
    )
}

fn checked(entries: u64, newest: Option<Timestamp>, at: Timestamp, hash: &str, now: Timestamp) -> String {
    let checked = match entries {
        1 => "Its one entry was".to_owned(),
        entries => format!("All {} entries were", count(entries)),
    };
    let newest = newest.map(|newest| format!(", up to {}", moment(newest, now))).unwrap_or_default();
    format!("{checked} checked at {}{newest}; the newest hash is {}.", clock(at), short_id(hash))
}

fn cols() -> Vec<Col> {
    vec![
        Col::text("When"),
        Col::text("Who"),
        Col::text("Did"),
        Col::text("What"),
        Col::text("Reason"),
        Col::text("From"),
        Col::text("Hash"),
    ]
}

fn line(entry: Entry) -> AnyView {
    let Entry { at, staff, action: name, subject, reason, address, hash } = entry;
    let (icon, tone, text) = action(&name);
    let class = tone.unwrap_or(Tone::Calm).class();
    let subject = if SessionId::parse(&subject).is_ok() {
        let href = format!("/sessions/{subject}");
        view! { <a class="mono" href=href>{short_id(&subject)}</a> }.into_any()
    } else if is_hash(&subject) {
        let short = short_id(&subject);
        view! { <span class="mono nowrap" title=subject>{short}</span> }.into_any()
    } else {
        subject.into_any()
    };
    // A phone has no room to say that there is none.
    let (reason, of_reason) = match reason {
        Some(reason) => (format!("“{reason}”").into_any(), "nolab"),
        None => (view! { <span class="soft">"None asked"</span> }.into_any(), "nolab hide"),
    };
    row(vec![
        td("lead", view! { <Time at=at text=clock(at)/> }),
        td("trail nowrap", staff),
        td("nolab", view! { <span class=format!("state {class}")>{icon.view()}{text}</span> }),
        td("nolab", subject),
        td(of_reason, reason),
        labelled("half", "From", view! { <span class="mono">{address.unwrap_or_else(|| "—".to_owned())}</span> }),
        labelled("half", "Hash", view! { <span class="mono soft nowrap">{short_id(&hash)}</span> }),
    ])
}

/// Whether it is the keyed hash of an address, by which somebody searched: 64 digits, which no table has room for.
fn is_hash(subject: &str) -> bool {
    subject.len() == 64 && subject.bytes().all(|byte| byte.is_ascii_hexdigit())
}
