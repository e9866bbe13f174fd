//! A state is always shape + word + colour.

use domain::State;
use leptos::prelude::*;

use super::icon::Icon;

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It works.
    Ok,
    /// It is under way.
    Busy,
    /// It does not work, and Pinger goes on by itself.
    Warn,
    /// It does not work, and a person has to act.
    Bad,
    /// It is as somebody wanted it.
    Calm,
}

impl Tone {
    /// The class that sets the colours for what is inside.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Calm => "calm",
        }
    }
}

/// A shape with its colour. There is one for each thing that can be so, and no other pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Watching,
    Waiting,
    Holding,
    Retrying,
    /// Ended because somebody wanted it.
    Ended,
    /// Ended, refused or broken: a person has to act.
    Fault,
    Revoked,
    Ok,
    /// A push that waits for a breaker.
    Waits,
    Running,
    NotReached,
}

impl Mark {
    pub(crate) const fn icon(self) -> Icon {
        match self {
            Self::Watching => Icon::Watching,
            Self::Waiting => Icon::Waiting,
            Self::Holding | Self::Waits => Icon::Holding,
            Self::Retrying => Icon::Retrying,
            Self::Ended => Icon::Ended,
            Self::Fault => Icon::Fault,
            Self::Revoked => Icon::Revoked,
            Self::Ok => Icon::Ok,
            Self::Running => Icon::Running,
            Self::NotReached => Icon::Nothing,
        }
    }

    pub(crate) const fn tone(self) -> Tone {
        match self {
            Self::Watching | Self::Ok => Tone::Ok,
            Self::Holding | Self::Running => Tone::Busy,
            Self::Retrying | Self::Waits => Tone::Warn,
            Self::Fault => Tone::Bad,
            Self::Waiting | Self::Ended | Self::Revoked | Self::NotReached => Tone::Calm,
        }
    }

    /// The mark of a state, where no reason is known that would change it.
    pub(crate) const fn of(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Watching => Self::Watching,
            State::Holding => Self::Holding,
            State::Retrying => Self::Retrying,
            State::Ended => Self::Ended,
        }
    }

    pub(crate) const fn class(self) -> &'static str {
        self.tone().class()
    }
}

/// A state in a list: coloured shape, word in ink.
#[component]
pub(crate) fn StateWord(mark: Mark, #[prop(into)] text: String) -> impl IntoView {
    view! { <span class=format!("state {}", mark.class())>{mark.icon().view()}{text}</span> }
}

/// The state of the thing that a page is about; once a page.
#[component]
pub(crate) fn Badge(mark: Mark, #[prop(into)] text: String) -> impl IntoView {
    view! { <span class=format!("badge {}", mark.class())>{mark.icon().view()}{text}</span> }
}
