//! Recorded and derived watch streams, with their expected events.
//!
//! Sources: `recordings/` were recorded on Kubernetes 1.36.2 with Tekton Pipelines 1.15,
//! `fixtures/` were derived from Tekton's code, `cases/` were written by hand, each for one rule
//! (see the README in each).

use crate::api_server::ApiServer;
use crate::path;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use step_observer::observe::{Change, Finding, Speed, TimedChange, Tracker, play};
use step_observer::step::StepRecord;
use step_observer_core::{Kind, Ledger};

/// Returns all recordings by name.
#[must_use]
pub fn recordings() -> Vec<String> {
    names("recordings", ".jsonl")
}

/// Returns all fixtures by name.
#[must_use]
pub fn fixtures() -> Vec<String> {
    names("fixtures", ".json")
}

/// Returns all hand-written cases by name.
#[must_use]
pub fn cases() -> Vec<String> {
    names("cases", ".jsonl")
}

fn names(folder: &str, end: &str) -> Vec<String> {
    let files = std::fs::read_dir(path(folder))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|file| file.strip_suffix(end).map(str::to_owned))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// Reads a JSON file below this crate.
#[must_use]
pub fn json(file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(file)).unwrap()).unwrap()
}

/// Returns the watch events of a recording, a case or a fixture, one JSON document each.
#[must_use]
pub fn watch_events(name: &str) -> Vec<Value> {
    let files = ["recordings", "cases"].map(|folder| path(&format!("{folder}/{name}.jsonl")));
    if let Some(recording) = files.iter().find(|file| file.exists()) {
        let text = std::fs::read_to_string(recording).unwrap();
        return text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
    }
    json(&format!("fixtures/{name}.json"))["watch"]
        .as_array()
        .unwrap()
        .clone()
}

/// Parses watch events into changes, as the program does.
#[must_use]
pub fn changes(events: &[Value]) -> Vec<TimedChange> {
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    let mut seen = Vec::new();
    play(
        "a stream",
        text.as_bytes(),
        Speed::Max,
        || None,
        |change| {
            seen.push(change);
            true
        },
    )
    .unwrap();
    seen
}

/// Passes changes through a new tracker, then lets time pass until nothing is due. Returns all step
/// records.
#[must_use]
pub fn track(changes: Vec<TimedChange>) -> Vec<StepRecord> {
    let mut tracker = Tracker::new(Ledger::from_stream_start());
    let mut records = feed(&mut tracker, changes);
    records.extend(settle(&mut tracker, Timestamp::MAX));
    records
}

/// Passes changes through a tracker, with their times.
#[must_use]
pub fn feed(tracker: &mut Tracker, changes: Vec<TimedChange>) -> Vec<StepRecord> {
    let mut records = Vec::new();
    for TimedChange { at, change, .. } in changes {
        records.extend(settle(tracker, at));
        records.extend(steps(tracker.apply(change, at)));
    }
    records
}

/// Lets time pass until nothing is due.
#[must_use]
pub fn settle(tracker: &mut Tracker, until: Timestamp) -> Vec<StepRecord> {
    let mut records = Vec::new();
    while let Some(due) = tracker.next_wake().filter(|due| *due <= until) {
        records.extend(steps(tracker.tick(due)));
    }
    records
}

/// Returns the step records among findings.
#[must_use]
pub fn steps(findings: Vec<Finding>) -> Vec<StepRecord> {
    findings
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::Record(record) => Some(*record),
            Finding::ReadLogNow(_)
            | Finding::ReadSecretsNow(_)
            | Finding::PodSteps(_)
            | Finding::Forgotten(_)
            | Finding::Unclaimed(_)
            | Finding::RunEnded(_)
            | Finding::TextsEvicted(_) => None,
        })
        .collect()
}

