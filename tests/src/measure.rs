//! Measurements of a process, for benchmarks.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// Memory and processor time of a process at a moment.
#[derive(Clone, Copy, Debug)]
pub struct ProcessUsage {
    /// Resident memory in MiB.
    pub resident_mib: f64,
    /// Resident memory that is not from files: heap, stacks, instances of plugins.
    pub anonymous_mib: f64,
    /// Resident memory that is from files: code and constants of the program.
    pub file_mib: f64,
    /// Largest resident memory so far in MiB.
    pub peak_mib: f64,
    /// Processor time so far in seconds.
    pub processor_seconds: f64,
    /// Number of waits of its present threads so far (voluntary context switches).
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
            anonymous_mib: mib("RssAnon"),
            file_mib: mib("RssFile"),
            peak_mib: mib("VmHWM"),
            processor_seconds: (ticks(14) + ticks(15)) / 100.0,
            wake_ups: wake_ups_by_name(process).values().sum(),
        }
    }
}

impl Display for ProcessUsage {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "resident {:.1} MiB ({:.1} data, {:.1} files), peak {:.1} MiB",
            self.resident_mib, self.anonymous_mib, self.file_mib, self.peak_mib
        )
    }
}

/// Returns the median of at least one value; of an even number the upper one.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the number in the line of a `status` file that begins with this name.
fn number(status: &str, name: &str) -> usize {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns a thread's name and how often it has waited.
fn waits(thread: &Path) -> Option<(String, usize)> {
    let status = std::fs::read_to_string(thread.join("status")).ok()?;
    let name = status.lines().next()?.strip_prefix("Name:")?.trim();
    Some((name.to_owned(), number(&status, "voluntary_ctxt_switches")))
}

/// Returns how often the threads with the same name have waited so far.
#[must_use]
pub fn wake_ups_by_name(process: u32) -> BTreeMap<String, usize> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    // A thread may end meanwhile.
    let mut all = BTreeMap::new();
    for (name, waits) in threads.filter_map(|thread| waits(&thread.unwrap().path())) {
        *all.entry(name).or_default() += waits;
    }
    all
}

/// Returns the resident memory in KiB by what is mapped: a file, `[heap]`, `[stack]` or `anonymous`.
#[must_use]
pub fn mappings(process: u32) -> BTreeMap<String, usize> {
    let smaps = std::fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    let mut name = String::new();
    for line in smaps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0].ends_with(':') {
            if words[0] == "Rss:" {
                *all.entry(name.clone()).or_default() += words[1].parse::<usize>().unwrap();
            }
        } else {
            let what = words.get(5).unwrap_or(&"anonymous");
            name = format!("{what} {}", words[1]);
        }
    }
    all
}
