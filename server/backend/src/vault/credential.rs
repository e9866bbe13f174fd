//! What is in a box, in the clear, for the moment of a log-in.

use secrecy::SecretString;

/// A mail account's name and secret. It is zeroized when dropped, and does not print.
#[derive(Debug)]
pub struct Credential {
    /// The account's name at the mail server.
    pub username: SecretString,
    /// What proves it.
    pub secret: Secret,
}

/// What proves an account.
#[derive(Debug)]
pub enum Secret {
    /// A password, for PLAIN and LOGIN.
    Password(SecretString),
    /// An OAuth 2.0 access token, for XOAUTH2.
    AccessToken(SecretString),
}
