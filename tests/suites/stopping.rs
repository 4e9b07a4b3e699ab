//! Tests each way in which the observer can end: accepted events are delivered before the end or
//! after the next start.
use std::process::Stdio;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::journaled::{
    assert_all_in_order, dead_letters, fill_journal, journaled_observer, show_ended_runs,
};
use step_observer_tests::sink::HttpSink;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const RUNS: usize = 20;

async fn terminate(observer: &Child) {
    let id = observer.id().unwrap().to_string();
    let mut kill = Command::new("kill");
    assert!(kill.args(["-TERM", &id]).status().await.unwrap().success());
}

#[tokio::test]
async fn it_starts_and_stops_with_a_removed_sinks_backlog_above_the_bound_of_dead_letters() {
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let ids: Vec<String> = (0..10_010)
        .map(|number| format!("event-{number}"))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let journal = folder.path().join("journal");
    fill_journal(&journal, "gone", &ids, 1).await;
    show_ended_runs(&server, 1);
    let sink = HttpSink::start(Vec::new()).await;
    let mut running = journaled_observer(&server, &sink.url, folder.path())
        .spawn()
        .unwrap();
    sink.wait_for(6).await;
    let (_, dropped) = dead_letters(&["drop", "--all"], &journal).await;
    assert_eq!(dropped, "10000 dead letters are dropped\n");
    terminate(&running).await;
    running.wait().await.unwrap();
}

#[tokio::test]
async fn one_signal_delivers_what_was_accepted_and_two_leave_it_in_the_journal() {
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let down = HttpSink::start(vec![(503, Vec::new()); 100_000]).await;
    show_ended_runs(&server, RUNS);
    let mut command = journaled_observer(&server, &down.url, folder.path());
    let mut first = command
        .args(["--log", "info"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    down.wait_for(5).await;
    terminate(&first).await;
    let mut log = BufReader::new(first.stderr.take().unwrap()).lines();
    while let Some(line) = log.next_line().await.unwrap() {
        if line.contains("what is left is delivered first") {
            terminate(&first).await;
        }
    }
    // The second signal ended the first observer, long before the end of the grace period of 25 s.
    // The log would mention the end of that period.
    assert!(!first.wait().await.unwrap().success());
    assert_eq!(down.accepted().len(), 0);

    let up = HttpSink::start(Vec::new()).await;
    let mut second = journaled_observer(&server, &up.url, folder.path())
        .spawn()
        .unwrap();
    up.wait_for(1).await;
    terminate(&second).await;
    assert!(
        second.wait().await.unwrap().success(),
        "it delivers what it has"
    );
    // The third observer finds in the cluster the transitions that the second had not accepted when
    // it was stopped.
    let watches = server.watches();
    let mut third = journaled_observer(&server, &up.url, folder.path())
        .spawn()
        .unwrap();
    // Waits until the observer runs. Its deliveries may not show this, because no event may be
    // left.
    server.wait_for_watches(watches + 2).await;
    up.wait_for(RUNS * 6).await;
    terminate(&third).await;
    assert!(third.wait().await.unwrap().success());
    assert_eq!(assert_all_in_order(&up.requests(), RUNS), 0, "each once");
}
