//! Made-up sessions, so that a newcomer sees a living dashboard.
//!
//! Nothing ever connects for them: those that live belong to a node that does not exist ([`NODE`]), so no backend claims
//! them and no sender takes their pushes; their hosts are names that are reserved for examples (RFC 2606). The ones that
//! ended go by the usual retention.

mod cast;

use std::time::Duration;

use domain::{
    AppId, Baseline, Context, Device, DeviceId, EndReason, Failure, FailureClass, FailureCode, HostName, ImapTarget,
    KeyId, Life, MailTarget, Mechanism, NodeId, Phase, PushKind, PushTarget, Registration, SealedBox, Security,
    SessionId, State, Timestamp, Timings, UserId, VersionText,
};
use sea_orm::{ConnectionTrait, EntityTrait as _, IntoActiveModel as _};
use uuid::Uuid;

use crate::entity::{outbox, session, timeline};
use crate::{NewSession, Note, PushStatus, Store, StoreError, TimelineKind};
use cast::{Chance, Script};

/// The node that made-up sessions belong to. There is none of this name.
pub const NODE: NodeId = NodeId::from_uuid(Uuid::from_u128(0x7000_8000_0000_6465_6d6f));

/// Sessions that are written in one transaction.
const BATCH: u64 = 2000;

/// How far back the oldest registration is.
const SPAN: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Values in one statement: SQLite takes 32,766.
const VALUES: usize = 30_000;

/// Made-up rows, to be inserted as they are.
#[derive(Default)]
pub(crate) struct Rows {
    sessions: Vec<session::Model>,
    timeline: Vec<timeline::Model>,
    pushes: Vec<outbox::Model>,
}

impl Rows {
    pub(crate) async fn insert(&self, db: &impl ConnectionTrait) -> Result<(), StoreError> {
        for rows in self.sessions.chunks(VALUES / 60) {
            let rows = rows.iter().map(|row| row.clone().into_active_model());
            session::Entity::insert_many(rows).exec_without_returning(db).await?;
        }
        for rows in self.timeline.chunks(VALUES / 10) {
            let rows = rows.iter().map(|row| row.clone().into_active_model());
            timeline::Entity::insert_many(rows).exec_without_returning(db).await?;
        }
        for rows in self.pushes.chunks(VALUES / 20) {
            let rows = rows.iter().map(|row| row.clone().into_active_model());
            outbox::Entity::insert_many(rows).exec_without_returning(db).await?;
        }
        Ok(())
    }

    fn note(&mut self, id: Uuid, at: Timestamp, note: Note) {
        self.timeline.push(note.into_row(id, at));
    }
}

/// Fills `store` with `sessions` made-up sessions that were registered in the two days before `now`, their timelines and
/// their pushes. The same `seed` and `now` make the same sessions.
///
/// # Errors
/// When the store fails.
pub async fn fill(store: &Store, sessions: u64, seed: u64, now: Timestamp) -> Result<(), StoreError> {
    let script = Script::new(sessions, seed, now, SPAN);
    let mut first = 0;
    while first < sessions {
        let last = first.saturating_add(BATCH).min(sessions);
        let mut rows = Rows::default();
        for number in first..last {
            if let Some(act) = Act::new(&script, number) {
                act.play(&mut rows);
            }
        }
        store.fill(rows).await?;
        tracing::debug!(sessions = last, "made-up sessions stored");
        first = last;
    }
    Ok(())
}

/// One session that is made up.
struct Act<'a> {
    script: &'a Script,
    chance: Chance,
    new: NewSession,
    /// When it ends or has ended, and why; none if it lives.
    end: Option<(Timestamp, EndReason)>,
    uid_next: u32,
}

