//! Runs of base64 and hexadecimal digits.

use super::anchors::{LONG, LONG_KEY, short_key};
use super::dump;
use super::layer::{Layer, Origin};
use super::search::Search;
use std::ops::Range;

/// Longest white space with a line break within a run, in bytes.
const MAX_GAP: usize = 64;

/// Longest separator of two hexadecimal bytes.
const MAX_SEPARATOR: usize = 4;

/// Longest prefix of each line before the base64, such as the time in a log, in bytes.
const MAX_PREFIX: usize = 80;

/// Fewest base64 characters at the end of a line for a run that continues after the prefix of the
/// next line.
const MIN_LINE: usize = 16;

const BLANK: u8 = 64;
const OTHER: u8 = 65;

/// The six bits of each base64 character of both alphabets.
static BASE64: [u8; 256] = classes(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    &[(b'-', 62), (b'_', 63)],
);

/// The four bits of each hexadecimal digit.
static HEX: [u8; 256] = classes(
    b"0123456789abcdef",
    &[
        (b'A', 10),
        (b'B', 11),
        (b'C', 12),
        (b'D', 13),
        (b'E', 14),
        (b'F', 15),
    ],
);

#[allow(
    clippy::indexing_slicing,
    reason = "runs at compile time; the index is a byte"
)]
const fn classes(alphabet: &[u8], more: &[(u8, u8)]) -> [u8; 256] {
    let mut table = [OTHER; 256];
    let mut index: u8 = 0;
    while (index as usize) < alphabet.len() {
        table[alphabet[index as usize] as usize] = index;
        index += 1;
    }
    let mut other = 0;
    while other < more.len() {
        table[more[other].0 as usize] = more[other].1;
        other += 1;
    }
    table[b'\n' as usize] = BLANK;
    table[b'\r' as usize] = BLANK;
    table[b' ' as usize] = BLANK;
    table[b'\t' as usize] = BLANK;
    table
}

fn class(table: &[u8; 256], byte: u8) -> u8 {
    table.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// Digits of a run and their places in the layer.
#[derive(Default)]
struct Run {
    digits: Vec<u8>,
    places: Vec<u32>,
    decoded: Vec<u8>,
}

impl Run {
    fn push(&mut self, digit: u8, place: usize) {
        self.digits.push(digit);
        self.places.push(u32::try_from(place).unwrap_or(u32::MAX));
    }

    fn clear(&mut self) {
        self.digits.clear();
        self.places.clear();
    }
}

/// Decodes each run of base64 characters that may hold a value: its bytes contain the anchor of a
/// value, or text that may be encoded once more. A run may continue in the next line. Other
/// characters of the alphabet may stand before the encoded text, so each run is tried from each of
/// its first four characters.
pub(super) fn base64(layer: &Layer<'_>, search: &Search, found: &mut dyn FnMut(&Layer<'_>)) {
    let mut run = Run::default();
    let mut watch = Watch::new(search);
    let mut at = 0;
    // Where the characters before `at` began.
    let mut word = 0;
    while let Some(byte) = layer.bytes.get(at) {
        let digit = class(&BASE64, *byte);
        if digit < BLANK {
            watch.push(digit, at);
            at += 1;
            continue;
        }
        let (joins, length) = white_space(layer.bytes, at);
        if joins
            && at - word >= MIN_LINE
            && let Some(next) = after_prefix(layer, word, at)
        {
            watch.skips.push(at..next);
            (at, word) = (next, next);
            continue;
        }
        word = at + length.max(1);
        if !joins {
            decode_base64(layer, &mut watch, at, &mut run, found);
        }
        at += length.max(1);
    }
    decode_base64(layer, &mut watch, at, &mut run, found);
}

/// Looks at the bits of a run without decoding it.
struct Watch<'s> {
    search: &'s Search,
    has_short: bool,
    /// Place of the first digit.
    start: usize,
    digits: usize,
    /// The last digits.
    bits: u64,
    /// Line breaks within the run, with the prefix of the next line.
    skips: Vec<Range<usize>>,
    /// One bit for each number of digits to skip at the beginning. The bit is set if the run may
    /// hold a value when it is decoded without these digits.
    wanted: u8,
}

