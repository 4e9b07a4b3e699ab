//! Finds known secrets in their usual encodings.

use super::{MIN_VALUE_BYTES, RuleError};
use crate::Exhausted;
use crate::meter::Work;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use std::collections::BTreeSet;
use std::ops::Range;

/// Shortest base64 text that counts as part of a value. Shorter texts are often equal by chance.
const MIN_BASE64_CHARS: usize = 6;

/// The ASCII characters to percent-encode: all except the unreserved ones of RFC 3986, as most
/// libraries do. encodeURIComponent also leaves `! * ' ( )` as they are.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The values to find.
#[derive(Debug)]
pub(super) struct KnownValues {
    finder: Option<AhoCorasick>,
    /// For each pattern, true if it is a part of base64 text. The secret then includes all base64
    /// characters around the match.
    base64: Vec<bool>,
}

impl KnownValues {
    pub(super) fn new(values: &[String]) -> Result<Self, RuleError> {
        let mut patterns: BTreeSet<(String, bool)> = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            if value.len() < MIN_VALUE_BYTES {
                return Err(RuleError::Value { index });
            }
            patterns.extend(plain_forms(value).map(|form| (form, false)));
            patterns.extend(base64_forms(value).map(|form| (form, true)));
        }
        if patterns.is_empty() {
            return Ok(Self {
                finder: None,
                base64: Vec::new(),
            });
        }
        let finder = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns.iter().map(|(pattern, _)| pattern))
            .map_err(|error| RuleError::Pattern {
                rule: "values".to_owned(),
                reason: error.to_string(),
            })?;
        let base64 = patterns.iter().map(|(_, base64)| *base64).collect();
        Ok(Self {
            finder: Some(finder),
            base64,
        })
    }

    /// Calls `found` with each place of a value in a text, in order.
    pub(super) fn find(
        &self,
        text: &str,
        work: &mut dyn Work,
        mut found: impl FnMut(Range<usize>) -> Result<(), Exhausted>,
    ) -> Result<(), Exhausted> {
        let Some(finder) = &self.finder else {
            return Ok(());
        };
        // The last run of base64 in which a value was found. It is reported once: measuring it
        // for each value in it would take quadratic time.
        let mut last_run = 0..0;
        for place in finder.find_iter(text) {
            // The search for the longest value reads on after a shorter one.
            work.spend(finder.max_pattern_len())?;
            if self.base64.get(place.pattern().as_usize()) != Some(&true) {
                found(place.range())?;
            } else if !last_run.contains(&place.start()) {
                last_run = surrounding_base64(text, place.range());
                found(last_run.clone())?;
            }
        }
        Ok(())
    }
}

/// Returns a value in its usual forms: unchanged, with the escapes of JSON and shells,
/// percent-encoded, and in hexadecimal.
fn plain_forms(value: &str) -> impl Iterator<Item = String> + use<> {
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json
        .trim_start_matches('"')
        .strip_suffix('"')
        .unwrap_or(&json)
        .to_owned();
    let percent = percent_encoding::utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let uri = percent_encoding::utf8_percent_encode(value, UNRESERVED).to_string();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let upper = hex.to_ascii_uppercase();
    [value.to_owned(), json, percent, uri, hex, upper].into_iter()
}

/// Returns base64 forms of a value, without the characters that depend on the text around the
/// value: one form for each of the three alignments and both alphabets.
fn base64_forms(value: &str) -> impl Iterator<Item = String> + use<> {
    let mut forms = Vec::new();
    for shift in 0..3_usize {
        let mut padded = vec![0_u8; shift];
        padded.extend_from_slice(value.as_bytes());
        // Leaves out the first and last characters if they also contain bits of the text around the
        // value.
        let first = (shift * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&padded);
            if let Some(form) = encoded.get(first..last)
                && form.len() >= MIN_BASE64_CHARS
            {
                forms.push(form.to_owned());
            }
        }
    }
    forms.into_iter()
}

fn surrounding_base64(text: &str, found: Range<usize>) -> Range<usize> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let bytes = text.as_bytes();
    let before = bytes.get(..found.start).unwrap_or_default();
    let after = bytes.get(found.end..).unwrap_or_default();
    let more_before = before
        .iter()
        .rev()
        .take_while(|byte| is_base64(byte))
        .count();
    let more_after = after.iter().take_while(|byte| is_base64(byte)).count();
    found.start - more_before..found.end + more_after
}
