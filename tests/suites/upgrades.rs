//! What a user of version 0.1.0 has is used by the program of today, and what a later version has is refused by name.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use step_observer::event::{EventConfig, EventIdentity, build_structured};
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::events::finished_run;
use step_observer_tests::journaled::dead_letters;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::path;
use step_observer_tests::plugins::{refusal, spec};
use step_observer_tests::program::Program;
use step_observer_tests::recording::{changes, fixtures, recordings, track, watch_events};
use step_observer_tests::sink::{HttpSink, Request};

/// What 0.1.0 had.
fn stored(file: &str) -> PathBuf {
    path(&format!("corpus/surfaces-0.1.0/{file}"))
}

fn check(file: &Path) -> (Option<i32>, String) {
    let output = Program::new()
        .args(["config", "check"])
        .arg(file)
        .run()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn every_configuration_of_version_0_1_0_is_accepted() {
    let files = std::fs::read_dir(stored("config")).unwrap();
    let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 5);
    for file in files {
        let (code, said) = check(&file);
        assert_eq!(code, Some(0), "{}: {said}", file.display());
    }
}

/// Opens the stored journal with a configuration file of 0.1.0, against a cluster that still shows the run.
#[tokio::test]
async fn a_journal_and_a_configuration_of_version_0_1_0_are_upgraded() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let volume = tempfile::tempdir().unwrap();
    let journal = volume.path();
    for file in std::fs::read_dir(path("corpus/journal-0.1.0/journal")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), journal.join(file.file_name())).unwrap();
    }
    // The settings that the manifests of 0.1.0 have, with another folder, port and sink.
    let of_manifests = std::fs::read_to_string(stored("config/base.yaml")).unwrap();
    let config = of_manifests
        .lines()
        .filter(|line| !line.starts_with("shutdownGrace"))
        .map(|line| match line.trim().split_once(": ") {
            Some(("directory", _)) => format!("  directory: '{}'", journal.display()),
            Some((name @ ("probes" | "metrics" | "listen"), _)) => format!("  {name}: 127.0.0.1:0"),
            _ => line.to_owned(),
        })
        .chain([
            UNLIMITED_LOOK_BACK.to_owned(),
            format!(
                "sinks: [{{name: http-1, to: {{http: {{url: '{}'}}}}}}]",
                sink.url
            ),
        ])
        .collect::<Vec<_>>()
        .join("\n");
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let observer = Observer::with_config(&server, &config, &[]);
    server.wait_for_watches(2).await;
    let delivered = read_lines("corpus/journal-0.1.0/delivered.jsonl");
    sink.wait_until(|requests| requests.len() >= delivered.len() - 2)
        .await;
    // The dead letters follow when they are asked for, while the observer runs.
    let (_, again) = dead_letters(&["replay", "--all"], journal).await;
    assert!(again.starts_with("2 dead letters"), "{again}");
    sink.wait_until(|requests| requests.len() >= delivered.len())
        .await;
    // A later run shows that the observer has seen the stored one, and emitted nothing for it again.
    for event in finished_run(1) {
        server.play(&event);
    }
    let of_run = |id: &&str| !id.starts_with("967295fd");
    let ids = |requests: &[Request]| -> Vec<String> {
        let ids = requests.iter().map(|request| request.header("ce-id"));
        ids.map(str::to_owned).collect()
    };
    sink.wait_until(|requests| {
        let ids = ids(requests);
        ids.iter().map(String::as_str).filter(of_run).count() == 2
    })
    .await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let found: Vec<String> = ids(&sink.requests())
        .into_iter()
        .filter(|id| !of_run(&id.as_str()))
        .collect();
    let expected: Vec<&str> = delivered
        .iter()
        .map(|event| event["headers"]["ce-id"].as_str().unwrap())
        .collect();
    assert_eq!(found, expected);
}

