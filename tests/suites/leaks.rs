//! No part of a secret leaves the observer. The texts of a tenant hold secrets of all kinds of the
//! catalogue, and known values in their encodings. Everything that the observer sends, writes and
//! logs is searched for them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::{path::Path, sync::LazyLock};
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::journaled::dead_letters;
use step_observer_tests::known_secrets::log_of;
use step_observer_tests::live_page::PageStream;
use step_observer_tests::needles::{Needles, PART};
use step_observer_tests::observer::Observer;
use step_observer_tests::planted::{KINDS_OF_RUN, NAMESPACE, PlantedRun, runs_of_kinds};
use step_observer_tests::plugins::{QuotingEnd, quoting};
use step_observer_tests::sink::HttpSink;

/// Known values with characters that encodings change. The first is from a file, the others are
/// from the keys of a Secret.
const IN_FILE: &str = "fI7e/Tr0ub+4dor&3=x?";
const IN_SECRET: [(&str, &str); 3] = [
    ("password", "p4ss<W0rd>\"of\"$env"),
    ("token", "t0k3n.from.the.env1ronment"),
    ("key", "v0lume'key\\with{signs}"),
];
const SECRET: &str = "planted";

/// Number of the run whose events a plugin drops.
const DROPPED: usize = 1;

/// The known value that a run prints.
fn known_value(number: usize) -> &'static str {
    match number % 4 {
        0 => IN_FILE,
        index => IN_SECRET[index - 1].1,
    }
}

/// The runs, and the secrets that are planted in their texts.
static PLANTED: LazyLock<(Vec<PlantedRun>, Needles)> = LazyLock::new(|| {
    let (mut runs, mut needles) = runs_of_kinds(|_| true);
    assert!(runs.len() > 40, "{} runs", runs.len());
    needles.add("the value of a file", IN_FILE, |_, _| false);
    for (key, value) in IN_SECRET {
        needles.add(&format!("the key {key} of a Secret"), value, |_, _| false);
    }
    for (number, run) in runs.iter_mut().enumerate() {
        add_known_values(run, known_value(number));
    }
    (runs, needles)
});

/// Puts a known value into all texts of a run, and a Secret into its pod.
fn add_known_values(run: &mut PlantedRun, value: &str) {
    run.log = log_of(value) + &run.log;
    let step = &mut run.task_run["object"]["spec"]["taskSpec"]["steps"][0];
    let script = step["script"].as_str().unwrap();
    step["script"] = format!("{script}deploy {value}\n").into();
    let args = step["args"].as_array_mut().unwrap();
    args.push(format!("--from={}", STANDARD.encode(format!("u:{value}"))).into());
    let env = step["env"].as_array_mut().unwrap();
    env.push(json!({"name": "PLAIN", "value": value}));
    run.task_run["object"]["metadata"]["annotations"]["known"] = format!("<{value}>").into();
    // All three ways in which a pod refers to a Secret.
    let spec = &mut run.pod["object"]["spec"];
    spec["volumes"] = json!([{"name": "v", "secret": {"secretName": SECRET}}]);
    let source = json!({"secretKeyRef": {"name": SECRET, "key": "password"}});
    spec["containers"][0]["env"] = json!([{"name": "P", "valueFrom": source}]);
    spec["containers"][0]["envFrom"] = json!([{"secretRef": {"name": SECRET}}]);
}

/// Starts a cluster with the Secret, and with the logs of all runs.
async fn cluster() -> ApiServer {
    let server = ApiServer::start().await;
    let data = IN_SECRET.map(|(key, value)| (key.to_owned(), STANDARD.encode(value).into()));
    server.put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"namespace": NAMESPACE, "name": SECRET, "uid": "uid-of-planted"},
        "data": serde_json::Map::from_iter(data),
    }));
    for run in &PLANTED.0 {
        server.set_log(&format!("{}-step-unnamed-0", run.pod_name), &run.log);
    }
    server
}

