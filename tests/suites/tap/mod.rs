//! `step-observer tap`: of a real observer, and straight from a cluster.

mod stream;

use jiff::Timestamp;
use serde_json::{Value, json};
use step_observer_tests::admin::{ADMIN_ARGS, admin_address};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::recording::{set_recorded_logs, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use step_observer_tests::tap::Tap;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Every time that the recordings have.
const ALL: [&str; 2] = ["--since", "1000000h"];

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

/// Returns a run of two steps, as watch events: the first ended a minute ago, the second starts and ends now.
fn run_that_ends_now(number: usize) -> Vec<Value> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program compares with the clock of the server"
    )]
    let now = Timestamp::now();
    let second_of = |ago: i64| {
        let at = Timestamp::from_second(now.as_second() - ago).unwrap();
        at.to_string()
    };
    let mut events = finished_run(number);
    // As the kubelet reports it: all containers start together, and each entrypoint says when its turn came.
    let ended = |name: &str, turn: String, end: String| {
        let message = json!([{"key": "StartedAt", "value": turn, "type": 3}]);
        json!({"name": name, "imageID": "busybox@sha256:0", "state": {"terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": second_of(62), "finishedAt": end,
            "containerID": format!("containerd://{name}"), "message": message.to_string(),
        }}})
    };
    let pod = &mut events[1]["object"];
    pod["status"]["containerStatuses"] = json!([
        ended("step-unnamed-0", second_of(61), second_of(60)),
        ended("step-second", now.to_string(), second_of(-1)),
    ]);
    let containers = pod["spec"]["containers"].as_array_mut().unwrap();
    let mut second = containers[0].clone();
    second["name"] = "step-second".into();
    containers.push(second);
    let steps = events[0]["object"]["spec"]["taskSpec"]["steps"]
        .as_array_mut()
        .unwrap();
    let mut second = steps[0].clone();
    second["name"] = "second".into();
    steps.push(second);
    events
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
    assert!(!first.contains("run-1 "), "{first}");
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

#[tokio::test]
async fn straight_from_a_cluster_it_needs_no_observer_and_shows_nothing_that_ended_before() {
    let server = ApiServer::start().await;
    play(&server, &finished_run(1));
    let mut tap = Tap::of_cluster(&server, &[]);
    server.wait_for_watches(2).await;
    // Ended before the start, and seen after it.
    play(&server, &finished_run(2));
    play(&server, &run_that_ends_now(3));
    let lines = tap.words(2).await;
    for (line, state) in lines.iter().zip([" started ", " succeeded "]) {
        assert!(
            line.contains(state) && line.contains(" run-3 second"),
            "{lines:?}"
        );
    }
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
        ..
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
