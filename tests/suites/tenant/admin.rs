//! Connections to the observer's ports are bounded, and pages that show events are not open to
//! every pod.
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use step_observer_tests::admin::{get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::api_server::authorise::rights;
use step_observer_tests::journaled::dead_letters;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::path;
use step_observer_tests::recording::{expected_ids, set_recorded_logs, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE, assert_exactly};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Maximum connections to one address.
const MOST: usize = 64;
const OF_ONE_PEER: usize = 8;
/// Half of the manifest's memory limit.
const MEMORY: u64 = 128 << 20;

/// Waits until the listener is open, and returns its address.
async fn address_of(observer: &mut Observer, listener: &str) -> String {
    let line = observer
        .wait_for_line(&[&format!("listener=\"{listener}\""), "address="])
        .await;
    let (_, address) = line.split_once("address=").unwrap();
    // The unspecified address includes loopback.
    address.trim().replace("0.0.0.0", "127.0.0.1")
}

/// The three addresses of `deploy`.
struct Addresses {
    probes: String,
    metrics: String,
    runs: String,
}

impl Addresses {
    const CONFIG: &'static str =
        "admin: {probes: '127.0.0.1:0', metrics: '127.0.0.1:0', listen: '127.0.0.1:0'}\n";

    async fn of(observer: &mut Observer) -> Self {
        Self {
            probes: address_of(observer, "probes").await,
            metrics: address_of(observer, "metrics").await,
            runs: address_of(observer, "runs").await,
        }
    }
}

/// Connects from 127.0.0.`peer`.
async fn connect(peer: u8, to: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, peer], 0)))?;
    socket.connect(to.parse().unwrap()).await
}

/// Reads until the other side has closed the connection, normally or with an error. Returns the
/// text that was read.
async fn closed(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
    read.await.expect("it is never closed").ok();
    String::from_utf8_lossy(&rest).into_owned()
}

/// Sends a request on a connection that stays open, and returns the beginning of the answer.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: observer\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 64 * 1024];
    let count = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

/// Sends a request with a token, and returns the status.
async fn with_token(address: &str, path: &str, token: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: observer\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = closed(&mut stream).await;
    answer.split(' ').nth(1).expect(&answer).parse().unwrap()
}

/// Returns the value of a series.
fn value(metrics: &str, series: &str) -> u64 {
    let of = |line: &str| line.strip_prefix(series)?.trim().parse().ok();
    let found = metrics.lines().find_map(of);
    found.unwrap_or_else(|| panic!("no {series} in {metrics}"))
}

fn refused(listener: &str) -> String {
    format!("step_observer_admin_connections_refused_total{{listener=\"{listener}\"}}")
}

/// Returns the peak memory of the process in bytes, and its number of open files.
fn used(observer: &Observer) -> (u64, usize) {
    let process = Path::new("/proc").join(observer.child.id().unwrap().to_string());
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let most = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    let files = std::fs::read_dir(process.join("fd")).unwrap().count();
    (most.unwrap().trim().parse::<u64>().unwrap() << 10, files)
}

/// Connects repeatedly until the result is dropped. A third of the connections sends a head that
/// never ends; the others send nothing. At each address more connections stay open than are
/// admitted.
fn attack(addresses: &Addresses) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for number in 0..360_usize {
        let ports = [&addresses.probes, &addresses.metrics, &addresses.runs];
        let to = ports[number % ports.len()].clone();
        let peer = u8::try_from(10 + number / 3 % 20).unwrap();
        attackers.spawn(async move {
            let head = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(380 * 1024));
            // This rate is as high as two processors allow without stopping the other tasks.
            let mut again = tokio::time::interval(Duration::from_millis(200));
            loop {
                again.tick().await;
                let Ok(mut stream) = connect(peer, &to).await else {
                    continue;
                };
                if number / 3 % 3 == 0 {
                    stream.write_all(head.as_bytes()).await.ok();
                }
                stream.read_to_end(&mut Vec::new()).await.ok();
            }
        });
    }
    attackers
}

