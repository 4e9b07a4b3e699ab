//! Words and random text.

use crate::kind::entropy;
use crate::memo::Question;
use crate::text::Text;

/// Number of bytes at the beginning of a value by which its shape is judged.
pub(super) const LOOK: usize = 200;

/// Returns true if a value is made of words and short numbers: `my-registry-credentials`,
/// `default-token-x7k2p`, `oauth2-proxy`, `node.js:18`, `EOF`.
#[must_use]
pub(in crate::forms) fn is_wordy(value: &str) -> bool {
    let value = value.get(..value.len().min(LOOK)).unwrap_or(value);
    let mut words = 0;
    let mut odd = 0;
    let mut count = 0;
    let mut rest = value;
    while let Some(part) = next_part(&mut rest) {
        count += 1;
        if is_plain_word(part) {
            words += usize::from(part.len() >= 2 && part.bytes().any(|b| b.is_ascii_alphabetic()));
        } else if part.len() <= 10
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        {
            odd += 1;
        } else {
            return false;
        }
    }
    // A random suffix as Kubernetes makes it.
    odd == 0
        || (odd == 1 && words >= 2 && count > odd)
        || (odd == 1 && words >= 1 && value.len() <= 16 && value.contains('-'))
}

/// Takes the next letters and digits from the beginning of a text.
fn next_part<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() && c.is_alphanumeric();
    let start = rest.find(is_part)?;
    let (_, begun) = rest.split_at_checked(start)?;
    let length = begun.find(|c| !is_part(c)).unwrap_or(begun.len());
    let (part, after) = begun.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

/// Returns the longest run of bytes of a class. Of equally long runs, the last one counts.
fn longest_run(text: &str, is: impl Fn(&u8) -> bool) -> &str {
    let bytes = text.as_bytes();
    let (mut longest, mut start) = (0..0, 0);
    while start < bytes.len() {
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is(byte)).count();
        if length >= longest.len() {
            longest = start..start + length;
        }
        start += length + 1;
    }
    text.get(longest).unwrap_or_default()
}

/// Returns true for one word: letters of one case, capitalised or in camel case, with a short
/// number after it; or a short number.
fn is_plain_word(part: &str) -> bool {
    let digits = part.bytes().rev().take_while(u8::is_ascii_digit).count();
    let letters = part.get(..part.len() - digits).unwrap_or_default();
    if letters.is_empty() {
        return digits <= 6;
    }
    if letters.len() > 60 || is_camel_with_numbers(part) {
        return letters.len() <= 60;
    }
    // Maximum number of digits at the end: `TestIssue10281` is a plain word, `hunter12345` is not.
    let most = if letters.bytes().any(|b| b.is_ascii_uppercase()) && letters.len() >= 8 {
        6
    } else {
        4
    };
    if digits > most || letters.len() > 40 {
        return false;
    }
    if letters.bytes().any(|b| b.is_ascii_digit()) {
        // `k8s`, `i18n`, `v1beta1`, `x86`.
        return letters.len() <= 6
            && letters.bytes().filter(u8::is_ascii_digit).count() <= 2
            && letters.len() > 1
            && letters.bytes().all(|b| !b.is_ascii_uppercase())
            && part.len() <= 7
            && letters
                .bytes()
                .rev()
                .take_while(u8::is_ascii_lowercase)
                .count()
                <= 4
            && matches!(
                letters.get(..2),
                Some(
                    "k8" | "i1"
                        | "v1"
                        | "v2"
                        | "x8"
                        | "s3"
                        | "l1"
                        | "e2"
                        | "a1"
                        | "p1"
                        | "h2"
                        | "b6"
                        | "u2"
                )
            );
    }
    let upper = letters.bytes().filter(u8::is_ascii_uppercase).count();
    if upper == 0 || upper == letters.len() {
        return letters.len() <= 24 || !letters.is_ascii();
    }
    !is_mixed_letters(letters) && is_pronounceable(letters)
}

/// Returns true for names as `xmlSecAppPkcs12Load`.
fn is_camel_with_numbers(part: &str) -> bool {
    const SHORTEST: usize = 12;
    if part.len() < SHORTEST {
        return false;
    }
    let longest = longest_run(part, u8::is_ascii_alphabetic);
    if longest.len() < SHORTEST {
        return false;
    }
    let (upper, lower, _) = classes(longest);
    let groups = part
        .split(|c: char| c.is_ascii_alphabetic())
        .filter(|digits| !digits.is_empty())
        .count();
    let words = longest
        .bytes()
        .zip(longest.bytes().skip(1))
        .filter(|(before, next)| before.is_ascii_lowercase() && next.is_ascii_uppercase())
        .count()
        + 1;
    longest.len() >= 3 * words
        && upper
        && lower
        && groups <= 3
        && !is_mixed_letters(part)
        && is_pronounceable(part)
        && (part.len() < 20 || !has_digit_before_small_letter(part))
}