/// Takes the last TaskRun and the last Pod among `chosen`, watch events of the recording
/// `a-success`. Returns `runs` copies of both, with different names and UIDs.
#[must_use]
pub fn copies(chosen: &[Value], runs: usize) -> Vec<String> {
    let last = |kind: &str| {
        let found = chosen
            .iter()
            .rfind(|event| event["object"]["kind"] == kind && event["type"] != "DELETED");
        found.unwrap().to_string()
    };
    let (run, pod) = (last("TaskRun"), last("Pod"));
    let copy = |number: usize| {
        [&run, &pod].map(|event| {
            event
                .replace("a-success", &format!("run-{number:05}"))
                .replace("e3615a1c-2196", &format!("e3615a1c-{number:04x}"))
                .replace("967295fd-18d8", &format!("967295fd-{number:04x}"))
        })
    };
    (0..runs).flat_map(copy).collect()
}

/// Returns a text of the recording `a-success` with this name instead of that of its TaskRun, and with UIDs
/// that hold a number. Unlike those of [`copies`], they differ for more than 65,536 numbers.
#[must_use]
pub fn renamed(text: &str, name: &str, number: usize) -> String {
    text.replace("a-success", name)
        .replace("e3615a1c-2196", &format!("{number:08x}-2196"))
        .replace("967295fd-18d8", &format!("{number:08x}-18d8"))
}

/// Returns the id of a record's event.
#[must_use]
pub fn event_id(record: &StepRecord) -> String {
    record.transition.event_id(&format!(
        "dev.tekton.event.plugin.step.{}.v1",
        record.transition.kind.as_str()
    ))
}

/// Returns the end of a `sequence`: position of the step, and phase.
#[must_use]
pub fn step_and_phase(sequence: &str) -> &str {
    let start = sequence.len().saturating_sub("0000-0".len());
    sequence.get(start..).unwrap_or_default()
}

/// Returns true for a change of a Pod.
#[must_use]
pub fn is_pod(event: &Value) -> bool {
    event["object"]["kind"] == "Pod"
}

/// Returns the first change: all lists are complete.
#[must_use]
pub fn listed(at: Timestamp) -> TimedChange {
    TimedChange {
        at,
        is_live: false,
        change: Change::Listed {
            without: Vec::new(),
        },
    }
}

/// Returns the ids of the events of a recording, a case or a fixture.
#[must_use]
pub fn expected_ids(name: &str) -> BTreeSet<String> {
    track(changes(&watch_events(name)))
        .iter()
        .map(event_id)
        .collect()
}

/// Tracks watch events, and describes the records as `step phase reason`.
#[must_use]
pub fn transitions(events: &[Value]) -> Vec<String> {
    track(changes(events)).iter().map(describe).collect()
}

/// Describes a record as `step phase reason`.
#[must_use]
pub fn describe(record: &StepRecord) -> String {
    let transition = &record.transition;
    let why = match &transition.kind {
        Kind::Started => String::new(),
        Kind::Succeeded(outcome) | Kind::Failed(outcome) => format!(" {}", outcome.reason),
        Kind::Skipped(_, cause) => format!(" {}", cause.as_str()),
    };
    format!("{} {}{why}", transition.step(), transition.kind.as_str())
}

/// Returns the container status of a step in a watch event of a Pod.
pub fn container_status<'a>(event: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    let name = format!("step-{step}");
    let statuses = event["object"]["status"]["containerStatuses"].as_array_mut()?;
    statuses.iter_mut().find(|status| status["name"] == *name)
}

/// Returns the watch events of Pods.
pub fn pod_events(events: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    events.iter_mut().filter(|event| is_pod(event))
}

/// Gives the API server the logs of a recording.
pub fn set_recorded_logs(server: &ApiServer, name: &str) {
    for (target, text) in json(&format!("recordings/{name}.logs.json"))
        .as_object()
        .unwrap()
    {
        let text = text.as_str().unwrap();
        server.set_log(target, text);
        if let Some(step) = target.strip_prefix("before-") {
            server.set_log(&format!("{name}-pod-step-{step}"), text);
        }
    }
}
