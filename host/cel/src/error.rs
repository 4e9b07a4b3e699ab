//! Why an expression is refused.

/// Why an expression is refused, where, and what to do. It contains names of the expression, and no control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("in line {line}, column {column} of the expression: {message}; {remedy}")]
pub struct ConditionError {
    /// Line in the expression, from 1.
    pub line: usize,
    /// Column in the line in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

/// A mistake at an offset in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Mistake {
    pub(crate) fn new(at: usize, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// Adds line and column of the mistake.
    pub(crate) fn in_source(self, source: &str) -> ConditionError {
        let (line, column) = position(source, self.at);
        ConditionError {
            line,
            column,
            message: self.message,
            remedy: self.remedy,
        }
    }
}

/// Returns line and column of an offset in bytes, both from 1.
pub(crate) fn position(source: &str, at: usize) -> (usize, usize) {
    let before = source.get(..at).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    let in_line = before.get(line_start..).unwrap_or_default();
    (line, in_line.chars().count() + 1)
}

/// Writes a name of an expression in quotes, bounded, without control characters.
pub(crate) fn quoted(name: &str) -> String {
    const MAX_CHARS: usize = 64;
    let mut chars = name.chars();
    let shown: String = chars.by_ref().take(MAX_CHARS).collect();
    let rest = if chars.next().is_some() { "…" } else { "" };
    format!("`{}{rest}`", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters() {
        let source = "a\n  é == x";
        let at = source.find('x').unwrap();
        assert_eq!(position(source, at), (2, 8));
        assert_eq!(position(source, 0), (1, 1));
        assert_eq!(position(source, 1000), (2, 9));
    }

    #[test]
    fn a_quoted_name_is_bounded_and_has_no_control_characters() {
        assert_eq!(quoted("a\u{1b}[31m\u{202e}"), "`a\\u{1b}[31m\\u{202e}`");
        assert!(quoted(&"a".repeat(5000)).chars().count() < 70);
    }
}
