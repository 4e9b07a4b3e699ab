//! A network that fails in all ways of TCP and TLS.
use std::path::{Path, PathBuf};
use std::process::Stdio;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::journaled::assert_all_in_order;
use step_observer_tests::program::Program;
use step_observer_tests::proxy::{Fault, Proxy};
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE, Request};
use step_observer_tests::tls::Authority;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

const RUNS: usize = 20;
const EVENTS: usize = RUNS * 6;
/// Number of faulty connections. The circuit breaker opens after five failures.
const FAULTS: usize = 8;

/// Writes a configuration with a sink that retries at once.
fn config(folder: &Path, http: &str) -> PathBuf {
    let config = folder.join("config.yaml");
    let text = format!(
        "lookBack: 1000000h\n\
         sinks: [{{name: all, to: {{http: {http}}}, retry: {{initialMs: 1, maxMs: 20}}}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// Replays runs into a sink, with a journal, and returns the log.
async fn replay(folder: &Path, http: &str) -> String {
    let recording = folder.join("runs.jsonl");
    std::fs::write(
        &recording,
        copies(&watch_events("a-success"), RUNS).join("\n"),
    )
    .unwrap();
    let observer = Program::new()
        .arg("replay")
        .arg(recording)
        .args(["--log", "warn", "--config"])
        .arg(config(folder, http))
        .arg("--journal")
        .arg(folder.join("journal"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let done = tokio::time::timeout(PATIENCE, observer.wait_with_output()).await;
    let output = done.expect("it does not end").unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    log
}

#[tokio::test]
async fn every_event_is_delivered_in_order_over_a_failing_network() {
    // The short timeout is enough for most successful attempts, but on a busy machine not for all.
    let (short, long) = (1000, 600_000);
    // Fault, timeout of an attempt in milliseconds, number of failed attempts, number of events
    // that come twice, and logged cause. An answer of the sink has about 80 bytes. A fault may hit
    // no request: while a connection is opened for a request, an existing connection may become
    // free and send the request.
    for (fault, timeout_ms, failed, twice, cause) in [
        (Fault::Refuse, long, FAULTS, 0, ""),
        (Fault::BlackHole, short, FAULTS, 0, "timed out"),
        (Fault::Cut(0), long, FAULTS, FAULTS, ""),
        (Fault::Cut(20), long, FAULTS, FAULTS, ""),
        (Fault::Cut(200), long, FAULTS, FAULTS, ""),
        (Fault::HalfOpen(0), short, FAULTS, FAULTS, "timed out"),
        (Fault::HalfOpen(200), short, FAULTS, FAULTS, "timed out"),
        // The status is enough: a body that does not end affects neither the event nor the sink.
        (Fault::Trickle, short, 0, 0, ""),
        (Fault::Flood, long, 0, 0, ""),
        (Fault::EndlessHead, long, FAULTS, FAULTS, "too large"),
        (Fault::Nonsense, long, FAULTS, FAULTS, "invalid HTTP"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sink = HttpSink::start(vec![]).await;
        let proxy = Proxy::start(&sink.url, vec![fault; FAULTS]).await;
        let http = format!("{{url: '{}', timeoutMs: {timeout_ms}}}", proxy.url);
        let log = replay(folder.path(), &http).await;
        assert_eq!(proxy.unused_faults(), 0, "{fault:?}");
        let failures: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("delivery failed, retrying"))
            .collect();
        let busy = if timeout_ms == short { EVENTS / 10 } else { 0 };
        let expected = failed.min(1)..=failed + busy;
        assert!(expected.contains(&failures.len()), "{fault:?}: {log}");
        assert!(
            failures.iter().all(|line| line.contains(cause)),
            "{fault:?}: {log}"
        );
        let came_twice = assert_all_in_order(&sink.requests(), RUNS);
        let late = failures.len().saturating_sub(failed);
        let expected = twice.min(1)..=twice + late;
        assert!(
            expected.contains(&came_twice),
            "{fault:?}: {came_twice} {log}"
        );
        assert_eq!(sink.requests().len(), EVENTS + came_twice, "{fault:?}");
    }
}

type Log = Lines<BufReader<ChildStderr>>;

/// Returns the events of batches as single requests in binary mode.
fn unpacked(batches: &[Request]) -> Vec<Request> {
    let mut events = Vec::new();
    for batch in batches {
        let packed: Vec<serde_json::Value> = serde_json::from_slice(&batch.body).unwrap();
        for event in packed {
            let mut alone = batch.clone();
            for (attribute, header) in [
                ("id", "ce-id"),
                ("partitionkey", "ce-partitionkey"),
                ("sequence", "ce-sequence"),
            ] {
                let value = event[attribute].as_str().unwrap();
                alone.headers.insert(header, value.parse().unwrap());
            }
            alone.body = event.to_string().into();
            events.push(alone);
        }
    }
    events
}

#[tokio::test]
async fn batches_are_delivered_over_a_failing_network() {
    // Each fault fails a whole batch, so the circuit breaker opens at once, and then one event is
    // sent as a probe.
    let faults = 4;
    for (fault, got_there) in [
        (Fault::Refuse, false),
        (Fault::BlackHole, false),
        (Fault::Cut(20), true),
        (Fault::HalfOpen(0), true),
        (Fault::Nonsense, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sink = HttpSink::start(vec![]).await;
        let proxy = Proxy::start(&sink.url, vec![fault; faults]).await;
        let http = format!(
            "{{url: '{}', timeoutMs: 1000, mode: batch, concurrency: 2, batch: {{maxEvents: 5, lingerMs: 1}}}}",
            proxy.url
        );
        let log = replay(folder.path(), &http).await;
        assert_eq!(proxy.unused_faults(), 0, "{fault:?}");
        let batches = sink.requests();
        assert!(
            batches.len() < EVENTS,
            "{fault:?}: {} batches",
            batches.len()
        );
        let twice = assert_all_in_order(&unpacked(&batches), RUNS);
        // Each lost batch has at least one event.
        let expected = if got_there {
            twice >= faults
        } else {
            twice == 0
        };
        assert!(expected, "{fault:?}: {twice} events came twice: {log}");
    }
}

/// Reads the log until a line contains all these words.
async fn wait_for_line(log: &mut Log, words: &[&str]) {
    let found = async {
        while let Some(line) = log.next_line().await.unwrap() {
            assert!(!line.contains("BEGIN"), "{line}");
            if words.iter().all(|word| line.contains(word)) {
                return;
            }
        }
        panic!("it has ended before {words:?}");
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
}

fn observe(server: &ApiServer, folder: &Path, http: &str) -> (Child, Log) {
    let mut observer = Program::new()
        .args(["run", "--log", "info", "--config"])
        .arg(config(folder, http))
        .arg("--journal")
        .arg(folder.join("journal"))
        .env("KUBECONFIG", server.kubeconfig(folder))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(observer.stderr.take().unwrap()).lines();
    (observer, log)
}

/// Finished runs, as the API server shows them.
struct Ended(Vec<String>);

impl Ended {
    fn new(runs: usize) -> Self {
        Self(copies(&watch_events("a-success"), runs))
    }

    fn show(&self, server: &ApiServer, run: usize) {
        for event in self.0.iter().skip(run * 2).take(2) {
            server.play(&serde_json::from_str(event).unwrap());
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_is_not_trusted_and_a_valid_one_later_is() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::default();
    let sink = HttpSink::start_tls(vec![], authority.server_until(2020)).await;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let server = ApiServer::start().await;
    Ended::new(1).show(&server, 0);
    let http = format!(
        "{{url: '{}', tls: {{caFile: '{}'}}}}",
        sink.url,
        ca.display()
    );
    let (_observer, mut log) = observe(&server, folder.path(), &http);
    // Enough failures to open the circuit breaker.
    for _ in 0..7 {
        wait_for_line(&mut log, &["retrying", "certificate expired"]).await;
    }
    assert_eq!(sink.requests().len(), 0);
    sink.set_tls(authority.server_until(4096));
    sink.wait_for(6).await;
    assert_eq!(assert_all_in_order(&sink.requests(), 1), 0);
}

/// Authority, certificate and key of an observer, in files that change.
struct Files(PathBuf);

impl Files {
    fn write(&self, authority: &Authority) {
        let (certificate, key) = authority.sign("observer");
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("tls.crt", certificate.pem()),
            ("tls.key", key.serialize_pem()),
        ] {
            std::fs::write(self.0.join(name), text).unwrap();
        }
    }

    fn http(&self, url: &str) -> String {
        let file = |name: &str| self.0.join(name).display().to_string();
        format!(
            "{{url: '{url}', tls: {{caFile: '{}', certificateFile: '{}', keyFile: '{}'}}}}",
            file("ca.pem"),
            file("tls.crt"),
            file("tls.key")
        )
    }
}

#[tokio::test]
async fn authority_and_certificate_may_change_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files(folder.path().to_owned());
    let [first, second, third] = [(); 3].map(|()| Authority::default());
    files.write(&first);
    // The last connection with each authority is not reused.
    let close = || (202, vec![("connection", "close".to_owned())]);
    let sink = HttpSink::start_tls(vec![], first.server()).await;
    let server = ApiServer::start().await;
    let ended = Ended::new(3);
    let (_observer, mut log) = observe(&server, folder.path(), &files.http(&sink.url));
    ended.show(&server, 0);
    sink.wait_for(6).await;

    // The receiver changes its authority first, and answers 401 on an older connection.
    files.write(&second);
    sink.set_tls(second.server());
    sink.answer_next(vec![(401, vec![])]);
    sink.answer_next(vec![(202, vec![]); 5]);
    sink.answer_next(vec![close()]);
    ended.show(&server, 1);
    wait_for_line(&mut log, &["secrets of a sink have changed"]).await;
    sink.wait_for(13).await;

    // Without a 401, the files are read again after some time.
    files.write(&third);
    sink.set_tls(third.server());
    ended.show(&server, 2);
    wait_for_line(&mut log, &["retrying", "invalid peer certificate"]).await;
    wait_for_line(&mut log, &["secrets of a sink have changed"]).await;
    sink.wait_for(19).await;
    assert_eq!(assert_all_in_order(&sink.requests(), 3), 0);
    assert_eq!(sink.accepted().len(), 18);
}
