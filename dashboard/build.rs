//! Puts the browser bundle into the server, if there is one of the same sources; else the server is built without scripts,
//! which is said once in its log.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "stamp.rs"]
mod stamp;

/// What scripts/bundle makes; the stamp comes last, so that half a bundle is none.
const FILES: [&str; 6] =
    ["bundle.js", "bundle.js.br", "bundle.js.gz", "bundle.wasm", "bundle.wasm.br", "bundle.wasm.gz"];

const NONE: &str = "pub(crate) const EMBEDDED: Option<Embedded> = None;\n";

const SOME: &str = r#"pub(crate) const EMBEDDED: Option<Embedded> = Some(Embedded {
    script: Compressed {
        plain: include_bytes!(concat!(env!("OUT_DIR"), "/bundle.js")),
        brotli: include_bytes!(concat!(env!("OUT_DIR"), "/bundle.js.br")),
        gzip: include_bytes!(concat!(env!("OUT_DIR"), "/bundle.js.gz")),
    },
    wasm: Compressed {
        plain: include_bytes!(concat!(env!("OUT_DIR"), "/bundle.wasm")),
        brotli: include_bytes!(concat!(env!("OUT_DIR"), "/bundle.wasm.br")),
        gzip: include_bytes!(concat!(env!("OUT_DIR"), "/bundle.wasm.gz")),
    },
});
"#;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=stamp.rs");
    // The bundle itself is built from this crate, too, without `ssr`.
    if env::var_os("CARGO_FEATURE_SSR").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?);
    let root = here.parent().ok_or("the dashboard is in a workspace")?;
    let bundle = match env::var_os("PINGER_BUNDLE") {
        Some(path) => PathBuf::from(path),
        None => {
            let path = root.join("target/bundle");
            // Cargo runs this script with each build if what it watches is not there.
            let _ = fs::create_dir_all(&path);
            path
        }
    };
    println!("cargo::rerun-if-env-changed=PINGER_BUNDLE");
    for watched in [&bundle, &here.join("src"), &here.join("bundle/src"), &root.join("Cargo.lock")] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let found = is_ours(&bundle, root)?;
    if found {
        for file in FILES {
            fs::copy(bundle.join(file), out.join(file))?;
        }
    }
    fs::write(out.join("bundle.rs"), if found { SOME } else { NONE })?;
    Ok(())
}

/// Whether a bundle is there, and of these sources.
fn is_ours(bundle: &Path, root: &Path) -> Result<bool, Box<dyn Error>> {
    let Ok(stamped) = fs::read_to_string(bundle.join("stamp")) else { return Ok(false) };
    let ours = stamp::stamp(root)?;
    if stamped.trim() != ours {
        println!(
            "cargo::warning=the browser bundle is of other sources and is left out: the pages are served without scripts. \
             `make bundle` builds it anew."
        );
        return Ok(false);
    }
    Ok(FILES.iter().all(|file| bundle.join(file).is_file()))
}
