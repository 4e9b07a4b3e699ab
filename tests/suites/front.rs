//! A foreign server in front of the receiver: nginx, which `cargo xtask receivers` installs.
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use step_observer_tests::available;
use step_observer_tests::journaled::assert_all_in_order;
use step_observer_tests::path;
use step_observer_tests::peer::Missing;
use step_observer_tests::program::Program;
use step_observer_tests::proxy::{Fault, Proxy};
use step_observer_tests::receivers::installed;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

const RUNS: usize = 20;

/// Lines of standard error.
type Log = Lines<BufReader<ChildStderr>>;

/// nginx in front of a receiver. It is killed when this is dropped.
struct Front {
    url: String,
    _folder: tempfile::TempDir,
    /// Kept open, because nginx ends if it cannot write its log.
    _log: Log,
    _process: Child,
}

impl Front {
    /// Starts nginx. `server` and `location` are further settings.
    async fn start(upstream: &str, server: &str, location: &str) -> Result<Self, Missing> {
        let nginx = installed("nginx/usr/sbin/nginx")?;
        // Another process may take the port first.
        for _ in 0..5 {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(
                folder.path().join("nginx.conf"),
                configuration(port, upstream, server, location),
            )
            .unwrap();
            let mut process = Command::new(&nginx)
                .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
                .arg(folder.path())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
            if listens(&mut log).await {
                return Ok(Self {
                    url: format!("http://127.0.0.1:{port}/events"),
                    _folder: folder,
                    _log: log,
                    _process: process,
                });
            }
        }
        panic!("nginx does not start");
    }
}

fn configuration(port: u16, upstream: &str, server: &str, location: &str) -> String {
    // Without a path, nginx forwards the path of the request unchanged.
    let upstream = upstream.trim_end_matches("/events");
    format!(
        "daemon off;\n\
         master_process off;\n\
         pid nginx.pid;\n\
         error_log stderr notice;\n\
         events {{}}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path body;\n\
           proxy_temp_path proxy;\n\
           fastcgi_temp_path fastcgi;\n\
           uwsgi_temp_path uwsgi;\n\
           scgi_temp_path scgi;\n\
           server {{\n\
             listen 127.0.0.1:{port};\n\
             {server}\n\
             location / {{\n\
               proxy_pass {upstream};\n\
               {location}\n\
             }}\n\
           }}\n\
         }}\n"
    )
}

/// Waits for the line in which nginx names its event method: the first line after the ports are
/// open. Returns false if the log ends before it.
async fn listens(log: &mut Log) -> bool {
    let found = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("using the \"") {
                return true;
            }
            assert!(
                !line.contains("[emerg]") || line.contains("bind()"),
                "{line}"
            );
        }
        false
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}

/// Starts an observer that replays a recording, with a journal, and delivers to nginx. `settings`
/// are added to the settings of the sink.
fn replay(
    folder: &Path,
    recording: &Path,
    url: &str,
    settings: &str,
) -> (Child, BufReader<ChildStderr>) {
    let config = folder.join("config.yaml");
    let sink = format!(
        "sinks: [{{name: all, to: {{http: {{url: '{url}'{settings}}}}}, retry: {{initialMs: 1, maxMs: 20}}}}]\n"
    );
    std::fs::write(&config, sink).unwrap();
    let mut observer = Program::new()
        .arg("replay")
        .arg(recording)
        .args(["--log", "warn", "--config"])
        .arg(config)
        .arg("--journal")
        .arg(folder.join("journal"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(observer.stderr.take().unwrap());
    (observer, log)
}

/// Waits for a successful end, and returns the log.
async fn finish((mut observer, mut log): (Child, BufReader<ChildStderr>)) -> String {
    let mut text = String::new();
    let end = async {
        log.read_to_string(&mut text).await.unwrap();
        observer.wait().await.unwrap()
    };
    let end = tokio::time::timeout(PATIENCE, end).await;
    assert!(end.expect("it does not end").success(), "{text}");
    text
}

fn runs(folder: &Path) -> std::path::PathBuf {
    let recording = folder.join("runs.jsonl");
    let lines = copies(&watch_events("a-success"), RUNS);
    std::fs::write(&recording, lines.join("\n")).unwrap();
    recording
}

#[tokio::test]
async fn an_event_that_is_too_large_for_the_front_becomes_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![]).await;
    let front = available!(Front::start(&sink.url, "client_max_body_size 32k;", "").await);
    let recording = path("recordings/n-biglog.jsonl");
    let (mut observer, mut log) = replay(folder.path(), &recording, &front.url, "");
    let mut text = String::new();
    log.read_to_string(&mut text).await.unwrap();
    assert_eq!(observer.wait().await.unwrap().code(), Some(1), "{text}");
    let listed = Program::new()
        .args(["dead-letters", "list", "--json", "--journal"])
        .arg(folder.path().join("journal"))
        .output()
        .await
        .unwrap();
    let letter: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(letter["reason"], "413 Payload Too Large");
    assert_eq!(letter["attempts"], 1);
    assert_eq!(sink.accepted().len(), 3, "the other events");
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_the_front_is_delivered_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![]).await;
    let size = "client_max_body_size 8k;";
    let front = available!(Front::start(&sink.url, size, "").await);
    // Counts connections: nginx closes a connection after a 413.
    let proxy = Proxy::start(&front.url, vec![Fault::Pass; 2]).await;
    // The linger time is long enough that a batch is always full first.
    let batch = ", mode: batch, batch: {maxEvents: 20, lingerMs: 10000}";
    let recording = runs(folder.path());
    let log = finish(replay(folder.path(), &recording, &proxy.url, batch)).await;
    assert_eq!(log, "", "nothing is retried or given up");
    assert_eq!(proxy.unused_faults(), 0);
    let requests = sink.requests();
    let events = requests.iter().map(|request| {
        assert!(request.body.len() <= 8 * 1024);
        let events: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
        events.len()
    });
    assert_eq!(events.sum::<usize>(), RUNS * 6);
}

