//! The live page of a real observer: in a real browser, and over plain HTTP. The contract is
//! `host/src/admin/page/README.md`.
use serde_json::Value;
use std::process::Stdio;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::available;
use step_observer_tests::events::finished_run;
use step_observer_tests::live_page::{PageStream, browser_test, request};
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::recording::{expected_ids, set_recorded_logs, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

/// Streams of one address, as the contract says.
const MAX_STREAMS_OF_PEER: usize = 16;

/// The last check before those that need changes.
const LAST_QUIET_CHECK: &str = "ok the_page_stores_nothing";

async fn watching(config: &str) -> (ApiServer, HttpSink, Observer, String) {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}{config}");
    let args = [&ADMIN_ARGS[..], &["--to", &sink.url]].concat();
    let mut observer = Observer::with_config(&server, &config, &args);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    (server, sink, observer, address)
}

fn play(server: &ApiServer, recording: &str) {
    for event in watch_events(recording) {
        server.play(&event);
    }
}

/// Percent-encodes the id of an event.
fn event_path(id: &str) -> String {
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/page/events/{encoded}")
}

/// Shows a real observer in a browser, while it observes.
async fn show_in_browser(mut node: Command, config: &str, args: &[&str]) {
    let config = format!("plugins: [{{name: enrich, from: {{bundled: enrich-run}}}}]\n{config}");
    let (server, sink, observer, address) = watching(&config).await;
    let mut events = 0;
    for recording in ["a-success", "b-fail"] {
        set_recorded_logs(&server, recording);
        play(&server, recording);
        events += expected_ids(recording).len();
    }
    sink.wait_for(events).await;
    node.args(["--live", "--base"])
        .arg(format!("http://{address}/"))
        .args(args);
    let mut node = node
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut passed = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        passed.push(line);
        if passed.last().is_some_and(|line| line == LAST_QUIET_CHECK) {
            play(&server, "c-onerror");
            for event in finished_run(1) {
                server.play(&event);
            }
        }
    }
    let mut problem = String::new();
    node.stderr
        .take()
        .unwrap()
        .read_to_string(&mut problem)
        .await
        .unwrap();
    assert!(
        node.wait().await.unwrap().success(),
        "{passed:#?}\n{problem}"
    );
    assert!(
        passed.iter().any(|line| line == "ok it_updates_live"),
        "{passed:#?}"
    );
    observer.stop().await;
}

#[tokio::test]
async fn a_browser_shows_a_real_observer_and_updates_live() {
    let (node, _folder) = available!(browser_test());
    show_in_browser(node, "", &[]).await;
}

#[tokio::test]
async fn a_browser_signs_in_with_a_token_and_shows_the_same() {
    let (node, folder) = available!(browser_test());
    let file = folder.path().join("token");
    std::fs::write(&file, "a-token+with/odd=characters\n").unwrap();
    let file = file.to_str().unwrap();
    let config = format!("admin: {{auth: {{bearer: {{tokenFile: '{file}'}}}}}}\n");
    show_in_browser(node, &config, &["--token-file", file]).await;
}

#[tokio::test]
async fn every_check_of_the_page_passes_against_its_mock() {
    let (mut node, _folder) = available!(browser_test());
    let output = node.output().await.unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
}