/// Returns true for `4k`: in names, a capital follows a number.
fn has_digit_before_small_letter(part: &str) -> bool {
    part.bytes()
        .zip(part.bytes().skip(1))
        .any(|(digit, next)| digit.is_ascii_digit() && next.is_ascii_lowercase())
}

/// Returns true if at most four small consonants stand in a row. Random letters often have more.
fn is_pronounceable(part: &str) -> bool {
    let mut run = 0;
    part.bytes().filter(|b| !b.is_ascii_digit()).all(|letter| {
        let is_consonant = letter.is_ascii_lowercase() && !b"aeiouy".contains(&letter);
        run = if is_consonant { run + 1 } else { 0 };
        run <= 4
    })
}

/// Returns true if upper and lower case alternate in a way that does not occur in camel case:
/// single small letters between capitals, and groups of capitals.
#[must_use]
pub(super) fn is_mixed_letters(text: &str) -> bool {
    let mut letters = 0;
    let mut points = 0;
    let mut run = 0;
    let mut run_is_upper = false;
    let mut close = |run: usize, is_upper: bool, is_last: bool| {
        if is_upper && run >= 2 {
            points += 1;
        } else if !is_upper && run == 1 && !is_last {
            points += 2;
        }
    };
    for byte in text.bytes().filter(u8::is_ascii_alphabetic) {
        let is_upper = byte.is_ascii_uppercase();
        if letters > 0 && is_upper != run_is_upper {
            close(run, run_is_upper, false);
            run = 0;
        }
        run += 1;
        letters += 1;
        run_is_upper = is_upper;
    }
    close(run, run_is_upper, true);
    letters >= 6 && points >= 3 && letters <= 7 * points
}

pub(super) fn classes(text: &str) -> (bool, bool, bool) {
    let any = |test: fn(&u8) -> bool| text.bytes().any(|b| test(&b));
    (
        any(u8::is_ascii_uppercase),
        any(u8::is_ascii_lowercase),
        any(u8::is_ascii_digit),
    )
}

/// Returns true if a text has at least `least` bytes and looks randomly generated.
#[must_use]
pub(in crate::forms) fn looks_random(value: &str, least: usize) -> bool {
    let value = value.get(..value.len().min(LOOK)).unwrap_or(value);
    if value.len() < least || value.contains(' ') || is_wordy(value) {
        return false;
    }
    let (upper, lower, digit) = classes(value);
    let has_letters = upper || lower;
    if !has_letters || !(digit || is_mixed_letters(value)) {
        return false;
    }
    // The longest unbroken run: identifiers with many parts have only short ones.
    let longest = longest_run(value, u8::is_ascii_alphanumeric).len();
    (longest >= 8 || (upper && lower && digit)) && is_diverse(value)
}

/// Returns true if the entropy of a text is at least 2.8 bits per byte.
fn is_diverse(text: &str) -> bool {
    let mut counts = [0_u8; 256];
    let mut most = 0;
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
            most = most.max(*count);
        }
    }
    // The entropy is at least log2(n / m), where n is the length of the text and m the count of its
    // most frequent byte; log2(7) is 2.807.
    usize::from(most) * 7 <= text.len() && most < u8::MAX || entropy(text) >= 2.8
}

/// Calls [`looks_random`] for a value in a text, and remembers the result.
pub(in crate::forms) fn looks_random_in<'t>(text: &Text<'t>, value: &'t str, least: u8) -> bool {
    text.recall(Question::Random(least), value, || {
        u8::from(looks_random(value, usize::from(least)))
    }) == 1
}

/// Returns true for text that people read.
pub(super) fn is_sentence(value: &str) -> bool {
    if !value.contains(' ') {
        return false;
    }
    let mut words = 0;
    let mut plain = 0;
    let mut common = false;
    for word in value.split_ascii_whitespace().take(40) {
        words += 1;
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let is_letters = word
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '\'' | '-' | '/' | '.'));
        plain += usize::from(word.is_empty() || is_letters && is_plain_word(word));
        common |= matches!(
            word.to_ascii_lowercase().as_str(),
            "is" | "must"
                | "the"
                | "a"
                | "an"
                | "not"
                | "for"
                | "your"
                | "of"
                | "to"
                | "and"
                | "or"
                | "password"
                | "token"
                | "required"
                | "invalid"
                | "incorrect"
                | "was"
                | "in"
                | "no"
                | "be"
                | "please"
                | "secret"
                | "with"
                | "key"
                | "has"
                | "are"
                | "this"
        );
    }
    plain * 5 >= words * 4
        && (common || (words >= 4 && value.starts_with(|c: char| c.is_ascii_uppercase())))
}

#[cfg(test)]
mod tests;
