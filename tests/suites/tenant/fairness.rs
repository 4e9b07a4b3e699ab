//! Log reads, preparation and held events are shared fairly between namespaces, and a log belongs
//! to its pod.
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use step_observer_tests::admin::{admin_address, get, get_until};
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::events::plugin_config_map;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::plugins::{RELEASE, wat};
use step_observer_tests::proxy::{self, Proxy};
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{HttpSink, Request};
use tokio::task::JoinSet;

/// Steps of a run of the recording `a-success`.
const STEPS: [&str; 3] = ["build", "test", "deploy"];
/// Number of events of such a run.
const EVENTS: usize = 6;
/// No log read ends by its timeout within a test.
const FOR_EVER: &str = "log: {timeoutMs: 600000}\n";

/// TaskRun and Pod of run 0 of the recording, as JSON: after its end, and while its first step
/// runs.
static ENDED: LazyLock<Vec<String>> = LazyLock::new(|| copies(&watch_events("a-success"), 1));
static RUNNING: LazyLock<Vec<String>> = LazyLock::new(|| {
    let all = watch_events("a-success");
    let last = first_with(&all, "step-build", "running");
    copies(&all[..=last], 1)
});

/// Returns the first watch event in which a container is in a state.
fn first_with(events: &[Value], container: &str, state: &str) -> usize {
    let is = |event: &Value| {
        let statuses = event["object"]["status"]["containerStatuses"].as_array();
        let mut statuses = statuses.into_iter().flatten();
        statuses.any(|status| status["name"] == container && status["state"][state].is_object())
    };
    events.iter().position(is).unwrap()
}

/// TaskRun and Pod of a run, as watch events.
struct Run {
    name: String,
    events: Vec<Value>,
}

impl Run {
    /// Creates a run that has ended, or that runs its first step.
    fn new(namespace: &str, number: usize, ended: bool) -> Self {
        let events = if ended { &*ENDED } else { &*RUNNING };
        let events = events.iter().map(|event| {
            let event = event
                .replace("run-00000", &format!("run-{number:05}"))
                .replace("e3615a1c-0000", &format!("e3615a1c-{number:04x}"))
                .replace("967295fd-0000", &format!("967295fd-{number:04x}"));
            let mut event: Value = serde_json::from_str(&event).unwrap();
            event["object"]["metadata"]["namespace"] = namespace.into();
            event
        });
        Self {
            name: format!("run-{number:05}"),
            events: events.collect(),
        }
    }

    fn pod(&self) -> String {
        format!("{}-pod", self.name)
    }

    /// Returns the pod as the cluster stores it.
    fn pod_object(&self) -> Value {
        let pod = self.events.iter().find(|e| e["object"]["kind"] == "Pod");
        pod.unwrap()["object"].clone()
    }

    fn give_logs(&self, server: &ApiServer) {
        for step in STEPS {
            let text = format!("{step} of {}\n", self.name);
            server.set_log(&format!("{}-step-{step}", self.pod()), &text);
        }
    }

    fn play(&self, server: &ApiServer) {
        self.events.iter().for_each(|event| server.play(event));
    }

    /// Returns type and data of its events among the accepted requests, in order.
    fn told(&self, requests: &[Request]) -> Vec<(String, Value)> {
        let accepted = requests.iter().filter(|one| one.status.is_success());
        let told = accepted.map(|request| {
            let data: Value = serde_json::from_slice(&request.body).unwrap();
            (request.header("ce-type").to_owned(), data)
        });
        told.filter(|(_, data)| data["taskRun"]["name"] == *self.name)
            .collect()
    }

    /// Returns its end events, in order.
    fn ends(&self, sink: &HttpSink) -> Vec<Value> {
        let told = self.told(&sink.requests()).into_iter();
        told.map(|(_, data)| data)
            .filter(|data| data["logInfo"].is_object())
            .collect()
    }