fn read_lines(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(file)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn events_of_today_fit_the_schema_of_version_0_1_0_and_its_events_fit_that_of_today() {
    let validator = |file: PathBuf| {
        let schema: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let errors = |validator: &jsonschema::Validator, event: &Value| -> Vec<String> {
        let errors = validator.iter_errors(&event["data"]);
        errors.map(|error| error.to_string()).collect()
    };
    let (old, new) = (
        validator(stored("step-event.v1.json")),
        validator(path("../deploy/schema/step-event.v1.json")),
    );
    let config = EventConfig::default();
    let mut count = 0;
    for name in recordings().into_iter().chain(fixtures()) {
        for record in track(changes(&watch_events(&name))) {
            let identity = EventIdentity::new(&record, &config);
            let body = build_structured(&record, &identity, None, &config).unwrap();
            let event: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(event["dataschema"], "urn:step-observer:step-event:v1");
            assert_eq!(
                errors(&old, &event),
                Vec::<String>::new(),
                "{name}: {event:#}"
            );
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
    for stored in read_lines("corpus/journal-0.1.0/delivered.jsonl") {
        // In binary mode the body is the data.
        assert!(stored["headers"]["ce-id"].is_string());
        let data: Value = serde_json::from_str(stored["body"].as_str().unwrap()).unwrap();
        let event = serde_json::json!({ "data": data });
        assert_eq!(errors(&new, &event), Vec::<String>::new(), "{event:#}");
    }
}

#[test]
fn every_metric_of_version_0_1_0_has_its_name_type_and_labels() {
    let rows = |text: &str| -> BTreeMap<String, (String, Vec<String>)> {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let columns: Vec<&str> = row.split('|').map(str::trim).collect();
            let labels = columns[3].split('`').skip(1).step_by(2);
            let labels = labels.map(str::to_owned).collect();
            (columns[1].to_owned(), (columns[2].to_owned(), labels))
        })
        .collect()
    };
    let old = rows(&std::fs::read_to_string(stored("metrics.txt")).unwrap());
    let new = rows(&std::fs::read_to_string(path("../deploy/METRICS.md")).unwrap());
    assert!(old.len() > 40, "{}", old.len());
    for (name, before) in old {
        assert_eq!(new.get(&name), Some(&before), "{name}");
    }
}

#[test]
fn the_page_on_versions_names_every_fixture_of_a_version() {
    let of_version: Vec<String> = fixtures()
        .into_iter()
        .filter(|name| name.starts_with("tekton_"))
        .collect();
    assert!(of_version.len() >= 6, "{of_version:?}");
    for page in ["../docs/versions.md", "fixtures/README.md"] {
        for name in &of_version {
            assert!(documents(page, &format!("`{name}`")), "{page}: {name}");
        }
    }
}

/// The number of the format, and the kinds of entries that 0.1.0 reads, with the members that it requires. It ignores
/// others, such as `name`.
const HEADER: &[u8] = b"step-observer journal 1\n";
const KINDS: [(&str, &[&str]); 7] = [
    ("begun", &["horizon"]),
    ("scope", &["scope"]),
    ("accepted", &["run", "at", "events"]),
    ("done", &["seq", "sink"]),
    ("dead", &["seq", "sink", "letter"]),
    ("forgotten", &["run"]),
    ("marks", &["run", "marks"]),
];

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    let sum = bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            let carry = if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
            (sum >> 1) ^ carry
        })
    });
    !sum
}

/// Reads a segment as `docs/journal-format.md` describes the format of 0.1.0.
fn entries(segment: &[u8]) -> Vec<Value> {
    let mut rest = segment.strip_prefix(HEADER).expect("the header of 0.1.0");
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let mut found = Vec::new();
    while !rest.is_empty() {
        assert_eq!(&rest[..4], b"SOJ\n");
        let length = number(&rest[4..]) as usize;
        let payload = &rest[16..16 + length];
        let summed = rest[4..12].iter().chain(payload).copied();
        assert_eq!(crc32(summed), number(&rest[12..]));
        let entry = 4 + number(payload) as usize;
        let value: Value = serde_json::from_slice(&payload[4..entry]).unwrap();
        let bodies: u64 = value["events"].as_array().map_or(0, |events| {
            let bytes = events.iter().map(|event| event["bytes"].as_u64().unwrap());
            bytes.sum()
        });
        assert_eq!(entry as u64 + bodies, length as u64);
        found.push(value);
        rest = &rest[16 + length..];
    }
    found
}

#[tokio::test]
async fn a_journal_of_today_has_the_header_and_the_entries_of_version_0_1_0() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![(400, vec![])]).await;
    let output = Program::new()
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .args(["--to", &sink.url, "--journal"])
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let segment = std::fs::read(folder.path().join("000000000000.journal")).expect(&log);
    let entries = entries(&segment);
    let of_kind = |kind: &str| entries.iter().filter(|entry| entry["is"] == kind).count();
    assert_eq!(
        (of_kind("begun"), of_kind("accepted"), of_kind("dead")),
        (1, 6, 1)
    );
    assert!(of_kind("done") >= 5, "{entries:#?}");
    for entry in &entries {
        let kind = entry["is"].as_str().unwrap();
        let (_, members) = KINDS
            .iter()
            .find(|(known, _)| *known == kind)
            .unwrap_or_else(|| panic!("0.1.0 takes an entry `{kind}` for damage"));
        for member in *members {
            assert!(!entry[member].is_null(), "{kind} has no {member}");
        }
        // 0.1.0 ignores this one: see docs/versions.md.
        let is_new = |member: &&String| {
            let known = ["is", "namespace", "mark", "name"];
            !known.contains(&member.as_str()) && !members.contains(&member.as_str())
        };
        let new = entry.as_object().unwrap().keys().find(is_new);
        assert_eq!(new, None, "is it described in docs/versions.md?");
    }
}

