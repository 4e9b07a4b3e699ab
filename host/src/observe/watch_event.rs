//! Parses the lines of a watch and the items of a list.

use super::list::{ListMetadata, RawObject};
use super::unreadable::UnreadableObject;
use super::watch_health::WatchReporter;
use kube::core::Status;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A kind of object that can be watched.
pub(super) trait Object: DeserializeOwned + Send + 'static {
    /// Plural of the kind, for messages.
    const KIND: &'static str;
    /// Returns the URL path of the collection, in one namespace or in all.
    fn path(namespace: Option<&str>) -> String;
    /// Returns `metadata.resourceVersion`.
    fn resource_version(&self) -> Option<&str>;
}

/// Errors of a list or a watch. The request is repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error("failed to list: {0}")]
    List(#[source] kube::Error),
    #[error("failed to read a list: {0}")]
    ListBody(String),
    #[error("failed to start a watch: {0}")]
    Start(#[source] kube::Error),
    #[error("the API server ended the watch: {} ({})", .0.message, .0.code)]
    Ended(Box<Status>),
    #[error("the watch broke: {0}")]
    Broken(String),
}

impl WatchError {
    /// Returns the HTTP status with which the server refused a list or a watch.
    pub(super) fn refused_with(&self) -> Option<u16> {
        match self {
            Self::List(kube::Error::Api(status)) | Self::Start(kube::Error::Api(status)) => {
                Some(status.code)
            }
            _ => None,
        }
    }

    /// Returns whether the server no longer has the revision (410, in the stream or as HTTP
    /// status). Only a new list gives a revision that the server has.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Ended(status) => status.code == 410,
            error => error.refused_with() == Some(410),
        }
    }
}

/// An event of the objects of one kind.
#[derive(Debug)]
pub(super) enum Event<K> {
    /// A list begins: known objects that it does not contain were deleted.
    ListBegins,
    /// An object of the list.
    Listed(K),
    /// The list is complete.
    ListComplete,
    /// An object was added or modified.
    Changed(K),
    /// An object was deleted; this is its last state.
    Deleted(K),
    /// An object exists or was changed, and cannot be read.
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

/// The members of a bookmark that are read.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Bookmark {
    metadata: ListMetadata,
}

/// Parses a line of a watch, and updates `version` to the resource version that it states. Returns
/// `None` for a line without an event about an object.
pub(super) fn parse_line<K: Object>(
    line: &RawObject<'_>,
    reporter: Option<&WatchReporter>,
    version: &mut String,
) -> Result<Option<Event<K>>, WatchError> {
    if let Some((object, deleted)) = parse_usual::<K>(line) {
        if let Some(next) = object.resource_version() {
            next.clone_into(version);
        }
        return Ok(Some(match deleted {
            false => Event::Changed(object),
            true => Event::Deleted(object),
        }));
    }
    parse_any(line, reporter, version)
}

