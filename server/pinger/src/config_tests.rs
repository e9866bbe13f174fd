use super::*;

fn read(text: &str) -> Result<ConfigFile, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinger.toml");
    std::fs::write(&path, text).unwrap();
    ConfigFile::read(&path)
}

fn none() -> Environment {
    Environment::of(&[])
}

#[track_caller]
fn check(text: &str, expect: &str) {
    let error = read(text).and_then(|file| {
        let backend = file.backend_on(&none(), |_| PathBuf::from("/s"))?;
        file.gateway_of(&backend, Path::new("/s")).map(drop)
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains(expect), "{error:?} does not say {expect:?}");
}

const GATEWAY: &str = "[gateway]\nlisten = \"127.0.0.1:0\"\n";
const BACKEND: &str = "[backend]\ndata = \"data\"\n";

#[test]
fn errors_name_the_line_and_the_key() {
    check("[gateway\n", "line 1: ");
    check("\n\n[gatway]\n", "line 3: gatway: is no section; there are gateway, backend, dashboard, serve");
    check(GATEWAY, "has no section [backend]");
    check(BACKEND, "has no section [gateway]");
    check("[backend]\n", "line 1: backend: missing field `data`");
    check(&format!("{BACKEND}poll_second = 5\n"), "line 3: backend.poll_second: unknown field `poll_second`");
    check(&format!("{BACKEND}poll_seconds = \"5\"\n"), "line 3: backend.poll_seconds: invalid type");
    check(
        &format!("{BACKEND}[backend.apns]\ntopics = [\"a\"]\n[backend.apns.authentication.token]\nkey = 7\n"),
        "line 6: backend.apns.authentication.token.key: invalid type",
    );
    check(&format!("{BACKEND}[gateway]\nlisten = \"nowhere\"\n"), "line 4: gateway.listen: ");
    check(&format!("{BACKEND}[backend.listen]\nunix = \"/s\"\n"), "[backend] listen is set by `pinger serve` itself");
    let doubled = format!("{BACKEND}{GATEWAY}max_lifetime_seconds = 60\n");
    check(&doubled, "[gateway] max_lifetime_seconds is set by `pinger serve` itself");
}

#[test]
fn a_file_that_is_absent_is_named() {
    let error = ConfigFile::read(Path::new("/nowhere/pinger.toml")).err().unwrap().to_string();
    assert!(error.contains("/nowhere/pinger.toml") && error.contains("pinger.example.toml"), "{error}");
}

#[test]
fn paths_are_relative_to_the_file() {
    let file = read(&format!("{BACKEND}mail_ca = \"/etc/ca.pem\"\nlisten = {{ unix = \"s\" }}\n")).unwrap();
    let config = file.backend(&none()).unwrap();
    assert_eq!(config.data, file.folder.join("data"));
    assert_eq!(config.mail_ca.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert!(matches!(config.listen, backend::Listen::Unix(path) if path == file.folder.join("s")));
}

#[test]
fn the_environment_overrides_the_database() {
    let file = read(&format!("{BACKEND}database_url = \"sqlite://a\"\nlisten = {{ unix = \"s\" }}\n")).unwrap();
    let environment = Environment::of(&[("PINGER_DATABASE_URL", "sqlite://b")]);
    assert_eq!(file.backend(&environment).unwrap().database_url(), "sqlite://b");
    assert_eq!(file.backend(&none()).unwrap().database_url(), "sqlite://a");
}

#[test]
fn serve_joins_the_two_sections() {
    let file = read(&format!("{GATEWAY}{BACKEND}max_lifetime_seconds = 7200\n")).unwrap();
    let backend = file.backend_on(&none(), |config| config.data.join("s")).unwrap();
    let socket = file.folder.join("data").join("s");
    assert!(matches!(&backend.listen, backend::Listen::Unix(path) if *path == socket));
    let gateway = file.gateway_of(&backend, &socket).unwrap();
    assert!(matches!(gateway.backend, gateway::BackendAddress::Unix { path } if path == socket));
    assert_eq!(gateway.max_lifetime_seconds, 7200);
    assert_eq!(file.serve().unwrap().gateway_memory_mib, 2048);
}

#[test]
fn the_example_is_right() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pinger.example.toml");
    let file = ConfigFile::read(&example).unwrap();
    let backend = file.backend_on(&none(), |_| PathBuf::from("/s")).unwrap();
    file.gateway_of(&backend, Path::new("/s")).unwrap();
    file.serve().unwrap();
}

/// The keys of a section, as the error for a key that is none lists them.
fn keys(text: &str) -> Vec<String> {
    let file = read(text).unwrap();
    let error = match (file.has("gateway"), file.has("backend")) {
        (true, _) => file.gateway().map(drop),
        (_, true) => file.backend(&none()).map(drop),
        _ => file.serve().map(drop),
    };
    let error = error.unwrap_err().to_string();
    let (_, expected) = error.split_once("expected ").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn each_key_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    for section in [
        "[gateway]",
        "[gateway.backend.tcp]",
        "[gateway.rates]",
        "[backend]",
        "[backend.listen.tcp]",
        "[backend.apns]",
        "[serve]",
    ] {
        let heading = format!("`{section}`");
        let mut lines = page.lines().skip_while(|line| !line.trim_start_matches("## ").starts_with(&heading));
        assert!(lines.next().is_some(), "{section} is not documented");
        let rows = lines.take_while(|line| !line.starts_with("## ") && !line.starts_with("`["));
        let documented: Vec<&str> = rows.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let mut keys = keys(&format!("{section}\nno_such_key = 1\n"));
        keys.retain(|key| !documented.contains(&key.as_str()));
        assert!(keys.is_empty(), "{section}: {keys:?} are not documented");
    }
}
