//! Failing API servers: every event arrives once, and in order per run.
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::events::finished_run;
use step_observer_tests::load::Load;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::proxy::{Fault as Bytes, Proxy};
use step_observer_tests::recording::{copies, expected_ids, set_recorded_logs, watch_events};
use step_observer_tests::sink::{HttpSink, assert_exactly};

/// A cluster with a load, and a sink.
struct Scene {
    server: ApiServer,
    sink: HttpSink,
    load: Load,
}

impl Scene {
    async fn new(seed: u64, runs: usize) -> Self {
        Self {
            server: ApiServer::start().await,
            sink: HttpSink::start(vec![]).await,
            load: Load::new(seed, runs),
        }
    }

    /// Starts an observer and plays the load. Calls `between` after each watch event, with its
    /// number.
    async fn play(&self, between: impl Fn(&ApiServer, usize)) -> Observer {
        let observer = Observer::start(&self.server, &self.sink, &["--log", "warn"]);
        self.server.wait_for_watches(2).await;
        for (number, event) in self.load.watch.iter().enumerate() {
            self.server.play(event);
            between(&self.server, number);
        }
        observer
    }

    /// Checks that all events have come, each once, and those of a run in order.
    async fn all_is_told(&self, observer: Observer) {
        self.sink.wait_for(self.load.expected.len()).await;
        let (code, log) = observer.stop().await;
        assert_eq!(code, Some(0), "{log}");
        assert_exactly(&self.sink, &self.load.expected);
        let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for request in self.sink.requests() {
            let run = request.header("ce-partitionkey").to_owned();
            let sequence = request.header("ce-sequence").to_owned();
            order.entry(run).or_default().push(sequence);
        }
        for (run, told) in order {
            assert!(told.is_sorted(), "{run}: {told:?}");
        }
    }
}

#[tokio::test]
async fn revisions_that_are_forgotten_in_the_middle_lose_nothing() {
    let scene = Scene::new(1, 24).await;
    let observer = scene
        .play(|server, number| {
            if number % 40 == 20 {
                server.forget_history();
            }
        })
        .await;
    scene.all_is_told(observer).await;
}

/// For HTTP 410, kube-runtime alone would request the same revision for ever.
#[tokio::test]
async fn a_watch_that_is_refused_as_too_old_begins_with_a_new_list() {
    let scene = Scene::new(2, 24).await;
    let observer = scene
        .play(|server, number| {
            if number % 100 == 50 {
                server.forget_history_by_http();
            }
        })
        .await;
    scene.all_is_told(observer).await;
}

/// Returns the times between requests with this beginning, once there are `count` of them.
async fn gaps(server: &ApiServer, requests: &str, count: usize) -> Vec<Duration> {
    server
        .wait_until(|made| made.filter(|one| one.starts_with(requests)).count() >= count)
        .await;
    let times = server.times_of(requests);
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// If watches never work, requests become rarer, and all events are emitted in the end.
#[tokio::test]
async fn failing_watches_do_not_cause_list_after_list() {
    for fault in [Fault::Gone, Fault::Status(410)] {
        let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
        server.script("watch pods", [fault; 5]);
        let observer = Observer::start(&server, &sink, &["--log", "error"]);
        let gaps = gaps(&server, "list pods", 5).await;
        // Each wait is at least half of its bound and at most the bound. The bounds double from 0.8
        // s.
        for (gap, at_least) in gaps.iter().zip([400, 800, 1600, 3200]) {
            assert!(
                *gap >= Duration::from_millis(at_least),
                "{fault:?}: {gaps:?}"
            );
        }
        for event in finished_run(1) {
            server.play(&event);
        }
        sink.wait_for(2).await;
        assert_eq!(server.unused_faults(), 0);
        observer.stop().await;
    }
}

#[tokio::test]
async fn a_watch_that_ends_at_once_is_restarted_with_backoff() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.script("watch pods", [Fault::Nothing; 4]);
    let observer = Observer::start(&server, &sink, &["--log", "error"]);
    let gaps = gaps(&server, "watch pods", 5).await;
    for (gap, at_least) in gaps.iter().zip([800, 1600]) {
        assert!(*gap >= Duration::from_millis(at_least), "{gaps:?}");
    }
    assert_eq!(server.times_of("list pods").len(), 1);
    observer.stop().await;
}