/// Puts all files below a folder into a list, except the file with the configured known value.
fn read_all(folder: &Path, seen: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, seen);
        } else if path.is_file() && !path.ends_with("known-value") {
            // The folder of the journal also holds a socket.
            seen.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

/// Adds bodies and headers of all requests of a sink.
fn read_sink(name: &str, sink: &HttpSink, seen: &mut Vec<(String, Vec<u8>)>) {
    assert!(!sink.requests().is_empty(), "{name}");
    for request in sink.requests() {
        let mut text = request.body.to_vec();
        for (header, value) in &request.headers {
            text.extend(format!("\n{header}: ").into_bytes());
            text.extend(value.as_bytes());
        }
        seen.push((name.to_owned(), text));
    }
}

/// Asserts that no part of a needle is in these texts. The message lists each leak with its place.
fn assert_clean(needles: &Needles, seen: &[(String, Vec<u8>)]) {
    let mut leaks = String::new();
    let mut count = 0;
    for (place, bytes) in seen {
        for (name, text) in needles.found_in(bytes) {
            count += 1;
            writeln!(leaks, "{name} in {place}: …{text}").unwrap();
        }
    }
    assert_eq!(count, 0, "{count} leaks:\n{leaks}");
}

fn sinks(folder: &Path, all: &[(&str, &HttpSink)]) -> String {
    let mut text = format!(
        "sinks:\n- {{name: file, to: {{file: {{path: '{}/out.jsonl'}}}}}}\n",
        folder.display()
    );
    for (name, sink) in all {
        let mode = match *name {
            "structured" => "structured",
            _ => "binary",
        };
        let dead = match *name {
            "refusing" => format!(
                "deadLetterSink: {{to: {{file: {{path: '{}/dead.jsonl'}}}}}}, ",
                folder.display()
            ),
            _ => String::new(),
        };
        writeln!(
            text,
            "- {{name: {name}, {dead}to: {{http: {{url: '{}', mode: {mode}}}}}}}",
            sink.url
        )
        .unwrap();
    }
    text
}

/// Writes the plugins that quote the log. Returns the configuration of a chain with these plugins
/// before and after the filter.
fn plugins(folder: &Path) -> String {
    for (name, end) in [
        ("quotes", QuotingEnd::Error),
        ("drops", QuotingEnd::Drop),
        ("traps", QuotingEnd::Trap),
    ] {
        std::fs::write(folder.join(format!("{name}.wat")), quoting(end)).unwrap();
    }
    let folder = folder.display();
    format!(
        "plugins:\n\
         - {{name: drops, from: {{file: '{folder}/drops.wat'}}, match: {{taskRuns: [run-{DROPPED}]}}}}\n\
         - {{name: quotes, from: {{file: '{folder}/quotes.wat'}}}}\n\
         - {{name: copies, from: {{bundled: enrich-run}}, config: {{annotations: {{known: known, {}}}}}}}\n\
         - {{name: redact, from: {{bundled: redact-secrets}}, onError: strip}}\n\
         - {{name: traps, from: {{file: '{folder}/traps.wat'}}}}\n\
         - {{name: again, from: {{file: '{folder}/quotes.wat'}}}}\n\
         - {{name: more, from: {{bundled: enrich-run}}, config: {{annotations: {{more: note-1, known2: known}}, labels: {{team: team}}}}}}\n",
        (0..KINDS_OF_RUN)
            .map(|index| format!("note{index}: note-{index}"))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

fn known_secrets(folder: &Path) -> String {
    std::fs::write(folder.join("known-value"), IN_FILE).unwrap();
    format!(
        "knownSecrets: {{files: ['{}/known-value'], pods: {{namespaces: [{NAMESPACE}]}}, requireSecrets: true}}\n",
        folder.display()
    )
}

#[test]
fn a_part_is_found_in_every_encoding() {
    let secret = "q7Zr/+x&2\"w9";
    let mut needles = Needles::default();
    needles.add("it", secret, |_, _| false);
    let middle = &secret[2..2 + PART];
    let hex: String = middle.bytes().map(|byte| format!("{byte:02X}")).collect();
    let percent: String = middle.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for text in [
        format!("a {middle} b"),
        serde_json::to_string(middle).unwrap(),
        STANDARD.encode(format!("u:{middle}!")),
        STANDARD.encode(format!("us:{middle}!")),
        URL_SAFE.encode(format!("use:{middle}!")),
        hex,
        percent,
    ] {
        assert_eq!(needles.found_in(text.as_bytes()).len(), 1, "{text}");
    }
    assert!(needles.found_in(&secret.as_bytes()[..PART - 1]).is_empty());
}

/// Without masking each secret arrives. So the other tests would detect its leak.
#[tokio::test]
async fn everything_that_is_planted_leaks_without_masking() {
    let (runs, needles) = &*PLANTED;
    let (server, sink) = (cluster().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "lookBack: 1000000h\nevent: {{maxBytes: off}}\n{}{}",
        plugins(folder.path())
            .replace("bundled: redact-secrets", "bundled: passthrough")
            .replace("match: {taskRuns: [run-1]}", "match: {taskRuns: [none]}"),
        sinks(folder.path(), &[("http", &sink)])
    );
    let mut observer = Observer::with_config(&server, &config, &["--log", "debug"]);
    observer.keep_log();
    server.wait_for_watches(2).await;
    for run in runs {
        server.play(&run.task_run);
        server.play(&run.pod);
    }
    sink.wait_for(2 * runs.len()).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let mut seen = vec![("log".to_owned(), log.into_bytes())];
    read_sink("http", &sink, &mut seen);
    let texts: Vec<Vec<u8>> = seen.into_iter().map(|(_, text)| text).collect();
    // Events contain no messages and no parameters, and of the reasons only Tekton's. So secrets in
    // these places may be missing.
    let mut missing = needles.missing(&texts);
    let is_sent = |name: &str| {
        !["(message)", "(parameter)", "(reason)"]
            .iter()
            .any(|place| name.ends_with(place))
    };
    missing.retain(|name| is_sent(name));
    assert!(
        missing.is_empty(),
        "{} of {}: {missing:#?}",
        missing.len(),
        needles.len()
    );
}

#[tokio::test]
async fn no_planted_secret_is_anywhere() {
    let (runs, needles) = &*PLANTED;
    let (server, folder) = (cluster().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let refusals = || vec![(400, vec![]); 10_000];
    let http = HttpSink::start(vec![]).await;
    let structured = HttpSink::start(vec![]).await;
    let refusing = HttpSink::start(refusals()).await;
    let dead = HttpSink::start(refusals()).await;
    let collector = HttpSink::start(vec![]).await;
    let own = HttpSink::start(vec![]).await;
    let all = [
        ("http", &http),
        ("structured", &structured),
        ("refusing", &refusing),
        ("dead", &dead),
    ];
    let config = format!(
        "lookBack: 1000000h\nevent: {{maxBytes: off}}\n{}journal: {{directory: '{}/journal'}}\n\
         traces: {{otlp: '{}'}}\n{}{}\
         - {{name: own, to: {{http: {{url: '{}'}}}}, plugins: [{{name: last, from: {{file: '{}/quotes.wat'}}}}]}}\n",
        known_secrets(folder),
        folder.display(),
        collector.url,
        plugins(folder),
        sinks(folder, &all),
        own.url,
        folder.display(),
    );
    let args = [&ADMIN_ARGS[..], &["--log", "trace"]].concat();
    let mut observer = Observer::with_config(&server, &config, &args);
    let address = admin_address(&mut observer).await;
    observer.keep_log();
    server.wait_for_watches(2).await;
    for run in runs {
        server.play(&run.task_run);
        server.play(&run.pod);
    }
    let count = 2 * (runs.len() - 1);
    for (_, sink) in all.into_iter().chain([("own", &own)]) {
        sink.wait_for(count).await;
    }

    let mut seen = Vec::new();
    let ids = http.accepted().into_iter().flat_map(|request| {
        let id = request.header("ce-id");
        [format!("/events/{id}"), format!("/page/events/{id}")]
    });
    let pages = ["/status", "/plugins", "/sinks", "/metrics"].map(str::to_owned);
    for page in pages.into_iter().chain(ids) {
        let (status, body) = get(&address, &page).await;
        assert_eq!(status, 200, "{page}");
        seen.push((page, body.into_bytes()));
    }
    let mut page = PageStream::open(&address, &[]).await;
    for kind in ["snapshot", "status"] {
        let message = page.next().await.unwrap();
        assert_eq!(message.event, kind);
        seen.push((kind.to_owned(), message.data.to_string().into_bytes()));
    }
    assert!(page.steps.len() >= runs.len() - 1, "{:?}", page.runs);
    let (found, list) = dead_letters(&["list", "--json"], &folder.join("journal")).await;
    assert!(found && list.lines().count() > 1, "{list}");
    seen.push(("dead-letters list".to_owned(), list.into_bytes()));
    for note in server.notes() {
        seen.push(("Kubernetes Event".to_owned(), note.to_string().into_bytes()));
    }
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(1), "those of the refusing sinks: {log}");
    seen.push(("log".to_owned(), log.into_bytes()));
    for (name, sink) in all
        .into_iter()
        .chain([("own", &own), ("collector", &collector)])
    {
        read_sink(name, sink, &mut seen);
    }
    read_all(folder, &mut seen);
    assert_clean(needles, &seen);

    // The texts came, with masks in them.
    let text = std::fs::read_to_string(folder.join("out.jsonl")).unwrap();
    let masks = text.matches("[redacted:").count();
    assert!(
        masks > 3 * needles.len() / 4,
        "{masks} masks of {} secrets",
        needles.len()
    );
}

/// Sends all runs with logs that are far longer than `log.maxBytes`, so that the cuts are within
/// secrets, and asserts that no part of a secret is left. Returns the data of all events.
async fn data_of_cut_events(capture: &str, log_bytes: usize) -> Vec<Value> {
    let (runs, needles) = &*PLANTED;
    let (server, folder) = (cluster().await, tempfile::tempdir().unwrap());
    let sink = HttpSink::start(vec![]).await;
    let config = format!(
        "lookBack: 1000000h\nlog: {{capture: {capture}, maxBytes: {log_bytes}}}\nevent: {{maxBytes: 4096}}\n{}\
         plugins: [{{name: redact, from: {{bundled: redact-secrets}}, onError: strip}}]\n{}",
        known_secrets(folder.path()),
        sinks(folder.path(), &[("http", &sink)])
    );
    let observer = Observer::with_config(&server, &config, &[]);
    server.wait_for_watches(2).await;
    // At most 64 logs are followed at a time.
    for some in runs.chunks(50) {
        let before = sink.requests().len();
        for run in some {
            server.play(&run.task_run);
            server.play(&run.running_pod());
        }
        sink.wait_for(before + some.len()).await;
        for run in some {
            server.play(&run.pod);
        }
        sink.wait_for(before + 2 * some.len()).await;
    }
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let mut asked = server.requests().into_iter();
    let follows = asked.any(|request| request.contains("follow"));
    assert_eq!(follows, capture == "follow");
    let mut seen = vec![("log".to_owned(), log.into_bytes())];
    read_sink("http", &sink, &mut seen);
    read_all(folder.path(), &mut seen);
    assert_clean(needles, &seen);
    let requests = sink.requests().into_iter();
    let data = requests.map(|request| serde_json::from_slice(&request.body).unwrap());
    data.collect()
}

fn truncated(data: &[Value]) -> usize {
    let logs = data.iter().map(|data| &data["logInfo"]["truncated"]);
    logs.filter(|truncated| **truncated == true).count()
}

#[tokio::test]
async fn no_planted_secret_is_left_at_a_cut() {
    let data = data_of_cut_events("onEnd", 600).await;
    assert_eq!(truncated(&data), PLANTED.0.len());
}

#[tokio::test]
async fn no_planted_secret_is_left_at_a_cut_of_a_followed_log() {
    let data = data_of_cut_events("follow", 600).await;
    assert_eq!(truncated(&data), PLANTED.0.len());
}

/// Events that are too large lose the middle of their log, and list the omission.
#[tokio::test]
async fn no_planted_secret_is_in_an_event_that_loses_parts() {
    let data = data_of_cut_events("onEnd", 100_000).await;
    let lost = data
        .iter()
        .filter(|data| data["leftOut"].is_array())
        .count();
    assert!(lost > 10, "{lost} of {}", data.len());
}
