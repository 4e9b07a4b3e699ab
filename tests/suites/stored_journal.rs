//! A journal and a history that version 0.1.0 wrote, opened by the program of today.
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Stdio;
use step_observer_tests::admin::get;
use step_observer_tests::available;
use step_observer_tests::deployed::kubeconfig;
use step_observer_tests::journaled::dead_letters;
use step_observer_tests::path;
use step_observer_tests::peer::Missing;
use step_observer_tests::program::{Program, send_signal, wait_for_line};
use step_observer_tests::sink::{HttpSink, PATIENCE, Request};
use step_observer_tests::tls::Authority;
use tokio::process::Command;

fn stored(file: &str) -> Vec<Value> {
    let file = path(&format!("corpus/journal-0.1.0/{file}"));
    parse_lines(&std::fs::read_to_string(file).unwrap())
}

fn parse_lines(text: &str) -> Vec<Value> {
    // Every start adds a line feed to the history, even after a complete line. So lines can be
    // empty.
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Replays the recording from which the journal was made.
async fn replay(sink: &HttpSink, folder: &Path) {
    let output = Program::new()
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .args(["--to", &sink.url, "--journal"])
        .arg(folder)
        .output()
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
}

/// Returns a request as the corpus stores it: headers of the event, and body.
fn as_stored(request: &Request) -> Value {
    let headers = request.headers.iter();
    let headers = headers.filter(|(name, _)| {
        let name = name.as_str();
        name.starts_with("ce-") || name == "content-type"
    });
    let headers: Map<String, Value> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let body = std::str::from_utf8(&request.body).unwrap();
    serde_json::json!({ "headers": headers, "body": body })
}

#[tokio::test]
async fn a_journal_of_version_0_1_0_is_opened_and_its_events_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let from = path("corpus/journal-0.1.0/journal");
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let (_, list) = dead_letters(&["list", "--json"], folder).await;
    assert_eq!(parse_lines(&list), stored("dead-letters.jsonl"));

    // The waiting events of the journal are delivered. Events that were accepted before are not
    // emitted again.
    let sink = HttpSink::start(Vec::new()).await;
    replay(&sink, folder).await;
    let (_, again) = dead_letters(&["replay", "--all"], folder).await;
    assert!(again.starts_with("2 dead letters"), "{again}");
    replay(&sink, folder).await;
    let delivered: Vec<Value> = sink.requests().iter().map(as_stored).collect();
    assert_eq!(delivered, stored("delivered.jsonl"));
}

/// The user of the image, and one that OpenShift would choose.
const OF_IMAGE: u32 = 65532;
const OF_OPENSHIFT: u32 = 1_000_660_000;
/// Group of the volume (`fsGroup`).
const OF_VOLUME: u32 = 65532;

/// Starts the program as another user, in the group of the volume and in the group root, as OpenShift does. The shell
/// opens the program while it is root, so that the folders above it may be closed to other users.
const AS_USER: &str = r#"
    program=$1 && user=$2 && group=$3 && shift 3 &&
    exec setpriv --reuid "$user" --regid 0 --groups "$group" --inh-caps=-all \
        --bounding-set=-all --no-new-privs -- /proc/self/fd/9 "$@" 9<"$program""#;

/// Checks that this process may become other users.
fn other_users() -> Result<(), Missing> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    match is_root {
        true => Ok(()),
        false => Err(Missing::new(
            "only root may become another user",
            "run this test as root",
        )),
    }
}

fn program_as(user: u32, args: &[&OsStr]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", AS_USER, "sh"])
        .arg(Program::path())
        .args([user, OF_VOLUME].map(|number| number.to_string()))
        .args(args)
        .kill_on_drop(true);
    command
}

/// Replays the recording from which the journal was made, as another user. `volume` has the recording and the journal.
async fn replay_as(user: u32, sink: &HttpSink, volume: &Path) {
    let (recording, journal) = (volume.join("a-success.jsonl"), volume.join("journal"));
    let [replay, to, journal_option] = ["replay", "--to", "--journal"].map(OsStr::new);
    let args = [
        replay,
        recording.as_os_str(),
        to,
        OsStr::new(&sink.url),
        journal_option,
        journal.as_os_str(),
    ];
    let output = program_as(user, &args).output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{user}: {log}");
}

