//! What a person at the provider may be here. Pure.

use store::{Role, StaffName};

use crate::oidc_config::OidcConfig;

/// A person, as the provider's token has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) preferred_name: Option<String>,
    pub(super) groups: Vec<String>,
}

/// What the configuration gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A role, by a group: it holds whatever they had here.
    ByGroup(Role),
    /// A role for whoever is new.
    Fallback(Role),
    /// None: whoever is known keeps the role that they have.
    AsBefore,
}

/// Why they don't come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Barred {
    /// Their mail address is of no domain that may, or is not verified.
    #[error("mail domain not allowed")]
    Domain,
    /// They are in no group that may.
    #[error("in no allowed group")]
    Group,
}

pub(super) fn standing(config: &OidcConfig, person: &Person) -> Result<Standing, Barred> {
    if !config.domains.is_empty() {
        let email = person.email.as_deref().filter(|_| person.email_verified).unwrap_or_default();
        let domain = email.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
        if !config.domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)) {
            return Err(Barred::Domain);
        }
    }
    let role = person.groups.iter().filter_map(|group| config.groups.get(group)).map(|role| role.0).max();
    match (role, config.role) {
        (Some(role), _) => Ok(Standing::ByGroup(role)),
        (None, Some(role)) => Ok(Standing::Fallback(role.0)),
        (None, None) if config.groups.is_empty() => Ok(Standing::AsBefore),
        (None, None) => Err(Barred::Group),
    }
}

/// Names that somebody new may have, the best first.
pub(super) fn names(person: &Person) -> Vec<StaffName> {
    let local = person.email.as_deref().and_then(|email| email.split('@').next());
    let mut bases: Vec<String> = [person.preferred_name.as_deref(), local]
        .into_iter()
        .flatten()
        // Longer ones are cut, so that a number fits behind them.
        .filter_map(|name| StaffName::parse(&name.chars().take(60).collect::<String>()))
        .map(|name| name.to_string())
        .collect();
    if bases.is_empty() {
        bases.push("staff".to_owned());
    }
    let numbered = (2..100).map(|number| format!("{}-{number}", bases[0]));
    bases.iter().cloned().chain(numbered).filter_map(|name| StaffName::parse(&name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> OidcConfig {
        let basic = serde_json::json!({ "name": "X", "issuer": "https://x", "client_id": "c" });
        let mut all = basic.as_object().unwrap().clone();
        all.extend(serde_json::from_str::<serde_json::Map<_, _>>(text).unwrap());
        serde_json::from_value(all.into()).unwrap()
    }

    fn person(email: &str, groups: &[&str]) -> Person {
        Person {
            subject: "s".to_owned(),
            email: Some(email.to_owned()),
            email_verified: true,
            preferred_name: None,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    #[test]
    fn domains_and_groups_decide() {
        let any = config("{}");
        assert_eq!(standing(&any, &person("a@b.example", &[])), Ok(Standing::AsBefore));
        let domain = config(r#"{ "domains": ["example.org"], "role": "viewer" }"#);
        assert_eq!(standing(&domain, &person("a@Example.org", &[])), Ok(Standing::Fallback(Role::Viewer)));
        for bad in ["a@evil.example", "a@sub.example.org", "a@evilexample.org", "example.org", "a@example.org@x", ""] {
            assert_eq!(standing(&domain, &person(bad, &[])), Err(Barred::Domain), "{bad}");
        }
        let unverified = Person { email_verified: false, ..person("a@example.org", &[]) };
        assert_eq!(standing(&domain, &unverified), Err(Barred::Domain));
        let groups = config(r#"{ "groups": { "ops": "admin", "help": "support" } }"#);
        assert_eq!(standing(&groups, &person("", &["help", "ops", "x"])), Ok(Standing::ByGroup(Role::Admin)));
        assert_eq!(standing(&groups, &person("", &["help"])), Ok(Standing::ByGroup(Role::Support)));
        assert_eq!(standing(&groups, &person("", &["Ops"])), Err(Barred::Group));
    }

    #[test]
    fn names_are_taken_from_what_there_is() {
        let first = |person: &Person| names(person)[0].to_string();
        assert_eq!(first(&person("Kim.Li@example.org", &[])), "kim.li");
        let named = Person { preferred_name: Some("kim".to_owned()), ..person("k@example.org", &[]) };
        assert_eq!(first(&named), "kim");
        assert_eq!(names(&named)[1].as_str(), "kim-2");
        let odd = Person { preferred_name: Some("<b>".to_owned()), ..person("ü@example.org", &[]) };
        assert_eq!(first(&odd), "staff");
        assert!(names(&person(&"k".repeat(200), &[])).iter().all(|name| name.as_str().len() <= 64));
    }
}
