//! Character references of XML and HTML.

use super::escapes::{Meaning, number};

/// Longest character reference, in bytes.
const MAX_REFERENCE: usize = 10;

/// Reads `&amp;`, `&#38;` and `&#x26;`.
pub(super) fn reference(rest: &[u8]) -> Option<(Meaning, usize)> {
    let end = rest
        .iter()
        .take(MAX_REFERENCE)
        .position(|byte| *byte == b';')?;
    let name = rest.get(1..end)?;
    let code = match name {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        name => {
            let known = NAMES.iter().find(|(known, _)| known.as_bytes() == name)?;
            u32::from(known.1)
        }
    };
    Some((Meaning::Character(char::from_u32(code)?), end + 1))
}

/// Names of ASCII characters in HTML, and of the blank that does not break.
const NAMES: &[(&str, u8)] = &[
    ("amp", b'&'),
    ("AMP", b'&'),
    ("lt", b'<'),
    ("LT", b'<'),
    ("gt", b'>'),
    ("GT", b'>'),
    ("quot", b'"'),
    ("QUOT", b'"'),
    ("apos", b'\''),
    ("nbsp", b' '),
    ("Tab", b'\t'),
    ("NewLine", b'\n'),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("sol", b'/'),
    ("colon", b':'),
    ("semi", b';'),
    ("equals", b'='),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("bsol", b'\\'),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("Hat", b'^'),
    ("lowbar", b'_'),
    ("UnderBar", b'_'),
    ("grave", b'`'),
    ("lcub", b'{'),
    ("lbrace", b'{'),
    ("verbar", b'|'),
    ("vert", b'|'),
    ("rcub", b'}'),
    ("rbrace", b'}'),
];
