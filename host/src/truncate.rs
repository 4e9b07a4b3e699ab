//! Truncates texts at the end of a line, otherwise between two words. A word at the edge of the gap
//! is omitted completely, because no rule of a redacting plugin would recognise a part of a token.

/// Distance from the cut, in bytes, within which the end of a line is searched.
const LINE_SEARCH_BYTES: usize = 8 * 1024;

/// Number of further words that are omitted after the gap if no line ends near it. One of them may
/// be the secret value of an omitted name, as in `Authorization: Bearer TOKEN`.
const OMITTED_WORDS: usize = 3;

/// Maximum size of the marker line that replaces the omitted text, in bytes.
pub(crate) const MARKER_ROOM: usize = 80;

const MARKER: [&str; 2] = ["[... ", " bytes of the log left out ...]\n"];
const AT_LEAST: &str = "at least ";

/// Returns the part of `bytes` to keep as the head of a text that was cut after `bytes`. It ends
/// after the last line break within the last 8 KiB, otherwise after the last blank. A word without
/// a blank before it is omitted completely, whatever its length.
pub(crate) fn head(bytes: &[u8]) -> &[u8] {
    let window = bytes.len().saturating_sub(LINE_SEARCH_BYTES);
    let near = bytes.get(window..).unwrap_or_default();
    let line = near.iter().rposition(|byte| *byte == b'\n');
    let border = match line {
        Some(line) => Some(window + line),
        None => bytes.iter().rposition(|byte| is_blank(*byte)),
    };
    let end = border.map_or(0, |border| border + 1);
    bytes.get(..end).unwrap_or_default()
}

/// Returns what to keep of `bytes`, the rest of a text that was cut within the first word of
/// `bytes`. Omits all up to the first line break, if it is within the first 8 KiB; otherwise the
/// first word, of any length, and at most three more.
pub(crate) fn tail(bytes: &[u8]) -> &[u8] {
    let near = bytes
        .get(..bytes.len().min(LINE_SEARCH_BYTES))
        .unwrap_or_default();
    if let Some(line) = near.iter().position(|byte| *byte == b'\n') {
        return bytes.get(line + 1..).unwrap_or_default();
    }
    let mut rest = after_word(bytes);
    for _ in 0..OMITTED_WORDS {
        let next = after_word(rest);
        if next.is_empty() || bytes.len() - next.len() > LINE_SEARCH_BYTES {
            break;
        }
        rest = next;
    }
    rest
}

/// Returns the text after the first blank.
fn after_word(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().position(|byte| is_blank(*byte));
    let start = blank.map_or(bytes.len(), |blank| blank + 1);
    bytes.get(start..).unwrap_or_default()
}

/// Returns whether a byte is an ASCII whitespace character. In UTF-8, such a byte is never part of
/// a multi-byte character.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

/// Returns the line that replaces the omitted text.
pub(crate) fn marker(omitted: u64, is_lower_bound: bool) -> String {
    let [before, after] = MARKER;
    let at_least = if is_lower_bound { AT_LEAST } else { "" };
    format!("{before}{at_least}{omitted}{after}")
}

/// Joins the head and the tail of a log with the marker between them.
pub(crate) fn join(head: String, omitted: &str, tail: &str) -> String {
    let mut text = head;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(omitted);
    text.push_str(tail);
    text
}

/// Omits the middle of a log so that the total cost of the result, including the marker, is at most
/// `room`. `cost` returns the cost of a character. `room` must be at least [`MARKER_ROOM`].
pub(crate) fn omit_middle(text: &str, room: usize, cost: impl Fn(char) -> usize) -> String {
    let mut free = room;
    if text.chars().all(|char| match free.checked_sub(cost(char)) {
        Some(left) => {
            free = left;
            true
        }
        None => false,
    }) {
        return text.to_owned();
    }
    let each = room.saturating_sub(MARKER_ROOM) / 2;
    let fits = |chars: &mut dyn Iterator<Item = char>| {
        let mut free = each;
        let kept = chars.take_while(|char| match free.checked_sub(cost(*char)) {
            Some(left) => {
                free = left;
                true
            }
            None => false,
        });
        kept.map(char::len_utf8).sum::<usize>()
    };
    let bytes = text.as_bytes();
    let before = head(bytes.get(..fits(&mut text.chars())).unwrap_or_default()).len();
    // Also passes the byte before the kept text to `tail`: if it is a line break, the first line is
    // whole and is kept.
    let from = bytes.len() - fits(&mut text.chars().rev());
    let behind = tail(bytes.get(from.saturating_sub(1)..).unwrap_or_default());
    let from = (bytes.len() - behind.len()).max(before);
    let middle = text.get(before..from).unwrap_or_default();
    let (earlier, is_lower_bound) = omitted_before(middle);
    let omitted = u64::try_from(middle.len()).unwrap_or(u64::MAX);
    join(
        text.get(..before).unwrap_or_default().to_owned(),
        &marker(omitted.saturating_add(earlier), is_lower_bound),
        text.get(from..).unwrap_or_default(),
    )
}

