//! Logs that are followed while their steps run.
use serde_json::Value;
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::HttpSink;

fn follow(followers: usize) -> String {
    format!("{UNLIMITED_LOOK_BACK}log: {{capture: follow, followers: {followers}}}\n")
}

/// Returns the first watch event in which a container is in a state.
fn when(events: &[Value], container: &str, state: &str) -> usize {
    let is = |event: &Value| {
        let statuses = event["object"]["status"]["containerStatuses"].as_array();
        let mut statuses = statuses.into_iter().flatten();
        statuses.any(|status| status["name"] == container && status["state"][state].is_object())
    };
    events.iter().position(is).unwrap()
}

/// Returns the data of the end events of a step.
fn ends(sink: &HttpSink, run: &str, step: &str) -> Vec<Value> {
    let data = sink
        .requests()
        .into_iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap());
    let of_it = |data: &Value| {
        data["taskRun"]["name"] == run
            && data["stepState"]["container"] == format!("step-{step}")
            && data["logInfo"].is_object()
    };
    data.filter(of_it).collect()
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("line {number}\n")).collect()
}

#[tokio::test]
async fn a_log_that_breaks_off_is_whole_and_has_each_line_once() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let observer = Observer::with_config(&server, &follow(8), &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    // Cuts within the timestamp, within a line, between two lines, and before any new line. Two
    // faults look like the normal end of the log.
    let faults = [
        Fault::Cut(7),
        Fault::Cut(100),
        Fault::Cut(35),
        Fault::End(150),
        Fault::Cut(0),
        Fault::End(333),
    ];
    server.script("log a-success-pod step-build", faults);
    server.set_log("a-success-pod-step-build", &lines(0..20));
    let events = watch_events("a-success");
    let (before, after) = events.split_at(when(&events, "step-build", "terminated"));
    before.iter().for_each(|event| server.play(event));
    server
        .wait_until(|requests| {
            let asked =
                requests.filter(|request| request.starts_with("log a-success-pod step-build"));
            asked.count() > faults.len()
        })
        .await;
    let end = lines(20..40) + "the end";
    server.append_log("a-success-pod-step-build", &end);
    after.iter().for_each(|event| server.play(event));
    sink.wait_for(6).await;
    let told = ends(&sink, "a-success", "build");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["log"], lines(0..20) + &end);
    assert_eq!(told[0]["logInfo"]["truncated"], false, "{:#}", told[0]);
    assert_eq!(server.unused_faults(), 0);
    observer.stop().await;
}

#[tokio::test]
async fn the_log_of_a_pod_that_is_deleted_at_once_is_captured() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let observer = Observer::with_config(&server, &follow(8), &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    server.set_log("d-cancel-pod-step-test", "half of the tests\n");
    let events = watch_events("d-cancel");
    let running = when(&events, "step-build", "terminated");
    events[..=running]
        .iter()
        .for_each(|event| server.play(event));
    server.wait_for_request("log d-cancel-pod step-test").await;
    // The deletion was not announced.
    server.play(events.last().unwrap());
    let cancelled = |event: &&Value| event.to_string().contains("TaskRunCancelled");
    server.play(events.iter().find(cancelled).unwrap());
    sink.wait_until(|requests| requests.len() >= 5).await;
    let told = ends(&sink, "d-cancel", "test");
    assert_eq!(told[0]["log"], "half of the tests\n", "{:#}", told[0]);
    observer.stop().await;
}

#[tokio::test]
async fn a_log_without_a_free_follower_is_read_at_the_end() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let observer = Observer::with_config(&server, &follow(1), &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    let events = watch_events("a-success");
    let running = when(&events, "step-build", "running") + 1;
    let first = copies(&events[..=running], 1);
    server.set_log("run-00000-pod-step-build", "it goes on and on\n");
    for event in first {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    server
        .wait_for_request("log run-00000-pod step-build")
        .await;
    for step in ["build", "test", "deploy"] {
        server.set_log(&format!("a-success-pod-step-{step}"), &format!("{step}\n"));
    }
    events.iter().for_each(|event| server.play(event));
    sink.wait_for(1 + 6).await;
    for step in ["build", "test", "deploy"] {
        let told = ends(&sink, "a-success", step);
        assert_eq!(told[0]["log"], format!("{step}\n"), "{:#}", told[0]);
    }
    let followed =
        |request: &&String| request.contains("follow") && request.contains("a-success-pod");
    assert_eq!(server.requests().iter().find(followed), None);
    observer.stop().await;
}
