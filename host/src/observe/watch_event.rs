//! What a line of a watch or an item of a list says.

use super::list::{ListMetadata, RawObject};
use super::unreadable::UnreadableObject;
use super::watch::{Object, WatchError};
use super::watch_health::WatchReporter;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Something that happened to the objects of a kind.
#[derive(Debug)]
pub(super) enum Event<K> {
    /// A list begins: what was there before and is not in it is gone.
    ListBegins,
    /// An object of the list.
    Listed(K),
    /// The list is complete.
    ListComplete,
    /// An object was added or modified.
    Changed(K),
    /// An object was deleted; this is its last state.
    Deleted(K),
    /// An object is there or was changed, and cannot be read.
    Unreadable(UnreadableObject),
    /// An object that cannot be read was deleted.
    UnreadableDeleted(UnreadableObject),
}

/// A line of a watch.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What is read of a bookmark.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Bookmark {
    metadata: ListMetadata,
}

/// Makes an event of a line of a watch, and notes the version that it has come to.
pub(super) fn parse_line<K: Object>(
    line: &RawObject<'_>,
    heard: Option<&WatchReporter>,
    version: &mut String,
) -> Result<Option<Event<K>>, WatchError> {
    if line.bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let parsed = serde_json::from_slice::<Line<'_>>(line.bytes);
    let Line { kind, object } = match parsed {
        Ok(line) => line,
        // An event, but not one that can be read: it was cut, or is no UTF-8.
        Err(problem) if is_event(line.bytes) => {
            let unreadable = note(UnreadableObject::new(line, &problem), K::KIND, heard);
            if let Some(next) = &unreadable.resource_version {
                version.clone_from(next);
            }
            return Ok(Some(
                match line.bytes.starts_with(br#"{"type":"DELETED""#) {
                    true => Event::UnreadableDeleted(unreadable),
                    false => Event::Unreadable(unreadable),
                },
            ));
        }
        Err(_) => return Err(WatchError::Broken("a line of it is no event".to_owned())),
    };
    let deleted = match kind {
        "ADDED" | "MODIFIED" => false,
        "DELETED" => true,
        "BOOKMARK" => {
            let bookmark: Bookmark = serde_json::from_str(object.get()).unwrap_or_default();
            if !bookmark.metadata.resource_version.is_empty() {
                *version = bookmark.metadata.resource_version;
            }
            return Ok(None);
        }
        "ERROR" => {
            let status = serde_json::from_str(object.get()).unwrap_or_default();
            return Err(WatchError::Ended(Box::new(status)));
        }
        _ => return Ok(None),
    };
    let object = RawObject {
        bytes: object.get().as_bytes(),
        is_cut: false,
        size: object.get().len(),
    };
    let read = read::<K>(&object, heard);
    let next = match &read {
        Ok(object) => object.resource_version().map(ToOwned::to_owned),
        Err(unreadable) => unreadable.resource_version.clone(),
    };
    if let Some(next) = next {
        *version = next;
    }
    Ok(Some(match (read, deleted) {
        (Ok(object), false) => Event::Changed(object),
        (Ok(object), true) => Event::Deleted(object),
        (Err(unreadable), false) => Event::Unreadable(unreadable),
        (Err(unreadable), true) => Event::UnreadableDeleted(unreadable),
    }))
}

/// Does a line begin as an event does? The answer of something else on the way does not.
fn is_event(line: &[u8]) -> bool {
    line.starts_with(br#"{"type":""#) || line.starts_with(br#"{"object":{"#)
}

/// Reads one object; one that cannot be read is named and counted.
pub(super) fn read<K: Object>(
    object: &RawObject<'_>,
    heard: Option<&WatchReporter>,
) -> Result<K, UnreadableObject> {
    match serde_json::from_slice(object.bytes) {
        Ok(read) if !object.is_cut => Ok(read),
        Ok(_) => Err(note(
            UnreadableObject::new(object, &serde::de::Error::custom("cut")),
            K::KIND,
            heard,
        )),
        Err(problem) => Err(note(
            UnreadableObject::new(object, &problem),
            K::KIND,
            heard,
        )),
    }
}

fn note(object: UnreadableObject, kind: &str, heard: Option<&WatchReporter>) -> UnreadableObject {
    if let Some(heard) = heard {
        heard.unreadable(kind, &object);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::SlimPod;

    fn event(line: &str, version: &mut String) -> Result<Option<Event<SlimPod>>, WatchError> {
        let line = RawObject {
            bytes: line.as_bytes(),
            is_cut: false,
            size: line.len(),
        };
        parse_line(&line, None, version)
    }

    #[test]
    fn the_version_goes_on_with_every_object_that_names_one() {
        let mut version = "1".to_owned();
        let changed = event(
            r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"2"}}}"#,
            &mut version,
        );
        assert!(matches!(changed, Ok(Some(Event::Changed(_)))) && version == "2");
        let unreadable = event(
            r#"{"type":"DELETED","object":{"metadata":{"uid":"u","resourceVersion":"3"},"spec":1}}"#,
            &mut version,
        );
        assert!(matches!(unreadable, Ok(Some(Event::UnreadableDeleted(_)))) && version == "3");
        let bookmark = event(
            r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"4"}}}"#,
            &mut version,
        );
        assert!(matches!(bookmark, Ok(None)) && version == "4");
        let nameless = event(r#"{"type":"ADDED","object":{}}"#, &mut version);
        assert!(matches!(nameless, Ok(Some(_))) && version == "4");
        assert!(matches!(event("", &mut version), Ok(None)));
        assert!(matches!(
            event("<html>", &mut version),
            Err(WatchError::Broken(_))
        ));
        let cut = event(
            r#"{"type":"DELETED","object":{"metadata":{"uid":"u","resourceVersion":"5"#,
            &mut version,
        );
        assert!(matches!(cut, Ok(Some(Event::UnreadableDeleted(_)))) && version == "4");
        let gone = event(r#"{"type":"ERROR","object":{"code":410}}"#, &mut version);
        assert!(matches!(gone, Err(WatchError::Ended(status)) if status.code == 410));
    }
}
