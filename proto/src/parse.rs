//! The edge: messages become what [`domain`] trusts, or a list of every field that is wrong.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, Baseline, Context, Device, DeviceId, HostName, ImapTarget, KeyId,
    Limits, MailTarget, Mailbox, Mechanism, Platform, PushTarget, Registration, SealedBox, Security, SessionId,
    Timings, UserId, VersionText,
};

use crate::{Violation, v1};

/// The shortest wait at a mail server that may be asked for, and the shortest lifetime.
const MIN_TIME: Duration = Duration::from_secs(60);

/// The wait at a mail server where the device asks for none.
const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(28 * 60);

/// A Defer, checked in form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defer {
    /// For how long; zero acknowledges a push.
    pub wait: Duration,
    /// What the device has seen.
    pub baseline: Option<Baseline>,
    /// A new push target.
    pub push_target: Option<PushTarget>,
}

/// Gathers what is wrong, under the path of the message that is being read.
#[derive(Default)]
struct Reader {
    violations: Vec<Violation>,
}

impl Reader {
    fn blame<T>(&mut self, field: &str, description: impl ToString) -> Option<T> {
        self.violations.push(Violation { field: field.to_owned(), description: description.to_string() });
        None
    }

    fn take<T, E: ToString>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.blame::<T>(field, error)).ok()
    }

    fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.blame::<T>(field, "is required");
        }
        value
    }

    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Violation>> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => Err(self.violations),
        }
    }

    fn duration(
        &mut self,
        field: &str,
        value: Option<&prost_types::Duration>,
        default: Duration,
        min: Duration,
        max: Duration,
    ) -> Option<Duration> {
        let Some(value) = value else { return Some(default) };
        match Duration::try_from(*value) {
            Ok(duration) if (min..=max).contains(&duration) => Some(duration),
            _ => self.blame(field, format!("must be {} to {} seconds", min.as_secs(), max.as_secs())),
        }
    }

    fn version(&mut self, field: &str, text: &str) -> Option<VersionText> {
        let version = VersionText::parse(text);
        version.or_else(|| self.blame(field, "must have at most 64 bytes and no control characters"))
    }

    fn device(&mut self, device: Option<&v1::Device>) -> Option<Device> {
        let device = self.required("device", device)?;
        let id = self.take("device.device_id", DeviceId::parse(&device.device_id));
        let platform = match device.platform() {
            v1::Platform::Ios => Some(Platform::Ios),
            v1::Platform::Android => Some(Platform::Android),
            v1::Platform::Web => Some(Platform::Web),
            v1::Platform::Desktop => Some(Platform::Desktop),
            v1::Platform::Unspecified => self.blame("device.platform", "must be one of the platforms"),
        };
        let os_version = self.version("device.os_version", &device.os_version);
        let app_version = self.version("device.app_version", &device.app_version);
        Some(Device { id: id?, platform: platform?, os_version: os_version?, app_version: app_version? })
    }

    fn push_target(&mut self, target: &v1::PushTarget) -> Option<PushTarget> {
        let v1::push_target::Service::Apns(apns) = self.required("push_target", target.service.as_ref())?;
        let token = self.take("push_target.apns.token", ApnsTarget::parse_token(&apns.token));
        let topic = self.take("push_target.apns.topic", ApnsTarget::parse_topic(&apns.topic));
        let environment = match apns.environment() {
            v1::ApnsEnvironment::Production => Some(ApnsEnvironment::Production),
            v1::ApnsEnvironment::Development => Some(ApnsEnvironment::Development),
            v1::ApnsEnvironment::Unspecified => {
                self.blame("push_target.apns.environment", "must be one of the environments")
            }
        };
        let push_type = match apns.push_type() {
            v1::ApnsPushType::Background => Some(ApnsPushType::Background),
            v1::ApnsPushType::Alert => Some(ApnsPushType::Alert),
            v1::ApnsPushType::Unspecified => self.blame("push_target.apns.push_type", "must be one of the push types"),
        };
        let target = ApnsTarget::new(&token?, &topic?, environment?, push_type?);
        self.take("push_target.apns", target).map(PushTarget::Apns)
    }

    fn mail_target(&mut self, target: Option<&v1::MailTarget>) -> Option<MailTarget> {
        let target = self.required("mail_target", target)?;
        let v1::mail_target::Server::Imap(imap) = self.required("mail_target.imap", target.server.as_ref())?;
        let host = self.take("mail_target.imap.host", HostName::parse(&imap.host));
        let port = self.take("mail_target.imap.port", ImapTarget::parse_port(imap.port));
        let mailbox = self.take("mail_target.imap.mailbox", ImapTarget::parse_mailbox(&imap.mailbox));
        let security = match imap.security() {
            v1::ImapSecurity::Tls => Some(Security::Tls),
            v1::ImapSecurity::Starttls => Some(Security::StartTls),
            v1::ImapSecurity::Unspecified => {
                self.blame("mail_target.imap.security", "must be one of the kinds of security")
            }
        };
        let mechanism = match imap.mechanism() {
            v1::ImapMechanism::Plain => Some(Mechanism::Plain),
            v1::ImapMechanism::Login => Some(Mechanism::Login),
            v1::ImapMechanism::Xoauth2 => Some(Mechanism::XOAuth2),
            v1::ImapMechanism::ScramSha256 => Some(Mechanism::ScramSha256),
            v1::ImapMechanism::Oauthbearer => Some(Mechanism::OAuthBearer),
            v1::ImapMechanism::Auto => Some(Mechanism::Auto),
            v1::ImapMechanism::Unspecified => self.blame("mail_target.imap.mechanism", "must be one of the mechanisms"),
        };
        Some(MailTarget::Imap(ImapTarget {
            host: host?,
            port: port?,
            mailbox: mailbox?,
            security: security?,
            mechanism: mechanism?,
        }))
    }

    fn credential(&mut self, credential: Option<&v1::SealedCredential>) -> Option<SealedBox> {
        let credential = self.required("credential", credential)?;
        let key_id = self.take("credential.key_id", KeyId::parse(&credential.key_id));
        let encapsulated_key = <[u8; 32]>::try_from(credential.encapsulated_key.as_ref()).ok();
        if encapsulated_key.is_none() {
            self.blame::<()>("credential.encapsulated_key", "must have 32 bytes");
        }
        if !SealedBox::padded(credential.ciphertext.len()) {
            self.blame::<()>(
                "credential.ciphertext",
                "must have 272 to 16400 bytes, 16 more than a multiple of 256: pad before sealing",
            );
        }
        Some(SealedBox {
            key_id: key_id?,
            encapsulated_key: encapsulated_key?,
            ciphertext: credential.ciphertext.to_vec(),
        })
    }

    fn timings(&mut self, timings: Option<&v1::Timings>, limits: &Limits) -> Option<Timings> {
        let timings = timings.copied().unwrap_or_default();
        let wait = self.duration(
            "timings.wait_before_use",
            timings.wait_before_use.as_ref(),
            Duration::ZERO,
            Duration::ZERO,
            limits.wait,
        );
        let response_timeout = self.duration(
            "timings.response_timeout",
            timings.response_timeout.as_ref(),
            DEFAULT_RESPONSE_TIMEOUT.min(limits.response_timeout),
            MIN_TIME,
            limits.response_timeout,
        );
        let lifetime =
            self.duration("timings.lifetime", timings.lifetime.as_ref(), limits.lifetime, MIN_TIME, limits.lifetime);
        Some(Timings { wait_before_use: wait?, response_timeout: response_timeout?, lifetime: lifetime? })
    }

    fn baseline(&mut self, baseline: &v1::Baseline) -> Option<Mailbox> {
        let uid_validity = NonZeroU32::new(baseline.uid_validity);
        let uid_next = NonZeroU32::new(baseline.uid_next);
        if uid_validity.is_none() {
            self.blame::<()>("baseline.uid_validity", "must be 1 or more");
        }
        if uid_next.is_none() {
            self.blame::<()>("baseline.uid_next", "must be 1 or more");
        }
        // RFC 7162 has 63 bits.
        if i64::try_from(baseline.highest_modseq).is_err() {
            self.blame::<()>("baseline.highest_modseq", "must have at most 63 bits");
        }
        Some(Mailbox {
            uid_validity: uid_validity?,
            uid_next: uid_next?,
            highest_modseq: Some(baseline.highest_modseq).filter(|modseq| *modseq != 0),
        })
    }
}

