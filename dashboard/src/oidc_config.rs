//! What the dashboard is told of a provider by which staff sign in (OpenID Connect).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use store::Role;

/// `[dashboard.oidc]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// What people call it: it is on the button.
    pub name: String,
    /// Its issuer, exactly as it writes it itself: `https://id.example.org`. Without TLS on loopback only.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// The file with our secret there. Without it we are a public client.
    pub client_secret_file: Option<PathBuf>,
    /// A certificate authority that it may have, besides those of the system: PEM.
    pub ca: Option<PathBuf>,
    /// What is asked for, besides `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// Of which domains the mail address must be, which the provider must have verified. None: of any.
    #[serde(default)]
    pub domains: Vec<String>,
    /// The claim in which it names groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Which role comes with which group. The greatest holds, from each sign-in on.
    #[serde(default)]
    pub groups: BTreeMap<String, RoleName>,
    /// The role of whoever is new and in none of the groups. None: whoever is in none of the groups does not come in.
    pub role: Option<RoleName>,
    /// Whether whoever is new becomes a member of staff at the first sign-in. Otherwise they connect their account first.
    #[serde(default)]
    pub create: bool,
}

fn scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

fn groups_claim() -> String {
    "groups".to_owned()
}

/// A role, by its name: viewer, support or admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RoleName(pub Role);

impl TryFrom<String> for RoleName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Role::parse(&text).map(Self).ok_or("a role is viewer, support or admin")
    }
}
