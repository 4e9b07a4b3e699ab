//! Parses `traceparent` of W3C Trace Context by its §3.2 and §4.3. Pure.

/// Length of version 00: `00-`, trace id, `-`, parent id, `-`, flags.
const LENGTH: usize = 55;
/// The flag `sampled`, the only one of version 00.
const SAMPLED: u8 = 1;

/// Parses a `traceparent` and returns it in version 00, the highest version known here. Returns
/// `None` if the text is not valid: then there is no trace context, and a `tracestate` beside it is
/// ignored, too (§4.3). This matters because a collector refuses all spans of a request if the ids
/// of one span are invalid.
///
/// A valid text of version 00 stays as it is. Of a higher version only the fields of version 00 are
/// kept (§4.3).
pub(super) fn parse(text: &str) -> Option<String> {
    let (known, more) = (text.get(..LENGTH)?, text.get(LENGTH..)?);
    let mut parts = known.split('-');
    let (version, trace) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
    let (parent, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let is_set = |id: &str| id.bytes().any(|digit| digit != b'0');
    if !is_set(trace) || !is_set(parent) {
        return None;
    }
    match version {
        // This version is forbidden (§3.2.2.1).
        "ff" => None,
        "00" => more.is_empty().then(|| known.to_owned()),
        _ if more.is_empty() || more.starts_with('-') => {
            let flags = u8::from_str_radix(flags, 16).ok()? & SAMPLED;
            Some(format!("00-{trace}-{parent}-{flags:02x}"))
        }
        _ => None,
    }
}

/// Checks that a part has this number of digits; upper case is not allowed (§3.2.2).
fn hex(part: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (part.len() == digits && part.bytes().all(is_digit)).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "12345678901234567890123456789012";
    const PARENT: &str = "1234567890123456";

    /// The cases of the W3C's own test suite (w3c/trace-context, test/test.py), and a few more.
    #[test]
    fn only_valid_trace_parents_are_taken() {
        let same = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
        for (valid, expected) in [
            (same("01"), same("01")),
            (same("00"), same("00")),
            (same("ff"), same("ff")),
            (format!("cc-{TRACE}-{PARENT}-01"), same("01")),
            (format!("cc-{TRACE}-{PARENT}-01-"), same("01")),
            (
                format!("cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like"),
                same("01"),
            ),
            (format!("01-{TRACE}-{PARENT}-fe-zürich"), same("00")),
            (format!("fe-{TRACE}-{PARENT}-03"), same("01")),
        ] {
            assert_eq!(parse(&valid), Some(expected), "{valid}");
        }
        let short = |id: &'static str| id.get(1..).unwrap();
        let upper = "1234567890123456789012345678901A";
        for invalid in [
            String::new(),
            "foo".to_owned(),
            "-".repeat(LENGTH),
            "é".repeat(LENGTH),
            // Version.
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("FF-{TRACE}-{PARENT}-01"),
            format!("ff-{TRACE}-{PARENT}-01-more"),
            format!(".0-{TRACE}-{PARENT}-01"),
            format!("0.-{TRACE}-{PARENT}-01"),
            format!("000-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("0A-{TRACE}-{PARENT}-01"),
            // Version 00 has no further fields. In later versions, a dash precedes further fields.
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-what-the-future-will-be-like"),
            format!("00-{TRACE}-{PARENT}-01.what"),
            format!("cc-{TRACE}-{PARENT}-01.what-the-future-will-not-be-like"),
            format!("cc-{TRACE}-{PARENT}-011"),
            // Trace id.
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("cc-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-.{}-{PARENT}-01", short(TRACE)),
            format!("00-{}-{PARENT}-01", short(TRACE)),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{upper}-{PARENT}-01"),
            // Parent id.
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-.{}-01", short(PARENT)),
            format!("00-{TRACE}-{}-01", short(PARENT)),
            format!("00-{TRACE}-{PARENT}0-01"),
            format!("00-{TRACE}-A{}-01", short(PARENT)),
            // Flags.
            format!("00-{TRACE}-{PARENT}-.0"),
            format!("00-{TRACE}-{PARENT}-0."),
            format!("00-{TRACE}-{PARENT}-001"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-0A"),
            format!("00-{TRACE}-{PARENT}"),
            // Dashes and blanks.
            format!("00_{TRACE}_{PARENT}_01"),
            format!("00{TRACE}{PARENT}01"),
            format!("00-{TRACE}--{PARENT}-01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01\n"),
            format!("01-{TRACE}-{PARENT}-01\n"),
        ] {
            assert_eq!(parse(&invalid), None, "{invalid}");
        }
    }
}
