//! The walls between the crates, held on what cargo knows and on what the
//! sources say. `deny.toml` holds the first half a second time, and for every
//! platform; this test needs no tool and no network.
//!
//! The tables come first: a rule is changed there, and `ARCHITECTURE.md` with
//! it. Each checker is a plain function that returns what it found, and the
//! second half of this file shows it a breach that it must find.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

type Outcome = Result<(), Box<dyn Error>>;

// ---------------------------------------------------------------- the tables

/// What each crate of the workspace may depend on among the others, and what
/// its tests may besides. A crate that is not here is not allowed to exist.
const EDGES: &[Edges] = &[
    Edges { of: "pinger", to: &["backend", "dashboard", "domain", "gateway", "proto", "store"], tests_to: &["peers"] },
    Edges { of: "dashboard", to: &["backend", "domain", "store"], tests_to: &["peers"] },
    // The browser's side of the dashboard, and nothing else.
    Edges { of: "bundle", to: &["dashboard"], tests_to: &[] },
    Edges { of: "gateway", to: &["domain", "proto"], tests_to: &["peers"] },
    Edges { of: "backend", to: &["domain", "proto", "store"], tests_to: &["peers"] },
    Edges { of: "store", to: &["domain", "migration"], tests_to: &["peers"] },
    Edges { of: "proto", to: &["domain"], tests_to: &["peers"] },
    Edges { of: "domain", to: &[], tests_to: &["peers"] },
    Edges { of: "migration", to: &[], tests_to: &["peers"] },
    Edges { of: "peers", to: &["proto"], tests_to: &[] },
];

/// Which crates of the workspace may depend directly on these, in their tests
/// and build scripts too. A `*` at the end stands for any end.
const OWNERS: &[(&str, &[&str])] = &[
    ("sea-orm*", &["migration", "store"]),
    ("sqlx*", &["store"]),
    ("a2", &["backend"]),
    ("async-imap", &["backend"]),
    ("imap-proto", &["backend"]),
    ("hpke", &["backend"]),
];

/// What the gateway never links: it is reachable from the internet, and has
/// nothing worth stealing.
const GATEWAY_NEVER_LINKS: &[&str] = &[
    "a2",
    "argon2",
    "async-imap",
    "backend",
    "dashboard",
    "hpke",
    "imap-proto",
    "leptos*",
    "libsqlite3-sys",
    "migration",
    "reqwest",
    "sea-orm*",
    "sea-query*",
    "sqlx*",
    "store",
];

/// All that the domain links, macros aside: it has nothing to do I/O with.
const DOMAIN_LINKS: &[&str] = &["domain", "thiserror", "uuid"];

/// What the dashboard's browser side never links: it has no secret, no store and no runtime.
const BROWSER_NEVER_LINKS: &[&str] =
    &["argon2", "axum*", "backend", "hyper*", "mio", "reqwest", "rustls*", "sea-orm*", "sqlx*", "store", "tokio*"];

