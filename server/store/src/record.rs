//! Rows become what `domain` knows, and back.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, AppId, Baseline, EndReason, Evidence, Failure, FailureCode, HostName,
    ImapTarget, KeyId, Life, MailTarget, Mailbox, Mechanism, Phase, PushTarget, Registration, SealedBox, Security,
    SessionId, State, Timestamp,
};

use crate::entity::session;
use crate::{StateReason, StoreError};

/// A session that is to be stored.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// The app that admitted it.
    pub app: AppId,
    /// What the device handed over.
    pub registration: Registration,
    /// Its life as it begins.
    pub life: Life,
    /// The keyed hash of the account's address, in hexadecimal.
    pub address_hash: String,
    /// A hash of the whole request, in hexadecimal: the same again is the same session.
    pub registration_hash: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// The W3C trace context of the registration.
    pub traceparent: Option<String>,
}

/// A session as it is stored.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// The app's user, device and account, by the app's names.
    pub user: String,
    /// The device.
    pub device: String,
    /// The account.
    pub context: String,
    /// What is watched.
    pub mail: MailTarget,
    /// Where pushes go.
    pub push_target: PushTarget,
    /// The keyed hash of the account's address, in hexadecimal.
    pub address_hash: String,
    /// How long one wait at the mail server may last.
    pub response_timeout: Duration,
    /// The credential; none once the session has ended.
    pub credential: Option<SealedBox>,
    /// What its token is bound to.
    pub generation: u64,
    /// What a change compares.
    pub revision: u64,
    /// Where it is in its life.
    pub life: Life,
    /// When it was registered.
    pub created_at: Timestamp,
    /// The W3C trace context of the registration.
    pub traceparent: Option<String>,
    /// Until when staff want each of its episodes traced.
    pub trace_until: Option<Timestamp>,
}

/// The next deadline of what has none: it has ended, and comes last.
pub(crate) const NEVER: i64 = i64::MAX;

/// The key that makes a live session the only one. Ids have no spaces.
pub(crate) fn live_key(registration: &Registration) -> String {
    format!("{} {} {}", registration.user, registration.device.id, registration.context)
}

/// The columns of a push target, in the order service, token, topic, environment, type.
pub(crate) fn push_columns(target: &PushTarget) -> (&'static str, &str, &str, &'static str, &'static str) {
    let PushTarget::Apns(apns) = target;
    let environment = match apns.environment {
        ApnsEnvironment::Production => "production",
        ApnsEnvironment::Development => "development",
    };
    let push_type = match apns.push_type {
        ApnsPushType::Background => "background",
        ApnsPushType::Alert => "alert",
    };
    ("apns", apns.token(), apns.topic(), environment, push_type)
}

