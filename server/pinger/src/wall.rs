//! The walls between the roles: a role that sees configuration of another role's secrets refuses to start, so that a
//! careless unit file or container is noticed at once and not when its memory is dumped.

use crate::config::{ConfigError, ConfigFile};
use crate::environment::Environment;

/// What the name of one of our variables has in it when its value is none of the gateway's business.
const SECRET_WORDS: [&str; 7] = ["KEY", "SECRET", "PASSWORD", "TOKEN", "CREDENTIAL", "DATABASE", "VAULT"];

/// Lets a gateway that runs alone pass only if neither its file nor its environment has anything of the backend's.
pub(crate) fn gateway(file: &ConfigFile, environment: &Environment) -> Result<(), ConfigError> {
    if file.has("backend") {
        return Err(ConfigError::SectionOfAnotherRole {
            path: file.path().to_owned(),
            section: "backend",
            role: "gateway",
            why: "it tells where the keys and the database are; give the gateway a file of its own",
        });
    }
    if file.has("dashboard") {
        return Err(ConfigError::SectionOfAnotherRole {
            path: file.path().to_owned(),
            section: "dashboard",
            role: "gateway",
            why: "the dashboard is the backend's, and no way to it leads through the gateway",
        });
    }
    match environment.names().find(|name| is_secret(name)) {
        Some(variable) => Err(ConfigError::VariableOfAnotherRole { variable: variable.to_owned(), role: "gateway" }),
        None => Ok(()),
    }
}

/// Lets a backend that runs alone pass only if its file has nothing of the gateway's, which has a private key too.
pub(crate) fn backend(file: &ConfigFile) -> Result<(), ConfigError> {
    if file.has("gateway") {
        return Err(ConfigError::SectionOfAnotherRole {
            path: file.path().to_owned(),
            section: "gateway",
            role: "backend",
            why: "it tells where the public certificate's private key is; give the backend a file of its own",
        });
    }
    Ok(())
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name == "DATABASE_URL" || name.starts_with("PINGER_") && SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expect: bool) {
        assert_eq!(is_secret(name), expect, "{name}");
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        check("PINGER_DATABASE_URL", true);
        check("DATABASE_URL", true);
        check("PINGER_SEALING_KEY", true);
        check("pinger_token_keys", true);
        check("PINGER_APP_KEY", true);
        check("PINGER_LOG", false);
        check("PINGER_LOG_FORMAT", false);
        check("PINGER_CONFIG", false);
        check("OTEL_EXPORTER_OTLP_HEADERS", false);
        check("SSH_KEY", false);
    }
}
