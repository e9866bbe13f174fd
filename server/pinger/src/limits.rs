//! What the operating system lets a process have.

use std::io;

use rlimit::Resource;

/// Fewer open files than this, and a server holds too few sessions to be one.
const FEW_FILES: u64 = 16_384;

/// Raises the limit of open files as far as it goes, and says so if that isn't far. Each session that is watched needs
/// one.
pub(crate) fn raise_open_files() {
    match Resource::NOFILE.get().and_then(|(_, hard)| rlimit::increase_nofile_limit(hard)) {
        Ok(limit) if limit < FEW_FILES => tracing::warn!(
            limit,
            wanted = FEW_FILES,
            "the limit of open files is small: each watched session needs one; raise LimitNOFILE or `ulimit -Hn`"
        ),
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// What a gateway below `pinger serve` takes from itself: core dumps, and memory beyond `memory_bytes` of its own
/// (RLIMIT_DATA; 0 for no limit). What the operator's own limits are below that stays.
pub(crate) fn confine(memory_bytes: u64) -> io::Result<()> {
    Resource::CORE.set(0, 0)?;
    if memory_bytes > 0 {
        let (_, hard) = Resource::DATA.get()?;
        let limit = memory_bytes.min(hard);
        Resource::DATA.set(limit, limit)?;
    }
    Ok(())
}

/// Makes sure that no file that we were started with reaches a child of ours. Files that we open ourselves never do.
pub(crate) fn keep_files_from_children() {
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
}

/// The files that this process has open beside its three standard ones, where the system tells. To be asked before
/// anything is opened.
#[cfg(target_os = "linux")]
pub(crate) fn inherited_files() -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        paths.push(entry?.path());
    }
    // The folder itself was open while it was read, and is not any more: that link leads nowhere now.
    Ok(paths
        .iter()
        .filter(|path| !["0", "1", "2"].iter().any(|standard| path.ends_with(standard)))
        .filter_map(|path| std::fs::read_link(path).ok().map(|target| (path, target)))
        .map(|(path, target)| format!("{} ({})", path.display(), target.display()))
        .collect())
}

/// The files that this process has open beside its three standard ones: not known on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn inherited_files() -> io::Result<Vec<String>> {
    Ok(Vec::new())
}
