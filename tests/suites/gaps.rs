//! An observer reports from when to when it may have missed runs that came and went.
use jiff::Timestamp;
use serde_json::Value;
use std::path::{Path, PathBuf};
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::journaled::fill_journal;
use step_observer_tests::observer::Observer;
use step_observer_tests::path;
use step_observer_tests::sink::{HttpSink, Request};

/// Events of one run of [`finished_run`].
const PER_RUN: usize = 2;
/// Type of the event of a gap.
const GAP_TYPE: &str = "dev.step-observer.gap.v1";

#[expect(
    clippy::disallowed_methods,
    reason = "the times of the observer are compared with it"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

struct Scene {
    server: ApiServer,
    sink: HttpSink,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        Self {
            server: ApiServer::start().await,
            sink: HttpSink::start(vec![]).await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn note(&self) -> PathBuf {
        self.journal().join("watched-until")
    }

    /// Returns a configuration with a journal on disk.
    fn config(&self, more: &str) -> String {
        let journal = self.journal();
        let journal = journal.display();
        format!("journal: {{directory: '{journal}'}}\n{}", self.sinks(more))
    }

    fn sinks(&self, more: &str) -> String {
        format!(
            "lookBack: 1000000h\nsinks: [{{name: all, retry: {{initialMs: 20, maxMs: 50}}, to: {{http: {{url: '{}'}}}}}}]\n{more}",
            self.sink.url
        )
    }

    /// Starts an observer, and waits until it is ready. Returns the address of its admin server.
    async fn start(&self, config: &str) -> (Observer, String) {
        let (observer, address) = self.begin(config).await;
        get_until(&address, "/readyz", |code, _| code == 200).await;
        (observer, address)
    }

    /// Starts an observer without this wait.
    async fn begin(&self, config: &str) -> (Observer, String) {
        let mut observer = Observer::with_config(&self.server, config, &ADMIN_ARGS);
        let address = admin_address(&mut observer).await;
        (observer, address)
    }

    /// Shows a run, and waits until its events have come. So both watches have shown a change.
    async fn show(&self, number: usize) {
        for event in finished_run(number) {
            self.server.play(&event);
        }
        let expected = steps(&self.sink.requests()).count() + PER_RUN;
        self.sink
            .wait_until(|requests| steps(requests).count() >= expected)
            .await;
    }

    /// Waits until the observer has noted until when it has watched.
    async fn wait_for_note(&self, address: &str) {
        let note = self.note();
        get_until(address, "/healthz", |_, _| note.exists()).await;
    }
}

fn steps(requests: &[Request]) -> impl Iterator<Item = &Request> {
    requests
        .iter()
        .filter(|request| request.header("ce-type") != GAP_TYPE)
}

fn gaps(requests: &[Request]) -> Vec<&Request> {
    let gaps = requests
        .iter()
        .filter(|request| request.header("ce-type") == GAP_TYPE);
    gaps.collect()
}

/// Returns the last gap in `/status` after `count` gaps.
async fn gap_of(address: &str, count: u64) -> (Option<Timestamp>, Timestamp) {
    let sum = |text: &str| -> u64 {
        let series = text
            .lines()
            .filter_map(|line| line.strip_prefix("step_observer_gaps_total{"));
        let counts = series.map(|line| line.rsplit_once(' ').unwrap().1);
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    };
    get_until(address, "/metrics", |_, text| sum(text) == count).await;
    let (_, status) = get(address, "/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    let gap = status["gap"].as_object().unwrap();
    let time = |name: &str| match &gap[name] {
        Value::String(time) => Some(time.parse().unwrap()),
        Value::Null => None,
        other => panic!("{other}"),
    };
    (time("from"), time("to").unwrap())
}

/// Asserts that a time lies between two others. A gap is rounded to milliseconds.
fn assert_between(earliest: Timestamp, time: Timestamp, latest: Timestamp) {
    let millisecond = std::time::Duration::from_millis(1);
    assert!(
        earliest - millisecond <= time && time <= latest + millisecond,
        "{time} is not between {earliest} and {latest}"
    );
}

async fn gap_seconds(address: &str) -> f64 {
    let (_, metrics) = get(address, "/metrics").await;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("step_observer_gap_seconds "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn after_a_clean_stop_the_gap_begins_with_the_last_change_that_was_seen() {
    let scene = Scene::new().await;
    let config = scene.config("");
    let started = now();
    let (first, address) = scene.start(&config).await;
    let (from, to) = gap_of(&address, 1).await;
    assert_eq!(from, None);
    assert_between(started, to, now());
    assert!(gap_seconds(&address).await.abs() < f64::EPSILON);
    let showing = now();
    scene.show(1).await;
    let (code, log) = first.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let stopped = now();
    let (second, address) = scene.start(&config).await;
    let (from, to) = gap_of(&address, 1).await;
    let from = from.unwrap();
    assert_between(showing, from, stopped);
    assert_between(stopped, to, now());
    let seconds = gap_seconds(&address).await;
    let length = to.duration_since(from).as_secs_f64();
    assert!((seconds - length).abs() < 1e-6, "{seconds} {length}");
    second.stop().await;
}

#[tokio::test]
async fn after_a_kill_the_gap_begins_with_the_last_note_before_it() {
    let scene = Scene::new().await;
    let config = scene.config("");
    let starting = now();
    let (mut first, address) = scene.start(&config).await;
    scene.wait_for_note(&address).await;
    let listed = now();
    scene.show(1).await;
    first.child.kill().await.unwrap();
    let killed = now();
    let (second, address) = scene.start(&config).await;
    let (from, to) = gap_of(&address, 1).await;
    assert_between(starting, from.unwrap(), listed);
    assert_between(killed, to, now());
    second.stop().await;
}

#[tokio::test]
async fn without_a_journal_on_disk_only_the_same_process_knows_the_beginning() {
    let scene = Scene::new().await;
    let config = scene.sinks("");
    let (first, address) = scene.start(&config).await;
    assert_eq!(gap_of(&address, 1).await.0, None);
    let showing = now();
    scene.show(1).await;
    // A change of the configuration ends one pipeline and starts another one.
    let file = first.folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let next = first.folder.path().join("next.yaml");
    std::fs::write(&next, text.replace("maxMs: 50", "maxMs: 60")).unwrap();
    std::fs::rename(next, file).unwrap();
    let (from, to) = gap_of(&address, 2).await;
    assert_between(showing, from.unwrap(), to);
    assert_between(from.unwrap(), to, now());
    first.stop().await;
    let (second, address) = scene.start(&config).await;
    assert_eq!(gap_of(&address, 1).await.0, None);
    second.stop().await;
}

#[tokio::test]
async fn another_part_of_the_cluster_begins_without_knowledge() {
    let scene = Scene::new().await;
    let (first, _) = scene.start(&scene.config("")).await;
    scene.show(1).await;
    first.stop().await;
    let config = scene.config("cluster: {namespaces: [shop]}\n");
    let mut second = Observer::with_config(&scene.server, &config, &ADMIN_ARGS);
    let address = admin_address(&mut second).await;
    let line = second.wait_for_log("it is unknown since when").await;
    assert!(
        line.contains("about other namespaces, labels or shards"),
        "{line}"
    );
    assert_eq!(gap_of(&address, 1).await.0, None);
    second.stop().await;
}

#[tokio::test]
async fn a_watch_that_begins_again_with_a_list_reports_what_it_did_not_see() {
    let scene = Scene::new().await;
    let (observer, address) = scene.start(&scene.config("")).await;
    gap_of(&address, 1).await;
    let showing = now();
    scene.show(1).await;
    let forgotten = now();
    scene.server.forget_history();
    let (from, to) = gap_of(&address, 2).await;
    assert_between(showing, from.unwrap(), forgotten);
    assert_between(forgotten, to, now());
    let (_, metrics) = get(&address, "/metrics").await;
    for line in [
        "step_observer_gaps_total{beginning=\"known\"} 1\n",
        "step_observer_gaps_total{beginning=\"unknown\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    observer.stop().await;
}

#[tokio::test]
async fn a_note_that_cannot_be_used_counts_as_unknown_and_stops_nothing() {
    let scene = Scene::new().await;
    let config = scene.config("");
    let (first, _) = scene.start(&config).await;
    first.stop().await;
    let good = std::fs::read_to_string(scene.note()).unwrap();
    let good: Value = serde_json::from_str(&good).unwrap();
    let in_future = format!(
        "{{\"watchedUntil\": \"2999-01-01T00:00:00Z\", \"scope\": {}}}",
        good["scope"]
    );
    type Spoil<'a> = &'a dyn Fn(&Path);
    let write = |text: Vec<u8>| move |note: &Path| std::fs::write(note, &text).unwrap();
    let (garbage, empty) = (write(b"\xff{\"watchedUntil".to_vec()), write(Vec::new()));
    let in_future = write(in_future.into_bytes());
    let gigantic = |note: &Path| {
        std::fs::File::create(note)
            .unwrap()
            .set_len(1 << 40)
            .unwrap()
    };
    let folder = |note: &Path| std::fs::create_dir(note).unwrap();
    let forms: [(Spoil<'_>, &str); 5] = [
        (&garbage, "it is not what an observer writes"),
        (&empty, "it is not what an observer writes"),
        (&gigantic, "it has more than 4096 bytes"),
        (&in_future, "is in the future: check the clocks"),
        (&folder, "it is not a file"),
    ];
    for (spoil, problem) in forms {
        if scene.note().exists() {
            std::fs::remove_file(scene.note()).unwrap();
        }
        spoil(&scene.note());
        let mut observer = Observer::with_config(&scene.server, &config, &ADMIN_ARGS);
        let first = match problem.contains("future") {
            // It is found once there is a time to compare with.
            true => None,
            false => Some(observer.wait_for_log(problem).await),
        };
        if let Some(line) = first {
            assert!(line.contains("ERROR") && line.contains("remedy"), "{line}");
        }
        let address = admin_address(&mut observer).await;
        if problem.contains("future") {
            observer.wait_for_log(problem).await;
        }
        assert_eq!(gap_of(&address, 1).await.0, None, "{problem}");
        get_until(&address, "/readyz", |code, _| code == 200).await;
        let (code, log) = observer.stop().await;
        assert_eq!(code, Some(0), "{problem}: {log}");
    }
    // The last form is a folder, which nothing replaces.
    assert!(scene.note().is_dir());
}

#[tokio::test]
async fn the_event_of_a_gap_goes_to_the_sinks_that_want_it_until_they_have_it() {
    let scene = Scene::new().await;
    let failures = HttpSink::start(vec![]).await;
    // The plugin drops every event of a step.
    let config = format!(
        "event: {{gap: true, source: /observers/one}}\n\
         plugins: [{{name: none, from: {{bundled: filter-events}}, config: {{namespaces: [none]}}}}]\n\
         journal: {{directory: '{}'}}\nlookBack: 1000000h\n\
         sinks: [{{name: all, retry: {{initialMs: 20, maxMs: 50}}, to: {{http: {{url: '{}'}}}}}},\
         {{name: failures, match: {{phases: [failed]}}, to: {{http: {{url: '{}'}}}}}}]\n",
        scene.journal().display(),
        scene.sink.url,
        failures.url,
    );
    for event in finished_run(1) {
        scene.server.play(&event);
    }
    let (first, address) = scene.start(&config).await;
    assert_eq!(gap_of(&address, 1).await.0, None);
    let (code, log) = first.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(scene.sink.requests().len(), 0, "no event without a time");

    scene.sink.answer_by(|_, _| 503);
    let (mut second, address) = scene.start(&config).await;
    let (from, to) = gap_of(&address, 1).await;
    scene.sink.wait_for(2).await;
    second.child.kill().await.unwrap();
    let refused = scene.sink.requests().len();
    scene.sink.answer_by(|_, _| 202);
    let (third, address) = scene.start(&config).await;
    let (next_from, next_to) = gap_of(&address, 1).await;
    scene
        .sink
        .wait_until(|requests| requests.len() >= refused + 2)
        .await;
    let id = |from: Option<Timestamp>, to| format!("{}-{to}-{GAP_TYPE}", from.unwrap());
    let history = format!("/events/{}", id(next_from, next_to));
    let (_, told) = get_until(&address, &history, |_, text| text.contains("delivered")).await;
    assert!(told.contains("\"accepted\""), "{told}");
    let (code, log) = third.stop().await;
    assert_eq!(code, Some(0), "{log}");

    let requests = scene.sink.requests();
    let found = gaps(&requests);
    assert_eq!(found.len(), requests.len());
    for request in &found[..=refused] {
        assert_eq!(request.header("ce-id"), id(from, to));
        assert_eq!(request.body, found[0].body);
    }
    assert_eq!(found[refused + 1].header("ce-id"), id(next_from, next_to));
    assert_eq!(found.len(), refused + 2);
    assert_eq!(found[0].header("ce-source"), "/observers/one");
    let data: Value = serde_json::from_slice(&found[0].body).unwrap();
    let schema = std::fs::read(path("../deploy/schema/gap-event.v1.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap());
    schema.unwrap().validate(&data).unwrap();
    assert_eq!(data["from"], from.unwrap().to_string());
    assert_eq!(data["to"], to.to_string());
    assert_eq!(failures.requests().len(), 0);
}

#[tokio::test]
async fn a_gap_whose_event_is_not_accepted_is_part_of_the_next_one() {
    let scene = Scene::new().await;
    let journal = scene.journal();
    let config = scene.sinks(&format!(
        "event: {{gap: true}}\njournal: {{directory: '{}', maxBytes: 1048576}}\n",
        journal.display()
    ));
    let (first, _) = scene.start(&config).await;
    first.stop().await;
    // The sink is down, and the journal is full.
    scene.sink.answer_by(|_, _| 503);
    let ids: Vec<String> = (0..20).map(|number| format!("event-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    fill_journal(&journal, "all", &ids, 60_000).await;
    let (mut second, address) = scene.begin(&config).await;
    let (from, to) = gap_of(&address, 1).await;
    let is_full = |_: u16, text: &str| text.contains("the journal is full");
    get_until(&address, "/readyz", is_full).await;
    second.keep_log();
    second.stop().await;
    scene.sink.answer_by(|_, _| 202);
    let (third, address) = scene.start(&config).await;
    let (next_from, next_to) = gap_of(&address, 1).await;
    assert_eq!(next_from, from);
    assert!(next_to > to);
    let has_gap = |requests: &[Request]| !gaps(requests).is_empty();
    scene.sink.wait_until(has_gap).await;
    third.stop().await;
    let requests = scene.sink.requests();
    let expected = format!("{}-{next_to}-{GAP_TYPE}", from.unwrap());
    let found = gaps(&requests);
    assert!(
        found
            .iter()
            .all(|request| request.header("ce-id") == expected)
    );
}

#[tokio::test]
async fn without_the_option_no_event_reports_a_gap() {
    let scene = Scene::new().await;
    let config = scene.config("");
    for (number, known) in [false, true].into_iter().enumerate() {
        let (observer, address) = scene.start(&config).await;
        assert_eq!(gap_of(&address, 1).await.0.is_some(), known);
        scene.show(number).await;
        observer.stop().await;
    }
    assert_eq!(gaps(&scene.sink.requests()).len(), 0);
}
