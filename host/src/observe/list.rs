//! The body of a list, item by item, from bytes that come in any pieces.
//!
//! A list is read this way for two reasons: one item that cannot be read must not stop the others, and a list of large
//! items must not be in memory whole.

use memchr::memchr2;
use serde::Deserialize;

/// Largest object that is read. The API server stores at most 1.5 MiB, of which each byte may become six in JSON.
pub(super) const MAX_OBJECT_BYTES: usize = 10 * 1024 * 1024;
/// Most bytes of a list beside its items.
const MAX_ENVELOPE_BYTES: usize = 64 * 1024;
/// Buffers above this size are given back after the object that needed them.
const MAX_IDLE_BUFFER_BYTES: usize = 256 * 1024;

/// Finds the items of a list.
#[derive(Debug, Default)]
pub struct ListItems {
    /// The list without its items.
    envelope: Vec<u8>,
    item: BoundedBuffer,
    /// Objects and arrays that are open.
    depth: u64,
    in_items: bool,
    in_string: bool,
    escaped: bool,
    bytes: usize,
}

/// What a list says beside its items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMetadata {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) continue_token: String,
}

/// An object as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct RawObject<'a> {
    /// Its beginning, up to the bound.
    pub bytes: &'a [u8],
    /// It is larger than what is read of one.
    pub is_cut: bool,
    /// Size of all of it, in bytes; of one in a watch, with the event that it came in.
    pub size: usize,
}

impl ListItems {
    /// Takes bytes up to the end of the next item. Gives how many it took, and whether [`ListItems::item`] is whole;
    /// if not, it took all.
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

    /// Takes the rest of a string, or as much of it as is there.
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
            // Between the items there are only commas, and what is no object.
            match self.depth == 2 && bytes.first() == Some(&b',') {
                true => self.item.clear(),
                false => self.item.push(bytes),
            }
        } else if self.envelope.len() + bytes.len() <= MAX_ENVELOPE_BYTES {
            self.envelope.extend_from_slice(bytes);
        }
    }

    /// The item that has just ended.
    #[must_use]
    pub fn item(&self) -> RawObject<'_> {
        self.item.object()
    }

    /// How many bytes were taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the list says beside its items, once all of it was taken.
    ///
    /// # Errors
    ///
    /// It is no list, or was cut.
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

/// The lines of a watch, each an event.
#[derive(Debug, Default)]
pub(super) struct WatchLines {
    line: BoundedBuffer,
    is_whole: bool,
}

impl WatchLines {
    /// Takes bytes up to the end of the line. Gives how many it took, and whether [`WatchLines::line`] is whole; if
    /// not, it took all. A line break cannot be inside of JSON's strings.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        if std::mem::take(&mut self.is_whole) {
            self.line.clear();
        }
        let end = memchr::memchr(b'\n', bytes);
        let (taken, text) = match end {
            Some(end) => (end + 1, bytes.get(..end)),
            None => (bytes.len(), Some(bytes)),
        };
        self.line.push(text.unwrap_or_default());
        self.is_whole = end.is_some();
        (taken, self.is_whole)
    }

    pub(super) fn line(&self) -> RawObject<'_> {
        self.line.object()
    }
}

/// Bytes of one object, up to a bound.
#[derive(Debug, Default)]
struct BoundedBuffer {
    bytes: Vec<u8>,
    is_cut: bool,
    size: usize,
}

impl BoundedBuffer {
    fn push(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len());
        let free = MAX_OBJECT_BYTES.saturating_sub(self.bytes.len());
        let fits = bytes.get(..free).unwrap_or(bytes);
        self.is_cut |= fits.len() < bytes.len();
        self.bytes.extend_from_slice(fits);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MAX_IDLE_BUFFER_BYTES);
        self.is_cut = false;
        self.size = 0;
    }

    fn object(&self) -> RawObject<'_> {
        RawObject {
            bytes: &self.bytes,
            is_cut: self.is_cut,
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
                let (taken, is_whole) = list.take(bytes);
                bytes = &bytes[taken..];
                if is_whole {
                    items.push(String::from_utf8(list.item().bytes.to_vec()).unwrap());
                }
            }
        }
        assert_eq!(list.bytes(), text.len());
        (items, list.finish())
    }

    /// Any JSON, with texts that look like the marks of a list.
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
        let (taken, is_whole) = list.take(text.as_bytes());
        assert!(is_whole && list.item().is_cut && list.item().bytes.len() == MAX_OBJECT_BYTES);
        assert_eq!(list.item().size, MAX_OBJECT_BYTES + r#"{"a":""}"#.len());
        let (_, is_whole) = list.take(&text.as_bytes()[taken..]);
        assert!(is_whole);
        assert_eq!(
            list.item(),
            RawObject {
                bytes: br#"{"b":1}"#,
                is_cut: false,
                size: 7
            }
        );
        assert!(list.item.bytes.capacity() <= MAX_IDLE_BUFFER_BYTES);
    }

    #[test]
    fn a_line_above_the_bound_is_cut_and_the_next_is_whole() {
        let text = format!("{}\nsecond\nthird", "x".repeat(MAX_OBJECT_BYTES + 1));
        let mut lines = WatchLines::default();
        let (first, is_whole) = lines.take(text.as_bytes());
        assert!(is_whole && lines.line().is_cut);
        let (second, is_whole) = lines.take(&text.as_bytes()[first..]);
        assert!(is_whole && !lines.line().is_cut);
        assert_eq!(lines.line().bytes, b"second");
        assert!(!lines.take(&text.as_bytes()[first + second..]).1);
    }
}
