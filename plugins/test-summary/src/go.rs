//! `go test`: its plain output, and `go test -json`. Subtests and their parents count as tests, as in the events of `-json`.

use crate::findings::{Counts, Mark, failing};
use crate::lines::cut;
use crate::numbers::{duration, millis};
use crate::summary::Tool;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;

/// The plain output. Without `-v` it does not list the tests that passed.
#[derive(Default)]
pub(crate) struct GoTest {
    is_seen: bool,
    is_verbose: bool,
    /// Whether a package has a result, so that tests of it may have passed. One that could not be built has none.
    has_results: bool,
    passed: u64,
    failed: u64,
    skipped: u64,
    millis: u64,
}

impl Tool for GoTest {
    fn line(&mut self, line: &str) -> Mark {
        if let Some(result) = line.trim_start().strip_prefix("--- ") {
            return self.result(result);
        }
        if line.starts_with("=== RUN ") {
            (self.is_seen, self.is_verbose) = (true, true);
            return Mark::None;
        }
        let mut words = line.split_whitespace();
        let first = words.next();
        let (package, time) = (words.next(), words.next().unwrap_or_default());
        match (first, package) {
            (Some("ok"), Some(_)) if line.starts_with("ok") => {
                let is_result =
                    time == "(cached)" || (time.ends_with('s') && duration(time).is_some());
                if is_result {
                    (self.is_seen, self.has_results) = (true, true);
                    self.millis += duration(time).unwrap_or(0);
                }
                Mark::None
            }
            (Some("FAIL"), Some(package)) if line.starts_with("FAIL") => match time {
                // Its tests were not run.
                "[build" | "[setup" => {
                    self.is_seen = true;
                    self.failed += 1;
                    failing(package)
                }
                time => {
                    if let Some(millis) = duration(time) {
                        (self.is_seen, self.has_results) = (true, true);
                        self.millis += millis;
                    }
                    Mark::None
                }
            },
            _ => Mark::None,
        }
    }

    fn counts(&self) -> Option<Counts> {
        let are_all_listed = self.is_verbose || !self.has_results;
        self.is_seen.then_some(Counts {
            passed: are_all_listed.then_some(self.passed),
            failed: self.failed,
            skipped: are_all_listed.then_some(self.skipped),
            millis: Some(self.millis).filter(|millis| *millis > 0 || !self.has_results),
        })
    }
}

impl GoTest {
    /// Reads `FAIL: TestName (0.00s)`.
    fn result(&mut self, text: &str) -> Mark {
        let Some((name, time)) = text.rsplit_once(" (") else {
            return Mark::None;
        };
        if time.strip_suffix(')').and_then(duration).is_none() {
            return Mark::None;
        }
        match name.split_once(": ") {
            Some(("PASS", _)) => {
                (self.is_seen, self.is_verbose) = (true, true);
                self.passed += 1;
            }
            Some(("SKIP", _)) => {
                (self.is_seen, self.is_verbose) = (true, true);
                self.skipped += 1;
            }
            Some(("FAIL", name)) => {
                (self.is_seen, self.has_results) = (true, true);
                self.failed += 1;
                return failing(name);
            }
            _ => {}
        }
        Mark::None
    }
}

/// Outputs of tests that are kept until it is known whether the test failed. They make the excerpt no longer than its bound.
const KEPT_OUTPUTS: usize = 64;

/// Most bytes of an output that are kept.
const MAX_OUTPUT: usize = 400;

/// The events of `go test -json` (`go doc test2json`).
#[derive(Default)]
pub(crate) struct GoJson {
    is_seen: bool,
    passed: u64,
    failed: u64,
    skipped: u64,
    millis: u64,
    /// Test and output.
    outputs: VecDeque<(String, String)>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "Action", borrow)]
    action: Cow<'a, str>,
    #[serde(rename = "Package", borrow, default)]
    package: Cow<'a, str>,
    #[serde(rename = "Test", borrow)]
    test: Option<Cow<'a, str>>,
    #[serde(rename = "Elapsed")]
    elapsed: Option<serde_json::Number>,
    #[serde(rename = "Output", borrow)]
    output: Option<Cow<'a, str>>,
}

impl Tool for GoJson {
    fn line(&mut self, line: &str) -> Mark {
        if !line.starts_with("{\"") || !line.contains("\"Action\":") {
            return Mark::None;
        }
        let Ok(event) = serde_json::from_str::<Event<'_>>(line) else {
            return Mark::None;
        };
        let Some(test) = event.test else {
            if matches!(event.action.as_ref(), "pass" | "fail" | "skip") {
                self.is_seen = true;
                let elapsed = event.elapsed.map(|elapsed| elapsed.to_string());
                self.millis += elapsed.and_then(|elapsed| millis(&elapsed)).unwrap_or(0);
            }
            return Mark::None;
        };
        match event.action.as_ref() {
            "pass" => self.passed += 1,
            "skip" => self.skipped += 1,
            "fail" => self.failed += 1,
            "output" => {
                self.keep(&test, event.output.as_deref().unwrap_or_default());
                return Mark::None;
            }
            _ => return Mark::None,
        }
        self.is_seen = true;
        match (event.action.as_ref(), event.package.as_ref()) {
            ("fail", "") => failing(&test),
            ("fail", package) => failing(&format!("{package}.{test}")),
            _ => Mark::None,
        }
    }

    fn counts(&self) -> Option<Counts> {
        self.is_seen.then_some(Counts {
            passed: Some(self.passed),
            failed: self.failed,
            skipped: Some(self.skipped),
            millis: Some(self.millis).filter(|millis| *millis > 0),
        })
    }

    fn excerpt(&self, failed: &str) -> Option<Vec<String>> {
        let is_of = |test: &str| {
            let package = failed.strip_suffix(test);
            package.is_some_and(|package| package.is_empty() || package.ends_with('.'))
        };
        let outputs = self.outputs.iter().filter(|(test, _)| is_of(test));
        Some(outputs.map(|(_, output)| output.clone()).collect())
    }
}

impl GoJson {
    fn keep(&mut self, test: &str, output: &str) {
        let output = output.trim_end();
        if output.is_empty() || output.starts_with("=== ") {
            return;
        }
        if self.outputs.len() == KEPT_OUTPUTS {
            self.outputs.pop_front();
        }
        self.outputs.push_back((
            test.to_owned(),
            crate::lines::plain(cut(output, MAX_OUTPUT)),
        ));
    }
}
