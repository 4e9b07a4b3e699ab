//! Maven (surefire and failsafe), Gradle and `dotnet test`.

use crate::findings::{Counts, Mark, add, failing};
use crate::numbers::{counted, duration, labelled};
use crate::summary::Tool;

/// Maven: `Tests run: 5, Failures: 1, Errors: 0, Skipped: 1`, for each class with `Time elapsed`, and for each module without.
#[derive(Default)]
pub(crate) struct Maven {
    classes: Option<Counts>,
    modules: Option<Counts>,
}

impl Tool for Maven {
    fn line(&mut self, line: &str) -> Mark {
        let line = ["[INFO] ", "[ERROR] ", "[WARNING] "]
            .iter()
            .find_map(|level| line.strip_prefix(level))
            .unwrap_or(line);
        if let Some(results) = line.trim_start().strip_prefix("Tests run: ") {
            let Some(counts) = maven(results) else {
                return Mark::None;
            };
            add(
                match results.contains("Time elapsed") {
                    true => &mut self.classes,
                    false => &mut self.modules,
                },
                counts,
            );
            return Mark::None;
        }
        if line.contains("<<< FAILURE!") || line.contains("<<< ERROR!") {
            let name = line
                .split_once("Time elapsed")
                .map_or(line, |(name, _)| name);
            let name = name.split_once("<<<").map_or(name, |(name, _)| name);
            return failing(name.trim_end_matches([' ', '-']));
        }
        Mark::None
    }

    /// Classes have more tests than modules if the log ends before the result of a module.
    fn counts(&self) -> Option<Counts> {
        let (classes, modules) = (self.classes, self.modules);
        let Some(mut modules) = modules else {
            return classes;
        };
        match classes {
            Some(classes) if classes.total() > modules.total() => Some(classes),
            Some(classes) => {
                modules.millis = classes.millis;
                Some(modules)
            }
            None => Some(modules),
        }
    }
}

fn maven(text: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut parts = text.split(", ");
    let total = crate::numbers::number(parts.next()?.trim())?;
    let mut skipped = None;
    for part in parts {
        if let Some(time) = part.trim_start().strip_prefix("Time elapsed: ") {
            let mut words = time.split_whitespace();
            let time = format!("{} {}", words.next()?, words.next()?);
            counts.millis = duration(&time);
            break;
        }
        match labelled(part) {
            Some(("Failures" | "Errors", count)) => counts.failed += count,
            Some(("Skipped", count)) => skipped = Some(count),
            _ => {}
        }
    }
    counts.skipped = Some(skipped?);
    counts.passed = Some(total.saturating_sub(counts.failed + skipped?));
    Some(counts)
}

/// Gradle: `3 tests completed, 1 failed, 1 skipped`. It prints nothing if all tests pass.
#[derive(Default)]
pub(crate) struct Gradle(Option<Counts>);

impl Tool for Gradle {
    fn line(&mut self, line: &str) -> Mark {
        if let Some(name) = line.strip_suffix(" FAILED") {
            let is_test = name.contains(" > ") && !name.starts_with("> ");
            return if is_test { failing(name) } else { Mark::None };
        }
        if let Some(counts) = gradle(line) {
            add(&mut self.0, counts);
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        self.0
    }
}

fn gradle(line: &str) -> Option<Counts> {
    let (completed, results) = line.split_once(" completed, ")?;
    let (total, word) = counted(completed)?;
    if !matches!(word, "test" | "tests") {
        return None;
    }
    let (mut failed, mut skipped) = (0, 0);
    for result in results.split(", ") {
        match counted(result)? {
            (count, "failed") => failed += count,
            (count, "skipped") => skipped += count,
            _ => return None,
        }
    }
    Some(Counts {
        passed: Some(total.saturating_sub(failed + skipped)),
        failed,
        skipped: Some(skipped),
        millis: None,
    })
}

/// `dotnet test`: a line for each project, `Failed!  - Failed:     1, Passed:     2, Skipped:     0, Total:     3, Duration: 13 ms - a.dll`, or
/// `Test summary: total: 3, failed: 1, succeeded: 2, skipped: 0, duration: 1.2s`, or lines from `Total tests: 3` on.
#[derive(Default)]
pub(crate) struct Dotnet {
    projects: Option<Counts>,
    summary: Option<Counts>,
    /// Counts of the form with several lines.
    lines: Option<Counts>,
}

impl Tool for Dotnet {
    fn line(&mut self, line: &str) -> Mark {
        let text = line.trim();
        if let Some(results) = ["Passed!", "Failed!", "Skipped!"]
            .iter()
            .find_map(|word| text.strip_prefix(word))
        {
            if let Some(counts) = dotnet(results.trim_start().trim_start_matches("- ")) {
                add(&mut self.projects, counts);
            }
        } else if let Some(results) = text.strip_prefix("Test summary: ") {
            self.summary = dotnet(results).or(self.summary);
        } else if let Some(name) = text
            .strip_prefix("Failed ")
            .and_then(|text| text.strip_suffix(']'))
        {
            let test = name.rsplit_once(" [");
            return match test {
                Some((name, time)) if duration(time.trim_start_matches("< ")).is_some() => {
                    failing(name)
                }
                _ => Mark::None,
            };
        } else if let Some(("Total tests", _)) = labelled(text) {
            let counts = Counts {
                passed: Some(0),
                skipped: Some(0),
                ..Counts::default()
            };
            add(&mut self.lines, counts);
        } else if let (Some((word, count)), Some(lines)) = (labelled(text), &mut self.lines) {
            let sum = |sum: Option<u64>| sum.map(|sum| sum + count);
            match word {
                "Passed" => lines.passed = sum(lines.passed),
                "Skipped" => lines.skipped = sum(lines.skipped),
                "Failed" => lines.failed += count,
                _ => {}
            }
        }
        Mark::None
    }

    fn counts(&self) -> Option<Counts> {
        self.summary.or(self.projects).or(self.lines)
    }
}

fn dotnet(text: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut has_total = false;
    for part in text.split(", ") {
        if let Some((label, time)) = part.split_once(": ")
            && label.trim().eq_ignore_ascii_case("duration")
        {
            let time = time.split_once(" - ").map_or(time, |(time, _)| time);
            counts.millis = duration(time.trim_start_matches("< "));
            continue;
        }
        match labelled(part) {
            Some(("Passed" | "succeeded", count)) => counts.passed = Some(count),
            Some(("Failed" | "failed", count)) => counts.failed = count,
            Some(("Skipped" | "skipped", count)) => counts.skipped = Some(count),
            Some(("Total" | "total", _)) => has_total = true,
            _ => {}
        }
    }
    has_total.then_some(counts)
}
