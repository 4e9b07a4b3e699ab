//! Columns of bytes, as `xxd`, `hexdump -C` and `od -t x1` print them.

use super::layer::{Elements, Layer, Origin};
use std::ops::Range;

/// Number of hexadecimal digits of the offset at the beginning of a line.
pub(super) const OFFSET: Range<usize> = 7..17;

/// Most bytes in a line.
const MAX_BYTES: usize = 32;

/// Most blanks between two bytes.
const MAX_BLANKS: usize = 2;

/// The bytes of consecutive lines.
#[derive(Default)]
struct Dump {
    lines: usize,
    bytes: Elements,
    /// The same bytes, in reverse order within each group: `hexdump` prints little-endian numbers.
    swapped: Elements,
    /// The column of characters.
    text: Elements,
}

/// Reports the bytes of each dump with several lines, and its column of characters. `numbers` are
/// the places where a line of a dump may begin. Another search finds a value within one line.
pub(super) fn find(layer: &Layer<'_>, numbers: &[usize], found: &mut dyn FnMut(&Layer<'_>)) {
    let mut dump = Dump::default();
    let mut start = 0;
    for number in numbers {
        if *number < start {
            continue;
        }
        start = *number;
        while start < layer.bytes.len() {
            let rest = layer.bytes.get(start..).unwrap_or_default();
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            start += length + 1;
            if !dump.push(line, start - length - 1) {
                break;
            }
        }
        dump.report(layer, found);
    }
}

impl Dump {
    /// Takes a line. Returns false if the line does not belong to a dump.
    fn push(&mut self, line: &[u8], start: usize) -> bool {
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
        // Most lines of a text end here.
        if !is_digit(line.first()) || !is_digit(line.get(OFFSET.start - 1)) {
            return false;
        }
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let mut at = digits.take(OFFSET.end).count();
        if !OFFSET.contains(&at) {
            return false;
        }
        at += usize::from(line.get(at) == Some(&b':'));
        let group = |at: usize| {
            let digits = line.get(at..).unwrap_or_default().iter();
            digits.take_while(|byte| byte.is_ascii_hexdigit()).count()
        };
        let blanks = |at: usize| {
            let rest = line.get(at..).unwrap_or_default().iter();
            rest.take_while(|byte| **byte == b' ').count()
        };
        let size = group(at + blanks(at));
        let mut count = 0;
        let columns = if size == 2 || size == 4 {
            16
        } else {
            MAX_BYTES
        };
        while count < columns {
            let between = blanks(at);
            let digits = group(at + between);
            let ends = !(1..=MAX_BLANKS).contains(&between)
                || !matches!(digits, 2 | 4 | 8 | 16)
                || digits > size;
            if ends {
                break;
            }
            at += between;
            let place = |pair: usize| start + at + 2 * pair;
            for pair in 0..digits / 2 {
                let byte = self.byte(line, at + 2 * pair);
                self.bytes.push(byte, &range(place(pair), 2));
            }
            for pair in (0..digits / 2).rev() {
                let byte = self.byte(line, at + 2 * pair);
                // Each of these bytes has the whole group as its source.
                self.swapped.push(byte, &range(place(0), digits));
            }
            count += digits / 2;
            at += digits;
        }
        if count == 0 {
            return false;
        }
        self.lines += 1;
        let mut column = at + blanks(at);
        column += usize::from(matches!(line.get(column), Some(b'|' | b'>')));
        for (offset, byte) in line.iter().enumerate().skip(column).take(count) {
            self.text.push(*byte, &range(start + offset, 1));
        }
        true
    }

    fn byte(&self, line: &[u8], at: usize) -> u8 {
        let digit = |at: usize| {
            let byte = line.get(at).copied().unwrap_or(b'0');
            char::from(byte).to_digit(16).unwrap_or(0)
        };
        u8::try_from(16 * digit(at) + digit(at + 1)).unwrap_or(0)
    }

    /// Reports what was read, and begins anew.
    fn report(&mut self, layer: &Layer<'_>, found: &mut dyn FnMut(&Layer<'_>)) {
        if self.lines > 1 {
            for elements in [&self.bytes, &self.swapped, &self.text] {
                found(&Layer {
                    bytes: &elements.bytes,
                    origin: Origin::Elements(elements, layer),
                    depth: layer.depth,
                });
            }
        }
        if self.lines > 0 {
            self.lines = 0;
            self.bytes.clear();
            self.swapped.clear();
            self.text.clear();
        }
    }
}

fn range(start: usize, length: usize) -> Range<u32> {
    let start = u32::try_from(start).unwrap_or(u32::MAX);
    start..start.saturating_add(u32::try_from(length).unwrap_or(0))
}
