//! Which traces are kept: what the environment says, and beside that whatever staff have traced.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use super::settings::SamplerSetting;

/// The attribute of a span that is kept whatever the rest says; see ARCHITECTURE.md.
const TRACED: &str = "pinger.traced";

/// The environment's sampler, which lets through what is marked, and what is below it in this process.
#[derive(Clone, Debug)]
pub(super) struct Marked(Sampler);

impl Marked {
    pub(super) fn new(SamplerSetting { parent_based, ratio }: SamplerSetting) -> Self {
        let root = Sampler::TraceIdRatioBased(ratio);
        Self(if parent_based { Sampler::ParentBased(Box::new(root)) } else { root })
    }
}

impl ShouldSample for Marked {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.0.should_sample(parent_context, trace_id, name, span_kind, attributes, links);
        if result.decision == SamplingDecision::Drop && (is_marked(attributes) || is_kept_here(parent_context)) {
            result.decision = SamplingDecision::RecordAndSample;
        }
        result
    }
}

fn is_marked(attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|attribute| attribute.key.as_str() == TRACED && attribute.value == Value::Bool(true))
}

/// Whether the parent is a span of this process that is kept. Without marks, all spans of a trace have one answer here, so
/// the parent was marked, or something above it.
fn is_kept_here(parent: Option<&Context>) -> bool {
    parent.is_some_and(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid() && !span.is_remote() && span.is_sampled()
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    const OFF: [SamplerSetting; 2] =
        [SamplerSetting { parent_based: true, ratio: 0.0 }, SamplerSetting { parent_based: false, ratio: 0.0 }];

    fn parent(flags: TraceFlags, remote: bool) -> Context {
        let context = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, remote, TraceState::NONE);
        Context::new().with_remote_span_context(context)
    }

    fn keeps(setting: SamplerSetting, parent: Option<&Context>, attributes: &[KeyValue]) -> bool {
        let sampler = Marked::new(setting);
        let result = sampler.should_sample(parent, TraceId::from(1), "x", &SpanKind::Internal, attributes, &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn marks_count_and_nothing_else_does() {
        let marked = [KeyValue::new("pinger.session_id", "1"), KeyValue::new(TRACED, true)];
        let unmarked = [KeyValue::new(TRACED, false)];
        for setting in OFF {
            assert!(!keeps(setting, None, &[]));
            assert!(!keeps(setting, None, &unmarked));
            assert!(keeps(setting, None, &marked));
            assert!(keeps(setting, Some(&parent(TraceFlags::default(), true)), &marked), "a caller that is not traced");
            assert!(keeps(setting, Some(&parent(TraceFlags::SAMPLED, false)), &[]), "below what is marked");
            assert!(!keeps(setting, Some(&parent(TraceFlags::default(), false)), &[]));
        }
        // What others decided is the environment's business.
        let remote = parent(TraceFlags::SAMPLED, true);
        assert!(keeps(OFF[0], Some(&remote), &[]) && !keeps(OFF[1], Some(&remote), &[]));
    }
}
