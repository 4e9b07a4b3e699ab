//! Known secrets of files, folders and variables do not leave the observer. No sink, file, metric
//! or log line holds one in any usual encoding.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::{finished_run, plugin_config_map};
use step_observer_tests::known_secrets::{assert_absent, log_of};
use step_observer_tests::observer::Observer;
use step_observer_tests::plugins::stamp;
use step_observer_tests::program::Program;
use step_observer_tests::sink::{HttpSink, PATIENCE};
use step_observer_tests::{guest, path};

const IN_FILE: &str = "file/Tr0ub4dor&3=x";
const IN_FOLDER: &str = "9f1c-folder-value";
const IN_VARIABLE: &str = "variable \"q\" $1 value";
const ALL: [&str; 3] = [IN_FILE, IN_FOLDER, IN_VARIABLE];

/// Writes the sources below a folder, and returns their configuration.
fn sources(folder: &Path) -> String {
    let mounted = folder.join("mounted");
    std::fs::create_dir(&mounted).unwrap();
    std::fs::write(folder.join("token"), format!("{IN_FILE}\n")).unwrap();
    std::fs::write(mounted.join("key"), IN_FOLDER).unwrap();
    std::fs::write(mounted.join("mode"), "latest").unwrap();
    format!(
        "knownSecrets:\n  files: ['{0}/token']\n  folders: ['{0}/mounted']\n  environment: [A_KNOWN_SECRET]\n",
        folder.display()
    )
}

/// Shows a finished run that has known values in its log, script, labels and annotations.
fn show(server: &ApiServer, number: usize) {
    let events = finished_run(number);
    let [mut run, pod] = <[Value; 2]>::try_from(events).unwrap();
    let step = &mut run["object"]["spec"]["taskSpec"]["steps"][0];
    step["args"] = json!(["-c", format!("deploy --token {IN_FILE}")]);
    step["env"] = json!([{"name": "PLAIN", "value": IN_VARIABLE}]);
    run["object"]["metadata"]["labels"]["team"] = IN_FOLDER.into();
    run["object"]["metadata"]["annotations"] = json!({"note": format!("<{IN_FILE}>")});
    let name = pod["object"]["metadata"]["name"].as_str().unwrap();
    let log: String = ALL.into_iter().map(log_of).collect();
    server.set_log(&format!("{name}-step-unnamed-0"), &log);
    server.play(&run);
    server.play(&pod);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            // The folder of the journal also holds a socket.
            false => Vec::from_iter(path.is_file().then_some(path)),
        })
        .collect()
}

