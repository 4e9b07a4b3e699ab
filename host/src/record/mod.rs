//! Writes the watch events and logs of a cluster as a recording that `replay` plays. Everything is
//! masked before it reaches a disk.

mod files;
mod mask;
mod structure;
mod unclaimed_pods;

pub use files::RecordError;

use crate::observe::RawEvent;
use crate::plugin::Plugin;
use crate::redact::RedactionCounts;
use crate::step::StepRecord;
use files::{EventLocation, RecordingFiles};
use jiff::Timestamp;
use mask::{Masked, Masker};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Instant;
use tracing::warn;
use unclaimed_pods::{UnclaimedPod, UnclaimedPods};

/// Bounds a recording.
#[derive(Clone, Copy, Debug)]
pub struct RecordLimits {
    /// Maximum bytes of all files together.
    pub max_bytes: u64,
    /// Runs that ended before this time are not recorded.
    pub horizon: Timestamp,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recorder {
    files: RecordingFiles,
    masker: Masker,
    limits: RecordLimits,
    /// True if all initial lists are complete. Until then every event gets the time of the first
    /// event, so that all initial lists have the same time.
    is_listed: bool,
    first: Option<Timestamp>,
    /// The line with the last state of each existing object, by its UID.
    present: HashMap<String, EventLocation>,
    /// UIDs of the objects that ended before the horizon. A Pod is not added if its TaskRun is in
    /// the set already.
    before_horizon: HashSet<String>,
    /// Pods that no TaskRun has named yet.
    unclaimed: UnclaimedPods,
    /// UIDs of TaskRuns that have not ended.
    open: HashSet<String>,
    /// Maps the name of a Pod to the UID of the first Pod with this name, because a log is found by
    /// the name of its Pod.
    identity: HashMap<String, String>,
    counts: RecordCounts,
    last_change: Instant,
    failure: Option<RecordError>,
}

/// Counts what was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Watch events.
    pub events: usize,
    /// TaskRuns.
    pub task_runs: usize,
    /// Pods.
    pub pods: usize,
    /// Logs.
    pub logs: usize,
    /// Logs of steps that could not be read.
    pub logs_unavailable: usize,
    /// Pods that were omitted because no TaskRun named them.
    pub pods_unclaimed: usize,
    /// Objects and logs that were omitted completely or in part because they could not be masked or
    /// read.
    pub omitted: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Recorder {
    /// Creates a recording in a folder that is empty or does not exist. The rules of `redactor`
    /// mask everything; without it nothing is masked.
    ///
    /// # Errors
    ///
    /// The folder cannot be used.
    pub fn create(
        folder: &Path,
        redactor: Option<&Plugin>,
        limits: RecordLimits,
    ) -> Result<Self, RecordError> {
        Ok(Self {
            files: RecordingFiles::create(folder, limits.max_bytes)?,
            masker: Masker::new(redactor.map(Plugin::rule_sets)),
            limits,
            is_listed: false,
            first: None,
            present: HashMap::new(),
            before_horizon: HashSet::new(),
            unclaimed: UnclaimedPods::default(),
            open: HashSet::new(),
            identity: HashMap::new(),
            counts: RecordCounts::default(),
            last_change: Instant::now(),
            failure: None,
        })
    }

    /// Records an event of a watch. After a failure all further events are ignored, and
    /// [`Recorder::finish`] returns the error.
    pub fn record_event(&mut self, at: Timestamp, tapped: RawEvent<'_>) {
        if self.failure.is_some() {
            return;
        }
        let at = if self.is_listed {
            at
        } else {
            *self.first.get_or_insert(at)
        };
        let done = match tapped {
            RawEvent::Listed => {
                self.is_listed = true;
                Ok(())
            }
            RawEvent::Gone { uid } => self.record_gone(at, uid),
            RawEvent::Object {
                event,
                api_version,
                kind,
                uid,
                run_uid,
                json,
            } => {
                let identity = ObjectIdentity {
                    api_version,
                    kind,
                    uid,
                    run_uid: run_uid.as_deref(),
                };
                self.record_object(at, event, &identity, json)
            }
        };
        self.failure = done.err();
    }

    fn record_object(
        &mut self,
        at: Timestamp,
        event: &str,
        identity: &ObjectIdentity<'_>,
        json: &str,
    ) -> Result<(), RecordError> {
        let Masked {
            mut object,
            is_incomplete,
        } = self.masker.object(json, identity.kind);
        if let Some(object) = object.as_object_mut() {
            object.insert("apiVersion".to_owned(), identity.api_version.into());
            object.insert("kind".to_owned(), identity.kind.into());
        }
        let is_new = !self.present.contains_key(identity.uid);
        if is_new && self.is_before_horizon(identity, &object) {
            return Ok(());
        }
        if is_incomplete {
            self.note_omission(identity.kind, &object);
        }
        self.last_change = Instant::now();
        let is_gone = event == "DELETED";
        if identity.kind == "Pod" {
            let pod = UnclaimedPod {
                uid: identity.uid.to_owned(),
                namespace: text(&object, "/metadata/namespace").to_owned(),
                name: text(&object, "/metadata/name").to_owned(),
                is_gone,
                object,
                size: json.len(),
            };
            let first = self.identity.entry(pod.name.clone());
            first.or_insert_with(|| pod.uid.clone());
            let run = identity.run_uid.unwrap_or_default();
            return match self.unclaimed.insert(run, pod) {
                Some(pod) => self.add_pod(at, event, &pod),
                None => Ok(()),
            };
        }
        self.counts.task_runs += usize::from(is_new);
        if is_gone || has_ended(&object) {
            self.open.remove(identity.uid);
        } else {
            self.open.insert(identity.uid.to_owned());
        }
        self.add(at, event, identity.uid, &object)?;
        for pod in self.unclaimed.observe_task_run(identity.uid, &object) {
            let event = if pod.is_gone { "DELETED" } else { "ADDED" };
            self.add_pod(at, event, &pod)?;
        }
        Ok(())
    }

    fn add_pod(
        &mut self,
        at: Timestamp,
        event: &str,
        pod: &UnclaimedPod,
    ) -> Result<(), RecordError> {
        self.counts.pods += usize::from(!self.present.contains_key(&pod.uid));
        self.add(at, event, &pod.uid, &pod.object)
    }

    fn add(
        &mut self,
        at: Timestamp,
        event: &str,
        uid: &str,
        object: &Value,
    ) -> Result<(), RecordError> {
        let line = self.files.add_event(&line(at, event, object))?;
        self.counts.events += 1;
        if event == "DELETED" {
            self.present.remove(uid);
        } else {
            self.present.insert(uid.to_owned(), line);
        }
        Ok(())
    }

    /// Returns whether an object or its TaskRun ended before the horizon. Such an object is never
    /// recorded.
    fn is_before_horizon(&mut self, identity: &ObjectIdentity<'_>, object: &Value) -> bool {
        let of_run = identity
            .run_uid
            .is_some_and(|uid| self.before_horizon.contains(uid));
        if of_run || self.before_horizon.contains(identity.uid) {
            return true;
        }
        if self.is_listed {
            // Objects that ended before the horizon were found in the initial lists. An object that
            // appears later is always recorded.
            return false;
        }
        let ended = match identity.kind {
            "Pod" => pod_ended(object),
            _ => time(object, "/status/completionTime"),
        };
        let is_before_horizon = ended.is_some_and(|ended| ended < self.limits.horizon);
        if is_before_horizon {
            self.before_horizon.insert(identity.uid.to_owned());
        }
        is_before_horizon
    }

    /// Records the deletion of an object, with the last recorded state of the object.
    fn record_gone(&mut self, at: Timestamp, uid: &str) -> Result<(), RecordError> {
        self.last_change = Instant::now();
        if self.unclaimed.mark_gone(uid) {
            return Ok(());
        }
        let Some(last) = self.present.get(uid).copied() else {
            return Ok(());
        };
        let last = self.files.event(last)?;
        let event: Value = serde_json::from_str(&last).unwrap_or_default();
        let object = event.get("object").unwrap_or(&Value::Null);
        self.open.remove(uid);
        self.add(at, "DELETED", uid, object)
    }

    /// Records the log of a step that has ended. `log` is `None` if the log could not be read.
    pub fn record_log(&mut self, record: &StepRecord, log: Option<&str>) {
        let transition = &record.transition;
        let Some(uid) = transition
            .pod_uid
            .as_deref()
            .filter(|_| self.failure.is_none())
        else {
            return;
        };
        self.last_change = Instant::now();
        let masked = log.and_then(|log| self.masker.log(log));
        match (log, &masked) {
            (None, _) => self.counts.logs_unavailable += 1,
            (Some(_), Some(_)) => self.counts.logs += 1,
            (Some(_), None) => {
                self.counts.omitted += 1;
                warn!(
                    pod = &*transition.pod_name,
                    container = &*transition.container,
                    "a log cannot be masked and is omitted"
                );
            }
        }
        let has_name = self
            .identity
            .get(&*transition.pod_name)
            .is_none_or(|first| first == uid);
        let name = if has_name {
            &*transition.pod_name
        } else {
            // An earlier Pod had its name.
            uid
        };
        if masked.is_some() || !has_name {
            let name = format!("{name}-{}", transition.container);
            self.failure = self.files.add_log(&name, masked.as_deref()).err();
        }
    }

    fn note_omission(&mut self, kind: &str, object: &Value) {
        self.counts.omitted += 1;
        warn!(
            kind,
            namespace = text(object, "/metadata/namespace"),
            name = text(object, "/metadata/name"),
            "an object cannot be masked or read as a whole: some of its texts are omitted"
        );
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counts(&self) -> RecordCounts {
        let (events, logs) = self.files.sizes();
        RecordCounts {
            bytes: events + logs,
            pods_unclaimed: self.unclaimed.count(),
            ..self.counts
        }
    }

    /// Returns how often each rule matched; `None` if nothing is masked.
    #[must_use]
    pub fn masked(&self) -> Option<&RedactionCounts> {
        self.masker.masks().then(|| self.masker.counts())
    }

    /// Returns the paths of the watch events and of the logs.
    #[must_use]
    pub fn paths(&self) -> (&Path, &Path) {
        self.files.paths()
    }

    /// Returns the time of the last change if at least one run is recorded and all recorded runs
    /// have ended.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.is_listed && self.counts.task_runs > 0 && self.open.is_empty();
        is_idle.then_some(self.last_change)
    }

    /// Returns whether all initial lists are complete.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Returns whether the recording has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Waits until all files are on the disk.
    ///
    /// # Errors
    ///
    /// A file could not be written, now or before.
    pub fn finish(&mut self) -> Result<(), RecordError> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.files.finish(),
        }
    }
}

/// The identity of an object.
struct ObjectIdentity<'a> {
    api_version: &'static str,
    kind: &'static str,
    uid: &'a str,
    run_uid: Option<&'a str>,
}

fn line(at: Timestamp, event: &str, object: &Value) -> String {
    json!({"at": at.to_string(), "type": event, "object": object}).to_string()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

fn has_ended(task_run: &Value) -> bool {
    let mut conditions = task_run
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    conditions.any(|condition| {
        text(condition, "/type") == "Succeeded"
            && matches!(text(condition, "/status"), "True" | "False")
    })
}

/// Returns the time at which a Pod has ended: the latest end of its containers.
fn pod_ended(pod: &Value) -> Option<Timestamp> {
    if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        return None;
    }
    let statuses = pod
        .pointer("/status/containerStatuses")
        .and_then(Value::as_array);
    let ends = statuses
        .into_iter()
        .flatten()
        .map(|status| time(status, "/state/terminated/finishedAt"));
    // If the end of one container is unknown, the end of the Pod is unknown, too.
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}
