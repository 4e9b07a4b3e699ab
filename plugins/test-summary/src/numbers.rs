//! Reads numbers and durations of reports.

/// Most digits of a number. Longer ones are no counts of tests.
const MAX_DIGITS: usize = 9;

/// Longest duration, a year. Sums of as many as a log can hold have no overflow.
const MAX_MILLIS: u64 = 366 * 24 * 3600 * 1000;

/// Reads a number that has digits only.
pub(crate) fn number(text: &str) -> Option<u64> {
    let is_number =
        (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Reads `12 word rest` as a number and its word.
pub(crate) fn counted(text: &str) -> Option<(u64, &str)> {
    let mut words = text.split_whitespace();
    Some((number(words.next()?)?, words.next()?))
}

/// Reads `word: 12`, with any spaces, as a word and its number.
pub(crate) fn labelled(text: &str) -> Option<(&str, u64)> {
    let (label, count) = text.split_once(':')?;
    Some((label.trim(), number(count.trim())?))
}

/// Reads seconds with a decimal point, without unit, as milliseconds.
pub(crate) fn millis(seconds: &str) -> Option<u64> {
    let (whole, rest) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let thousandths: String = rest.chars().chain("000".chars()).take(3).collect();
    if !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(number(whole)? * 1000 + number(&thousandths)?)
}

/// Reads durations such as `1.2s`, `12 ms`, `1m 2s`, `2 m 3 s`, `0.5 sec` as milliseconds.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum = None;
    // Hours, minutes, seconds and milliseconds: nobody writes more parts.
    for _ in 0..4 {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let value = millis(value)?;
        let part = match unit {
            "ms" | "milliseconds" => value / 1000,
            "s" | "sec" | "secs" | "second" | "seconds" | "Seconds" => value,
            "m" | "min" | "minute" | "minutes" | "Minutes" => value.checked_mul(60)?,
            "h" => value.checked_mul(3600)?,
            _ => return None,
        };
        sum = Some(sum.unwrap_or(0_u64).saturating_add(part));
        rest = after.trim_start();
        if rest.is_empty() {
            return sum.filter(|sum| *sum <= MAX_MILLIS);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_read_or_refused() {
        for (text, expected) in [
            ("0.05s", Some(50)),
            ("13 ms", Some(13)),
            ("1.2 s", Some(1200)),
            ("2 m 3 s", Some(123_000)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("0.5 sec", Some(500)),
            ("75.30", None),
            ("", None),
            ("s", None),
            ("1..2s", None),
            ("99999999999999999999s", None),
            ("999999999h", None),
            ("1 parsec", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
        assert_eq!(number("1234567890"), None);
        assert_eq!(number("+1"), None);
        assert_eq!(counted(" 3  failed now"), Some((3, "failed")));
        assert_eq!(labelled("Failed:     1"), Some(("Failed", 1)));
        assert_eq!(millis("12"), Some(12_000));
    }
}
