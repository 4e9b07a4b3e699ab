//! How events are put into requests: in batches, compressed, signed, and after a handshake.

use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::path::Path;
use std::process::Output;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{HttpSink, Request};

/// Replays `runs` runs of three steps, with six events each, to a configured sink.
async fn replay(folder: &Path, runs: usize, sink: &str) -> Output {
    let (config, recording) = (folder.join("config.yaml"), folder.join("runs.jsonl"));
    std::fs::write(&config, format!("sinks: [{{name: all, {sink}}}]\n")).unwrap();
    let ended = copies(&watch_events("a-success"), runs).join("\n");
    std::fs::write(&recording, ended).unwrap();
    let mut command = Program::new();
    command
        .arg("replay")
        .arg(&recording)
        .arg("--config")
        .arg(&config);
    command.output().await.unwrap()
}

fn succeeded(output: &Output) {
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
}

fn body(request: &Request) -> Vec<u8> {
    match request.header("content-encoding") {
        "" => request.body.to_vec(),
        encoding => {
            assert_eq!(encoding, "gzip");
            let mut body = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&*request.body);
            decoder.read_to_end(&mut body).unwrap();
            body
        }
    }
}

fn batch(request: &Request) -> Vec<Value> {
    let media_type = "application/cloudevents-batch+json; charset=utf-8";
    assert_eq!(request.header("content-type"), media_type);
    serde_json::from_slice(&body(request)).unwrap()
}

fn text<'a>(event: &'a Value, attribute: &str) -> &'a str {
    event[attribute].as_str().unwrap()
}

/// Returns the sequence numbers of each run, in order of arrival.
fn order(events: &[Value]) -> BTreeMap<&str, Vec<&str>> {
    let mut order: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        let run = order.entry(text(event, "partitionkey")).or_default();
        run.push(text(event, "sequence"));
    }
    order
}

/// Returns a sink that sends one batch at a time, and waits until the batch has an event of every
/// run.
fn batched(url: &str, runs: usize, more: &str) -> String {
    format!(
        "to: {{http: {{url: '{url}', mode: batch, concurrency: 1, batch: {{maxEvents: {runs}, lingerMs: 60000}}{more}}}}}"
    )
}

/// Checks that each of the six events of every run came once, in order.
fn check(sink: &HttpSink, runs: usize) {
    let events: Vec<Value> = sink.accepted().iter().flat_map(batch).collect();
    assert_eq!(events.len(), runs * 6);
    let order = order(&events);
    assert_eq!(order.len(), runs);
    for (run, sequences) in order {
        assert_eq!(sequences.len(), 6, "{run}");
        assert!(sequences.is_sorted(), "{run}: {sequences:?}");
    }
}

#[tokio::test]
async fn batches_are_filled_and_keep_the_order_of_each_run() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![]).await;
    let config = batched(&sink.url, 40, ", compression: gzip");
    succeeded(&replay(folder.path(), 40, &config).await);
    let batches: Vec<usize> = sink
        .requests()
        .iter()
        .map(|request| batch(request).len())
        .collect();
    assert_eq!(batches, [40; 6]);
    check(&sink, 40);
}

#[tokio::test]
async fn batches_that_fail_come_again_and_keep_the_order_of_each_run() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |number: u16| if number % 3 == 1 { 503 } else { 202 };
    let sink = HttpSink::start((0..60).map(|number| (fails(number), vec![])).collect()).await;
    let config = format!(
        "to: {{http: {{url: '{}', mode: batch, batch: {{maxEvents: 7, lingerMs: 0}}}}}}, retry: {{initialMs: 1, maxMs: 1}}",
        sink.url
    );
    succeeded(&replay(folder.path(), 40, &config).await);
    assert!(
        sink.requests()
            .iter()
            .any(|request| batch(request).len() > 1)
    );
    check(&sink, 40);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_split_until_one_event_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // Batches of 40, 20, 10, 5, 2 and 1.
    let sink = HttpSink::start(vec![(413, vec![]); 6]).await;
    let dead_letter_sink = folder.path().join("dead_letter_sink.jsonl");
    let config = format!(
        "{}, deadLetterSink: {{to: {{file: {{path: '{}'}}}}}}",
        batched(&sink.url, 40, ""),
        dead_letter_sink.display()
    );
    replay(folder.path(), 40, &config).await;
    let refused: Vec<usize> = sink.requests()[..6]
        .iter()
        .map(|request| batch(request).len())
        .collect();
    assert_eq!(refused, [40, 20, 10, 5, 2, 1]);
    let events: Vec<Value> = sink.accepted().iter().flat_map(batch).collect();
    assert_eq!(events.len(), 239);
    let dead = std::fs::read_to_string(&dead_letter_sink).unwrap();
    let dead: Value = serde_json::from_str(&dead).unwrap();
    let origin = sink.url.trim_end_matches("/events");
    assert_eq!(text(&dead, "knativeerrordest"), origin);
    assert_eq!(dead["knativeerrorcode"], 413);
    assert_eq!(text(&dead, "deadletterreason"), "413 Payload Too Large");
    let ids: HashSet<&str> = events
        .iter()
        .chain([&dead])
        .map(|event| text(event, "id"))
        .collect();
    assert_eq!(ids.len(), 240, "each event once");
    assert_eq!(
        order(&events)[text(&dead, "partitionkey")].len(),
        5,
        "its run goes on"
    );
}