const SOURCE_RULES: &[SourceRule] = &[
    SourceRule {
        why: "the domain reads no clock and does no I/O: time and events are handed to it",
        below: &["server/domain/src"],
        but: &[],
        tests_too: true,
        words: &[
            "SystemTime::now",
            "Instant::now",
            "std::env",
            "std::fs",
            "std::io",
            "std::net::Tcp*",
            "std::net::Udp*",
            "std::process",
            "std::thread",
            "TcpListener",
            "TcpStream",
            "UdpSocket",
            "tokio",
        ],
    },
    SourceRule {
        why: "only the vault names a cipher",
        below: EVERYWHERE,
        but: &["server/backend/src/vault"],
        tests_too: true,
        words: &[
            "hpke::*",
            "use hpke",
            "chacha20::*",
            "chacha20poly1305::*",
            "x25519_dalek::*",
            "ed25519_dalek::*",
            "aes_gcm::*",
            "ring::*",
            // Choosing the provider of TLS is no cipher of ours: that is
            // written `rustls::crypto::aws_lc_rs::default_provider()`.
            "aws_lc_rs::*",
            "use aws_lc_rs",
        ],
    },
    SourceRule {
        why: "only a push channel names its vendor",
        below: EVERYWHERE,
        but: &["server/backend/src/push"],
        tests_too: true,
        words: &["a2::*", "use a2"],
    },
    SourceRule {
        why: "only a watch speaks a mail protocol",
        below: EVERYWHERE,
        but: &["server/backend/src/watch"],
        tests_too: true,
        // Their bare names may stand in a filter of logs.
        words: &["async_imap::*", "imap_proto::*", "use async_imap", "use imap_proto"],
    },
    SourceRule {
        why: "only the store and its schema name the database",
        below: EVERYWHERE,
        but: &["server/store", "migration"],
        tests_too: true,
        words: &["sea_orm::*", "sea_orm_migration::*", "sea_query::*", "sqlx::*", "use sea_orm", "use sqlx"],
    },
    SourceRule {
        why: "no orphan tasks: each belongs to a JoinSet or a TaskTracker and ends on the shutdown token",
        below: &["dashboard/src", "server/backend/src", "server/gateway/src", "server/pinger/src", "server/store/src"],
        // The writer's handle is kept by the store, and it ends with its queue.
        but: &["server/store/src/writer.rs"],
        tests_too: false,
        words: &["tokio::spawn", "task::spawn", "thread::spawn"],
    },
    SourceRule {
        why: "the other end chooses how long an answer is: read chunks up to a limit",
        below: &["server/backend/src", "server/gateway/src"],
        but: &[],
        tests_too: false,
        words: &["bytes().await", "text().await", "json().await"],
    },
];

const EVERYWHERE: &[&str] = &["dashboard", "migration", "proto", "server"];

/// The file that names everything.
const THIS_FILE: &str = "server/pinger/tests/architecture.rs";

struct Edges {
    of: &'static str,
    to: &'static [&'static str],
    tests_to: &'static [&'static str],
}

struct SourceRule {
    why: &'static str,
    /// The folders that it looks through, from the root of the workspace.
    below: &'static [&'static str],
    /// The folders and files in it where the words may stand.
    but: &'static [&'static str],
    /// Whether it holds in `#[cfg(test)]` and in files of tests.
    tests_too: bool,
    words: &'static [&'static str],
}

// ----------------------------------------------------------------- the tests

#[test]
fn the_crates_depend_on_each_other_one_way() -> Outcome {
    none(&breaches_of_edges(EDGES, &declared(&metadata()?)))
}

#[test]
fn only_the_owner_of_a_subject_depends_on_its_crates() -> Outcome {
    none(&breaches_of_owners(OWNERS, &declared(&metadata()?)))
}

#[test]
fn the_gateway_links_nothing_that_could_hold_a_secret() -> Outcome {
    let links = closure(&links(&metadata()?), "gateway");
    // It does link these, so the walk went somewhere.
    for known in ["gateway", "proto", "domain", "tonic", "tokio"] {
        assert!(links.contains(known), "{known} is missing in {links:?}");
    }
    none(&found_among(GATEWAY_NEVER_LINKS, &links))
}

#[test]
fn the_backend_does_link_what_the_gateway_must_not() -> Outcome {
    // The same walk from the other side: if this fails, the names above are stale.
    let links = closure(&links(&metadata()?), "backend");
    for owned in ["a2", "async-imap", "hpke", "sea-orm", "sqlx", "store"] {
        assert!(links.contains(owned), "{owned} is missing in {links:?}");
    }
    Ok(())
}

#[test]
fn the_domain_links_nothing_to_do_io_with() -> Outcome {
    let allowed: BTreeSet<String> = DOMAIN_LINKS.iter().map(ToString::to_string).collect();
    let links = alone(&["--package", "domain"])?;
    assert!(links.contains("domain"), "cargo tree said {links:?}");
    none(&links.difference(&allowed).cloned().collect::<Vec<_>>())
}

#[test]
fn what_runs_in_the_browser_links_nothing_of_the_server() -> Outcome {
    let links = alone(&["--package", "dashboard", "--no-default-features", "--features", "hydrate"])?;
    for known in ["dashboard", "domain", "leptos", "web-sys"] {
        assert!(links.contains(known), "{known} is missing in {links:?}");
    }
    none(&found_among(BROWSER_NEVER_LINKS, &links))
}

