//! Foreign receivers understand the events. `cargo xtask receivers` installs them.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use step_observer_tests::available;
use step_observer_tests::path;
use step_observer_tests::peer::Missing;
use step_observer_tests::program::Program;
use step_observer_tests::receivers::installed;
use step_observer_tests::sink::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A receiver in another language. It is killed when this is dropped.
struct Receiver {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Receiver {
    async fn start(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let port = port.unwrap().unwrap().unwrap();
        Self {
            url: format!("http://127.0.0.1:{port}/"),
            lines,
            _process: process,
        }
    }

    /// Returns the received events, and checks that there are exactly `count`.
    async fn events(mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        for _ in 0..count {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.expect("it waits for an event").unwrap().unwrap();
            events.push(serde_json::from_str(&line).unwrap());
        }
        self._process.kill().await.unwrap();
        assert_eq!(self.lines.next_line().await.unwrap(), None);
        events
    }
}

/// Returns the receiver with the SDK for Python, which checks signatures with a secret in a file.
fn python(secret: Option<&Path>) -> Result<Command, Missing> {
    let mut python = Command::new(installed("venv")?.join("bin/python"));
    python.arg(path("receivers/receive.py")).args(secret);
    Ok(python)
}

/// Returns the receiver with the SDK for JavaScript.
fn node() -> Result<Command, Missing> {
    let modules = installed("node_modules")?;
    let mut node = Command::new("node");
    node.arg(path("receivers/receive.cjs"))
        .env("NODE_PATH", modules);
    Ok(node)
}

/// Replays a recording of several runs into a file and a receiver. Every event has the extension
/// `cluster`. Returns the content of the file once all events are delivered.
async fn replay(http: &str, cluster: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = (folder.path().join("config.yaml"), folder.path().join("all"));
    let text = format!(
        "plugins: [{{name: enrich, from: {{bundled: enrich-run}}, \
         config: {{constants: {{cluster: '{cluster}'}}}}}}]\n\
         sinks:\n\
         - {{name: file, to: {{file: {{path: '{}'}}}}}}\n\
         - {{name: receiver, to: {{http: {http}}}, retry: {{giveUpMs: 0}}}}\n",
        file.display()
    );
    std::fs::write(&config, text).unwrap();
    let output = Program::new()
        .arg("replay")
        .arg(path("recordings/leaky.jsonl"))
        .arg("--config")
        .arg(&config)
        .output()
        .await
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Groups events by run, in order, with times in one notation, because the SDKs write them
/// differently.
fn by_run(events: Vec<Value>) -> BTreeMap<String, Vec<Value>> {
    let mut runs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mut event in events {
        let time: jiff::Timestamp = event["time"].as_str().unwrap().parse().unwrap();
        event["time"] = time.to_string().into();
        let run = event["partitionkey"].as_str().unwrap().to_owned();
        runs.entry(run).or_default().push(event);
    }
    runs
}

/// Checks that the receiver decodes exactly the events that were sent with these settings.
async fn check(receiver: Command, settings: &str, cluster: &str) {
    let receiver = Receiver::start(receiver).await;
    let http = format!("{{url: '{}', {settings}}}", receiver.url);
    let sent = replay(&http, cluster).await;
    assert_eq!(sent.len(), 13);
    assert!(sent.iter().all(|event| event["cluster"] == cluster));
    let decoded = receiver.events(sent.len()).await;
    assert_eq!(by_run(decoded), by_run(sent), "{settings}");
}

#[tokio::test]
async fn the_sdk_for_python_decodes_the_events() {
    for settings in ["mode: binary", "mode: structured"] {
        let python = available!(python(None));
        check(python, settings, "Zürich \"1\" 100%25 ☂ 🐈").await;
    }
}

#[tokio::test]
async fn the_sdk_for_javascript_decodes_the_events() {
    let odd = "Zürich \"1\" 100%25 ☂ 🐈";
    for (settings, cluster) in [
        // This SDK does not decode the percent-encoding of headers.
        ("mode: binary", "west"),
        ("mode: structured", odd),
        ("mode: batch, batch: {maxEvents: 2, lingerMs: 0}", odd),
        ("mode: batch, batch: {lingerMs: 20}", odd),
        ("mode: batch, compression: gzip", odd),
    ] {
        let node = available!(node());
        check(node, settings, cluster).await;
    }
}

#[tokio::test]
async fn the_library_of_standard_webhooks_verifies_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("whsec_{text}\n")).unwrap();
        file
    };
    // During a rotation, a receiver with either secret accepts the events.
    let (first, second) = (
        secret("first", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        secret("second", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    );
    let signing = format!(
        "signing: {{secretFiles: ['{}', '{}']}}",
        first.display(),
        second.display()
    );
    for (mode, known) in [
        ("mode: structured", &first),
        ("mode: structured", &second),
        ("mode: batch", &first),
        ("mode: batch, compression: gzip", &first),
    ] {
        let python = available!(python(Some(known)));
        check(python, &format!("{mode}, {signing}"), "west").await;
    }
}
