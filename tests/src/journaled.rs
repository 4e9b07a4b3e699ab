//! Observers with a journal, and the journals they leave.

use crate::accepted;
use crate::api_server::ApiServer;
use crate::program::Program;
use crate::recording::{copies, step_and_phase, watch_events};
use crate::sink::Request;
use jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Stdio;
use step_observer::journal::{Accept, Journal, JournalConfig, NewEvent};

/// An observer with a journal in `folder`, which sends to an HTTP sink and retries fast.
#[must_use]
pub fn journaled_observer(server: &ApiServer, sink: &str, folder: &Path) -> Program {
    let config = folder.join("config.yaml");
    std::fs::write(
        &config,
        format!(
            "lookBack: 1000000h\nsinks: [{{name: all, to: {{http: {{url: '{sink}'}}}}, \
             retry: {{initialMs: 1, maxMs: 50}}}}]\n"
        ),
    )
    .unwrap();
    let mut command = Program::new();
    command
        .args(["run", "--config"])
        .arg(&config)
        .arg("--journal")
        .arg(folder.join("journal"))
        .env("STEP_OBSERVER_LOG", "error")
        .env("KUBECONFIG", server.kubeconfig(folder))
        .stderr(Stdio::inherit());
    command
}

/// Adds this number of ended runs to the API server, of six events each.
pub fn show_ended_runs(server: &ApiServer, runs: usize) {
    for event in copies(&watch_events("a-success"), runs) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
}

/// Asserts that every event was received, that repeated deliveries have the same bytes, and that
/// the first deliveries of each run are in order. Returns the number of repeated deliveries.
#[must_use]
pub fn assert_all_in_order(requests: &[Request], runs: usize) -> usize {
    let mut bytes: HashMap<&str, (&Request, usize)> = HashMap::new();
    let mut order: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for request in requests {
        let id = request.header("ce-id");
        let accepted = request.status.is_success();
        let (first, times) = bytes.entry(id).or_insert((request, 0));
        assert_eq!(first.body, request.body, "{id}");
        for (name, value) in &request.headers {
            if name.as_str().starts_with("ce-") {
                assert_eq!(first.headers.get(name), Some(value), "{id} {name}");
            }
        }
        *times += usize::from(accepted);
        if accepted && *times == 1 {
            let run = order.entry(request.header("ce-partitionkey")).or_default();
            run.push(request.header("ce-sequence"));
        }
    }
    assert_eq!(order.len(), runs);
    for (run, sequences) in order {
        assert!(sequences.is_sorted(), "{run}: {sequences:?}");
        let steps: Vec<_> = sequences.into_iter().map(step_and_phase).collect();
        let in_order = ["0000-0", "0000-1", "0001-0", "0001-1", "0002-0", "0002-1"];
        assert_eq!(steps, in_order, "{run}");
    }
    bytes.values().map(|(_, times)| times - 1).sum()
}

/// Runs `dead-letters`. Returns whether it succeeded, and its output.
pub async fn dead_letters(arguments: &[&str], folder: &Path) -> (bool, String) {
    let output = Program::new()
        .arg("dead-letters")
        .args(arguments)
        .arg("--journal")
        .arg(folder)
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Writes a journal as an earlier observer leaves it: for each of these runs one event for a sink,
/// with a log of `log_bytes`.
pub async fn fill_journal(folder: &Path, sink: &str, ids: &[&str], log_bytes: usize) {
    let config = JournalConfig {
        directory: Some(folder.to_owned()),
        ..JournalConfig::default()
    };
    let journal = Journal::open(&config, Timestamp::UNIX_EPOCH).unwrap();
    let mut accepted_events = Vec::new();
    for id in ids {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/s", "partitionkey": id, "sequence": "0000-0000-0",
            "type": "dev.tekton.event.plugin.step.succeeded.v1", "datacontenttype": "application/json",
            "data": {"log": "x".repeat(log_bytes)},
        });
        let event = NewEvent {
            sinks: vec![sink.to_owned()],
            body: accepted(event),
        };
        // Uses the latest possible time, so that no event becomes too old to be delivered.
        accepted_events.push(journal.accept(Accept {
            origin: (*id).into(),
            mark: Some("told".into()),
            at: Timestamp::MAX,
            events: vec![event],
        }));
    }
    futures::future::try_join_all(accepted_events)
        .await
        .unwrap();
    drop(journal);
    // Waits for the end of the writer, which holds the lock.
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
}