#[tokio::test]
async fn watches_that_end_all_the_time_lose_nothing() {
    let scene = Scene::new(3, 24).await;
    scene.server.close_watches_every(3);
    let observer = scene.play(|_, _| {}).await;
    scene.all_is_told(observer).await;
}

#[tokio::test]
async fn a_watch_that_is_open_and_silent_is_noticed() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}cluster: {{watchTimeoutSeconds: 1}}\n");
    let observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    server.wait_for_watches(2).await;
    server.stall_watches();
    for event in watch_events("b-fail") {
        server.play(&event);
    }
    let expected = expected_ids("b-fail");
    sink.wait_for(expected.len()).await;
    assert_exactly(&sink, &expected);
    drop(observer);
}

#[tokio::test]
async fn changes_during_an_api_server_outage_are_emitted_after_it() {
    let mut scene = Scene::new(4, 12).await;
    let mut front = Proxy::start(&scene.server.url, vec![]).await;
    scene.server.url.clone_from(&front.url);
    let mut observer = Observer::start(&scene.server, &scene.sink, &[]);
    scene.server.wait_for_watches(2).await;
    let (before, during) = scene.load.watch.split_at(scene.load.watch.len() / 2);
    before.iter().for_each(|event| scene.server.play(event));
    scene.sink.wait_for(1).await;
    front.stop().await;
    during.iter().for_each(|event| scene.server.play(event));
    observer.wait_for_log("watch failed, retrying").await;
    front.start_again().await;
    scene.all_is_told(observer).await;
}

/// Connections that are refused, reset halfway, answered by another server, or silently dead in the
/// middle of a list. Only one connection is silently dead: this is noticed after half a minute, and
/// a test waits for at most a minute.
#[tokio::test]
async fn a_network_at_its_worst_before_the_api_server_loses_nothing() {
    let mut scene = Scene::new(6, 12).await;
    let faults = [
        Bytes::HalfOpen(5_000),
        Bytes::Refuse,
        Bytes::Cut(50_000),
        Bytes::Nonsense,
    ];
    let front = Proxy::start(&scene.server.url, faults.to_vec()).await;
    scene.server.url.clone_from(&front.url);
    scene
        .load
        .watch
        .iter()
        .for_each(|event| scene.server.play(event));
    let config = format!(
        "{UNLIMITED_LOOK_BACK}cluster: {{watchTimeoutSeconds: 1}}\nlog: {{timeoutMs: 1000}}\n"
    );
    let to = ["--to", &scene.sink.url, "--log", "warn"];
    let observer = Observer::with_config(&scene.server, &config, &to);
    scene.all_is_told(observer).await;
    assert_eq!(front.unused_faults(), 0);
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_gets_it() {
    let scene = Scene::new(5, 6).await;
    scene
        .load
        .watch
        .iter()
        .for_each(|event| scene.server.play(event));
    scene.server.script("list pods", [Fault::Throttle(3)]);
    scene.server.script("watch taskruns", [Fault::Throttle(3)]);
    let observer = Observer::start(&scene.server, &scene.sink, &[]);
    let asked = ["list pods", "watch taskruns"];
    for start in asked {
        let of_it = |request: &&str| request.starts_with(start);
        let twice = |requests: &mut dyn Iterator<Item = &str>| requests.filter(of_it).count() > 1;
        scene.server.wait_until(twice).await;
    }
    scene.all_is_told(observer).await;
    for requests in asked {
        let times = scene.server.times_of(requests);
        let pause = times[1] - times[0];
        assert!(pause >= Duration::from_secs(3), "{requests}: {pause:?}");
    }
    assert_eq!(scene.server.unused_faults(), 0);
}

/// Reads lists of four pages per kind. If every failed page restarted the list, it would never be
/// complete.
#[tokio::test]
async fn a_list_of_which_every_other_page_fails_is_read_to_its_end() {
    const RUNS: usize = 160;
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for event in copies(&watch_events("a-success"), RUNS) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    for (kind, code) in [("list pods", 500), ("list taskruns", 504)] {
        let pages = (0..200).flat_map(|_| [Fault::Pass, Fault::Status(code)]);
        server.script(kind, pages);
    }
    let observer = Observer::start(&server, &sink, &["--log", "warn"]);
    sink.wait_for(RUNS * 6).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(sink.requests().len(), RUNS * 6);
}

#[tokio::test]
async fn further_pages_that_have_expired_begin_a_new_list() {
    const RUNS: usize = 80;
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for event in copies(&watch_events("a-success"), RUNS) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    for kind in ["list pods", "list taskruns"] {
        server.script(kind, [Fault::Pass, Fault::Status(410)]);
    }
    let observer = Observer::start(&server, &sink, &["--log", "error"]);
    sink.wait_for(RUNS * 6).await;
    observer.stop().await;
    assert_eq!(sink.requests().len(), RUNS * 6);
}

/// The missing part of a log is reported. It delays no event for longer than `log.timeoutMs`.
#[tokio::test]
async fn slow_truncated_and_missing_logs_delay_no_event() {
    for (fault, expected) in [
        (Fault::Silence, "not read within 700ms"),
        (Fault::Stall, "not read within 700ms"),
        (Fault::Status(404), "404 NotFound"),
        (Fault::Cut(12), ""),
    ] {
        let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
        for step in ["build", "test"] {
            server.set_log(
                &format!("b-fail-pod-step-{step}"),
                "one line\nand another\n",
            );
        }
        server.script("log", [fault; 2]);
        for event in watch_events("b-fail") {
            server.play(&event);
        }
        let config = format!("{UNLIMITED_LOOK_BACK}log: {{timeoutMs: 700}}\n");
        let observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
        let ids = expected_ids("b-fail");
        sink.wait_for(ids.len()).await;
        assert_exactly(&sink, &ids);
        assert_eq!(server.unused_faults(), 0);
        let logs: Vec<Value> = sink
            .requests()
            .iter()
            .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap())
            .filter(|data| data["logInfo"].is_object())
            .collect();
        let faulty = logs.iter().filter(|data| match expected {
            "" => {
                data["logInfo"]["truncated"] == true
                    && data["log"].as_str().unwrap().starts_with("one line\n")
            }
            reason => data["logInfo"]["unavailable"] == reason,
        });
        assert_eq!(faulty.count(), 2, "{fault:?}: {logs:#?}");
        observer.stop().await;
    }
}

