//! `step-observer run` against an API server that behaves as real ones do.

use serde_json::Value;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::observer::Observer;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{expected_ids, recordings, set_recorded_logs, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE, assert_exactly};

#[tokio::test]
async fn every_recording_gives_its_events_through_a_real_watch() {
    for name in recordings() {
        let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
        set_recorded_logs(&server, &name);
        let observer = Observer::start(&server, &sink, &[]);
        server.wait_for_watches(2).await;
        for event in watch_events(&name) {
            server.play(&event);
        }
        let expected = expected_ids(&name);
        sink.wait_for(expected.len()).await;
        let (code, log) = observer.stop().await;
        assert_eq!(code, Some(0), "{name}: {log}");
        assert_exactly(&sink, &expected);
    }
}

#[tokio::test]
async fn transitions_of_the_first_list_are_emitted() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    set_recorded_logs(&server, "leaky");
    for event in watch_events("leaky") {
        server.play(&event);
    }
    let observer = Observer::start(&server, &sink, &["--plugin", "bundled:redact-secrets"]);
    let expected = expected_ids("leaky");
    sink.wait_for(expected.len()).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_exactly(&sink, &expected);
    let logs: Vec<Value> = sink
        .requests()
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let text = logs
        .iter()
        .filter_map(|data| data["log"].as_str())
        .collect::<String>();
    assert!(
        text.contains("HEAD is now at 4f1c2d9") && !text.contains("ghp_"),
        "{text}"
    );
}

#[tokio::test]
async fn old_runs_are_history() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "lookBack: 0s\n").unwrap();
    let mut observer = Program::new();
    observer
        .args(["run", "--to", &sink.url, "--config"])
        .arg(&config)
        .env("KUBECONFIG", server.kubeconfig(folder.path()));
    let _observer = observer.spawn().unwrap();
    server.wait_for_watches(2).await;
    // The same pod a day later.
    #[expect(
        clippy::disallowed_methods,
        reason = "the observer compares with its own clock"
    )]
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let date = tomorrow.strftime("%Y-%m-%dT").to_string();
    for event in watch_events("b-fail") {
        server
            .play(&serde_json::from_str(&event.to_string().replace("2026-11-22T", &date)).unwrap());
    }
    let expected = expected_ids("b-fail");
    sink.wait_for(expected.len()).await;
    assert_exactly(&sink, &expected);
}

#[tokio::test]
async fn forgotten_history_closed_watches_and_failing_lists_lose_nothing() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.fail_lists(2);
    let observer = Observer::start(&server, &sink, &[]);
    server.wait_for_watches(2).await;
    for (number, event) in watch_events("f-retries").iter().enumerate() {
        server.play(event);
        match number % 12 {
            3 => server.close_watches(),
            9 => server.forget_history(),
            _ => {}
        }
    }
    let expected = expected_ids("f-retries");
    sink.wait_for(expected.len()).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_exactly(&sink, &expected);
}

#[tokio::test]
async fn a_pod_that_vanishes_between_two_lists_ends_its_steps() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let observer = Observer::start(&server, &sink, &[]);
    server.wait_for_watches(2).await;
    // The events up to the start of `test`.
    let events = watch_events("d-cancel");
    let running = events
        .iter()
        .position(|event| event.to_string().contains("13:00:07.439Z"))
        .unwrap();
    for event in &events[..=running] {
        server.play(event);
    }
    sink.wait_for(3).await;
    for event in &events[..=running] {
        server.lose(event);
    }
    server.forget_history();
    sink.wait_for(5).await;
    let told: Vec<(String, Value)> = sink
        .requests()
        .iter()
        .map(|request| {
            (
                request.header("ce-subject").to_owned(),
                serde_json::from_slice(&request.body).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        (told[3].0.as_str(), &told[3].1["reason"]),
        ("d-cancel/d-cancel/test", &"PodDeleted".into())
    );
    assert_eq!(
        (told[4].0.as_str(), &told[4].1["cause"]),
        ("d-cancel/d-cancel/deploy", &"neverStarted".into())
    );
    assert_eq!(told[3].1["logInfo"]["unavailable"], "the pod is gone");
    drop(observer);
}

#[tokio::test]
async fn the_log_of_a_cancelled_step_is_read_before_its_pod_is_gone() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    set_recorded_logs(&server, "d-cancel");
    let observer = Observer::start(&server, &sink, &[]);
    server.wait_for_watches(2).await;
    for event in watch_events("d-cancel") {
        if event["object"]["status"]["phase"] == "Failed" && event["type"] == "MODIFIED" {
            // Simulates a slow kubelet: the log is requested before this change arrives.
            server.wait_for_request("log d-cancel-pod step-test").await;
        }
        server.play(&event);
    }
    sink.wait_for(5).await;
    let test = sink.requests().into_iter().find(|request| {
        request
            .header("ce-id")
            .contains("-test-dev.tekton.event.plugin.step.failed")
    });
    let data: Value = serde_json::from_slice(&test.unwrap().body).unwrap();
    assert_eq!(
        (&data["log"], &data["reason"]),
        (&"testing\n".into(), &"TaskRunCancelled".into())
    );
    drop(observer);
}

