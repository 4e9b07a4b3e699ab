//! The members of an object's `metadata` that the observer reads.

use super::{elements, lenient, managed_fields};
use jiff::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::sync::Arc;

/// Bounds, separately, the bytes of the labels and of the annotations that are kept of one object.
/// Entries that do not fit are omitted. (The API server bounds all annotations together at 256 KiB,
/// but labels only by the size of the object.)
const MAX_ENTRIES_BYTES: usize = 64 * 1024;

/// Bounds the bytes of one value that is kept.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// The annotation in which kubectl keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Label with the UID of the PipelineRun. Old versions of Tekton do not write it.
const PIPELINE_RUN_UID: &str = "tekton.dev/pipelineRunUID";

/// The members of `metadata` that the observer reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: Option<Arc<str>>,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) uid: Option<Arc<str>>,
    pub(super) resource_version: Option<String>,
    #[serde(deserialize_with = "entries")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "entries")]
    pub(super) annotations: BTreeMap<String, String>,
    /// The owner reference to the TaskRun or PipelineRun that controls the object.
    #[serde(rename = "ownerReferences", deserialize_with = "tekton_owner")]
    pub(super) tekton_owner: Option<Owner>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) creation_timestamp: Option<Timestamp>,
    /// Present if `deletionTimestamp` is set, even to a time that cannot be represented.
    #[serde(rename = "deletionTimestamp", deserialize_with = "deletion")]
    pub(super) deletion: Option<Deletion>,
    #[serde(deserialize_with = "lenient::lenient")]
    pub(super) deletion_grace_period_seconds: Option<i64>,
    /// The time at which the annotation `tekton.dev/ready` was set, or at which the same manager
    /// changed another field later.
    #[serde(
        rename = "managedFields",
        deserialize_with = "managed_fields::ready_at"
    )]
    pub(super) ready_at: Option<Timestamp>,
}

/// An entry of `ownerReferences`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Owner {
    pub(super) api_version: Arc<str>,
    kind: String,
    pub(super) name: Arc<str>,
    pub(super) uid: Arc<str>,
    controller: Option<bool>,
}

/// States that the deletion of an object was requested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deletion {
    /// The value of `deletionTimestamp`, if it can be represented.
    pub(super) at: Option<Timestamp>,
}

impl Metadata {
    /// Returns the owner reference to the TaskRun that controls the object.
    pub(super) fn task_run(&self) -> Option<&Owner> {
        self.owner("TaskRun")
    }

    /// Returns the UID of the PipelineRun, from the label, else from the owner reference.
    pub(super) fn pipeline_run_uid(&self) -> Option<&str> {
        let owner = || self.owner("PipelineRun").map(|owner| &*owner.uid);
        let label = self.labels.get(PIPELINE_RUN_UID).map(String::as_str);
        label.or_else(owner)
    }

    fn owner(&self, kind: &str) -> Option<&Owner> {
        self.tekton_owner
            .as_ref()
            .filter(|owner| owner.kind == kind)
    }
}

impl Owner {
    fn is_controlling_run(&self) -> bool {
        matches!(&*self.kind, "TaskRun" | "PipelineRun")
            && self.api_version.starts_with("tekton.dev/")
            && self.controller == Some(true)
    }
}

fn deletion<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Deletion>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.map(|text| Deletion {
        at: text.parse().ok(),
    }))
}

fn entries<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    deserializer.deserialize_any(Entries)
}

/// Keeps names and values up to their bounds.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of texts")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut kept = BTreeMap::new();
        let mut free = MAX_ENTRIES_BYTES;
        while let Some((name, value)) = members.next_entry::<String, Option<String>>()? {
            let value = value.unwrap_or_default();
            let size = name.len() + value.len();
            if name != LAST_APPLIED && value.len() <= MAX_VALUE_BYTES && size <= free {
                free -= size;
                kept.insert(name, value);
            }
        }
        Ok(kept)
    }
}

fn tekton_owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Owner>, D::Error> {
    elements::fold(
        deserializer,
        "a list of owners",
        None,
        |found: &mut Option<Owner>, owner: Owner| {
            if found.is_none() && owner.is_controlling_run() {
                *found = Some(owner);
            }
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_fields_may_be_deep() {
        let deep = format!("{}{}", "{\"f:a\":".repeat(500), "}".repeat(500));
        let deep = deep.replace(":}", ":{}}");
        let json = format!(
            r#"{{"name": "a", "managedFields": [{{"time": "9999-12-31T23:59:59Z", "fieldsV1": {deep}}}], "uid": "u"}}"#
        );
        let read: Metadata = serde_json::from_str(&json).unwrap();
        assert_eq!(read.name.as_deref(), Some("a"));
        assert_eq!(read.uid.as_deref(), Some("u"));
    }

    #[test]
    fn labels_and_annotations_are_bounded() {
        let many: BTreeMap<String, String> = (0..10_000)
            .map(|number| (format!("a{number:05}"), "x".repeat(63)))
            .collect();
        let json = serde_json::json!({"labels": many, "annotations": {
            "long": "x".repeat(MAX_VALUE_BYTES + 1), "short": "y", LAST_APPLIED: "{}"
        }});
        let read: Metadata = serde_json::from_str(&json.to_string()).unwrap();
        let size: usize = read
            .labels
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(
            size <= MAX_ENTRIES_BYTES && size > MAX_ENTRIES_BYTES / 2,
            "{size}"
        );
        assert_eq!(read.annotations.into_keys().collect::<Vec<_>>(), ["short"]);
    }

    #[test]
    fn a_deletion_time_that_cannot_be_represented_is_a_deletion() {
        let read: Metadata =
            serde_json::from_str(r#"{"deletionTimestamp": "9999-12-31T23:59:59Z"}"#).unwrap();
        assert!(read.deletion.is_some_and(|deletion| deletion.at.is_none()));
        let read: Metadata = serde_json::from_str(r#"{"deletionTimestamp": null}"#).unwrap();
        assert!(read.deletion.is_none());
    }

    #[test]
    fn only_the_controlling_task_run_of_all_owners_is_kept() {
        let owner = |kind: &str, controller: bool| serde_json::json!({"apiVersion": "tekton.dev/v1", "kind": kind, "name": "a", "uid": kind, "controller": controller});
        let json = serde_json::json!({"ownerReferences": [owner("TaskRun", false), owner("Job", true), owner("TaskRun", true)]});
        let read: Metadata = serde_json::from_str(&json.to_string()).unwrap();
        assert_eq!(&*read.task_run().unwrap().uid, "TaskRun");
        assert_eq!(read.pipeline_run_uid(), None);
        let read: Metadata = serde_json::from_str(r#"{"ownerReferences": null}"#).unwrap();
        assert!(read.task_run().is_none());
    }
}