#[tokio::test]
async fn floods_of_connections_hold_neither_events_nor_probes() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}{}", Addresses::CONFIG);
    let mut observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    let addresses = Addresses::of(&mut observer).await;
    server.wait_for_watches(2).await;
    get_until(&addresses.probes, "/readyz", |status, _| status == 200).await;

    let mut attackers = attack(&addresses);
    let many = |_: u16, metrics: &str| {
        let each = ["probes", "metrics", "runs"];
        !metrics.is_empty()
            && each
                .iter()
                .all(|listener| value(metrics, &refused(listener)) > 500)
    };
    let (_, before) = get_until(&addresses.metrics, "/metrics", many).await;

    let mut expected = std::collections::BTreeSet::new();
    for run in ["b-fail", "a-success"] {
        set_recorded_logs(&server, run);
        for event in watch_events(run) {
            server.play(&event);
        }
        expected.extend(expected_ids(run));
        sink.wait_for(expected.len()).await;
        for (address, page) in [
            (&addresses.probes, "/healthz"),
            (&addresses.probes, "/readyz"),
            (&addresses.runs, "/status"),
        ] {
            let asked = Instant::now();
            assert_eq!(get(address, page).await.0, 200, "{page}");
            // The kubelet waits five seconds for a probe.
            assert!(asked.elapsed() < Duration::from_secs(5), "{page}");
        }
    }
    assert_exactly(&sink, &expected);
    let data = sink.requests().into_iter();
    let data: Vec<Value> = data
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let unread = data
        .iter()
        .filter(|data| data["logInfo"]["unavailable"].is_string());
    assert_eq!(unread.count(), 0, "{data:#?}");
    assert!(data.iter().any(|data| data["log"] == "testing\nboom\n"));

    // Waits until the attack has caused further refusals. A fast test would otherwise end before
    // them.
    let goes_on = |_: u16, metrics: &str| {
        let rises = |listener: &&str| {
            let series = refused(listener);
            value(metrics, &series) > value(&before, &series)
        };
        !metrics.is_empty() && ["probes", "metrics", "runs"].iter().all(rises)
    };
    let (_, after) = get_until(&addresses.metrics, "/metrics", goes_on).await;
    for listener in ["probes", "metrics", "runs"] {
        let open = format!("step_observer_admin_connections{{listener=\"{listener}\"}}");
        assert!(value(&after, &open) <= MOST as u64);
    }
    assert!(attackers.try_join_next().is_none());
    let (memory, files) = used(&observer);
    assert!(memory < MEMORY, "{memory} bytes");
    assert!(files < 3 * MOST + 100, "{files} files");
    drop(attackers);
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn one_peer_has_its_share_and_large_and_slow_heads_are_cut() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}{}", Addresses::CONFIG);
    let mut observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    let Addresses {
        probes, metrics, ..
    } = Addresses::of(&mut observer).await;
    let mut slow = connect(3, &probes).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let begun = Instant::now();
    let mut held = Vec::new();
    for _ in 0..OF_ONE_PEER {
        let mut stream = connect(2, &probes).await.unwrap();
        let answer = ask(&mut stream, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        held.push(stream);
    }
    let mut ninth = connect(2, &probes).await.unwrap();
    assert_eq!(closed(&mut ninth).await, "");
    assert_eq!(get(&probes, "/healthz").await.0, 200, "another peer");
    // The other addresses have their own bounds.
    let mut elsewhere = connect(2, &metrics).await.unwrap();
    let (_, told) = get(&metrics, "/metrics").await;
    assert_eq!(value(&told, &refused("probes")), 1);
    assert_eq!(value(&told, &refused("metrics")), 0);

    let head = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    elsewhere.write_all(head.as_bytes()).await.ok();
    let answer = closed(&mut elsewhere).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    for page in ["/status", "/metrics", "/events/1"] {
        assert_eq!(get(&probes, page).await.0, 404, "{page}");
        assert!(page == "/metrics" || get(&metrics, page).await.0 == 404);
    }

    assert_eq!(closed(&mut slow).await, "");
    let taken = begun.elapsed();
    assert!(taken >= Duration::from_secs(4), "{taken:?}");
    assert!(taken < Duration::from_secs(20), "{taken:?}");
    // Idle connections stay open longer than a connection with an incomplete request.
    let answer = ask(&mut held[0], "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let cut = "step_observer_admin_connections_timed_out_total{listener=\"probes\"}";
    let (_, told) = get(&metrics, "/metrics").await;
    assert_eq!(value(&told, cut), 1);
    observer.stop().await;
}

#[tokio::test]
async fn runs_are_shown_off_loopback_only_with_the_token() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let (first, second) = ("t0k3n-0123456789abcdef", "an0ther-0123456789abcdef");
    std::fs::write(&file, format!("{first}\n")).unwrap();
    let config = format!(
        "{UNLIMITED_LOOK_BACK}admin: {{listen: '0.0.0.0:0', auth: {{bearer: {{tokenFile: '{}'}}}}}}\n",
        file.display()
    );
    let log = ["--log", "info,step_observer=trace"];
    let args = [&["--to", &sink.url][..], &log].concat();
    let mut observer = Observer::with_config(&server, &config, &args);
    let address = address_of(&mut observer, "runs").await;
    for page in ["/status", "/plugins", "/sinks", "/events/1"] {
        assert_eq!(get(&address, page).await.0, 401, "{page}");
        assert_eq!(with_token(&address, page, second).await, 401, "{page}");
        let right = with_token(&address, page, first).await;
        assert_eq!(right, if page == "/events/1" { 404 } else { 200 }, "{page}");
    }
    for page in ["/healthz", "/metrics"] {
        assert_eq!(get(&address, page).await.0, 200, "{page}");
    }
    std::fs::write(&file, second).unwrap();
    assert_eq!(with_token(&address, "/status", first).await, 401);
    assert_eq!(with_token(&address, "/status", second).await, 200);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(with_token(&address, "/status", second).await, 503);
    let (_, log) = observer.stop().await;
    assert!(log.contains("failed to read"), "{log}");
    assert!(!log.contains(first) && !log.contains(second), "{log}");
}

/// Starts an observer with a configuration that it must refuse, and returns its error.
async fn refusal(server: &ApiServer, config: &str) -> String {
    let observer = Observer::with_config(server, config, &["--to", "stdout"]);
    observer.ended().await
}

#[tokio::test]
async fn a_configuration_that_would_show_runs_to_every_pod_does_not_start() {
    let server = ApiServer::start().await;
    let nowhere = "admin: {listen: '0.0.0.0:0', auth: {bearer: {tokenFile: /nowhere}}}\n";
    for (config, place, remedy) in [
        (
            "admin: {listen: '0.0.0.0:0', probes: '127.0.0.1:0'}\n",
            "admin.listen: 0.0.0.0:0",
            "set admin.auth, or listen on 127.0.0.1",
        ),
        (
            "admin: {auth: {kubernetes: {}}}\n",
            "admin.auth",
            "set admin.listen",
        ),
        (nowhere, "admin.auth.bearer.tokenFile", "/nowhere"),
    ] {
        let said = refusal(&server, config).await;
        assert!(said.contains(place) && said.contains(remedy), "{said}");
    }
}

#[tokio::test]
async fn a_configuration_of_0_1_0_answers_probes_and_scrapes_and_shows_no_runs() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}admin:\n  listen: 0.0.0.0:0\n");
    let mut observer = Observer::with_config(&server, &config, &["--to", &sink.url]);
    let warned = observer.wait_for_line(&["WARN", "admin.listen"]).await;
    assert!(warned.contains("Set admin.auth"), "{warned}");
    let address = address_of(&mut observer, "runs").await;
    get_until(&address, "/readyz", |status, _| status == 200).await;
    for page in ["/healthz", "/metrics"] {
        assert_eq!(get(&address, page).await.0, 200, "{page}");
    }
    for page in ["/status", "/plugins", "/sinks", "/events/1"] {
        let (status, said) = get(&address, page).await;
        assert_eq!(status, 403, "{page}");
        assert!(said.contains("set admin.auth"), "{said}");
        assert_eq!(with_token(&address, page, "any").await, 403, "{page}");
    }
    observer.stop().await;

    // On loopback, one address serves all pages.
    let mut observer = Observer::with_config(
        &server,
        UNLIMITED_LOOK_BACK,
        &["--to", &sink.url, "--admin", "127.0.0.1:0"],
    );
    let address = address_of(&mut observer, "runs").await;
    for page in ["/status", "/plugins", "/sinks", "/healthz", "/metrics"] {
        assert_eq!(get(&address, page).await.0, 200, "{page}");
    }
    observer.stop().await;
}

