//! Parses and masks the termination message of Tekton's entrypoint (pkg/termination in Tekton).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Read as _;
use std::sync::Arc;
use step_observer_core::Internals;

/// Prefix of a compressed message.
const COMPRESSED_PREFIX: &str = "tknz:";

/// Bounds the inflated bytes of a compressed message. Tekton has the same bound.
const MAX_INFLATED_BYTES: u64 = 128 * 1024;

/// Longest reason that is kept, in bytes.
const MAX_REASON_BYTES: usize = 64;

/// Replaces a reason that is not a short word of letters.
const UNKNOWN_REASON: &str = "Unknown";

/// The content of a termination message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TerminationMessage {
    /// The entries of the entrypoint itself.
    pub(super) internals: Internals,
    /// The results as JSON text, in the form in which `status.steps` of a TaskRun contains them.
    pub(super) results: Option<Arc<str>>,
}

/// One entry of the message. Its members are in the order of their names.
#[derive(Deserialize, Serialize)]
struct Entry {
    #[serde(default)]
    key: String,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    value: Value,
}

impl Entry {
    fn is_internal(&self) -> bool {
        self.kind == 3 || self.kind == "InternalTektonResult"
    }

    /// Returns whether this is an entry of the entrypoint with a well-formed value.
    fn is_well_known(&self) -> bool {
        let text = self.value.as_str().unwrap_or_default();
        self.is_internal()
            && match self.key.as_str() {
                "StartedAt" => text.parse::<Timestamp>().is_ok(),
                "ExitCode" => text.parse::<i32>().is_ok(),
                "Reason" => reason(text) == text,
                _ => false,
            }
    }
}

/// Parses a message. Returns `None` if there is no message, or if the entrypoint did not write it.
/// For a container that could not be located, the kubelet writes its own text here.
pub(super) fn parse(message: Option<&str>) -> Option<TerminationMessage> {
    let message = message?.trim();
    let inflated;
    let json = match message.strip_prefix(COMPRESSED_PREFIX) {
        None => message,
        Some(packed) => {
            inflated = inflate(packed);
            &inflated
        }
    };
    let packed = json.as_ptr() != message.as_ptr();
    if packed && json.is_empty() {
        // The message was truncated so early that no entry is left. It still counts as a message of
        // the entrypoint.
        let internals = Internals {
            truncated: true,
            ..Internals::default()
        };
        return Some(TerminationMessage {
            internals,
            results: None,
        });
    }
    if !json.starts_with('[') {
        return None;
    }
    let (entries, cut) = read_entries(json);
    let mut found = TerminationMessage::default();
    found.internals.truncated = cut;
    let mut results = Vec::new();
    for entry in entries {
        let text = entry.value.as_str().unwrap_or_default();
        if !entry.is_internal() {
            results.push(entry);
            continue;
        }
        match entry.key.as_str() {
            "StartedAt" => found.internals.started_at = text.parse().ok(),
            "Reason" => {
                found.internals.reason = Some(reason(text).into());
            }
            "ExitCode" => found.internals.exit_code = text.parse().ok(),
            _ => {}
        }
    }
    if !results.is_empty() {
        found.results = serde_json::to_string(&results).ok().map(Arc::from);
    }
    Some(found)
}

/// Returns the reason that a message gives. Tekton's reasons are words of letters; any other text
/// is replaced. This matters because a step can also write the message, and no plugin masks a
/// reason: receivers route by it.
pub(super) fn reason(text: &str) -> &str {
    let is_word =
        text.len() <= MAX_REASON_BYTES && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_word { text } else { UNKNOWN_REASON }
}

/// Masks every text that a step wrote in a message. Returns the message without compression, or
/// `None` if `mask` fails. In the result, [`parse`] finds the same entries of the entrypoint and
/// the same truncation.
pub(crate) fn mask(
    message: &str,
    mut mask: impl FnMut(&mut Value) -> Option<()>,
) -> Option<String> {
    let message = message.trim();
    let json = match message.strip_prefix(COMPRESSED_PREFIX) {
        None => message.to_owned(),
        Some(packed) => inflate(packed),
    };
    if json.is_empty() {
        // No entry of the compressed message is left. The prefix still shows that there was a
        // message.
        return Some(
            message
                .get(..COMPRESSED_PREFIX.len())
                .unwrap_or_default()
                .to_owned(),
        );
    }
    if !json.starts_with('[') {
        let mut text = Value::String(json);
        mask(&mut text)?;
        let text = text.as_str().unwrap_or_default();
        // The replacement of a secret must not turn the text into a list of entries.
        let looks_like_message = text.starts_with('[') || text.starts_with(COMPRESSED_PREFIX);
        return Some(format!(
            "{}{text}",
            if looks_like_message { "masked: " } else { "" }
        ));
    }
    let (entries, cut) = read_entries(&json);
    let mut all = Vec::new();
    for entry in entries {
        let is_kept = entry.is_well_known();
        let mut entry = serde_json::to_value(entry).ok()?;
        if !is_kept {
            mask(&mut entry)?;
        }
        all.push(entry);
    }
    let mut text = serde_json::to_string(&all).ok()?;
    if cut {
        // Leaves the array open, so that the text still counts as truncated. The entry at which the
        // message was truncated is omitted.
        text.pop();
        text.push_str(if all.is_empty() { "" } else { "," });
    }
    Some(text)
}

