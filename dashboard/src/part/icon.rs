//! The icons: one line weight, 16 units, drawn inline so that nothing has to be loaded.

use leptos::prelude::*;

/// What an icon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    Watching,
    Waiting,
    Holding,
    Retrying,
    Ended,
    Fault,
    Revoked,
    Ok,
    Running,
    Nothing,
    Brand,
    Search,
    Left,
    Right,
    Out,
    Cross,
    Ping,
    Bell,
    Trace,
    Key,
    Phone,
    Mail,
    User,
    Plug,
    Leave,
    Eye,
    Download,
    Plus,
    Shield,
    Pen,
    Dots,
    Up,
    Down,
    Copy,
}

impl Icon {
    const fn shape(self) -> &'static str {
        match self {
            Self::Watching => {
                r#"<circle cx="8" cy="8" r="6.25"/><circle cx="8" cy="8" r="2.75" fill="currentColor" stroke="none"/>"#
            }
            Self::Waiting => r#"<circle cx="8" cy="8" r="6.25"/><path d="M8 4.6V8l2.3 1.6"/>"#,
            Self::Holding => {
                r#"<rect x="2" y="2" width="12" height="12" rx="2.5"/><path d="M6.25 5.75v4.5M9.75 5.75v4.5"/>"#
            }
            Self::Retrying => {
                r#"<path d="M8 2.1 14.4 13.4H1.6Z"/><path d="M8 6.5v3.2"/><circle cx="8" cy="11.4" r=".8" fill="currentColor" stroke="none"/>"#
            }
            Self::Ended => r#"<rect x="3.5" y="3.5" width="9" height="9" rx="1" fill="currentColor" stroke="none"/>"#,
            Self::Fault => {
                r#"<path d="M5.4 1.75h5.2l3.65 3.65v5.2l-3.65 3.65H5.4L1.75 10.6V5.4Z"/><path d="m5.9 5.9 4.2 4.2M10.1 5.9l-4.2 4.2"/>"#
            }
            Self::Revoked => r#"<circle cx="8" cy="8" r="6.25"/><path d="m3.6 3.6 8.8 8.8"/>"#,
            Self::Ok => r#"<circle cx="8" cy="8" r="6.25"/><path d="m5.2 8.2 2 2 3.7-4.2"/>"#,
            Self::Running => r#"<path d="M8 1.75a6.25 6.25 0 1 1-6.25 6.25"/>"#,
            Self::Nothing => r#"<circle cx="8" cy="8" r="6.25" stroke-dasharray="2 2.35"/>"#,
            Self::Brand => {
                r#"<circle cx="4.2" cy="11.8" r="2.4" fill="currentColor" stroke="none"/><path d="M4.2 6.1a5.7 5.7 0 0 1 5.7 5.7M4.2 1.9a9.9 9.9 0 0 1 9.9 9.9" stroke-width="1.75"/>"#
            }
            Self::Search => r#"<circle cx="7" cy="7" r="4.75"/><path d="m10.6 10.6 3.4 3.4"/>"#,
            Self::Left => r#"<path d="M10 3.5 5.5 8l4.5 4.5"/>"#,
            Self::Right => r#"<path d="m6 3.5 4.5 4.5L6 12.5"/>"#,
            Self::Out => r#"<path d="M5 11 11.5 4.5M6 4.5h5.5V10"/>"#,
            Self::Cross => r#"<path d="m4 4 8 8M12 4l-8 8"/>"#,
            Self::Ping => r#"<path d="M9 1.8 3.5 9H8l-1 5.2L12.5 7H8Z"/>"#,
            Self::Bell => {
                r#"<path d="M3.2 11.5h9.6c-1-1-1.5-2-1.5-4.5a3.3 3.3 0 0 0-6.6 0c0 2.5-.5 3.5-1.5 4.5ZM6.7 13.8h2.6"/>"#
            }
            Self::Trace => {
                r#"<circle cx="3.5" cy="3.5" r="1.75"/><circle cx="12.5" cy="12.5" r="1.75"/><path d="M5.3 3.5H10A2.25 2.25 0 0 1 10 8H6a2.25 2.25 0 0 0 0 4.5h4.7"/>"#
            }
            Self::Key => r#"<circle cx="5" cy="11" r="2.75"/><path d="m7 9 6-6M10.5 5.5l2 2"/>"#,
            Self::Phone => r#"<rect x="4.25" y="1.75" width="7.5" height="12.5" rx="1.5"/><path d="M7.25 12h1.5"/>"#,
            Self::Mail => {
                r#"<rect x="1.75" y="3.25" width="12.5" height="9.5" rx="1.5"/><path d="m2.2 4.3 5.8 4.4 5.8-4.4"/>"#
            }
            Self::User => {
                r#"<circle cx="8" cy="5.25" r="2.75"/><path d="M2.75 13.75c.6-2.9 2.7-4.25 5.25-4.25s4.65 1.35 5.25 4.25"/>"#
            }
            Self::Plug => r#"<path d="M5.5 2v3M10.5 2v3M4 5h8v2.5a4 4 0 0 1-8 0ZM8 11.5V14"/>"#,
            Self::Leave => r#"<path d="M6.5 2.5h-3a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h3M10 4.8 13.2 8 10 11.2M6.5 8H13"/>"#,
            Self::Eye => {
                r#"<path d="M1.5 8S3.8 3.5 8 3.5 14.5 8 14.5 8 12.2 12.5 8 12.5 1.5 8 1.5 8Z"/><circle cx="8" cy="8" r="1.9"/>"#
            }
            Self::Download => r#"<path d="M8 2.5v7M4.8 6.8 8 10l3.2-3.2M2.5 13.5h11"/>"#,
            Self::Plus => r#"<path d="M8 3.5v9M3.5 8h9"/>"#,
            Self::Shield => {
                r#"<path d="M8 1.75 13.25 3.5v4.25c0 3.2-2.2 5.3-5.25 6.5-3.05-1.2-5.25-3.3-5.25-6.5V3.5Z"/>"#
            }
            Self::Dots => r#"<path d="M8 3.5v.01M8 8v.01M8 12.5v.01" stroke-width="2"/>"#,
            Self::Up => r#"<path d="M8 13V3.5M4 7l4-3.8L12 7"/>"#,
            Self::Down => r#"<path d="M8 3v9.5M4 9l4 3.8L12 9"/>"#,
            Self::Copy => {
                r#"<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.500 3.500v-.500A1.500 1.500 0 0 0 9 1.500H4A1.500 1.500 0 0 0 2.500 3v5A1.500 1.500 0 0 0 4 9.500h.500"/>"#
            }
            Self::Pen => r#"<path d="M3 13l.7-3L10.5 3.200l2.300 2.300L6 12.300Z"/>"#,
        }
    }

    /// The icon as decoration: a word stands beside it.
    pub(crate) fn view(self) -> AnyView {
        view! { <svg class="i" viewBox="0 0 16 16" aria-hidden="true" inner_html=self.shape()></svg> }.into_any()
    }

    /// The icon with a name of its own, where no word stands beside it.
    pub(crate) fn named(self, name: &'static str) -> AnyView {
        view! { <svg class="i" viewBox="0 0 16 16" role="img" aria-label=name inner_html=self.shape()></svg> }
            .into_any()
    }

    /// The icon, turning: something is in progress.
    #[allow(dead_code, reason = "a ping that runs is shown once the handle is there")]
    pub(crate) fn turning(self) -> AnyView {
        view! { <svg class="i spin" viewBox="0 0 16 16" aria-hidden="true" inner_html=self.shape()></svg> }.into_any()
    }
}
