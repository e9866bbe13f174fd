//! Reads the memory of a process, and searches it for secrets and for pieces of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A secret is searched for in pieces of this many bytes, so that one that was overwritten in part is found as well.
const PIECE: usize = 8;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Findings that are shown.
const SHOWN: usize = 12;

/// What must not be found, as pieces of [`PIECE`] bytes with their secrets' names.
#[derive(Clone, Default)]
pub(super) struct Needles(HashMap<[u8; PIECE], String>);

impl Needles {
    /// Adds a secret of 16 random bytes or more: as it is, and in base64, wherever in a longer text it stands.
    pub(super) fn add(&mut self, name: &str, secret: &[u8]) {
        self.add_raw(name, secret);
        for before in 0..3 {
            let text = STANDARD_NO_PAD.encode([&vec![0; before], secret].concat());
            // Only those characters that no neighbour has a part in.
            let (from, to) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
            self.add_raw(name, &text.as_bytes()[from..to]);
        }
    }

    /// Adds it as it is.
    pub(super) fn add_raw(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= 2 * PIECE, "{name} is too short");
        let pieces = secret.as_chunks::<PIECE>().0;
        self.0.extend(pieces.iter().map(|piece| (*piece, name.to_owned())));
    }

    pub(super) fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// A piece of a secret, in memory.
struct Finding {
    name: String,
    piece: [u8; PIECE],
    mapping: Arc<str>,
    address: u64,
    around: String,
}

/// What was found.
pub(super) struct Findings {
    findings: Vec<Finding>,
    bytes: u64,
    mappings: usize,
}

impl Findings {
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.findings.iter().map(|finding| finding.name.as_str()).collect()
    }

    /// Whether all pieces of this text were found as they are.
    pub(super) fn has(&self, text: &str) -> bool {
        let pieces = text.as_bytes().as_chunks::<PIECE>().0;
        pieces.iter().all(|piece| self.findings.iter().any(|finding| finding.piece == *piece))
    }

    pub(super) fn summary(&self) -> String {
        let mut counts = BTreeMap::<_, usize>::new();
        for finding in &self.findings {
            *counts.entry((finding.name.as_str(), &*finding.mapping)).or_default() += 1;
        }
        format!("{} pieces in {} MiB of {} mappings {counts:?}", self.findings.len(), self.bytes >> 20, self.mappings)
    }

    #[track_caller]
    pub(super) fn is_clean(&self, who: &str) {
        assert!(self.bytes > 1 << 20, "hardly anything was read of {who}");
        let shown: Vec<_> = self
            .findings
            .iter()
            .take(SHOWN)
            .map(|finding| {
                let Finding { name, mapping, address, around, .. } = finding;
                format!("{name} in {mapping} at {address:#x}: {around}")
            })
            .collect();
        assert!(shown.is_empty(), "in the memory of {who}: {}\n{}", self.summary(), shown.join("\n"));
    }
}

/// Searches all that can be read of a process while it goes on: its heap, stacks, data and files.
pub(super) fn dump(pid: u32, needles: &Needles) -> Findings {
    let mut starts = vec![false; 1 << 16];
    for piece in needles.0.keys() {
        starts[usize::from(u16::from_le_bytes([piece[0], piece[1]]))] = true;
    }
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = Findings { findings: Vec::new(), bytes: 0, mappings: 0 };
    let mut buffer = vec![0; CHUNK];
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights, path) = (words.next().unwrap(), words.next().unwrap(), words.nth(3).unwrap_or("anonymous"));
        if !rights.starts_with('r') || ["[vvar]", "[vvar_vclock]", "[vsyscall]"].contains(&path) {
            continue;
        }
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (begin, end) = range.split_once('-').map(|(begin, end)| (address(begin), address(end))).unwrap();
        let mapping: Arc<str> = format!("{path} ({rights})").into();
        found.mappings += 1;
        let mut at = begin;
        while at < end {
            let wanted = CHUNK.min(usize::try_from(end - at).unwrap());
            // A stack that has ended since is no loss: it is not there any more.
            let Ok(read @ 1..) = memory.read_at(&mut buffer[..wanted], at) else { break };
            found.bytes += read as u64;
            search(&buffer[..read], at, &starts, needles, &mapping, &mut found.findings);
            // Overlapping, so that nothing is missed between two chunks.
            at += if read as u64 == end - at { read } else { read.saturating_sub(PIECE - 1).max(1) } as u64;
        }
    }
    found
}

fn search(bytes: &[u8], begin: u64, starts: &[bool], needles: &Needles, mapping: &Arc<str>, found: &mut Vec<Finding>) {
    let mut at = 0;
    while at + PIECE <= bytes.len() {
        if starts[usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))] {
            let piece: [u8; PIECE] = bytes[at..at + PIECE].try_into().unwrap();
            if let Some(name) = needles.0.get(&piece) {
                let around = &bytes[at.saturating_sub(48)..(at + 64).min(bytes.len())];
                found.push(Finding {
                    name: name.clone(),
                    piece,
                    mapping: mapping.clone(),
                    address: begin + at as u64,
                    around: around.escape_ascii().to_string(),
                });
            }
        }
        at += 1;
    }
}