#[tokio::test]
async fn steps_are_shown_from_their_turn_to_their_end_with_their_events() {
    let (server, sink, observer, address) = watching("").await;
    set_recorded_logs(&server, "b-fail");
    let mut stream = PageStream::open(&address, &[]).await;
    let snapshot = stream.next().await.unwrap();
    assert_eq!(snapshot.event, "snapshot");
    assert_eq!(snapshot.data["session"], false);
    let process = snapshot.data["process"].as_str().unwrap();
    assert_eq!(snapshot.id, format!("{process}-0"));
    assert_eq!(stream.next().await.unwrap().event, "status");
    let events = watch_events("b-fail");
    let runs = |event: &Value| event["object"]["status"]["phase"] == "Running";
    let (before, after) = events.split_at(events.iter().position(runs).unwrap());
    before.iter().for_each(|event| server.play(event));
    stream.until(|stream| stream.steps.len() == 4).await;
    assert!(
        stream
            .states()
            .iter()
            .all(|state| state.ends_with(" waiting"))
    );
    after.iter().for_each(|event| server.play(event));
    sink.wait_for(6).await;
    let all_ended = |stream: &PageStream| {
        let events = stream.steps.values();
        let events = events.map(|step| step["events"].as_array().unwrap().len());
        events.sum::<usize>() == 6
    };
    stream.until(all_ended).await;
    let mut states: Vec<String> = sink
        .requests()
        .iter()
        .filter(|request| !request.header("ce-type").contains("started"))
        .map(|request| {
            let step = request
                .header("ce-subject")
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned();
            let phase = request
                .header("ce-type")
                .rsplit('.')
                .nth(1)
                .unwrap()
                .to_owned();
            format!("{step} {phase}")
        })
        .collect();
    states.sort();
    assert_eq!(stream.states(), states);

    // Each event is shown as the sink got it.
    for got in sink.requests() {
        let id = got.header("ce-id").to_owned();
        let delivered = |_: u16, body: &str| body.contains("\"is\":\"delivered\"");
        let (_, shown) = get_until(&address, &event_path(&id), delivered).await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["id"], *id);
        assert_eq!(
            shown["sinks"],
            serde_json::json!([{"name": "http-1", "body": 0}])
        );
        let body = &shown["bodies"][0];
        assert_eq!(body["mode"], "binary");
        assert_eq!(body["text"].as_str().unwrap().as_bytes(), &*got.body);
        let headers = body["headers"].as_array().unwrap();
        assert!(
            headers.contains(&serde_json::json!(["ce-id", id])),
            "{headers:?}"
        );
    }
    let unknown = request(&address, "GET /page/events/unknown", &[], "").await;
    assert_eq!(unknown.status, 404);

    // A stream continues after the last change that it has seen.
    let last_id = stream.last_id.clone();
    drop(stream);
    let mut next = PageStream::open(&address, &[("Last-Event-ID", &last_id)]).await;
    assert_eq!(next.next().await.unwrap().event, "status");
    let mut other = PageStream::open(&address, &[("Last-Event-ID", "0000000000000000-1")]).await;
    assert_eq!(other.next().await.unwrap().event, "snapshot");
    assert_eq!(other.states(), states);
    observer.stop().await;
}

#[tokio::test]
async fn a_stream_ends_at_once_at_a_shutdown_and_none_is_opened_above_the_bound() {
    let (_server, _sink, observer, address) = watching("").await;
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS_OF_PEER {
        let mut stream = PageStream::open(&address, &[]).await;
        assert_eq!(stream.next().await.unwrap().event, "snapshot");
        streams.push(stream);
    }
    let refused = request(&address, "GET /page/stream", &[], "").await;
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("retry-after: 5"), "{}", refused.head);
    // The other routes are still there.
    assert_eq!(request(&address, "GET /status", &[], "").await.status, 200);
    streams.truncate(1);
    let reopened = async { while PageStream::open(&address, &[]).await.status != 200 {} };
    let reopened = tokio::time::timeout(PATIENCE, reopened).await;
    assert!(reopened.is_ok(), "closed streams still count");
    let mut last = streams.remove(0);
    let (ended, (code, _)) = tokio::join!(
        async { while last.next().await.is_some() {} },
        observer.stop()
    );
    assert_eq!((ended, code), ((), Some(0)));
}

#[tokio::test]
async fn the_table_survives_a_change_of_the_configuration() {
    let config = "plugins: [{name: enrich, from: {bundled: enrich-run}, config: {constants: {word: before}}}]\n";
    let (server, sink, observer, address) = watching(config).await;
    let mut stream = PageStream::open(&address, &[]).await;
    for event in finished_run(1) {
        server.play(&event);
    }
    stream
        .until(|stream| {
            stream
                .states()
                .iter()
                .any(|state| state.ends_with("succeeded"))
        })
        .await;
    sink.wait_for(2).await;
    let folder = observer.folder.path();
    let before = std::fs::read_to_string(folder.join("config.yaml")).unwrap();
    std::fs::write(folder.join("next.yaml"), before.replace("before", "after")).unwrap();
    std::fs::rename(folder.join("next.yaml"), folder.join("config.yaml")).unwrap();
    while stream.next().await.is_some() {}
    let last_id = stream.last_id.clone();
    let mut next = PageStream::open(&address, &[("Last-Event-ID", &last_id)]).await;
    let first = next.next().await.unwrap();
    assert_eq!(first.event, "status", "it continues");
    for event in finished_run(2) {
        server.play(&event);
    }
    next.until(|stream| {
        stream
            .states()
            .iter()
            .any(|state| state.ends_with("succeeded"))
    })
    .await;
    let mut fresh = PageStream::open(&address, &[]).await;
    fresh.next().await;
    assert_eq!(fresh.runs.len(), 2);
    observer.stop().await;
}

