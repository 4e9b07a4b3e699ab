//! A disk that gives other bytes than were written, while the observer runs.

use crate::durable::{dead_letters, observer};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use step_observer::journal::{Accept, Journal, JournalConfig, NewEvent};
use step_observer_tests::accepted;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::sink::HttpSink;

/// More than is read together: none of the next is in memory before it is sent.
const LOG: usize = 128 * 1024;

/// What an observer of before has left for a sink: an event of each of these runs, with a log of this length.
pub(crate) async fn leave_events(folder: &Path, sink: &str, ids: &[&str], log: usize) {
    let config = JournalConfig {
        directory: Some(folder.to_owned()),
        ..JournalConfig::default()
    };
    let journal = Journal::open(&config, Timestamp::UNIX_EPOCH).unwrap();
    let mut handed = Vec::new();
    for id in ids {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/s", "partitionkey": id, "sequence": "0000-0000-0",
            "type": "dev.tekton.event.plugin.step.succeeded.v1", "datacontenttype": "application/json",
            "data": {"log": "x".repeat(log)},
        });
        let event = NewEvent {
            sinks: vec![sink.to_owned()],
            body: accepted(event),
        };
        // Later than any: it is not given up.
        handed.push(journal.accept(Accept {
            origin: (*id).into(),
            mark: Some("told".to_owned()),
            at: Timestamp::MAX,
            events: vec![event],
        }));
    }
    futures::future::try_join_all(handed).await.unwrap();
    drop(journal);
    // The writer gives the lock back when it has ended.
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
}

fn change(file: &Path, text: &str) {
    let bytes = std::fs::read(file).unwrap();
    let mut places = bytes.windows(text.len());
    let at = places.rposition(|found| found == text.as_bytes()).unwrap();
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(b"X", at as u64).unwrap();
}

#[tokio::test]
async fn an_event_that_cannot_be_read_becomes_a_dead_letter_and_holds_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    leave_events(&journal, "all", &["first", "second", "third"], LOG).await;
    let server = ApiServer::start().await;
    // Down until it is changed: what was read before that comes too early.
    let sink = HttpSink::start(vec![(503, Vec::new()); 100]).await;
    let _observer = observer(&server, &sink.url, folder.path()).spawn().unwrap();
    sink.wait_for(1).await;
    change(&journal.join("000000000000.journal"), "\"id\":\"second\"");
    sink.wait_until(|requests| {
        let accepted = requests
            .iter()
            .filter(|request| request.status.is_success());
        accepted.count() == 2
    })
    .await;
    let accepted = sink.accepted();
    let mut ids: Vec<&str> = accepted
        .iter()
        .map(|request| request.header("ce-id"))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["first", "third"]);
    let (_, list) = dead_letters(&["list", "--json"], &journal).await;
    let letter: Value = serde_json::from_str(&list).unwrap_or_else(|_| panic!("{list}"));
    let reason = letter["reason"].as_str().unwrap();
    assert!(
        reason.contains("the journal has changed on the disk"),
        "{reason}"
    );
    let name = letter["letter"].as_str().unwrap();
    let (shown, problem) = dead_letters(&["show", name], &journal).await;
    assert!(!shown && problem.contains("cannot be read"), "{problem}");
    let (_, dropped) = dead_letters(&["drop", name], &journal).await;
    assert_eq!(dropped, "1 dead letters are dropped\n");
}
