//! The program as a person or a script uses it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::recording::{json, recordings, step_and_phase, watch_events};
use step_observer_tests::sink::{HttpSink, PATIENCE, Request};
use step_observer_tests::{guest, path};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

fn replay(name: &str) -> Program {
    let mut command = Program::new();
    command
        .arg("replay")
        .arg(path(&format!("recordings/{name}.jsonl")));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn error(output: &Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn events(output: &Output) -> Vec<Value> {
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn finish(mut command: Program) -> Output {
    command.output().await.unwrap()
}

#[test]
fn a_journal_may_be_in_a_relative_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("present")).unwrap();
    for journal in ["new", "./dotted", "new/below/it", "present"] {
        let output = replay("a-success")
            .args(["--to", "stdout", "--journal", journal])
            .current_dir(folder.path())
            .run()
            .unwrap();
        assert!(
            output.status.success(),
            "{journal}: {}",
            text(&output.stderr)
        );
        assert_eq!(events(&output).len(), 6, "{journal}");
    }
}

#[test]
fn replay_to_stdout_gives_the_expected_events_and_nothing_else() {
    for name in recordings() {
        let output = replay(&name).args(["--to", "stdout"]).run().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{name}");
        let expected = json(&format!("recordings/{name}.expected.json"));
        let events = events(&output);
        assert_eq!(events.len(), expected.as_array().unwrap().len(), "{name}");
        for wanted in expected.as_array().unwrap() {
            let ty = format!(
                "dev.tekton.event.plugin.step.{}.v1",
                wanted["event"].as_str().unwrap()
            );
            let found = events.iter().filter(|event| {
                event["type"] == ty
                    && event["data"]["podRef"]["name"] == wanted["pod"]
                    && event["data"]["stepState"]["name"] == wanted["step"]
            });
            assert_eq!(found.count(), 1, "{name}: {wanted}");
        }
    }
}

#[test]
fn logs_are_bounded_and_say_so() {
    let output = replay("n-biglog").run().unwrap();
    let events = events(&output);
    let big = &events[1]["data"];
    assert_eq!(big["logInfo"]["truncated"], true);
    assert_eq!(big["logInfo"]["bytes"], 374_890);
    let log = big["log"].as_str().unwrap();
    assert!(
        log.len() <= 48 * 1024 && log.contains(" bytes of the log left out ...]\n"),
        "{}",
        log.len()
    );
    let cancelled = text(&replay("d-cancel").run().unwrap().stdout);
    assert!(
        cancelled.contains(r#""log":"testing\n""#),
        "read before the pod was deleted"
    );
    let skipped = events[0]["data"].get("log");
    assert!(skipped.is_none(), "started has no log");
}

#[test]
fn a_piped_stream_of_kubectl_is_taken() {
    // kubectl prints objects over several lines, without arrival times.
    let mut stream = String::new();
    for mut event in watch_events("b-fail") {
        event.as_object_mut().unwrap().remove("at");
        stream.push_str(&format!("{event:#}\n"));
    }
    let mut child = Program::new()
        .args(["replay", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn_std()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stream.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(events(&output).len(), 6);
}

#[test]
fn a_recording_through_a_pipe_gives_the_same_as_from_its_file() {
    for name in ["d-cancel", "f-retries", "m-when"] {
        let logs = path(&format!("recordings/{name}.logs.json"));
        let recording = std::fs::File::open(path(&format!("recordings/{name}.jsonl"))).unwrap();
        let piped = Program::new()
            .args(["replay", "-", "--logs"])
            .arg(logs)
            .stdin(recording)
            .run()
            .unwrap();
        // Runs may overtake each other.
        let of_each_run = |output: &Output| {
            let mut runs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for event in events(output) {
                let run = event["partitionkey"].as_str().unwrap().to_owned();
                runs.entry(run).or_default().push(event);
            }
            runs
        };
        let from_file = replay(name).run().unwrap();
        assert_eq!(of_each_run(&piped), of_each_run(&from_file), "{name}");
    }
}

#[tokio::test]
async fn a_replay_that_cannot_deliver_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "shutdownGrace: 1s\n").unwrap();
    let mut child = replay("a-success")
        .args([
            "--give-up",
            "3600",
            "--to",
            "http://127.0.0.1:9/nobody-is-here",
            "--config",
        ])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let ended = tokio::time::timeout(PATIENCE, async {
        let mut line = String::new();
        while !line.contains("retrying") {
            line.clear();
            let read = log.read_line(&mut line).await.unwrap();
            assert!(read > 0, "the replay ended without a retry");
        }
        send_signal("TERM", child.id().unwrap());
        let mut rest = String::new();
        log.read_to_string(&mut rest).await.unwrap();
        (child.wait().await.unwrap(), rest)
    });
    let (status, rest) = ended.await.expect("no retry and end in time");
    assert_eq!(status.code(), Some(1));
    assert!(rest.contains("events were not delivered"), "{rest}");
}

#[test]
fn files_are_sinks_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let to = format!("file:{}", file.display());
    let output = replay("a-success")
        .args(["--to", &to, "--to", "stdout"])
        .run()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(std::fs::read(&file).unwrap(), output.stdout);
}

#[tokio::test]
async fn http_gets_binary_mode_in_order_and_keeps_its_connection() {
    let sink = HttpSink::start(vec![]).await;
    let mut command = replay("c-onerror");
    command.args(["--to", &sink.url]);
    let output = finish(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let requests = sink.requests();
    let steps: Vec<_> = requests
        .iter()
        .map(|request| step_and_phase(request.header("ce-sequence")))
        .collect();
    let in_order = ["0000-0", "0000-1", "0001-0", "0001-1", "0002-0", "0002-1"];
    assert_eq!(steps, in_order);
    assert!(
        requests
            .iter()
            .all(|request| request.header("content-type") == "application/json")
    );
    assert_eq!(
        requests[0].header("ce-subject"),
        "c-onerror/c-onerror/build"
    );
    let data: Value = serde_json::from_slice(&requests[3].body).unwrap();
    assert_eq!(
        (&data["reason"], &data["exitCode"]),
        (&"Continued".into(), &3.into())
    );
}

#[tokio::test]
async fn a_sink_that_fails_gets_everything_in_the_end_and_in_order() {
    let retry_at_once = || vec![("retry-after", "0".to_owned())];
    let sink = HttpSink::start(vec![
        (503, vec![]),
        (429, retry_at_once()),
        (202, vec![]),
        (500, vec![]),
        (404, vec![]),
        (408, vec![]),
    ])
    .await;
    let mut command = replay("a-success");
    command.args(["--to", &sink.url]);
    let output = finish(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(sink.unused_answers(), 0);
    let accepted: Vec<String> = sink
        .accepted()
        .iter()
        .map(|request| request.header("ce-sequence").to_owned())
        .collect();
    let mut sorted = accepted.clone();
    sorted.sort();
    assert_eq!((accepted.len(), &accepted), (6, &sorted));
}

#[tokio::test]
async fn undelivered_events_are_reported_by_number() {
    // Redirects are not followed, and client errors are final.
    let sink = HttpSink::start(vec![
        (400, vec![]),
        (302, vec![("location", "/elsewhere".to_owned())]),
    ])
    .await;
    let mut command = replay("a-success");
    command.args(["--to", &sink.url]);
    let problem = error(&finish(command).await);
    assert!(
        problem.contains("error: 2 events were not delivered"),
        "{problem}"
    );
    assert_eq!(sink.requests().len(), 6);

    let mut command = replay("a-success");
    command.args([
        "--give-up",
        "0",
        "--to",
        "http://127.0.0.1:9/nobody-is-here",
    ]);
    let problem = error(&finish(command).await);
    assert!(
        problem.contains("error: 6 events were not delivered"),
        "{problem}"
    );
    assert!(problem.contains("Connection refused"), "{problem}");
}

#[tokio::test]
async fn sinks_have_their_own_match_plugins_mode_and_headers() {
    let (all, failures) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let yaml = format!(
        "plugins:\n\
         - name: enrich\n  from: {{bundled: enrich-run}}\n  config: {{constants: {{cluster: Zürich 1}}}}\n\
         sinks:\n\
         - name: all\n  to: {{http: {{url: '{}', mode: structured}}}}\n\
         - name: failures\n  to: {{http: {{url: '{}', headers: [{{name: Authorization, fromEnv: TOKEN}}]}}}}\n  \
           match: {{phases: [failed], steps: ['s*', push]}}\n  \
           plugins:\n  - name: redact\n    from: {{file: '{}'}}\n",
        all.url,
        failures.url,
        guest("redact-secrets").display(),
    );
    std::fs::write(&config, yaml).unwrap();
    let mut command = replay("leaky");
    command
        .env("TOKEN", "Bearer of-good-news")
        .arg("--config")
        .arg(&config)
        .args(["--log", "trace"]);
    let output = finish(command).await;
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(
        !log.contains("of-good-news"),
        "a header's value is in the log"
    );

    assert_eq!(all.requests().len(), 13);
    let first = &all.requests()[0];
    assert_eq!(
        first.header("content-type"),
        "application/cloudevents+json; charset=utf-8"
    );
    let event: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(event["cluster"], "Zürich 1");
    let unmasked = |request: &Request| text(&request.body).contains("ghp_0123456789");
    assert!(
        all.requests().iter().any(unmasked),
        "this sink has no redactor"
    );

    let failed = failures.requests();
    let subjects: Vec<_> = failed
        .iter()
        .map(|request| request.header("ce-subject"))
        .collect();
    assert_eq!(
        subjects,
        [
            "leaky/shop-web-build-release/sign",
            "leaky/shop-web-build-release/push"
        ]
    );
    assert_eq!(failed[0].header("ce-cluster"), "Z%C3%BCrich%201");
    assert_eq!(failed[0].header("authorization"), "Bearer of-good-news");
    assert!(text(&failed[0].body).contains("[redacted:private-key]"));
}

#[test]
fn a_folder_of_plugins_that_is_not_there_is_a_mistake() {
    let output = Program::new()
        .args(["replay", "--plugin-dir", "/nowhere"])
        .arg(path("recordings/a-success.jsonl"))
        .run()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{told}"
    );
    let expected = "failed to read the plugins in /nowhere (--plugin-dir, dropIn.folders): ";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn an_input_that_is_no_recording_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.jsonl");
    let good = watch_events("a-success");
    for (content, expected) in [
        ("not json".to_owned(), "is not a recording: event 1: "),
        (
            "{\"hello\": 1}".to_owned(),
            "is not a recording: event 1: missing field `type`",
        ),
        (
            format!("{}\n{}\n{{\"type\":", good[0], good[1]),
            "is not a recording: event 3: EOF while parsing",
        ),
        (
            format!("{}", good[1]).replace("\"containers\":[", "\"containers\":\"s3cr3t\",\"x\":["),
            "event 1: invalid type: string \"…\", expected a list of containers",
        ),
        (String::new(), "holds no watch event"),
    ] {
        std::fs::write(&file, content).unwrap();
        let output = Program::new().arg("replay").arg(&file).run().unwrap();
        let problem = error(&output);
        assert!(
            problem.contains(expected),
            "{problem}\n  expected: {expected}"
        );
        assert!(problem.contains("--output-watch-events"), "{problem}");
    }
    let missing = Program::new()
        .args(["replay", "nowhere.jsonl"])
        .run()
        .unwrap();
    assert!(error(&missing).contains("failed to read nowhere.jsonl"));
    std::fs::write(&file, format!("{}", good[0])).unwrap();
    std::fs::write(folder.path().join("case.logs.json"), "[]").unwrap();
    let logs = Program::new().arg("replay").arg(&file).run().unwrap();
    assert!(error(&logs).contains("case.logs.json is not a log file"));
}

#[test]
fn configuration_is_checked_shown_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let config = |args: &[&str]| {
        Program::new()
            .arg("config")
            .args(args)
            .arg(&file)
            .run()
            .unwrap()
    };
    std::fs::write(&file, "plugins:\n- {name: r, from: {bundled: redact-secrets}, config: {values: [hunter22]}}\nsinks: []\n").unwrap();
    assert!(text(&config(&["check"]).stdout).ends_with("config.yaml: ok, 1 plugins and 0 sinks\n"));
    assert!(text(&config(&["show"]).stdout).contains("lookBack: 10m"));
    std::fs::write(
        &file,
        "plugins:\n- {name: r, from: {bundled: redact-secrets}, config: {values: [pin]}}\n",
    )
    .unwrap();
    assert!(
        error(&config(&["check"])).contains("plugin `r`: mask set `secrets`: value 0 is shorter")
    );
    std::fs::write(&file, "lookBack: 10m\nlog:\n  maxBytes: 7\n").unwrap();
    assert!(
        error(&config(&["check"])).contains("config.yaml:3:13: log.maxBytes: 7 is not between")
    );
    let schema = Program::new().args(["config", "schema"]).run().unwrap();
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"]["sinks"]["description"].is_string());
}

#[test]
fn the_example_configuration_of_the_documentation_fits_its_schema() {
    let schema: Value =
        serde_json::from_slice(&std::fs::read(path("../deploy/schema/config.v1.json")).unwrap())
            .unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let document = std::fs::read_to_string(path("../docs/configuration.md")).unwrap();
    let examples: Vec<&str> = document
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, example).unwrap();
        let output = Program::new()
            .args(["config", "check"])
            .arg(&file)
            .run()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let shown: step_observer::config::Config =
            step_observer::config::Config::read(&file).unwrap();
        let shown = serde_json::to_value(shown).unwrap();
        assert!(
            validator.is_valid(&shown),
            "{:?}",
            validator
                .iter_errors(&shown)
                .map(|e| e.to_string())
                .collect::<Vec<_>>()
        );
    }
}

