//! The way back: what [`domain`] knows becomes messages.

use domain::{Baseline, EndReason, Life, SessionId, State, Timestamp};

use crate::v1;

/// A point in time.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    prost_types::Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0),
    }
}

/// A session, as its device sees it.
pub fn session(id: SessionId, context: &str, life: &Life) -> v1::Session {
    let state = match life.state() {
        State::Waiting => v1::SessionState::Waiting,
        State::Watching => v1::SessionState::Watching,
        State::Holding => v1::SessionState::Holding,
        State::Retrying => v1::SessionState::Retrying,
        State::Ended => v1::SessionState::Ended,
    };
    let end_reason = match life.end_reason() {
        None => v1::EndReason::Unspecified,
        Some(EndReason::Stopped) => v1::EndReason::Stopped,
        Some(EndReason::Revoked) => v1::EndReason::Revoked,
        Some(EndReason::Replaced) => v1::EndReason::Replaced,
        Some(EndReason::Expired) => v1::EndReason::Expired,
        Some(EndReason::CredentialRefused) => v1::EndReason::CredentialRefused,
        Some(EndReason::MailServerGone) => v1::EndReason::MailServerGone,
        Some(EndReason::PushTargetGone) => v1::EndReason::PushTargetGone,
        Some(EndReason::Quota) => v1::EndReason::Quota,
        Some(EndReason::RequestRefused) => v1::EndReason::RequestRefused,
    };
    v1::Session {
        session_id: id.to_string(),
        context: context.to_owned(),
        state: state.into(),
        end_reason: end_reason.into(),
        state_time: Some(timestamp(life.state_since)),
        deadline: life.deadline().map(timestamp),
        expire_time: Some(timestamp(life.expires_at)),
        last_error: life.failure.as_ref().map(|failure| v1::SessionError {
            code: failure.code.as_str().to_owned(),
            message: failure.code.message().to_owned(),
            remedy: failure.code.remedy().to_owned(),
            time: life.failed_at.map(timestamp),
        }),
        push_token_rejected: life.end_reason() == Some(EndReason::PushTargetGone),
        baseline: life.baseline.as_ref().map(baseline),
    }
}

/// What has been seen of a mailbox.
pub fn baseline(baseline: &Baseline) -> v1::Baseline {
    v1::Baseline {
        uid_validity: baseline.uid_validity.get(),
        uid_next: baseline.uid_next.get(),
        highest_modseq: baseline.highest_modseq.unwrap_or(0),
    }
}
