//! The termination message that Tekton's entrypoint leaves (pkg/termination in Tekton).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Read as _;
use std::sync::Arc;
use step_observer_core::Internals;

/// What a compressed message begins with.
const COMPRESSED: &str = "tknz:";

/// Tekton inflates at most this much of a compressed message.
const MAX_INFLATED: u64 = 128 * 1024;

/// Longest reason that is kept, in bytes. Tekton's own are words; but whoever runs in a step can write the message.
const MAX_REASON: usize = 256;

/// What a message holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// The entrypoint's own entries.
    pub(super) internals: Internals,
    /// The results as JSON text, as Tekton shows them in a TaskRun's step.
    pub(super) results: Option<Arc<str>>,
}

/// Its members are in order of their names.
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

    /// Is it an entry of the entrypoint that says what such an entry says?
    fn is_well_known(&self) -> bool {
        let text = self.value.as_str().unwrap_or_default();
        self.is_internal()
            && match self.key.as_str() {
                "StartedAt" => text.parse::<Timestamp>().is_ok(),
                "ExitCode" => text.parse::<i32>().is_ok(),
                "Reason" => text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphabetic()),
                _ => false,
            }
    }
}

/// Parses a message. `None` where there is none, or it is not the entrypoint's (a container that
/// was never located has the kubelet's prose here).
pub(super) fn parse(message: Option<&str>) -> Option<Message> {
    let message = message?.trim();
    let inflated;
    let json = match message.strip_prefix(COMPRESSED) {
        None => message,
        Some(packed) => {
            inflated = inflate(packed);
            &inflated
        }
    };
    let packed = json.as_ptr() != message.as_ptr();
    if packed && json.is_empty() {
        // It was cut so short that nothing is left; that there was one is news enough.
        let internals = Internals {
            truncated: true,
            ..Internals::default()
        };
        return Some(Message {
            internals,
            results: None,
        });
    }
    if !json.starts_with('[') {
        return None;
    }
    let (entries, cut) = read_entries(json);
    let mut found = Message::default();
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
                let short = text.get(..text.floor_char_boundary(MAX_REASON));
                found.internals.reason = short.map(Into::into);
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

/// The same message with everything masked that a step wrote: [`parse`] finds the same entries of the entrypoint in it,
/// and says the same of a cut. It is not compressed any more. `None` if `mask` fails.
pub(crate) fn masked(
    message: &str,
    mut mask: impl FnMut(&mut Value) -> Option<()>,
) -> Option<String> {
    let message = message.trim();
    let json = match message.strip_prefix(COMPRESSED) {
        None => message.to_owned(),
        Some(packed) => inflate(packed),
    };
    if json.is_empty() {
        // Of a compressed message nothing is left; that there was one is kept.
        return Some(
            message
                .get(..COMPRESSED.len())
                .unwrap_or_default()
                .to_owned(),
        );
    }
    if !json.starts_with('[') {
        let mut text = Value::String(json);
        mask(&mut text)?;
        let text = text.as_str().unwrap_or_default();
        // What stands for a secret must not make it a list of entries.
        let looks_like_one = text.starts_with('[') || text.starts_with(COMPRESSED);
        return Some(format!(
            "{}{text}",
            if looks_like_one { "masked: " } else { "" }
        ));
    }
    let (entries, cut) = read_entries(&json);
    let mut all = Vec::new();
    for entry in entries {
        let keeps = entry.is_well_known();
        let mut entry = serde_json::to_value(entry).ok()?;
        if !keeps {
            mask(&mut entry)?;
        }
        all.push(entry);
    }
    let mut text = serde_json::to_string(&all).ok()?;
    if cut {
        // What was begun is left out.
        text.pop();
        text.push_str(if all.is_empty() { "" } else { "," });
    }
    Some(text)
}

/// Reads an array entry by entry, so that one that the kubelet cut short gives its beginning.
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

/// As much of a compressed message as can be read.
fn inflate(packed: &str) -> String {
    let packed = packed.trim_end_matches('=');
    // The last group of four may have been cut.
    let whole = packed.get(..packed.len() / 4 * 4).unwrap_or_default();
    let decoded = STANDARD_NO_PAD
        .decode(packed)
        .or_else(|_| STANDARD_NO_PAD.decode(whole));
    let bytes = decoded.unwrap_or_default();
    let mut inflater = flate2::read::DeflateDecoder::new(bytes.as_slice()).take(MAX_INFLATED);
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
            // The last characters may hold nothing that matters.
            assert!(
                message.internals.truncated || end + 4 > packed.len(),
                "{end}"
            );
        }
    }

    /// Masks `widget`.
    fn mask(message: &str) -> String {
        let mask = |value: &mut Value| {
            let text = value.to_string().replace("widget", "[masked]");
            *value = serde_json::from_str(&text).ok()?;
            Some(())
        };
        masked(message, mask).unwrap()
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
                let (now, before) = (mask(part), parse(Some(part)));
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
        assert_eq!(mask("no widget"), "no [masked]");
        assert_eq!(parse(Some(&mask("widget"))), None);
        let odd = FULL.replace("2026-11-22T13:04:17.027Z", "widget");
        assert!(!mask(&odd).contains("widget"));
        assert_eq!(masked(FULL, |_| None), None);
    }

    #[test]
    fn a_reason_from_any_source_is_short() {
        let reason = "é".repeat(20_000);
        let entry = serde_json::json!([{"key": "Reason", "value": reason, "type": 3}]);
        let message = parse(Some(&entry.to_string())).unwrap();
        assert_eq!(message.internals.reason.as_deref(), Some(&*"é".repeat(128)));
    }

    #[test]
    fn prose_is_no_message() {
        assert_eq!(parse(Some("The container could not be located")), None);
        assert_eq!(parse(Some("")), None);
        assert_eq!(parse(None), None);
    }
}