#[test]
fn the_bundle_is_compiled_and_bound_by_one_version_of_wasm_bindgen() -> Outcome {
    // Its two halves refuse each other otherwise, and only where a bundle is built.
    let version = |file: &str, name: &str| -> Result<String, Box<dyn Error>> {
        let text = std::fs::read_to_string(root().join(file))?;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} = "))).map(str::to_owned);
        let line = line.ok_or_else(|| format!("{file} does not say which {name}"))?;
        Ok(line.split('"').nth(1).unwrap_or_default().to_owned())
    };
    let ours = version("Cargo.toml", "wasm-bindgen")?;
    assert!(ours.starts_with('='), "{ours} may move on by itself");
    assert_eq!(version("dashboard/bundle/tool/Cargo.toml", "wasm-bindgen-cli-support")?, ours);
    Ok(())
}

#[test]
fn the_sources_name_only_what_is_theirs() -> Outcome {
    let mut breaches = Vec::new();
    for rule in SOURCE_RULES {
        for below in rule.below {
            let sources = sources(below)?;
            assert!(!sources.is_empty(), "no sources in {below}: {}", rule.why);
            for (path, text) in &sources {
                breaches.extend(breaches_in_source(rule, path, text));
            }
        }
    }
    none(&breaches)
}

// -------------------------------------------------------------- the checkers

/// The direct dependencies of a crate of the workspace, as its manifest says
/// them: for every platform, optional ones too.
#[derive(Debug, Default)]
struct Declared {
    normal: BTreeSet<String>,
    of_build_and_tests: BTreeSet<String>,
}

fn breaches_of_edges(table: &[Edges], crates: &BTreeMap<String, Declared>) -> Vec<String> {
    let mut breaches = Vec::new();
    for name in crates.keys() {
        if !table.iter().any(|edges| edges.of == name) {
            breaches.push(format!("{name} is not in the table"));
        }
    }
    for edges in table {
        let Some(declared) = crates.get(edges.of) else {
            breaches.push(format!("{} is in the table only", edges.of));
            continue;
        };
        for to in declared.normal.iter().filter(|to| crates.contains_key(*to)) {
            if !edges.to.contains(&to.as_str()) {
                breaches.push(format!("{} -> {to}", edges.of));
            }
        }
        for to in &declared.of_build_and_tests {
            let allowed = [edges.to, edges.tests_to].concat();
            if crates.contains_key(to) && !allowed.contains(&to.as_str()) {
                breaches.push(format!("{} -> {to}, for its tests or its build", edges.of));
            }
        }
    }
    breaches
}

fn breaches_of_owners(table: &[(&str, &[&str])], crates: &BTreeMap<String, Declared>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, declared) in crates {
        for to in declared.normal.union(&declared.of_build_and_tests) {
            for (pattern, owners) in table {
                if matches(pattern, to) && !owners.contains(&name.as_str()) {
                    breaches.push(format!("{name} -> {to}, which is for {owners:?}"));
                }
            }
        }
    }
    breaches
}

fn found_among(patterns: &[&str], names: &BTreeSet<String>) -> Vec<String> {
    names.iter().filter(|name| patterns.iter().any(|pattern| matches(pattern, name))).cloned().collect()
}

/// Everything that is reached from `root`, itself included.
fn closure(links: &BTreeMap<String, BTreeSet<String>>, root: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(name) = open.pop() {
        if reached.insert(name.clone()) {
            open.extend(links.get(&name).into_iter().flatten().cloned());
        }
    }
    reached
}

fn breaches_in_source(rule: &SourceRule, path: &str, text: &str) -> Vec<String> {
    let is_below = |place: &&str| path == *place || path.starts_with(&format!("{place}/"));
    if path == THIS_FILE || rule.but.iter().any(is_below) {
        return Vec::new();
    }
    if !rule.tests_too && is_file_of_tests(path) {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let opens = |(_, next): &(_, &str)| next.starts_with("mod ") && next.ends_with('{');
        if !rule.tests_too && line == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            // The tests of a file stand at its end.
            break;
        }
        for word in rule.words {
            if names(code_of(line), word) {
                breaches.push(format!("{path}:{number}: {word} ({})", rule.why));
            }
        }
    }
    breaches
}

