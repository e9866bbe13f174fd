//! Links to traces, where the configuration says how to make them.

use std::sync::Arc;

use store::{DeliveryRow, TimelineEntry, TimelineKind};

/// What a link to a trace is made of. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces(Option<Arc<str>>);

impl Traces {
    /// `template` has `{trace_id}` where the id goes.
    pub(crate) fn new(template: Option<&str>) -> Self {
        Self(template.map(Arc::from))
    }

    /// Where the trace of a `traceparent` (W3C Trace Context) can be looked at. None if nobody kept that trace.
    pub(super) fn link(&self, traceparent: Option<&str>) -> Option<String> {
        let template = self.0.as_deref()?;
        let mut fields = traceparent?.split('-').skip(1);
        let (trace_id, flags) = (fields.next()?, fields.nth(1)?);
        let is_id = trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_kept = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        (is_id && is_kept).then(|| template.replace("{trace_id}", trace_id))
    }

    /// The trace of the newest entry of these kinds.
    pub(super) fn newest(&self, entries: &[TimelineEntry], kinds: &[TimelineKind]) -> Option<String> {
        let entry = entries.iter().find(|entry| kinds.contains(&entry.note.kind))?;
        self.link(entry.note.traceparent.as_deref())
    }

    /// The traces of a session that somebody may look for, each once, with a word.
    pub(super) fn of_session(
        &self,
        registration: Option<&str>,
        entries: &[TimelineEntry],
        deliveries: &[DeliveryRow],
    ) -> Vec<(String, String)> {
        use TimelineKind as Kind;
        let all = [
            ("The last fault", self.newest(entries, &[Kind::Failed])),
            ("The last forced ping", self.newest(entries, &[Kind::PingDone])),
            ("The last connect", self.newest(entries, &[Kind::Connected])),
            ("The last mail", self.newest(entries, &[Kind::MailSeen])),
            ("The last push", deliveries.first().and_then(|row| self.link(row.traceparent.as_deref()))),
            ("The registration", self.link(registration)),
        ];
        let mut traces: Vec<(String, String)> = Vec::new();
        for (word, href) in all {
            if let Some(href) = href.filter(|href| traces.iter().all(|(_, other)| other != href)) {
                traces.push((word.to_owned(), href));
            }
        }
        traces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_linked_to_by_their_ids() {
        let traces = Traces::new(Some("http://localhost:16686/trace/{trace_id}"));
        let link = |text: &str| traces.link(Some(text));
        assert_eq!(
            link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").as_deref(),
            Some("http://localhost:16686/trace/0af7651916cd43dd8448eb211c80319c")
        );
        assert_eq!(link("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), None, "nobody kept it");
        assert_eq!(link("00-javascript:alert(1)-1-01"), None);
        assert_eq!(link(""), None);
        assert_eq!(traces.link(None), None);
        assert_eq!(Traces::new(None).link(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")), None);
    }
}