#[tokio::test]
async fn signatures_and_compression_are_of_structured_events() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let sink = HttpSink::start(vec![]).await;
    let signing = format!("signing: {{secretFiles: ['{}']}}", secret.display());
    let to = |mode: &str| {
        let url = &sink.url;
        format!("to: {{http: {{url: '{url}', mode: {mode}, compression: gzip, {signing}}}}}")
    };
    succeeded(&replay(folder.path(), 1, &to("structured")).await);
    let requests = sink.requests();
    assert_eq!(requests.len(), 6);
    for request in &requests {
        let event: Value = serde_json::from_slice(&body(request)).unwrap();
        assert_eq!(request.header("webhook-id"), text(&event, "id"));
        assert!(request.header("webhook-signature").starts_with("v1,"));
    }
    let compressed = |request: &&Request| request.header("content-encoding") == "gzip";
    assert!(requests.iter().any(|request| compressed(&request)));

    let binary = replay(folder.path(), 1, &to("binary")).await;
    let log = String::from_utf8(binary.stderr).unwrap();
    assert!(
        !binary.status.success() && log.contains("mode: structured"),
        "{log}"
    );
    std::fs::write(&secret, "too-short-to-be-one").unwrap();
    let refused = replay(folder.path(), 1, &to("structured")).await;
    let log = String::from_utf8(refused.stderr).unwrap();
    assert!(
        log.contains("holds no secret") && !log.contains("too-short"),
        "{log}"
    );
}

#[tokio::test]
async fn nothing_is_sent_before_the_receiver_permits_it() {
    let folder = tempfile::tempdir().unwrap();
    let allows = |origin: &str| {
        let rate = ("webhook-allowed-rate", "1000000".to_owned());
        (
            200,
            vec![("webhook-allowed-origin", origin.to_owned()), rate],
        )
    };
    // Permission is refused, then granted for another origin, then for the configured origin. Later
    // the receiver withdraws this permission.
    let script = vec![
        (405, vec![]),
        allows("other.example.com"),
        allows("ci.example.com"),
        (202, vec![]),
        (403, vec![]),
        allows("*"),
    ];
    let sink = HttpSink::start(script).await;
    let config = format!(
        "to: {{http: {{url: '{}', concurrency: 1, handshake: {{origin: ci.example.com, requestsPerMinute: 600}}}}}}, \
         retry: {{initialMs: 1, maxMs: 1}}",
        sink.url
    );
    let output = replay(folder.path(), 1, &config).await;
    succeeded(&output);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains("does not permit deliveries (405 Method Not Allowed to OPTIONS"),
        "{log}"
    );
    let requests = sink.requests();
    let methods: Vec<&str> = requests
        .iter()
        .map(|request| request.method.as_str())
        .collect();
    let (asked, sent) = ("OPTIONS", "POST");
    assert_eq!(methods[..6], [asked, asked, asked, sent, sent, asked]);
    assert_eq!(methods[6..], [sent; 5]);
    assert_eq!(
        requests[0].header("webhook-request-origin"),
        "ci.example.com"
    );
    assert_eq!(requests[0].header("webhook-request-rate"), "600");
    assert_eq!(requests[0].header("ce-id"), "");
}

#[tokio::test]
async fn a_file_is_rotated_and_no_line_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let config = format!(
        "to: {{file: {{path: '{}', rotate: {{maxBytes: 20000, keep: 1000}}}}}}",
        file.display()
    );
    succeeded(&replay(folder.path(), 40, &config).await);
    let mut files = 0;
    let mut ids = HashSet::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("events.jsonl")
        {
            files += 1;
            assert!(entry.metadata().unwrap().len() <= 20_000);
            for line in std::fs::read_to_string(entry.path()).unwrap().lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                assert!(ids.insert(text(&event, "id").to_owned()), "twice");
            }
        }
    }
    assert_eq!(ids.len(), 240);
    assert!(files > 5, "{files} files");
}

#[tokio::test]
async fn impossible_settings_are_refused_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    for (http, expected) in [
        (
            "headers: [{name: ce-id, value: a}]",
            "it belongs to the event",
        ),
        (
            "headers: [{name: Content-Length, value: '5'}]",
            "the HTTP client sets it itself",
        ),
        ("headers: [{name: bad name, value: a}]", "not a header name"),
        (
            "headers: [{name: a, value: a, fromEnv: HOME}]",
            "exactly one of",
        ),
        (
            "auth: {basic: {user: 'a:b', passwordFile: /nowhere}}",
            "must not hold a colon",
        ),
        (
            "mode: structured, signing: {secretFiles: []}",
            "give 1 to 4 secretFiles",
        ),
        (
            "mode: binary, signing: {secretFiles: [/nowhere]}",
            "mode: structured",
        ),
        ("mode: binary, batch: {maxEvents: 2}", "mode: batch"),
        ("tls: {keyFile: /nowhere}", "belong together"),
    ] {
        let text = format!("sinks: [{{name: all, to: {{http: {{url: 'https://host', {http}}}}}}}]");
        std::fs::write(&config, text).unwrap();
        let mut command = Program::new();
        let checked = command
            .args(["config", "check"])
            .arg(&config)
            .output()
            .await
            .unwrap();
        let told = String::from_utf8(checked.stderr).unwrap();
        assert!(
            !checked.status.success() && told.contains(expected),
            "{http}: {told}"
        );
        assert!(told.contains("sink `all`"), "{told}");
    }
}
