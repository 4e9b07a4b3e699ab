//! Names, labels, results and logs may be forged. Their control characters reach no terminal, and
//! they appear in no metric.
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use step_observer_tests::admin::get;
use step_observer_tests::plugins::{RELEASE, wat};
use step_observer_tests::program::Program;
use step_observer_tests::recording::{json as file, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Changes a terminal's title, clears it, forges a line, sets colours by 8-bit codes, and reverses
/// the direction of text.
const HOSTILE: &str = "evil\u{1b}]0;owned\u{7}\u{1b}[2J\r\nforged line\u{9b}31m\u{7f}\u{8}\u{202e}\u{2066}\u{2028}end";

/// Returns the first control character that a terminal would interpret, except for line ends.
fn obeyed(text: &str) -> Option<char> {
    text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || ('\u{2028}'..='\u{202e}').contains(c)
            || ('\u{2066}'..='\u{2069}').contains(c)
    })
}

fn assert_harmless(what: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(obeyed(&text), None, "{what}: {text:?}");
    assert!(
        !text.lines().any(|line| line.starts_with("forged")),
        "{what}: {text}"
    );
    text
}

/// Writes the recording `a-success`, and `b-fail` unchanged beside it. In `a-success` every text
/// that a tenant controls is forged, and some that tenants do not control.
fn recording(folder: &Path) -> PathBuf {
    let mut events = watch_events("a-success");
    for event in &mut events {
        let object = &mut event["object"];
        let is_pod = object["kind"] == "Pod";
        let metadata = &mut object["metadata"];
        metadata["labels"]["tekton.dev/pipelineTask"] = HOSTILE.into();
        metadata["labels"][HOSTILE] = HOSTILE.into();
        metadata["annotations"][HOSTILE] = HOSTILE.into();
        if is_pod {
            metadata["labels"]["tekton.dev/taskRun"] = HOSTILE.into();
            metadata["ownerReferences"][0]["name"] = HOSTILE.into();
            let statuses = object["status"]["containerStatuses"].as_array_mut();
            for status in statuses.into_iter().flatten() {
                let terminated = &mut status["state"]["terminated"];
                if let Some(message) = terminated["message"].as_str() {
                    let mut entries: Value = serde_json::from_str(message).unwrap();
                    let forged = json!({"key": HOSTILE, "value": HOSTILE, "type": 1});
                    entries.as_array_mut().unwrap().push(forged);
                    terminated["message"] = entries.to_string().into();
                }
            }
        } else {
            metadata["name"] = HOSTILE.into();
        }
    }
    events.extend(watch_events("b-fail"));
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    let mut logs = file("recordings/b-fail.logs.json");
    for step in ["build", "test", "deploy"] {
        let log = format!(
            "password=hunter2 {HOSTILE}\nghp_{} {HOSTILE}\n",
            "a".repeat(36)
        );
        logs[format!("a-success-pod-step-{step}")] = log.into();
    }
    std::fs::write(folder.join("hostile.logs.json"), logs.to_string()).unwrap();
    let file = folder.join("hostile.jsonl");
    std::fs::write(&file, text).unwrap();
    file
}

fn command(args: &[&str]) -> Program {
    let mut command = Program::new();
    command.args(args);
    command
}

async fn run(command: &mut Program) -> Output {
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    ended.expect("it ends").unwrap()
}

fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

/// Returns the events of the unchanged run, without the times of observation: they depend on the
/// forged run, because the time of a recording never goes back.
fn innocent(events: &[Value]) -> Vec<Value> {
    let is_innocent = |event: &&Value| event["data"]["podRef"]["namespace"] == "b-fail";
    let mut innocent: Vec<Value> = events.iter().filter(is_innocent).cloned().collect();
    for event in &mut innocent {
        event.as_object_mut().unwrap().remove("recordedtime");
    }
    innocent
}

