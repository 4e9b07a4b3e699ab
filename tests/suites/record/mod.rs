//! `step-observer record`: a recording gives the events of a live observer, and holds no secret.

mod ends;
mod leaks;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::observer::Observer;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{
    expected_ids, fixtures, is_pod, recordings, set_recorded_logs, watch_events,
};
use step_observer_tests::sink::{HttpSink, PATIENCE, Request};
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

/// A running `step-observer record`.
struct Recording {
    child: Child,
    place: tempfile::TempDir,
}

impl Recording {
    /// Records all runs, regardless of when they ended.
    fn start(server: &ApiServer, args: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut command = Self::command(server, &place, &place.path().join("recording"));
        let look_back: &[&str] = match args.contains(&"--look-back") {
            true => &[],
            false => &["--look-back", "1000000h"],
        };
        let child = command.args(look_back).args(args).spawn();
        Self {
            child: child.unwrap(),
            place,
        }
    }

    fn command(server: &ApiServer, place: &tempfile::TempDir, out: &Path) -> Program {
        let mut command = Program::new();
        command
            .args(["record", "--out"])
            .arg(out)
            .env("KUBECONFIG", server.kubeconfig(place.path()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("recording")
    }

    /// Waits until these states and this number of logs are recorded.
    async fn wait_for(&self, states: Vec<String>, logs: usize) {
        let folder = self.folder();
        let waiting = tokio::task::spawn_blocking(move || {
            let began = std::time::Instant::now();
            loop {
                let read =
                    |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
                let (text, logged) = (read("recording.jsonl"), read("recording.logs.json"));
                let logged: BTreeMap<String, Value> =
                    serde_json::from_str(&logged).unwrap_or_default();
                let missing = states.iter().find(|state| !text.contains(state.as_str()));
                if missing.is_none() && logged.len() >= logs {
                    return;
                }
                assert!(began.elapsed() < PATIENCE, "{missing:?} {logged:#?}");
                std::thread::yield_now();
            }
        });
        waiting.await.unwrap();
    }

    /// Ends the recording as Ctrl-C does. Returns its folder and its output.
    async fn stop(self) -> (Finished, String) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status();
        assert!(sent.unwrap().success());
        self.end().await
    }

    /// Waits until the recording ends by itself.
    async fn end(mut self) -> (Finished, String) {
        let mut said = String::new();
        let ended = async {
            let mut errors = String::new();
            let (stdout, stderr) = (self.child.stdout.as_mut(), self.child.stderr.as_mut());
            stdout.unwrap().read_to_string(&mut said).await.unwrap();
            stderr.unwrap().read_to_string(&mut errors).await.unwrap();
            assert!(self.child.wait().await.unwrap().success(), "{said}{errors}");
            said.push_str(&errors);
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
        (Finished(self.place), said)
    }
}

/// Returns the revision that the server assigns to the last state of each object, as JSON text.
/// Before these events, the server has assigned revisions to `others` events of other objects.
fn last_states(events: &[Value], others: usize) -> Vec<String> {
    let uid = |event: &Value| event["object"]["metadata"]["uid"].to_string();
    let last: BTreeMap<String, usize> = events.iter().map(uid).zip(others + 2..).collect();
    last.into_values()
        .map(|revision| format!(r#""resourceVersion":"{revision}""#))
        .collect()
}

/// The folder of a finished recording.
struct Finished(tempfile::TempDir);

impl Finished {
    fn folder(&self) -> PathBuf {
        self.0.path().join("recording")
    }

    /// Replays with the command that `record` printed, and returns the events.
    async fn replay(&self, said: &str) -> Vec<Value> {
        let command = said
            .lines()
            .find(|line| line.contains("step-observer replay"));
        let command = command.unwrap().trim();
        assert_eq!(
            command,
            format!("step-observer replay {}", self.folder().display())
        );
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let output = Program::new().args(words).output().await.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder().join(file)).unwrap()
    }
}

const PARTS: [&str; 5] = ["id", "type", "subject", "sequence", "time"];

/// Returns the members that identify an event. An inferred start and a skipped step have the time
/// of the first observed state that shows them. Two watches may observe different states, so these
/// times are compared only if there is one state.
fn identity(part: impl Fn(&str) -> String, is_listed: bool) -> Vec<String> {
    let mut identity: Vec<_> = PARTS.map(part).into();
    let is_inferred = [".started.v1", ".skipped.v1"]
        .iter()
        .any(|end| identity[1].ends_with(end));
    if is_inferred && !is_listed {
        identity.pop();
    }
    identity
}

fn identities(events: &[Value], is_listed: bool) -> BTreeSet<Vec<String>> {
    let identity =
        |event: &Value| identity(|name| event[name].as_str().unwrap().to_owned(), is_listed);
    events.iter().map(identity).collect()
}

/// Returns the identities of the events that a sink received.
fn identities_at(sink: &HttpSink, is_listed: bool) -> BTreeSet<Vec<String>> {
    let identity = |request: &Request| {
        identity(
            |name| request.header(&format!("ce-{name}")).to_owned(),
            is_listed,
        )
    };
    sink.requests().iter().map(identity).collect()
}

#[tokio::test]
async fn a_recording_gives_the_events_of_a_live_observer() {
    same_events(&recordings(), false).await;
}

#[tokio::test]
async fn a_recording_of_existing_objects_gives_the_events_of_a_live_observer() {
    let mut names: Vec<String> = recordings().into_iter().chain(fixtures()).collect();
    let is_deleted = |event: &Value| event["type"] == "DELETED";
    // A deleted object is in no list.
    names.retain(|name| !watch_events(name).iter().any(is_deleted));
    assert!(names.len() > 5, "{names:?}");
    same_events(&names, true).await;
}

/// Records these runs beside a live observer. Before both start, either all states of the runs are
/// in the cluster, or only the first third.
async fn same_events(names: &[String], is_listed: bool) {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let (mut before, mut after, mut expected) = (Vec::new(), Vec::new(), 0);
    for name in names {
        if path(&format!("recordings/{name}.logs.json")).exists() {
            set_recorded_logs(&server, name);
        }
        let watched = watch_events(name);
        let there = if is_listed {
            watched.len()
        } else {
            watched.len() / 3
        };
        before.extend_from_slice(&watched[..there]);
        after.extend_from_slice(&watched[there..]);
        expected += expected_ids(name).len();
    }
    before.iter().for_each(|event| server.play(event));
    let recording = Recording::start(&server, &[]);
    let observer = Observer::start(&server, &sink, &["--plugin", "bundled:redact-secrets"]);
    server.wait_for_watches(4).await;
    after.iter().for_each(|event| server.play(event));
    sink.wait_for(expected).await;
    recording
        .wait_for(last_states(&[before, after].concat(), 0), 0)
        .await;
    // Before their end, the observer and the recorder process all observed changes, and read the
    // logs of the runs.
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let (recording, said) = recording.stop().await;
    let replayed = recording.replay(&said).await;
    let found = identities(&replayed, is_listed);
    assert_eq!(found.len(), expected);
    assert_eq!(found, identities_at(&sink, is_listed));
    for request in sink.requests() {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        let mut events = replayed.iter();
        let event = events.find(|event| event["id"] == *request.header("ce-id"));
        let event = event.unwrap();
        // The script of an event comes from the attempt that the TaskRun shows at that time.
        let of_state: &[_] = if is_listed {
            &["step", "startedAt"]
        } else {
            &[]
        };
        for member in ["log", "exitCode", "reason", "cause", "labels"]
            .iter()
            .chain(of_state)
        {
            assert_eq!(event["data"][*member], data[*member], "{member}: {event:#}");
        }
    }
}

#[tokio::test]
async fn a_pod_that_no_task_run_names_is_omitted() {
    let server = ApiServer::start().await;
    let events = watch_events("b-fail");
    let recording = Recording::start(&server, &[]);
    server.wait_for_watches(2).await;
    let mut foreign = events.iter().find(|event| is_pod(event)).unwrap().clone();
    foreign["object"]["metadata"]["name"] = "foreign".into();
    foreign["object"]["metadata"]["uid"] = "33333333-1b96-4d1f-8452-e7b19921c1d5".into();
    server.play(&foreign);
    events.iter().for_each(|event| server.play(event));
    recording.wait_for(last_states(&events, 1), 0).await;
    let (recording, said) = recording.stop().await;
    assert!(
        !recording.read("recording.jsonl").contains("foreign"),
        "{said}"
    );
    assert!(
        said.contains("1 pods are omitted: no TaskRun names them"),
        "{said}"
    );
    let replayed = identities(&recording.replay(&said).await, false);
    assert_eq!(replayed.len(), expected_ids("b-fail").len());
}

#[tokio::test]
async fn an_object_that_vanishes_between_two_lists_is_recorded_as_deleted() {
    let server = ApiServer::start().await;
    let recording = Recording::start(&server, &[]);
    server.wait_for_watches(2).await;
    let events = watch_events("d-cancel");
    let end = events
        .iter()
        .position(|event| event["type"] == "DELETED")
        .unwrap();
    events[..end].iter().for_each(|event| server.play(event));
    recording.wait_for(last_states(&events[..end], 0), 0).await;
    // No watch event shows the deletion of the pod.
    server.lose(&events[end]);
    server.forget_history();
    recording
        .wait_for(vec![r#""type":"DELETED""#.to_owned()], 0)
        .await;
    let (recording, _) = recording.stop().await;
    let text = recording.read("recording.jsonl");
    let last: Value = serde_json::from_str(
        text.lines()
            .rfind(|line| line.contains("\"DELETED\""))
            .unwrap(),
    )
    .unwrap();
    assert_eq!(
        last["object"]["metadata"]["uid"],
        events[end]["object"]["metadata"]["uid"]
    );
    assert!(last["object"]["status"]["containerStatuses"].is_array());
}

#[tokio::test]
async fn runs_that_ended_long_ago_are_left_out() {
    let server = ApiServer::start().await;
    watch_events("a-success")
        .iter()
        .for_each(|event| server.play(event));
    let recording = Recording::start(&server, &["--look-back", "10m"]);
    server.wait_for_watches(2).await;
    // The run of `a-success` is deleted while another run is in progress.
    let running = &watch_events("b-fail")[..6];
    running.iter().for_each(|event| server.play(event));
    for event in watch_events("a-success").iter().rev().take(2) {
        server.delete(event["object"].clone());
    }
    let old = watch_events("a-success").len();
    recording.wait_for(last_states(running, old), 0).await;
    let (recording, said) = recording.stop().await;
    assert!(
        !recording.read("recording.jsonl").contains("a-success"),
        "{said}"
    );
    assert!(said.contains(" of 1 TaskRuns and 1 pods"), "{said}");
}

#[tokio::test]
async fn a_pod_that_has_the_name_of_another_has_its_own_log() {
    let server = ApiServer::start().await;
    let first = watch_events("b-fail");
    let text = serde_json::to_string(&first).unwrap();
    let pod_uid = first
        .iter()
        .find(|event| event["object"]["kind"] == "Pod")
        .unwrap();
    let pod_uid = pod_uid["object"]["metadata"]["uid"].as_str().unwrap();
    let run_uid = first
        .iter()
        .find(|event| event["object"]["kind"] == "TaskRun")
        .unwrap();
    let run_uid = run_uid["object"]["metadata"]["uid"].as_str().unwrap();
    // The same names in a second namespace.
    let second = text
        .replace(pod_uid, "11111111-1b96-4d1f-8452-e7b19921c1d5")
        .replace(run_uid, "22222222-1668-40be-b68b-4b94530e6c67")
        .replace("\"namespace\":\"b-fail\"", "\"namespace\":\"other\"");
    let second: Vec<Value> = serde_json::from_str(&second).unwrap();
    let recording = Recording::start(&server, &[]);
    server.wait_for_watches(2).await;
    server.set_log("b-fail-pod-step-build", "of the first\n");
    first.iter().for_each(|event| server.play(event));
    recording.wait_for(last_states(&first, 0), 1).await;
    server.set_log("b-fail-pod-step-build", "of the second\n");
    second.iter().for_each(|event| server.play(event));
    recording
        .wait_for(last_states(&second, first.len()), 3)
        .await;
    let (recording, said) = recording.stop().await;
    let logs: BTreeSet<_> = recording
        .replay(&said)
        .await
        .iter()
        .filter_map(|event| {
            let log = event["data"]["log"].as_str()?;
            Some((
                event["data"]["podRef"]["namespace"].as_str()?.to_owned(),
                log.to_owned(),
            ))
        })
        .collect();
    let expected = [("b-fail", "of the first\n"), ("other", "of the second\n")];
    assert_eq!(
        logs,
        expected
            .map(|(place, log)| (place.to_owned(), log.to_owned()))
            .into()
    );
}