/// Returns the objects in a file of `deploy`.
fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(&format!("../deploy/{file}"))).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

#[tokio::test]
async fn the_cluster_names_the_owner_of_a_token_and_decides_what_it_may_see() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let (base, auth) = (
        documents("base/rbac.yaml"),
        documents("components/auth/rbac.yaml"),
    );
    let account = "step-observer/step-observer";
    server.authorise(&[base.clone(), auth.clone()].concat(), account);
    let (viewer, other) = (
        "system:serviceaccount:ci:viewer",
        "system:serviceaccount:ci:other",
    );
    server.give_token("viewers-token", Some(viewer));
    server.give_token("others-token", Some(other));
    server.let_get(viewer, "/status");
    let config = format!(
        "{UNLIMITED_LOOK_BACK}admin: {{listen: '0.0.0.0:0', auth: {{kubernetes: {{}}}}}}\n"
    );
    let log = ["--log", "info,step_observer=trace"];
    let args = [&["--to", &sink.url][..], &log].concat();
    let mut observer = Observer::with_config(&server, &config, &args);
    let address = address_of(&mut observer, "runs").await;
    let reviews = || {
        let requests = server.requests().into_iter();
        requests
            .filter(|request| request.starts_with("create tokenreviews"))
            .count()
    };
    assert_eq!(get(&address, "/status").await.0, 401);
    assert_eq!(reviews(), 0, "nothing is asked where there is no token");
    assert_eq!(with_token(&address, "/status", "viewers-token").await, 200);
    assert_eq!(with_token(&address, "/sinks", "viewers-token").await, 403);
    assert_eq!(with_token(&address, "/status", "others-token").await, 403);
    assert_eq!(with_token(&address, "/status", "nobodys-token").await, 401);
    assert_eq!(reviews(), 4);
    for _ in 0..20 {
        assert_eq!(with_token(&address, "/status", "viewers-token").await, 200);
    }
    assert!(reviews() <= 6, "a verdict counts for ten seconds");
    assert!(server.rights_used().is_superset(&rights(&auth)));
    assert_eq!(server.denials(), Vec::<String>::new());

    // Without the component every token is refused, and the log names the missing right.
    server.authorise(&base, account);
    assert_eq!(with_token(&address, "/status", "new-token").await, 503);
    assert_eq!(get(&address, "/metrics").await.0, 200);
    let (_, log) = observer.stop().await;
    let missing = "grant create on tokenreviews.authentication.k8s.io";
    assert!(log.contains(missing), "{log}");
    assert!(!log.contains("-token"), "{log}");
}

#[tokio::test]
async fn a_silent_client_of_the_control_socket_holds_no_other() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let journal = tempfile::tempdir().unwrap();
    let folder = journal.path().to_str().unwrap();
    let observer = Observer::start(&server, &sink, &["--journal", folder]);
    server.wait_for_watches(2).await;
    let socket = journal.path().join("control");
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(UnixStream::connect(&socket).await.unwrap());
    }
    let (found, text) = dead_letters(&["list"], journal.path()).await;
    assert!(found, "{text}");
    // The silent connections are still open.
    for stream in &silent {
        let read = stream.try_read(&mut [0; 8]);
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    // With more silent clients than are served at the same time, the answer takes longer.
    for _ in 0..8 {
        silent.push(UnixStream::connect(&socket).await.unwrap());
    }
    let (found, text) = dead_letters(&["list"], journal.path()).await;
    assert!(found, "{text}");
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
}