/// Returns the output and the duration of the demo, optionally on a terminal that `script`
/// provides.
fn demo(on_terminal: bool, arguments: &str) -> (String, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let line = format!("{} demo {arguments}", Program::path().display());
    let mut command = match on_terminal {
        true => Command::new("script"),
        false => Command::new("sh"),
    };
    match on_terminal {
        true => command.args(["--quiet", "--return", "--command", &line, "/dev/null"]),
        false => command.args(["-c", &line]),
    };
    let output = command
        .current_dir(folder.path())
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (text(&output.stdout), begin.elapsed())
}

#[test]
fn the_demo_can_be_read_after_six_seconds_on_a_terminal_and_at_once_elsewhere() {
    // Repeats the demo until it is fast enough: on a loaded machine a single run may be slow.
    let fastest = |on_terminal, arguments, bound| {
        let mut last = demo(on_terminal, arguments);
        for _ in 0..4 {
            if last.1 < bound {
                break;
            }
            last = demo(on_terminal, arguments);
        }
        last
    };
    let (shown, paced) = fastest(true, "", Duration::from_secs(6));
    assert!(shown.contains("13 events: 2 failed"), "{shown}");
    assert!(shown.contains("\u{1b}["), "it has no colour: {shown}");
    // The demo is replayed over several seconds, not printed at once.
    assert!(
        paced > Duration::from_secs(3) && paced < Duration::from_secs(6),
        "{paced:?}"
    );
    for (on_terminal, arguments) in [(false, ""), (true, "--speed max"), (true, "--speed 0")] {
        let (shown, took) = fastest(on_terminal, arguments, paced);
        assert!(shown.contains("13 events: 2 failed"), "{shown}");
        assert_eq!(shown.contains("\u{1b}["), on_terminal, "{shown}");
        assert!(took < paced, "{arguments}: {took:?}, with pauses {paced:?}");
    }
    let refused = Program::new()
        .args(["demo", "--speed", "fast"])
        .run()
        .unwrap();
    assert!(error(&refused).contains("write a factor such as 1 or 10"));
}
