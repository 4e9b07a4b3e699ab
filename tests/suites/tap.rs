//! `step-observer tap`: of a real observer, of a server that misbehaves, and straight from a cluster.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::process::Stdio;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::recording::{set_recorded_logs, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

/// Every time that the recordings have.
const ALL: [&str; 2] = ["--since", "1000000h"];

/// A running `tap`.
struct Tap {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    notes: Lines<BufReader<ChildStderr>>,
    _place: tempfile::TempDir,
}

impl Tap {
    fn start(args: &[&str]) -> Self {
        Self::spawn(
            Program::new().arg("tap").args(args),
            tempfile::tempdir().unwrap(),
        )
    }

    fn of_cluster(server: &ApiServer, args: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let kubeconfig = server.kubeconfig(place.path());
        Self::spawn(
            Program::new()
                .arg("tap")
                .args(args)
                .env("KUBECONFIG", kubeconfig),
            place,
        )
    }

    fn spawn(program: &mut Program, place: tempfile::TempDir) -> Self {
        let program = program
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            notes: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
            _place: place,
        }
    }

    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line")
    }

    /// Returns a number of lines, with one blank between two words.
    async fn words(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(
                self.line()
                    .await
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
        lines
    }

    async fn note(&mut self) -> String {
        let line = timeout(PATIENCE, self.notes.next_line()).await;
        line.expect("a note in time").unwrap().expect("a note")
    }

    /// Waits for the end. Returns the exit code and what standard output and standard error still had.
    async fn end(mut self) -> (Option<i32>, String, String) {
        let mut rest = (String::new(), String::new());
        let ended = async {
            let (mut output, mut notes) = (self.lines.into_inner(), self.notes.into_inner());
            output.read_to_string(&mut rest.0).await.unwrap();
            notes.read_to_string(&mut rest.1).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, ended).await.expect("an end in time");
        (status.code(), rest.0, rest.1)
    }

    async fn interrupt(self) -> (Option<i32>, String, String) {
        send_signal("INT", self.child.id().unwrap());
        self.end().await
    }
}

async fn observed(config: &str) -> (ApiServer, HttpSink, Observer, String) {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}{config}");
    let config = config.replace("SINK", &sink.url);
    let mut args = ADMIN_ARGS.to_vec();
    if !config.contains("sinks:") {
        args.extend(["--to", &sink.url]);
    }
    let mut observer = Observer::with_config(&server, &config, &args);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    (server, sink, observer, address)
}

fn play(server: &ApiServer, events: &[Value]) {
    events.iter().for_each(|event| server.play(event));
}

/// Returns an event of one step that ends now.
fn run_of_now(number: usize) -> Vec<Value> {
    let text = serde_json::to_string(&finished_run(number)).unwrap();
    let now = Timestamp::now();
    let text = text.replace("2020-08-12T12:07:54.217Z", &now.to_string());
    let seconds = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    serde_json::from_str(&text.replace("2020-08-12T12:07:54Z", &seconds)).unwrap()
}

