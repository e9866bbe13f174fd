//! The names of our spans. `ARCHITECTURE.md` lists them with their attributes.

/// An episode: the mail server is connected to, and what is new is seen. The root of a trace, linked to the registration.
pub(crate) const CONNECT: &str = "session.connect";
/// An episode: the mail server said that something is new. The root of a trace, linked to the registration.
pub(crate) const MAIL: &str = "session.mail";
/// An episode: a deadline is over. The root of a trace, linked to the registration; it exists if the session changed.
pub(crate) const DEADLINE: &str = "session.deadline";
/// An attempt to send a push. A child of the episode that caused it.
pub(crate) const PUSH: &str = "push.send";

/// The root span of an episode. `traced` is what [`Traced::field`](crate::traced::Traced::field) says of the session: the
/// sampler of the process looks for it.
macro_rules! episode {
    ($name:expr, $session:expr, $registration:expr, $traced:expr) => {{
        let span = tracing::info_span!(
            parent: None,
            $name,
            otel.kind = "internal",
            otel.status_code = tracing::field::Empty,
            pinger.session_id = %$session,
            pinger.traced = $traced,
            pinger.state = tracing::field::Empty,
            pinger.failure = tracing::field::Empty,
            pinger.push_id = tracing::field::Empty,
        );
        if let Some(registration) = $registration {
            proto::trace::link_to(&span, registration);
        }
        span
    }};
}

pub(crate) use episode;