#[tokio::test]
async fn no_known_value_is_anywhere() {
    let (server, temp) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let (sink, collector) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    let refusing = HttpSink::start(vec![(400, vec![]); 100]).await;
    let journal = temp.path().join("journal");
    let out = temp.path().join("out.jsonl");
    // A plugin that copies an annotation and a label into attributes.
    let config = format!(
        "lookBack: 1000000h\n{}journal: {{directory: '{}'}}\n\
         traces: {{otlp: '{}'}}\n\
         plugins:\n- {{name: enrich, from: {{bundled: enrich-run}}, config: {{annotations: {{note: note}}, labels: {{team: team}}}}}}\n\
         sinks:\n- {{name: http, to: {{http: {{url: '{}'}}}}}}\n\
         - {{name: file, to: {{file: {{path: '{}'}}}}}}\n\
         - {{name: refusing, to: {{http: {{url: '{}'}}}}, deadLetterSink: {{to: {{file: {{path: '{}'}}}}}}}}\n\
         - {{name: own, to: {{http: {{url: '{}'}}}}, plugins: [{{name: again, from: {{bundled: enrich-run}}, config: {{annotations: {{more: note}}}}}}]}}\n",
        sources(temp.path()),
        journal.display(),
        collector.url,
        sink.url,
        out.display(),
        refusing.url,
        temp.path().join("dead.jsonl").display(),
        sink.url,
    );
    let args = [&ADMIN_ARGS[..], &["--log", "trace"]].concat();
    let environment = [("A_KNOWN_SECRET", IN_VARIABLE)];
    let mut observer = Observer::with_environment(&server, &config, &args, &environment);
    let address = admin_address(&mut observer).await;
    let refused = observer
        .wait_for_line(&["WARN", "mounted/mode", "is an ordinary word"])
        .await;
    server.wait_for_watches(2).await;
    show(&server, 1);
    sink.wait_for(4).await;
    refusing.wait_for(2).await;

    let mut seen = vec![("log".to_owned(), refused.into_bytes())];
    let ended = sink.accepted().into_iter().find(|request| {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        data["log"].is_string()
    });
    let id = ended.unwrap().header("ce-id").to_owned();
    for path in [
        "/status",
        "/plugins",
        "/sinks",
        "/metrics",
        &format!("/events/{id}"),
    ] {
        let (status, body) = get(&address, path).await;
        assert_eq!(status, 200, "{path}");
        seen.push((path.to_owned(), body.into_bytes()));
    }
    let process = observer.child.id().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    assert_eq!(
        core.unwrap().split_whitespace().nth(4),
        Some("0"),
        "{limits}"
    );
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(1), "those of the refusing sink: {log}");
    seen.push(("log".to_owned(), log.into_bytes()));
    for (name, requests) in [
        ("sink", sink.requests()),
        ("refusing sink", refusing.requests()),
        ("collector", collector.requests()),
    ] {
        assert!(!requests.is_empty(), "{name}");
        for request in requests {
            seen.push((name.to_owned(), request.body.to_vec()));
            seen.push((
                format!("headers of {name}"),
                format!("{:?}", request.headers).into_bytes(),
            ));
        }
    }
    let of_sources = ["token", "key", "mode"].map(std::ffi::OsStr::new);
    let written = files(temp.path()).into_iter();
    let written = written.filter(|file| !of_sources.contains(&file.file_name().unwrap()));
    seen.extend(written.map(|file| (file.display().to_string(), std::fs::read(&file).unwrap())));
    assert!(seen.len() > 20, "{}", seen.len());
    for (place, bytes) in &seen {
        for value in ALL {
            assert_absent(place, bytes, value);
        }
    }
    // Checks that every encoded form was in the log, and was masked there.
    let text = std::fs::read_to_string(&out).unwrap();
    for form in ["raw", "base64", "pair", "hex", "percent", "json"] {
        let count = text.matches(&format!("the {form} form is ")).count();
        assert_eq!(count, ALL.len(), "{form}");
    }
    assert!(
        text.matches("[redacted:known-value]").count() > 20,
        "{text}"
    );
    let team = sink.accepted()[0].header("ce-team").to_owned();
    assert_eq!(team, "[redacted:known-value]");
}

#[tokio::test]
async fn a_value_that_changes_is_masked_before_and_after() {
    let (server, temp) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let sink = HttpSink::start(vec![]).await;
    let config = format!(
        "lookBack: 1000000h\n{}sinks: [{{name: http, to: {{http: {{url: '{}'}}}}}}]\n",
        sources(temp.path()),
        sink.url
    );
    let environment = [("A_KNOWN_SECRET", IN_VARIABLE)];
    let observer = Observer::with_environment(&server, &config, &[], &environment);
    server.wait_for_watches(2).await;
    let next = temp.path().join("next");
    std::fs::write(&next, "another-file-value").unwrap();
    std::fs::rename(next, temp.path().join("token")).unwrap();
    let log_of_run = |number: usize| {
        let requests = sink.requests().into_iter();
        let logs = requests.filter_map(|request| {
            let data: Value = serde_json::from_slice(&request.body).unwrap();
            let is_it = data["taskRun"]["name"] == format!("run-{number}");
            data["log"].as_str().filter(|_| is_it).map(str::to_owned)
        });
        logs.last()
    };
    // The observer reads the files once a second, so the first events may have the old values.
    let masked = async {
        for number in 1.. {
            let events = finished_run(number);
            let pod = events[1]["object"]["metadata"]["name"].as_str().unwrap();
            let log = format!("old {IN_FILE} new another-file-value\n");
            server.set_log(&format!("{pod}-step-unnamed-0"), &log);
            events.iter().for_each(|event| server.play(event));
            sink.wait_for(2 * number).await;
            let log = log_of_run(number).unwrap();
            assert!(!log.contains("Tr0ub4dor"), "{log}");
            if !log.contains("another-file-value") {
                return log;
            }
        }
        unreachable!("it ends by itself")
    };
    let log = tokio::time::timeout(PATIENCE, masked).await.unwrap();
    assert_eq!(
        log,
        "old [redacted:known-value] new [redacted:known-value]\n"
    );
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("known secrets have changed"), "{log}");
}

