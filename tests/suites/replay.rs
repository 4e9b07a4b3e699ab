//! Replays of recordings into one sink, with a journal.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::PATIENCE;
use step_observer_tests::{path, program};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// A replay into a sink.
pub(crate) struct Replay {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
}

impl Replay {
    /// Of a recording of three steps, six events. `to` says what the sink is.
    pub(crate) fn start(folder: &Path, to: &str) -> Self {
        Self::of(&path("recordings/a-success.jsonl"), folder, to, "")
    }

    pub(crate) fn of(recording: &Path, folder: &Path, to: &str, retry: &str) -> Self {
        let config = folder.join("config.yaml");
        let text = format!(
            "sinks: [{{name: all, to: {{{to}}}, retry: {{initialMs: 1, maxMs: 50{retry}}}}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(program())
            .arg("replay")
            .arg(recording)
            .args(["--log", "info", "--give-up", "60", "--config"])
            .arg(&config)
            .arg("--journal")
            .arg(folder.join("journal"))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            log: String::new(),
        }
    }

    /// Waits until it has logged a text.
    pub(crate) async fn says(&mut self, text: &str) {
        let said = async {
            while !self.log.contains(text) {
                let read = self.stderr.read_line(&mut self.log).await.unwrap();
                assert!(read > 0, "{text}: {}", self.log);
            }
        };
        timeout(PATIENCE, said).await.expect(text);
    }

    /// The same, after all that it has logged so far.
    pub(crate) async fn says_again(&mut self, text: &str) {
        self.log.clear();
        self.says(text).await;
    }

    /// Waits for its end, and gives what it has logged.
    pub(crate) async fn ends(mut self, well: bool) -> String {
        let rest = timeout(PATIENCE, self.stderr.read_to_string(&mut self.log));
        rest.await.expect("it does not end").unwrap();
        let status = self.child.wait().await.unwrap();
        assert_eq!(status.success(), well, "{}", self.log);
        self.log
    }
}

/// A recording of many runs.
pub(crate) fn runs(folder: &Path, runs: usize) -> PathBuf {
    let recording = folder.join("runs.jsonl");
    let lines = copies(&watch_events("a-success"), runs).join("\n");
    std::fs::write(&recording, lines).unwrap();
    recording
}

/// What a file sink gets of the same recording.
pub(crate) async fn expected(folder: &Path) -> Vec<String> {
    let file = folder.join("events.jsonl");
    let status = Command::new(program())
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

/// How many events of a replay are dead letters.
pub(crate) async fn dead_letters(folder: &Path) -> usize {
    let output = Command::new(program())
        .args(["dead-letters", "list", "--json", "--journal"])
        .arg(folder.join("journal"))
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().count()
}