    /// Waits for all its events, and checks content, order and logs.
    async fn arrives(&self, sink: &HttpSink) {
        sink.wait_until(|requests| self.told(requests).len() >= EVENTS)
            .await;
        let told = self.told(&sink.requests());
        assert_eq!(told.len(), EVENTS);
        for (step, pair) in STEPS.iter().zip(told.chunks(2)) {
            let container = format!("step-{step}");
            for ((ty, data), word) in pair.iter().zip([".started.", ".succeeded."]) {
                assert!(ty.contains(word), "{ty}");
                assert_eq!(data["stepState"]["container"], container, "{data:#}");
            }
            assert_eq!(pair[1].1["log"], format!("{step} of {}\n", self.name));
        }
    }
}

/// Makes a running step's pod terminate.
fn dying(mut run: Run) -> Run {
    for event in &mut run.events {
        if event["object"]["kind"] == "Pod" {
            event["object"]["metadata"]["deletionTimestamp"] = "2026-11-22T13:04:20Z".into();
            event["object"]["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        }
    }
    run
}

/// Waits until at least `least` logs of the hostile runs were requested.
async fn wait_for_reads(server: &ApiServer, least: usize) {
    server
        .wait_until(|requests| {
            let reads = requests.filter(|request| request.starts_with("log run-00"));
            reads.count() >= least
        })
        .await;
}

#[tokio::test]
async fn endless_logs_of_dying_pods_delay_no_other_runs_ends() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}{FOR_EVER}");
    let _observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    let stalls = std::iter::repeat_n(Fault::Stall, 10_000);
    server.script("log run-00", stalls);
    // Reads for terminating pods take all slots that one namespace may have.
    (0..64).for_each(|number| dying(Run::new("hostile", number, false)).play(&server));
    wait_for_reads(&server, 12).await;
    let innocent = Run::new("innocent", 1_000, true);
    innocent.give_logs(&server);
    innocent.play(&server);
    innocent.arrives(&sink).await;

    // The log reads of these ended steps fill the namespace's slots for ended steps as well. There
    // are more runs than can be prepared at the same time.
    (100..500).for_each(|number| Run::new("hostile", number, true).play(&server));
    wait_for_reads(&server, 12 + 12).await;
    let innocent = Run::new("innocent", 1_001, true);
    innocent.give_logs(&server);
    innocent.play(&server);
    innocent.arrives(&sink).await;
    let is_hostile_end = |request: &Request| {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        data["taskRun"]["namespace"] == "hostile" && data["logInfo"].is_object()
    };
    // All hostile reads still hang.
    assert!(!sink.requests().iter().any(is_hostile_end));
}

