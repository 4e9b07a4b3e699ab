//! pytest and unittest.

use crate::findings::{Counts, Mark, add, failing};
use crate::numbers::{counted, duration, number};
use crate::summary::Tool;

/// The last line of pytest: `== 1 failed, 2 passed in 0.12s ==`, with `-q` without `=`.
#[derive(Default)]
pub(crate) struct Pytest(Option<Counts>);

impl Tool for Pytest {
    fn line(&mut self, line: &str) -> Mark {
        if line.starts_with("E   ") {
            return Mark::Context;
        }
        for word in ["FAILED ", "ERROR "] {
            if let Some(rest) = line.strip_prefix(word) {
                let name = rest.split_once(" - ").map_or(rest, |(name, _)| name);
                let is_test = name.contains("::") || name.trim_end().ends_with(".py");
                return if is_test { failing(name) } else { Mark::None };
            }
        }
        if let Some(counts) = pytest(line) {
            add(&mut self.0, counts);
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        self.0
    }
}

fn pytest(line: &str) -> Option<Counts> {
    let line = line.trim_matches(['=', ' ']);
    let (results, time) = line.rsplit_once(" in ")?;
    let time = time.split_once(" (").map_or(time, |(time, _)| time);
    let mut counts = Counts {
        passed: Some(0),
        skipped: Some(0),
        millis: Some(duration(time.strip_suffix('s').map(|_| time)?)?),
        ..Counts::default()
    };
    if results == "no tests ran" {
        return Some(counts);
    }
    let mut is_about_tests = false;
    for result in results.split(", ") {
        let (count, word) = counted(result)?;
        let sum = |sum: Option<u64>| sum.map(|sum| sum + count);
        match word {
            "passed" | "xpassed" => counts.passed = sum(counts.passed),
            "failed" | "error" | "errors" => counts.failed += count,
            "skipped" | "xfailed" => counts.skipped = sum(counts.skipped),
            "deselected" | "warning" | "warnings" | "rerun" => continue,
            _ => return None,
        }
        is_about_tests = true;
    }
    is_about_tests.then_some(counts)
}

/// unittest, and what is built on it: `Ran 3 tests in 0.001s`, and after it `OK (skipped=1)` or `FAILED (failures=1, errors=1)`.
#[derive(Default)]
pub(crate) struct Unittest {
    sum: Option<Counts>,
    /// Tests and duration of a run whose result follows.
    ran: Option<(u64, u64)>,
}

impl Tool for Unittest {
    fn line(&mut self, line: &str) -> Mark {
        if let Some(rest) = line.strip_prefix("Ran ") {
            self.ran = ran(rest);
        } else if self.ran.is_some() && (line.starts_with("OK") || line.starts_with("FAILED")) {
            let (total, millis) = self.ran.take().unwrap_or_default();
            add(&mut self.sum, unittest(line, total, millis));
        } else if let Some(name) = line
            .strip_prefix("FAIL: ")
            .or_else(|| line.strip_prefix("ERROR: "))
        {
            // `test_x (module.Class)`; other programs log lines that begin with `ERROR: `, too.
            return if name.ends_with(')') && name.starts_with("test") {
                failing(name)
            } else {
                Mark::None
            };
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        self.sum
    }
}

fn ran(text: &str) -> Option<(u64, u64)> {
    let (tests, time) = text.split_once(" in ")?;
    let (total, word) = counted(tests)?;
    word.starts_with("test").then_some((total, duration(time)?))
}

fn unittest(line: &str, total: u64, millis: u64) -> Counts {
    let (mut failed, mut skipped) = (0, 0);
    let details = line.split_once('(').map_or("", |(_, details)| details);
    for detail in details.trim_end_matches(')').split(", ") {
        let Some((word, count)) = detail.split_once('=') else {
            continue;
        };
        match (word, number(count)) {
            ("failures" | "errors" | "unexpected successes", Some(count)) => failed += count,
            ("skipped" | "expected failures", Some(count)) => skipped += count,
            _ => {}
        }
    }
    Counts {
        passed: Some(total.saturating_sub(failed + skipped)),
        failed,
        skipped: Some(skipped),
        millis: Some(millis),
    }
}