impl<'a> Act<'a> {
    /// None if a name in the script is none that a device could have.
    fn new(script: &'a Script, number: u64) -> Option<Self> {
        let mut chance = script.chance(number);
        let account = script.account(number);
        let created_at = script.registered_at(number);
        let lifetime = *chance.one_of(&[1, 12, 24, 48, 48, 48]);
        let lifetime = Duration::from_secs(lifetime * 60 * 60);
        let wait = Duration::from_secs(chance.below(120));
        let uid_next = 100 + u32::try_from(account.hash % 9000).ok()?;
        let baseline = Baseline {
            uid_validity: std::num::NonZeroU32::new(1_700_000_000)?,
            uid_next: std::num::NonZeroU32::new(uid_next)?,
            highest_modseq: None,
        };
        let (platform, os_version, app_version) = account.device_kind();
        let registration = Registration {
            user: UserId::parse(&account.user()).ok()?,
            device: Device {
                id: DeviceId::parse(&account.device()).ok()?,
                platform,
                os_version: VersionText::parse(os_version)?,
                app_version: VersionText::parse(app_version)?,
            },
            context: Context::parse(&account.context()).ok()?,
            push_target: PushTarget::Apns(account.push_target()?),
            mail: MailTarget::Imap(ImapTarget {
                host: HostName::parse(&account.host()).ok()?,
                port: 993,
                security: Security::Tls,
                mailbox: "INBOX".to_owned(),
                mechanism: *chance.one_of(&[Mechanism::Plain, Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2]),
            }),
            credential: SealedBox {
                key_id: KeyId::parse("demo").ok()?,
                encapsulated_key: [0; 32],
                ciphertext: vec![0; 272],
            },
            timings: Timings { wait_before_use: wait, response_timeout: Duration::from_secs(24 * 60), lifetime },
            baseline: Some(baseline),
        };
        let new = NewSession {
            id: SessionId::from_uuid(chance.id(created_at)),
            app: AppId::parse("demo").ok()?,
            life: Life::begin(created_at, wait, lifetime, Some(baseline)),
            registration,
            address_hash: account.address_hash(),
            registration_hash: format!("{:064x}", chance.next()),
            created_at,
            traceparent: Some(chance.traceparent()),
        };
        let end = script.end(number, &mut chance, created_at.after(lifetime));
        Some(Self { script, chance, new, end, uid_next })
    }

    /// Writes its rows.
    fn play(mut self, rows: &mut Rows) {
        let (id, created_at) = (self.new.id.as_uuid(), self.new.created_at);
        let until = self.end.map_or(self.script.now, |(at, _)| at);
        let mut row = self.new.clone().into_row();
        let registered = Note::new(TimelineKind::Registered)
            .numbers(Some(i64::from(self.uid_next)), Some(row.expires_at - row.created_at))
            .traced(row.traceparent.clone());
        rows.note(id, created_at, registered);

        let connected_at = created_at.after(self.new.registration.timings.wait_before_use);
        if connected_at < until {
            let took = Duration::from_millis(80 + self.chance.below(1400));
            rows.note(
                id,
                connected_at,
                Note::connected(took, Some(self.uid_next)).traced(Some(self.chance.traceparent())),
            );
            row.connected_at = Some(connected_at.as_millis());
            row.handshake = Some(self.handshake());
            self.mails(&mut row, connected_at, until, rows);
        }
        let life = self.life(until);
        if let (Some(failure), Some(failed_at)) = (&life.failure, life.failed_at) {
            let note = Note::failed(failure, life.retry_at).traced(Some(self.chance.traceparent()));
            rows.note(id, failed_at, note);
        }
        if let Some((at, reason)) = self.end {
            let note = match reason {
                EndReason::Replaced => Note::new(TimelineKind::Replaced),
                EndReason::Revoked => Note::ended(reason).staff(Some("kim".to_owned())),
                reason => Note::ended(reason),
            };
            rows.note(id, at, note.traced(Some(self.chance.traceparent())));
        }
        if self.chance.percent(1) {
            let at = Timestamp::from_millis(i64::midpoint(created_at.as_millis(), until.as_millis()));
            rows.note(id, at, Note::new(TimelineKind::Viewed).staff(Some("amara".to_owned())));
        }
        row.set_life(&life, until);
        row.node_id = life.is_live().then(|| NODE.as_uuid());
        rows.sessions.push(row);
    }

