//! Shows the differences of two JSON values.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use step_observer::terminal;

/// Bound of a shown line, in characters.
const MAX_LINE_CHARS: usize = 160;

/// Returns the lines that differ, each with `context` lines around it. Equal values give an empty text.
pub(super) fn diff(before: &Value, after: &Value, context: usize) -> String {
    let (before, after) = (pretty(before), pretty(after));
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let paint = |code: &str, line: &str| match color {
        true => format!("\u{1b}[{code}m{line}\u{1b}[0m"),
        false => line.to_owned(),
    };
    let changes = TextDiff::from_lines(&before, &after);
    let mut text = String::new();
    for (index, group) in changes.grouped_ops(context).iter().enumerate() {
        if index > 0 && context > 0 {
            text.push_str("      ...\n");
        }
        for change in group.iter().flat_map(|op| changes.iter_changes(op)) {
            let line = short(change.value().trim_end_matches('\n'));
            let line = match change.tag() {
                ChangeTag::Delete => paint("31", &format!("    - {line}")),
                ChangeTag::Insert => paint("32", &format!("    + {line}")),
                ChangeTag::Equal => format!("      {line}"),
            };
            writeln!(text, "{line}").ok();
        }
    }
    text
}

/// Writes members in order of their names, and each line of a string as a line, so that a log with one changed line
/// differs in one line.
fn pretty(value: &Value) -> String {
    let text = format!("{value:#}\n");
    text.replace("\\n", "\\n\n      ")
}

fn short(line: &str) -> String {
    let mut chars = line.chars();
    let mut shown: String = chars.by_ref().take(MAX_LINE_CHARS).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    terminal::escape_line(&shown).into_owned()
}
