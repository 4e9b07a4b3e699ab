//! `cargo test` and `cargo nextest`.

use crate::findings::{Counts, Mark, add, failing};
use crate::numbers::{counted, duration};
use crate::summary::Tool;

/// libtest: `test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.05s`, for each binary.
#[derive(Default)]
pub(crate) struct CargoTest {
    sum: Option<Counts>,
    /// Tests since the last result: the log may end before the next.
    open: Option<Counts>,
}

impl Tool for CargoTest {
    fn line(&mut self, line: &str) -> Mark {
        if let Some(counts) = line.strip_prefix("test result: ").and_then(libtest) {
            self.open = None;
            add(&mut self.sum, counts);
            return Mark::None;
        }
        if line.starts_with("---- ") && line.ends_with(" stdout ----") {
            return Mark::Context;
        }
        // `--quiet` prints a character for a test, and the names of those that failed.
        if let Some(name) = line.strip_suffix(" --- FAILED") {
            return failing(name);
        }
        let Some((name, result)) = line
            .strip_prefix("test ")
            .and_then(|line| line.rsplit_once(" ... "))
        else {
            return Mark::None;
        };
        let mut counts = Counts {
            passed: Some(0),
            skipped: Some(0),
            ..Counts::default()
        };
        match result.split_whitespace().next() {
            Some("ok") => counts.passed = Some(1),
            Some("ignored" | "ignored,") => counts.skipped = Some(1),
            Some("FAILED") => counts.failed = 1,
            _ => return Mark::None,
        }
        add(&mut self.open, counts);
        match counts.failed {
            0 => Mark::None,
            _ => failing(name),
        }
    }

    fn counts(&self) -> Option<Counts> {
        let mut sum = self.sum;
        if let Some(open) = self.open {
            add(&mut sum, open);
        }
        sum
    }
}

fn libtest(text: &str) -> Option<Counts> {
    let text = text
        .strip_prefix("ok. ")
        .or_else(|| text.strip_prefix("FAILED. "))?;
    let mut counts = Counts::default();
    for part in text.split("; ") {
        if let Some(time) = part.strip_prefix("finished in ") {
            counts.millis = duration(time);
        }
        match counted(part) {
            Some((count, "passed")) => counts.passed = Some(count),
            Some((count, "failed")) => counts.failed = count,
            Some((count, "ignored")) => counts.skipped = Some(count),
            _ => {}
        }
    }
    counts.passed.map(|_| counts)
}

/// nextest: `Summary [   0.005s] 3 tests run: 2 passed (1 slow), 1 failed, 0 skipped`.
#[derive(Default)]
pub(crate) struct Nextest(Option<Counts>);

impl Tool for Nextest {
    fn line(&mut self, line: &str) -> Mark {
        let Some((status, rest)) = line.trim_start().split_once(" [") else {
            return Mark::None;
        };
        let Some((time, rest)) = rest.split_once("] ") else {
            return Mark::None;
        };
        let Some(millis) = duration(time.trim_start_matches(['>', ' '])) else {
            return Mark::None;
        };
        match status {
            "Summary" => {
                if let Some(counts) = nextest(rest, millis) {
                    add(&mut self.0, counts);
                }
                Mark::None
            }
            "FAIL" | "TIMEOUT" | "ABORT" | "SIGABRT" | "SIGSEGV" | "SIGKILL" => {
                // `(2/3) crate test` in newer versions.
                let name = rest.trim_start();
                let name = match name.strip_prefix('(') {
                    Some(counted) => counted.split_once(')').map_or(name, |(_, name)| name),
                    None => name,
                };
                failing(name)
            }
            _ => Mark::None,
        }
    }

    fn counts(&self) -> Option<Counts> {
        self.0
    }
}

fn nextest(text: &str, millis: u64) -> Option<Counts> {
    let (run, results) = text.split_once(": ")?;
    if !run.ends_with(" run") {
        return None;
    }
    let mut counts = Counts {
        passed: Some(0),
        skipped: Some(0),
        millis: Some(millis),
        ..Counts::default()
    };
    for result in results.split(", ") {
        match counted(result) {
            Some((count, "passed")) => counts.passed = Some(count),
            Some((count, "skipped")) => counts.skipped = Some(count),
            // `timed out`, `exec failed`.
            Some((count, "failed" | "timed" | "exec")) => counts.failed += count,
            _ => {}
        }
    }
    Some(counts)
}
