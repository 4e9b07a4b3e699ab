//! A pause that a receiver requests (`Retry-After` of 429 and 503) applies to all events of its
//! sink.
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use step_observer_tests::admin::{admin_address, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::journaled::{assert_all_in_order, journaled_observer, show_ended_runs};
use step_observer_tests::observer::Observer;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{Answer, HttpSink, PATIENCE};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Events of one run of [`finished_run`].
const PER_RUN: usize = 2;
/// Events of one run of the recording.
const RECORDED: usize = 6;

fn asks(status: u16, seconds: u64) -> Answer {
    (status, vec![("retry-after", seconds.to_string())])
}

/// Replays `runs` runs of six events each to sinks.
async fn replay(folder: &Path, runs: usize, sinks: &[String]) -> Output {
    let (config, recording) = (folder.join("config.yaml"), folder.join("runs.jsonl"));
    std::fs::write(&config, format!("sinks: [{}]\n", sinks.join(", "))).unwrap();
    let ended = copies(&watch_events("a-success"), runs).join("\n");
    std::fs::write(&recording, ended).unwrap();
    let mut command = Program::new();
    command
        .args(["replay", "--log", "warn", "--config"])
        .arg(&config)
        .arg(&recording);
    command.output().await.unwrap()
}

fn log(output: &Output) -> String {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    log
}

/// Checks that no request comes within `pause` after an answer that requests a pause. Requests that
/// had begun before the first such answer are exempt. There are fewer than `concurrency` of them.
fn paused(sink: &HttpSink, pause: Duration, concurrency: usize) {
    let requests = sink.requests();
    let asked = |status: u16| matches!(status, 429 | 503);
    let first = requests
        .iter()
        .position(|request| asked(request.status.as_u16()))
        .unwrap();
    for (number, request) in requests.iter().enumerate().skip(first + concurrency) {
        let before = &requests[..number];
        for earlier in before.iter().filter(|one| asked(one.status.as_u16())) {
            let gap = request.at - earlier.at;
            assert!(gap >= pause, "request {number} after {gap:?}");
        }
    }
}

#[tokio::test]
async fn all_events_of_a_sink_wait_until_the_pause_is_over_and_one_request_probes() {
    let second = Duration::from_secs(1);
    for (status, concurrency, http, retry) in [
        (429, 1, "", ""),
        (503, 4, "", ""),
        // Events that wait for another reason, such as the rate limit, respect the pause as well.
        (429, 4, "", ", maxPerSecond: 200"),
        (
            429,
            4,
            ", mode: batch, batch: {maxEvents: 3, lingerMs: 20}",
            "",
        ),
    ] {
        let mut script = vec![(202, vec![])];
        // One answer for each request in flight, and one for a single probe.
        script.extend(vec![asks(status, 1); concurrency + 1]);
        let sink = HttpSink::start(script).await;
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "{{name: all, to: {{http: {{url: '{}', concurrency: {concurrency}{http}}}}}, retry: {{initialMs: 1{retry}}}}}",
            sink.url
        );
        let output = replay(folder.path(), 10, &[config]).await;
        let log = log(&output);
        assert_eq!(sink.unused_answers(), 0, "{log}");
        paused(&sink, second, concurrency);
        let said = "the receiver asks for a pause: nothing is sent to this sink until it is over";
        assert!(log.contains(said), "{log}");
    }
}

#[tokio::test]
async fn a_probe_that_fails_is_followed_by_one_request_at_a_time() {
    let sink = HttpSink::start(vec![asks(429, 1), (500, vec![]), (500, vec![])]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{{name: all, to: {{http: {{url: '{}', concurrency: 1}}}}, retry: {{initialMs: 400, maxMs: 400}}}}",
        sink.url
    );
    log(&replay(folder.path(), 10, &[config]).await);
    let requests = sink.requests();
    assert_eq!(requests.len(), 3 + 10 * RECORDED);
    // After the first failure of a sink the next event is sent at once. After a failed probe the
    // next event waits.
    for pair in requests[1..4].windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_millis(200), "{gap:?}");
    }
}

