//! State of the cluster: objects, their history, logs, and configured faults.

use super::authorise::Authoriser;
use super::faults::Script;
use super::generated::GeneratedList;
use super::request::Request;
use jiff::SignedDuration;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Number of lists whose further pages can be requested.
const SNAPSHOTS: u64 = 64;

/// Served resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// `pods`
    Pods,
    /// `taskruns.tekton.dev`
    TaskRuns,
    /// `pipelineruns.tekton.dev`
    PipelineRuns,
    /// `configmaps`
    ConfigMaps,
    /// `secrets`
    Secrets,
}

impl Resource {
    pub(super) fn named(group: &str, plural: &str) -> Option<Self> {
        match (group, plural) {
            ("", "pods") => Some(Self::Pods),
            ("tekton.dev", "taskruns") => Some(Self::TaskRuns),
            ("tekton.dev", "pipelineruns") => Some(Self::PipelineRuns),
            ("", "configmaps") => Some(Self::ConfigMaps),
            ("", "secrets") => Some(Self::Secrets),
            _ => None,
        }
    }

    pub(super) fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Pods => ("v1", "Pod"),
            Self::TaskRuns => ("tekton.dev/v1", "TaskRun"),
            Self::PipelineRuns => ("tekton.dev/v1", "PipelineRun"),
            Self::ConfigMaps => ("v1", "ConfigMap"),
            Self::Secrets => ("v1", "Secret"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) revision: u64,
    /// Watches from an earlier revision are answered with 410.
    pub(super) forgotten: u64,
    /// True if the status 410 is sent as HTTP status, false if it is sent as an event in the
    /// stream.
    pub(super) gone_by_http: bool,
    /// Status for watches that request initial events.
    pub(super) no_streaming_lists: Option<u16>,
    /// Number of closings so far. A watch that began before the latest closing ends.
    pub(super) closings: u64,
    /// All watches end each time the revision reaches a multiple of this number; 0 for never.
    pub(super) close_every: u64,
    /// Number of stalls so far. A watch that began before the latest stall sends nothing more.
    pub(super) stalls: u64,
    pub(super) objects: BTreeMap<(Resource, String, String), Value>,
    /// Lists that replace those of `objects`.
    pub(super) generated: HashMap<Resource, Arc<GeneratedList>>,
    pub(super) history: Vec<Past>,
    /// Lists whose further pages can be requested, by id: each with its revision and all its
    /// objects.
    pub(super) snapshots: BTreeMap<u64, (u64, Arc<Vec<Value>>)>,
    /// Created Events (events.k8s.io/v1).
    pub(super) notes: Vec<Value>,
    /// Leases (coordination.k8s.io/v1) by namespace and name.
    pub(super) leases: BTreeMap<(String, String), Value>,
    /// Their holders, in the order in which they came.
    pub(super) holders: Vec<String>,
    pub(super) logs: HashMap<String, String>,
    /// Pods whose log reads are blocked.
    pub(super) held_logs: HashSet<String>,
    /// Forbidden resources, or `namespace/resource`.
    pub(super) denied: HashSet<String>,
    pub(super) rbac: Option<Authoriser>,
    /// `used`: rights that allowed a request; `denials`: messages of forbidden requests.
    pub(super) used: BTreeSet<String>,
    pub(super) denials: Vec<String>,
    /// `users`: users (`UserInfo`) by their tokens; `visits`: name of a user and a non-resource
    /// path that this user may `get`.
    pub(super) users: HashMap<String, Value>,
    pub(super) visits: HashSet<(String, String)>,
    pub(super) script: Script,
    pub(super) requests: Vec<String>,
    pub(super) times: Vec<Instant>,
    pub(super) clock_ahead: SignedDuration,
    pub(super) watches: u64,
}

/// A change: the object before and after it.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) revision: u64,
    pub(super) resource: Resource,
    pub(super) before: Option<Value>,
    pub(super) now: Option<Value>,
    /// The line of a watch that reports this change, if it was given as text.
    pub(super) line: Option<String>,
}

pub(super) fn key(object: &Value) -> (Resource, String, String) {
    let resource = match object["kind"].as_str() {
        Some("Pod") => Resource::Pods,
        Some("PipelineRun") => Resource::PipelineRuns,
        Some("ConfigMap") => Resource::ConfigMaps,
        Some("Secret") => Resource::Secrets,
        _ => Resource::TaskRuns,
    };
    let text = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (resource, text("namespace"), text("name"))
}

impl Model {
    pub(super) fn apply(&mut self, kind: &str, object: Value) {
        self.apply_line(kind, object, None);
    }

    /// Applies a change. If `line` is given, watches report the change with this line; only the
    /// resource version in it is replaced.
    pub(super) fn apply_line(&mut self, kind: &str, mut object: Value, line: Option<&str>) {
        self.revision += 1;
        let line = line.map(|line| {
            let old = &object["metadata"]["resourceVersion"];
            let version = |version: &str| format!("\"resourceVersion\":\"{version}\"");
            let (old, new) = (old.as_str().unwrap(), self.revision.to_string());
            format!("{}\n", line.replacen(&version(old), &version(&new), 1))
        });
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let key = key(&object);
        let resource = key.0;
        let deleted = kind == "DELETED";
        let before = if deleted {
            self.objects.remove(&key)
        } else {
            self.objects.insert(key, object.clone())
        };
        // A deletion has its own revision, which the deleted object carries.
        let (before, now) = match (deleted, before) {
            (true, Some(mut last)) => {
                last["metadata"]["resourceVersion"] = self.revision.to_string().into();
                (Some(last), None)
            }
            (true, None) => return,
            (false, before) => (before, Some(object)),
        };
        self.history.push(Past {
            revision: self.revision,
            resource,
            before,
            now,
            line,
        });
        if self.close_every > 0 && self.revision.is_multiple_of(self.close_every) {
            self.closings += 1;
        }
    }

    /// Returns the objects that a list or watch selects.
    pub(super) fn matching(
        &self,
        request: &Request,
        resource: Resource,
    ) -> impl Iterator<Item = &Value> {
        let objects = self.objects.iter();
        let of_kind = objects.filter(move |((kind, ..), _)| *kind == resource);
        of_kind
            .map(|(_, object)| object)
            .filter(|object| request.wants(object))
    }

    /// Keeps a list for its further pages.
    pub(super) fn keep(&mut self, revision: u64, all: Arc<Vec<Value>>) -> u64 {
        let id = self.snapshots.last_key_value().map_or(1, |(id, _)| id + 1);
        self.snapshots.insert(id, (revision, all));
        self.snapshots.retain(|other, _| other + SNAPSHOTS > id);
        id
    }
}

impl Request {
    pub(super) fn wants(&self, object: &Value) -> bool {
        let namespace = self.asked.namespace.as_deref();
        namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace)
            && self.selector.selects(object)
    }
}
