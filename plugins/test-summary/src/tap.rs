//! The Test Anything Protocol, versions 12 to 14 (testanything.org). Only tests at the top level count: they stand for their subtests.

use crate::findings::{Counts, Mark, failing};
use crate::numbers::number;
use crate::summary::Tool;

/// Lines such as `not ok 2 - name # TODO later`.
#[derive(Default)]
pub(crate) struct Tap {
    /// Whether there is a version or a plan. Without them, lines that begin with `ok` could be anything.
    is_tap: bool,
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tool for Tap {
    fn line(&mut self, line: &str) -> Mark {
        let is_plan = |line: &str| {
            let plan = line.split_once('#').map_or(line, |(plan, _)| plan);
            plan.strip_prefix("1..")
                .is_some_and(|count| number(count.trim_end()).is_some())
        };
        if line.starts_with("TAP version 1") || is_plan(line) {
            self.is_tap = true;
            return Mark::None;
        }
        let (rest, is_ok) = match line.strip_prefix("not ok") {
            Some(rest) => (rest, false),
            None => match line.strip_prefix("ok") {
                Some(rest) => (rest, true),
                None => return Mark::None,
            },
        };
        let Some(test) = rest.strip_prefix(' ') else {
            return Mark::None;
        };
        let (first, after) = test.split_once(' ').unwrap_or((test, ""));
        let name = match (number(first), first) {
            (Some(_), _) => after.trim_start_matches("- "),
            (None, "-") => after,
            (None, _) => return Mark::None,
        };
        let (name, directive) = name
            .split_once(" # ")
            .or_else(|| name.split_once("# "))
            .unwrap_or((name, ""));
        let directive = directive.get(..4).unwrap_or_default();
        if directive.eq_ignore_ascii_case("skip") || directive.eq_ignore_ascii_case("todo") {
            self.skipped += 1;
        } else if is_ok {
            self.passed += 1;
        } else {
            self.failed += 1;
            return failing(if name.trim().is_empty() { first } else { name });
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        self.is_tap.then_some(Counts {
            passed: Some(self.passed),
            failed: self.failed,
            skipped: Some(self.skipped),
            millis: None,
        })
    }
}
