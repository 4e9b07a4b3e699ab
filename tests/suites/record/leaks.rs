//! No file of a recording holds a secret, even if any free text of a run contained one.

use super::{Finished, Recording, identities, identities_at, last_states};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::observer::Observer;
use step_observer_tests::recording::{set_recorded_logs, watch_events};
use step_observer_tests::secrets::{assert_clean, leaks};
use step_observer_tests::sink::HttpSink;

/// Secrets, each in a different place of a run.
const PLANTED: [&str; 9] = [
    "ghp_inTheLogC3J27XDCG2LmlZGEONYlgC",
    "ghp_inTheArgumentstjfIZ4SOcMz9CPVN",
    "in-the-environment-S3cret",
    "ghp_inALabelPkNa1Hedcm4pMbXDuCL1mH",
    "ghp_inAnAnnotationoOsFaQfDPrAJ71fT",
    "in-the-script-S3cret",
    "in-a-result-S3cret",
    "ghp_inACompressedResultquWoGsbeKXg",
    "ghp_inTheNameOfAnAnnotationzg2sye9",
];

/// A run with a secret in every free text.
fn leaking_run() -> Vec<Value> {
    let [
        _,
        argument,
        variable,
        label,
        annotation,
        script,
        result,
        packed,
        name,
    ] = PLANTED;
    let script = format!("export DB_PASSWORD={script}");
    let encoded = STANDARD.encode(&script);
    let mut events = watch_events("b-fail");
    for event in &mut events {
        let object = &mut event["object"];
        object["metadata"]["labels"]["team"] = label.into();
        object["metadata"]["annotations"]["note"] = annotation.into();
        object["metadata"]["annotations"][name] = "x".into();
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
            json!({"spec": {"steps": [{"script": script}]}})
                .to_string()
                .into();
        if object["kind"] == "TaskRun" {
            object["spec"]["params"] = json!([{"name": "token", "value": result}]);
            for place in ["/spec/taskSpec/steps/0", "/status/taskSpec/steps/0"] {
                if let Some(step) = object.pointer_mut(place) {
                    step["script"] = script.clone().into();
                    step["args"] = json!(["--token", argument]);
                }
            }
        } else {
            let spec = &mut object["spec"];
            spec["containers"][0]["env"] = json!([{"name": "DB_PASSWORD", "value": variable}]);
            let args = spec["containers"][0]["args"].as_array_mut().unwrap();
            args.extend(["--token".into(), argument.into()]);
            spec["initContainers"].as_array_mut().unwrap().push(json!({
                "name": "place-scripts", "command": ["sh"], "args": ["-c", format!("cat << _EOF_\n{encoded}\n_EOF_")],
            }));
        }
        for statuses in ["/status/containerStatuses", "/status/steps"] {
            let statuses = object.pointer_mut(statuses).and_then(Value::as_array_mut);
            for (index, status) in statuses.into_iter().flatten().enumerate() {
                let ended = match status.get("state") {
                    Some(_) => status.pointer_mut("/state/terminated"),
                    None => status.get_mut("terminated"),
                };
                let Some(message) = ended.and_then(|ended| ended.get_mut("message")) else {
                    continue;
                };
                *message = with_result(message.as_str().unwrap(), index, result, packed).into();
            }
        }
    }
    events
}

/// Adds a result to a message of the entrypoint, and compresses every second message.
fn with_result(message: &str, index: usize, plain: &str, packed: &str) -> String {
    let Ok(mut entries) = serde_json::from_str::<Vec<Value>>(message) else {
        return message.to_owned();
    };
    let is_packed = index % 2 == 1;
    let (key, value) = if is_packed {
        ("out", packed)
    } else {
        ("db-password", plain)
    };
    entries.push(json!({"key": key, "value": value, "type": 1}));
    let text = serde_json::to_string(&entries).unwrap();
    if !is_packed {
        return text;
    }
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(text.as_bytes()).unwrap();
    format!("tknz:{}", STANDARD_NO_PAD.encode(deflate.finish().unwrap()))
}

