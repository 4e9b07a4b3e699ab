//! The stages of an event can be queried while the observer runs, and afterwards.
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use step_observer_tests::admin::get;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::sink::{HttpSink, Request};
use tokio::io::{AsyncBufReadExt as _, BufReader};

async fn explain(journal: &Path, event: &str, more: &[&str]) -> Output {
    let mut command = Program::new();
    command
        .args(["explain", event])
        .args(more)
        .arg("--journal")
        .arg(journal);
    command.output().await.unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

/// Starts a replay of three steps with a secret in their logs, to one sink that works and one that
/// fails.
fn replay(folder: &Path, works: &str, fails: &str) -> Program {
    let config = folder.join("config.yaml");
    let yaml = format!(
        "plugins: [{{name: masks, from: {{bundled: redact-secrets}}}}]\n\
         admin: {{listen: '127.0.0.1:0'}}\n\
         sinks:\n\
         - {{name: works, to: {{http: {{url: '{works}'}}}}, retry: {{initialMs: 1}}}}\n\
         - {{name: fails, to: {{http: {{url: '{fails}'}}}}, retry: {{initialMs: 1}}}}\n"
    );
    std::fs::write(&config, yaml).unwrap();
    let mut command = Program::new();
    command.arg("replay").arg(path("recordings/leaky.jsonl"));
    command.args(["--log", "info", "--config"]).arg(config);
    command.arg("--journal").arg(folder.join("journal"));
    command.stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn every_station_of_an_event_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let works = HttpSink::start(vec![(503, vec![]); 3]).await;
    let fails = HttpSink::start(vec![(400, vec![]); 1000]).await;
    let ended = replay(folder.path(), &works.url, &fails.url)
        .output()
        .await
        .unwrap();
    assert!(!ended.status.success(), "all are dead letters of one sink");
    let masked = works
        .accepted()
        .into_iter()
        .find(|request| String::from_utf8_lossy(&request.body).contains("redacted"));
    let id = masked.unwrap().header("ce-id").to_owned();

    let told = text(&explain(&journal, &id, &[]).await);
    for station in [
        "observed: ",
        "plugin masks 0.1.0 (sha256 ",
        "kept, ",
        " masked",
        "journalled for works, fails",
        "sink works: delivered at attempt ",
        "sink fails: is a dead letter after 1 attempts: 400 Bad Request",
    ] {
        assert!(told.contains(station), "{station}: {told}");
    }
    assert!(!told.contains("waits for"), "{told}");
    let failed = works.requests()[0].header("ce-id").to_owned();
    let told = text(&explain(&journal, &failed, &[]).await);
    assert!(
        told.contains("sink works: attempt 1 failed, the next in "),
        "{told}"
    );
    assert!(told.contains(": 503 Service Unavailable"), "{told}");

    let facts = explain(&journal, &id, &["--json"]).await.stdout;
    let facts: Vec<Value> = serde_json::Deserializer::from_slice(&facts)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(facts.iter().all(|fact| fact["id"] == *id), "{facts:#?}");
    let digest = facts[0]["plugins"][0]["digest"].as_str().unwrap();
    assert_eq!(digest.len(), 64);

    let mut command = Program::new();
    command
        .args(["dead-letters", "drop", "--all", "--journal"])
        .arg(&journal);
    assert!(command.status().await.unwrap().success());
    let told = text(&explain(&journal, &id, &[]).await);
    assert!(
        told.contains("the dead letter of fails is dropped"),
        "{told}"
    );

    let unknown = explain(&journal, "nobody", &[]).await;
    assert!(!unknown.status.success());
    assert!(text(&unknown).contains("has no event nobody"));
}

#[tokio::test]
async fn a_running_observer_reports_where_an_event_is() {
    let folder = tempfile::tempdir().unwrap();
    let works = HttpSink::start(vec![]).await;
    let fails = HttpSink::start(vec![(503, vec![]); 1000]).await;
    let mut observer = replay(folder.path(), &works.url, &fails.url)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(observer.stderr.take().unwrap()).lines();
    let mut address = String::new();
    while address.is_empty() {
        let line = log.next_line().await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("address=") {
            address = rest.split_whitespace().next().unwrap().to_owned();
        }
    }
    works.wait_for(1).await;
    // The second attempt comes after the first was recorded.
    let again = |requests: &[Request]| {
        let ids: Vec<&str> = requests
            .iter()
            .map(|request| request.header("ce-id"))
            .collect();
        let twice = ids
            .iter()
            .find(|id| ids.iter().filter(|other| other == id).count() > 1);
        twice.map(|id| (*id).to_owned())
    };
    fails.wait_until(|requests| again(requests).is_some()).await;
    let id = again(&fails.requests()).unwrap();
    let (status, facts) = get(&address, &format!("/events/{id}")).await;
    assert_eq!(status, 200, "{facts}");
    let facts: Vec<Value> = serde_json::from_str(&facts).unwrap();
    let is = |what: &str| {
        facts
            .iter()
            .any(|fact| fact["is"] == what && fact["id"] == *id)
    };
    assert!(is("accepted") && is("failed"), "{facts:#?}");
    let told = text(&explain(&folder.path().join("journal"), &id, &[]).await);
    assert!(
        told.contains("It waits for") && told.contains("fails"),
        "{told}"
    );
    assert_eq!(get(&address, "/events/nobody").await.0, 404);
    observer.kill().await.unwrap();
}