#[tokio::test]
async fn a_pause_does_not_count_until_an_event_is_given_up() {
    let sink = HttpSink::start(vec![asks(429, 4), (503, vec![])]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{{name: all, to: {{http: {{url: '{}', concurrency: 1}}}}, retry: {{initialMs: 1, giveUpMs: 3500}}}}",
        sink.url
    );
    log(&replay(folder.path(), 2, &[config]).await);
    assert_eq!(sink.accepted().len(), 2 * RECORDED);
}

#[tokio::test]
async fn a_pause_is_no_longer_than_it_may_be_which_is_logged() {
    let sink = HttpSink::start(vec![asks(503, 7200)]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{{name: all, to: {{http: {{url: '{}', concurrency: 1}}}}, retry: {{maxPauseMs: 1000}}}}",
        sink.url
    );
    let log = log(&replay(folder.path(), 2, &[config]).await);
    paused(&sink, Duration::from_secs(1), 1);
    let said = "asks for a longer pause than it gets (retry.maxPauseMs)";
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.contains("asked=7200s length=1s"), "{log}");
}

#[tokio::test]
async fn a_receiver_that_is_asked_for_permission_may_ask_for_a_pause() {
    let permits = (200, vec![("webhook-allowed-origin", "*".to_owned())]);
    let sink = HttpSink::start(vec![asks(429, 1), permits]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{{name: all, to: {{http: {{url: '{}', concurrency: 4, handshake: {{origin: ci.example.com}}}}}}, retry: {{initialMs: 1}}}}",
        sink.url
    );
    log(&replay(folder.path(), 4, &[config]).await);
    paused(&sink, Duration::from_secs(1), 1);
    assert_eq!(sink.requests().len(), 2 + 4 * RECORDED);
}

/// Returns a configuration with two sinks: one that pauses, and one that does not.
fn two(pausing: &HttpSink, other: &HttpSink, word: &str) -> String {
    format!(
        "lookBack: 1000000h\n\
         admin: {{listen: '127.0.0.1:0'}}\n\
         plugins: [{{name: enrich, from: {{bundled: enrich-run}}, config: {{constants: {{word: {word}}}}}}}]\n\
         sinks:\n\
         - {{name: pausing, to: {{http: {{url: '{}', concurrency: 1}}}}}}\n\
         - {{name: other, to: {{http: {{url: '{}'}}}}}}\n",
        pausing.url, other.url
    )
}

fn show(server: &ApiServer, number: usize) {
    for event in finished_run(number) {
        server.play(&event);
    }
}

#[tokio::test]
async fn a_pause_delays_no_other_sink_and_goes_on_under_another_configuration() {
    let server = ApiServer::start().await;
    let pausing = HttpSink::start(vec![asks(429, 86_400)]).await;
    let (other, elsewhere) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    let mut observer = Observer::with_config(&server, &two(&pausing, &other, "one"), &[]);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    show(&server, 1);
    pausing.wait_for(1).await;
    let is_paused = |_: u16, body: &str| body.contains("pausedUntil");
    let (_, sinks) = get_until(&address, "/sinks", is_paused).await;
    let sinks: Value = serde_json::from_str(&sinks).unwrap();
    let [first, second] = [&sinks["sinks"][0], &sinks["sinks"][1]];
    assert_eq!(first["name"], "pausing");
    let until: jiff::Timestamp = first["pausedUntil"].as_str().unwrap().parse().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it is compared with the clock")]
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((1..=600).contains(&left), "{left}");
    assert_eq!(second["pausedUntil"], Value::Null);
    show(&server, 2);
    other.wait_for(2 * PER_RUN).await;

    // Changes the configuration twice at run time. The first change is of a plugin, the second is
    // of the receiver.
    let write = |text: &str| {
        let folder = observer.folder.path();
        std::fs::write(folder.join("next.yaml"), text).unwrap();
        std::fs::rename(folder.join("next.yaml"), folder.join("config.yaml")).unwrap();
    };
    let applied = |count: u64| format!("config_reloads_total{{outcome=\"applied\"}} {count}\n");
    write(&two(&pausing, &other, "two"));
    let line = applied(1);
    get_until(&address, "/metrics", |_, body| body.contains(&line)).await;
    show(&server, 3);
    other.wait_for(3 * PER_RUN).await;
    get_until(&address, "/sinks", is_paused).await;
    assert_eq!(pausing.requests().len(), 1);
    write(&two(&elsewhere, &other, "two"));
    elsewhere.wait_for(3 * PER_RUN).await;
    assert_eq!(pausing.requests().len(), 1);
    observer.stop().await;
}