#[tokio::test]
async fn foreign_hosts_origins_and_names_are_refused() {
    let (_server, _sink, observer, address) = watching("").await;
    for path in ["/", "/page/page.js", "/page/stream", "/page/events/x"] {
        let line = format!("GET {path}");
        let foreign = request(&address, &line, &[("Host", "evil.example:8082")], "").await;
        assert_eq!(foreign.status, 421, "{path}");
        assert!(
            foreign
                .head
                .contains("content-security-policy: default-src 'none';")
        );
        assert!(
            foreign.head.contains("cache-control: no-store"),
            "{}",
            foreign.head
        );
    }
    for host in ["localhost:1234", "127.0.0.1", "[::1]:1"] {
        let own = request(&address, "GET /", &[("Host", host)], "").await;
        assert_eq!(own.status, 200, "{host}");
    }
    let site = [("Sec-Fetch-Site", "cross-site")];
    for path in ["GET /page/stream", "GET /page/events/x"] {
        assert_eq!(
            request(&address, path, &site, "").await.status,
            403,
            "{path}"
        );
    }
    for path in [
        "/page/",
        "/page/index.html",
        "/page/README.md",
        "/page/..%2f..%2fconfig.yaml",
        "/page/%00",
        "/page/%ff",
        "/page/events/",
        "/page/events/%ff",
        "/page/events/a/b",
        "/page/events/%2e%2e%2f",
        "/session",
    ] {
        let answer = request(&address, &format!("GET {path}"), &[], "").await;
        assert!((400..=405).contains(&answer.status), "{path}: {answer:?}");
    }
    let origin = format!("http://{address}");
    for (headers, status) in [
        (&[][..], 403),
        (&[("Origin", "http://evil.example")], 403),
        (&[("Origin", "null")], 403),
        (&[("Origin", &*origin)], 204),
    ] {
        let answer = request(&address, "POST /session", headers, "token=x").await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(
            !answer.head.contains("set-cookie"),
            "nobody needs a session here"
        );
    }
    observer.stop().await;
}

#[tokio::test]
async fn a_session_stands_for_its_token_until_that_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first-token\n").unwrap();
    let config = format!(
        "admin: {{auth: {{bearer: {{tokenFile: '{}'}}}}}}\n",
        file.display()
    );
    let (_server, _sink, mut observer, address) = watching(&config).await;
    observer.keep_log();
    let origin = format!("http://{address}");
    let origin = ("Origin", &*origin);
    // The page itself needs no token, and shows nothing.
    assert_eq!(request(&address, "GET /", &[], "").await.status, 200);
    let none = request(&address, "GET /page/stream", &[], "").await;
    assert_eq!(none.status, 401);
    let bearer = [("Authorization", "Bearer first-token")];
    assert_eq!(PageStream::open(&address, &bearer).await.status, 200);

    let wrong = request(&address, "POST /session", &[origin], "token=second-token").await;
    assert_eq!(wrong.status, 401);
    let right = request(&address, "POST /session", &[origin], "token=first-token").await;
    assert_eq!(right.status, 204);
    let (_, cookie) = right.head.split_once("set-cookie: ").unwrap();
    let cookie = cookie.lines().next().unwrap();
    assert!(
        cookie.ends_with("; httponly; samesite=strict; path=/"),
        "{cookie}"
    );
    let cookie = ("Cookie", cookie.split(';').next().unwrap());
    let mut stream = PageStream::open(&address, &[cookie]).await;
    assert_eq!(stream.next().await.unwrap().data["session"], true);
    // The cookie counts for the page only.
    assert_eq!(
        request(&address, "GET /status", &[cookie], "").await.status,
        401
    );
    assert_eq!(
        request(&address, "GET /page/events/x", &[cookie], "")
            .await
            .status,
        404
    );

    std::fs::write(&file, "second-token\n").unwrap();
    assert_eq!(
        request(&address, "GET /page/stream", &[cookie], "")
            .await
            .status,
        401
    );
    std::fs::write(&file, "first-token\n").unwrap();
    assert_eq!(
        request(&address, "GET /page/events/x", &[cookie], "")
            .await
            .status,
        404
    );
    let out = request(&address, "DELETE /session", &[origin, cookie], "").await;
    assert_eq!(out.status, 204);
    assert!(out.head.contains("max-age=0"), "{}", out.head);
    assert_eq!(
        request(&address, "GET /page/events/x", &[cookie], "")
            .await
            .status,
        401
    );

    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(
            request(&address, "POST /session", &[origin], "token=guess")
                .await
                .status,
        );
    }
    assert!(
        statuses.starts_with(&[401]) && statuses.ends_with(&[429]),
        "{statuses:?}"
    );
    let (_, log) = observer.stop().await;
    assert!(
        !log.contains("first-token") && !log.contains("guess"),
        "{log}"
    );
}