/// Returns how many bytes an earlier truncation omitted, and whether this number is a lower bound.
/// The author of a log can write a false marker; this only makes the number in the next marker
/// wrong.
fn omitted_before(text: &str) -> (u64, bool) {
    let [before, after] = MARKER;
    let found = text.split_once(after).and_then(|(text, _)| {
        let (_, number) = text.rsplit_once(before)?;
        let plain = number.strip_prefix(AT_LEAST);
        let bytes: u64 = plain.unwrap_or(number).parse().ok()?;
        Some((bytes, plain.is_some()))
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_cut_is_made_between_lines_if_one_ends_near_it() {
        assert_eq!(text(head(b"one\r\ntwo th")), "one\r\n");
        assert_eq!(text(tail(b"ne two\r\nthree")), "three");
        assert_eq!(text(tail(b"\nthree")), "three");
        assert_eq!(text(head(b"one\ntwo\n")), "one\ntwo\n");
    }

    #[test]
    fn a_cut_is_made_between_words_if_no_line_ends_near_it() {
        let long = "word ".repeat(4000);
        let begun = format!("line\n{long}tok");
        assert_eq!(text(head(begun.as_bytes())), format!("line\n{long}"));
        let ended = format!("en {long}\nline");
        let kept = text(tail(ended.as_bytes()));
        assert_eq!(kept, ended.get("en word word word ".len()..).unwrap());
    }

    #[test]
    fn a_word_of_any_length_is_left_out_whole() {
        let word = "x".repeat(3 * LINE_SEARCH_BYTES);
        let begun = format!("a line\nits first word {word}");
        assert_eq!(text(head(begun.as_bytes())), "a line\nits first word ");
        let ended = format!("{word} and what follows");
        assert_eq!(text(tail(ended.as_bytes())), "and what follows");
        assert_eq!(head(word.as_bytes()), b"");
        assert_eq!(tail(word.as_bytes()), b"");
    }

    #[test]
    fn text_omitted_by_an_earlier_cut_counts_again() {
        let lines = "0123456789abcde\n".repeat(64);
        let once = join(lines.clone(), &marker(1000, false), &lines);
        let twice = omit_middle(&once, 1024, |_| 1);
        let kept = twice.matches("0123456789abcde\n").count() * 16;
        let omitted = marker((1000 + once.len() - kept) as u64, false);
        assert!(twice.contains(&omitted), "{twice}");
        assert_eq!(twice.matches("left out").count(), 1);
    }

    proptest! {
        #[test]
        fn any_truncated_text_fits_and_has_only_whole_words(
            words in proptest::collection::vec("[a-zé€🦀\\x1b\\x00]{1,40}[ \n\r\t]", 0..400),
            room in MARKER_ROOM..4000_usize,
        ) {
            let log: String = words.concat();
            // The cost in JSON.
            let cost = |char: char| match char {
                '\n' | '\r' | '\t' => 2,
                '\0'..='\x1f' => 6,
                char => char.len_utf8(),
            };
            let size = |text: &str| text.chars().map(cost).sum::<usize>();
            let cut = omit_middle(&log, room, cost);
            prop_assert!(size(&cut) <= room);
            if size(&log) <= room {
                prop_assert_eq!(cut, log);
            } else {
                let (before, rest) = cut.split_once(MARKER[0]).unwrap();
                let (_, behind) = rest.split_once(MARKER[1]).unwrap();
                let whole = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
                let all = whole(&log);
                prop_assert!(all.starts_with(&whole(before)) && all.ends_with(&whole(behind)));
                prop_assert!(log.ends_with(behind));
            }
        }
    }
}
