//! Replays of recordings into one sink, with a journal.

use crate::path;
use crate::program::Program;
use crate::recording::{copies, watch_events};
use crate::sink::PATIENCE;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

/// A running replay into one sink, with a journal. Its process is killed when this value is
/// dropped.
#[derive(Debug)]
pub struct Replay {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
}

impl Replay {
    /// Starts a replay of a recording with three steps and six events. `to` is the `to` of the sink
    /// in YAML.
    #[must_use]
    pub fn start(folder: &Path, to: &str) -> Self {
        Self::with_recording(&path("recordings/a-success.jsonl"), folder, to, "")
    }

    /// Starts a replay of another recording. `retry` is YAML that is appended to the retry
    /// settings.
    #[must_use]
    pub fn with_recording(recording: &Path, folder: &Path, to: &str, retry: &str) -> Self {
        let config = folder.join("config.yaml");
        let text = format!(
            "sinks: [{{name: all, to: {{{to}}}, retry: {{initialMs: 1, maxMs: 50{retry}}}}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Program::new()
            .arg("replay")
            .arg(recording)
            .args(["--log", "info", "--give-up", "60", "--config"])
            .arg(&config)
            .arg("--journal")
            .arg(folder.join("journal"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            log: String::new(),
        }
    }

    /// Waits until the log of the replay contains a text.
    ///
    /// # Panics
    ///
    /// If it does not contain the text within [`PATIENCE`].
    pub async fn wait_for_log(&mut self, text: &str) {
        let said = async {
            while !self.log.contains(text) {
                let read = self.stderr.read_line(&mut self.log).await.unwrap();
                assert!(read > 0, "{text}: {}", self.log);
            }
        };
        let is_said = timeout(PATIENCE, said).await.is_ok();
        assert!(is_said, "no {text:?} in {PATIENCE:?}: {}", self.log);
    }

    /// Waits until the replay logs a text in a line after those read so far.
    pub async fn wait_for_new_log(&mut self, text: &str) {
        self.log.clear();
        self.wait_for_log(text).await;
    }

    /// Waits for the end of the replay, and asserts whether it succeeds. Returns its log.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`].
    pub async fn finish(mut self, success: bool) -> String {
        let rest = timeout(PATIENCE, self.stderr.read_to_string(&mut self.log));
        rest.await.expect("the replay did not end in time").unwrap();
        let status = self.child.wait().await.unwrap();
        assert_eq!(status.success(), success, "{}", self.log);
        self.log
    }
}

/// Writes a recording of this number of runs, and returns its path.
#[must_use]
pub fn write_runs(folder: &Path, runs: usize) -> PathBuf {
    let recording = folder.join("runs.jsonl");
    let lines = copies(&watch_events("a-success"), runs).join("\n");
    std::fs::write(&recording, lines).unwrap();
    recording
}

/// Returns the lines that a file sink receives when the recording of [`Replay::start`] is replayed.
pub async fn file_sink_lines(folder: &Path) -> Vec<String> {
    let file = folder.join("events.jsonl");
    let status = Program::new()
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .arg("--to")
        .arg(format!("file:{}", file.display()))
        .status()
        .await
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

/// Returns the number of dead letters that a replay has left.
pub async fn count_dead_letters(folder: &Path) -> usize {
    let output = Program::new()
        .args(["dead-letters", "list", "--json", "--journal"])
        .arg(folder.join("journal"))
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().count()
}
