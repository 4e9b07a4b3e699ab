//! Runs of base64 and hexadecimal digits.

use super::layer::{Layer, Origin};

/// Longest white space with a line break within a run, in bytes.
const MAX_GAP: usize = 64;

/// Longest separator of two hexadecimal bytes.
const MAX_SEPARATOR: usize = 4;

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

/// Decodes each run of base64 characters that gives at least `shortest` bytes. A run may go on in
/// the next line. Since other characters of the alphabet may stand before the encoded text, each
/// run is decoded from each of its first four characters on.
pub(super) fn base64(layer: &Layer<'_>, shortest: usize, found: &mut dyn FnMut(&Layer<'_>)) {
    let mut run = Run::default();
    let least = (shortest * 8).div_ceil(6);
    let mut at = 0;
    while let Some(byte) = layer.bytes.get(at) {
        let digit = class(&BASE64, *byte);
        if digit < BLANK {
            run.push(digit, at);
            at += 1;
            continue;
        }
        let (joins, length) = white_space(layer.bytes, at);
        if !joins {
            decode_base64(layer, &mut run, least, found);
        }
        at += length.max(1);
    }
    decode_base64(layer, &mut run, least, found);
}

fn decode_base64(
    layer: &Layer<'_>,
    run: &mut Run,
    least: usize,
    found: &mut dyn FnMut(&Layer<'_>),
) {
    for skipped in 0..4 {
        let digits = run.digits.get(skipped..).unwrap_or_default();
        if digits.len() < least {
            break;
        }
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
    run.clear();
}

/// Returns whether a run goes on after the white space at `at`, because it contains a line break
/// and is not too long; and its length.
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

/// Decodes each run of hexadecimal digits that gives at least `shortest` bytes. Between the bytes
/// may stand separators such as `:`, `, 0x`, `\x` or a line break.
pub(super) fn hex(layer: &Layer<'_>, shortest: usize, found: &mut dyn FnMut(&Layer<'_>)) {
    let mut run = Run::default();
    let mut at = 0;
    while let Some(byte) = layer.bytes.get(at) {
        let digit = class(&HEX, *byte);
        if digit < 16 {
            run.push(digit, at);
            at += 1;
            continue;
        }
        // The digit of `0x` is none.
        if matches!(byte, b'x' | b'X')
            && run.digits.last() == Some(&0)
            && !at
                .checked_sub(2)
                .and_then(|before| layer.bytes.get(before))
                .is_some_and(u8::is_ascii_hexdigit)
        {
            run.digits.pop();
            run.places.pop();
        }
        let (joins, length) = separator(layer.bytes, at);
        if !joins {
            decode_hex(layer, &mut run, shortest, found);
        }
        at += length.max(1);
    }
    decode_hex(layer, &mut run, shortest, found);
}

/// Returns whether a run goes on after what stands at `at`, and its length.
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
    run: &mut Run,
    shortest: usize,
    found: &mut dyn FnMut(&Layer<'_>),
) {
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
    run.clear();
}

/// Returns true if at least eight bytes in a row are base64 characters.
pub(super) fn may_hold_base64(bytes: &[u8]) -> bool {
    const LEAST: usize = 8;
    let is_digit = |byte: &u8| class(&BASE64, *byte) < BLANK;
    // Of eight bytes in a row, one has such a place.
    (LEAST - 1..bytes.len()).step_by(LEAST).any(|at| {
        let (before, after) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
        let after = after.iter().take(LEAST).take_while(|b| is_digit(b)).count();
        let before = before.iter().rev().take(LEAST).take_while(|b| is_digit(b));
        after > 0 && after + before.count() >= LEAST
    })
}