    /// Mail that came, and the pushes that told of it.
    fn mails(&mut self, row: &mut session::Model, from: Timestamp, until: Timestamp, rows: &mut Rows) {
        let mails = *self.chance.one_of(&[0, 0, 0, 0, 1, 1, 1, 2, 2, 3]);
        let whole = until.since(from) / 4;
        for number in 1..=mails {
            let at = from.after(whole * number + Duration::from_millis(self.chance.below(30_000)));
            if at >= until {
                return;
            }
            let trace = self.chance.traceparent();
            let next = self.uid_next + 1 + u32::from(self.chance.percent(15));
            let seen = Note::mail_seen(self.uid_next, next).traced(Some(trace.clone()));
            rows.note(row.id, at, seen);
            rows.note(row.id, at, Note::push_queued(PushKind::NewMail).traced(Some(trace.clone())));
            self.uid_next = next;
            self.push(row, at, trace, rows);
        }
    }

    fn push(&mut self, row: &mut session::Model, at: Timestamp, trace: String, rows: &mut Rows) {
        let tries = if self.chance.percent(3) { 2 } else { 1 };
        let took = self.chance.latency() * if tries == 2 { 20 } else { 1 };
        let done = at.after(took);
        let waits =
            done > self.script.now || (self.chance.percent(1) && at.after(Duration::from_secs(600)) > self.script.now);
        let (status, reason) = match self.chance.below(1000) {
            _ if waits => (PushStatus::Queued, None),
            0..10 => (PushStatus::Refused, Some("PayloadTooLarge")),
            10..14 => (PushStatus::Expired, None),
            _ if self.end.is_some_and(|(_, reason)| reason == EndReason::PushTargetGone) => {
                (PushStatus::Gone, Some("Unregistered"))
            }
            _ => (PushStatus::Accepted, None),
        };
        let numbers = (Some(i64::try_from(took.as_millis()).unwrap_or(i64::MAX)), Some(tries));
        let note = |kind| Note::new(kind).numbers(numbers.0, numbers.1).traced(Some(trace.clone()));
        match status {
            PushStatus::Queued => {}
            PushStatus::Accepted => {
                rows.note(row.id, done, note(TimelineKind::PushAccepted));
                row.last_push_at = Some(done.as_millis());
            }
            PushStatus::Gone => rows.note(row.id, done, note(TimelineKind::PushGone).detail("Unregistered")),
            PushStatus::Refused | PushStatus::Expired => {
                rows.note(row.id, done, note(TimelineKind::PushRefused).detail(reason.unwrap_or("expired")));
            }
        }
        let is_done = status != PushStatus::Queued;
        rows.pushes.push(outbox::Model {
            id: self.chance.id(at),
            session_id: row.id,
            context: row.context.clone(),
            kind: PushKind::NewMail.as_str().to_owned(),
            status: status.as_str().to_owned(),
            push_service: row.push_service.clone(),
            push_token: (!is_done).then(|| row.push_token.clone()),
            push_topic: row.push_topic.clone(),
            push_environment: row.push_environment.clone(),
            push_type: row.push_type.clone(),
            node_id: Some(NODE.as_uuid()),
            created_at: at.as_millis(),
            expires_at: at.after(Duration::from_secs(12 * 60 * 60)).as_millis(),
            next_attempt_at: (!is_done).then(|| self.script.now.after(Duration::from_secs(60)).as_millis()),
            attempts: if is_done { i32::try_from(tries).unwrap_or(1) } else { 0 },
            provider_id: (status == PushStatus::Accepted).then(|| self.chance.id(at).hyphenated().to_string()),
            reason: reason.map(ToOwned::to_owned),
            done_at: is_done.then_some(done.as_millis()),
            traceparent: Some(trace),
        });
    }

