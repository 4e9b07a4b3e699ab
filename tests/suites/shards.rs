//! Several observers that share a cluster.
use std::collections::{BTreeMap, BTreeSet};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::Observer;
use step_observer_tests::sink::{HttpSink, Request};

/// Events of one run of [`finished_run`].
const PER_RUN: usize = 2;

/// Pods of a StatefulSet, each with its own volume.
struct StatefulSet<'a> {
    server: &'a ApiServer,
    sink: &'a HttpSink,
    volumes: tempfile::TempDir,
}

impl StatefulSet<'_> {
    async fn start(&self, ordinal: usize, shards: usize) -> Observer {
        let name = format!("step-observer-{ordinal}");
        let config = format!(
            "lookBack: 1000000h\njournal: {{directory: '{}'}}\n\
             sinks: [{{name: all, to: {{http: {{url: '{}', extensions: {{shard: '{ordinal}'}}}}}}}}]\n",
            self.volumes.path().join(&name).display(),
            self.sink.url
        );
        let shards = shards.to_string();
        let args = ["--shards", &shards, "--shard", &name];
        let before = self.server.watches();
        let observer = Observer::with_config(self.server, &config, &args);
        self.server.wait_for_watches(before + 2).await;
        observer
    }

    /// Replaces a pod by a new one with the same volume.
    async fn replace(&self, old: Observer, ordinal: usize, shards: usize) -> Observer {
        let (code, log) = old.stop().await;
        assert_eq!(code, Some(0), "{log}");
        self.start(ordinal, shards).await
    }
}

fn show(server: &ApiServer, runs: std::ops::Range<usize>) {
    for event in runs.flat_map(finished_run) {
        server.play(&event);
    }
}

/// Waits until all events of these runs have arrived.
async fn told(sink: &HttpSink, runs: std::ops::Range<usize>) {
    let all = runs.len() * PER_RUN;
    let there = |requests: &[Request]| {
        let ids: BTreeSet<(String, &str)> = requests
            .iter()
            .map(|request| (run_of(request), request.header("ce-id")))
            .filter(|(run, _)| {
                runs.clone()
                    .any(|number| *run == format!("run-uid-{number}"))
            })
            .collect();
        ids.len() == all
    };
    sink.wait_until(there).await;
}

fn run_of(request: &Request) -> String {
    request.header("ce-partitionkey").to_owned()
}

#[tokio::test]
async fn scaled_up_and_down_while_events_flow_they_lose_nothing() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let set = StatefulSet {
        server: &server,
        sink: &sink,
        volumes: tempfile::tempdir().unwrap(),
    };
    let zero = set.start(0, 1).await;
    show(&server, 0..30);

    // New pods start before the old one is replaced.
    let (one, two) = (set.start(1, 3).await, set.start(2, 3).await);
    show(&server, 30..60);
    let zero = set.replace(zero, 0, 3).await;
    told(&sink, 0..60).await;
    show(&server, 60..120);
    told(&sink, 60..120).await;

    show(&server, 120..140);
    let (code, log) = two.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let one = set.replace(one, 1, 2).await;
    show(&server, 140..160);
    let zero = set.replace(zero, 0, 2).await;
    show(&server, 160..180);
    told(&sink, 0..180).await;
    for observer in [zero, one] {
        let (code, log) = observer.stop().await;
        assert_eq!(code, Some(0), "{log}");
    }

    let mut events: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for request in sink.requests() {
        let id = request.header("ce-id").to_owned();
        events.entry(id).or_default().push(request);
    }
    assert_eq!(events.len(), 180 * PER_RUN);
    // While the number of shards was constant, each run was reported by exactly one of three
    // observers.
    let settled: BTreeSet<String> = (60..120)
        .map(|number| format!("run-uid-{number}"))
        .collect();
    let by = |shard: &str| {
        let requests = events.values().map(|same| &same[0]);
        let its = requests.filter(|request| request.header("ce-shard") == shard);
        its.filter(|request| settled.contains(&run_of(request)))
            .count()
    };
    assert!(["0", "1", "2"].iter().all(|shard| by(shard) > 0));
}

#[tokio::test]
async fn a_third_shard_takes_a_third_of_the_runs_and_only_these_are_repeated() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let set = StatefulSet {
        server: &server,
        sink: &sink,
        volumes: tempfile::tempdir().unwrap(),
    };
    let (zero, one) = (set.start(0, 2).await, set.start(1, 2).await);
    show(&server, 0..25);
    told(&sink, 0..25).await;

    // As a StatefulSet does it: the new pod comes first, then the others are replaced, the highest number first.
    let two = set.start(2, 3).await;
    show(&server, 25..40);
    let one = set.replace(one, 1, 3).await;
    let zero = set.replace(zero, 0, 3).await;
    show(&server, 40..50);
    told(&sink, 0..50).await;
    for observer in [zero, one, two] {
        let (code, log) = observer.stop().await;
        assert_eq!(code, Some(0), "{log}");
    }

    let mut by_id: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for request in sink.requests() {
        let id = request.header("ce-id").to_owned();
        by_id.entry(id).or_default().push(request);
    }
    assert_eq!(by_id.len(), 50 * PER_RUN);
    let repeated: BTreeSet<String> = by_id
        .values()
        .filter(|same| same.len() > 1)
        .map(|same| run_of(&same[0]))
        .collect();
    let of_two: BTreeSet<String> = by_id
        .values()
        .flatten()
        .filter(|request| request.header("ce-shard") == "2")
        .map(run_of)
        .collect();
    assert!((8..=25).contains(&of_two.len()), "{}", of_two.len());
    assert!(!repeated.is_empty());
    assert!(repeated.is_subset(&of_two), "{repeated:?}\n{of_two:?}");
    // A run that did not move stays with its observer.
    for same in by_id.values() {
        let shards: BTreeSet<&str> = same
            .iter()
            .map(|request| request.header("ce-shard"))
            .collect();
        assert!(shards.len() == 1 || shards.contains("2"), "{shards:?}");
    }
}

#[tokio::test]
async fn a_pod_beyond_the_last_shard_names_the_remedy() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let args = ["--shards", "3", "--shard", "step-observer-3"];
    let mut observer = Observer::start(&server, &sink, &args);
    let line = observer.wait_for_log("error:").await;
    assert!(
        line.contains("shard 3 of 3: shards are counted from 0"),
        "{line}"
    );
}