/// Reads an array entry by entry. If the kubelet truncated the array, returns the entries before
/// the truncation. Also returns whether the array was truncated.
fn read_entries(json: &str) -> (Vec<Entry>, bool) {
    let mut entries = Vec::new();
    let mut rest = json.get(1..).unwrap_or_default();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n', '\t', '\r']);
        if rest.starts_with(']') {
            return (entries, false);
        }
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Entry>();
        match stream.next() {
            Some(Ok(entry)) => entries.push(entry),
            Some(Err(_)) | None => return (entries, true),
        }
        rest = rest.get(stream.byte_offset()..).unwrap_or_default();
    }
}

/// Inflates as much of a compressed message as can be read.
fn inflate(packed: &str) -> String {
    let packed = packed.trim_end_matches('=');
    // The last group of four characters may be incomplete.
    let whole = packed.get(..packed.len() / 4 * 4).unwrap_or_default();
    let decoded = STANDARD_NO_PAD
        .decode(packed)
        .or_else(|_| STANDARD_NO_PAD.decode(whole));
    let bytes = decoded.unwrap_or_default();
    let mut inflater = flate2::read::DeflateDecoder::new(bytes.as_slice()).take(MAX_INFLATED_BYTES);
    let mut text = Vec::new();
    let mut piece = [0; 256];
    while let Ok(read @ 1..) = inflater.read(&mut piece) {
        text.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const FULL: &str = r#"[{"key":"built","value":"widget","type":1},{"key":"StartedAt","value":"2026-11-22T13:04:17.027Z","type":3},{"key":"Reason","value":"Skipped","type":"InternalTektonResult"},{"key":"ExitCode","value":"3","type":3}]"#;

    #[test]
    fn internals_and_results_are_distinguished() {
        let message = parse(Some(FULL)).unwrap();
        assert_eq!(message.internals.reason.as_deref(), Some("Skipped"));
        assert_eq!(message.internals.exit_code, Some(3));
        assert_eq!(
            message.internals.started_at.unwrap().to_string(),
            "2026-11-22T13:04:17.027Z"
        );
        assert_eq!(
            message.results.as_deref(),
            Some(r#"[{"key":"built","type":1,"value":"widget"}]"#)
        );
        assert!(!message.internals.truncated);
    }

    #[test]
    fn a_message_cut_anywhere_gives_its_remaining_entries() {
        for end in 1..FULL.len() {
            let message = parse(FULL.get(..end)).unwrap();
            assert!(message.internals.truncated, "{end}");
        }
    }

    #[test]
    fn compressed_messages_are_read() {
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        deflate.write_all(FULL.as_bytes()).unwrap();
        let packed = STANDARD_NO_PAD.encode(deflate.finish().unwrap());
        assert_eq!(parse(Some(&format!("tknz:{packed}"))), parse(Some(FULL)));
        for end in 0..packed.len() {
            let message = parse(Some(&format!("tknz:{}", packed.get(..end).unwrap()))).unwrap();
            // The last characters may contain no information.
            assert!(
                message.internals.truncated || end + 4 > packed.len(),
                "{end}"
            );
        }
    }

    /// Masks the word `widget`.
    fn mask_widget(message: &str) -> String {
        let replace = |value: &mut Value| {
            let text = value.to_string().replace("widget", "[masked]");
            *value = serde_json::from_str(&text).ok()?;
            Some(())
        };
        mask(message, replace).unwrap()
    }

    #[test]
    fn a_masked_message_differs_only_in_the_texts_of_the_step() {
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        deflate.write_all(FULL.as_bytes()).unwrap();
        let packed = format!("tknz:{}", STANDARD_NO_PAD.encode(deflate.finish().unwrap()));
        for whole in [FULL, &packed] {
            for end in 0..=whole.len() {
                let part = whole.get(..end).unwrap();
                let (now, before) = (mask_widget(part), parse(Some(part)));
                assert!(!now.contains("widg"), "{now}");
                let after = parse(Some(&now));
                assert_eq!(
                    after.as_ref().map(|message| &message.internals),
                    before.as_ref().map(|message| &message.internals),
                    "{part}: {now}"
                );
                let results = before.and_then(|message| message.results);
                let expected = results.map(|text| text.replace("widget", "[masked]"));
                assert_eq!(
                    after.and_then(|message| message.results).as_deref(),
                    expected.as_deref()
                );
            }
        }
        assert_eq!(mask_widget("no widget"), "no [masked]");
        assert_eq!(parse(Some(&mask_widget("widget"))), None);
        let odd = FULL.replace("2026-11-22T13:04:17.027Z", "widget");
        assert!(!mask_widget(&odd).contains("widget"));
        assert_eq!(mask(FULL, |_| None), None);
    }

    #[test]
    fn a_reason_that_is_not_a_word_is_replaced() {
        for (text, expected) in [
            ("Skipped", "Skipped"),
            ("TimeoutExceeded", "TimeoutExceeded"),
            ("", ""),
            (&"x".repeat(64), &*"x".repeat(64)),
            (&"x".repeat(65), "Unknown"),
            ("two words", "Unknown"),
            ("s3cr3t", "Unknown"),
            ("é", "Unknown"),
        ] {
            let entry = serde_json::json!([{"key": "Reason", "value": text, "type": 3}]);
            let message = parse(Some(&entry.to_string())).unwrap();
            assert_eq!(message.internals.reason.as_deref(), Some(expected));
        }
    }

    #[test]
    fn prose_is_no_message() {
        assert_eq!(parse(Some("The container could not be located")), None);
        assert_eq!(parse(Some("")), None);
        assert_eq!(parse(None), None);
    }
}
