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
}

impl ProcessUsage {
    /// Reads it from `/proc`.
    #[must_use]
    pub fn read(process: u32) -> Self {
        let read = |file: &str| {
            let folder = Path::new("/proc").join(process.to_string());
            std::fs::read_to_string(folder.join(file)).unwrap()
        };
        let status = read("status");
        let mib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kib / 1024.0
        };
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // Fields are numbered as in proc(5); the first two are cut off.
        let ticks = |field: usize| fields[field - 3].parse::<f64>().unwrap();
        Self {
            resident_mib: mib("VmRSS"),
            peak_mib: mib("VmHWM"),
            processor_seconds: (ticks(14) + ticks(15)) / 100.0,
        }
    }
}

/// Returns the word for the result of a check: `holds` or `BROKEN`.
#[must_use]
pub fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "BROKEN" }
}