#[tokio::test]
async fn a_plugin_cannot_name_a_source() {
    let settings = "knownSecrets: {files: [/var/run/secrets/kubernetes.io/serviceaccount/token]}\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("passthrough"), folder.path().join("own.wasm")).unwrap();
    std::fs::write(folder.path().join("own.yaml"), settings).unwrap();
    let run = Program::new()
        .args(["replay", "--plugin-dir"])
        .arg(folder.path())
        .arg(path("recordings/a-success.jsonl"))
        .run()
        .unwrap();
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(
        told.contains("knownSecrets") && told.contains("unknown"),
        "{told}"
    );

    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let module = stamp("stamp");
    let files: [(&str, &[u8]); 2] = [
        ("plugin.wat", module.as_bytes()),
        ("plugin.yaml", settings.as_bytes()),
    ];
    server.put(plugin_config_map("greedy", &files));
    let args = ["--plugin-namespace", "observers"];
    let observer = Observer::start(&server, &sink, &args);
    let note = server.wait_for_note("PluginRejected").await.to_string();
    assert!(note.contains("knownSecrets"), "{note}");
    observer.stop().await;
}

#[test]
fn mistakes_are_named_with_their_place_and_without_content() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(folder.path().join("large"), "s3cr3t".repeat(50_000)).unwrap();
    let text = format!(
        "knownSecrets:\n  files:\n  - {0}/missing\n  - {0}/large\n  folders: [{0}/none]\n  environment: [NO_SUCH_VARIABLE_HERE]\n\
         sinks: [{{name: out, to: {{stdout: {{}}}}}}]\n",
        folder.path().display()
    );
    std::fs::write(&file, text).unwrap();
    // `config check` accepts a configuration for another machine. `replay` needs its files on this
    // machine.
    let mut check = Program::new();
    let checked = check.args(["config", "check"]).arg(&file).run().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let mut replay = Program::new();
    replay.args(["replay", "--config"]).arg(&file);
    let started = replay
        .arg(path("recordings/a-success.jsonl"))
        .run()
        .unwrap();
    assert_eq!(started.status.code(), Some(1));
    let told = String::from_utf8(started.stderr).unwrap();
    for expected in [
        "c.yaml:3:5: knownSecrets.files[0]: ",
        "c.yaml:4:5: knownSecrets.files[1]: ",
        "c.yaml:5:",
        "knownSecrets.folders[0]: ",
        "knownSecrets.environment[0]: the environment variable NO_SUCH_VARIABLE_HERE is not set: set it",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains("s3cr3t"), "{told}");

    for (text, expected) in [
        (
            "{files: ['', a], environment: ['A=B'], requireSecrets: true}",
            &[
                "knownSecrets.files[0]: the path is empty",
                "knownSecrets.environment[0]: name an environment variable",
                "knownSecrets.requireSecrets: it needs pods.namespaces",
            ][..],
        ),
        (
            "{pods: {namespaces: [A/b]}}",
            &["knownSecrets.pods.namespaces[0]: a namespace has"],
        ),
    ] {
        std::fs::write(&file, format!("knownSecrets: {text}\n")).unwrap();
        let mut check = Program::new();
        let checked = check.args(["config", "check"]).arg(&file).run().unwrap();
        let told = String::from_utf8(checked.stderr).unwrap();
        for expected in expected {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
}