/// Checks a whole registration.
pub fn registration(request: &v1::RegisterRequest, limits: &Limits) -> Result<Registration, Vec<Violation>> {
    let mut reader = Reader::default();
    let user = reader.take("user_id", UserId::parse(&request.user_id));
    let device = reader.device(request.device.as_ref());
    let context = reader.take("context", Context::parse(&request.context));
    let push_target = reader.required("push_target", request.push_target.as_ref());
    let push_target = push_target.and_then(|target| reader.push_target(target));
    let mail = reader.mail_target(request.mail_target.as_ref());
    let credential = reader.credential(request.credential.as_ref());
    let timings = reader.timings(request.timings.as_ref(), limits);
    let baseline = request.baseline.as_ref().and_then(|baseline| reader.baseline(baseline));
    let registration = (|| {
        Some(Registration {
            user: user?,
            device: device?,
            context: context?,
            push_target: push_target?,
            mail: mail?,
            credential: credential?,
            timings: timings?,
            baseline,
        })
    })();
    reader.finish(registration)
}

/// Checks a Defer, but for the session's id.
pub fn defer(request: &v1::DeferRequest, limits: &Limits) -> Result<Defer, Vec<Violation>> {
    let mut reader = Reader::default();
    let wait = reader.duration("wait", request.wait.as_ref(), Duration::ZERO, Duration::ZERO, limits.wait);
    let baseline = request.baseline.as_ref().and_then(|baseline| reader.baseline(baseline));
    let push_target = request.push_target.as_ref().and_then(|target| reader.push_target(target));
    let defer = wait.map(|wait| Defer { wait, baseline, push_target });
    reader.finish(defer)
}

/// Checks a session's id.
pub fn session_id(text: &str) -> Result<SessionId, Vec<Violation>> {
    SessionId::parse(text)
        .map_err(|error| vec![Violation { field: "session_id".to_owned(), description: error.to_string() }])
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
