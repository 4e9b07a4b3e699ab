//! Two observers of the same runs, of which one is active by a Lease.
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get, get_until};
use step_observer_tests::api_server::authorise::{rights, take_apart, without};
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::Observer;
use step_observer_tests::path;
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::proxy::Proxy;
use step_observer_tests::sink::{HttpSink, PATIENCE, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Runs of each test.
const RUNS: usize = 50;
/// Events of one run of [`finished_run`].
const PER_RUN: usize = 2;
/// The account of `deploy`.
const ACCOUNT: &str = "step-observer/step-observer";

/// Times of a Lease, short enough for a test and long enough for a slow machine.
const TIMES: &str = "leaseMs: 3000, renewMs: 300, giveUpMs: 1800";

struct Pair {
    server: ApiServer,
    sink: HttpSink,
    /// The kubeconfig and the journal of each observer.
    folder: tempfile::TempDir,
}

impl Pair {
    async fn new() -> Self {
        Self {
            server: ApiServer::start().await,
            sink: HttpSink::start(vec![]).await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn show(&self, runs: std::ops::Range<usize>) {
        for event in runs.flat_map(finished_run) {
            self.server.play(&event);
        }
    }

    /// Shows all runs while the sink refuses the first observer, which so tries again and again.
    async fn show_to_refused_first(&self) {
        self.sink.answer_by(|headers, _| {
            if headers["ce-from"] == "first" {
                503
            } else {
                202
            }
        });
        self.show(0..RUNS);
        self.sink.wait_for(RUNS).await;
    }

    /// Starts an observer with a journal of its own, which is called `name` in its events.
    fn start(&self, name: &str) -> Observer {
        self.start_at(&self.server.url, name)
    }

    /// Starts one that reaches the API server at a URL. Its log is shown from the level `info` on.
    fn start_at(&self, url: &str, name: &str) -> Observer {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let kubeconfig = self.server.kubeconfig_of(&folder, "step-observer");
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        std::fs::write(&kubeconfig, text.replace(&self.server.url, url)).unwrap();
        let config = format!(
            "lookBack: 1000000h\nstandby: {{{TIMES}}}\njournal: {{directory: '{}'}}\n\
             sinks: [{{name: all, retry: {{initialMs: 20, maxMs: 50}}, to: {{http: {{url: '{}', extensions: {{from: '{name}'}}}}}}}}]\n",
            folder.join("journal").display(),
            self.sink.url
        );
        let environment = [("KUBECONFIG", kubeconfig.to_str().unwrap())];
        Observer::with_environment(&self.server, &config, &ADMIN_ARGS, &environment)
    }

    /// Waits until all events of the first `runs` runs were accepted.
    async fn wait_for_all(&self, runs: usize) {
        let all = |requests: &[Request]| accepted(requests).len() == runs * PER_RUN;
        self.sink.wait_until(all).await;
    }

    /// Waits until an observer has delivered.
    async fn wait_for_delivery_of(&self, name: &str) {
        let delivered = |requests: &[Request]| requests.iter().any(|one| sender(one) == name);
        self.sink.wait_until(delivered).await;
    }
}

fn sender(request: &Request) -> &str {
    request.header("ce-from")
}

/// Returns the ids of accepted events.
fn accepted(requests: &[Request]) -> BTreeSet<&str> {
    let accepted = requests
        .iter()
        .filter(|request| request.status.is_success());
    accepted.map(|request| request.header("ce-id")).collect()
}

/// Checks that each id has always the same body, and that only one observer delivered at a time.
fn assert_one_after_the_other(requests: &[Request]) {
    let mut bodies = BTreeMap::new();
    for request in requests {
        let first = bodies
            .entry(request.header("ce-id"))
            .or_insert(&request.body);
        assert_eq!(*first, &request.body);
    }
    let mut senders: Vec<&str> = requests.iter().map(sender).collect();
    senders.dedup();
    let different: BTreeSet<&str> = senders.iter().copied().collect();
    assert_eq!(different.len(), senders.len(), "{senders:?}");
}

fn holder(server: &ApiServer) -> String {
    let lease = server.lease("step-observer", "step-observer").unwrap();
    lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

async fn wait_until_active(observer: &mut Observer) {
    observer
        .wait_for_log("active: this observer holds the Lease")
        .await;
}

#[tokio::test]
async fn killed_in_the_middle_the_other_sends_what_is_missing() {
    let pair = Pair::new().await;
    let mut first = pair.start("first");
    wait_until_active(&mut first).await;
    first.keep_log();
    let mut second = pair.start("second");
    second.wait_for_log("waiting as a standby").await;
    // Half of the events are accepted by the journal and not delivered when it dies.
    pair.sink.answer_by(|headers, _| {
        match headers["ce-from"] == "first" && headers["ce-id"].as_bytes()[7] % 2 == 0 {
            true => 503,
            false => 202,
        }
    });
    pair.show(0..RUNS);
    pair.sink.wait_for(RUNS).await;
    first.child.kill().await.unwrap();
    let killed = Instant::now();
    let before = pair.sink.requests().len();
    assert!(accepted(&pair.sink.requests()).len() < RUNS * PER_RUN);
    pair.wait_for_all(RUNS).await;
    let requests = pair.sink.requests();
    assert_one_after_the_other(&requests);
    let next = requests[before..]
        .iter()
        .find(|request| sender(request) == "second");
    let took = next.unwrap().at - killed;
    // 10 s and 5 s for all else by default; here 3 s and 5 s for a slow machine.
    assert!(took.as_secs() < 8, "{took:?}");
    assert_eq!(pair.server.holders().len(), 2);
    let (code, log) = second.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

/// Reads `/status` until it shows a gap, and returns its beginning.
async fn begin_of_gap(address: &str) -> Value {
    let is_there = |_: u16, text: &str| text.contains("\"gap\":");
    let (_, status) = get_until(address, "/status", is_there).await;
    let status: Value = serde_json::from_str(&status).unwrap();
    status["gap"]["from"].clone()
}

#[tokio::test]
async fn after_a_takeover_the_gap_begins_with_what_the_other_one_had_delivered() {
    let pair = Pair::new().await;
    let mut first = pair.start("first");
    let address = admin_address(&mut first).await;
    wait_until_active(&mut first).await;
    assert_eq!(begin_of_gap(&address).await, Value::Null);
    pair.show(0..RUNS);
    pair.wait_for_all(RUNS).await;
    let lease = || pair.server.lease("step-observer", "step-observer").unwrap();
    let until = "/metadata/annotations/step-observer.dev~1delivered-until";
    while lease().pointer(until).is_none() {
        let count = pair.server.requests().len();
        pair.server
            .wait_until(|requests| requests.count() > count)
            .await;
    }
    first.child.kill().await.unwrap();
    let delivered_until = lease().pointer(until).cloned().unwrap();
    let mut second = pair.start("second");
    let address = admin_address(&mut second).await;
    let from = begin_of_gap(&address).await;
    let milliseconds = |time: &Value| {
        let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
        time.as_millisecond()
    };
    assert_eq!(milliseconds(&from), milliseconds(&delivered_until));
    second.stop().await;
}

#[tokio::test]
async fn cut_off_from_the_api_server_it_stops_before_the_other_begins() {
    let pair = Pair::new().await;
    let mut way = Proxy::start(&pair.server.url, vec![]).await;
    let mut first = pair.start_at(&way.url, "first");
    wait_until_active(&mut first).await;
    let second = pair.start("second");
    pair.show_to_refused_first().await;
    way.stop().await;
    let log = first.ended().await;
    assert!(
        log.contains("no renewal succeeded for `standby.giveUpMs`"),
        "{log}"
    );
    pair.wait_for_all(RUNS).await;
    assert_one_after_the_other(&pair.sink.requests());
    assert_eq!(pair.server.holders().len(), 2);
    drop(second);
}

#[tokio::test]
async fn a_frozen_node_delivers_nothing_after_the_other_has_begun() {
    let pair = Pair::new().await;
    let mut first = pair.start("first");
    wait_until_active(&mut first).await;
    let second = pair.start("second");
    pair.show_to_refused_first().await;
    let process = first.child.id().unwrap();
    send_signal("STOP", process);
    let before = pair.sink.requests().len();
    pair.wait_for_delivery_of("second").await;
    send_signal("CONT", process);
    let log = first.ended().await;
    assert!(log.contains("has lost the Lease"), "{log}");
    pair.wait_for_all(RUNS).await;
    // What the runtime was writing when it froze may still arrive.
    let requests = pair.sink.requests();
    let begun = requests[before..]
        .iter()
        .position(|request| sender(request) == "second");
    let after = &requests[before + begun.unwrap()..];
    let late = after.iter().filter(|request| sender(request) == "first");
    let late = late.count();
    assert!(late < RUNS / 10, "{late} requests");
    drop(second);
}

#[tokio::test]
async fn a_rollout_hands_over_at_once() {
    let pair = Pair::new().await;
    let mut first = pair.start("first");
    wait_until_active(&mut first).await;
    let mut second = pair.start("second");
    second.wait_for_log("the Lease has this holder").await;
    pair.show(0..RUNS / 2);
    pair.wait_for_all(RUNS / 2).await;
    let (code, log) = first.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("released: another observer may take over at once"),
        "{log}"
    );
    let released = Instant::now();
    wait_until_active(&mut second).await;
    // Less than the Lease lasts: it did not expire.
    assert!(released.elapsed().as_secs() < 3, "{:?}", released.elapsed());
    pair.show(RUNS / 2..RUNS);
    pair.wait_for_all(RUNS).await;
    assert_one_after_the_other(&pair.sink.requests());
    let holders = pair.server.holders();
    assert_eq!((holders.len(), holders[1].as_str()), (3, ""));
    let lease = pair.server.lease("step-observer", "step-observer").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 2);
    assert!(lease["metadata"]["annotations"]["step-observer.dev/delivered-until"].is_string());
    let (code, log) = second.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(holder(&pair.server), "");
}

#[tokio::test]
async fn a_standby_is_ready_says_so_and_accepts_nothing() {
    let pair = Pair::new().await;
    pair.server.put_lease(json!({
        "metadata": {"namespace": "step-observer", "name": "step-observer"},
        "spec": {"holderIdentity": "another", "leaseDurationSeconds": 300, "leaseTransitions": 4},
    }));
    pair.show(0..1);
    let mut waiting = pair.start("waiting");
    let address = admin_address(&mut waiting).await;
    waiting.wait_for_log("the Lease has this holder").await;
    let (code, text) = get(&address, "/readyz").await;
    let expected = "ready: standby; another holds the Lease step-observer/step-observer\n";
    assert_eq!((code, text.as_str()), (200, expected));
    let (_, status) = get(&address, "/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["standby"]["state"], "waiting");
    assert_eq!(status["standby"]["holder"], "another");
    let (_, metrics) = get(&address, "/metrics").await;
    assert!(
        metrics.contains("step_observer_standby_active 0"),
        "{metrics}"
    );
    assert!(
        metrics.contains("step_observer_standby_transitions_total 4"),
        "{metrics}"
    );
    assert!(
        metrics.contains("step_observer_journal_bytes 0"),
        "{metrics}"
    );
    assert_eq!(pair.server.watches(), 0);
    // The other one releases it.
    pair.server.put_lease(json!({
        "metadata": {"namespace": "step-observer", "name": "step-observer", "labels": {"kept": "yes"}},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 300, "leaseTransitions": 4},
    }));
    pair.wait_for_all(1).await;
    let is_active = |_: u16, text: &str| text.contains("\"state\":\"active\"");
    get_until(&address, "/status", is_active).await;
    let lease = pair.server.lease("step-observer", "step-observer").unwrap();
    assert_eq!(lease["metadata"]["labels"]["kept"], "yes");
    assert_eq!(lease["spec"]["leaseTransitions"], 5);
    let (code, log) = waiting.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

/// Opens the stream of the live page, and waits for its head.
async fn open_page(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /page/stream HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stream
}

async fn rest_of(mut stream: TcpStream) -> String {
    let mut rest = String::new();
    let read = stream.read_to_string(&mut rest);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    rest
}

#[tokio::test]
async fn a_waiting_observer_takes_a_changed_configuration_and_keeps_the_last_good_one() {
    let pair = Pair::new().await;
    let lease_of = |holder: &str| {
        json!({
            "metadata": {"namespace": "step-observer", "name": "step-observer"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 300, "leaseTransitions": 4},
        })
    };
    pair.server.put_lease(lease_of("another"));
    pair.show(0..1);
    let mut waiting = pair.start("waiting");
    let address = admin_address(&mut waiting).await;
    waiting.wait_for_log("the Lease has this holder").await;
    let stream = open_page(&address).await;
    let first = std::fs::read_to_string(waiting.folder.path().join("config.yaml")).unwrap();
    let changed = first.replace("from: 'waiting'", "from: 'changed'");
    assert_ne!(first, changed);
    let reloaded = async |outcome: &str, count: usize| {
        let line = format!("config_reloads_total{{outcome=\"{outcome}\"}} {count}\n");
        get_until(&address, "/metrics", |_, body| body.contains(&line)).await;
    };
    waiting.replace_config(&changed);
    waiting.wait_for_log("configuration changed").await;
    waiting.keep_log();
    // A request that is open meanwhile is answered to its end.
    let answer = rest_of(stream).await;
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    reloaded("applied", 1).await;
    // What cannot be used is refused with its reason, and the last good configuration stays.
    for (count, (bad, reason)) in [
        (changed.replace("sinks:", "sink:"), "unknown field"),
        (
            changed.replace("leaseMs: 3000", "leaseMs: 4000"),
            "`standby` cannot change while the observer runs",
        ),
        (
            format!("cluster: {{shards: 2}}\n{changed}"),
            "`cluster.shards` cannot change while the observer runs",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        waiting.replace_config(&bad);
        reloaded("refused", count + 1).await;
        let (_, status) = get(&address, "/status").await;
        let status: Value = serde_json::from_str(&status).unwrap();
        let refusal = status["configuration"]["lastRefusal"]
            .as_str()
            .unwrap_or_default();
        assert!(refusal.contains(reason), "{status:#}");
        let (code, text) = get(&address, "/readyz").await;
        assert!(
            code == 200 && text.starts_with("ready: standby"),
            "{code} {text}"
        );
    }
    assert_eq!((pair.sink.requests().len(), pair.server.watches()), (0, 0));
    pair.server.put_lease(lease_of(""));
    pair.wait_for_all(1).await;
    let requests = pair.sink.requests();
    let senders: BTreeSet<&str> = requests.iter().map(sender).collect();
    assert_eq!(senders, BTreeSet::from(["changed"]));
    let (code, log) = waiting.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("the changed configuration is refused"),
        "{log}"
    );
}

#[tokio::test]
async fn a_holder_that_was_replaced_ends_at_once() {
    let pair = Pair::new().await;
    let mut first = pair.start("first");
    wait_until_active(&mut first).await;
    let mut lease = pair.server.lease("step-observer", "step-observer").unwrap();
    lease["spec"]["holderIdentity"] = "another".into();
    pair.server.put_lease(lease);
    let log = first.ended().await;
    assert!(
        log.contains("error: this observer has lost the Lease to another"),
        "{log}"
    );
}

#[tokio::test]
async fn failures_of_the_api_server_that_end_in_time_change_nothing() {
    let pair = Pair::new().await;
    let mut first = pair.start("first");
    wait_until_active(&mut first).await;
    let faults = [
        Fault::Status(500),
        Fault::Status(409),
        Fault::Silence,
        Fault::Cut(10),
    ];
    pair.server.script("update leases", faults);
    while pair.server.unused_faults() > 0 {
        let count = pair.server.requests().len();
        pair.server
            .wait_until(|requests| requests.count() > count)
            .await;
    }
    let version = || holder(&pair.server);
    assert!(version().contains('_'));
    pair.show(0..RUNS);
    pair.wait_for_all(RUNS).await;
    assert_eq!(pair.server.holders().len(), 1);
    let (code, log) = first.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn two_never_use_one_journal() {
    let pair = Pair::new().await;
    let mut first = pair.start("first");
    wait_until_active(&mut first).await;
    let journal = pair.folder.path().join("first/journal");
    let journal = journal.display();
    let config = format!("standby: {{{TIMES}}}\njournal: {{directory: '{journal}'}}\n");
    let second = Observer::with_config(&pair.server, &config, &["--to", &pair.sink.url]);
    let log = second.ended().await;
    assert!(
        log.contains("is used by another step-observer: give each its own folder"),
        "{log}"
    );
}

/// Returns the rights of `base` and of the component `standby`.
fn granted() -> Vec<Value> {
    let read = |file: &str| {
        let text = std::fs::read_to_string(path(file)).unwrap();
        take_apart(&serde_saphyr::from_multiple::<Value>(&text).unwrap())
    };
    [
        read("../deploy/base/rbac.yaml"),
        read("../deploy/components/standby/rbac.yaml"),
    ]
    .concat()
}

#[tokio::test]
async fn the_granted_rights_are_enough_and_each_is_needed() {
    let of_leases = |all: &[Value]| -> BTreeSet<String> {
        let all = rights(all).into_iter();
        all.filter(|right| right.contains("leases")).collect()
    };
    let all = granted();
    assert_eq!(of_leases(&all).len(), 3);
    let pair = Pair::new().await;
    pair.server.authorise(&all, ACCOUNT);
    let mut first = pair.start("first");
    wait_until_active(&mut first).await;
    pair.server.wait_for_rights(&of_leases(&all)).await;
    let (code, log) = first.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(holder(&pair.server), "");
    for right in of_leases(&all) {
        let pair = Pair::new().await;
        pair.server.authorise(&without(&all, &right), ACCOUNT);
        if right.contains("update") {
            pair.server.put_lease(json!({
                "metadata": {"namespace": "step-observer", "name": "step-observer"},
                "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
            }));
        }
        let verb = right.split(": ").nth(1).unwrap().split(' ').next().unwrap();
        let grant = format!("grant {verb} on leases.coordination.k8s.io");
        let mut observer = pair.start("first");
        observer
            .wait_for_line(&["WARN", &grant, "component `standby`"])
            .await;
    }
}

#[test]
fn times_that_do_not_go_together_are_refused_with_their_place() {
    for (standby, expected) in [
        (
            "{giveUpMs: 9000}",
            "standby.giveUpMs: 9000 is more than eight tenths of leaseMs (10000): give at most 8000",
        ),
        (
            "{renewMs: 4000}",
            "standby.renewMs: 4000 is more than half of giveUpMs (6000): give at most 3000",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, format!("standby: {standby}\n")).unwrap();
        let checked = Program::new()
            .args(["config", "check"])
            .arg(&file)
            .run()
            .unwrap();
        let text = String::from_utf8_lossy(&checked.stderr);
        assert!(
            !checked.status.success() && text.contains(expected),
            "{text}"
        );
    }
}