#[tokio::test]
async fn events_on_a_terminal_keep_their_text_without_control_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recording(folder.path());
    let output = run(command(&["replay"]).arg(&recording)).await;
    assert!(output.status.success(), "{output:?}");
    let told = events(&assert_harmless("events", &output.stdout));
    let forged = |event: &&Value| {
        let step = event["data"]["stepState"]["name"].as_str().unwrap();
        event["subject"] == format!("a-success/{HOSTILE}/{step}")
    };
    assert_eq!(told.iter().filter(forged).count(), 6);
    let with_log = told.iter().filter(|event| {
        let log = event["data"]["log"].as_str().unwrap_or_default();
        log.contains(HOSTILE)
    });
    assert_eq!(with_log.count(), 3);
    // The unchanged run has the same events as without the forged one.
    let alone =
        run(command(&["replay"]).arg(step_observer_tests::path("recordings/b-fail.jsonl"))).await;
    let alone = events(&String::from_utf8(alone.stdout).unwrap());
    assert_eq!(innocent(&told), innocent(&alone));
}

/// Returns a plugin that fails on every event, with a hostile error text.
fn fails() -> String {
    let escaped: String = HOSTILE
        .bytes()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let process = format!(
        "{RELEASE} (i32.store8 (i32.const 2048) (i32.const 1))
         (i32.store (i32.const 2052) (i32.const 64)) (i32.store (i32.const 2056) (i32.const {}))
         (i32.const 2048)",
        HOSTILE.len()
    );
    wat(&format!("(data (i32.const 64) \"{escaped}\")"), &process)
}

#[tokio::test]
async fn no_field_breaks_a_line_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recording(folder.path());
    std::fs::write(folder.path().join("fails.wat"), fails()).unwrap();
    let plugin = json!({
        "name": "fails", "from": {"file": folder.path().join("fails.wat")}, "onError": "pass",
    });
    let config = folder.path().join("config.yaml");
    let sinks =
        json!([{"name": "all", "to": {"file": {"path": folder.path().join("events.jsonl")}}}]);
    std::fs::write(
        &config,
        json!({"plugins": [plugin], "sinks": sinks}).to_string(),
    )
    .unwrap();
    for format in ["text", "json"] {
        let mut replay = command(&["--log", "debug", "--log-format", format, "replay"]);
        let output = run(replay.arg(&recording).arg("--config").arg(&config)).await;
        assert!(output.status.success(), "{output:?}");
        let log = assert_harmless(format, &output.stderr);
        let failures: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("plugin failed"))
            .collect();
        assert_eq!(failures.len(), 12, "{log}");
        assert!(
            failures
                .iter()
                .all(|line| line.contains("it reports: evil")),
            "{log}"
        );
        if format == "json" {
            // The lines keep their meaning.
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let detail = line["fields"]["detail"].as_str().unwrap_or("\u{202e}");
                assert!(detail.contains('\u{202e}'), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn answers_of_the_admin_server_hold_no_control_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recording(folder.path());
    std::fs::write(folder.path().join("fails.wat"), fails()).unwrap();
    let refuses = HttpSink::start(vec![(400, vec![]); 1000]).await;
    let config = json!({
        "plugins": [{"name": "fails", "from": {"file": folder.path().join("fails.wat")}, "onError": "pass"}],
        "sinks": [{"name": "all", "to": {"http": {"url": refuses.url, "mode": "structured"}}}],
    });
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let journal = folder.path().join("journal");
    let journal = ["--journal", journal.to_str().unwrap()];
    let mut replay = command(&["replay"]);
    let output = run(replay
        .arg(&recording)
        .arg("--config")
        .arg(&file)
        .args(journal))
    .await;
    assert!(!output.status.success(), "all of it is dead letters");
    assert_harmless("what it logs", &output.stderr);

    let letters = run(command(&["dead-letters", "list"]).args(journal)).await;
    let letters = assert_harmless("dead-letters list", &letters.stdout);
    assert_eq!(letters.lines().count(), 1 + 12, "{letters}");
    assert!(
        letters.contains("a-success/evil\\u{1b}]0;owned"),
        "{letters}"
    );
    let listed = run(command(&["dead-letters", "list", "--json"]).args(journal)).await;
    let listed = events(&assert_harmless("dead-letters list --json", &listed.stdout));
    let forged = listed
        .iter()
        .find(|letter| letter["subject"].as_str().unwrap().contains(HOSTILE));
    let forged = forged.unwrap();
    let letter = forged["letter"].as_str().unwrap();
    let shown = run(command(&["dead-letters", "show", letter]).args(journal)).await;
    assert!(shown.status.success(), "{shown:?}");
    assert_harmless("dead-letters show", &shown.stdout);

    let request = &refuses.requests()[0];
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    let id = event["id"].as_str().unwrap();
    let told = run(command(&["explain", id]).args(journal)).await;
    assert!(told.status.success(), "{told:?}");
    let told = assert_harmless("explain", &told.stdout);
    assert!(told.contains("it reports: evil"), "{told}");
    let facts = run(command(&["explain", id, "--json"]).args(journal)).await;
    assert!(!events(&assert_harmless("explain --json", &facts.stdout)).is_empty());
    // Command line arguments are repeated in errors.
    let unknown = run(command(&["explain", "evil\u{1b}[2J\u{202e}"]).args(journal)).await;
    assert_harmless("an error", &unknown.stderr);
}

#[tokio::test]
async fn trying_a_plugin_on_a_hostile_recording_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recording(folder.path());
    for plugin in ["bundled:redact-secrets", "bundled:passthrough"] {
        let mut tried = command(&["plugin", "run", plugin, "--recording"]);
        let output = run(tried.arg(&recording)).await;
        assert!(output.status.success(), "{output:?}");
        let told = assert_harmless(plugin, &output.stdout);
        assert!(told.contains("a-success/evil\\u{1b}"), "{told}");
    }
    let failing = folder.path().join("fails.wat");
    std::fs::write(&failing, fails()).unwrap();
    let mut tried = command(&["plugin", "run"]);
    let output = run(tried.arg(&failing).arg("--recording").arg(&recording)).await;
    assert!(!output.status.success(), "{output:?}");
    let told = assert_harmless("a plugin that fails", &output.stdout);
    assert!(told.contains("it reports: evil"), "{told}");
    assert_harmless("what it logs", &output.stderr);
}

