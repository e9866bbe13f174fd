//! The configuration file: found, parsed, and read section by section, so that each role sees its own alone.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::environment::Environment;

/// The sections that a file may have.
const SECTIONS: [&str; 4] = ["gateway", "backend", "dashboard", "serve"];

/// Overrides `[backend] database_url`, so that a password in it need not be in a file.
const DATABASE_URL: &str = "PINGER_DATABASE_URL";

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the configuration file {} could not be read (pinger.example.toml is one to start from)", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}, line {line}: {}{message}", path.display(), key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
    Invalid { path: PathBuf, line: usize, key: Option<String>, message: String },
    #[error("{} has no section [{section}], which this role needs", path.display())]
    SectionMissing { path: PathBuf, section: &'static str },
    #[error("{} has a section [{section}], which `pinger {role}` must not see: {why}", path.display())]
    SectionOfAnotherRole { path: PathBuf, section: &'static str, role: &'static str, why: &'static str },
    #[error("the environment has {variable}, which `pinger {role}` must not see: start it without that variable")]
    VariableOfAnotherRole { variable: String, role: &'static str },
    #[error("{}: {key} is set by `pinger serve` itself; remove it, or run the roles alone", path.display())]
    SetByServe { path: PathBuf, key: &'static str },
}

/// What `pinger serve` is told about itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServeConfig {
    /// How much memory of its own the gateway may have, in MiB: its RLIMIT_DATA. 0 for no limit.
    pub(crate) gateway_memory_mib: u64,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self { gateway_memory_mib: 2048 }
    }
}

/// A configuration file whose sections are known, and not yet read.
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// What relative paths in the file are relative to: its own folder.
    folder: PathBuf,
    text: String,
}

