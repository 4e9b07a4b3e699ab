//! A text without its colours, and the way back to the text as it was.

use std::ops::Range;

/// A text without its terminal escapes, so that a colour in the middle of a secret hides nothing.
/// One character replaces each sequence of bytes that is not UTF-8.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// What is searched.
    pub(crate) text: String,
    /// What was taken out, in order.
    splices: Vec<Splice>,
    /// Number of splices that were written or left out.
    written: usize,
    /// The start of an escape or of a character that was cut.
    pending: Vec<u8>,
}

#[derive(Debug)]
struct Splice {
    /// Where it belongs in the text.
    at: usize,
    /// Length of the replacement in the text, in bytes: 0 for an escape.
    length: usize,
    source: Vec<u8>,
}

/// Longest terminal escape that is taken out, in bytes.
const MAX_ESCAPE: usize = 64;

/// Stands for bytes that are not UTF-8.
const PLACEHOLDER: char = '\u{1a}';

const ESCAPE: u8 = 0x1b;

impl View {
    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let owned;
        let mut rest = if self.pending.is_empty() {
            bytes
        } else {
            let mut joined = std::mem::take(&mut self.pending);
            joined.extend_from_slice(bytes);
            owned = joined;
            &owned
        };
        while !rest.is_empty() {
            let plain = memchr::memchr(ESCAPE, rest).unwrap_or(rest.len());
            let (before, after) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            let left = self.push_text(before);
            if !left.is_empty() && after.is_empty() {
                self.pending = left.to_vec();
                return;
            }
            self.replace(left);
            match escape(after) {
                Escape::None => {
                    if let Some((first, others)) = after.split_first() {
                        self.text.push(char::from(*first));
                        rest = others;
                    } else {
                        rest = &[];
                    }
                }
                Escape::Cut => {
                    self.pending = after.to_vec();
                    return;
                }
                Escape::Whole(length) => {
                    let (source, others) = after.split_at_checked(length).unwrap_or((after, &[]));
                    self.splices.push(Splice {
                        at: self.text.len(),
                        length: 0,
                        source: source.to_vec(),
                    });
                    rest = others;
                }
            }
        }
    }

    /// Ends the text. Appends the incomplete escape or character at its end as it is.
    pub(crate) fn finish(&mut self) {
        let left = std::mem::take(&mut self.pending);
        match std::str::from_utf8(&left) {
            Ok(text) => self.text.push_str(text),
            Err(_) => self.replace(&left),
        }
    }

    /// Appends bytes without escapes. Returns the beginning of a character that is cut at the end.
    fn push_text<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text.push_str(text);
                    return &[];
                }
                Err(error) => {
                    let (valid, after) = rest
                        .split_at_checked(error.valid_up_to())
                        .unwrap_or((rest, &[]));
                    self.text
                        .push_str(std::str::from_utf8(valid).unwrap_or_default());
                    let Some(length) = error.error_len() else {
                        return after;
                    };
                    let (wrong, after) = after.split_at_checked(length).unwrap_or((after, &[]));
                    self.replace(wrong);
                    rest = after;
                }
            }
        }
    }

    fn replace(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let at = self.text.len();
            self.text.push(PLACEHOLDER);
            self.splices.push(Splice {
                at,
                length: 1,
                source: bytes.to_vec(),
            });
        }
    }

    /// Writes the source of the bytes `from..end` of the text, with the replacements in place of
    /// their ranges. The ranges are in order and do not overlap. Omits bytes that were taken out
    /// within a masked range. Returns where each replacement begins in `output`.
    pub(crate) fn write(
        &mut self,
        from: usize,
        end: usize,
        masks: &[(Range<usize>, &str)],
        output: &mut Vec<u8>,
    ) -> Vec<usize> {
        let mut places = Vec::with_capacity(masks.len());
        let mut done = from;
        for (range, replacement) in masks {
            done = self.write_plain(done, range.start, true, output);
            places.push(output.len());
            output.extend_from_slice(replacement.as_bytes());
            done = done.max(range.end);
        }
        let last = end == self.text.len();
        self.write_plain(done, end, last, output);
        places
    }

    /// Writes the source of the bytes `from..until`, with the bytes that were taken out before
    /// `until`. If `last` is true, also writes the escapes at `until`. Omits bytes that were taken
    /// out before `from`. Returns the end.
    fn write_plain(
        &mut self,
        from: usize,
        until: usize,
        last: bool,
        output: &mut Vec<u8>,
    ) -> usize {
        let mut done = from;
        while let Some(splice) = self.splices.get(self.written) {
            if splice.at >= until && !(last && splice.at == until && splice.length == 0) {
                break;
            }
            self.written += 1;
            if splice.at >= done {
                let before = self.text.as_bytes().get(done..splice.at);
                output.extend_from_slice(before.unwrap_or_default());
                output.extend_from_slice(&splice.source);
                done = splice.at + splice.length;
            }
        }
        let rest = self.text.as_bytes().get(done..until);
        output.extend_from_slice(rest.unwrap_or_default());
        done.max(until)
    }

    /// Forgets the first bytes of the text, which were written.
    pub(crate) fn forget(&mut self, bytes: usize) {
        self.text.drain(..bytes);
        let gone = self.splices.partition_point(|splice| splice.at < bytes);
        self.splices.drain(..gone);
        self.written = self.written.saturating_sub(gone);
        for splice in &mut self.splices {
            splice.at -= bytes;
        }
    }
}