/// Starts an observer without a cluster as another user, until its plugins are known, and ends it.
async fn run_as(user: u32, volume: &Path) {
    let journal = volume.join("journal");
    let options =
        "run --to stdout --admin 127.0.0.1:0 --log error,step_observer::admin=info --journal";
    let mut args: Vec<&OsStr> = options.split(' ').map(OsStr::new).collect();
    args.push(journal.as_os_str());
    let kubeconfig = kubeconfig(volume, "https://127.0.0.1:1", &Authority::default());
    std::fs::set_permissions(&kubeconfig, Permissions::from_mode(0o644)).unwrap();
    let mut observer = program_as(user, &args)
        .env("KUBECONFIG", kubeconfig)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let line = wait_for_line(&mut observer, "address=").await;
    let address = line.split("address=").nth(1).unwrap().trim();
    let (status, missing) = get(address, "/readyz").await;
    assert_eq!(
        (status, missing.as_str()),
        (503, "not ready: the first lists are not complete\n")
    );
    send_signal("TERM", observer.id().unwrap());
    let ended = tokio::time::timeout(PATIENCE, observer.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_journal_of_version_0_1_0_is_continued_by_another_user_of_its_group() {
    available!(other_users());
    // The modes that 0.1.0 left, then those that a kubelet sets when it gives a volume to a group.
    for mode in [0o644, 0o664] {
        let volume = tempfile::tempdir().unwrap();
        let volume = volume.path();
        let journal = volume.join("journal");
        std::fs::create_dir(&journal).unwrap();
        let from = std::fs::read_dir(path("corpus/journal-0.1.0/journal")).unwrap();
        for entry in from.map(Result::unwrap) {
            std::fs::copy(entry.path(), journal.join(entry.file_name())).unwrap();
        }
        for name in ["lock", "plugin-calls"] {
            std::fs::write(journal.join(name), "").unwrap();
        }
        if mode == 0o644 {
            // A process was killed while it copied.
            std::fs::write(journal.join("000000000000.journal.copy"), "part").unwrap();
        }
        let names = || -> BTreeSet<_> {
            let files = std::fs::read_dir(&journal).unwrap();
            files.map(|entry| entry.unwrap().path()).collect()
        };
        for file in names() {
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            chown(&file, Some(OF_IMAGE), Some(OF_VOLUME)).unwrap();
        }
        let recording = "a-success.jsonl";
        let copied = volume.join(recording);
        std::fs::copy(path(&format!("recordings/{recording}")), &copied).unwrap();
        for (open, group, mode) in [
            (volume, 0, 0o755),
            (&copied, 0, 0o644),
            (&journal, OF_VOLUME, 0o2775),
        ] {
            chown(open, Some(0), Some(group)).unwrap();
            std::fs::set_permissions(open, Permissions::from_mode(mode)).unwrap();
        }
        let before = names();

        // The waiting events are delivered, once, and each user continues after the other.
        let sink = HttpSink::start(Vec::new()).await;
        replay_as(OF_OPENSHIFT, &sink, volume).await;
        let delivered: Vec<Value> = sink.requests().iter().map(as_stored).collect();
        assert!(delivered.len() > 2, "{mode:o}: {delivered:#?}");
        assert_eq!(
            stored("delivered.jsonl")[..delivered.len()],
            delivered,
            "{mode:o}"
        );
        replay_as(OF_IMAGE, &sink, volume).await;
        replay_as(OF_OPENSHIFT + 1, &sink, volume).await;
        assert_eq!(sink.requests().len(), delivered.len(), "{mode:o}");
        if mode == 0o644 {
            run_as(OF_OPENSHIFT, volume).await;
            let calls = std::fs::metadata(journal.join("plugin-calls")).unwrap();
            assert_eq!((calls.uid(), calls.gid()), (OF_OPENSHIFT, OF_VOLUME));
            assert_ne!(calls.len(), 0);
        }
        let is_left = |file: &std::path::PathBuf| file.to_string_lossy().ends_with(".copy");
        assert!(!names().iter().any(is_left), "{mode:o}");
        for file in before
            .iter()
            .filter(|file| file.ends_with("000000000000.journal"))
        {
            let metadata = std::fs::metadata(file).unwrap();
            assert_eq!(metadata.gid(), OF_VOLUME, "{mode:o}");
            assert_eq!(metadata.mode() & 0o777, 0o660, "{mode:o}");
        }
    }
}

#[tokio::test]
async fn a_history_of_version_0_1_0_is_read() {
    let history = stored("journal/history.jsonl");
    let ids: BTreeSet<&str> = history
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 6, "{ids:?}");
    for id in ids {
        let output = Program::new()
            .args(["explain", id, "--json", "--journal"])
            .arg(path("corpus/journal-0.1.0/journal"))
            .output()
            .await
            .unwrap();
        let explained = parse_lines(&String::from_utf8(output.stdout).unwrap());
        let of_event = history.iter().filter(|entry| entry["id"] == id);
        assert_eq!(explained, of_event.cloned().collect::<Vec<_>>());
    }
}