#[tokio::test]
async fn it_shows_the_steps_of_an_observer_and_those_before_its_start_only_on_request() {
    let (server, sink, observer, address) = observed("").await;
    play(&server, &finished_run(1));
    sink.wait_for(2).await;
    let url = format!("http://{address}");
    let mut live = Tap::start(&["--observer", &url]);
    // Runs of now, until the first of them is shown: then the tap has its base.
    let mut number = 1;
    let first = loop {
        number += 1;
        play(&server, &finished_run(number));
        sink.wait_for(2 * number).await;
        let step = std::time::Duration::from_millis(500);
        if let Ok(line) = timeout(step, live.lines.next_line()).await {
            break line.unwrap().unwrap();
        }
    };
    assert!(
        first.contains("started") && !first.contains("run-1 "),
        "{first}"
    );
    let mut all = Tap::start(&[&["--observer", &url, "run-1"][..], &ALL].concat());
    assert_eq!(
        all.words(2).await,
        [
            "12:07:54 started test-event-assertion-success-fail-skip-skip-in-memory-chan7f5q7 run-1 unnamed-0",
            "12:07:54 succeeded test-event-assertion-success-fail-skip-skip-in-memory-chan7f5q7 run-1 unnamed-0 0.0s",
        ]
    );
    let mut failed =
        Tap::start(&[&["--observer", &url, "-n", "b-fail", "--failed"][..], &ALL].concat());
    set_recorded_logs(&server, "b-fail");
    let recorded = watch_events("b-fail");
    let namespace = recorded[0]["object"]["metadata"]["namespace"]
        .as_str()
        .unwrap();
    assert_eq!(namespace, "b-fail");
    play(&server, &recorded);
    let [line] = &*failed.words(1).await else {
        panic!()
    };
    assert!(
        line.contains(" failed b-fail b-fail test ") && line.ends_with("exit 7, Error"),
        "{line}"
    );
    for tap in [live, all, failed] {
        let (code, _, notes) = tap.interrupt().await;
        assert_eq!((code, &*notes), (Some(0), ""));
    }
    observer.stop().await;
}

#[tokio::test]
async fn it_prints_the_events_of_one_sink_as_the_sink_gets_them() {
    let config = "sinks:\n\
        - {name: all, to: {http: {url: 'SINK/all', mode: structured}}}\n\
        - {name: failures, to: {http: {url: 'SINK/failures'}}, match: {phases: [failed]}}\n";
    let (server, _sink, observer, address) = observed(config).await;
    set_recorded_logs(&server, "b-fail");
    let url = format!("http://{address}");
    play(&server, &watch_events("b-fail"));
    let args = |more: &[&'static str]| [&["--observer", &*url], &ALL[..], more].concat();
    let mut of_failures = Tap::start(&args(&["--json", "--sink", "failures"]));
    let event: Value = serde_json::from_str(&of_failures.line().await).unwrap();
    assert_eq!(event["type"], "dev.tekton.event.plugin.step.failed.v1");
    assert_eq!(event["data"]["stepState"]["name"], "test");
    let mut of_first = Tap::start(&args(&["--json"]));
    let mut of_sink = Tap::start(&args(&["--sink", "all"]));
    let mut types = Vec::new();
    for _ in 0..6 {
        let shown: Value = serde_json::from_str(&of_first.line().await).unwrap();
        assert_eq!(shown["specversion"], "1.0");
        if shown["id"] == event["id"] {
            assert_eq!(
                shown["data"], event["data"],
                "binary and structured mode hold the same event"
            );
        }
        types.push(
            shown["type"]
                .as_str()
                .unwrap()
                .rsplit('.')
                .nth(1)
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(
        types,
        [
            "started",
            "succeeded",
            "started",
            "failed",
            "skipped",
            "skipped"
        ]
    );
    assert_eq!(of_sink.words(6).await.len(), 6);
    for tap in [of_failures, of_first, of_sink] {
        let (code, rest, notes) = tap.interrupt().await;
        assert_eq!((code, &*rest, &*notes), (Some(0), "", ""));
    }
    observer.stop().await;
}

#[tokio::test]
async fn a_token_is_needed_where_the_observer_asks_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "secret-token\n").unwrap();
    let file = file.to_str().unwrap();
    let config = format!("admin: {{auth: {{bearer: {{tokenFile: '{file}'}}}}}}\n");
    let (server, sink, observer, address) = observed(&config).await;
    play(&server, &finished_run(1));
    sink.wait_for(2).await;
    let url = format!("http://{address}");
    let (code, _, notes) = Tap::start(&["--observer", &url]).end().await;
    assert_eq!(code, Some(1));
    assert!(
        notes.contains("--token-file") && notes.contains("401"),
        "{notes}"
    );
    let mut right = Tap::start(&[&["--observer", &url, "--token-file", file][..], &ALL].concat());
    assert!(right.line().await.contains("started"));
    right.interrupt().await;
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "other-secret").unwrap();
    let (code, _, notes) =
        Tap::start(&["--observer", &url, "--token-file", wrong.to_str().unwrap()])
            .end()
            .await;
    assert_eq!(code, Some(1));
    assert!(
        notes.contains("401") && !notes.contains("secret"),
        "{notes}"
    );
    observer.stop().await;
}