enum Escape {
    /// There is no escape, or it is not a known one.
    None,
    /// The bytes end within an escape.
    Cut,
    /// An escape of this length.
    Whole(usize),
}

/// Recognises a terminal escape (ECMA-48) at the beginning of `bytes`: a control sequence
/// (`ESC [ … letter`), an operating system command (`ESC ] … BEL`), or two characters.
fn escape(bytes: &[u8]) -> Escape {
    if bytes.first() != Some(&ESCAPE) {
        return Escape::None;
    }
    let cut = |bytes: &[u8]| {
        if bytes.len() < MAX_ESCAPE {
            Escape::Cut
        } else {
            Escape::None
        }
    };
    match bytes.get(1) {
        None => Escape::Cut,
        Some(b'[') => {
            let body = bytes.get(2..).unwrap_or_default().iter().take(MAX_ESCAPE);
            match body.clone().position(|byte| (0x40..=0x7e).contains(byte)) {
                Some(length) if body.take(length).all(|byte| (0x20..0x40).contains(byte)) => {
                    Escape::Whole(length + 3)
                }
                Some(_) => Escape::None,
                None => cut(bytes),
            }
        }
        Some(b'(' | b')') => {
            if bytes.len() > 2 {
                Escape::Whole(3)
            } else {
                Escape::Cut
            }
        }
        Some(b']') => {
            let body = bytes.get(2..).unwrap_or_default();
            let body = body.get(..body.len().min(MAX_ESCAPE)).unwrap_or_default();
            match body.iter().position(|byte| *byte == 7) {
                Some(length) => Escape::Whole(length + 3),
                None => cut(bytes),
            }
        }
        Some(byte) if (0x40..0x7f).contains(byte) => Escape::Whole(2),
        Some(_) => Escape::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Without masks, the output has the same bytes as the input, however the input is split.
        #[test]
        fn without_masks_the_bytes_come_back(
            parts in prop::collection::vec(prop_oneof![
                Just(b"\x1b[32m".to_vec()), Just(b"\x1b".to_vec()), Just(b"\xff\xc3".to_vec()), Just("é✓".as_bytes().to_vec()),
                Just(b"\x1b]0;x\x07".to_vec()), prop::collection::vec(any::<u8>(), 0..8),
            ], 0..12),
            size in 1_usize..9,
        ) {
            let whole = parts.concat();
            let mut view = View::default();
            for chunk in whole.chunks(size) {
                view.push(chunk);
            }
            view.finish();
            let mut output = Vec::new();
            let end = view.text.len();
            view.write(0, end, &[], &mut output);
            prop_assert_eq!(output, whole);
        }
    }

    #[test]
    fn a_mask_takes_the_colours_within_it_away() {
        let mut view = View::default();
        view.push(b"a \x1b[31mse\x1b[0mcret\x1b[0m b");
        assert_eq!(view.text, "a secret b");
        let mut output = Vec::new();
        view.write(0, 10, &[(2..8, "[x]")], &mut output);
        assert_eq!(String::from_utf8(output).unwrap(), "a \x1b[31m[x]\x1b[0m b");
    }
}
