//! Undoes escapes, so that a value is found however its signs were written.
//!
//! One pass undoes every escape that may be meant: percent-encoding, backslash escapes (of JSON,
//! shells and programming languages), character references (of XML and HTML), and the unambiguous
//! escapes of quoted-printable. Passes are repeated, since encodings are nested. All backslashes
//! are removed. The result of a pass at one place depends only on a few bytes around it. So a
//! search that begins in the middle of a text finds the same.
//!
//! It is unknown which of the escapes were meant. Quotation marks and blanks are written in too
//! many ways (`'\''`, `'"'"'`, `''`, `""`, `$'\n'`, `+`, a line that continues below). Therefore
//! the result is compared as its **skeleton**, without these signs. A value has the same skeleton
//! in all these encodings.

use super::layer::{Elements, Layer, Origin};
use super::needles::Ends;
use super::reference::reference;
use std::ops::Range;
use zeroize::Zeroizing;

/// Passes at most.
const PASSES: usize = 4;

/// Longest source of one escape, in bytes.
const MAX_SOURCE: u32 = 64;

/// Bytes before and after an escape that are searched for a value. Between two escapes, a piece of
/// a value has at most [`super::needles::MAX_PIECE`] bytes, or 88 characters of base64.
const AROUND: usize = 160;

/// Signs, in addition to escapes, near which to search for values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// Doubled quotation marks.
    pub(super) quotes: bool,
    /// `+` in the place of a blank.
    pub(super) plus: bool,
    /// Characters that are not ASCII, in quoted-printable.
    pub(super) other: bool,
}

/// The buffers of a search.
#[derive(Default)]
pub(super) struct Undo {
    now: Elements,
    next: Elements,
}

/// What a pass undid.
#[derive(Clone, Copy, Default)]
struct Pass {
    any: bool,
    /// A character of base64 text, or a line break.
    base64: bool,
}

/// Undoes the escapes of a layer. For each part with escapes, reports the part as a layer, its
/// skeleton, and whether the part may contain more base64 text than before.
pub(super) fn undo(
    layer: &Layer<'_>,
    signs: Signs,
    buffers: &mut Undo,
    found: &mut dyn FnMut(&Layer<'_>, &Layer<'_>, bool),
) {
    for part in parts(layer, signs) {
        let bytes = layer.bytes.get(part.clone()).unwrap_or_default();
        buffers.now.plain(bytes, part.start);
        let mut all = Pass::default();
        for number in 0..=PASSES {
            let undone = pass(&buffers.now, &mut buffers.next, number == 0);
            if number == 0 && !undone.any {
                continue;
            }
            if !undone.any {
                break;
            }
            std::mem::swap(&mut buffers.now, &mut buffers.next);
            all.any = true;
            all.base64 |= undone.base64;
        }
        let clear = Layer {
            bytes: &buffers.now.bytes,
            origin: Origin::Elements(&buffers.now, layer),
            depth: layer.depth,
        };
        buffers.next.clear();
        for (index, byte) in clear.bytes.iter().enumerate() {
            if !is_left_out(*byte) {
                buffers.next.push(*byte, &at(index));
            }
        }
        let skeleton = Layer {
            bytes: &buffers.next.bytes,
            origin: Origin::Elements(&buffers.next, &clear),
            depth: layer.depth,
        };
        found(&clear, &skeleton, all.base64);
    }
}

fn at(index: usize) -> Range<u32> {
    let index = u32::try_from(index).unwrap_or(u32::MAX - 1);
    index..index + 1
}

/// A value as it stands in a text whose escapes were undone.
pub(super) struct Undone {
    /// With quotation marks and blanks.
    pub(super) clear: Zeroizing<Vec<u8>>,
    /// Its skeleton. An escape that the text after the value could complete is cut off.
    pub(super) skeleton: Zeroizing<Vec<u8>>,
    /// Signs left out or cut off at the ends.
    pub(super) ends: Ends,
}

