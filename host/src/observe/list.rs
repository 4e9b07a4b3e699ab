//! Splits a list into its items, and a watch into its lines, from bytes that arrive in pieces of
//! any size.
//!
//! There are two reasons to read a list this way: one item that cannot be read must not stop the
//! others, and a list of large items must not be in memory whole.

use memchr::memchr2;
use serde::Deserialize;

/// Bounds the bytes of one object. The API server stores at most 1.5 MiB, and each of these bytes
/// may take six bytes in JSON.
pub(super) const MAX_OBJECT_BYTES: usize = 10 * 1024 * 1024;
/// Bounds the bytes of a list without its items.
const MAX_ENVELOPE_BYTES: usize = 64 * 1024;
/// Capacity above which a buffer is shrunk after the object that needed it.
const MAX_IDLE_BUFFER_BYTES: usize = 64 * 1024;

/// Finds the items of a list.
#[derive(Debug, Default)]
pub struct ListItems {
    /// The list without its items.
    envelope: Vec<u8>,
    item: BoundedBuffer,
    /// Number of open objects and arrays.
    depth: u64,
    in_items: bool,
    in_string: bool,
    escaped: bool,
    bytes: usize,
}

/// The `metadata` of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMetadata {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) continue_token: String,
}

/// The JSON of one object.
#[derive(Debug, PartialEq, Eq)]
pub struct RawObject<'a> {
    /// The JSON, or its beginning if it exceeds the bound.
    pub bytes: &'a [u8],
    /// True if the object exceeds the bound.
    pub is_truncated: bool,
    /// Bytes of the whole object; in a watch, of the whole event.
    pub size: usize,
}

impl ListItems {
    /// Consumes bytes up to the end of the next item. Returns how many bytes it consumed, and
    /// whether [`ListItems::item`] is now complete. If it is not, all bytes were consumed.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            if self.in_string {
                at = self.take_string(bytes, at);
                continue;
            }
            at += 1;
            match byte {
                b'"' => {
                    self.in_string = true;
                    self.keep(&[byte]);
                }
                b'{' | b'[' => {
                    if byte == b'[' && self.depth == 1 && self.envelope.ends_with(b"\"items\":") {
                        self.in_items = true;
                        self.envelope.push(byte);
                    } else {
                        if self.in_items && self.depth == 2 {
                            self.item.clear();
                        }
                        self.keep(&[byte]);
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.in_items && self.depth == 1 {
                        self.in_items = false;
                    }
                    self.keep(&[byte]);
                    if self.in_items && self.depth == 2 && byte == b'}' {
                        self.bytes += at;
                        return (at, true);
                    }
                }
                b' ' | b'\n' | b'\r' | b'\t' => {}
                _ => self.keep(&[byte]),
            }
        }
        self.bytes += at;
        (at, false)
    }

    /// Consumes the rest of a string, or all bytes if the string does not end in them. Returns the
    /// position after the consumed bytes.
    fn take_string(&mut self, bytes: &[u8], from: usize) -> usize {
        let mut at = from;
        if std::mem::take(&mut self.escaped) {
            at += 1;
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(found) = memchr2(b'"', b'\\', rest) else {
                at = bytes.len();
                break;
            };
            at += found + 1;
            if bytes.get(at - 1) == Some(&b'"') {
                self.in_string = false;
                break;
            }
            if at == bytes.len() {
                self.escaped = true;
                break;
            }
            at += 1;
        }
        self.keep(bytes.get(from..at).unwrap_or_default());
        at
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.in_items && self.depth >= 2 {
            // Between the items there are only commas and values that are not objects.
            if self.depth == 2 && bytes.first() == Some(&b',') {
                self.item.clear();
            } else {
                self.item.push(bytes);
            }
        } else if self.envelope.len() + bytes.len() <= MAX_ENVELOPE_BYTES {
            self.envelope.extend_from_slice(bytes);
        }
    }

    /// Returns the item that was completed last.
    #[must_use]
    pub fn item(&self) -> RawObject<'_> {
        self.item.object()
    }

    /// Returns the number of bytes that were consumed.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the metadata of the list after all of its bytes were consumed.
    ///
    /// # Errors
    ///
    /// The bytes are not a list, or the list is incomplete.
    pub(super) fn finish(&self) -> Result<ListMetadata, serde_json::Error> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            metadata: ListMetadata,
        }
        let list: List = serde_json::from_slice(&self.envelope)?;
        Ok(list.metadata)
    }
}

/// Finds the lines of a watch. Each line is an event.
#[derive(Debug, Default)]
pub(super) struct WatchLines {
    line: BoundedBuffer,
    is_complete: bool,
}

impl WatchLines {
    /// Consumes bytes up to the end of the line. Returns how many bytes it consumed, and whether
    /// [`WatchLines::line`] is now complete. If it is not, all bytes were consumed. A JSON string
    /// cannot contain a line break.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        if std::mem::take(&mut self.is_complete) {
            self.line.clear();
        }
        let end = memchr::memchr(b'\n', bytes);
        let (taken, text) = match end {
            Some(end) => (end + 1, bytes.get(..end)),
            None => (bytes.len(), Some(bytes)),
        };
        self.line.push(text.unwrap_or_default());
        self.is_complete = end.is_some();
        (taken, self.is_complete)
    }

    pub(super) fn line(&self) -> RawObject<'_> {
        self.line.object()
    }
}

