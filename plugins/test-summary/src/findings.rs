//! What one tool reports: counts, names of failing tests, and the lines around failures.

use crate::lines::cut;
use crate::summary::Bounds;

/// Most bytes of a name, and of a line of the excerpt.
const MAX_NAME: usize = 200;
const MAX_EXCERPT_LINE: usize = 400;

/// Lines before and after a failure in the excerpt.
pub(crate) const BEFORE: usize = 2;
const AFTER: usize = 6;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// `None` if the tool does not report it, as `go test` without `-v`.
    pub(crate) passed: Option<u64>,
    /// Failed tests, and errors.
    pub(crate) failed: u64,
    /// `None` if the tool does not report it.
    pub(crate) skipped: Option<u64>,
    /// Duration, if the tool reports it.
    pub(crate) millis: Option<u64>,
}

impl Counts {
    /// Adds other counts. The sum is known only as far as both are.
    pub(crate) fn add(&mut self, other: Self) {
        let both = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        self.passed = both(self.passed, other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = both(self.skipped, other.skipped);
        self.millis = both(self.millis, other.millis);
    }

    /// Returns the number of tests that are known.
    pub(crate) fn total(&self) -> u64 {
        let known = [self.passed, self.skipped].into_iter().flatten();
        known.fold(self.failed, u64::saturating_add)
    }
}

/// Adds counts to a sum that may not have begun.
pub(crate) fn add(sum: &mut Option<Counts>, other: Counts) {
    match sum {
        Some(sum) => sum.add(other),
        None => *sum = Some(other),
    }
}

/// What a line means to a tool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing.
    None,
    /// It belongs to the description of a failure.
    Context,
    /// A test failed.
    Failing(String),
}

impl Mark {
    /// Returns the name of the failing test.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Failing(name) => Some(name),
            Self::None | Self::Context => None,
        }
    }
}

/// Returns the mark for a failing test.
pub(crate) fn failing(name: &str) -> Mark {
    match cut(name.trim(), MAX_NAME) {
        "" => Mark::Context,
        name => Mark::Failing(name.to_owned()),
    }
}

/// Names and excerpt of one tool, within bounds.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) failing: Vec<String>,
    pub(crate) excerpt: String,
    bounds: Bounds,
    /// Number of the last line in the excerpt.
    last: Option<usize>,
    /// Lines that still follow a failure.
    after: usize,
}

impl Findings {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            failing: Vec::new(),
            excerpt: String::new(),
            bounds,
            last: None,
            after: 0,
        }
    }

    /// Records a line. `before` are the lines before it.
    pub(crate) fn line(&mut self, mark: &Mark, number: usize, line: &str, before: &[String]) {
        if let Some(name) = mark.name() {
            self.name(name);
        }
        if *mark != Mark::None {
            let first = number.saturating_sub(before.len());
            for (index, line) in before.iter().enumerate() {
                self.excerpt_line(first + index, line);
            }
            self.after = AFTER + 1;
        }
        if self.after > 0 {
            self.after -= 1;
            self.excerpt_line(number, line);
        }
    }

    /// Records a failing test with its own lines of the excerpt.
    pub(crate) fn own_excerpt(&mut self, mark: &Mark, lines: &[String]) {
        if let Some(name) = mark.name() {
            self.name(name);
        }
        for line in lines {
            self.push(cut(line, MAX_EXCERPT_LINE));
        }
    }

    /// Records a failing test, once.
    pub(crate) fn name(&mut self, name: &str) {
        if self.failing.len() < self.bounds.failing
            && !self.failing.iter().any(|known| known == name)
        {
            self.failing.push(name.to_owned());
        }
    }

    fn excerpt_line(&mut self, number: usize, line: &str) {
        if self.last.is_some_and(|last| number <= last) {
            return;
        }
        let is_next = self.last.is_none_or(|last| last + 1 == number);
        self.last = Some(number);
        if line.trim().is_empty() {
            return;
        }
        if !is_next {
            self.push("…");
        }
        self.push(cut(line, MAX_EXCERPT_LINE));
    }

    /// Adds a line to the excerpt, as far as it fits.
    pub(crate) fn push(&mut self, line: &str) {
        let end = usize::from(!self.excerpt.is_empty());
        let free = self.bounds.excerpt.saturating_sub(self.excerpt.len() + end);
        let line = cut(line, free);
        if line.is_empty() {
            return;
        }
        if end > 0 {
            self.excerpt.push('\n');
        }
        self.excerpt.push_str(line);
    }
}