#[tokio::test]
async fn a_pause_ends_if_tektons_sink_is_another_one() {
    let server = ApiServer::start().await;
    let pausing = HttpSink::start(vec![asks(503, 600)]).await;
    let elsewhere = HttpSink::start(vec![]).await;
    let tekton = |url: &str| {
        let name = json!({"name": "config-events", "namespace": "tekton-pipelines"});
        server.put(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"sink": url}}),
        );
    };
    tekton(&pausing.url);
    let config = "lookBack: 1000000h\nadmin: {listen: '127.0.0.1:0'}\n";
    let mut observer = Observer::with_config(&server, config, &[]);
    let address = admin_address(&mut observer).await;
    show(&server, 1);
    get_until(&address, "/sinks", |_, body| body.contains("pausedUntil")).await;
    tekton(&elsewhere.url);
    elsewhere.wait_for(PER_RUN).await;
    observer.stop().await;
}

#[tokio::test]
async fn a_stop_during_a_pause_loses_nothing_and_explain_shows_its_end() {
    let runs = 20;
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let pausing = HttpSink::start(vec![asks(429, 600); 16]).await;
    show_ended_runs(&server, runs);
    let mut first = journaled_observer(&server, &pausing.url, folder.path())
        .args(["--log", "warn"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    let mut is_paused = false;
    while !is_paused {
        let line = lines.next_line().await.unwrap().unwrap();
        is_paused = line.contains("the receiver asks for a pause");
    }
    let journal = folder.path().join("journal");
    // The history is written a moment later.
    let explain = async |id: &str, more: &[&str], expected: &[&str]| {
        let mut told = String::new();
        let says = async {
            while !expected.iter().all(|expected| told.contains(expected)) {
                let mut command = Program::new();
                command
                    .args(["explain", id])
                    .args(more)
                    .arg("--journal")
                    .arg(&journal);
                told = String::from_utf8(command.output().await.unwrap().stdout).unwrap();
            }
        };
        let says = tokio::time::timeout(PATIENCE, says).await.is_ok();
        assert!(says, "{told}");
    };
    let refused = pausing.requests()[0].header("ce-id").to_owned();
    let failed = "sink all: attempt 1 failed, the sink asks for a pause until 20";
    explain(
        &refused,
        &[],
        &[failed, "\nSink all asks for a pause until 20"],
    )
    .await;
    // Also an event that was never tried.
    let is_tried = |id: &str| {
        let requests = pausing.requests();
        requests.iter().any(|request| request.header("ce-id") == id)
    };
    let untried = || {
        let history = std::fs::read_to_string(journal.join("history.jsonl")).unwrap();
        // The last line may be incomplete.
        let facts = history
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let accepted = facts.filter(|fact: &Value| fact["is"] == "accepted");
        let mut ids = accepted.map(|fact| fact["id"].as_str().unwrap().to_owned());
        ids.find(|id| !is_tried(id))
    };
    let found = async {
        loop {
            match untried() {
                Some(id) => return id,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let untried = tokio::time::timeout(PATIENCE, found).await.unwrap();
    let waits = "It waits for all.\nSink all asks for a pause until 20";
    explain(&untried, &[], &[waits]).await;
    explain(
        &untried,
        &["--json"],
        &[r#""is":"paused","sink":"all","until":"20"#],
    )
    .await;

    for _ in 0..2 {
        let id = first.id().unwrap().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args(["-TERM", &id]).status().await.unwrap().success());
    }
    while lines.next_line().await.unwrap().is_some() {}
    assert!(!first.wait().await.unwrap().success());
    assert!(pausing.accepted().is_empty());
    let up = HttpSink::start(vec![]).await;
    let mut second = journaled_observer(&server, &up.url, folder.path())
        .spawn()
        .unwrap();
    up.wait_for(runs * RECORDED).await;
    assert_eq!(assert_all_in_order(&up.requests(), runs), 0, "each once");
    second.kill().await.unwrap();
}
