//! Foreign text, durations and sizes for cells of the screen. Pure.

use jiff::Timestamp;
use std::time::Duration;
use step_observer::terminal::escape_line;

/// Longest foreign text that is drawn, in characters, so that a line is cheap whatever it holds.
const MAX_CHARS: usize = 300;

/// Returns a text that takes as many columns on every terminal as it does for us: control characters are escaped, and
/// characters that terminals join or measure differently (marks, emoji) are replaced.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| match c.is_ascii() || c.is_alphanumeric() || c == '…' {
        true => c,
        false => '?',
    };
    let escaped = escape_line(text);
    escaped.chars().take(MAX_CHARS).map(plain).collect()
}

/// Returns a text that fits a number of columns, for ASCII; wider characters are cut by the screen.
pub(super) fn column(text: &str, width: usize) -> String {
    let text = shown(text);
    match text.char_indices().nth(width) {
        None => format!("{text:<width$}"),
        Some(_) if width == 0 => String::new(),
        Some(_) => {
            let end = text.char_indices().nth(width - 1).map_or(0, |(end, _)| end);
            format!("{}…", text.get(..end).unwrap_or_default())
        }
    }
}

/// Formats a duration in two units at most.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Formats the time between two moments.
pub(super) fn between(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<String> {
    let span = end?.duration_since(start?);
    Some(duration(Duration::try_from(span).unwrap_or_default()))
}

/// Formats a size.
pub(super) fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_take_the_columns_that_they_are_given() {
        assert_eq!(column("abc", 5), "abc  ");
        assert_eq!(column("abcdef", 5), "abcd…");
        assert_eq!(column("abc", 0), "");
        assert_eq!(column("é日本", 3), "é日本");
        assert_eq!(
            shown("a\u{1b}[2J👩\u{200d}🚀e\u{301}\u{202e}"),
            "a\\u{1b}[2J???e?\\u{202e}"
        );
        assert_eq!(shown(&"x".repeat(64 * 1024)).len(), MAX_CHARS);
    }

    #[test]
    fn durations_and_sizes_are_short() {
        let text = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            [text(2), text(61), text(7_260), text(90_000)],
            ["2.0s", "1m01s", "2h01m", "1d01h"]
        );
        assert_eq!(
            [size(0), size(47_290_777), size(u64::MAX)],
            ["0.0 MiB", "45.1 MiB", "17592186044416.0 MiB"].map(|text| text.to_owned())
        );
    }
}