#[tokio::test]
async fn events_that_a_plugin_holds_stop_no_other_namespace_and_none_is_lost() {
    const RUNS: usize = 120;
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let settings: &[u8] = b"{onError: block, match: {namespaces: [hostile]}}\n";
    // Answers every event with an error, like a plugin that cannot set a value of the run.
    let error =
        "(i32.store8 (i32.const 2048) (i32.const 1)) (i32.store (i32.const 2052) (i32.const 48))
         (i32.store (i32.const 2056) (i32.const 5)) (i32.const 2048)";
    let fails = wat("", &format!("{RELEASE} {error}"));
    let files: &[(&str, &[u8])] = &[("plugin.wat", fails.as_bytes()), ("plugin.yaml", settings)];
    server.put(plugin_config_map("gate", files));
    let args = ["--plugin-namespace", "observers", "--admin", "127.0.0.1:0"];
    let mut observer = Observer::start(&server, &sink, &args);
    let address = admin_address(&mut observer).await;
    let mut log = JoinSet::new();
    log.spawn(observer.drain_log());
    get_until(&address, "/readyz", |status, _| status == 200).await;
    let hostile: Vec<Run> = (0..RUNS)
        .map(|number| Run::new("hostile", number, true))
        .collect();
    for run in &hostile {
        run.give_logs(&server);
        run.play(&server);
    }
    let value = |metrics: &str, name: &str| -> u64 {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("step_observer_{name} ")));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let full = |_: u16, metrics: &str| {
        value(metrics, "events_held") > 0 && value(metrics, "runs_set_aside") > 0
    };
    get_until(&address, "/metrics", full).await;
    let innocent = Run::new("innocent", 1_000, true);
    innocent.give_logs(&server);
    innocent.play(&server);
    innocent.arrives(&sink).await;
    let (_, metrics) = get(&address, "/metrics").await;
    // A few events are held, and most runs are deferred.
    let (held, aside) = (
        value(&metrics, "events_held"),
        value(&metrics, "runs_set_aside"),
    );
    assert!((1..=64).contains(&held), "{held}");
    assert!(aside > 50, "{aside}");
    assert_eq!(value(&metrics, "runs_given_up_total"), 0);
    assert_eq!(sink.requests().len(), EVENTS);

    // A deferred run may end and be deleted meanwhile.
    let gone = hostile.last().unwrap();
    server.delete(gone.pod_object());
    let passes = wat("", &format!("{RELEASE} (call $keep)"));
    let files: &[(&str, &[u8])] = &[("plugin.wat", passes.as_bytes()), ("plugin.yaml", settings)];
    server.put(plugin_config_map("gate", files));
    sink.wait_for((RUNS + 1) * EVENTS).await;
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in sink.requests() {
        let run = request.header("ce-partitionkey").to_owned();
        told.entry(run)
            .or_default()
            .push(request.header("ce-sequence").to_owned());
    }
    assert_eq!(told.len(), RUNS + 1);
    for sequence in told.values() {
        assert_eq!(sequence.len(), EVENTS, "{sequence:?}");
        assert!(sequence.is_sorted(), "{sequence:?}");
    }
    let none_waits = |_: u16, metrics: &str| {
        !metrics.is_empty()
            && value(metrics, "events_held") == 0
            && value(metrics, "runs_set_aside") == 0
    };
    get_until(&address, "/metrics", none_waits).await;
}

#[tokio::test]
async fn an_annotation_that_no_attribute_can_hold_holds_nothing() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!(
        "{UNLIMITED_LOOK_BACK}plugins:\n- name: enrich\n  from: {{bundled: enrich-run}}\n  onError: block\n  \
         config: {{annotations: {{team: example.com/team}}}}\n"
    );
    let observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    let long = "x".repeat(3_000);
    for (number, value) in ["shop\nnext: line", long.as_str(), "shop"]
        .into_iter()
        .enumerate()
    {
        let mut run = Run::new("tenant", number, true);
        for event in &mut run.events {
            event["object"]["metadata"]["annotations"]["example.com/team"] = value.into();
        }
        run.give_logs(&server);
        run.play(&server);
        run.arrives(&sink).await;
    }
    let teams: BTreeSet<(String, String)> = (sink.requests().iter())
        .map(|request| {
            let data: Value = serde_json::from_slice(&request.body).unwrap();
            let run = data["taskRun"]["name"].as_str().unwrap();
            (run.to_owned(), request.header("ce-team").to_owned())
        })
        .collect();
    let expected = [
        ("run-00000", "shop%20next:%20line"),
        ("run-00001", ""),
        ("run-00002", "shop"),
    ];
    let expected = expected.map(|(run, team)| (run.to_owned(), team.to_owned()));
    assert_eq!(teams, BTreeSet::from(expected));
    observer.stop().await;
}

/// Returns another pod of the same name, which no watch shows.
fn replacement(of: &Value) -> Value {
    let mut pod = of.clone();
    pod["metadata"]["uid"] = "00000000-1111-2222-3333-444444444444".into();
    pod["metadata"]["labels"] = serde_json::json!({"app": "another"});
    pod["metadata"]["ownerReferences"] = serde_json::json!([]);
    pod
}

