//! What the machine says of itself and of a process (Linux).

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Sample, ms, quick};

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// Prints which machine this is, and what a durable write costs on it. `folder` is where the store will be.
pub fn introduce(bench: &str, folder: &Path) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    println!("\n== {bench} ==");
    println!(
        "machine: {cores} cores of {}, Linux {}, load {} at the start",
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or("unknown"),
    );
    let disk = durable_writes(folder);
    println!("disk: fdatasync after 4 KiB, p50 {}, p99 {}", ms(disk.percentile(50)), ms(disk.percentile(99)));
    if quick() {
        println!("BENCH_QUICK=1: what follows shows that the bench works, and no speed");
    }
}

fn durable_writes(folder: &Path) -> Sample {
    let path = folder.join("disk-probe");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut took = Vec::new();
    for _ in 0..200 {
        file.write_all(&[1; 4096]).unwrap();
        let start = Instant::now();
        file.sync_data().unwrap();
        took.push(start.elapsed());
    }
    std::fs::remove_file(path).unwrap();
    Sample::new(took)
}

/// The processor time that a process has used.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Its name, in brackets, may have spaces in it.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<u32>().unwrap();
    (ticks(11) + ticks(12)) * TICK
}

/// What a process holds in memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident.
    pub resident: u64,
    /// Resident, with shared pages divided among those who share them.
    pub proportional: u64,
    /// Resident and not of a file: heap and stacks.
    pub anonymous: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Self {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let field = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
        };
        Self { resident: field("Rss:"), proportional: field("Pss:"), anonymous: field("Anonymous:") }
    }
}
