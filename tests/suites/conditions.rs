//! Conditions in CEL (`match.cel`) of sinks, plugins and dropped-in plugins, in the program.

use serde_json::Value;
use std::path::Path;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::guest;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::recording::watch_events;
use step_observer_tests::sink::HttpSink;

fn bodies(sink: &HttpSink) -> Vec<Value> {
    let requests = sink.requests().into_iter();
    let bodies = requests.map(|request| serde_json::from_slice(&request.body).unwrap());
    bodies.collect()
}

fn ids(events: &[Value]) -> Vec<String> {
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = events.iter().map(id).collect();
    ids.sort();
    ids
}

/// Returns what `match.cel` of a sink must select, computed from the events that the sink without one got.
fn selected(all: &[Value], wants: impl Fn(&Value) -> bool) -> Vec<String> {
    let wanted: Vec<Value> = all.iter().filter(|event| wants(event)).cloned().collect();
    assert!(!wanted.is_empty() && wanted.len() < all.len());
    ids(&wanted)
}

fn replay(config: &str, folder: &Path) -> String {
    let file = folder.join("config.yaml");
    std::fs::write(&file, config).unwrap();
    let mut program = Program::new();
    program.arg("replay").arg(path("recordings/leaky.jsonl"));
    program.arg("--config").arg(&file);
    let output = program.run().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_gets_the_events_that_its_condition_and_its_other_members_accept() {
    let mut sinks = Vec::new();
    for _ in 0..4 {
        sinks.push(HttpSink::start(vec![]).await);
    }
    let to = |index: usize| {
        format!(
            "to: {{http: {{url: '{}', mode: structured}}}}",
            sinks[index].url
        )
    };
    let config = format!(
        "sinks:\n\
         - {{name: all, {}}}\n\
         - name: failures\n  {}\n  match: {{cel: \"event.type.endsWith('.failed.v1') && data.exitCode > 0\"}}\n\
         - name: both\n  {}\n  match: {{phases: [failed, succeeded], cel: \"data.log.contains('ghp_')\"}}\n\
         - name: unsure\n  {}\n  match:\n    cel: |\n      !has(data.taskRun.name) ||\n      data.exitCode > 0\n",
        to(0),
        to(1),
        to(2),
        to(3),
    );
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let log = tokio::task::spawn_blocking(move || replay(&config, &place));
    let log = log.await.unwrap();

    let all = bodies(&sinks[0]);
    let is_failed = |event: &Value| event["type"].as_str().unwrap().ends_with(".failed.v1");
    let exit_code = |event: &Value| event["data"]["exitCode"].as_i64();
    let failures = selected(&all, |event| is_failed(event) && exit_code(event) > Some(0));
    assert_eq!(ids(&bodies(&sinks[1])), failures);
    let leaky = selected(&all, |event| {
        let log = event["data"]["log"].as_str();
        log.is_some_and(|log| log.contains("ghp_"))
    });
    assert_eq!(ids(&bodies(&sinks[2])), leaky);
    // A started step has no exit code. That is an error, and the sink gets the event.
    let unsure = selected(&all, |event| exit_code(event).is_none_or(|code| code > 0));
    assert_eq!(ids(&bodies(&sinks[3])), unsure);

    let warned = log.lines().filter(|line| line.contains("`match.cel`"));
    let warned: Vec<&str> = warned.collect();
    assert_eq!(warned.len(), 1, "{log}");
    let expected = "line 2, column 6 of the expression: the event has no `exitCode`; test it with `has(…)` before";
    for text in ["WARN", "owner=\"sink\"", "unsure", expected] {
        assert!(warned[0].contains(text), "{text}: {}", warned[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redactor_whose_condition_fails_is_not_skipped() {
    let (masked, skipped) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    let sink = |name: &str, url: &str, cel: &str| {
        let redactor = guest("redact-secrets").display().to_string();
        format!(
            "- name: {name}\n  to: {{http: {{url: '{url}', mode: structured}}}}\n  plugins:\n  \
             - {{name: redact-{name}, from: {{file: '{redactor}'}}, match: {{cel: \"{cel}\"}}}}\n"
        )
    };
    let config = format!(
        "sinks:\n{}{}",
        sink("masked", &masked.url, "labels.nosuch == 'hunter22'"),
        sink("skipped", &skipped.url, "'nosuch' in labels"),
    );
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let log = tokio::task::spawn_blocking(move || replay(&config, &place));
    let log = log.await.unwrap();
    let has_token = |sink: &HttpSink| {
        let bodies = bodies(sink);
        assert_eq!(bodies.len(), 13);
        bodies
            .iter()
            .any(|body| body.to_string().contains("ghp_0123456789"))
    };
    assert!(!has_token(&masked), "the plugin was called for every event");
    assert!(
        has_token(&skipped),
        "the condition is false, so the plugin was not called"
    );
    let warned = log.lines().filter(|line| line.contains("`match.cel`"));
    let warned: Vec<&str> = warned.collect();
    assert_eq!(warned.len(), 1, "{log}");
    assert!(warned[0].contains("owner=\"plugin\""), "{}", warned[0]);
    assert!(warned[0].contains("redact-masked"), "{}", warned[0]);
    assert!(!log.contains("hunter22"), "{log}");
}

#[tokio::test]
async fn errors_are_counted_and_a_dropped_in_plugin_with_a_mistake_is_refused_with_its_place() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let plugins = tempfile::tempdir().unwrap();
    let folder = |name: &str, manifest: &str| {
        let folder = plugins.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("plugin.yaml"), manifest).unwrap();
        std::fs::copy(guest("passthrough"), folder.join("plugin.wasm")).unwrap();
    };
    folder(
        "mistyped",
        "order: 1\nmatch:\n  phases: [failed]\n  cel: |\n    true ||\n    data.lables.team == 'a'\n",
    );
    folder("unsure", "match: {cel: \"labels.nosuch == 'a'\"}\n");
    let config = format!(
        "{UNLIMITED_LOOK_BACK}sinks:\n- {{name: pager, to: {{http: {{url: '{}'}}}}, match: {{cel: 'data.exitCode > 5'}}}}\n",
        sink.url
    );
    let args = ["--plugin-dir", plugins.path().to_str().unwrap()];
    let mut observer = Observer::with_config(&server, &config, &[&ADMIN_ARGS[..], &args].concat());
    let address = admin_address(&mut observer).await;
    let is_decided = |_: u16, body: &str| body.contains("lables") && body.contains("\"loaded\":{");
    let (_, body) = get_until(&address, "/plugins", is_decided).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let all = body["plugins"].as_array().unwrap();
    let mistyped = all.iter().find(|plugin| plugin["name"] == "mistyped");
    let refused = mistyped.unwrap()["refused"]["reason"].as_str().unwrap();
    let expected = "plugin.yaml:5:5: match.cel: in line 2, column 6 of the expression: unknown member `lables`; did you mean `labels`?";
    assert!(refused.contains(expected), "{refused}");

    server.wait_for_watches(2).await;
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let counts = [
        "step_observer_condition_errors_total{owner=\"sink\",name=\"pager\"} ",
        "step_observer_condition_errors_total{owner=\"plugin\",name=\"unsure\"} ",
    ];
    let count = |body: &str, series: &str| -> Option<u64> {
        let line = body.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|count| count.parse().ok())
    };
    let counted = |_: u16, body: &str| {
        let count = |series| count(body, series);
        counts.iter().all(|series| count(series) > Some(0))
    };
    let (_, metrics) = get_until(&address, "/metrics", counted).await;
    // Every started step lacks the exit code, and every event the label.
    assert!(count(&metrics, counts[1]) >= count(&metrics, counts[0]));
    observer.stop().await;
}

#[test]
fn config_check_reports_the_place_of_each_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let told = |arguments: &[&str]| {
        let mut program = Program::new();
        let output = program.args(arguments).run().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let config = write(
        "c.yaml",
        "sinks:\n- name: a\n  to: {stdout: {}}\n  match: {cel: \"data.exitCode == '1'\"}\n\
         - name: b\n  to: {stdout: {}}\n  match:\n    cel: \"event.type.matches('(') && x\"\n",
    );
    let shown = told(&["config", "check", config.to_str().unwrap()]);
    for expected in [
        "c.yaml:4:16: sinks[0].match.cel: in line 1, column 15 of the expression: `==` is between an integer and a text",
        "c.yaml:8:10: sinks[1].match.cel: in line 1, column 20 of the expression: the pattern is no regular expression",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    // A name of the expression cannot control the terminal.
    let config = write(
        "d.yaml",
        "sinks: [{name: a, to: {stdout: {}}, match: {cel: \"data['\\e[31m']\"}}]\n",
    );
    let shown = told(&["config", "check", config.to_str().unwrap()]);
    assert!(shown.contains("unknown member `\\u{1b}[31m`"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