/// A log that cannot be read at the first attempt is read at the next.
#[tokio::test]
async fn a_log_request_is_repeated_after_a_server_error() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    set_recorded_logs(&server, "a-success");
    server.script(
        "log",
        [Fault::Status(503), Fault::Throttle(0), Fault::Status(500)],
    );
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let observer = Observer::start(&server, &sink, &[]);
    sink.wait_for(6).await;
    for request in sink.requests() {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        assert!(data["logInfo"].get("unavailable").is_none(), "{data:#}");
    }
    assert_eq!(server.unused_faults(), 0);
    observer.stop().await;
}

/// The pod is being deleted: the further output of its step is read as it comes.
#[tokio::test]
async fn the_log_of_a_pod_that_is_deleted_is_followed_to_its_last_line() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.set_log("d-cancel-pod-step-test", "testing\n");
    let observer = Observer::start(&server, &sink, &[]);
    server.wait_for_watches(2).await;
    for event in watch_events("d-cancel") {
        if event["object"]["status"]["phase"] == "Failed" && event["type"] == "MODIFIED" {
            server.wait_for_request("log d-cancel-pod step-test").await;
            server.append_log("d-cancel-pod-step-test", "stopping\n");
        }
        server.play(&event);
    }
    let expected = expected_ids("d-cancel");
    sink.wait_for(expected.len()).await;
    assert_exactly(&sink, &expected);
    let requests = sink.requests();
    let logs = requests.iter().filter_map(|request| {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        data["log"].as_str().map(str::to_owned)
    });
    let logs: Vec<String> = logs.collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert!(logs[0].starts_with("testing\nstopping\n"), "{logs:?}");
    drop(observer);
}

#[tokio::test]
async fn runs_that_vanish_between_two_lists_emit_no_more() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let observer = Observer::start(&server, &sink, &[]);
    server.wait_for_watches(2).await;
    let gone = watch_events("b-fail");
    gone.iter().for_each(|event| server.play(event));
    let mut expected = expected_ids("b-fail");
    sink.wait_for(expected.len()).await;
    gone.iter().for_each(|event| server.lose(event));
    server.forget_history();
    for event in watch_events("f-retries") {
        server.play(&event);
    }
    expected.extend(expected_ids("f-retries"));
    sink.wait_for(expected.len()).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_exactly(&sink, &expected);
}