/// Undoes the escapes of a value.
pub(super) fn undo_value(value: &[u8]) -> Undone {
    let (mut now, mut next) = (Elements::default(), Elements::default());
    now.plain(value, 0);
    for number in 0..=PASSES {
        if pass(&now, &mut next, number == 0).any {
            std::mem::swap(&mut now, &mut next);
        } else if number > 0 {
            break;
        }
    }
    let clear = Zeroizing::new(now.bytes);
    let bytes = clear.iter().copied().filter(|byte| !is_left_out(*byte));
    let mut bytes = Zeroizing::new(bytes.collect::<Vec<u8>>());
    let open = bytes
        .iter()
        .rposition(|byte| matches!(byte, b'%' | b'&' | b'='));
    if let Some(open) = open
        && let Some((sign, rest)) = bytes.get(open..).and_then(<[u8]>::split_first)
        && match sign {
            b'%' => rest.len() < 2 && rest.iter().all(u8::is_ascii_hexdigit),
            b'=' => rest.is_empty() || rest == b"3",
            _ => rest.len() < 8 && rest.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'#'),
        }
    {
        bytes.truncate(open);
    }
    let count = |signs: usize| u8::try_from(signs).unwrap_or(u8::MAX);
    let is_kept = |byte: &u8| !is_left_out(*byte);
    let before = clear.iter().position(is_kept).unwrap_or(0);
    let last = bytes.len().checked_sub(1);
    let mut kept = clear.iter().enumerate().filter(|(_, byte)| is_kept(byte));
    let last = last.and_then(|last| kept.nth(last));
    let after = last.map_or(0, |(place, _)| clear.len() - place - 1);
    let ends = Ends {
        before: count(before),
        after: count(after),
        slash_before: value.first() == Some(&b'\\'),
        slash_after: value.last() == Some(&b'\\'),
    };
    Undone {
        ends,
        clear,
        skeleton: bytes,
    }
}

/// Returns true for the signs that a skeleton does not have.
pub(super) fn is_left_out(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || b"\\'\"`$+".contains(&byte)
}

/// Returns the parts of a layer that are near escapes.
fn parts(layer: &Layer<'_>, signs: Signs) -> Vec<Range<usize>> {
    let bytes = layer.bytes;
    let mut parts: Vec<Range<usize>> = Vec::new();
    let add = |at: usize| {
        let range = at.saturating_sub(AROUND)..(at + AROUND).min(bytes.len());
        match parts.last_mut() {
            Some(last) if range.start <= last.end => last.end = range.end,
            _ => parts.push(range),
        }
    };
    let mut places: Vec<usize> = memchr::memchr3_iter(b'\\', b'%', b'&', bytes)
        .filter(|at| is_escape(layer, *at))
        .collect();
    let escapes = places.len();
    if layer.depth == 0 {
        for escape in ["=3D", "=\n", "=\r\n"] {
            places.extend(memchr::memmem::find_iter(bytes, escape));
        }
        if signs.other {
            let equals = memchr::memchr_iter(b'=', bytes);
            let rest = |at: usize| bytes.get(at..).unwrap_or_default();
            places.extend(equals.filter(|at| quoted_printable(rest(*at)).is_some()));
        }
    }
    if signs.quotes {
        let quote = |byte: Option<&u8>| matches!(byte, Some(b'\'' | b'"'));
        let doubled = memchr::memchr2_iter(b'\'', b'"', bytes);
        places.extend(doubled.filter(|at| quote(bytes.get(at + 1)) && is_near_text(layer, *at)));
    }
    if signs.plus {
        let plus = memchr::memchr_iter(b'+', bytes);
        places.extend(plus.filter(|at| is_near_text(layer, *at)));
    }
    if places.len() > escapes {
        places.sort_unstable();
    }
    places.into_iter().for_each(add);
    parts
}

/// Returns true if an escape may begin at a place.
fn is_escape(layer: &Layer<'_>, at: usize) -> bool {
    let mut rest = layer.bytes.get(at..).unwrap_or_default().iter();
    let is_escape = match rest.next() {
        Some(b'\\') => true,
        Some(b'%') => {
            rest.next().is_some_and(u8::is_ascii_hexdigit)
                && rest.next().is_some_and(u8::is_ascii_hexdigit)
        }
        Some(_) => rest
            .next()
            .is_some_and(|next| *next == b'#' || next.is_ascii_alphabetic()),
        None => false,
    };
    is_escape && is_near_text(layer, at)
}

