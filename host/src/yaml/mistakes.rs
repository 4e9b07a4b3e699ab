//! The mistakes of a text.

use std::fmt;

/// A mistake in a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{name}:{line}:{column}: {field}: {problem}")]
pub struct YamlError {
    /// Name of the text.
    pub name: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// Path of the field.
    pub field: String,
    /// The problem and its remedy.
    pub problem: String,
}

/// All mistakes of a text, ordered by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<YamlError>,
    has_more: bool,
}

/// Most mistakes that are listed.
const MAX_MISTAKES: usize = 100;

impl Mistakes {
    /// Returns the listed mistakes.
    #[must_use]
    pub fn list(&self) -> &[YamlError] {
        &self.list
    }

    /// Returns whether there is no mistake.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Says how many mistakes there are.
    #[must_use]
    pub fn count(&self) -> String {
        let more = if self.has_more { " and more" } else { "" };
        match self.list.len() {
            1 => format!("1 mistake{more}"),
            count => format!("{count} mistakes{more}"),
        }
    }

    /// Returns the first mistake and the total number of mistakes as one line, for places with
    /// little space.
    #[must_use]
    pub fn first_line(&self) -> String {
        match self.list.as_slice() {
            [] => String::new(),
            [only] if !self.has_more => only.to_string(),
            [first, ..] => format!("{first} ({} in all)", self.count()),
        }
    }

    /// Notes that the text may have further mistakes.
    pub(super) fn mark_incomplete(&mut self) {
        self.has_more = true;
    }

    /// Returns whether the text may have mistakes that are not listed.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Adds a mistake. After the maximum number, only notes that there are more.
    pub(crate) fn add(&mut self, mistake: YamlError) {
        if self.list.len() >= MAX_MISTAKES {
            self.has_more = true;
        } else if let Err(place) = self.list.binary_search(&mistake) {
            self.list.insert(place, mistake);
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.list {
            writeln!(f, "{mistake}")?;
        }
        f.write_str(&self.count())
    }
}

impl std::error::Error for Mistakes {}
