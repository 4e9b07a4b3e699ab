//! This process, as the system sees it, by the names that Prometheus' clients use for it.

use super::metric::Metric;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt::Error;

#[derive(Debug)]
pub(super) struct Process;

/// What `/proc/self/stat` says behind the program's name (proc_pid_stat(5)): fields 14 and 15 are ticks of
/// processor time, field 22 is the start in ticks since the machine's.
struct Stat {
    processor: u64,
    start: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, a bracket included.
        let (_, rest) = text.rsplit_once(") ")?;
        // The first is field 3.
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

/// When the machine started, in seconds since 1970.
fn machine_start() -> Option<u64> {
    let stat = read("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn resident_bytes() -> Option<u64> {
    let pages = read("/proc/self/statm")?;
    let pages: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn open_files() -> Option<u64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the folder that is being read.
    u64::try_from(files.saturating_sub(1)).ok()
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        let stat = read("/proc/self/stat").and_then(|text| Stat::parse(&text));
        if let Some(stat) = &stat {
            Metric::counter("process_cpu_seconds", "Processor time in seconds")
                .encode_f64(encoder, seconds(stat.processor))?;
        }
        if let Some((stat, machine)) = stat.zip(machine_start()) {
            Metric::gauge(
                "process_start_time_seconds",
                "Start of the process in seconds since 1970",
            )
            .encode_f64(encoder, machine as f64 + seconds(stat.start))?;
        }
        if let Some(bytes) = resident_bytes() {
            Metric::gauge("process_resident_memory_bytes", "Resident memory in bytes")
                .encode_u64(encoder, bytes)?;
        }
        if let Some(files) = open_files() {
            Metric::gauge("process_open_fds", "Open files and sockets")
                .encode_u64(encoder, files)?;
        }
        Ok(())
    }
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
