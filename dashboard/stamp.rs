// The stamp of what the server and the bundle are both built from. Shared by build.rs and by bundle/tool: a bundle of other
// sources takes over islands that the server wrote otherwise, and that fails silently.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

/// What goes in, from the workspace's root.
const SOURCES: [&str; 4] = ["Cargo.lock", "dashboard/Cargo.toml", "dashboard/bundle/src", "dashboard/src"];

/// SHA-256 over each file's path, length and content, in hexadecimal.
pub(crate) fn stamp(root: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    let mut names: Vec<(String, PathBuf)> = files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            (name, path)
        })
        .collect();
    names.sort();
    let mut hash = Sha256::new();
    for (name, path) in names {
        let content = fs::read(&path)?;
        hash.update(format!("{name}\n{}\n", content.len()));
        hash.update(&content);
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        // What editors leave behind is no source.
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "rs" || extension == "js") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}