#[tokio::test]
async fn no_name_label_or_result_of_a_run_is_in_a_metric() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recording(folder.path());
    std::fs::write(folder.path().join("fails.wat"), fails()).unwrap();
    // While deliveries fail, the observer answers requests.
    let refuses = HttpSink::start(vec![(503, vec![]); 1000]).await;
    let takes = HttpSink::start(vec![]).await;
    let sink = |name: &str, sink: &HttpSink| {
        let to = json!({"http": {"url": sink.url, "mode": "structured"}});
        json!({"name": name, "to": to, "retry": {"initialMs": 1}})
    };
    let config = json!({
        "plugins": [
            {"name": "masks", "from": {"bundled": "redact-secrets"}},
            {"name": "fails", "from": {"file": folder.path().join("fails.wat")}, "onError": "pass"},
        ],
        "sinks": [sink("takes", &takes), sink("refuses", &refuses)],
        "admin": {"listen": "127.0.0.1:0"},
    });
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut replay = command(&["--log", "info", "replay"]);
    replay.arg(&recording).arg("--config").arg(&file);
    let mut observer = replay
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(observer.stderr.take().unwrap()).lines();
    let address = loop {
        let line = log.next_line().await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("address=") {
            break rest.split_whitespace().next().unwrap().to_owned();
        }
    };
    takes.wait_for(12).await;
    refuses.wait_for(1).await;
    let (status, metrics) = get(&address, "/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(obeyed(&metrics), None, "{metrics}");
    assert!(metrics.contains("plugin=\"fails\""), "{metrics}");
    for forged in ["evil", "forged", "owned", "a-success", "b-fail", "hunter2"] {
        assert!(!metrics.contains(forged), "{forged}: {metrics}");
    }
    observer.kill().await.unwrap();
}
