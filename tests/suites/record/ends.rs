//! How a recording begins and ends: by itself, on a terminal, with minimal rights, and with an
//! error.

use super::{Recording, last_states};
use serde_json::json;
use std::process::{Output, Stdio};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::available;
use step_observer_tests::path;
use step_observer_tests::peer::mount_namespace;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{set_recorded_logs, watch_events};
use step_observer_tests::sink::PATIENCE;
use tokio::process::Command;

#[tokio::test]
async fn a_recording_ends_at_its_limits() {
    let server = ApiServer::start().await;
    watch_events("a-success")
        .iter()
        .for_each(|event| server.play(event));
    let recording = Recording::start(&server, &["--until-idle", "1ms"]);
    let (recording, said) = recording.end().await;
    assert_eq!(recording.replay(&said).await.len(), 6);
    let recording = Recording::start(&server, &["--for", "2s", "--namespace", "nowhere"]);
    let (_, said) = recording.end().await;
    assert!(said.contains("nothing was recorded"), "{said}");
}

#[tokio::test]
async fn on_a_terminal_it_shows_how_far_it_is() {
    let server = ApiServer::start().await;
    let events = watch_events("a-success");
    events.iter().for_each(|event| server.play(event));
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("recording").display().to_string();
    let program = Program::path().display().to_string();
    let command = format!("{program} record --look-back 1000000h --until-idle 1s --out {out}");
    // `script` of util-linux gives its child a terminal.
    let mut script = Command::new("script");
    script
        .args(["-qec", &command, "/dev/null"])
        .env("KUBECONFIG", server.kubeconfig(place.path()))
        .stdin(Stdio::null());
    let output = tokio::time::timeout(PATIENCE, script.output()).await;
    let shown = String::from_utf8(output.unwrap().unwrap().stdout).unwrap();
    let progress = "\r\u{1b}[K2 watch events of 1 TaskRuns and 1 pods, ";
    assert!(shown.contains(progress), "{shown:?}");
    assert!(shown.contains("step-observer replay"), "{shown:?}");
}

async fn fails(mut command: Program) -> String {
    let output: Output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    said
}

#[tokio::test]
async fn a_recording_that_cannot_start_is_an_error_with_a_remedy() {
    let server = ApiServer::start().await;
    watch_events("a-success")
        .iter()
        .for_each(|event| server.play(event));
    let place = tempfile::tempdir().unwrap();
    let said = fails(Recording::command(&server, &place, place.path())).await;
    assert!(
        said.contains("is not empty: give a folder that is empty"),
        "{said}"
    );

    let out = place.path().join("bounded");
    let mut bounded = Recording::command(&server, &place, &out);
    bounded.args(["--look-back", "1000000h", "--max-bytes", "10000"]);
    let said = fails(bounded).await;
    assert!(
        said.contains("has reached 10000 bytes (--max-bytes)"),
        "{said}"
    );
    let size = |file: &str| std::fs::metadata(out.join(file)).unwrap().len();
    assert!(size("recording.jsonl") + size("recording.logs.json") <= 10_000);
    let replay = Program::new()
        .arg("replay")
        .arg(&out)
        .output()
        .await
        .unwrap();
    assert!(
        replay.status.success(),
        "{}",
        String::from_utf8_lossy(&replay.stderr)
    );

    server.deny("taskruns", true);
    let mut refused = Recording::command(&server, &place, &place.path().join("refused"));
    refused.args(["--for", "2s"]);
    let said = fails(refused).await;
    assert!(said.contains("the recording is not complete"), "{said}");
    assert!(
        said.contains("grant list and watch on pods and taskruns.tekton.dev"),
        "{said}"
    );

    let mut useless = Recording::command(&server, &place, &place.path().join("useless"));
    useless.args(["--redact", "bundled:passthrough"]);
    let said = fails(useless).await;
    assert!(
        said.contains("`passthrough` has no rules") && said.contains("--no-redact"),
        "{said}"
    );
    assert!(!place.path().join("useless").exists());
}

#[tokio::test]
async fn a_full_disk_ends_a_recording_that_can_be_replayed() {
    let namespaces = available!(mount_namespace());
    let server = ApiServer::start().await;
    watch_events("f-retries")
        .iter()
        .for_each(|event| server.play(event));
    let place = tempfile::tempdir().unwrap();
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=32k none \"$1\" || exit 3; \
        \"$0\" record --look-back 1000000h --out \"$1/out\" && exit 4; \"$0\" replay \"$1/out\"";
    let mut shell = Command::new("unshare");
    shell
        .args(namespaces)
        .args(["sh", "-c", script])
        .arg(Program::path())
        .arg(&disk)
        .env("KUBECONFIG", server.kubeconfig(place.path()));
    let output = tokio::time::timeout(PATIENCE, shell.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("failed to write") && said.contains("No space left on device"),
        "{said}"
    );
}

#[tokio::test]
async fn the_rights_that_the_help_names_suffice() {
    let server = ApiServer::start().await;
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let role = json!({"kind": "ClusterRole", "metadata": {"name": "record"}, "rules": [
        rule("", "pods", &["list", "watch"]), rule("tekton.dev", "taskruns", &["list", "watch"]),
        rule("", "pods/log", &["get"]),
    ]});
    let binding = json!({"kind": "ClusterRoleBinding", "metadata": {"name": "record"},
        "roleRef": {"kind": "ClusterRole", "name": "record"},
        "subjects": [{"kind": "ServiceAccount", "name": "me", "namespace": "mine"}]});
    server.authorise(&[role, binding], "mine/me");
    set_recorded_logs(&server, "b-fail");
    let events = watch_events("b-fail");
    let recording = Recording::start(&server, &[]);
    server.wait_for_watches(2).await;
    events.iter().for_each(|event| server.play(event));
    recording.wait_for(last_states(&events, 0), 2).await;
    recording.stop().await;
    assert_eq!(server.denials(), [""; 0]);
    // Every granted right was used.
    assert_eq!(server.rights_used().len(), 3, "{:?}", server.rights_used());
}

#[test]
fn the_texts_name_the_needed_permissions() {
    let help = Program::new().args(["record", "--help"]).run().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "list and watch pods and taskruns.tekton.dev",
        "get pods/log",
        "KUBECONFIG",
        "--no-redact",
    ] {
        assert!(help.contains(text), "{text}: {help}");
    }
    let readme = std::fs::read_to_string(path("../README.md")).unwrap();
    assert!(readme.contains("step-observer record "));
}

#[tokio::test]
async fn a_namespace_that_cannot_be_one_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("recording");
    for name in ["", "../../x", "Bad Name", "a-", &"a".repeat(64)] {
        let output = Program::new()
            .args(["record", "--out", out.to_str().unwrap(), "-n", name])
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("a namespace has 1 to 63"), "{name}: {error}");
        assert!(!out.exists(), "{name}");
    }
}
