//! A journal and a history that version 0.1.0 wrote, opened by the program of today.
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;
use step_observer_tests::journaled::dead_letters;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::sink::{HttpSink, Request};

fn stored(file: &str) -> Vec<Value> {
    let file = path(&format!("corpus/journal-0.1.0/{file}"));
    parse_lines(&std::fs::read_to_string(file).unwrap())
}

fn parse_lines(text: &str) -> Vec<Value> {
    // Every start adds a line feed to the history, even after a complete line. So lines can be
    // empty.
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Replays the recording from which the journal was made.
async fn replay(sink: &HttpSink, folder: &Path) {
    let output = Program::new()
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .args(["--to", &sink.url, "--journal"])
        .arg(folder)
        .output()
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
}

/// Returns a request as the corpus stores it: headers of the event, and body.
fn as_stored(request: &Request) -> Value {
    let headers = request.headers.iter();
    let headers = headers.filter(|(name, _)| {
        let name = name.as_str();
        name.starts_with("ce-") || name == "content-type"
    });
    let headers: Map<String, Value> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let body = std::str::from_utf8(&request.body).unwrap();
    serde_json::json!({ "headers": headers, "body": body })
}

#[tokio::test]
async fn a_journal_of_version_0_1_0_is_opened_and_its_events_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let from = path("corpus/journal-0.1.0/journal");
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let (_, list) = dead_letters(&["list", "--json"], folder).await;
    assert_eq!(parse_lines(&list), stored("dead-letters.jsonl"));

    // The waiting events of the journal are delivered. Events that were accepted before are not
    // emitted again.
    let sink = HttpSink::start(Vec::new()).await;
    replay(&sink, folder).await;
    let (_, again) = dead_letters(&["replay", "--all"], folder).await;
    assert!(again.starts_with("2 dead letters"), "{again}");
    replay(&sink, folder).await;
    let delivered: Vec<Value> = sink.requests().iter().map(as_stored).collect();
    assert_eq!(delivered, stored("delivered.jsonl"));
}

#[tokio::test]
async fn a_history_of_version_0_1_0_is_read() {
    let history = stored("journal/history.jsonl");
    let ids: BTreeSet<&str> = history
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 6, "{ids:?}");
    for id in ids {
        let output = Program::new()
            .args(["explain", id, "--json", "--journal"])
            .arg(path("corpus/journal-0.1.0/journal"))
            .output()
            .await
            .unwrap();
        let explained = parse_lines(&String::from_utf8(output.stdout).unwrap());
        let of_event = history.iter().filter(|entry| entry["id"] == id);
        assert_eq!(explained, of_event.cloned().collect::<Vec<_>>());
    }
}
