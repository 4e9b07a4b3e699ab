//! A disk that returns other bytes than were written, at run time.
use serde_json::Value;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::journaled::{dead_letters, fill_journal, journaled_observer};
use step_observer_tests::sink::HttpSink;

/// Larger than one read-ahead, so that the observer reads each event from the disk only when it
/// sends it.
const LOG: usize = 128 * 1024;

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
    fill_journal(&journal, "all", &["first", "second", "third"], LOG).await;
    let server = ApiServer::start().await;
    // The sink is down until the file is changed, so that no event is read too early.
    let sink = HttpSink::start(vec![(503, Vec::new()); 100]).await;
    let _observer = journaled_observer(&server, &sink.url, folder.path())
        .spawn()
        .unwrap();
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
