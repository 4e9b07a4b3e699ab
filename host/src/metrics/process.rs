//! Metrics of this process and of its build. The metrics of the process have the same names as in
//! the Prometheus client libraries.

use super::samples::Samples;
use std::fmt::Error;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Fields of `/proc/self/stat` (proc_pid_stat(5)), in clock ticks.
struct Stat {
    /// Processor time in user and kernel mode: fields 14 and 15.
    processor: u64,
    /// Start time of the process since the boot of the machine: field 22.
    start: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program may contain any character, closing parentheses too.
        let (_, rest) = text.rsplit_once(") ")?;
        // The first field behind the name is field 3.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            processor: number(14)? + number(15)?,
            start: number(22)?,
        })
    }
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

/// Returns the boot time of the machine in seconds since 1970.
fn machine_start() -> Option<u64> {
    let stat = read("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Returns the resident memory of the process.
pub(crate) fn resident_bytes() -> Option<u64> {
    let pages = read("/proc/self/statm")?;
    let pages: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn open_files() -> Option<u64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // One of the entries is the descriptor of the directory that is being read.
    u64::try_from(files.saturating_sub(1)).ok()
}

/// Adds the metrics of the process. A value that the system does not give is omitted.
pub(super) fn samples(samples: &mut Samples<'_>) -> Result<(), Error> {
    let stat = read("/proc/self/stat").and_then(|text| Stat::parse(&text));
    if let Some(stat) = &stat {
        samples.counter(
            "process_cpu_seconds",
            "Processor time in seconds",
            seconds(stat.processor),
        )?;
    }
    if let Some((stat, machine)) = stat.zip(machine_start()) {
        samples.gauge(
            "process_start_time_seconds",
            "Start of the process in seconds since 1970",
            machine as f64 + seconds(stat.start),
        )?;
    }
    if let Some(bytes) = resident_bytes() {
        samples.gauge(
            "process_resident_memory_bytes",
            "Resident memory in bytes",
            bytes,
        )?;
    }
    if let Some(files) = open_files() {
        samples.gauge("process_open_fds", "Open files and sockets", files)?;
    }
    Ok(())
}

/// Adds the metric `build_info` with the version of the program.
pub(super) fn build_samples(samples: &mut Samples<'_>) -> Result<(), Error> {
    samples.gauges(
        "build_info",
        "Always 1; the label is the version of the program",
        ["version"],
        [([VERSION], 1_u64)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_is_no_field() {
        let text = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 100 23 13 14 15 16 17 18 4711 20 21";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.processor, stat.start), (123, 4711));
        assert!(Stat::parse("42").is_none());
    }
}
