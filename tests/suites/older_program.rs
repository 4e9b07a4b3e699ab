//! Upgrade and downgrade with the real program of an older version (`cargo xtask upgrade-check`): it and the program of
//! today take turns at one journal while events come.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::journaled::assert_all_in_order;
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE, Request};
use step_observer_tests::{guest, path};
use tokio::process::Child;

/// Runs of each test. Each has three steps, so six events.
const RUNS: usize = 50;
const PER_RUN: usize = 6;

/// The older program.
fn older() -> PathBuf {
    let program = std::env::var_os("STEP_OBSERVER_OLD_PROGRAM");
    program.expect("run `cargo xtask upgrade-check`").into()
}

/// A cluster, a sink and a volume that both programs see.
struct Place {
    server: ApiServer,
    sink: HttpSink,
    volume: tempfile::TempDir,
}

impl Place {
    /// The sink refuses everything at first.
    async fn new() -> Self {
        let place = Self {
            server: ApiServer::start().await,
            sink: HttpSink::start(vec![]).await,
            volume: tempfile::tempdir().unwrap(),
        };
        place.sink.answer_by(|_, _| 503);
        place.configure("");
        place
    }

    fn config(&self) -> PathBuf {
        self.volume.path().join("config.yaml")
    }

    fn journal(&self) -> PathBuf {
        self.volume.path().join("journal")
    }

    /// Writes a configuration of 0.1.0, with `more` settings.
    fn configure(&self, more: &str) {
        let (journal, sink) = (self.journal(), &self.sink.url);
        let text = format!(
            "lookBack: 1000000h\nshutdownGrace: 5s\njournal: {{directory: '{}'}}\n\
             sinks: [{{name: all, retry: {{initialMs: 5, maxMs: 50}}, to: {{http: {{url: '{sink}'}}}}}}]\n{more}",
            journal.display()
        );
        std::fs::write(self.config(), text).unwrap();
    }

    fn start(&self, program: &Path) -> Child {
        Program::at(program)
            .args(["run", "--config"])
            .arg(self.config())
            .env("STEP_OBSERVER_LOG", "error")
            .env("KUBECONFIG", self.server.kubeconfig(self.volume.path()))
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }

    /// Shows ended runs, with the logs of their steps.
    fn show(&self, runs: Range<usize>) {
        let events = copies(&watch_events("a-success"), runs.end);
        // TaskRun and Pod.
        for event in &events[2 * runs.start..] {
            let event: Value = serde_json::from_str(event).unwrap();
            if event["object"]["kind"] == "Pod" {
                let pod = event["object"]["metadata"]["name"].as_str().unwrap();
                for container in event["object"]["spec"]["containers"].as_array().unwrap() {
                    let container = container["name"].as_str().unwrap();
                    let log = format!("log of {pod} {container}\n");
                    self.server.set_log(&format!("{pod}-{container}"), &log);
                }
            }
            self.server.play(&event);
        }
    }

    /// Shows an ended TaskRun whose Pod is gone.
    fn show_task_run(&self, number: usize) {
        let events = copies(&watch_events("a-success"), number + 1);
        for event in &events[2 * number..] {
            let event: Value = serde_json::from_str(event).unwrap();
            if event["object"]["kind"] == "TaskRun" {
                self.server.play(&event);
            }
        }
    }

    /// Lets one program accept and partly deliver the events of all runs, and kills it in the middle.
    async fn kill_in_the_middle(&self, program: &Path) {
        let mut running = self.start(program);
        self.show(0..RUNS / 2);
        self.sink.wait_for(3).await;
        // The sink takes the events of every second run.
        self.sink
            .answer_by(|headers, _| match is_even(headers["ce-id"].as_bytes()) {
                true => 202,
                false => 503,
            });
        self.sink
            .wait_until(|requests| taken(requests) >= RUNS / 2)
            .await;
        self.show(RUNS / 2..RUNS);
        self.sink
            .wait_until(|requests| taken(requests) >= RUNS)
            .await;
        running.kill().await.unwrap();
        let taken = taken(&self.sink.requests());
        assert!(
            taken < RUNS * PER_RUN,
            "{taken}: it was not killed in the middle"
        );
    }

    /// Lets the other program continue until the sink has all events.
    async fn continue_to_the_end(&self, program: &Path) -> Child {
        self.sink.answer_by(|_, _| 202);
        let running = self.start(program);
        self.sink
            .wait_until(|requests| ids(requests).len() == RUNS * PER_RUN)
            .await;
        running
    }

    async fn dead_letters(&self, program: &Path, arguments: &[&str]) -> (bool, String) {
        let mut command = Program::at(program);
        command
            .arg("dead-letters")
            .args(arguments)
            .arg("--journal")
            .arg(self.journal());
        said(&command.output().await.unwrap())
    }
}