/// Plays a run, and records it to its end.
async fn record(
    server: &ApiServer,
    events: &[Value],
    logs: usize,
    args: &[&str],
) -> (Finished, String) {
    let recording = Recording::start(server, args);
    server.wait_for_watches(2).await;
    events.iter().for_each(|event| server.play(event));
    recording.wait_for(last_states(events, 0), logs).await;
    recording.stop().await
}

#[tokio::test]
async fn no_secret_of_a_run_is_in_a_recording_and_the_events_are_the_same() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    set_recorded_logs(&server, "b-fail");
    server.set_log(
        "b-fail-pod-step-build",
        &format!("building with {}\nbuilt\n", PLANTED[0]),
    );
    let observer = Observer::start(&server, &sink, &["--plugin", "bundled:redact-secrets"]);
    server.wait_for_watches(2).await;
    let recording = Recording::start(&server, &[]);
    server.wait_for_watches(4).await;
    let events = leaking_run();
    events.iter().for_each(|event| server.play(event));
    sink.wait_for(6).await;
    recording.wait_for(last_states(&events, 0), 2).await;
    let (recording, said) = recording.stop().await;
    observer.stop().await;
    assert!(
        said.contains("masked: ") && said.contains("github-personal-access-token"),
        "{said}"
    );
    let encoded = base64::engine::general_purpose::STANDARD
        .encode(format!("export DB_PASSWORD={}", PLANTED[5]));
    let files: Vec<_> = std::fs::read_dir(recording.folder()).unwrap().collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in ["recording.jsonl", "recording.logs.json"] {
        let text = recording.read(file);
        for secret in PLANTED.iter().chain([&encoded.as_str()]) {
            assert!(!text.contains(secret), "{file} holds {secret}");
        }
        assert!(!text.contains("tknz:"), "{file}");
    }
    let replayed = recording.replay(&said).await;
    assert_eq!(identities(&replayed, false), identities_at(&sink, false));
    let ended = replayed.iter().find(|event| {
        event["id"]
            .as_str()
            .unwrap()
            .contains("-build-dev.tekton.event.plugin.step.succ")
    });
    let ended = ended.unwrap();
    assert_eq!(
        ended["data"]["log"],
        "building with [redacted:github-personal-access-token]\nbuilt\n"
    );
    let results = ended["data"]["stepState"]["terminated"]["message"]
        .as_str()
        .unwrap();
    assert!(results.contains(r#""key":"db-password""#), "{results}");
    assert!(
        results.contains("[redacted:password-assignment]"),
        "{results}"
    );
}

#[tokio::test]
async fn the_leaky_pipeline_leaves_no_secret_in_a_recording() {
    let server = ApiServer::start().await;
    set_recorded_logs(&server, "leaky");
    let place = tempfile::tempdir().unwrap();
    // A secret that no pattern of a rule matches; the plugin knows it from this list of values.
    let known = place.path().join("known.json");
    std::fs::write(&known, r#"{"values": ["Tr0ub4dor&3-registry"]}"#).unwrap();
    let redact = format!("bundled:redact-secrets={}", known.display());
    let events = watch_events("leaky");
    let (recording, _) = record(&server, &events, 5, &["--redact", &redact]).await;
    for file in ["recording.jsonl", "recording.logs.json"] {
        assert_clean(file, recording.read(file).as_bytes());
    }
    // Only the owner may read the files.
    for entry in std::fs::read_dir(recording.folder()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let recording = Recording::start(&server, &["--no-redact"]);
    recording.wait_for(last_states(&events, 0), 0).await;
    let (recording, said) = recording.stop().await;
    assert!(
        said.contains("NOT masked") && said.contains("nothing was masked"),
        "{said}"
    );
    assert!(leaks(recording.read("recording.jsonl").as_bytes()));
}
