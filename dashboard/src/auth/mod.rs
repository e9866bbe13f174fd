//! Who may see the dashboard, and what they did: one layer over all routes ([`Auth::protect`]), the pages for signing in and
//! up, for staff and for the audit ([`routes`]).
//!
//! What opens something (a cookie, a link, a recovery code, a password) is in the store as a hash. Whoever is signed in is
//! looked up with each request, so that ending a sign-in, changing a role or shutting somebody out holds at once.

mod account;
mod answer;
mod audit;
mod cookie;
mod desk;
mod guard;
mod mask;
mod next;
mod origin;
mod passkey;
mod password;
mod pending;
mod provider;
mod reset;
mod secret;
mod sign_in;
mod sign_up;
mod staff;
mod throttle;
mod totp;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::{get, post};
use backend::vault::SecretSealer;
use domain::Timestamp;
use http::HeaderMap;
use ipnet::IpNet;
use store::{
    AuditAction, Factor, Invite, NewAudit, Refusal, Role, SignIn, Spend, StaffAct, StaffId, StaffRecord, Store,
    StoreError,
};

pub(crate) use answer::Failure;
pub(crate) use audit::cell as csv_cell;
pub(crate) use guard::may_read;

use self::cookie::{Cookie, Cookies};
use self::origin::Origin;
use self::password::Passwords;
use self::pending::Pending;
pub use self::provider::OidcSettingError;
use self::provider::Provider;
use self::secret::Token;
use self::throttle::Throttle;
use crate::config::Config;
use crate::shell::Who;

/// How long a link holds by which somebody may sign up.
pub(crate) const INVITE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How exactly it is known when a sign-in was used last. More would write with each request.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// Who is entered into the audit when nobody of that name is known.
const UNKNOWN: &str = "(unknown)";

/// Where the time comes from.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The origin is none.
    #[error("[dashboard] origin {0}")]
    Origin(&'static str),
    /// Argon2 does not take its parameters.
    #[error("[dashboard] argon2 is set to what the algorithm does not take")]
    Argon2,
    /// The provider is set up wrong.
    #[error(transparent)]
    Oidc(#[from] OidcSettingError),
}

/// What signing in stands on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Auth {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    secrets: SecretSealer,
    now: Now,
    /// Whether pushes wait for a breaker: it is in the bar of each page.
    breaker_open: Box<dyn Fn() -> bool + Send + Sync>,
    origin: Origin,
    cookies: Cookies,
    trusted_proxies: Vec<IpNet>,
    idle: Duration,
    absolute: Duration,
    passwords: Passwords,
    throttle: Throttle,
    pending: Pending,
    challenges: passkey::Challenges,
    provider: Option<Provider>,
    checked: std::sync::Mutex<Option<crate::page::audit::Check>>,
    /// Held by whoever has the audit's chain checked.
    checking: tokio::sync::Mutex<()>,
}

/// Whoever is signed in. It is with each request but those for signing in and up and for assets.
#[derive(Clone, Debug)]
pub(crate) struct Staff {
    pub(crate) id: StaffId,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// What each form must carry, as `csrf`: the token of the sign-in, under a mask of this request's.
    pub(crate) csrf: String,
    /// Their sign-in, by its hash.
    pub(crate) sign_in: String,
}

impl Staff {
    /// Lets pass who has this role at least. The layer has looked at the role by the path; whatever acts looks again.
    pub(crate) fn require(&self, role: Role) -> Result<(), Failure> {
        if self.role >= role { Ok(()) } else { Err(Failure::Denied(Box::new(self.clone()))) }
    }

    /// Whoever looks, as pages want it.
    pub(crate) fn who(&self) -> Who {
        Who {
            name: self.name.clone(),
            role: self.role.as_str(),
            may_act: self.role >= Role::Support,
            may_manage: self.role >= Role::Admin,
            csrf: self.csrf.clone(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Staff {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or(Failure::SignedOut)
    }
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// The browser, as it says.
    agent: String,
    /// By which host we are called, with the scheme before it.
    base: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self {
            address: IpAddr::from([0, 0, 0, 0]),
            agent: String::new(),
            base: String::new(),
        }))
    }
}