fn said(output: &Output) -> (bool, String) {
    let text = [&*output.stdout, &*output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Tells the runs of [`copies`] apart by a digit of their number.
fn is_even(id: &[u8]) -> bool {
    // The id begins with the UID of the pod: `967295fd-0001-…`.
    matches!(
        id[12],
        b'0' | b'2' | b'4' | b'6' | b'8' | b'a' | b'c' | b'e'
    )
}

fn taken(requests: &[Request]) -> usize {
    requests
        .iter()
        .filter(|request| request.status.is_success())
        .count()
}

/// Returns the ids of the events that the sink has taken.
fn ids(requests: &[Request]) -> BTreeSet<&str> {
    let taken = requests
        .iter()
        .filter(|request| request.status.is_success());
    taken.map(|request| request.header("ce-id")).collect()
}

/// Stops a program with SIGTERM, as a rollout does. It has delivered everything.
async fn stop(running: Child) {
    assert_eq!(ended(running).await, Some(0));
}

/// Stops a program with SIGTERM, and returns its exit code.
async fn ended(mut running: Child) -> Option<i32> {
    send_signal("TERM", running.id().unwrap());
    let ended = tokio::time::timeout(PATIENCE, running.wait()).await;
    ended.unwrap().unwrap().code()
}

/// Kills the first program in the middle, and lets the second continue.
async fn takes_over(first: &Path, second: &Path) {
    let place = Place::new().await;
    place.kill_in_the_middle(first).await;
    let running = place.continue_to_the_end(second).await;
    stop(running).await;
    // The same id has the same bytes, and the events of a run come in order. At most what was on its way comes twice.
    let requests = place.sink.requests();
    let repeated = assert_all_in_order(&requests, RUNS);
    assert!(repeated < RUNS, "{repeated}");
    assert_eq!(ids(&requests).len(), RUNS * PER_RUN);
    // A later start of either finds nothing to do for these runs.
    for program in [first, second] {
        let (before, number) = (place.sink.requests().len(), 1000 + before_number(&place));
        let running = place.start(program);
        for event in finished_run(number) {
            place.server.play(&event);
        }
        place.sink.wait_for(before + 2).await;
        stop(running).await;
        assert_eq!(
            place.sink.requests().len(),
            before + 2,
            "{}",
            program.display()
        );
    }
}

/// Returns a number that is different at each call, because events come between them.
fn before_number(place: &Place) -> usize {
    place.sink.requests().len()
}

#[tokio::test]
#[ignore = "needs the older program: `cargo xtask upgrade-check`"]
async fn an_upgrade_in_the_middle_loses_nothing() {
    takes_over(&older(), &Program::path()).await;
}

#[tokio::test]
#[ignore = "needs the older program: `cargo xtask upgrade-check`"]
async fn a_downgrade_in_the_middle_loses_nothing() {
    takes_over(&Program::path(), &older()).await;
}

#[tokio::test]
#[ignore = "needs the older program: `cargo xtask upgrade-check`"]
async fn dead_letters_of_each_are_sent_again_by_the_other() {
    for (first, second) in [(older(), Program::path()), (Program::path(), older())] {
        let place = Place::new().await;
        place.sink.answer_by(|_, _| 400);
        let running = place.start(&first);
        place.show(0..1);
        place.sink.wait_for(PER_RUN).await;
        assert_eq!(ended(running).await, Some(1), "events were not delivered");
        place.sink.answer_by(|_, _| 202);
        let running = place.start(&second);
        // Once it delivers, it uses the journal: before, a command would use the journal itself.
        for event in finished_run(1000) {
            place.server.play(&event);
        }
        place.sink.wait_for(PER_RUN + 2).await;
        // The command of either version works with the observer of the other, and reads its history.
        let (ok, text) = place.dead_letters(&first, &["list"]).await;
        assert!(
            ok && text.matches("400 Bad Request").count() == PER_RUN,
            "{text}"
        );
        for program in [&first, &second] {
            let mut explain = Program::at(program);
            let requests = place.sink.requests();
            explain
                .args(["explain", requests[0].header("ce-id"), "--journal"])
                .arg(place.journal());
            let (ok, text) = said(&explain.output().await.unwrap());
            assert!(
                ok && text.contains("observed: ") && text.contains("400 Bad Request"),
                "{text}"
            );
        }
        let (ok, text) = place.dead_letters(&second, &["replay", "--all"]).await;
        assert!(ok && text.starts_with("6 dead letters"), "{text}");
        place
            .sink
            .wait_until(|requests| ids(requests).len() == PER_RUN + 2)
            .await;
        stop(running).await;
        let mut requests = place.sink.requests();
        requests.retain(|request| request.header("ce-id").starts_with("967295fd"));
        let _repeated = assert_all_in_order(&requests, 1);
    }
}

/// Returns whether `docs/versions.md` has this text, with any white space between its words.
fn documents(text: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = std::fs::read_to_string(path("../docs/versions.md")).unwrap();
    squeeze(&page).contains(&squeeze(text))
}

#[tokio::test]
#[ignore = "needs the older program: `cargo xtask upgrade-check`"]
async fn the_older_program_refuses_newer_settings_with_their_place_and_leaves_the_journal() {
    let place = Place::new().await;
    place.kill_in_the_middle(&Program::path()).await;
    let files = || -> Vec<(PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(place.journal()).unwrap();
        let segments = files.map(|file| file.unwrap().path());
        let segments = segments.filter(|file| file.extension().is_some_and(|end| end == "journal"));
        let mut found: Vec<_> = segments
            .map(|file| (file.clone(), std::fs::read(file).unwrap()))
            .collect();
        found.sort();
        found
    };
    let before = files();
    for (setting, name) in [
        ("stepMetrics: {}", "stepMetrics"),
        ("knownSecrets: {}", "knownSecrets"),
        ("stepMetrics: {}\nstandby: {}", "standby"),
    ] {
        place.configure(&format!("{setting}\n"));
        let kubeconfig = place.server.kubeconfig(place.volume.path());
        let mut check = Program::at(&older());
        check.args(["config", "check"]).arg(place.config());
        let mut start = Program::at(&older());
        start
            .args(["run", "--config"])
            .arg(place.config())
            .env("KUBECONFIG", kubeconfig);
        for command in [&mut check, &mut start] {
            let (ok, text) = said(&command.output().await.unwrap());
            let words = format!("unknown field `{name}`");
            assert!(!ok && text.contains(&words), "{text}");
        }
    }
    assert!(documents("unknown field `apiVersion`, expected one of"));
    assert_eq!(files(), before);
    place.configure("");
    let running = place.continue_to_the_end(&older()).await;
    stop(running).await;
    let _repeated = assert_all_in_order(&place.sink.requests(), RUNS);
}

#[tokio::test]
#[ignore = "needs the older program: `cargo xtask upgrade-check`"]
async fn a_pod_that_is_gone_at_the_downgrade_gives_its_events_once_more_with_other_ids() {
    let place = Place::new().await;
    place.sink.answer_by(|_, _| 202);
    let running = place.start(&Program::path());
    place.show(0..1);
    place.sink.wait_for(PER_RUN).await;
    stop(running).await;
    for event in copies(&watch_events("a-success"), 1) {
        let event: Value = serde_json::from_str(&event).unwrap();
        if event["object"]["kind"] == "Pod" {
            place
                .server
                .play(&json!({"type": "DELETED", "object": event["object"]}));
        }
    }
    // The program of today recognises them by their names, the older one does not. Another run without a Pod, whose events
    // come once no Pod is awaited any more, shows that this has been decided.
    for (number, (program, again)) in [(Program::path(), 0), (older(), PER_RUN)]
        .into_iter()
        .enumerate()
    {
        place.show_task_run(number + 1);
        let expected = place.sink.requests().len() + PER_RUN + again;
        let running = place.start(&program);
        place
            .sink
            .wait_until(|requests| requests.len() >= expected)
            .await;
        stop(running).await;
        assert_eq!(
            place.sink.requests().len(),
            expected,
            "{}",
            program.display()
        );
    }
    let requests = place.sink.requests();
    let of_pod = |id: &&&str| id.starts_with("967295fd");
    assert_eq!(ids(&requests).iter().filter(of_pod).count(), PER_RUN);
    assert_eq!(ids(&requests).len(), 4 * PER_RUN);
}

/// Without this in `docs/versions.md`, an operator would learn of unmasked secrets from the receiver.
#[tokio::test]
#[ignore = "needs the older program: `cargo xtask upgrade-check`"]
async fn a_plugin_that_selects_masks_fails_in_the_older_program_and_on_error_decides() {
    let words = "`configure` declared no rule set `secrets`";
    assert!(documents(words));
    let secret = "ghp_0123456789abcdefABCDEF0123456789abcd";
    // The older program counts it as a plugin that redacts, so `strip` is the default.
    for (on_error, is_unmasked) in [("", false), (", onError: pass", true)] {
        let place = Place::new().await;
        let events = place.volume.path().join("events.jsonl");
        let config = format!(
            "plugins: [{{name: masks, from: {{file: '{}'}}{on_error}}}]\nsinks: [{{name: all, to: {{file: {{path: '{}'}}}}}}]\n",
            guest("redact-secrets").display(),
            events.display()
        );
        std::fs::write(place.config(), config).unwrap();
        let mut replay = Program::at(&older());
        replay
            .arg("replay")
            .arg(path("recordings/leaky.jsonl"))
            .arg("--config")
            .arg(place.config());
        let (ok, text) = said(&replay.output().await.unwrap());
        assert!(ok && text.contains(words), "{text}");
        let events = std::fs::read_to_string(events).unwrap();
        let failed = events
            .lines()
            .filter(|event| event.contains("\"pluginerror\":\"masks\""));
        assert_eq!(failed.count(), events.lines().count());
        assert_eq!(events.contains(secret), is_unmasked, "{events}");
    }
}