/// The way back from [`push_columns`].
pub(crate) fn push_target(
    row: &str,
    service: &str,
    token: &str,
    topic: &str,
    environment: &str,
    push_type: &str,
) -> Result<PushTarget, StoreError> {
    let corrupt = |column| StoreError::Corrupt { row: row.to_owned(), column };
    if service != "apns" {
        return Err(corrupt("push_service"));
    }
    let environment = match environment {
        "production" => ApnsEnvironment::Production,
        "development" => ApnsEnvironment::Development,
        _ => return Err(corrupt("push_environment")),
    };
    let push_type = match push_type {
        "background" => ApnsPushType::Background,
        "alert" => ApnsPushType::Alert,
        _ => return Err(corrupt("push_type")),
    };
    ApnsTarget::new(token, topic, environment, push_type).map(PushTarget::Apns).map_err(|_| corrupt("push_token"))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn count(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl NewSession {
    pub(crate) fn into_row(self) -> session::Model {
        let live_key = live_key(&self.registration);
        let Registration { user, device, context, push_target, mail, credential, timings, .. } = self.registration;
        let (push_service, push_token, push_topic, push_environment, push_type) = push_columns(&push_target);
        let MailTarget::Imap(imap) = &mail;
        let mut row = session::Model {
            id: self.id.as_uuid(),
            app_id: self.app.to_string(),
            user_id: user.to_string(),
            device_id: device.id.to_string(),
            context: context.to_string(),
            platform: device.platform.as_str().to_owned(),
            os_version: device.os_version.as_str().to_owned(),
            app_version: device.app_version.as_str().to_owned(),
            push_service: push_service.to_owned(),
            push_token: push_token.to_owned(),
            push_topic: push_topic.to_owned(),
            push_environment: push_environment.to_owned(),
            push_type: push_type.to_owned(),
            mail_kind: "imap".to_owned(),
            mail_host: imap.host.to_string(),
            mail_port: i32::from(imap.port),
            mail_security: match imap.security {
                Security::Tls => "tls",
                Security::StartTls => "starttls",
            }
            .to_owned(),
            mail_mailbox: imap.mailbox.clone(),
            mail_mechanism: imap.mechanism.as_str().to_owned(),
            box_key_id: Some(credential.key_id.to_string()),
            box_encapsulated_key: Some(credential.encapsulated_key.to_vec()),
            box_ciphertext: Some(credential.ciphertext),
            address_hash: self.address_hash,
            registration_hash: self.registration_hash,
            live_key: Some(live_key),
            generation: 1,
            revision: 0,
            node_id: None,
            response_timeout: millis(timings.response_timeout),
            state: String::new(),
            end_reason: None,
            state_since: 0,
            wait_until: None,
            retry_at: None,
            hold_until: None,
            owed: false,
            silence: 0,
            attempts: 0,
            refusals: 0,
            failure_code: None,
            failure_evidence: None,
            failed_at: None,
            unresolved_since: None,
            uid_validity: None,
            uid_next: None,
            highest_modseq: None,
            expires_at: 0,
            created_at: self.created_at.as_millis(),
            ended_at: None,
            traceparent: self.traceparent,
            reason: None,
            handshake: None,
            connected_at: None,
            last_push_at: None,
            trace_until: None,
            next_at: NEVER,
        };
        row.set_life(&self.life, self.created_at);
        row
    }
}

impl session::Model {
    /// Writes a life into the row, and moves its revision.
    pub(crate) fn set_life(&mut self, life: &Life, now: Timestamp) {
        self.revision += 1;
        self.state = life.state().as_str().to_owned();
        self.end_reason = life.end_reason().map(|reason| reason.as_str().to_owned());
        self.reason = StateReason::of(life).map(|reason| reason.as_str().to_owned());
        self.state_since = life.state_since.as_millis();
        self.wait_until = match life.phase {
            Phase::Waiting { until } => Some(until.as_millis()),
            Phase::Active | Phase::Ended(_) => None,
        };
        self.retry_at = life.retry_at.map(Timestamp::as_millis);
        self.hold_until = life.hold_until.map(Timestamp::as_millis);
        self.owed = life.owed;
        self.silence = count(life.silence);
        self.attempts = count(life.attempts);
        self.refusals = count(life.refusals);
        self.failure_code = life.failure.as_ref().map(|failure| failure.code.as_str().to_owned());
        self.failure_evidence = life.failure.as_ref().map(|failure| failure.evidence.as_str().to_owned());
        self.failed_at = life.failed_at.map(Timestamp::as_millis);
        self.unresolved_since = life.unresolved_since.map(Timestamp::as_millis);
        self.uid_validity = life.baseline.map(|baseline| i64::from(baseline.uid_validity.get()));
        self.uid_next = life.baseline.map(|baseline| i64::from(baseline.uid_next.get()));
        self.highest_modseq =
            life.baseline.and_then(|baseline| baseline.highest_modseq).and_then(|modseq| i64::try_from(modseq).ok());
        self.expires_at = life.expires_at.as_millis();
        self.next_at = life.deadline().map_or(NEVER, Timestamp::as_millis);
        if !life.is_live() {
            self.live_key = None;
            self.node_id = None;
            self.box_key_id = None;
            self.box_encapsulated_key = None;
            self.box_ciphertext = None;
            self.ended_at = Some(now.as_millis());
        }
    }

    pub(crate) fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt { row: self.id.to_string(), column }
    }

    pub(crate) fn life(&self) -> Result<Life, StoreError> {
        let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let phase = match (&self.end_reason, self.wait_until) {
            (Some(reason), _) => Phase::Ended(EndReason::parse(reason).ok_or_else(|| self.corrupt("end_reason"))?),
            (None, Some(until)) => Phase::Waiting { until: Timestamp::from_millis(until) },
            (None, None) if self.state == State::Ended.as_str() => return Err(self.corrupt("state")),
            (None, None) => Phase::Active,
        };
        let failure = match &self.failure_code {
            None => None,
            Some(code) => Some(Failure::new(
                FailureCode::parse(code).ok_or_else(|| self.corrupt("failure_code"))?,
                Evidence::redact(self.failure_evidence.as_deref().unwrap_or_default(), None),
            )),
        };
        Ok(Life {
            phase,
            state_since: Timestamp::from_millis(self.state_since),
            baseline: self.baseline()?,
            expires_at: Timestamp::from_millis(self.expires_at),
            retry_at: at(self.retry_at),
            hold_until: at(self.hold_until),
            owed: self.owed,
            silence: self.silence.unsigned_abs(),
            attempts: self.attempts.unsigned_abs(),
            refusals: self.refusals.unsigned_abs(),
            failure,
            failed_at: at(self.failed_at),
            unresolved_since: at(self.unresolved_since),
        })
    }

    fn baseline(&self) -> Result<Option<Baseline>, StoreError> {
        let (Some(validity), Some(next)) = (self.uid_validity, self.uid_next) else { return Ok(None) };
        let number = |value: i64| u32::try_from(value).ok().and_then(NonZeroU32::new);
        Ok(Some(Mailbox {
            uid_validity: number(validity).ok_or_else(|| self.corrupt("uid_validity"))?,
            uid_next: number(next).ok_or_else(|| self.corrupt("uid_next"))?,
            highest_modseq: self.highest_modseq.and_then(|modseq| u64::try_from(modseq).ok()),
        }))
    }

    fn credential(&self) -> Result<Option<SealedBox>, StoreError> {
        let (Some(key_id), Some(key), Some(ciphertext)) =
            (&self.box_key_id, &self.box_encapsulated_key, &self.box_ciphertext)
        else {
            return Ok(None);
        };
        Ok(Some(SealedBox {
            key_id: KeyId::parse(key_id).map_err(|_| self.corrupt("box_key_id"))?,
            encapsulated_key: key.as_slice().try_into().map_err(|_| self.corrupt("box_encapsulated_key"))?,
            ciphertext: ciphertext.clone(),
        }))
    }

    pub(crate) fn mail(&self) -> Result<MailTarget, StoreError> {
        if self.mail_kind != "imap" {
            return Err(self.corrupt("mail_kind"));
        }
        Ok(MailTarget::Imap(ImapTarget {
            host: HostName::parse(&self.mail_host).map_err(|_| self.corrupt("mail_host"))?,
            port: u16::try_from(self.mail_port).map_err(|_| self.corrupt("mail_port"))?,
            security: match self.mail_security.as_str() {
                "tls" => Security::Tls,
                "starttls" => Security::StartTls,
                _ => return Err(self.corrupt("mail_security")),
            },
            mailbox: self.mail_mailbox.clone(),
            mechanism: Mechanism::parse(&self.mail_mechanism).ok_or_else(|| self.corrupt("mail_mechanism"))?,
        }))
    }

    pub(crate) fn into_record(self) -> Result<SessionRecord, StoreError> {
        let push_target = push_target(
            &self.id.to_string(),
            &self.push_service,
            &self.push_token,
            &self.push_topic,
            &self.push_environment,
            &self.push_type,
        )?;
        Ok(SessionRecord {
            id: SessionId::from_uuid(self.id),
            mail: self.mail()?,
            push_target,
            response_timeout: Duration::from_millis(self.response_timeout.unsigned_abs()),
            credential: self.credential()?,
            generation: self.generation.unsigned_abs(),
            revision: self.revision.unsigned_abs(),
            life: self.life()?,
            created_at: Timestamp::from_millis(self.created_at),
            user: self.user_id,
            device: self.device_id,
            context: self.context,
            traceparent: self.traceparent,
            trace_until: self.trace_until.map(Timestamp::from_millis),
            address_hash: self.address_hash,
        })
    }
}
