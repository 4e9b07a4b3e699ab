//! Reads the logs of a recording.

use super::change::LogTarget;
use super::error::ObserveError;
use super::log_capture::LogCapture;
use super::log_mask::LogMask;
use crate::step::CapturedLog;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The logs of recordings. `CASE.logs.json` maps `<pod>-<container>` to a text, or to `null` if
/// there is no log. A log that was read before its Pod was deleted has the key `before-<step>`. If
/// an earlier Pod had the same name, the log has the key `<UID of the pod>-<container>`.
///
/// Recordings that are played together keep their logs in separate maps.
#[derive(Clone, Debug, Default)]
pub struct RecordedLogs(Vec<BTreeMap<String, Option<String>>>);

impl RecordedLogs {
    /// Returns the path at which the logs of a recording are expected.
    #[must_use]
    pub fn path_for(recording: &Path) -> PathBuf {
        recording.with_extension("logs.json")
    }

    /// Reads the logs beside a recording. Without such a file there are no logs.
    ///
    /// # Errors
    ///
    /// The file exists but cannot be read, or is not a JSON object of strings and `null`.
    pub fn read_beside(recording: &Path) -> Result<Self, ObserveError> {
        let path = Self::path_for(recording);
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

    /// Adds the logs of another recording. If several recordings have a log of the same container,
    /// the log that was added first is used.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Parses the content of a log file.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object of strings and `null`.
    pub fn parse(name: &str, json: &str) -> Result<Self, ObserveError> {
        serde_json::from_str(json)
            .map(|logs| Self(vec![logs]))
            .map_err(|source| ObserveError::NotLogs {
                name: name.to_owned(),
                problem: super::error::without_values(&source),
            })
    }

    /// Returns the log of a container, at most `max_bytes` of it, masked.
    #[must_use]
    pub fn read(&self, target: &LogTarget, max_bytes: usize, mask: &LogMask) -> CapturedLog {
        let step = step_observer_core::step_name(&target.container);
        let find = |name: String| self.0.iter().find_map(|logs| logs.get(&name));
        let text = find(format!("{}-{}", target.pod_uid, target.container))
            .or_else(|| find(format!("{}-{}", target.pod, target.container)))
            .or_else(|| find(format!("before-{step}")));
        match text {
            None | Some(None) => CapturedLog::unavailable("not in the recording"),
            Some(Some(text)) => {
                let mut capture = LogCapture::masked(max_bytes, mask);
                capture.push(text.as_bytes());
                capture.finish()
            }
        }
    }
}