fn is_file_of_tests(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs")
}

/// The line without the comment at its end. A `//` after a colon is a URL's.
fn code_of(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Whether the code names the word: whole, unless the word ends in `*`, and
/// not as a part of `crypto::word`, which is where rustls keeps its providers.
fn names(code: &str, word: &str) -> bool {
    let (word, open_end) = match word.strip_suffix('*') {
        Some(word) => (word, true),
        None => (word, false),
    };
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        !before.ends_with(in_word) && !before.ends_with("crypto::") && (open_end || !after.starts_with(in_word))
    })
}

/// `*` at the end of a pattern stands for any end.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[track_caller]
fn none(breaches: &[String]) -> Outcome {
    assert!(breaches.is_empty(), "not allowed:\n{}", breaches.join("\n"));
    Ok(())
}

// ------------------------------------------------------- asking cargo, reading

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The platform that we are on: crates for others may not have been fetched.
fn host() -> Result<String, Box<dyn Error>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output()?;
    String::from_utf8(output.stdout)?
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc doesn't say its host".into())
}

fn metadata() -> Result<Metadata, Box<dyn Error>> {
    let options = ["--locked", "--offline", "--filter-platform", &host()?].map(str::to_owned);
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(options).exec()?;
    Ok(metadata)
}

fn declared(metadata: &Metadata) -> BTreeMap<String, Declared> {
    let mut crates = BTreeMap::new();
    for package in metadata.workspace_packages() {
        let mut declared = Declared::default();
        for dependency in &package.dependencies {
            let kind = match dependency.kind {
                DependencyKind::Normal => &mut declared.normal,
                _ => &mut declared.of_build_and_tests,
            };
            kind.insert(dependency.name.clone());
        }
        crates.insert(package.name.to_string(), declared);
    }
    crates
}

/// Who links whom: normal dependencies, with the features that the whole
/// workspace turns on. Two versions of a crate are one here, so it says too
/// much rather than too little.
fn links(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let name_of: BTreeMap<&PackageId, String> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
    let mut links: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        let Some(name) = name_of.get(&node.id) else {
            continue;
        };
        let to = links.entry(name.clone()).or_default();
        for dependency in &node.deps {
            let mut kinds = dependency.dep_kinds.iter();
            if kinds.any(|info| info.kind == DependencyKind::Normal) {
                to.extend(name_of.get(&dependency.pkg).cloned());
            }
        }
    }
    links
}

/// `cargo tree` and not the metadata, because it counts only the features that
/// the domain itself turns on: what it is when it is built alone.
/// What a crate links if it is built alone.
fn alone(which: &[&str]) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let output = cargo()
        .args(["tree", "--locked", "--offline"])
        .args(which)
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    Ok(text.lines().filter_map(first_word).collect())
}

/// The Rust files below a folder, by their path from the root, in order.
fn sources(below: &str) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut sources = BTreeMap::new();
    let mut open = vec![below.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in root().join(&folder).read_dir()? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if path.ends_with(".rs") {
                sources.insert(path, std::fs::read_to_string(entry.path())?);
            }
        }
    }
    Ok(sources)
}

// ------------------------------------------- the checkers find what they must

mod found {
    use super::*;

    fn crates(list: &[(&str, &[&str], &[&str])]) -> BTreeMap<String, Declared> {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        list.iter()
            .map(|(name, normal, tests)| {
                let declared = Declared { normal: set(normal), of_build_and_tests: set(tests) };
                ((*name).to_owned(), declared)
            })
            .collect()
    }

    const TWO: &[Edges] = &[
        Edges { of: "gateway", to: &["domain"], tests_to: &["peers"] },
        Edges { of: "domain", to: &[], tests_to: &[] },
    ];

    #[track_caller]
    fn edges(list: &[(&str, &[&str], &[&str])], expect: &[&str]) {
        assert_eq!(breaches_of_edges(TWO, &crates(list)), expect);
    }

