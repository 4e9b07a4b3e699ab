//! A namespace or a sink that has used its share delays no other.
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use step_observer::journal::{Accept, Journal, JournalConfig, NewEvent, Origin};
use step_observer_tests::accepted;
use step_observer_tests::admin::{admin_address, get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::journaled::dead_letters;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::recording::{changes, event_id, track};
use step_observer_tests::sink::{HttpSink, Request};
use tokio::task::JoinSet;

const ADMIN: [&str; 4] = [
    "--admin",
    "127.0.0.1:0",
    "--log",
    "error,step_observer::admin=info",
];
/// The smallest journal that can be configured, in bytes. A namespace's share of it is 25 logs of
/// [`LOG`] bytes.
const SMALL: u64 = 1024 * 1024;
const LOG: usize = 32 * 1024;

/// Shows a run of one step of a namespace to the API server, and returns the ids of its events.
fn show_run(server: &ApiServer, namespace: &str, number: usize, log: usize) -> Vec<String> {
    let long = "test-event-assertion-success-fail-skip-skip-in-memory-chan7f5q7";
    let text = serde_json::to_string(&finished_run(number)).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text.replace(long, namespace)).unwrap();
    let line = format!("{}\n", "x".repeat(63));
    let log_of = format!("run-{number}-pod-wrpkl-step-unnamed-0");
    server.set_log(&log_of, &line.repeat(log / line.len()));
    events.iter().for_each(|event| server.play(event));
    track(changes(&events)).iter().map(event_id).collect()
}

/// Returns true if a request holds an event of this namespace.
fn is_of(request: &Request, namespace: &str) -> bool {
    let subject = request.header("ce-subject");
    subject.split('/').next() == Some(namespace)
}

fn taken(requests: &[Request]) -> BTreeSet<String> {
    let taken = requests
        .iter()
        .filter(|request| request.status.is_success());
    taken
        .map(|request| request.header("ce-id").to_owned())
        .collect()
}

async fn wait_for_all(sink: &HttpSink, ids: &BTreeSet<String>) {
    sink.wait_until(|requests| taken(requests).is_superset(ids))
        .await;
}

/// Checks that each accepted event came once, and those of each run in order.
fn check_order(sink: &HttpSink) {
    let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in sink.accepted() {
        let of_run = runs.entry(request.header("ce-partitionkey").to_owned());
        of_run
            .or_default()
            .push(request.header("ce-sequence").to_owned());
    }
    for (run, sequences) in runs {
        assert!(
            sequences.is_sorted_by(|one, next| one < next),
            "{run}: {sequences:?}"
        );
    }
}

fn sinks(journal: &Path, sinks: &[(&str, &HttpSink)], retry: &str) -> String {
    let journal = journal.display();
    let sinks = sinks.iter().map(|(name, sink)| {
        let url = &sink.url;
        format!("- {{name: {name}, to: {{http: {{url: '{url}'}}}}, retry: {retry}}}\n")
    });
    let sinks: String = sinks.collect();
    format!(
        "{UNLIMITED_LOOK_BACK}journal: {{directory: '{journal}', maxBytes: {SMALL}}}\nsinks:\n{sinks}"
    )
}

/// Starts an observer, and drains its log, so that the observer never blocks on writing it. Returns
/// the address of its admin server.
async fn start(server: &ApiServer, config: &str, running: &mut JoinSet<()>) -> String {
    let mut observer = Observer::with_config(server, config, &ADMIN);
    let address = admin_address(&mut observer).await;
    running.spawn(observer.drain_log());
    address
}

/// Writes the journal of an earlier process, with events for the sink `all`: the given number of
/// events for each namespace, one namespace after the other, each event of a different run.
async fn leave(folder: &Path, events: &[(&str, usize)], log: usize) {
    let config = JournalConfig {
        directory: Some(folder.to_owned()),
        ..JournalConfig::default()
    };
    let journal = Journal::open(&config, Timestamp::UNIX_EPOCH).unwrap();
    for (namespace, count) in events {
        let mut handed = Vec::new();
        for number in 0..*count {
            let run = format!("{namespace}-{number}");
            let event = json!({
                "specversion": "1.0", "id": run, "source": "/s", "partitionkey": run, "sequence": "0000-0000-0",
                "type": "dev.tekton.event.plugin.step.succeeded.v1", "subject": format!("{namespace}/{run}/step"),
                "datacontenttype": "application/json", "data": {"log": "x".repeat(log)},
            });
            let event = NewEvent {
                sinks: vec!["all".to_owned()],
                body: accepted(event),
            };
            let origin = Origin {
                run: run.into(),
                namespace: (*namespace).into(),
            };
            // A time in the far future, so that no event is given up because of its age.
            handed.push(journal.accept(Accept {
                origin,
                mark: None,
                at: Timestamp::MAX,
                events: vec![event],
            }));
        }
        futures::future::try_join_all(handed).await.unwrap();
    }
    drop(journal);
    // The writer releases the lock after it has ended.
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
}