impl ConfigFile {
    /// Reads the file, and refuses one that is no TOML or has sections that no role knows.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let folder = std::path::absolute(path).map_err(read)?.parent().map(Path::to_owned).unwrap_or_default();
        let file = Self { path: path.to_owned(), folder, text };
        let table = file.table()?;
        for name in table.get_ref().keys() {
            if !SECTIONS.contains(&name.get_ref().as_ref()) {
                let message = format!("is no section; there are {}", SECTIONS.join(", "));
                return Err(file.invalid(&table, name.span().start, &message, Some(name.get_ref().to_string())));
            }
        }
        Ok(file)
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a section of that name.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.table().is_ok_and(|table| table.get_ref().contains_key(section))
    }

    /// `[backend]`, for a backend that runs alone.
    pub(crate) fn backend(&self, environment: &Environment) -> Result<backend::Config, ConfigError> {
        let config = self.section("backend", None)?;
        Ok(self.finish_backend(config, environment))
    }

    /// `[backend]`, for a backend whose gateway calls at `socket`.
    pub(crate) fn backend_on(
        &self,
        environment: &Environment,
        socket: impl FnOnce(&backend::Config) -> PathBuf,
    ) -> Result<backend::Config, ConfigError> {
        if self.key_is_set("backend", "listen") {
            return Err(ConfigError::SetByServe { path: self.path.clone(), key: "[backend] listen" });
        }
        let placeholder = table("unix", DeValue::String(Cow::Borrowed(".")));
        let config = self.section("backend", Some(("listen", placeholder)))?;
        let mut config = self.finish_backend(config, environment);
        config.listen = backend::Listen::Unix(socket(&config));
        Ok(config)
    }

    /// `[backend]`, whichever role the file is for.
    pub(crate) fn any_backend(&self, environment: &Environment) -> Result<backend::Config, ConfigError> {
        if self.key_is_set("backend", "listen") {
            self.backend(environment)
        } else {
            self.backend_on(environment, |config| config.data.clone())
        }
    }

    /// The backend's data folder, whichever role the file is for.
    pub(crate) fn data(&self, environment: &Environment) -> Result<PathBuf, ConfigError> {
        Ok(self.any_backend(environment)?.data)
    }

    /// `[dashboard]`; without it, there is no dashboard.
    pub(crate) fn dashboard(&self) -> Result<Option<dashboard::Config>, ConfigError> {
        if !self.has("dashboard") {
            return Ok(None);
        }
        let mut config: dashboard::Config = self.section("dashboard", None)?;
        if let Some(tls) = &mut config.tls {
            self.absolute(&mut tls.certificate);
            self.absolute(&mut tls.key);
        }
        if let Some(oidc) = &mut config.oidc {
            for path in [&mut oidc.client_secret_file, &mut oidc.ca].into_iter().flatten() {
                self.absolute(path);
            }
        }
        Ok(Some(config))
    }

    /// `[gateway]`, for a gateway that runs alone.
    pub(crate) fn gateway(&self) -> Result<gateway::Config, ConfigError> {
        let config = self.section("gateway", None)?;
        Ok(self.finish_gateway(config))
    }

    /// `[gateway]`, for a gateway whose backend is `backend`, on this machine, at `socket`.
    pub(crate) fn gateway_of(&self, backend: &backend::Config, socket: &Path) -> Result<gateway::Config, ConfigError> {
        for (key, name) in
            [("backend", "[gateway] backend"), ("max_lifetime_seconds", "[gateway] max_lifetime_seconds")]
        {
            if self.key_is_set("gateway", key) {
                return Err(ConfigError::SetByServe { path: self.path.clone(), key: name });
            }
        }
        let placeholder = table("unix", table("path", DeValue::String(Cow::Borrowed("."))));
        let mut config: gateway::Config = self.section("gateway", Some(("backend", placeholder)))?;
        config.backend = gateway::BackendAddress::Unix { path: socket.to_owned() };
        config.max_lifetime_seconds = backend.max_lifetime_seconds;
        Ok(self.finish_gateway(config))
    }

    /// `[serve]`, which may be absent.
    pub(crate) fn serve(&self) -> Result<ServeConfig, ConfigError> {
        if self.has("serve") { self.section("serve", None) } else { Ok(ServeConfig::default()) }
    }

    fn finish_backend(&self, mut config: backend::Config, environment: &Environment) -> backend::Config {
        if let Some(url) = environment.get(DATABASE_URL) {
            config.database_url = Some(url.to_owned());
        }
        self.absolute(&mut config.data);
        if let Some(path) = &mut config.mail_ca {
            self.absolute(path);
        }
        match &mut config.listen {
            backend::Listen::Unix(path) => self.absolute(path),
            backend::Listen::Tcp { tls, .. } => {
                self.absolute(&mut tls.ca);
                self.absolute(&mut tls.certificate);
                self.absolute(&mut tls.key);
            }
        }
        if let Some(apns) = &mut config.apns {
            if let Some(path) = &mut apns.ca {
                self.absolute(path);
            }
            match &mut apns.authentication {
                backend::ApnsAuthentication::Token { key, .. } => self.absolute(key),
                backend::ApnsAuthentication::Certificate { identity } => self.absolute(identity),
            }
        }
        config
    }

    fn finish_gateway(&self, mut config: gateway::Config) -> gateway::Config {
        if let Some(tls) = &mut config.tls {
            self.absolute(&mut tls.certificate);
            self.absolute(&mut tls.key);
        }
        match &mut config.backend {
            gateway::BackendAddress::Unix { path } => self.absolute(path),
            gateway::BackendAddress::Tcp { tls, .. } => {
                self.absolute(&mut tls.ca);
                self.absolute(&mut tls.certificate);
                self.absolute(&mut tls.key);
            }
        }
        config
    }

    fn absolute(&self, path: &mut PathBuf) {
        *path = self.folder.join(&*path);
    }

    fn table(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        DeTable::parse(&self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.invalid(&Spanned::new(0..0, DeTable::new()), at, error.message(), None)
        })
    }

    fn key_is_set(&self, section: &str, key: &str) -> bool {
        self.table().is_ok_and(|table| {
            let section = table.get_ref().get(section).and_then(|section| section.get_ref().as_table());
            section.is_some_and(|section| section.contains_key(key))
        })
    }

    fn section<T: DeserializeOwned>(
        &self,
        name: &'static str,
        given: Option<(&'static str, DeValue<'static>)>,
    ) -> Result<T, ConfigError> {
        let table = self.table()?;
        let Some(section) = table.get_ref().get(name) else {
            return Err(ConfigError::SectionMissing { path: self.path.clone(), section: name });
        };
        let mut value = section.clone();
        if let (Some((key, given)), DeValue::Table(keys)) = (given, value.get_mut()) {
            keys.insert(Spanned::new(0..0, Cow::Borrowed(key)), Spanned::new(0..0, given));
        }
        T::deserialize(toml::de::ValueDeserializer::from(value)).map_err(|error| {
            let at = error.span().map_or(section.span().start, |span| span.start);
            self.invalid(&table, at, error.message(), None)
        })
    }

    fn invalid(&self, table: &Spanned<DeTable<'_>>, at: usize, message: &str, key: Option<String>) -> ConfigError {
        let line = 1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let key = key.or_else(|| key_at(table.get_ref(), at));
        // One sentence on one line, as all of ours.
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        ConfigError::Invalid { path: self.path.clone(), line, key, message }
    }
}

/// `{ key = value }`.
fn table(key: &'static str, value: DeValue<'static>) -> DeValue<'static> {
    let mut table = DeTable::new();
    table.insert(Spanned::new(0..0, Cow::Borrowed(key)), Spanned::new(0..0, value));
    DeValue::Table(table)
}

/// The path of the key whose name or value is at `at`, such as `backend.apns.topics`.
fn key_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        // A table's own span is its header's, so what is in it is looked for whatever that is.
        if let Some(inner) = value.get_ref().as_table().and_then(|table| key_at(table, at)) {
            return Some(format!("{name}.{inner}"));
        }
        (key.span().contains(&at) || value.span().contains(&at)).then(|| name.to_string())
    })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
