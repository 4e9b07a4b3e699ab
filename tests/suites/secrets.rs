//! No secret of the recorded pipeline `leaky` is written or sent: not in events, on a terminal, in
//! a log line at trace level, or in a file.

use std::path::Path;
use std::process::Output;
use step_observer_tests::admin::get;
use step_observer_tests::events::plugin_config_map;
use step_observer_tests::observer::Observer;
use step_observer_tests::program::Program;
use step_observer_tests::secrets::assert_clean;
use step_observer_tests::sink::HttpSink;
use step_observer_tests::{guest, path};

fn assert_output_clean(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_clean(&format!("{what}: standard output"), &output.stdout);
    assert_clean(&format!("{what}: standard error"), &output.stderr);
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn the_pipeline_leaks_without_redaction() {
    let run = Program::new()
        .arg("replay")
        .arg(path("recordings/leaky.jsonl"))
        .run()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    for secret in step_observer_tests::secrets::SECRETS {
        assert!(
            text.contains(secret),
            "this suite proves nothing about {secret}"
        );
    }
}

#[test]
fn the_demo_shows_and_writes_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Program::new()
        .args(["demo", "--log", "trace", "--out", "out"])
        .current_dir(folder.path())
        .run()
        .unwrap();
    assert_output_clean("demo", &demo);
    let shown = String::from_utf8(demo.stdout).unwrap();
    assert!(
        shown.contains("13 events: 2 failed, 1 skipped, 6 started, 4 succeeded"),
        "{shown}"
    );
    assert!(shown.contains("13 arrived"), "{shown}");
    let written = files(folder.path());
    assert_eq!(written.len(), 1, "{written:?}");
    let events = std::fs::read(&written[0]).unwrap();
    assert_clean("events.jsonl", &events);
    assert_eq!(events.iter().filter(|byte| **byte == b'\n').count(), 13);
}

#[test]
fn the_redactor_needs_no_configuration_for_this() {
    let run = Program::new()
        .args(["replay", "--log", "trace", "--plugin"])
        .arg(guest("redact-secrets"))
        .arg(path("recordings/leaky.jsonl"))
        .run()
        .unwrap();
    assert_output_clean("replay", &run);
    assert_eq!(run.stdout.iter().filter(|byte| **byte == b'\n').count(), 13);
}

#[test]
fn a_redactor_that_fails_lets_no_secret_through() {
    let folder = tempfile::tempdir().unwrap();
    // Too tight for any event. A configured plugin is refused; a dropped-in one is replaced by a
    // plugin that fails on every event, because the author may not see the refusal.
    let settings = "limits: {outputBytes: 1}\n";
    std::fs::copy(guest("redact-secrets"), folder.path().join("redact.wasm")).unwrap();
    std::fs::write(folder.path().join("redact.yaml"), settings).unwrap();
    let run = Program::new()
        .args(["replay", "--log", "trace", "--to", "stdout", "--plugin-dir"])
        .arg(folder.path())
        .arg(path("recordings/leaky.jsonl"))
        .run()
        .unwrap();
    assert_output_clean("replay", &run);
    let events = String::from_utf8(run.stdout).unwrap();
    assert_eq!(events.lines().count(), 13);
    assert!(
        events
            .lines()
            .all(|event| event.contains("\"pluginerror\":\"redact\""))
    );
}

#[tokio::test]
async fn the_journal_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![(503, Vec::new()); 10_000]).await;
    let mut command = Program::new();
    command
        .arg("replay")
        .arg(path("recordings/leaky.jsonl"))
        .args(["--plugin", "bundled:redact-secrets", "--to", &sink.url])
        .arg("--journal")
        .arg(folder.path());
    let mut observer = command.spawn().unwrap();
    sink.wait_for(4).await;
    observer.kill().await.unwrap();
    let mut whole = Vec::new();
    // The folder also holds a lock file and a socket.
    let is_segment =
        |file: &std::path::PathBuf| file.extension().is_some_and(|end| end == "journal");
    for file in files(folder.path()).into_iter().filter(is_segment) {
        let bytes = std::fs::read(&file).unwrap();
        assert_clean(&file.display().to_string(), &bytes);
        whole.extend(bytes);
    }
    let whole = String::from_utf8_lossy(&whole);
    assert!(whole.contains("dev.tekton.event.plugin.step.started.v1"));
}

/// Values of all YAML types; none of them may be repeated in an error.
const VALUES: [&str; 4] = [
    "90210471",
    "90210.471",
    "hunter2-90210471",
    "[{deep: [90210471]}]",
];

#[tokio::test]
async fn no_value_of_a_refused_plugin_configuration_is_repeated() {
    use step_observer_tests::api_server::ApiServer;

    for value in VALUES {
        let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
        let module = std::fs::read(guest("filter-events")).unwrap();
        let settings = format!("config: {{types: {value}}}\n");
        let files: [(&str, &[u8]); 2] = [
            ("plugin.wasm", &module),
            ("plugin.yaml", settings.as_bytes()),
        ];
        server.put(plugin_config_map("wrong", &files));
        let args = ["--plugin-namespace", "observers", "--admin", "127.0.0.1:0"];
        let args = [&args[..], &["--log", "trace"]].concat();
        let mut observer = Observer::start(&server, &sink, &args);
        let line = observer.wait_for_log("admin server listening").await;
        let address = line.split("address=").nth(1).unwrap().trim().to_owned();
        let note = server.wait_for_note("PluginRejected").await.to_string();
        assert!(note.contains("it refuses its configuration"), "{note}");
        let mut seen = vec![note];
        for path in ["/plugins", "/status", "/metrics"] {
            seen.push(get(&address, path).await.1);
        }
        seen.push(observer.stop().await.1);
        for text in seen {
            assert!(!text.contains("90210"), "{value}: {text}");
        }
    }
}

#[test]
fn config_show_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let config = "
plugins:
- {name: redact, from: {bundled: redact-secrets}, config: {without: [user-flag], values: [hunter2-x, 90210471]}}
- {name: own, from: {file: own.wasm}, config: {token: hunter2-y}}
sinks:
- name: hook
  to: {http: {url: 'https://hooks.example/hunter2?sig=hunter2', headers: [{name: X-Key, value: hunter2-z}]}}
";
    std::fs::write(&file, config).unwrap();
    let shown = Program::new()
        .args(["config", "show"])
        .arg(&file)
        .run()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success());
    assert!(text.contains("https://hooks.example/***"), "{text}");
    assert!(
        text.contains("user-flag") && text.contains("X-Key"),
        "{text}"
    );
    assert!(
        !text.contains("hunter2") && !text.contains("90210"),
        "{text}"
    );
}