/// Returns true if eight consecutive characters near a place are printable. Base64 that is decoded
/// from a wrong place gives arbitrary bytes.
fn is_near_text(layer: &Layer<'_>, at: usize) -> bool {
    if layer.depth == 0 {
        return true;
    }
    let around = layer
        .bytes
        .get(at.saturating_sub(12)..(at + 12).min(layer.bytes.len()));
    let mut length = 0;
    around.unwrap_or_default().iter().any(|byte| {
        let is_text = (b' '..0x7f).contains(byte) || matches!(byte, b'\n' | b'\t' | b'\r');
        length = if is_text { length + 1 } else { 0 };
        length >= 8
    })
}

/// Undoes the escapes of `input` once. If `first` is true, undoes only quoted-printable, whose line
/// breaks may stand anywhere, even within another escape.
fn pass(input: &Elements, output: &mut Elements, first: bool) -> Pass {
    output.clear();
    let mut undone = Pass::default();
    let mut at = 0;
    let bytes = &input.bytes;
    if first {
        let rest = |at: usize| bytes.get(at..).unwrap_or_default();
        let mut equals = memchr::memchr_iter(b'=', bytes);
        if !equals.any(|at| quoted_printable(rest(at)).is_some()) {
            return undone;
        }
    }
    // Places of the next escape and of the next `=`, as the last search found them.
    let (mut escape, mut equals) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let read = match byte {
            b'%' | b'&' | b'\\' if first => None,
            b'%' => percent(rest),
            b'&' => reference(rest),
            b'\\' => backslash(rest),
            b'=' => quoted_printable(rest),
            _ => {
                // The found places stay valid until `at` passes them. So no byte is searched twice.
                if escape <= at {
                    escape = memchr::memchr3(b'%', b'&', b'\\', rest)
                        .map_or(bytes.len(), |end| at + end);
                }
                if equals <= at {
                    equals = memchr::memchr(b'=', rest).map_or(bytes.len(), |end| at + end);
                }
                let end = escape.min(equals);
                copy(input, at..end, output);
                at = end;
                continue;
            }
        };
        let Some((meaning, length)) = read else {
            output.push(*byte, &input.range(at, at));
            at += 1;
            continue;
        };
        let source = input.range(at, at + length - 1);
        if source.end.saturating_sub(source.start) > MAX_SOURCE {
            output.push(*byte, &input.range(at, at));
            at += 1;
            continue;
        }
        undone.any = true;
        let push = |byte: u8| {
            undone.base64 |= byte.is_ascii_alphanumeric() || b"+/=-_\n\r".contains(&byte);
            output.push(byte, &source);
        };
        match meaning {
            Meaning::Nothing => {
                // Base64 text continues after `\/`, and after a line break of quoted-printable.
                undone.base64 |= *byte == b'=' || bytes.get(at + 1) == Some(&b'/');
            }
            Meaning::Byte(byte) => std::iter::once(byte).for_each(push),
            Meaning::Character(character) => {
                character.encode_utf8(&mut [0; 4]).bytes().for_each(push);
            }
        }
        at += length;
    }
    undone
}

fn copy(input: &Elements, range: Range<usize>, output: &mut Elements) {
    let slice = |all: &Vec<u32>, to: &mut Vec<u32>| {
        to.extend_from_slice(all.get(range.clone()).unwrap_or_default());
    };
    slice(&input.starts, &mut output.starts);
    slice(&input.ends, &mut output.ends);
    let bytes = input.bytes.get(range.clone()).unwrap_or_default();
    output.bytes.extend_from_slice(bytes);
}

pub(super) enum Meaning {
    Nothing,
    Byte(u8),
    Character(char),
}

