//! Debian's kubectl as a source, with the commands that the documentation advises.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::available;
use step_observer_tests::peer::Missing;
use step_observer_tests::program::Program;
use step_observer_tests::recording::watch_events;
use step_observer_tests::sink::PATIENCE;
use step_observer_tests::{path, receivers};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Returns bash with this program and Debian's kubectl, for a namespace of a cluster. `None` if
/// kubectl is missing.
fn shell(server: &ApiServer, namespace: &str, folder: &Path) -> Result<Command, Missing> {
    let kubectl = receivers::installed("kubectl/usr/bin/kubectl")?;
    let kubectl = std::path::absolute(kubectl).unwrap();
    let program = Program::path();
    let programs = [program.parent().unwrap(), kubectl.parent().unwrap()];
    let programs = programs
        .map(|folder| folder.display().to_string())
        .join(":");
    let mut shell = Command::new("bash");
    shell
        .current_dir(folder)
        .env("PATH", format!("{programs}:/usr/bin:/bin"))
        .env("HOME", folder)
        .env("KUBECONFIG", server.kubeconfig_of(folder, namespace))
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(shell)
}

/// Returns every command in a text that reads two watches of kubectl.
fn advised(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined
        .lines()
        .filter(|line| line.contains("<(kubectl get pods -w"));
    let commands = lines.filter(|line| line.trim_start().starts_with("step-observer"));
    commands.map(|line| line.trim().to_owned()).collect()
}

async fn help(of: &[&str]) -> String {
    let output = Program::new()
        .args(of)
        .arg("--help")
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the members that identify an event. The times of inferred starts and skipped steps
/// depend on the observed states.
fn identity(event: &Value) -> [String; 4] {
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    let has_run = [".succeeded.v1", ".failed.v1"]
        .iter()
        .any(|end| text("type").ends_with(end));
    let time = if has_run { text("time") } else { String::new() };
    [text("id"), text("type"), text("sequence"), time]
}

#[tokio::test]
async fn the_advised_commands_give_the_events_of_both_watches() {
    let readme = advised(&std::fs::read_to_string(path("../README.md")).unwrap());
    let of_help = advised(&help(&["replay"]).await);
    assert_eq!(
        (readme.len(), of_help.len()),
        (1, 1),
        "{readme:?} {of_help:?}"
    );
    for (command, name) in [
        (&readme[0], "b-fail"),
        (&of_help[0], "d-cancel"),
        (&readme[0], "f-retries"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::start().await;
        let mut shell = available!(shell(&server, name, folder.path()));
        let recorded = Program::new()
            .arg("replay")
            .arg(path(&format!("recordings/{name}.jsonl")))
            .output()
            .await
            .unwrap();
        let recorded = String::from_utf8(recorded.stdout).unwrap();
        let mut expected: BTreeSet<_> = recorded
            .lines()
            .map(|line| identity(&serde_json::from_str(line).unwrap()))
            .collect();
        let watched = watch_events(name);
        // The beginning exists before, and is listed.
        let (before, after) = watched.split_at(2);
        before.iter().for_each(|event| server.play(event));
        let mut replay = shell.args(["-c", command]).spawn().unwrap();
        server.wait_for_watches(2).await;
        after.iter().for_each(|event| server.play(event));
        let mut told = BufReader::new(replay.stdout.take().unwrap()).lines();
        while !expected.is_empty() {
            let line = tokio::time::timeout(PATIENCE, told.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{name}: missing: {expected:#?}"));
            let event: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
            assert!(expected.remove(&identity(&event)), "{name}: {event:#}");
        }
        // kubectl ends when its watch is closed, and the replay ends when both kubectl processes
        // have ended.
        server.close_watches();
        assert_eq!(told.next_line().await.unwrap(), None);
        assert!(replay.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn kubectl_accepts_every_command_that_a_text_advises() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::start().await;
    let both = ["pods", "taskruns"].join(",");
    let mut looked_at = 0;
    let mut folders = vec![path("..")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry: PathBuf = entry.unwrap().path();
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            if entry.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(entry);
            } else if name.ends_with(".rs") || name.ends_with(".md") {
                looked_at += 1;
                let text = std::fs::read_to_string(&entry).unwrap();
                assert!(!text.contains(&both), "{}", entry.display());
            }
        }
    }
    assert!(looked_at > 100, "{looked_at}");
    let mut shell = available!(shell(&server, "default", folder.path()));
    let command = format!("kubectl get {both} -w -o json");
    let refused = shell
        .args(["-c", &command])
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("single resource type"),
        "{said}"
    );
}

#[tokio::test]
async fn as_a_plugin_its_help_shows_the_commands_of_kubectl() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::start().await;
    for link in ["kubectl-steps", "tkn-steps"] {
        std::os::unix::fs::symlink(Program::path(), folder.path().join(link)).unwrap();
    }
    let called = async |command: &str| {
        let mut command_line = Command::new("bash");
        let output = command_line
            .current_dir(folder.path())
            .args(["-c", command])
            .output();
        let output = output.await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = called("./kubectl-steps tap --help").await;
    assert!(
        help.contains("Usage: kubectl steps tap")
            && help.contains("\n  kubectl steps tap --failed"),
        "{help}"
    );
    let help = called("./tkn-steps --help").await;
    assert!(
        help.contains("Usage: tkn steps ") && help.contains("`tkn steps demo`"),
        "{help}"
    );
    let mut kubectl = available!(shell(&server, "default", folder.path()));
    let command = "PATH=\"$PWD:$PATH\" kubectl steps --version";
    let output = kubectl.args(["-c", command]).output().await.unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let first = concat!("step-observer ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(
        output.status.success() && version.starts_with(first),
        "{version}"
    );
}
