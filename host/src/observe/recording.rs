//! A recorded or piped watch stream as a source, and its logs.

use super::documents::Documents;
use super::tracker::{Change, LogTarget};
use super::{ObserveError, Seen, Speed};
use crate::clock;
use crate::step::CapturedLog;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One line of a recording, or one document of `kubectl get -w --output-watch-events -o json`.
#[derive(Deserialize)]
struct WatchEvent<'a> {
    at: Option<Timestamp>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

/// The latest time that an object holds: about when it was sent. Not its `deletionTimestamp`, which
/// is in the future.
fn latest_time(object: &str) -> Option<Timestamp> {
    let mut latest = None;
    let mut name = "";
    for text in object.split('"') {
        let is_time = text.len() >= 20 && text.starts_with("20") && text.ends_with('Z');
        if is_time && name != "deletionTimestamp" {
            latest = latest.max(text.parse().ok());
        } else if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !text.is_empty() {
            name = text;
        }
    }
    latest
}

/// Hands the changes of a stream on, in order and each with its time, until whoever takes them answers `false`.
pub type Player = Box<dyn FnOnce(&mut dyn FnMut(Seen) -> bool) -> Result<(), ObserveError> + Send>;

/// Plays a stream when it is asked to; of one that is happening now (`live`), what has no time has this machine's.
#[must_use]
pub fn player(
    name: String,
    reader: impl Read + Send + 'static,
    speed: Speed,
    live: bool,
) -> Player {
    let clock = move || live.then(clock::now);
    Box::new(move |emit| play(&name, reader, speed, clock, emit))
}

/// Reads a stream and hands each change to `emit` with its time, in order. `emit` answers `false`
/// to stop. Times are the recording's, else `clock`'s.
///
/// # Errors
///
/// The stream is not a recording, or cannot be read. What came before the error was emitted.
pub fn play(
    name: &str,
    reader: impl Read,
    speed: Speed,
    clock: impl Fn() -> Option<Timestamp>,
    mut emit: impl FnMut(Seen) -> bool,
) -> Result<(), ObserveError> {
    let mut documents = Documents::new(reader);
    let mut time: Option<Timestamp> = None;
    let mut number = 0_usize;
    loop {
        let bad = |source: serde_json::Error| ObserveError::NotARecording {
            name: name.to_owned(),
            event: number + 1,
            problem: super::without_values(&source),
        };
        let Some(document) = documents.next().map_err(bad)? else {
            break;
        };
        let event: WatchEvent<'_> = serde_json::from_str(document).map_err(bad)?;
        let kind: Kind = serde_json::from_str(event.object.get()).map_err(bad)?;
        let now = if event.at.is_none() { clock() } else { None };
        let told = event.at.or(now).or_else(|| latest_time(event.object.get()));
        // Two watches may be recorded a moment out of order; time does not go back.
        let at = told.max(time).unwrap_or(Timestamp::UNIX_EPOCH);
        if let (Speed::Times(factor), Some(before)) = (speed, time) {
            std::thread::sleep(pause(before, at, factor));
        }
        time = Some(at);
        let changes = changes(&kind.kind, event.kind, event.object).map_err(bad)?;
        number += 1;
        for change in changes {
            if !emit(Seen {
                at,
                now: now.is_some(),
                change,
            }) {
                return Ok(());
            }
        }
    }
    if number == 0 {
        return Err(ObserveError::EmptyRecording {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn pause(before: Timestamp, at: Timestamp, factor: f64) -> Duration {
    let gap = Duration::try_from(at.duration_since(before)).unwrap_or_default();
    gap.div_f64(factor.max(0.01))
}

fn changes(kind: &str, event: &str, object: &RawValue) -> Result<Vec<Change>, serde_json::Error> {
    let deleted = match event {
        "ADDED" | "MODIFIED" => false,
        "DELETED" => true,
        // Bookmarks and errors say nothing about a step.
        _ => return Ok(Vec::new()),
    };
    let mut changes = Vec::new();
    match kind {
        "Pod" => {
            let pod: super::SlimPod = serde_json::from_str(object.get())?;
            let gone = pod.gone();
            changes.push(Change::Pod(Box::new(pod)));
            changes.extend(gone.filter(|_| deleted));
        }
        "TaskRun" => {
            let run: super::SlimTaskRun = serde_json::from_str(object.get())?;
            let gone = run.gone();
            changes.push(Change::TaskRun(Box::new(run)));
            changes.extend(gone.filter(|_| deleted));
        }
        _ => {}
    }
    Ok(changes)
}

/// The logs beside a recording: `CASE.logs.json` maps `<pod>-<container>` to a text. Logs that were
/// read before a pod was deleted stand under `before-<step>`.
#[derive(Clone, Debug, Default)]
pub struct RecordedLogs(BTreeMap<String, String>);

impl RecordedLogs {
    /// Where the logs of a recording are expected.
    #[must_use]
    pub fn path_of(recording: &Path) -> PathBuf {
        recording.with_extension("logs.json")
    }

    /// Reads the logs beside a recording; none where there is no such file.
    ///
    /// # Errors
    ///
    /// The file is there but cannot be read, or is not a JSON object of strings.
    pub fn beside(recording: &Path) -> Result<Self, ObserveError> {
        let path = Self::path_of(recording);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(ObserveError::Read {
                    name: path.display().to_string(),
                    source,
                });
            }
        };
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses the content of a log file.
    ///
    /// # Errors
    ///
    /// It is not a JSON object of strings.
    pub fn parse(name: &str, json: &str) -> Result<Self, ObserveError> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|source| ObserveError::NotLogs {
                name: name.to_owned(),
                problem: super::without_values(&source),
            })
    }

    /// The log of one container, bounded.
    #[must_use]
    pub fn read(&self, target: &LogTarget, max_bytes: usize) -> CapturedLog {
        let step = step_observer_core::step_name(&target.container);
        let text = self
            .0
            .get(&format!("{}-{}", target.pod, target.container))
            .or_else(|| self.0.get(&format!("before-{step}")));
        match text {
            None => CapturedLog::unavailable("not in the recording"),
            Some(text) => {
                let mut capture = super::LogCapture::new(max_bytes);
                capture.push(text.as_bytes());
                capture.finish()
            }
        }
    }
}