    /// Its life as it is at `until`.
    fn life(&mut self, until: Timestamp) -> Life {
        let now = self.script.now;
        let mut life = self.new.life.clone();
        life.baseline = life.baseline.map(|baseline| Baseline {
            uid_next: std::num::NonZeroU32::new(self.uid_next).unwrap_or(baseline.uid_next),
            ..baseline
        });
        let ago = |time: Duration| {
            let at = now.as_millis() - i64::try_from(time.as_millis()).unwrap_or(0);
            Timestamp::from_millis(at.max(self.new.created_at.as_millis()))
        };
        life.phase = Phase::Active;
        life.state_since = ago(Duration::from_secs(self.chance.below(4 * 60 * 60)));
        if let Some((at, reason)) = self.end {
            life.phase = Phase::Ended(reason);
            life.state_since = at;
            let code = match reason {
                EndReason::CredentialRefused => Some(FailureCode::LoginRefused),
                EndReason::MailServerGone => Some(FailureCode::HostNotFound),
                _ => None,
            };
            life.failure = code.map(cast::failure);
            life.failed_at = code.map(|_| until);
            return life;
        }
        match self.script.state(&mut self.chance, self.new.registration.mail.host().as_str()) {
            State::Waiting => {
                life.phase = Phase::Waiting { until: now.after(Duration::from_secs(1 + self.chance.below(600))) };
                life.state_since = ago(Duration::from_secs(self.chance.below(300)));
            }
            State::Holding => {
                life.hold_until = Some(now.after(Duration::from_secs(1 + self.chance.below(300))));
                life.silence = 1 + u32::from(self.chance.percent(30));
                life.state_since = ago(Duration::from_secs(self.chance.below(300)));
            }
            State::Retrying => {
                // Behind the mail that came before: that is spread over the first three quarters.
                let recently = (now.since(self.new.created_at).as_secs() / 5).clamp(1, 7200);
                self.fail(&mut life, now, ago(Duration::from_secs(self.chance.clone().below(recently))));
            }
            State::Watching | State::Ended => {}
        }
        life
    }

    fn fail(&mut self, life: &mut Life, now: Timestamp, since: Timestamp) {
        let failure: Failure = self.script.failure(&mut self.chance, self.new.registration.mail.host().as_str());
        life.state_since = since;
        life.failed_at = Some(since);
        life.retry_at = Some(now.after(Duration::from_secs(5 + self.chance.below(900))));
        life.attempts = 1 + u32::from(self.chance.percent(50));
        life.refusals = u32::from(failure.code.class() == FailureClass::CredentialRefused);
        life.unresolved_since = (failure.code.class() == FailureClass::Unresolved).then_some(since);
        life.failure = Some(failure);
    }

    fn handshake(&self) -> String {
        // Made-up sessions watch by IMAP.
        let MailTarget::Imap(ImapTarget { host, mechanism, .. }) = &self.new.registration.mail else {
            return String::new();
        };
        let login = match mechanism {
            Mechanism::Plain => "AUTHENTICATE PLAIN [credential]",
            Mechanism::Login => "LOGIN [credential]",
            Mechanism::XOAuth2 => "AUTHENTICATE XOAUTH2 [credential]",
            Mechanism::OAuthBearer => "AUTHENTICATE OAUTHBEARER [credential]",
            Mechanism::ScramSha256 | Mechanism::Auto => "AUTHENTICATE SCRAM-SHA-256 [credential]",
        };
        [
            format!(r#"{{"who":"server","ms":42,"text":"* OK {host} IMAP4rev1 ready"}}"#),
            r#"{"who":"client","ms":84,"text":"a1 CAPABILITY"}"#.to_owned(),
            r#"{"who":"server","ms":112,"text":"* CAPABILITY IMAP4rev1 IDLE CONDSTORE SASL-IR ID UIDPLUS"}"#.to_owned(),
            format!(r#"{{"who":"client","ms":113,"text":"a2 {login}"}}"#),
            r#"{"who":"server","ms":240,"text":"a2 OK Logged in"}"#.to_owned(),
        ]
        .join("\n")
    }
}
