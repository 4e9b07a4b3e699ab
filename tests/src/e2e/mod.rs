//! Cases that run on every cluster: the manifests of the recordings, with the expected events. On a
//! real cluster the manifests are applied, on the fake API server the recordings are played.

mod cluster;
pub mod known_secrets;

pub use cluster::{Cluster, STRANGER, connect, preflight};

use crate::path;
use crate::recording::json;
use crate::sink::Request;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A case: `recordings/NAME.yaml`, and `recordings/NAME.expected.json`.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name of the case.
    pub name: &'static str,
    /// The TaskRun is cancelled when this step has started.
    pub cancelled_at: Option<&'static str>,
}

const fn case(name: &'static str) -> Case {
    Case {
        name,
        cancelled_at: None,
    }
}

/// All cases: success, failure, an ignored failure, a step that `when` skips, cancellation,
/// timeout, retries, a missing image, and logs full of secrets.
pub const CASES: [Case; 9] = [
    case("a-success"),
    case("b-fail"),
    case("c-onerror"),
    case("m-when"),
    Case {
        name: "d-cancel",
        cancelled_at: Some("test"),
    },
    case("e-steptimeout"),
    case("f-retries"),
    case("h-badimage"),
    case("leaky"),
];

/// Result of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exactly its events came.
    Passed,
    /// Other events came, or some are missing.
    Failed(String),
    /// The case could not start.
    NotRun(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::NotRun(why) => write!(f, "NOT RUN: {why}"),
        }
    }
}

impl Case {
    /// Returns the manifest of the case, with an image that the cluster can pull.
    #[must_use]
    pub fn manifest(&self, image: &str) -> Value {
        let file = path(&format!("recordings/{}.yaml", self.name));
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.replace("localhost/busybox:1.35", image);
        crate::manifests::documents(&text).remove(0)
    }

    /// Returns the expected events of the case, by pod and in order.
    fn expected(&self) -> BTreeMap<String, Vec<Value>> {
        let mut pods: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let all = json(&format!("recordings/{}.expected.json", self.name));
        for event in all.as_array().unwrap() {
            let pod = event["pod"].as_str().unwrap().to_owned();
            pods.entry(pod).or_default().push(event.clone());
        }
        pods
    }

    /// Returns true if the expected number of events has come.
    #[must_use]
    pub fn is_complete(&self, told: &[Told]) -> bool {
        let expected = self.expected();
        expected.iter().all(|(pod, events)| {
            let came = told.iter().filter(|event| event.pod == *pod);
            came.count() >= events.len()
        })
    }

    /// Returns true if the step at which the case is cancelled has started.
    #[must_use]
    pub fn can_be_cancelled(&self, told: &[Told]) -> bool {
        let pod = format!("{}-pod", self.name);
        told.iter().any(|event| {
            event.pod == pod
                && event.event == "started"
                && self.cancelled_at == Some(event.step.as_str())
        })
    }

    /// Compares the received events with the expected ones.
    ///
    /// # Errors
    ///
    /// Names the pod and the first step that differs.
    pub fn judge(&self, told: &[Told]) -> Result<(), String> {
        for (pod, events) in self.expected() {
            let came: Vec<&Told> = told.iter().filter(|event| event.pod == pod).collect();
            for (number, expected) in events.iter().enumerate() {
                let step = &expected["step"];
                let wanted = format!("{} {}", text(step), text(&expected["event"]));
                let Some(event) = came.get(number) else {
                    return Err(format!("{pod}: {wanted} did not come"));
                };
                if !event.fits(expected) {
                    return Err(format!("{pod}: {expected} had to come, and {event:?} came"));
                }
            }
            if let Some(event) = came.get(events.len()) {
                return Err(format!("{pod}: {event:?} came besides"));
            }
        }
        Ok(())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An event as a sink received it, without members that may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Name of the pod.
    pub pod: String,
    /// Name of the step.
    pub step: String,
    /// `started`, `succeeded`, `failed` or `skipped`.
    pub event: String,
    /// Reason of the end.
    pub reason: Option<String>,
    /// Exit code of the step.
    pub exit_code: Option<i64>,
}

impl Told {
    /// Parses a request in binary mode.
    #[must_use]
    pub fn read(request: &Request) -> Self {
        let data: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let last = |text: &str, by: char| text.rsplit(by).next().unwrap_or_default().to_owned();
        let kind = request.header("ce-type").trim_end_matches(".v1");
        Self {
            pod: text(&data["podRef"]["name"]).to_owned(),
            step: last(request.header("ce-subject"), '/'),
            event: last(kind, '.'),
            reason: data["reason"].as_str().map(str::to_owned),
            exit_code: data["exitCode"].as_i64(),
        }
    }

    fn fits(&self, expected: &Value) -> bool {
        let reasons = match &expected["reason"] {
            Value::Array(any) => any.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let reason = self.reason.as_deref().unwrap_or_default();
        let code = expected["exitCode"].as_i64();
        self.step == expected["step"]
            && self.event == expected["event"]
            && (reasons.is_empty() || reasons.iter().any(|allowed| allowed == reason))
            && (code.is_none() || code == self.exit_code)
    }
}
