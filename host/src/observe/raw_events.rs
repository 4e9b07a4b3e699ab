//! Passes the objects of a watch to a recorder, as raw JSON.

use super::watch_event::Object;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Receives the raw events of a watch in order, before the observer interprets them. It may block
/// its thread.
pub type RawEventHook = Arc<dyn Fn(Timestamp, RawEvent<'_>) + Send + Sync>;

/// A raw event of a watch.
#[derive(Debug)]
pub enum RawEvent<'a> {
    /// An object was listed, added, modified or deleted.
    Object {
        /// `ADDED`, `MODIFIED` or `DELETED`.
        event: &'static str,
        /// API version of the object; the items of a list do not state it.
        api_version: &'static str,
        /// Kind of the object, such as `Pod`.
        kind: &'static str,
        /// UID of the object.
        uid: &'a str,
        /// UID of the TaskRun to which the object belongs; for a TaskRun, its own UID.
        run_uid: Option<Arc<str>>,
        /// The object as it was received.
        json: &'a str,
    },
    /// A known object was deleted, and its last state is unknown.
    Gone {
        /// UID of the object.
        uid: &'a str,
    },
    /// All initial lists are complete, except those that are refused.
    Listed,
}

/// An object with the JSON from which it was parsed.
pub(super) struct WithJson<K> {
    pub(super) object: K,
    pub(super) json: Box<RawValue>,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for WithJson<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        // The error of serde is dropped: its position counts from the beginning of the object.
        let object = serde_json::from_str(json.get())
            .map_err(|_| D::Error::custom("a member has the wrong type, or there are too many"))?;
        Ok(Self { object, json })
    }
}

impl<K: Object> Object for WithJson<K> {
    const KIND: &'static str = K::KIND;

    fn path(namespace: Option<&str>) -> String {
        K::path(namespace)
    }

    fn resource_version(&self) -> Option<&str> {
        self.object.resource_version()
    }
}