    #[test]
    fn edges_between_our_crates() {
        edges(&[("domain", &[], &[]), ("gateway", &["domain", "tokio"], &[])], &[]);
        edges(&[("domain", &["gateway"], &[]), ("gateway", &[], &[])], &["domain -> gateway"]);
        edges(
            &[("domain", &[], &["gateway"]), ("gateway", &[], &["domain"])],
            &["domain -> gateway, for its tests or its build"],
        );
        edges(&[("domain", &[], &[])], &["gateway is in the table only"]);
        edges(&[("domain", &[], &[]), ("gateway", &[], &[]), ("new", &[], &[])], &["new is not in the table"]);
    }

    #[test]
    fn owners() {
        let table: &[(&str, &[&str])] = &[("sea-orm*", &["store"]), ("a2", &["backend"])];
        let crates =
            crates(&[("backend", &["a2", "sha2"], &["sea-orm-migration"]), ("store", &["sea-orm", "a2"], &[])]);
        assert_eq!(
            breaches_of_owners(table, &crates),
            [r#"backend -> sea-orm-migration, which is for ["store"]"#, r#"store -> a2, which is for ["backend"]"#,]
        );
    }

    #[test]
    fn what_is_linked_through_others_even_in_a_circle() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let links = BTreeMap::from([
            ("gateway".to_owned(), set(&["proto"])),
            ("proto".to_owned(), set(&["helper"])),
            ("helper".to_owned(), set(&["sqlx-core", "proto"])),
            ("other".to_owned(), set(&["hpke"])),
        ]);
        let reached = closure(&links, "gateway");
        assert_eq!(reached, set(&["gateway", "helper", "proto", "sqlx-core"]));
        assert_eq!(found_among(GATEWAY_NEVER_LINKS, &reached), ["sqlx-core"]);
    }

    #[track_caller]
    fn word(code: &str, word: &str, expect: bool) {
        assert_eq!(names(code_of(code), word), expect, "{word} in {code}");
    }

    #[test]
    fn words() {
        word("use sea_orm::Database;", "sea_orm", true);
        word("use sea_orm_migration::X;", "sea_orm", false);
        word("let url = \"https://x\"; sea_orm::f()", "sea_orm", true);
        word("// sea_orm is not for us", "sea_orm", false);
        word("let x = 1; /// sea_orm", "sea_orm", false);
        word("a2::Priority::High", "a2::*", true);
        word("sha2::Sha256::new()", "a2::*", false);
        word("use hpke;", "use hpke", true);
        word("let t = answer.text().await?;", "text().await", true);
        word("let hpke_box = 1;", "hpke::*", false);
        word("let t = Instant::now();", "Instant::now", true);
        word("std::net::TcpStream", "std::net::Tcp*", true);
        word("std::net::IpAddr", "std::net::Tcp*", false);
        word("aws_lc_rs::hmac::sign()", "aws_lc_rs::*", true);
        word("rustls::crypto::aws_lc_rs::default_provider()", "aws_lc_rs::*", false);
    }

    const RULE: SourceRule = SourceRule {
        why: "because",
        below: &["server/x"],
        but: &["server/x/vault"],
        tests_too: false,
        words: &["hpke::*"],
    };

    #[track_caller]
    fn source(path: &str, text: &str, expect: &[&str]) {
        assert_eq!(breaches_in_source(&RULE, path, text), expect);
    }

    #[test]
    fn sources() {
        let expect = &["server/x/a.rs:2: hpke::* (because)"];
        source("server/x/a.rs", "\nhpke::open()", expect);
        source("server/x/vault/a.rs", "\nhpke::open()", &[]);
        source("server/x/a.rs", "#[cfg(test)]\nmod t {\nhpke::open()", &[]);
        let expect_it = &["server/x/a.rs:3: hpke::* (because)"];
        source("server/x/a.rs", "#[cfg(test)]\nmod t;\nhpke::open()", expect_it);
        source("server/x/a_tests.rs", "\nhpke::open()", &[]);
        // A folder's name is a whole name.
        let expect = &["server/x/vaults/a.rs:1: hpke::* (because)"];
        source("server/x/vaults/a.rs", "hpke::open()", expect);
    }
}