impl<'s> Watch<'s> {
    fn new(search: &'s Search) -> Self {
        Self {
            has_short: search.shortest() < LONG,
            search,
            start: 0,
            digits: 0,
            bits: 0,
            skips: Vec::new(),
            wanted: 0,
        }
    }

    #[inline]
    fn push(&mut self, digit: u8, at: usize) {
        if self.digits == 0 {
            self.start = at;
        }
        self.digits += 1;
        self.bits = self.bits << 6 | u64::from(digit);
        // In one of the four ways to decode the run, a byte ends at this bit of the digit.
        for shift in [0, 2, 4] {
            let end = self.digits * 6 - shift;
            let key = self.bits >> shift & LONG_KEY;
            let way = 1 << ((8 - end % 8) / 2 % 4);
            if end >= 48 && (is_text(key) || is_wide(key) || self.search.has_anchor(key)) {
                self.wanted |= way;
            }
            if self.has_short && end >= 32 && self.search.has_anchor(short_key(key)) {
                self.wanted |= way;
            }
        }
    }
}

/// Returns true if the six bytes of a key are printable ASCII characters.
fn is_text(key: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101;
    key & (EACH << 7) == 0 && (key >> 5 | key >> 6) & EACH == EACH
}

/// Returns true if the six bytes of a key are three ASCII characters of UTF-16.
fn is_wide(key: u64) -> bool {
    const HIGH: u64 = 0xff00_ff00_ff00;
    const LOW: u64 = 0x00ff_00ff_00ff;
    (key & HIGH == 0 || key & LOW == 0) && key != 0
}

fn decode_base64(
    layer: &Layer<'_>,
    watch: &mut Watch<'_>,
    end: usize,
    run: &mut Run,
    found: &mut dyn FnMut(&Layer<'_>),
) {
    let wanted = std::mem::take(&mut watch.wanted);
    let digits = std::mem::take(&mut watch.digits);
    let skips = std::mem::take(&mut watch.skips);
    if wanted == 0 {
        return;
    }
    let mut skips = skips.into_iter().peekable();
    run.clear();
    run.digits.reserve(digits);
    run.places.reserve(digits);
    let bytes = layer.bytes.get(watch.start..end).unwrap_or_default();
    for (place, byte) in (watch.start..).zip(bytes) {
        while skips.next_if(|skip| skip.end <= place).is_some() {}
        let digit = class(&BASE64, *byte);
        if digit < BLANK && skips.peek().is_none_or(|skip| place < skip.start) {
            run.push(digit, place);
        }
    }
    for skipped in (0..4).filter(|skipped| wanted >> skipped & 1 == 1) {
        let digits = run.digits.get(skipped..).unwrap_or_default();
        let mut decoded = std::mem::take(&mut run.decoded);
        decoded.clear();
        let mut quartets = digits.chunks_exact(4);
        for quartet in &mut quartets {
            let bits = quartet
                .iter()
                .fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
            let [_, first, second, third] = bits.to_be_bytes();
            decoded.extend_from_slice(&[first, second, third]);
        }
        match quartets.remainder() {
            [a, b] => decoded.push(a << 2 | b >> 4),
            [a, b, c] => decoded.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]),
            _ => {}
        }
        found(&Layer {
            bytes: &decoded,
            origin: Origin::Base64(&run.places, skipped, layer),
            depth: layer.depth + 1,
        });
        run.decoded = decoded;
    }
}

/// Returns the place after the prefix of the next line. The line that ends with the base64
/// `word..at` must have a prefix of the same shape: only digits may differ.
fn after_prefix(layer: &Layer<'_>, word: usize, at: usize) -> Option<usize> {
    let Origin::Text(offset) = &layer.origin else {
        return None;
    };
    let before = layer.bytes.get(word.saturating_sub(MAX_PREFIX + 1)..word)?;
    let length = match memchr::memrchr(b'\n', before) {
        Some(line_break) => before.len() - line_break - 1,
        None if *offset == 0 && before.len() == word => word,
        None => return None,
    };
    let rest = layer
        .bytes
        .get(at..(at + 2 * MAX_PREFIX).min(layer.bytes.len()))?;
    let next = at + rest.iter().position(|byte| *byte == b'\n')? + 1;
    let prefix = layer.bytes.get(word - length..word)?;
    let other = layer.bytes.get(next..next + length)?;
    let is_alike =
        |(one, other): (&u8, &u8)| one == other || one.is_ascii_digit() && other.is_ascii_digit();
    let is_text = prefix.iter().any(|byte| class(&BASE64, *byte) != BLANK);
    let goes_on = class(&BASE64, *layer.bytes.get(next + length)?) < BLANK;
    (is_text && goes_on && prefix.iter().zip(other).all(is_alike)).then_some(next + length)
}