/// Parses a line in any form.
fn parse_any<K: Object>(
    line: &RawObject<'_>,
    reporter: Option<&WatchReporter>,
    version: &mut String,
) -> Result<Option<Event<K>>, WatchError> {
    if line.bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let parsed = serde_json::from_slice::<Line<'_>>(line.bytes);
    let Line { kind, object } = match parsed {
        Ok(line) => line,
        // An event that cannot be read: it is truncated or not UTF-8.
        Err(problem) if is_event(line.bytes) => {
            let unreadable = note(UnreadableObject::new(line, &problem), K::KIND, reporter);
            if let Some(next) = &unreadable.resource_version {
                version.clone_from(next);
            }
            let is_deletion = line.bytes.starts_with(br#"{"type":"DELETED""#);
            return Ok(Some(if is_deletion {
                Event::UnreadableDeleted(unreadable)
            } else {
                Event::Unreadable(unreadable)
            }));
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
        is_truncated: false,
        size: object.get().len(),
    };
    let read = read::<K>(&object, reporter);
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

/// Parses a line in the form in which API servers write it. Returns its object, and whether the
/// object was deleted. Returns `None` for a line in another form.
///
/// Reads the object only once. [`Line`] reads it twice, and the additional pass takes as long as
/// parsing.
fn parse_usual<K: Object>(line: &RawObject<'_>) -> Option<(K, bool)> {
    let text = std::str::from_utf8(line.bytes).ok()?;
    let (kind, rest) = text
        .strip_prefix(r#"{"type":""#)?
        .split_once(r#"","object":"#)?;
    let deleted = match kind {
        "ADDED" | "MODIFIED" => false,
        "DELETED" => true,
        _ => return None,
    };
    let object = rest.strip_suffix('}').filter(|_| !line.is_truncated)?;
    Some((serde_json::from_str(object).ok()?, deleted))
}

/// Returns whether a line begins like an event. This excludes responses of other components between
/// observer and API server.
fn is_event(line: &[u8]) -> bool {
    line.starts_with(br#"{"type":""#) || line.starts_with(br#"{"object":{"#)
}

/// Parses one object. An object that cannot be read is reported and counted.
pub(super) fn read<K: Object>(
    object: &RawObject<'_>,
    reporter: Option<&WatchReporter>,
) -> Result<K, UnreadableObject> {
    match serde_json::from_slice(object.bytes) {
        Ok(read) if !object.is_truncated => Ok(read),
        Ok(_) => Err(note(
            UnreadableObject::new(object, &serde::de::Error::custom("truncated")),
            K::KIND,
            reporter,
        )),
        Err(problem) => Err(note(
            UnreadableObject::new(object, &problem),
            K::KIND,
            reporter,
        )),
    }
}

fn note(
    object: UnreadableObject,
    kind: &str,
    reporter: Option<&WatchReporter>,
) -> UnreadableObject {
    if let Some(reporter) = reporter {
        reporter.unreadable(kind, &object);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::SlimPod;
    use proptest::prelude::*;

    fn raw(line: &[u8]) -> RawObject<'_> {
        RawObject {
            bytes: line,
            is_truncated: false,
            size: line.len(),
        }
    }

    fn event(line: &str, version: &mut String) -> Result<Option<Event<SlimPod>>, WatchError> {
        parse_line(&raw(line.as_bytes()), None, version)
    }

    const LINES: [&str; 3] = [
        r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"2"},"spec":{"x":"é"}}}"#,
        r#"{"type":"DELETED","object":{"metadata":{"uid":"u"},"status":{"phase":"Failed"}}} "#,
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"4"}}}"#,
    ];

    proptest! {
        /// Both ways of parsing give the same event for any line, even for a damaged one.
        #[test]
        fn the_usual_form_is_read_as_any_form(
            line in prop::sample::select(&LINES[..]),
            damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"{}[]\",: \\a\xc3"[..])), 0..3),
        ) {
            let mut line = line.as_bytes().to_vec();
            for (at, byte) in damage {
                let at = at.index(line.len());
                line[at] = byte;
            }
            let (mut usual, mut general) = (String::new(), String::new());
            let events = (
                parse_line::<SlimPod>(&raw(&line), None, &mut usual),
                parse_any::<SlimPod>(&raw(&line), None, &mut general),
            );
            prop_assert_eq!(format!("{:?}", events.0), format!("{:?}", events.1));
            prop_assert_eq!(usual, general);
        }
    }

    #[test]
    fn the_usual_form_is_read_once() {
        let is_usual = |line: &str| parse_usual::<SlimPod>(&raw(line.as_bytes())).is_some();
        assert_eq!(LINES.map(is_usual), [true, false, false]);
        let truncated = RawObject {
            is_truncated: true,
            ..raw(LINES[0].as_bytes())
        };
        assert!(parse_usual::<SlimPod>(&truncated).is_none());
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
        let truncated = event(
            r#"{"type":"DELETED","object":{"metadata":{"uid":"u","resourceVersion":"5"#,
            &mut version,
        );
        assert!(matches!(truncated, Ok(Some(Event::UnreadableDeleted(_)))) && version == "4");
        let gone = event(r#"{"type":"ERROR","object":{"code":410}}"#, &mut version);
        assert!(matches!(gone, Err(WatchError::Ended(status)) if status.code == 410));
    }
}
