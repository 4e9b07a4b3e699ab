//! What is wrong in a text.

use std::fmt;

/// Something in a text is wrong.
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
    /// What is wrong, and what to do.
    pub problem: String,
}

/// All that is wrong in a text, in the order of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<YamlError>,
    has_more: bool,
}

/// Most mistakes that are listed.
const MAX_MISTAKES: usize = 100;

impl Mistakes {
    /// Each of them.
    #[must_use]
    pub fn list(&self) -> &[YamlError] {
        &self.list
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are, as a sentence.
    #[must_use]
    pub fn count(&self) -> String {
        let more = if self.has_more { " and more" } else { "" };
        match self.list.len() {
            1 => format!("1 mistake{more}"),
            count => format!("{count} mistakes{more}"),
        }
    }

    /// The first of them in one line, where there is no room for all.
    #[must_use]
    pub fn first_line(&self) -> String {
        match self.list.as_slice() {
            [] => String::new(),
            [only] if !self.has_more => only.to_string(),
            [first, ..] => format!("{first} ({} in all)", self.count()),
        }
    }

    /// Notes that there are more than were found.
    pub(super) fn mark_incomplete(&mut self) {
        self.has_more = true;
    }

    /// Are there more than are listed?
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Adds one; at the bound it is only noted that there are more.
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
