//! Measurements of a process, for benchmarks.

use std::path::Path;

/// Memory and processor time of a process at a moment.
#[derive(Clone, Copy, Debug)]
pub struct ProcessUsage {
    /// Resident memory in MiB.
    pub resident_mib: f64,
    /// Largest resident memory so far in MiB.
    pub peak_mib: f64,
    /// Processor time so far in seconds.
    pub processor_seconds: f64,
    /// Times that its present threads have waited so far (voluntary context switches).
    pub wake_ups: usize,
}

impl ProcessUsage {
    /// Reads it from `/proc`.
    #[must_use]
    pub fn read(process: u32) -> Self {
        let folder = Path::new("/proc").join(process.to_string());
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
        let status = read("status");
        let mib = |name: &str| number(&status, name) as f64 / 1024.0;
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // Fields are numbered as in proc(5); the first two are cut off.
        let ticks = |field: usize| fields[field - 3].parse::<f64>().unwrap();
        Self {
            resident_mib: mib("VmRSS"),
            peak_mib: mib("VmHWM"),
            processor_seconds: (ticks(14) + ticks(15)) / 100.0,
            wake_ups: wake_ups(&folder.join("task")),
        }
    }
}

/// Returns the number in the line of a `status` file that begins with this name.
fn number(status: &str, name: &str) -> usize {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn wake_ups(threads: &Path) -> usize {
    let folders = std::fs::read_dir(threads).unwrap();
    // A thread may end meanwhile.
    let statuses = folders
        .filter_map(|folder| std::fs::read_to_string(folder.unwrap().path().join("status")).ok());
    statuses
        .map(|status| number(&status, "voluntary_ctxt_switches"))
        .sum()
}

/// Returns the word for the result of a check: `holds` or `BROKEN`.
#[must_use]
pub fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "BROKEN" }
}