/// Reads the escapes of quoted-printable (RFC 2045) that are seldom anything else: the sign `=`, a line
/// that goes on, and a character that is not ASCII.
fn quoted_printable(rest: &[u8]) -> Option<(Meaning, usize)> {
    match rest.get(1..3)? {
        b"\r\n" => Some((Meaning::Nothing, 3)),
        [b'\n', _] => Some((Meaning::Nothing, 2)),
        b"3D" => Some((Meaning::Byte(b'='), 3)),
        [b'C'..=b'F', _] => {
            let mut bytes = [0; 4];
            let mut length = 0;
            for (byte, escape) in bytes.iter_mut().zip(rest.chunks_exact(3)) {
                let Some((b'=', digits)) = escape.split_first() else {
                    break;
                };
                if digits.iter().any(u8::is_ascii_lowercase) {
                    break;
                }
                *byte = u8::try_from(number(digits, 16)?).ok()?;
                length += 1;
            }
            let text = bytes.get(..length)?.utf8_chunks().next()?.valid();
            let character = text.chars().next()?;
            Some((Meaning::Character(character), 3 * character.len_utf8()))
        }
        _ => None,
    }
}

/// Reads `%41`.
fn percent(rest: &[u8]) -> Option<(Meaning, usize)> {
    let byte = number(rest.get(1..3)?, 16)?;
    Some((Meaning::Byte(u8::try_from(byte).ok()?), 3))
}

/// Reads an escape that begins with a backslash. If the escape has no other meaning, only the
/// backslash is removed.
fn backslash(rest: &[u8]) -> Option<(Meaning, usize)> {
    let nothing = Some((Meaning::Nothing, 1));
    let control = |byte: u8| Some((Meaning::Byte(byte), 2));
    match rest.get(1)? {
        b'n' => control(b'\n'),
        b'r' => control(b'\r'),
        b't' => control(b'\t'),
        b'b' => control(8),
        b'f' => control(12),
        b'v' => control(11),
        b'a' => control(7),
        b'e' | b'E' => control(27),
        b'x' => match rest.get(2..4).and_then(|digits| number(digits, 16)) {
            Some(byte) => Some((Meaning::Byte(u8::try_from(byte).ok()?), 4)),
            None => nothing,
        },
        b'0'..=b'7' => {
            let digits = rest.iter().skip(1).take(3);
            let length = digits
                .take_while(|byte| (b'0'..=b'7').contains(*byte))
                .count();
            let byte = rest.get(1..=length).and_then(|digits| number(digits, 8));
            let byte = byte.and_then(|byte| u8::try_from(byte).ok());
            byte.map_or(nothing, |byte| Some((Meaning::Byte(byte), length + 1)))
        }
        b'u' | b'U' => code_point(rest).or(nothing),
        _ => nothing,
    }
}

/// Reads `\u0041`, `\u{41}`, `\U00000041` and two halves of a surrogate pair.
fn code_point(rest: &[u8]) -> Option<(Meaning, usize)> {
    let (code, length) = if rest.get(2) == Some(&b'{') {
        let length = rest.iter().take(10).position(|byte| *byte == b'}')?;
        (number(rest.get(3..length)?, 16)?, length + 1)
    } else if rest.get(1) == Some(&b'U') {
        (number(rest.get(2..10)?, 16)?, 10)
    } else {
        (number(rest.get(2..6)?, 16)?, 6)
    };
    if (0xd800..0xdc00).contains(&code) {
        let low = rest.get(length..)?;
        let slashes = low
            .iter()
            .take(8)
            .take_while(|byte| **byte == b'\\')
            .count();
        let low = low.get(slashes..)?;
        if slashes > 0 && low.first() == Some(&b'u') {
            let half = number(low.get(1..5)?, 16)?;
            let pair = 0x10000 + ((code - 0xd800) << 10) + half.checked_sub(0xdc00)?;
            return Some((
                Meaning::Character(char::from_u32(pair)?),
                length + slashes + 5,
            ));
        }
    }
    Some((Meaning::Character(char::from_u32(code)?), length))
}

/// Reads a number of at least one digit.
pub(super) fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    })
}