#[tokio::test]
async fn without_an_observer_it_names_the_way_to_one() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, output, notes) = Tap::start(&["--observer", &format!("http://{free}")])
        .end()
        .await;
    assert_eq!((code, &*output), (Some(1), ""));
    assert!(
        notes.contains("kubectl -n step-observer port-forward") && notes.contains("--admin"),
        "{notes}"
    );
}

/// A server that answers as it is told.
struct Scripted(TcpListener, String);

impl Scripted {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self(listener, url)
    }

    /// Takes the next request, and returns its head and the connection.
    async fn request(&self) -> (String, TcpStream) {
        let (mut connection, _) = timeout(PATIENCE, self.0.accept())
            .await
            .expect("a request")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        (String::from_utf8(head).unwrap().to_lowercase(), connection)
    }

    async fn refuse(&self, answer: &str) {
        let (_, mut connection) = self.request().await;
        connection.write_all(answer.as_bytes()).await.unwrap();
    }

    async fn stream(&self) -> (String, TcpStream) {
        let (head, mut connection) = self.request().await;
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            .await
            .unwrap();
        (head, connection)
    }
}

async fn send(connection: &mut TcpStream, event: &str, id: &str, data: Value) {
    let message = format!("id: {id}\nevent: {event}\ndata: {data}\n\n");
    connection.write_all(message.as_bytes()).await.unwrap();
}

