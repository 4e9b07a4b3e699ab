//! Recordings and watch streams in all formats, replayed alone and together.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{is_pod, recordings, watch_events};
use step_observer_tests::sink::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, BufReader};

fn replay(files: &[&Path]) -> Program {
    let mut command = Program::new();
    command.arg("replay").args(files);
    command
}

fn events(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", said(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Groups events by run, in order: runs may overtake each other.
fn of_each_run(events: Vec<Value>) -> BTreeMap<String, Vec<Value>> {
    let mut runs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events {
        let run = event["partitionkey"].as_str().unwrap().to_owned();
        runs.entry(run).or_default().push(event);
    }
    runs
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// Writes the Pods and the TaskRuns of a recording to separate files.
fn split(name: &str, folder: &Path) -> [PathBuf; 2] {
    let (pods, runs): (Vec<_>, Vec<_>) = watch_events(name).into_iter().partition(is_pod);
    let logs = std::fs::read(path(&format!("recordings/{name}.logs.json"))).unwrap();
    std::fs::write(folder.join("pods.logs.json"), logs).unwrap();
    [("pods", pods), ("taskruns", runs)].map(|(file, events)| {
        let file = folder.join(file).with_extension("jsonl");
        std::fs::write(&file, lines(&events)).unwrap();
        file
    })
}

#[test]
fn separate_files_give_the_events_of_the_joint_recording() {
    for name in recordings() {
        let whole = replay(&[&path(&format!("recordings/{name}.jsonl"))]);
        let whole = of_each_run(events(&{ whole }.run().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        let [pods, runs] = split(&name, folder.path());
        for files in [&[&*pods, &*runs][..], &[&*runs, &*pods], &[folder.path()]] {
            let output = replay(files).run().unwrap();
            assert_eq!(of_each_run(events(&output)), whole, "{name}: {files:?}");
        }
    }
}

#[test]
fn a_plugin_is_tried_on_several_recordings_together() {
    let folder = tempfile::tempdir().unwrap();
    let [pods, runs] = split("b-fail", folder.path());
    let mut command = Program::new();
    command.args(["plugin", "run", "bundled:passthrough", "--recording"]);
    command.arg(&pods).arg("--recording").arg(&runs);
    let output = command.run().unwrap();
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        shown.contains("6 events: 6 kept unchanged"),
        "{shown}{}",
        said(&output)
    );
}

#[tokio::test]
async fn changes_of_one_pipe_do_not_wait_for_another_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let [pods, runs] = ["pods", "runs"].map(|name| folder.path().join(name));
    let made = Command::new("mkfifo").arg(&pods).arg(&runs).status();
    assert!(made.unwrap().success());
    let mut replay = replay(&[&pods, &runs])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Opening a pipe blocks until it is read. The second pipe is open, and silent until all events
    // of the first are emitted.
    let [mut pods, mut runs] =
        [pods, runs].map(|pipe| std::fs::File::options().write(true).open(pipe).unwrap());
    let (shown, later): (Vec<_>, Vec<_>) = watch_events("b-fail").into_iter().partition(is_pod);
    pods.write_all(lines(&shown).as_bytes()).unwrap();
    let mut events = BufReader::new(replay.stdout.take().unwrap()).lines();
    let ended = tokio::time::timeout(PATIENCE, async {
        for _ in 0..6 {
            let event = events.next_line().await.unwrap().unwrap();
            assert!(event.contains("b-fail"));
        }
        runs.write_all(lines(&later).as_bytes()).unwrap();
        drop((pods, runs));
        assert_eq!(events.next_line().await.unwrap(), None);
        replay.wait().await.unwrap()
    });
    assert!(ended.await.expect("no events and end in time").success());
}

#[test]
fn objects_and_lists_give_the_same_ends_as_watch_events() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.json");
    let watched = watch_events("b-fail");
    let ends = |output: &Output| {
        let events = events(output).into_iter();
        let ends = events.filter(|event| !event["type"].as_str().unwrap().contains("started"));
        let ids: Vec<_> = ends.map(|event| event["id"].clone()).collect();
        assert_eq!(ids.len(), 4, "{ids:?}");
        ids
    };
    let expected = ends(&replay(&[&path("recordings/b-fail.jsonl")]).run().unwrap());
    let objects: Vec<&Value> = watched.iter().map(|event| &event["object"]).collect();
    let last = |kind: &str| {
        let found = watched
            .iter()
            .rfind(|event| event["object"]["kind"] == kind && event["type"] != "DELETED");
        found.unwrap()["object"].clone()
    };
    let (mut pod, run) = (last("Pod"), last("TaskRun"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod, run]});
    pod.as_object_mut().unwrap().remove("kind");
    let raw = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod]});
    let bare: String = objects
        .iter()
        .map(|object| format!("{object:#}\n"))
        .collect();
    for form in [
        format!("{list:#}"),
        format!("{raw}"),
        bare,
        format!("{list}\n{}", lines(&watched)),
    ] {
        std::fs::write(&file, &form).unwrap();
        assert_eq!(
            ends(&replay(&[&file]).run().unwrap()),
            expected,
            "{form:.100}"
        );
    }
}

