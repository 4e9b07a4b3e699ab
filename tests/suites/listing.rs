//! The first lists: incomplete lists, refused lists, the order of the lists, and the beginning of
//! the history.
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get_until};
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::Observer;
use step_observer_tests::recording::{copies, expected_ids, set_recorded_logs, watch_events};
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

/// TaskRuns that ended before `lookBack`, and TaskRuns whose first step runs.
const ENDED_RUNS: usize = 600;
const RUNNING_RUNS: usize = 20;

/// Returns the last TaskRun and Pod of these runs of the recording `a-success`, in turns. They are
/// moved in time so that the last of `events` was `ago` before now.
fn runs(events: &[Value], ago: SignedDuration, numbers: std::ops::Range<usize>) -> Vec<Value> {
    let mut last = Timestamp::MIN;
    events
        .iter()
        .for_each(|event| latest(&event["object"], &mut last));
    #[expect(
        clippy::disallowed_methods,
        reason = "the cluster's clock goes by ours"
    )]
    let offset = Timestamp::now() - ago - last;
    let all = copies(events, numbers.end).split_off(numbers.start * 2);
    let moved = |text: String| {
        let mut event = serde_json::from_str(&text).unwrap();
        shift(&mut event, offset);
        event
    };
    all.into_iter().map(moved).collect()
}

/// Runs that ended long ago are listed in large pages and emit nothing, whether their Pods are gone
/// or still there, and whatever happens to them later. They delay no event of the other runs.
#[tokio::test]
async fn runs_that_ended_long_ago_emit_nothing() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let events = watch_events("a-success");
    let starts = |event: &Value| {
        event["object"]["kind"] == "Pod"
            && event["object"]["metadata"]["annotations"]["tekton.dev/ready"] == "READY"
    };
    let started = events.iter().position(starts).unwrap();
    let ended = runs(&events, SignedDuration::from_hours(3), 0..ENDED_RUNS);
    // The Pod of one of them is still there. Pods are listed last.
    let without_pods = ended.chunks(2).map(|run| &run[0]);
    without_pods
        .chain([&ended[1]])
        .for_each(|event| server.play(event));
    server.script("list pods", [Fault::Throttle(1)]);
    let minute = SignedDuration::from_mins(1);
    let all = ENDED_RUNS + RUNNING_RUNS;
    let running = runs(&events[..=started], minute, ENDED_RUNS..all + 1);
    let (late, running) = running.split_at(2);
    play(&server, running);
    let args = [&["--to", &sink.url][..], &ADMIN_ARGS].concat();
    let mut observer = Observer::with_config(&server, "", &args);
    let admin = admin_address(&mut observer).await;
    sink.wait_for(RUNNING_RUNS).await;
    let tracks = async |runs: usize| {
        let runs = format!("\"runsTracked\":{runs},");
        get_until(&admin, "/status", |_, body| {
            body.replace(' ', "").contains(&runs)
        })
        .await
    };
    tracks(all).await;

    let mut labelled = ended[2].clone();
    labelled["object"]["metadata"]["labels"]["kept"] = "yes".into();
    server.put(labelled["object"].take());
    for gone in [&ended[0], &ended[1], &ended[4]] {
        server.delete(gone["object"].clone());
    }
    play(&server, late);
    sink.wait_for(RUNNING_RUNS + 1).await;
    tracks(all - 1).await;

    let kinds: Vec<String> = sink
        .requests()
        .iter()
        .map(|request| request.header("ce-type").to_owned())
        .collect();
    let expected = "dev.tekton.event.plugin.step.started.v1";
    assert_eq!(kinds, vec![expected; RUNNING_RUNS + 1]);
    let requests = server.requests();
    let pages = requests
        .iter()
        .filter_map(|request| request.strip_prefix("list taskruns"))
        .map(|query| query.split_once("\"limit\": \"").unwrap().1)
        .map(|rest| rest.split_once('"').unwrap().0);
    assert_eq!(pages.collect::<Vec<_>>(), ["50", "100", "200", "400"]);
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("unclaimed"), "{log}");
}
