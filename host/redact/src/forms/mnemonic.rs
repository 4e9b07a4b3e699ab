//! The words from which the keys of a wallet are derived (BIP 39).

use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// Words of a wallet.
pub(super) static MNEMONIC: Form = Form {
    id: "mnemonic",
    title: "words of a mnemonic or seed phrase, at least twelve",
    examples: &[
        "seed phrase: →correct horse battery staple lemon maple ocean piano quartz river stone tiger←",
        "MNEMONIC=\"→correct horse battery staple lemon maple ocean piano quartz river stone tiger←\"",
    ],
};

pub(super) static FORMS: &[&Form] = &[&MNEMONIC];

pub(super) static DETECTORS: &[Detector] = &[Detector {
    keywords: &[
        "mnemonic",
        "seed phrase",
        "seed_phrase",
        "seedphrase",
        "recovery phrase",
        "recovery_phrase",
        "secret phrase",
    ],
    detect,
}];

/// Fewest words; a mnemonic has 12 to 24.
const LEAST: usize = 12;
/// Most words that are read.
const MOST: usize = 24;
/// Lengths of the words of BIP 39 in all languages with Latin letters.
const LETTERS: std::ops::RangeInclusive<usize> = 3..=9;

fn detect(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let signs = text
        .slice(keyword.end..keyword.end + 8)
        .bytes()
        .take_while(|b| matches!(b, b'"' | b'\'' | b'\\' | b':' | b'=' | b' ' | b'>' | b'\t'))
        .count();
    let start = keyword.end + signs;
    let mut end = start;
    let mut count = 0;
    while count < MOST {
        let at = if count == 0 { end } else { end + 1 };
        let length = text
            .slice(at..at + LETTERS.end() + 1)
            .bytes()
            .take_while(u8::is_ascii_lowercase)
            .count();
        if !LETTERS.contains(&length) {
            break;
        }
        count += 1;
        end = at + length;
        if text.byte(end) != Some(b' ') {
            break;
        }
    }
    if signs > 0 && count >= LEAST {
        found(&MNEMONIC, start..end);
    }
}