#[test]
fn an_unreadable_line_is_named_with_its_file_and_number() {
    let folder = tempfile::tempdir().unwrap();
    let good = path("recordings/a-success.jsonl");
    let bad = folder.path().join("taskruns.json");
    let event = watch_events("a-success").swap_remove(0);
    let pretty = format!("{event:#}\n");
    let next = pretty.lines().count() + 1;
    for (content, line, problem) in [
        (
            format!("{pretty}{{\n  \"type\": oops\n"),
            next + 1,
            "event 2: expected value",
        ),
        (
            format!("{pretty}\n\n{{\"type\": \"ADDED\"}}"),
            next + 2,
            "event 2: missing field `object`",
        ),
        (
            format!("{pretty}{}", &pretty[..pretty.len() / 2]),
            2 * next - 1,
            "event 2: EOF",
        ),
        (
            "apiVersion: v1\nitems: []\nkind: List\n".to_owned(),
            1,
            "it is YAML: use `-o json`",
        ),
        (
            "NAME   READY   STATUS\na-pod  1/1  Running\n".to_owned(),
            1,
            "a table of kubectl: use `-o json`",
        ),
    ] {
        std::fs::write(&bad, &content).unwrap();
        for files in [[&*good, &*bad], [&*bad, &*good]] {
            let output = replay(&files).run().unwrap();
            assert!(!output.status.success());
            let said = said(&output);
            let place = format!("{}, line ", bad.display());
            assert!(said.contains(&place) && said.contains(problem), "{said}");
            // The error names the last line, or the line of the cut.
            let found = said
                .split(&place)
                .nth(1)
                .unwrap()
                .split(':')
                .next()
                .unwrap();
            let found: usize = found.parse().unwrap();
            let is_cut = problem.ends_with("EOF");
            assert!(
                found == line || is_cut && (next..=line).contains(&found),
                "{said}: {line}"
            );
        }
    }
}

#[test]
fn an_empty_stream_beside_others_is_a_warning_and_nothing_at_all_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = path("recordings/a-success.jsonl");
    let [empty, other] = ["empty.json", "other.json"].map(|name| folder.path().join(name));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(
        &other,
        r#"{"kind": "PipelineRun", "metadata": {"name": "a"}}"#,
    )
    .unwrap();
    let output = replay(&[&empty, &good, &other]).run().unwrap();
    assert_eq!(events(&output).len(), 6);
    for file in [&empty, &other] {
        let name = file.display().to_string();
        let warned = said(&output);
        let line = warned.lines().find(|line| line.contains(&name));
        assert!(
            line.is_some_and(|line| line.contains("no Pod and no TaskRun")),
            "{warned}"
        );
    }
    let output = replay(&[&empty, &other]).run().unwrap();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("other.json holds no watch event of a Pod or TaskRun"),
        "{said}"
    );
    assert!(said.contains("step-observer record --out"), "{said}");
}

#[test]
fn standard_input_is_read_once_and_a_folder_without_recordings_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (files, problem) in [
        (
            [Path::new("-"), Path::new("-")],
            "standard input (-) is named twice",
        ),
        (
            [folder.path(), folder.path()],
            "holds no recording (*.jsonl)",
        ),
    ] {
        let output = replay(&files).stdin(Stdio::piped()).run().unwrap();
        assert!(!output.status.success());
        assert!(said(&output).contains(problem), "{}", said(&output));
    }
}