#[tokio::test]
async fn nothing_is_shown_where_status_is_withheld() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let mut observer = Observer::start(&server, &sink, &["--admin", "0.0.0.0:0"]);
    let address = admin_address(&mut observer).await;
    let address = address.replace("0.0.0.0", "127.0.0.1");
    for line in [
        "GET /",
        "GET /page/page.js",
        "GET /page/stream",
        "GET /page/events/x",
        "POST /session",
    ] {
        let answer = request(
            &address,
            line,
            &[("Origin", &format!("http://{address}"))],
            "",
        )
        .await;
        assert_eq!(answer.status, 403, "{line}");
        assert!(answer.body.contains("set admin.auth"), "{}", answer.body);
    }
    observer.stop().await;
}

#[tokio::test]
async fn a_body_of_an_earlier_process_is_no_longer_kept() {
    let journal = tempfile::tempdir().unwrap();
    let config = format!("journal: {{directory: '{}'}}\n", journal.path().display());
    let (server, sink, observer, _) = watching(&config).await;
    for event in finished_run(1) {
        server.play(&event);
    }
    sink.wait_for(2).await;
    let id = sink.requests()[0].header("ce-id").to_owned();
    observer.stop().await;
    let (_server, _sink, observer, address) = watching(&config).await;
    let answer = request(&address, &format!("GET {}", event_path(&id)), &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let shown: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        shown["sinks"],
        serde_json::json!([{"name": "http-1", "gone": true}])
    );
    assert_eq!(shown["bodies"], serde_json::json!([]));
    observer.stop().await;
}

#[tokio::test]
async fn a_dead_letter_and_a_sink_with_plugins_of_its_own_show_what_each_got() {
    let (server, dead) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let refusing = HttpSink::start(vec![(400, vec![]), (400, vec![])]).await;
    let plain = HttpSink::start(vec![]).await;
    let config = format!(
        "{UNLIMITED_LOOK_BACK}sinks:\n\
         - {{name: plain, to: {{http: {{url: '{}', mode: structured}}}}}}\n\
         - {{name: own, to: {{http: {{url: '{}'}}}}, deadLetterSink: {{to: {{http: {{url: '{}'}}}}}},\n\
         \x20  plugins: [{{name: enrich, from: {{bundled: enrich-run}}, config: {{constants: {{word: own}}}}}}]}}\n",
        plain.url, refusing.url, dead.url
    );
    let mut observer = Observer::with_config(&server, &config, &ADMIN_ARGS);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    for event in finished_run(1) {
        server.play(&event);
    }
    dead.wait_for(2).await;
    plain.wait_for(2).await;
    let id = dead.requests()[0].header("ce-id").to_owned();
    let done = |_: u16, body: &str| body.matches("\"is\":\"delivered\"").count() == 2;
    let (_, shown) = get_until(&address, &event_path(&id), done).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let body_of = |name: &str| {
        let sinks = shown["sinks"].as_array().unwrap();
        let sink = sinks.iter().find(|sink| sink["name"] == name).unwrap();
        let body = usize::try_from(sink["body"].as_u64().unwrap()).unwrap();
        shown["bodies"][body].clone()
    };
    let names = |body: &Value| body["headers"].to_string();
    assert_eq!(body_of("plain")["mode"], "structured");
    assert!(
        !body_of("plain")["text"]
            .as_str()
            .unwrap()
            .contains("\"word\"")
    );
    assert!(
        names(&body_of("own")).contains("[\"ce-word\",\"own\"]"),
        "{shown:#}"
    );
    assert!(!names(&body_of("own")).contains("knativeerrordest"));
    assert!(
        names(&body_of("own.dead-letters")).contains("knativeerrordest"),
        "{shown:#}"
    );
    observer.stop().await;
}
