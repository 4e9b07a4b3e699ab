//! Encodings of values that consist of signs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// Encodes all signs but the unreserved ones of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Returns the usual encodings of a value that consists of signs. The skeleton of such a value is
/// too short to search for.
pub(super) fn encodings(value: &str) -> Vec<Zeroizing<String>> {
    let json = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let inner = quoted
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        inner.unwrap_or_default().to_owned()
    };
    let percent = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let shell: String = value
        .chars()
        .flat_map(|c| {
            (!c.is_alphanumeric())
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect();
    let xml = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let once = json(value);
    [
        json(&once),
        once.replace('/', "\\/"),
        once,
        percent(&percent(value)),
        percent(value),
        percent(value).to_lowercase(),
        percent(value).replace("%20", "+"),
        xml.replace('"', "&quot;").replace('\'', "&#39;"),
        xml.replace('"', "&#34;").replace('\'', "&#x27;"),
        xml.replace('"', "&quot;").replace('\'', "&apos;"),
        xml,
        shell,
        value.replace('\'', "'\\''"),
        value.replace('\'', "'\"'\"'"),
        value.replace('\'', "''"),
        value.replace('"', "\"\""),
    ]
    .map(Zeroizing::new)
    .into()
}