impl Auth {
    pub(crate) fn new(
        config: &Config,
        store: Store,
        secrets: SecretSealer,
        now: Now,
        breaker_open: Box<dyn Fn() -> bool + Send + Sync>,
    ) -> Result<Self, SettingError> {
        let origin = Origin::new(config.origin.as_deref(), config.tls.is_some()).map_err(SettingError::Origin)?;
        let inner = Inner {
            store,
            secrets,
            now,
            breaker_open,
            cookies: Cookies { secure: origin.is_secure() },
            origin,
            trusted_proxies: config.trusted_proxies.clone(),
            idle: config.idle(),
            absolute: config.absolute(),
            passwords: Passwords::new(&config.argon2).map_err(|_| SettingError::Argon2)?,
            throttle: Throttle::default(),
            pending: Pending::default(),
            challenges: passkey::Challenges::default(),
            provider: config.oidc.as_ref().map(Provider::new).transpose()?,
            checked: std::sync::Mutex::default(),
            checking: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Puts the layer over all that `routes` has.
    pub(crate) fn protect(&self, routes: Router) -> Router {
        routes.layer(axum::middleware::from_fn_with_state(self.clone(), guard::guard))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.inner.now)()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Whether pushes wait for a breaker.
    pub(crate) fn breaker_open(&self) -> bool {
        (self.inner.breaker_open)()
    }

    /// How many passwords have been hashed since the start.
    pub(crate) fn passwords_hashed(&self) -> u64 {
        self.inner.passwords.computed()
    }

    fn entry(&self, name: &str, client: &Client, action: AuditAction, subject: impl Into<String>) -> NewAudit {
        NewAudit {
            at: self.now(),
            staff: name.to_owned(),
            action,
            subject: subject.into(),
            reason: None,
            address: Some(client.address.to_string()),
        }
    }

    /// Writes down that somebody was not let in, and why.
    async fn refused(
        &self,
        person: Option<&StaffRecord>,
        client: &Client,
        why: impl Into<String>,
    ) -> Result<(), StoreError> {
        // People type passwords into the wrong field: what was typed is nobody's name.
        let who = person.map_or(UNKNOWN, |person| person.name.as_str());
        self.store().audit(self.entry(who, client, AuditAction::SignInRefused, why)).await
    }

    /// Writes down what somebody does. It is called before the act, so that no act is without its entry.
    pub(crate) async fn audit(
        &self,
        staff: &Staff,
        client: &Client,
        action: AuditAction,
        subject: impl Into<String>,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        let entry = NewAudit { reason, ..self.entry(&staff.name, client, action, subject) };
        self.store().audit(entry).await
    }

    /// Does something to staff, with its entry in the audit.
    async fn act(&self, act: StaffAct, entry: Option<NewAudit>) -> Result<Result<(), Refusal>, StoreError> {
        self.store().staff_act(self.now(), act, entry).await
    }

    /// Who is signed in by the cookie of a request, if that holds still. It counts as a use of the sign-in.
    async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<Staff>, StoreError> {
        let Some(token) = self.inner.cookies.read(headers, Cookie::SignIn) else { return Ok(None) };
        let hash = token.hash();
        let Some((sign_in, person)) = self.store().sign_in(&hash).await? else { return Ok(None) };
        if !self.holds(&sign_in, &person) {
            // Whoever ended it in between was faster.
            let _ = self.act(StaffAct::EndSignIn(hash), None).await?;
            return Ok(None);
        }
        if self.now().since(sign_in.last_seen_at) >= TOUCH_EVERY {
            let _ = self.act(StaffAct::Touch(hash.clone()), None).await?;
        }
        Ok(Some(Staff {
            id: person.id,
            name: person.name,
            role: person.role,
            csrf: mask::mask(&sign_in.csrf),
            sign_in: hash,
        }))
    }

    /// The same, for what is no use of the sign-in: nothing is written.
    pub(crate) async fn still_signed_in(&self, headers: &HeaderMap) -> Result<Option<Staff>, StoreError> {
        let Some(token) = self.inner.cookies.read(headers, Cookie::SignIn) else { return Ok(None) };
        let hash = token.hash();
        let found = self.store().sign_in(&hash).await?.filter(|(sign_in, person)| self.holds(sign_in, person));
        Ok(found.map(|(sign_in, person)| Staff {
            id: person.id,
            name: person.name,
            role: person.role,
            csrf: sign_in.csrf,
            sign_in: hash,
        }))
    }

    /// Whether a sign-in has not run out, and its owner may come in.
    fn holds(&self, sign_in: &SignIn, person: &StaffRecord) -> bool {
        let now = self.now();
        let (unused, age) = (now.since(sign_in.last_seen_at), now.since(sign_in.created_at));
        unused < self.inner.idle && age < self.inner.absolute && person.disabled_at.is_none()
    }

    /// Signs somebody in: always under a new id, whatever the browser had.
    async fn begin(
        &self,
        person: &StaffRecord,
        client: &Client,
        headers: &HeaderMap,
        factor: Factor,
        spend: Option<Spend>,
    ) -> Result<Result<Token, Refusal>, StoreError> {
        let (token, now) = (Token::random(), self.now());
        let sign_in = SignIn {
            id_hash: token.hash(),
            staff: person.id,
            created_at: now,
            last_seen_at: now,
            address: client.address.to_string(),
            user_agent: client.agent.clone(),
            csrf: Token::random().text(),
            factor,
        };
        let entry = self.entry(&person.name, client, AuditAction::SignedIn, factor.as_str());
        if let Err(refusal) = self.act(StaffAct::SignIn { sign_in, spend }, Some(entry)).await? {
            return Ok(Err(refusal));
        }
        if let Some(old) = self.inner.cookies.read(headers, Cookie::SignIn) {
            // There may be none by that name: then nothing ends.
            let _ = self.act(StaffAct::EndSignIn(old.hash()), None).await?;
        }
        Ok(Ok(token))
    }

    /// Makes a link by which somebody may sign up, once, and gives what it carries.
    pub(crate) async fn invite(
        store: &Store,
        now: Timestamp,
        role: Role,
        by: &str,
        address: Option<String>,
    ) -> Result<String, StoreError> {
        let token = Token::random();
        let invite = Invite {
            token_hash: token.hash(),
            role,
            created_by: by.to_owned(),
            created_at: now,
            expires_at: now.after(INVITE_LIFETIME),
            used_at: None,
        };
        let entry = NewAudit {
            at: now,
            staff: by.to_owned(),
            action: AuditAction::Invited,
            subject: role.to_string(),
            reason: None,
            address,
        };
        // It is refused by nothing.
        let _ = store.staff_act(now, StaffAct::Invite(invite), Some(entry)).await?;
        Ok(format!("/sign-up/{}", token.text()))
    }

    /// Deletes sign-ins that have run out and links that can't be used.
    pub(crate) async fn tidy(&self) -> Result<(), StoreError> {
        let now = self.now();
        let before = |by: Duration| {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(by))
        };
        let tidy = StaffAct::Tidy { idle_since: before(self.inner.idle), made_before: before(self.inner.absolute) };
        let _ = self.act(tidy, None).await?;
        Ok(())
    }
}

/// The routes for signing in and up, one's own account, staff and the audit.
pub(crate) fn routes(auth: Auth) -> Router {
    Router::new()
        .route("/sign-in", get(sign_in::page).post(sign_in::submit))
        .route("/sign-in/code", get(sign_in::code_page).post(sign_in::code_submit))
        .route("/sign-in/code/passkey", post(passkey::second))
        .route("/sign-in/code/passkey/question", post(passkey::second_question))
        .route("/sign-in/passkey", post(passkey::alone))
        .route("/sign-in/passkey/question", post(passkey::alone_question))
        .route("/sign-in/provider", get(provider::leave))
        .route("/sign-in/provider/back", get(provider::back))
        .route("/sign-in/reset/{token}", get(reset::page).post(reset::submit))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/sign-up/{token}", get(sign_up::page).post(sign_up::submit))
        .route("/account", get(account::page))
        .route("/account/password", post(account::password))
        .route("/account/authenticator", get(account::authenticator).post(account::set_authenticator))
        .route("/account/authenticator/remove", post(account::remove_authenticator))
        .route("/account/passkeys", post(passkey::register))
        .route("/account/passkeys/question", post(passkey::registration))
        .route("/account/passkeys/remove", post(passkey::remove))
        .route("/account/provider/connect", get(provider::connect))
        .route("/account/provider/disconnect", post(provider::disconnect))
        .route("/account/recovery", post(account::recovery))
        .route("/account/sign-ins/end", post(account::end_sign_in))
        .route("/staff", get(staff::page))
        .route("/staff/invite", post(staff::invite))
        .route("/staff/invite/withdraw", post(staff::withdraw_invite))
        .route("/staff/sign-ins/end", post(staff::end_sign_in))
        .route("/staff/sign-ins/end-all", post(staff::end_all_sign_ins))
        .route("/staff/{id}", get(staff::person))
        .route("/staff/{id}/role", post(staff::role))
        .route("/staff/{id}/disable", post(staff::disable))
        .route("/staff/{id}/enable", post(staff::enable))
        .route("/staff/{id}/end-sign-ins", post(staff::end_sign_ins))
        .route("/staff/{id}/remove-factors", post(staff::remove_factors))
        .route("/staff/{id}/reset", post(staff::reset))
        .route("/audit", get(audit::page))
        .route("/audit/check", post(audit::check))
        .route("/audit.csv", get(audit::csv))
        .with_state(auth)
}
