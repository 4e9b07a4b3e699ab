//! Writes what a cluster shows as a recording that `replay` plays: watch events and logs, masked before anything of them
//! reaches a disk.

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

/// What is to be recorded, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct RecordLimits {
    /// Most bytes of all files together.
    pub max_bytes: u64,
    /// Runs that ended before are history.
    pub horizon: Timestamp,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recorder {
    files: RecordingFiles,
    masker: Masker,
    limits: RecordLimits,
    /// All first lists are complete. Until then time stands still at the first: no list is later than another.
    is_listed: bool,
    first: Option<Timestamp>,
    /// The last state of each object that is there, by its UID.
    present: HashMap<String, EventLocation>,
    /// UIDs of TaskRuns, and of pods of others, that are history.
    history: HashSet<String>,
    /// Pods that no TaskRun has named yet.
    unclaimed: UnclaimedPods,
    /// UIDs of TaskRuns that have not ended.
    open: HashSet<String>,
    /// UIDs of the first pods of their names, by name: their logs are found by it.
    identity: HashMap<String, String>,
    counts: RecordCounts,
    last_change: Instant,
    failure: Option<RecordError>,
}

/// What was recorded so far.
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
    /// Pods that were left out: no TaskRun has named them.
    pub pods_unclaimed: usize,
    /// Objects and logs of which something could not be masked, and was left out.
    pub omitted: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Recorder {
    /// Begins a recording in a folder that is empty or does not exist. Everything is masked with the rules of
    /// `redactor`; without one nothing is.
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
            history: HashSet::new(),
            unclaimed: UnclaimedPods::default(),
            open: HashSet::new(),
            identity: HashMap::new(),
            counts: RecordCounts::default(),
            last_change: Instant::now(),
            failure: None,
        })
    }

    /// Takes what a watch shows. After a failure nothing more is taken: see [`Recorder::finish`].
    pub fn record_event(&mut self, at: Timestamp, tapped: RawEvent<'_>) {
        if self.failure.is_some() {
            return;
        }
        let at = match self.is_listed {
            true => at,
            false => *self.first.get_or_insert(at),
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
        if is_new && self.is_history(identity, &object) {
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
        match is_gone || has_ended(&object) {
            true => self.open.remove(identity.uid),
            false => self.open.insert(identity.uid.to_owned()),
        };
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
        match event == "DELETED" {
            true => drop(self.present.remove(uid)),
            false => drop(self.present.insert(uid.to_owned(), line)),
        }
        Ok(())
    }

    /// Is it, or its TaskRun, history? Then it is not recorded, now or later.
    fn is_history(&mut self, identity: &ObjectIdentity<'_>, object: &Value) -> bool {
        let of_run = identity
            .run_uid
            .is_some_and(|uid| self.history.contains(uid));
        if of_run || self.history.contains(identity.uid) {
            return true;
        }
        if self.is_listed {
            // What ends from now on is none. What is deleted and was not recorded, was history before.
            return false;
        }
        let ended = match identity.kind {
            "Pod" => pod_ended(object),
            _ => time(object, "/status/completionTime"),
        };
        let is_history = ended.is_some_and(|ended| ended < self.limits.horizon);
        if is_history {
            self.history.insert(identity.uid.to_owned());
        }
        is_history
    }

    /// Records that an object was deleted, with its last state that was recorded.
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

    /// Takes the log of a step that has ended; `None` if it could not be read.
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
                    "a log cannot be masked, and is left out"
                );
            }
        }
        let has_name = self
            .identity
            .get(&*transition.pod_name)
            .is_none_or(|first| first == uid);
        let name = match has_name {
            true => &*transition.pod_name,
            // Another pod had its name before.
            false => uid,
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
            "an object cannot be masked or read as a whole: texts of it are left out"
        );
    }

    /// What was recorded so far.
    #[must_use]
    pub fn counts(&self) -> RecordCounts {
        let (events, logs) = self.files.sizes();
        RecordCounts {
            bytes: events + logs,
            pods_unclaimed: self.unclaimed.count(),
            ..self.counts
        }
    }

    /// What was masked; `None` if nothing is.
    #[must_use]
    pub fn masked(&self) -> Option<&RedactionCounts> {
        self.masker.masks().then(|| self.masker.counts())
    }

    /// The files of watch events and of logs.
    #[must_use]
    pub fn paths(&self) -> (&Path, &Path) {
        self.files.paths()
    }

    /// Since when nothing has changed, if there are runs and all of them have ended.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.is_listed && self.counts.task_runs > 0 && self.open.is_empty();
        is_idle.then_some(self.last_change)
    }

    /// Is everything known that was there at the start?
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Has it failed?
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    ///
    /// It could not be written, now or before.
    pub fn finish(&mut self) -> Result<(), RecordError> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.files.finish(),
        }
    }
}

/// What names an object beside its JSON.
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
    let conditions = task_run
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| {
        text(condition, "/type") == "Succeeded"
            && matches!(text(condition, "/status"), "True" | "False")
    })
}

/// When a pod has ended: all of its containers have.
fn pod_ended(pod: &Value) -> Option<Timestamp> {
    if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        return None;
    }
    let statuses = pod
        .pointer("/status/containerStatuses")
        .and_then(Value::as_array);
    let statuses = statuses.into_iter().flatten();
    let ends = statuses.map(|status| time(status, "/state/terminated/finishedAt"));
    // One that has no time has an unknown one.
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}