#[tokio::test]
async fn a_receiver_behind_the_front_may_be_down_or_silent_for_a_while() {
    for (fault, status) in [
        (Fault::Refuse, "502 Bad Gateway"),
        (Fault::Cut(0), "502 Bad Gateway"),
        (Fault::BlackHole, "504 Gateway Timeout"),
        (Fault::HalfOpen(0), "504 Gateway Timeout"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sink = HttpSink::start(vec![]).await;
        let proxy = Proxy::start(&sink.url, vec![fault; 8]).await;
        let wait = "proxy_read_timeout 1s;";
        let front = available!(Front::start(&proxy.url, "", wait).await);
        let log = finish(replay(folder.path(), &runs(folder.path()), &front.url, "")).await;
        let failed = log
            .lines()
            .filter(|line| line.contains("retrying") && line.contains(status));
        assert_eq!(failed.count(), 8, "{fault:?}: {log}");
        assert_eq!(proxy.unused_faults(), 0, "{fault:?}");
        let got_there = matches!(fault, Fault::Cut(_) | Fault::HalfOpen(_));
        let twice = if got_there { 8 } else { 0 };
        assert_eq!(
            assert_all_in_order(&sink.requests(), RUNS),
            twice,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_front_that_is_being_maintained_says_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let sign = folder.path().join("maintenance");
    std::fs::write(&sign, "").unwrap();
    let sink = HttpSink::start(vec![]).await;
    let server = "error_page 503 @maintenance;\n\
                  location @maintenance { add_header Retry-After 1 always; return 503; }";
    let location = format!("if (-f {}) {{ return 503; }}", sign.display());
    let front = available!(Front::start(&sink.url, server, &location).await);
    let (observer, mut log) = replay(folder.path(), &runs(folder.path()), &front.url, "");
    let mut line = String::new();
    while !line.contains("retrying") {
        line.clear();
        assert!(log.read_line(&mut line).await.unwrap() > 0);
    }
    assert!(
        line.contains("503 Service Unavailable") && line.contains("delay=1s"),
        "{line}"
    );
    assert_eq!(sink.requests().len(), 0);
    std::fs::remove_file(&sign).unwrap();
    finish((observer, log)).await;
    assert_eq!(assert_all_in_order(&sink.requests(), RUNS), 0);
}

#[tokio::test]
async fn connections_that_the_front_closes_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![]).await;
    let front = available!(Front::start(&sink.url, "keepalive_requests 2;", "").await);
    // Counts connections: none serves more than two requests.
    let proxy = Proxy::start(&front.url, vec![Fault::Pass; RUNS * 6 / 2]).await;
    let log = finish(replay(folder.path(), &runs(folder.path()), &proxy.url, "")).await;
    assert_eq!(log, "");
    assert_eq!(proxy.unused_faults(), 0);
    assert_eq!(assert_all_in_order(&sink.requests(), RUNS), 0);
}
