//! The termination message that Tekton's entrypoint leaves (pkg/termination in Tekton).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Read as _;
use std::sync::Arc;
use step_observer_core::Internals;

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
}

/// Parses a message. `None` where there is none, or it is not the entrypoint's (a container that
/// was never located has the kubelet's prose here).
pub(super) fn parse(message: Option<&str>) -> Option<Message> {
    let message = message?.trim();
    let inflated;
    let json = match message.strip_prefix("tknz:") {
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
            cut: true,
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
    found.internals.cut = cut;
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
    fn internals_and_results_are_told_apart() {
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
        assert!(!message.internals.cut);
    }

    #[test]
    fn a_message_cut_anywhere_gives_what_is_left() {
        for end in 1..FULL.len() {
            let message = parse(FULL.get(..end)).unwrap();
            assert!(message.internals.cut, "{end}");
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
            assert!(message.internals.cut || end + 4 > packed.len(), "{end}");
        }
    }

    #[test]
    fn a_reason_is_short_whoever_wrote_it() {
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