#[tokio::test]
async fn refusals_of_one_namespace_delay_no_other_namespace_and_no_other_sink() {
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let (picky, well) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    picky.answer_by(|headers, body| {
        let subject = headers.get("ce-subject").unwrap().to_str().unwrap();
        let is_too_large = subject.starts_with("sec-a/") && body.len() > LOG;
        if is_too_large { 413 } else { 202 }
    });
    let journal = folder.path().join("journal");
    let retry = "{initialMs: 1, maxMs: 50}";
    let config = sinks(&journal, &[("picky", &picky), ("well", &well)], retry);
    // Three times the bound of dead letters, with an innocent run after every tenth hostile run.
    let (mut all, mut innocent) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..100 {
        all.extend(show_run(&server, "sec-a", number, LOG));
        if number % 10 == 0 {
            innocent.extend(show_run(&server, "sec-b", 1000 + number, 1000));
        }
    }
    all.extend(innocent.clone());
    let mut running = JoinSet::new();
    let address = start(&server, &config, &mut running).await;
    wait_for_all(&well, &all).await;
    wait_for_all(&picky, &innocent).await;
    let dropped = |_: u16, metrics: &str| {
        let dropped = "step_observer_journal_dead_letters_dropped_total ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(dropped));
        count.is_some_and(|count| count.parse::<u64>().unwrap() >= 30)
    };
    get_until(&address, "/metrics", dropped).await;
    get_until(&address, "/readyz", |status, _| status == 200).await;
    // The bytes of a dead letter do not count while its event still waits for the other sink. Thus
    // a few dead letters more than the bound may remain. All that remain belong to the hostile
    // namespace, and can be sent again.
    let (_, list) = dead_letters(&["list", "--json"], &journal).await;
    let letters: Vec<Value> = list
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        (20..=70).contains(&letters.len()),
        "{} letters",
        letters.len()
    );
    for letter in letters {
        assert_eq!(letter["refused"], true, "{letter}");
        assert_eq!(letter["sink"], "picky");
        assert!(
            letter["subject"].as_str().unwrap().starts_with("sec-a/"),
            "{letter}"
        );
    }
    check_order(&well);
    check_order(&picky);
}

#[tokio::test]
async fn a_namespace_with_its_share_of_the_journal_waits_while_others_are_accepted() {
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let sink = HttpSink::start(vec![]).await;
    sink.answer_by(|_, _| 503);
    let journal = folder.path().join("journal");
    let config = sinks(&journal, &[("all", &sink)], "{initialMs: 1, maxMs: 50}");
    let mut all = BTreeSet::new();
    for number in 0..60 {
        all.extend(show_run(&server, "sec-a", number, LOG));
    }
    let mut running = JoinSet::new();
    let address = start(&server, &config, &mut running).await;
    // While no other namespace has events, nothing more is accepted, and `/readyz` reports this.
    let full = |status: u16, body: &str| status == 503 && body.contains("accepts no event");
    get_until(&address, "/readyz", full).await;
    let (_, metrics) = get(&address, "/metrics").await;
    assert!(
        metrics.contains("step_observer_journal_full 1\n"),
        "{metrics}"
    );
    // Nine of ten events belong to the hostile namespace. The events of all other namespaces are
    // accepted.
    let mut innocent = BTreeSet::new();
    for number in 0..6 {
        let namespace = format!("sec-{}", ["b", "c"][number % 2]);
        innocent.extend(show_run(&server, &namespace, 1000 + number, 1000));
    }
    for id in &innocent {
        let place = format!("/events/{id}");
        get_until(&address, &place, |status, body| {
            status == 200 && body.contains("accepted")
        })
        .await;
    }
    get_until(&address, "/readyz", |status, _| status == 200).await;
    let (_, metrics) = get(&address, "/metrics").await;
    let waits = "step_observer_journal_waiting_namespaces 1\n";
    assert!(metrics.contains(waits), "{metrics}");
    assert!(
        metrics.contains("step_observer_journal_full 0\n"),
        "{metrics}"
    );
    // No event is lost.
    all.extend(innocent);
    sink.answer_by(|_, _| 202);
    wait_for_all(&sink, &all).await;
    check_order(&sink);
    let gone = |_: u16, metrics: &str| metrics.contains("journal_waiting_namespaces 0\n");
    get_until(&address, "/metrics", gone).await;
}

#[tokio::test]
async fn a_namespace_with_many_events_before_all_others_delays_them_by_no_more_than_its_turns() {
    const MANY: usize = 6000;
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let journal = folder.path().join("journal");
    let few = [("sec-b", 20), ("sec-c", 20)];
    leave(&journal, &[&[("sec-a", MANY)][..], &few].concat(), 100).await;
    let sink = HttpSink::start(vec![]).await;
    let config = sinks(&journal, &[("all", &sink)], "{initialMs: 1, maxMs: 50}");
    let mut running = JoinSet::new();
    start(&server, &config, &mut running).await;
    sink.wait_for(MANY + 40).await;
    let requests = sink.requests();
    for (namespace, _) in few {
        let last = requests
            .iter()
            .rposition(|request| is_of(request, namespace));
        let last = last.unwrap();
        // Every third delivered event belongs to this namespace, apart from the events that were in
        // flight before.
        assert!(last < 500, "the last of {namespace} is the {last}th");
    }
    check_order(&sink);
}

