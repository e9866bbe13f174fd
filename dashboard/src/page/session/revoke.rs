//! The question before a session is revoked: it names the thing, says what happens, and asks for a reason.

use leptos::prelude::*;

use super::Subject;
use crate::part::card::{fact, id};
use crate::part::chain::ticks;
use crate::part::format::short_id;
use crate::part::icon::Icon;
use crate::part::mark::Mark;
use crate::part::notice::{Dialog, Strip};

/// Why a session is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Lost,
    Asked,
    Misused,
    Other,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Lost, Self::Asked, Self::Misused, Self::Other];

    /// The word in the form.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Asked => "asked",
            Self::Misused => "misused",
            Self::Other => "other",
        }
    }

    /// Finds a reason by its word.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// As people read it, in the form and in the audit.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Lost => "Device lost or stolen",
            Self::Asked => "Customer asked for it",
            Self::Misused => "Account seems misused",
            Self::Other => "Other",
        }
    }
}

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct RevokePage {
    pub(crate) subject: Subject,
    pub(crate) csrf: String,
    /// What was wrong with the answer.
    pub(crate) problem: Option<String>,
    /// The note as it was typed.
    pub(crate) note: String,
}

impl RevokePage {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { subject, csrf, problem, note } = self;
        let back = format!("/sessions/{}", subject.id);
        let crumbs = subject.crumbs(Some("Revoke"));
        let foot = view! {
            <a class="b" href=back>"Keep session"</a>
            <button class="b danger fill">{Icon::Revoked.view()}{format!("Revoke {}", short_id(&subject.id))}</button>
        }
        .into_any();
        let options =
            Reason::ALL.map(|reason| view! { <option value=reason.as_str()>{reason.text()}</option> }).collect_view();
        let problem =
            problem.map(|problem| view! { <Strip mark=Mark::Fault bold="Not revoked yet." text=problem alert=true/> });
        view! {
            {crumbs}
            <Dialog action=format!("/sessions/{}/revoke", subject.id) title="Revoke this session?" csrf=csrf foot=foot>
                {problem}
                <dl class="thing">
                    {fact("Session", id(subject.id.clone()))}
                    {fact("Device", format!("{} of {}", subject.device_is, subject.user))}
                    {fact("Watches", format!("{} at {}", subject.facts.mailbox, subject.facts.host))}
                </dl>
                {ticks(vec![
                    (Icon::Plug, "The connection to the mail server is closed at once."),
                    (Icon::Key, "The sealed credential is deleted. Nobody can bring it back."),
                    (Icon::Bell, "The device is told to register again. Until then no mail is pushed."),
                ])}
                <div class="field">
                    <label for="reason">"Reason"</label>
                    <select class="in" id="reason" name="reason" required>{options}</select>
                </div>
                <div class="field">
                    <label for="note">"Ticket or note"</label>
                    <input class="in" id="note" name="note" value=note maxlength="400" aria-describedby="note-h" autocomplete="off"/>
                    <p class="help" id="note-h">"Kept in the audit with your name."</p>
                </div>
            </Dialog>
        }
        .into_any()
    }
}