/// The bytes of one object, up to [`MAX_OBJECT_BYTES`].
#[derive(Debug, Default)]
struct BoundedBuffer {
    bytes: Vec<u8>,
    is_truncated: bool,
    size: usize,
}

impl BoundedBuffer {
    fn push(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len());
        let free = MAX_OBJECT_BYTES.saturating_sub(self.bytes.len());
        let fits = bytes.get(..free).unwrap_or(bytes);
        self.is_truncated |= fits.len() < bytes.len();
        self.bytes.extend_from_slice(fits);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MAX_IDLE_BUFFER_BYTES);
        self.is_truncated = false;
        self.size = 0;
    }

    fn object(&self) -> RawObject<'_> {
        RawObject {
            bytes: &self.bytes,
            is_truncated: self.is_truncated,
            size: self.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str, piece: usize) -> (Vec<String>, Result<ListMetadata, serde_json::Error>) {
        let mut list = ListItems::default();
        let mut items = Vec::new();
        for mut bytes in text.as_bytes().chunks(piece) {
            while !bytes.is_empty() {
                let (taken, is_complete) = list.take(bytes);
                bytes = &bytes[taken..];
                if is_complete {
                    items.push(String::from_utf8(list.item().bytes.to_vec()).unwrap());
                }
            }
        }
        assert_eq!(list.bytes(), text.len());
        (items, list.finish())
    }

    /// Returns any JSON value, with texts that look like parts of a list.
    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            Just("items".to_owned()),
            Just("\"items\":[{".to_owned()),
            Just("\\\"]}".to_owned()),
            "\\PC{0,8}"
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn items_of_any_content_are_found(
            items in prop::collection::vec(any_json(), 0..5), before in any_json(), pretty: bool, piece in 1_usize..40
        ) {
            let items: Vec<Value> = items.into_iter().map(|item| json!({"a": item})).collect();
            let list = json!({
                "aaa": before, "items": items, "metadata": {"continue": "next", "resourceVersion": "7", "zzz": before}
            });
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) };
            let (found, metadata) = read(&text.unwrap(), piece);
            let found: Vec<Value> = found.iter().map(|item| serde_json::from_str(item).unwrap()).collect();
            prop_assert_eq!(found, items);
            let metadata = metadata.unwrap();
            prop_assert_eq!((&*metadata.resource_version, &*metadata.continue_token), ("7", "next"));
        }
    }

    #[test]
    fn an_incomplete_list_counts_as_none() {
        let text = r#"{"metadata": {"resourceVersion": "7"}, "items": [{"a": 1}, {"b": "]}"}]}"#;
        for end in 0..text.len() {
            assert!(read(text.get(..end).unwrap(), 7).1.is_err(), "{end}");
        }
        assert_eq!(read(text, 7).0, [r#"{"a":1}"#, r#"{"b":"]}"}"#]);
        assert!(read("no list", 3).1.is_err());
        assert_eq!(
            read(r#"{"items": null}"#, 3).1.unwrap(),
            ListMetadata::default()
        );
        assert!(read(r#"{"items": [null, 3, [{}], "x"]}"#, 3).0.is_empty());
    }

    #[test]
    fn an_item_above_the_bound_is_cut_and_the_next_is_whole() {
        let text = format!(
            r#"{{"items": [{{"a": "{}"}}, {{"b": 1}}]}}"#,
            "x".repeat(MAX_OBJECT_BYTES)
        );
        let mut list = ListItems::default();
        let (taken, is_complete) = list.take(text.as_bytes());
        assert!(
            is_complete && list.item().is_truncated && list.item().bytes.len() == MAX_OBJECT_BYTES
        );
        assert_eq!(list.item().size, MAX_OBJECT_BYTES + r#"{"a":""}"#.len());
        let (_, is_complete) = list.take(&text.as_bytes()[taken..]);
        assert!(is_complete);
        assert_eq!(
            list.item(),
            RawObject {
                bytes: br#"{"b":1}"#,
                is_truncated: false,
                size: 7
            }
        );
        assert!(list.item.bytes.capacity() <= MAX_IDLE_BUFFER_BYTES);
    }

    #[test]
    fn a_line_above_the_bound_is_cut_and_the_next_is_whole() {
        let text = format!("{}\nsecond\nthird", "x".repeat(MAX_OBJECT_BYTES + 1));
        let mut lines = WatchLines::default();
        let (first, is_complete) = lines.take(text.as_bytes());
        assert!(is_complete && lines.line().is_truncated);
        let (second, is_complete) = lines.take(&text.as_bytes()[first..]);
        assert!(is_complete && !lines.line().is_truncated);
        assert_eq!(lines.line().bytes, b"second");
        assert!(!lines.take(&text.as_bytes()[first + second..]).1);
    }
}