#[tokio::test]
async fn missing_rights_are_named_and_nothing_is_lost_once_they_are_granted() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.deny("taskruns", true);
    server.deny("pods/log", true);
    for event in watch_events("b-fail") {
        server.play(&event);
    }
    let mut observer = Observer::start(&server, &sink, &[]);
    let line = observer.wait_for_log("watch failed, retrying").await;
    assert!(
        line.contains("grant list and watch on pods and taskruns.tekton.dev"),
        "{line}"
    );
    assert!(sink.requests().is_empty(), "half of a list tells nothing");
    server.deny("taskruns", false);
    let expected = expected_ids("b-fail");
    sink.wait_for(expected.len()).await;
    assert_exactly(&sink, &expected);
    let data: Value = serde_json::from_slice(&sink.requests()[1].body).unwrap();
    assert_eq!(data["logInfo"]["unavailable"], "403 Forbidden");
    assert!(data.get("log").is_none());
}

#[tokio::test]
async fn only_the_chosen_namespaces_and_labels_are_asked_for() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let observer = Observer::start(
        &server,
        &sink,
        &[
            "--namespace",
            "leaky",
            "-n",
            "b-fail",
            "--selector",
            "team=shop",
        ],
    );
    server.wait_for_watches(4).await;
    for event in watch_events("b-fail")
        .iter()
        .chain(&watch_events("a-success"))
        .chain(&watch_events("leaky"))
    {
        server.play(event);
    }
    let expected = expected_ids("leaky");
    sink.wait_for(expected.len()).await;
    assert_exactly(&sink, &expected);
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .any(|request| request.starts_with("list pods")
                && request.contains("tekton.dev/taskRun,team=shop")),
        "{requests:#?}"
    );
    drop(observer);
}

#[tokio::test]
async fn a_stop_reports_the_events_it_could_not_deliver() {
    // The sink stays down.
    let (server, sink) = (
        ApiServer::start().await,
        HttpSink::start(vec![(503, vec![]); 1000]).await,
    );
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let observer = Observer::start(&server, &sink, &[]);
    sink.wait_for(1).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("error: 6 events were not delivered"), "{log}");

    // This sink recovers after a while.
    let (server, sink) = (
        ApiServer::start().await,
        HttpSink::start(vec![(503, vec![]); 3]).await,
    );
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let observer = Observer::start(&server, &sink, &[]);
    sink.wait_for(1).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(sink.accepted().len(), 6);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (server, sink) = (
        ApiServer::start().await,
        HttpSink::start(vec![(503, vec![]); 1000]).await,
    );
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let mut observer = Observer::start(&server, &sink, &[]);
    sink.wait_for(1).await;
    let pid = observer.child.id().unwrap().to_string();
    let signal = || {
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
    };
    assert!(signal().success());
    observer.wait_for_log("stopping").await;
    assert!(signal().success());
    let ended = tokio::time::timeout(PATIENCE, observer.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.code(), Some(1));
}

#[tokio::test]
async fn an_object_that_is_not_as_it_should_be_stops_nothing_and_is_not_logged() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let mut odd = watch_events("leaky")[0].clone();
    odd["object"]["spec"]["taskSpec"]["steps"] = "ghp_0123456789abcdefABCDEF0123456789abcd".into();
    odd["object"]["status"] =
        serde_json::json!({"steps": {"secret": "s3cr3t-Passw0rd"}, "conditions": 7});
    server.play(&odd);
    let observer = Observer::start(&server, &sink, &["--log", "trace"]);
    server.wait_for_watches(2).await;
    server.play(&odd);
    for event in watch_events("b-fail") {
        server.play(&event);
    }
    let expected = expected_ids("b-fail");
    sink.wait_for(expected.len()).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0));
    assert_exactly(&sink, &expected);
    assert!(log.contains("TRACE"), "this proves nothing");
    assert!(!log.contains("ghp_") && !log.contains("s3cr3t"), "{log}");
}