#[tokio::test]
async fn a_pod_that_took_the_name_of_another_gives_no_foreign_log() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}{FOR_EVER}");
    let observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    let [replaced, gone, innocent] = [0, 1, 2].map(|number| Run::new("tenant", number, true));
    for run in [&replaced, &gone] {
        run.give_logs(&server);
        server.hold_logs(&run.pod());
        run.play(&server);
        let read = format!("log {} step-build", run.pod());
        server.wait_for_request(&read).await;
    }
    server.delete(replaced.pod_object());
    server.put(replacement(&replaced.pod_object()));
    for step in STEPS {
        server.set_log(
            &format!("{}-step-{step}", replaced.pod()),
            "s3cret of another\n",
        );
    }
    server.delete(gone.pod_object());
    // The deletions are observed before this run's events, which come later in the watch.
    innocent.give_logs(&server);
    innocent.play(&server);
    innocent.arrives(&sink).await;
    server.release_logs();
    sink.wait_for(3 * EVENTS).await;
    let ends = replaced.ends(&sink);
    let unavailable = |end: &Value| end["logInfo"]["unavailable"].as_str().map(str::to_owned);
    assert_eq!(
        unavailable(&ends[0]).as_deref(),
        Some("another pod has its pod's name")
    );
    assert_eq!(unavailable(&ends[1]).as_deref(), Some("the pod is gone"));
    let all: String = sink
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body).into_owned())
        .collect();
    assert!(!all.contains("s3cret"), "{all}");
    // No other pod took the name of the pod `gone`, so the log that was read before its deletion
    // belongs to it.
    let ends = gone.ends(&sink);
    assert_eq!(ends[0]["log"], format!("build of {}\n", gone.name));
    observer.stop().await;
}

#[tokio::test]
async fn a_log_followed_beyond_its_pod_belongs_to_no_other_pod() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}log: {{capture: follow}}\n");
    let observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    server.set_log("d-cancel-pod-step-test", "half of the tests\n");
    let events = watch_events("d-cancel");
    let running = first_with(&events, "step-build", "terminated");
    events[..=running]
        .iter()
        .for_each(|event| server.play(event));
    server.wait_for_request("log d-cancel-pod step-test").await;
    server.play(events.last().unwrap());
    server.put(replacement(&events.last().unwrap()["object"]));
    server.set_log(
        "d-cancel-pod-step-test",
        "half of the tests\ns3cret of another\n",
    );
    let innocent = Run::new("innocent", 0, true);
    innocent.give_logs(&server);
    innocent.play(&server);
    innocent.arrives(&sink).await;
    let cancelled = |event: &&Value| event.to_string().contains("TaskRunCancelled");
    server.play(events.iter().find(cancelled).unwrap());
    sink.wait_for(EVENTS + 5).await;
    let data = sink.requests().into_iter();
    let data = data.map(|request| serde_json::from_slice(&request.body).unwrap());
    let mut ends = data.filter(|data: &Value| {
        data["stepState"]["container"] == "step-test"
            && data["taskRun"]["name"] == "d-cancel"
            && data["logInfo"].is_object()
    });
    let end = ends.next().unwrap();
    assert_eq!(
        end["logInfo"]["unavailable"], "another pod has its pod's name",
        "{end:#}"
    );
    assert!(!end.to_string().contains("s3cret"), "{end:#}");
    observer.stop().await;
}

#[tokio::test]
async fn a_log_request_that_cannot_connect_is_repeated() {
    let (mut server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let proxy = Proxy::start(&server.url, vec![]).await;
    server.url.clone_from(&proxy.url);
    let observer = Observer::with_config(&server, UNLIMITED_LOOK_BACK, &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    // More failures than the client's own retries.
    proxy.then([proxy::Fault::Refuse; 5]);
    let run = Run::new("tenant", 0, true);
    run.give_logs(&server);
    run.play(&server);
    run.arrives(&sink).await;
    assert_eq!(proxy.unused_faults(), 0);
    observer.stop().await;
}
