//! What a cluster shows, as its bytes came, for whoever records it.

use super::watch::Object;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Takes what a watch shows, in order, before anything is concluded from it. It may block its thread.
pub type RawEventHook = Arc<dyn Fn(Timestamp, RawEvent<'_>) + Send + Sync>;

/// What a watch shows.
#[derive(Debug)]
pub enum RawEvent<'a> {
    /// An object was listed, added, modified or deleted.
    Object {
        /// `ADDED`, `MODIFIED` or `DELETED`.
        event: &'static str,
        /// Its API version and kind: items of lists do not name them.
        api_version: &'static str,
        /// Such as `Pod`.
        kind: &'static str,
        /// Its UID.
        uid: &'a str,
        /// UID of its TaskRun, or its own.
        run_uid: Option<Arc<str>>,
        /// As it came.
        json: &'a str,
    },
    /// An object that was shown before is gone, and its last state is not known.
    Gone {
        /// Its UID.
        uid: &'a str,
    },
    /// All first lists are complete, but those that are refused.
    Listed,
}

/// An object with the JSON that it was read from.
pub(super) struct WithJson<K> {
    pub(super) object: K,
    pub(super) json: Box<RawValue>,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for WithJson<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        // Not the cause: it counts its place from the beginning of the object.
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