#[tokio::test]
async fn a_sink_that_fails_on_one_namespaces_events_takes_those_of_others() {
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let journal = folder.path().join("journal");
    // More events than the window holds.
    leave(&journal, &[("sec-a", 5000)], 100).await;
    let sink = HttpSink::start(vec![]).await;
    sink.answer_by(|headers, _| {
        let subject = headers.get("ce-subject").unwrap().to_str().unwrap();
        if subject.starts_with("sec-a/") {
            500
        } else {
            202
        }
    });
    let config = sinks(
        &journal,
        &[("all", &sink)],
        "{initialMs: 10000, maxMs: 3600000}",
    );
    // Larger than the backlog.
    let config = config.replace(&format!("maxBytes: {SMALL}"), "maxBytes: 33554432");
    let mut running = JoinSet::new();
    start(&server, &config, &mut running).await;
    // After five failures the breaker is open.
    sink.wait_for(5).await;
    let mut innocent = BTreeSet::new();
    for number in 0..5 {
        innocent.extend(show_run(&server, "sec-b", number, 1000));
        wait_for_all(&sink, &innocent).await;
    }
    check_order(&sink);
}

#[tokio::test]
async fn events_are_retried_while_the_dead_letters_are_full() {
    let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let journal = folder.path().join("journal");
    leave(&journal, &[("sec-a", 40)], LOG).await;
    let sink = HttpSink::start(vec![]).await;
    sink.answer_by(|_, _| 503);
    let retry = "{initialMs: 1, maxMs: 50, giveUpMs: 0}";
    // Each event is tried once.
    let config = sinks(&journal, &[("all", &sink)], retry);
    let config = config.replace("giveUpMs: 0", "giveUpMs: 0, maxPerSecond: 1000");
    let mut running = JoinSet::new();
    let address = start(&server, &config, &mut running).await;
    let told = |status: u16, body: &str| {
        status == 503 && body.contains("too many dead letters") && body.contains("sink `all`")
    };
    get_until(&address, "/readyz", told).await;
    let (_, metrics) = get(&address, "/metrics").await;
    assert!(
        metrics.contains("step_observer_journal_dead_letters_dropped_total 0\n"),
        "{metrics}"
    );
    sink.answer_by(|_, _| 202);
    get_until(&address, "/readyz", |status, _| status == 200).await;
    let (_, list) = dead_letters(&["list", "--json"], &journal).await;
    let letters = list.lines().count();
    assert!((20..=30).contains(&letters), "{letters} letters");
    sink.wait_until(|requests| taken(requests).len() == 40 - letters)
        .await;
}

#[tokio::test]
async fn only_the_owner_may_read_the_journal_its_history_and_its_socket() {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let chmod = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // Permissions as version 0.1.0 left them, and on a volume that belongs to a group.
    for (before, folder_after, file_after) in [(0o755, 0o750, 0o640), (0o2775, 0o2770, 0o660)] {
        let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
        let journal = folder.path().join("journal");
        leave(&journal, &[("sec-a", 3)], 100).await;
        std::fs::write(journal.join("history.1.jsonl"), "").unwrap();
        for file in std::fs::read_dir(&journal).unwrap() {
            chmod(&file.unwrap().path(), 0o644);
        }
        chmod(&journal, before);
        let sink = HttpSink::start(vec![]).await;
        let config = sinks(&journal, &[("all", &sink)], "{initialMs: 1}");
        let mut running = JoinSet::new();
        start(&server, &config, &mut running).await;
        sink.wait_for(3).await;
        // The socket exists once it answers, and the note of until when the observer has watched once the lists are complete.
        let mut list = String::new();
        for _ in 0..100 {
            (_, list) = dead_letters(&["list"], &journal).await;
            if list == "no dead letters\n" && journal.join("watched-until").exists() {
                break;
            }
        }
        assert_eq!(list, "no dead letters\n");
        assert_eq!(mode(&journal), folder_after, "{before:o}");
        let mut names = Vec::new();
        for file in std::fs::read_dir(&journal).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            // A next note may just be written.
            if name != "watched-until.new" {
                names.push(name);
                assert_eq!(mode(&path), file_after, "{}", path.display());
            }
        }
        names.sort();
        let all = [
            "000000000000.journal",
            "control",
            "history.1.jsonl",
            "history.jsonl",
            "lock",
            "plugin-calls",
            "watched-until",
        ];
        assert_eq!(names, all);
    }
}