/// Returns whether a document has this text, with any white space between its words.
fn documents(document: &str, text: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let document = std::fs::read_to_string(path(document)).unwrap();
    squeeze(&document).contains(&squeeze(text))
}

#[tokio::test]
async fn what_a_later_version_has_is_refused_in_the_documented_words() {
    let folder = tempfile::tempdir().unwrap();
    let page = "../docs/versions.md";

    // The configuration.
    let file = folder.path().join("c.yaml");
    std::fs::write(
        &file,
        "apiVersion: step-observer.dev/v2\nsinks:\n- {name: a, to: {carrierPigeon: {}}}\n- {name: b, to: {stdout: {colour: true}}}\n",
    )
    .unwrap();
    let (code, said) = check(&file);
    assert_eq!(code, Some(1));
    for words in [
        "c.yaml:1:1: apiVersion: unknown field `apiVersion`, expected one of",
        "unknown variant `…`, expected one of",
        "sinks[1].to.stdout.colour: unknown field `colour`",
    ] {
        assert!(said.contains(words), "{said}");
    }
    for words in [
        "unknown field `apiVersion`, expected one of",
        "unknown variant `…`, expected one of",
    ] {
        assert!(documents(page, words), "{words}");
    }

    // The journal.
    let journal = folder.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    let segment = journal.join("000000000007.journal");
    std::fs::write(&segment, b"step-observer journal 2\nanything").unwrap();
    let (_, said) = dead_letters(&["list"], &journal).await;
    let words = "was written by another version of step-observer: use that version to deliver its events, or another folder";
    assert!(
        said.contains("000000000007.journal") && said.contains(words),
        "{said}"
    );
    assert!(documents(page, words));
    assert_eq!(
        std::fs::read(&segment).unwrap(),
        b"step-observer journal 2\nanything"
    );

    // Plugins.
    let export = r#"(component (instance $i) (export "step-observer:plugin/transform@0.2.0" (instance $i)))"#;
    let interface = r#"(component (import "step-observer:plugin/clock@0.1.9" (instance)))"#;
    let function = r#"(component
        (import "step-observer:plugin/events@0.1.9" (instance (export "shred" (func))))
        (instance $i) (export "step-observer:plugin/transform@0.1.9" (instance $i)))"#;
    let no_export = [
        "it does not export step-observer:plugin/transform@0.1 (it exports: ",
        "step-observer:plugin/transform@0.2.0): is `export_plugin!` missing, or is it for another version? This host speaks 0.1",
    ];
    let no_function = [
        "it does not fit the plugin contract",
        "instance export `shred` has the wrong type: function implementation is missing",
    ];
    let no_interface = ["it imports `step-observer:plugin/clock@0.1.9`, which plugins do not get"];
    for (plugin, words) in [
        (export, &no_export[..]),
        (function, &no_function),
        (interface, &no_interface),
    ] {
        let said = refusal(&spec("newer", plugin));
        for words in words {
            assert!(said.contains(words), "{said}");
            // The page shows what differs between plugins as `…`.
            let words = words.trim_start_matches("step-observer:plugin/transform@0.2.0");
            assert!(documents(page, words), "{words}");
        }
    }
}

/// Tekton before it served `tekton.dev/v1`, or none at all.
#[tokio::test]
async fn a_cluster_without_tekton_v1_is_reported_and_observed_once_it_has_it() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for request in ["list taskruns", "watch taskruns"] {
        server.script(request, [Fault::Status(404); 2]);
    }
    for event in finished_run(1) {
        server.play(&event);
    }
    let mut observer = Observer::start(&server, &sink, &[]);
    let line = observer
        .wait_for_log("is Tekton Pipelines installed?")
        .await;
    assert!(line.contains("taskruns"), "{line}");
    sink.wait_until(|requests| requests.len() == 2).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
}