/// Returns whether a run continues after the white space at `at`, and the length of the white
/// space. The run continues after a line break, unless the white space is too long.
fn white_space(bytes: &[u8], at: usize) -> (bool, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(MAX_GAP + 1)).unwrap_or_default();
    let blanks = rest
        .iter()
        .take_while(|byte| class(&BASE64, **byte) == BLANK)
        .count();
    let blank = rest.get(..blanks).unwrap_or_default();
    let breaks = blank.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    (breaks && blanks <= MAX_GAP, blanks)
}

/// Decodes each run of hexadecimal digits that gives at least `shortest` bytes. Separators such as
/// `:`, `, 0x`, `\x` or a line break may stand between the bytes.
///
/// Returns the places of numbers at the beginnings of lines that have as many digits as the offsets
/// of a dump.
pub(super) fn hex(
    layer: &Layer<'_>,
    shortest: usize,
    found: &mut dyn FnMut(&Layer<'_>),
) -> Vec<usize> {
    let mut run = Run::default();
    let mut numbers = Vec::new();
    // Start of the run, start of its last digits, and number of its digits.
    let (mut start, mut word, mut digits) = (0, 0, 0_usize);
    let mut at = 0;
    while let Some(byte) = layer.bytes.get(at) {
        if class(&HEX, *byte) < 16 {
            if digits == 0 {
                (start, word) = (at, at);
            }
            digits += 1;
            at += 1;
            continue;
        }
        if digits == 0 {
            at += 1;
            continue;
        }
        if dump::OFFSET.contains(&(at - word)) {
            let before = word.checked_sub(1).and_then(|at| layer.bytes.get(at));
            if before.is_none_or(|byte| *byte == b'\n') {
                numbers.push(word);
            }
        }
        let (joins, length) = separator(layer.bytes, at);
        if !joins {
            if digits >= shortest * 2 {
                decode_hex(layer, start..at, &mut run, shortest, found);
            }
            digits = 0;
        }
        at += length.max(1);
        word = at;
    }
    if digits >= shortest * 2 {
        decode_hex(layer, start..at, &mut run, shortest, found);
    }
    numbers
}

/// Returns whether a run continues after the separator at `at`, and the length of the separator.
fn separator(bytes: &[u8], at: usize) -> (bool, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let is_separator = |byte: &&u8| b" :-,;\\xX_\"'\n\r\t".contains(byte);
    let length = rest
        .iter()
        .take(MAX_SEPARATOR + 1)
        .take_while(is_separator)
        .count();
    if (1..=MAX_SEPARATOR).contains(&length) {
        (true, length)
    } else {
        white_space(bytes, at)
    }
}

fn decode_hex(
    layer: &Layer<'_>,
    range: Range<usize>,
    run: &mut Run,
    shortest: usize,
    found: &mut dyn FnMut(&Layer<'_>),
) {
    run.clear();
    let bytes = layer.bytes.get(range.clone()).unwrap_or_default();
    let mut before = 0;
    for (place, byte) in range.zip(bytes) {
        let digit = class(&HEX, *byte);
        if digit < 16 {
            run.push(digit, place);
        } else if matches!(byte, b'x' | b'X') && run.digits.last() == Some(&0) && before == 1 {
            // The digit of `0x` is none.
            run.digits.pop();
            run.places.pop();
        }
        before = if digit < 16 { before + 1 } else { 0 };
    }
    for skipped in 0..2 {
        let digits = run.digits.get(skipped..).unwrap_or_default();
        if digits.len() < shortest * 2 {
            break;
        }
        let mut decoded = std::mem::take(&mut run.decoded);
        decoded.clear();
        let byte = |pair: &[u8]| pair.iter().fold(0, |bits, digit| bits << 4 | digit);
        decoded.extend(digits.chunks_exact(2).map(byte));
        found(&Layer {
            bytes: &decoded,
            origin: Origin::Hex(&run.places, skipped, layer),
            depth: layer.depth,
        });
        run.decoded = decoded;
    }
}