fn runs(uid: &str, steps: &[(&str, &str)]) -> Value {
    let step = |(key, state): &(&str, &str)| json!({"key": key, "name": key, "state": state});
    let steps: Vec<_> = steps.iter().map(step).collect();
    json!([{"uid": uid, "namespace": "ci", "taskRun": uid, "steps": steps}])
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_nothing_is_shown_twice_or_missed() {
    let server = Scripted::start().await;
    let mut tap = Tap::start(&["--observer", &server.1]);
    let (head, mut first) = server.stream().await;
    assert!(
        head.starts_with("get /page/stream ") && !head.contains("last-event-id"),
        "{head}"
    );
    let snapshot =
        |runs| json!({"process": "a", "now": "2026-11-22T13:00:00Z", "runs": runs, "later": 1});
    send(
        &mut first,
        "snapshot",
        "a-0",
        snapshot(runs("one", &[("x", "running")])),
    )
    .await;
    send(&mut first, "later", "a-7", json!(1)).await;
    send(
        &mut first,
        "change",
        "a-1",
        json!({"runs": runs("one", &[("x", "failed"), ("y", "skipped")])}),
    )
    .await;
    assert_eq!(tap.words(2).await, ["failed ci one x", "skipped ci one y"]);
    drop(first);
    assert!(
        tap.note()
            .await
            .starts_with(&format!("reconnecting to {}: ", server.1))
    );
    server
        .refuse("HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")
        .await;
    // It continues after the last change.
    let (head, mut second) = server.stream().await;
    assert!(head.contains("last-event-id: a-1\r\n"), "{head}");
    send(
        &mut second,
        "change",
        "a-2",
        json!({"gone": ["one"], "runs": runs("two", &[("x", "running")])}),
    )
    .await;
    assert_eq!(tap.words(1).await, ["started ci two x"]);
    assert!(tap.note().await.starts_with("connected to "));
    drop(second);
    assert!(tap.note().await.starts_with("reconnecting to "));
    // The observer has restarted: what was shown before is known.
    let (_, mut third) = server.stream().await;
    send(
        &mut third,
        "snapshot",
        "b-0",
        json!({"process": "b", "runs": []}),
    )
    .await;
    send(
        &mut third,
        "change",
        "b-1",
        json!({"runs": runs("one", &[("x", "failed"), ("y", "skipped")])}),
    )
    .await;
    send(
        &mut third,
        "change",
        "b-2",
        json!({"runs": runs("two", &[("x", "succeeded")])}),
    )
    .await;
    assert_eq!(tap.words(1).await, ["succeeded ci two x"]);
    let (code, rest, _) = tap.interrupt().await;
    assert_eq!((code, &*rest), (Some(0), ""));
}

#[tokio::test]
async fn a_refusal_or_a_hostile_server_ends_it_with_a_clear_error() {
    for (answer, expected) in [
        (
            "HTTP/1.1 403 No\r\ncontent-length: 9\r\n\r\nno \u{1b}[2J!",
            &[
                "(403): no \\u{1b}[2J",
                "nonResourceURLs",
                "/page/events/*",
                "--token-file",
            ][..],
        ),
        ("HTTP/1.1 421 No\r\ncontent-length: 0\r\n\r\n", &["(421)"]),
        (
            "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            &["404", "no observer"],
        ),
        (
            "HTTP/1.1 302 No\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n",
            &["302", "no observer"],
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nevent: snapshot\ndata: {\"process\": secret\n\n",
            &["no JSON"],
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nevent: change\ndata: {\"runs\": \"secret\"}\n\n",
            &["another type"],
        ),
        ("SSH-2.0-server\r\n", &["no observer answers"]),
    ] {
        let server = Scripted::start().await;
        let tap = Tap::start(&["--observer", &server.1]);
        server.refuse(answer).await;
        let (code, output, notes) = tap.end().await;
        assert_eq!((code, &*output), (Some(1), ""), "{answer}");
        for text in expected {
            assert!(notes.contains(text), "{answer}: {notes}");
        }
        assert!(
            !notes.contains(|c: char| c == '\u{1b}') && !notes.contains("secret"),
            "{notes}"
        );
    }
    let server = Scripted::start().await;
    let tap = Tap::start(&["--observer", &server.1]);
    let (_, mut endless) = server.stream().await;
    endless.write_all(b"data: ").await.unwrap();
    let piece = vec![b'x'; 64 * 1024];
    // Ends when the tap closes the connection.
    while endless.write_all(&piece).await.is_ok() {}
    let (code, _, notes) = tap.end().await;
    assert_eq!(code, Some(1));
    assert!(notes.contains("more than 8388608 bytes"), "{notes}");
}

#[tokio::test]
async fn hostile_names_reach_no_terminal_unescaped() {
    let server = Scripted::start().await;
    let mut tap = Tap::start(&["--observer", &server.1]);
    let (_, mut stream) = server.stream().await;
    send(
        &mut stream,
        "snapshot",
        "a-0",
        json!({"process": "a", "runs": []}),
    )
    .await;
    let text = "evil\u{1b}]0;title\u{7}\r\nforged\u{202e}".to_owned() + &"x".repeat(70_000);
    let step = json!({"key": "k", "name": text, "state": "failed", "reason": text});
    let run = json!({"uid": "u", "namespace": text, "taskRun": text, "pipelineRun": text, "pipelineTask": text, "steps": [step]});
    send(&mut stream, "change", "a-1", json!({"runs": [run]})).await;
    let line = tap.line().await;
    assert!(
        line.contains("evil\\u{1b}]0;title\\u{7}\\r\\nforged\\u{202e}"),
        "{line}"
    );
    assert!(
        !line.contains(char::is_control) && line.len() < 4_000,
        "{line}"
    );
    tap.interrupt().await;
}

#[tokio::test]
async fn several_observers_are_merged() {
    let servers = [Scripted::start().await, Scripted::start().await];
    let mut tap = Tap::start(&["--observer", &servers[0].1, "--observer", &servers[1].1]);
    for (server, name) in servers.iter().zip(["one", "two"]) {
        let (_, mut stream) = server.stream().await;
        send(
            &mut stream,
            "snapshot",
            "a-0",
            json!({"process": "a", "runs": []}),
        )
        .await;
        send(
            &mut stream,
            "change",
            "a-1",
            json!({"runs": runs(name, &[("x", "running")])}),
        )
        .await;
        assert_eq!(tap.words(1).await, [format!("started ci {name} x")]);
    }
    tap.interrupt().await;
}

#[tokio::test]
async fn straight_from_a_cluster_it_needs_no_observer_and_shows_nothing_that_ended_before() {
    let server = ApiServer::start().await;
    play(&server, &finished_run(1));
    let mut tap = Tap::of_cluster(&server, &[]);
    server.wait_for_watches(2).await;
    // Ended before the start, and seen after it.
    play(&server, &finished_run(2));
    play(&server, &run_of_now(3));
    let lines = tap.words(2).await;
    assert!(
        lines[0].contains(" started ") && lines[0].contains(" run-3 "),
        "{lines:?}"
    );
    assert!(
        lines[1].contains(" succeeded ") && lines[1].contains(" run-3 "),
        "{lines:?}"
    );
    let (code, rest, notes) = tap.interrupt().await;
    assert_eq!((code, &*rest, &*notes), (Some(0), "", ""));
    assert!(
        server
            .requests()
            .iter()
            .all(|request| !request.contains("/log")),
        "no log was asked for"
    );
}

#[tokio::test]
async fn logs_and_events_of_a_cluster_are_masked() {
    let server = ApiServer::start().await;
    set_recorded_logs(&server, "leaky");
    play(&server, &watch_events("leaky"));
    let mut with_logs = Tap::of_cluster(&server, &[&ALL[..], &["--logs"]].concat());
    let mut with_json = Tap::of_cluster(
        &server,
        &[
            &ALL[..],
            &["--json", "--logs", "--plugin", "bundled:enrich-run"],
        ]
        .concat(),
    );
    let mut text = String::new();
    while !text.contains("[redacted:") {
        text.push_str(&with_logs.line().await);
        text.push('\n');
    }
    assert!(text.contains("\n  | "), "{text}");
    loop {
        let event: Value = serde_json::from_str(&with_json.line().await).unwrap();
        if event["data"]["log"]
            .as_str()
            .is_some_and(|log| log.contains("[redacted:"))
        {
            break;
        }
    }
    for tap in [with_logs, with_json] {
        let (code, _, notes) = tap.interrupt().await;
        assert_eq!((code, &*notes), (Some(0), ""));
    }
}

#[tokio::test]
async fn without_rights_in_all_namespaces_it_names_the_remedy() {
    let server = ApiServer::start().await;
    server.deny("pods", true);
    let mut tap = Tap::of_cluster(&server, &[]);
    let note = tap.note().await;
    assert!(
        note.contains("grant list and watch on pods") && note.contains("--namespace"),
        "{note}"
    );
    let (code, ..) = tap.interrupt().await;
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_closed_pipe_ends_it_quietly() {
    let server = ApiServer::start().await;
    let mut tap = Tap::of_cluster(&server, &ALL);
    server.wait_for_watches(2).await;
    play(&server, &finished_run(1));
    tap.line().await;
    let Tap {
        mut child,
        lines,
        notes,
        _place,
    } = tap;
    drop(lines);
    play(&server, &finished_run(2));
    play(&server, &finished_run(3));
    let status = timeout(PATIENCE, child.wait())
        .await
        .expect("an end in time")
        .unwrap();
    let mut rest = String::new();
    notes.into_inner().read_to_string(&mut rest).await.unwrap();
    assert_eq!((status.code(), &*rest), (Some(0), ""));
}
