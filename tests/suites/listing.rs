//! The first lists: incomplete lists, refused lists, the order of the lists, and the beginning of
//! the history.
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::Observer;
use step_observer_tests::recording::{expected_ids, set_recorded_logs, watch_events};
use step_observer_tests::sink::{HttpSink, assert_exactly, event_ids};

fn play(server: &ApiServer, events: &[Value]) {
    events.iter().for_each(|event| server.play(event));
}

/// Returns a finished run of one step in this namespace.
fn in_namespace(namespace: &str, number: usize) -> Vec<Value> {
    let moved = |mut event: Value| {
        event["object"]["metadata"]["namespace"] = namespace.into();
        event
    };
    finished_run(number).into_iter().map(moved).collect()
}

#[tokio::test]
async fn a_forbidden_namespace_delays_no_other_and_is_emitted_once_it_is_granted() {
    for denied in ["leaky/pods", "leaky/taskruns"] {
        let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
        server.deny(denied, true);
        for name in ["b-fail", "leaky"] {
            set_recorded_logs(&server, name);
            play(&server, &watch_events(name));
        }
        let mut observer = Observer::start(&server, &sink, &["-n", "b-fail", "-n", "leaky"]);
        let line = observer.wait_for_log("watch failed, retrying").await;
        assert!(
            line.contains("namespace=\"leaky\"") && line.contains("grant list"),
            "{line}"
        );
        let mut expected = expected_ids("b-fail");
        sink.wait_for(expected.len()).await;
        // An incomplete list of the other namespace emits nothing.
        assert_exactly(&sink, &expected);
        play(&server, &in_namespace("b-fail", 1));
        sink.wait_for(expected.len() + 2).await;
        server.deny(denied, false);
        expected.extend(event_ids(&sink));
        expected.extend(expected_ids("leaky"));
        sink.wait_for(expected.len()).await;
        let (code, log) = observer.stop().await;
        assert_eq!(code, Some(0), "{log}");
        assert_exactly(&sink, &expected);
    }
}

#[tokio::test]
async fn objects_of_a_refused_list_do_not_count_as_deleted() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for name in ["b-fail", "leaky"] {
        play(&server, &watch_events(name));
    }
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let args = [
        "-n",
        "b-fail",
        "-n",
        "leaky",
        "--journal",
        journal.to_str().unwrap(),
    ];
    let observer = Observer::start(&server, &sink, &args);
    let told = &expected_ids("b-fail") | &expected_ids("leaky");
    sink.wait_for(told.len()).await;
    observer.stop().await;
    // Everything is emitted. Then one namespace cannot be listed for a while.
    for denied in ["leaky/pods", "leaky/taskruns"] {
        server.deny(denied, true);
    }
    let mut observer = Observer::start(&server, &sink, &args);
    observer.wait_for_log("watch failed, retrying").await;
    play(&server, &in_namespace("b-fail", 1));
    sink.wait_for(told.len() + 2).await;
    for denied in ["leaky/pods", "leaky/taskruns"] {
        server.deny(denied, false);
    }
    // Later changes are emitted after the earlier ones of their namespace.
    play(&server, &in_namespace("leaky", 2));
    sink.wait_for(told.len() + 4).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let came = event_ids(&sink);
    assert_eq!(
        came.iter().collect::<BTreeSet<_>>().len(),
        came.len(),
        "told twice: {came:#?}"
    );
}

/// Returns each event by its id, from an observer that gets the list of one kind last.
async fn events_with_last(kind: &str) -> BTreeMap<String, Value> {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    set_recorded_logs(&server, "leaky");
    play(&server, &watch_events("leaky"));
    server.script(&format!("list {kind}"), [Fault::Throttle(1)]);
    let observer = Observer::start(&server, &sink, &[]);
    sink.wait_for(expected_ids("leaky").len()).await;
    observer.stop().await;
    let requests = sink.requests();
    let events = requests.iter().map(|request| {
        let data = serde_json::from_slice(&request.body).unwrap();
        (request.header("ce-id").to_owned(), data)
    });
    events.collect()
}

#[tokio::test]
async fn the_order_of_the_lists_changes_no_event() {
    let (runs_last, pods_last) = (
        events_with_last("taskruns").await,
        events_with_last("pods").await,
    );
    assert_eq!(runs_last.len(), pods_last.len());
    for (id, event) in &runs_last {
        assert_eq!(Some(event), pods_last.get(id), "{id}");
    }
}

/// Returns a recording, moved in time so that it ended `ago` before `now`.
fn ended_before(name: &str, now: Timestamp, ago: SignedDuration) -> Vec<Value> {
    let events = watch_events(name);
    let mut last = Timestamp::MIN;
    events
        .iter()
        .for_each(|event| latest(&event["object"], &mut last));
    let offset = now - ago - last;
    let mut events = events;
    events.iter_mut().for_each(|event| shift(event, offset));
    events
}

fn latest(value: &Value, last: &mut Timestamp) {
    match value {
        Value::String(text) => *last = text.parse().unwrap_or(*last).max(*last),
        Value::Array(items) => items.iter().for_each(|item| latest(item, last)),
        Value::Object(fields) => fields.values().for_each(|field| latest(field, last)),
        _ => {}
    }
}

fn shift(value: &mut Value, offset: jiff::Span) {
    match value {
        Value::String(text) => {
            if let Ok(at) = text.parse::<Timestamp>() {
                *text = (at + offset).to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, offset)),
        Value::Object(fields) => fields.values_mut().for_each(|field| shift(field, offset)),
        _ => {}
    }
}

/// `lookBack` (10 minutes) is measured by the cluster's clock, which dates the observed states.
#[tokio::test]
async fn history_begins_where_the_clusters_clock_says() {
    for minutes in [-20, 0, 20] {
        let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
        let ahead = SignedDuration::from_mins(minutes);
        server.set_clock(ahead);
        #[expect(
            clippy::disallowed_methods,
            reason = "the cluster's clock goes by ours"
        )]
        let now = Timestamp::now() + ahead;
        play(
            &server,
            &ended_before("a-success", now, SignedDuration::from_mins(12)),
        );
        play(
            &server,
            &ended_before("b-fail", now, SignedDuration::from_mins(5)),
        );
        let observer = Observer::with_config(&server, "", &["--to", &sink.url]);
        let expected = expected_ids("b-fail");
        sink.wait_for(expected.len()).await;
        let (code, log) = observer.stop().await;
        assert_eq!(code, Some(0), "{minutes}: {log}");
        assert_exactly(&sink, &expected);
    }
}
