//! What is in a box, in the clear, for the moment of a log-in.

use domain::Mechanism;
use secrecy::{ExposeSecret as _, SecretString};

/// A mail account's name and secret. It is zeroized when dropped, and does not print.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The account's name at the mail server: 1 to 320 bytes.
    pub username: SecretString,
    /// What proves it.
    pub secret: Secret,
}

/// What proves an account.
#[derive(Clone, Debug)]
pub enum Secret {
    /// A password, for PLAIN, LOGIN and SCRAM: 1 to 1,024 bytes.
    Password(SecretString),
    /// An OAuth 2.0 access token, for XOAUTH2 and OAUTHBEARER: 1 to 8,192 bytes.
    AccessToken(SecretString),
}

impl Credential {
    /// Whether the mechanism can use this kind of secret.
    pub fn suits(&self, mechanism: Mechanism) -> bool {
        match (&self.secret, mechanism) {
            (_, Mechanism::Auto) => true,
            (Secret::Password(_), Mechanism::Plain | Mechanism::Login | Mechanism::ScramSha256) => true,
            (Secret::AccessToken(_), Mechanism::XOAuth2 | Mechanism::OAuthBearer) => true,
            (Secret::Password(_), Mechanism::XOAuth2 | Mechanism::OAuthBearer) => false,
            (Secret::AccessToken(_), Mechanism::Plain | Mechanism::Login | Mechanism::ScramSha256) => false,
        }
    }

    /// Whether the lengths are within the limits of the API, and nothing in it could end a line.
    pub(super) fn is_sound(&self) -> bool {
        let fine = |text: &SecretString, max: usize| {
            let text = text.expose_secret();
            (1..=max).contains(&text.len()) && !text.contains(['\r', '\n', '\0'])
        };
        fine(&self.username, 320)
            && match &self.secret {
                Secret::Password(password) => fine(password, 1024),
                Secret::AccessToken(token) => fine(token, 8192) && !token.expose_secret().contains('\u{1}'),
            }
    }
}
