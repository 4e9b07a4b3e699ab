//! Jest, Vitest, Mocha and the test runner of Node.js.

use crate::findings::{Counts, Mark, add, failing};
use crate::numbers::{counted, duration, number};
use crate::summary::Tool;

/// Jest: `Tests:       1 failed, 1 skipped, 2 passed, 4 total`.
#[derive(Default)]
pub(crate) struct Jest {
    sum: Option<Counts>,
    millis: Option<u64>,
}

impl Tool for Jest {
    fn line(&mut self, line: &str) -> Mark {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("● ").filter(|name| name.contains(" › ")) {
            return failing(name);
        }
        if let Some(results) = text.strip_prefix("Tests: ") {
            let (results, has_total) = match results.trim().rsplit_once(", ") {
                Some((results, total)) => (results, total.ends_with(" total")),
                None => ("", results.trim() == "0 total"),
            };
            if let Some(counts) = results_of(results, ", ").filter(|_| has_total) {
                add(&mut self.sum, counts);
            }
        } else if let Some(time) = text.strip_prefix("Time: ") {
            // `1.2 s, estimated 2 s`
            let time = time.split_once(',').map_or(time, |(time, _)| time);
            add_millis(&mut self.millis, time);
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        let millis = self.millis;
        self.sum.map(|sum| Counts { millis, ..sum })
    }
}

/// Vitest: `Tests  1 failed | 2 passed | 1 skipped (4)`.
#[derive(Default)]
pub(crate) struct Vitest {
    sum: Option<Counts>,
    millis: Option<u64>,
}

impl Tool for Vitest {
    fn line(&mut self, line: &str) -> Mark {
        let text = line.trim();
        if let Some(name) = text
            .strip_prefix("FAIL ")
            .filter(|name| name.contains(" > "))
        {
            return failing(name);
        }
        if let Some(results) = text.strip_prefix("Tests  ") {
            let results = results
                .strip_suffix(')')
                .and_then(|results| results.rsplit_once(" ("));
            if let Some(counts) = results.and_then(|(results, _)| results_of(results, " | ")) {
                add(&mut self.sum, counts);
            }
        } else if let Some(time) = text.strip_prefix("Duration  ") {
            let time = time.split_once(" (").map_or(time, |(time, _)| time);
            add_millis(&mut self.millis, time);
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        let millis = self.millis;
        self.sum.map(|sum| Counts { millis, ..sum })
    }
}

/// Adds the duration of a run, which is in a line of its own.
fn add_millis(sum: &mut Option<u64>, time: &str) {
    if let Some(millis) = duration(time) {
        *sum = Some(sum.unwrap_or(0) + millis);
    }
}

fn results_of(results: &str, separator: &str) -> Option<Counts> {
    let mut counts = Counts {
        passed: Some(0),
        skipped: Some(0),
        ..Counts::default()
    };
    let sum = |sum: Option<u64>, count: u64| sum.map(|sum| sum + count);
    for result in results
        .split(separator)
        .filter(|result| !result.trim().is_empty())
    {
        match counted(result)? {
            (count, "passed") => counts.passed = sum(counts.passed, count),
            (count, "failed") => counts.failed += count,
            (count, "skipped" | "todo" | "pending") => counts.skipped = sum(counts.skipped, count),
            _ => return None,
        }
    }
    Some(counts)
}

/// Mocha: `2 passing (10ms)`, `1 pending`, `1 failing`, and then the failing tests with numbers.
#[derive(Default)]
pub(crate) struct Mocha {
    sum: Option<Counts>,
    /// Whether the list of failing tests has begun.
    is_in_list: bool,
    /// Number and suite of a test whose name follows in the next lines.
    suite: Option<String>,
}

impl Tool for Mocha {
    fn line(&mut self, line: &str) -> Mark {
        let text = line.trim();
        if let Some(suite) = self.suite.take() {
            let name = format!("{suite} {}", text.trim_end_matches(':'));
            match text.ends_with(':') {
                true => return failing(&name),
                // A test within several suites has a line for each.
                false if !text.is_empty() && name.len() < 200 => self.suite = Some(name),
                false => {}
            }
            return Mark::None;
        }
        match counted(text) {
            Some((count, "passing")) => {
                let time = text
                    .rsplit_once('(')
                    .and_then(|(_, time)| duration(time.strip_suffix(')')?));
                let counts = Counts {
                    passed: Some(count),
                    skipped: Some(0),
                    millis: time,
                    failed: 0,
                };
                if time.is_some() {
                    add(&mut self.sum, counts);
                }
                self.is_in_list = false;
            }
            Some((count, word @ ("failing" | "pending"))) if is_short(text) => {
                if let Some(sum) = &mut self.sum {
                    match word {
                        "failing" => sum.failed += count,
                        _ => sum.skipped = sum.skipped.map(|skipped| skipped + count),
                    }
                    self.is_in_list = word == "failing";
                }
            }
            _ if self.is_in_list => {
                let test = text.split_once(") ");
                if let Some((index, suite)) = test
                    && number(index).is_some()
                {
                    match suite.strip_suffix(':') {
                        Some(name) => return failing(name),
                        None => self.suite = Some(crate::lines::cut(suite, 200).to_owned()),
                    }
                }
            }
            _ => {}
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        self.sum
    }
}

/// Returns whether a line has two words only, as `1 failing`.
fn is_short(text: &str) -> bool {
    text.split_whitespace().count() == 2
}

/// Node.js, reporter `spec`, which is the default: after the tests `ℹ tests 6`, `ℹ pass 1`, `ℹ fail 3`, `ℹ duration_ms 94.4`.
#[derive(Default)]
pub(crate) struct Node(Option<Counts>);

impl Tool for Node {
    fn line(&mut self, line: &str) -> Mark {
        let text = line.trim();
        if let Some(test) = text.strip_prefix("✖ ") {
            let name = test
                .strip_suffix("ms)")
                .and_then(|test| test.rsplit_once(" ("));
            return name.map_or(Mark::None, |(name, _)| failing(name));
        }
        let Some((word, value)) = text
            .strip_prefix("ℹ ")
            .and_then(|text| text.split_once(' '))
        else {
            return Mark::None;
        };
        let none = Counts {
            passed: Some(0),
            skipped: Some(0),
            millis: Some(0),
            failed: 0,
        };
        let count = number(value);
        if self.0.is_none() && !(word == "tests" && count.is_some()) {
            return Mark::None;
        }
        let part = match word {
            "pass" => Counts {
                passed: count,
                ..none
            },
            "fail" | "cancelled" => Counts {
                failed: count.unwrap_or(0),
                ..none
            },
            "skipped" | "todo" => Counts {
                skipped: count,
                ..none
            },
            "duration_ms" => Counts {
                millis: duration(&format!("{value}ms")),
                ..none
            },
            _ => none,
        };
        add(&mut self.0, part);
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        self.0
    }
}
