//! The program of the container image: static, as a user that the image does not know, on a read-only root file
//! system. `cargo xtask image --check` runs this suite.
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use step_observer_tests::admin::get;
use step_observer_tests::path;
use step_observer_tests::secrets::assert_clean;
use step_observer_tests::sink::{HttpSink, PATIENCE};
use step_observer_tests::tls::Authority;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// A user as OpenShift chooses it, one for each namespace: it is not in the image's `/etc/passwd`, its group is root, and
/// volumes are of a further group. What works as this user works as the image's own, too.
const USER: u32 = 1_000_660_000;

/// Shell script that starts the program as a container runtime would: with private mounts, a
/// read-only root, and another user. Uses `exec`, so that the process keeps its id. `$1` is the
/// root of the image, `$2` a folder for /tmp.
const ENTER: &str = r#"
    mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
    mount -t proc proc "$1/proc" && mount --bind "$2" "$1/tmp" &&
    root=$1 && shift 2 &&
    exec chroot --userspec=1000660000:0 --groups=1000660000 "$root" /usr/local/bin/step-observer "$@""#;

/// The image, and the folder that is mounted as /tmp.
struct Image {
    root: PathBuf,
    tmp: TempDir,
}

impl Image {
    fn new() -> Self {
        let root = std::env::var_os("STEP_OBSERVER_IMAGE_ROOT");
        let root = PathBuf::from(root.expect("the root of the image, mounted"));
        // Creates the files and folders that a container runtime would create.
        std::fs::create_dir_all(root.join("proc")).unwrap();
        std::fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        let tmp = tempfile::tempdir().unwrap();
        // A volume belongs to root and to the group of the pod.
        chown(tmp.path(), Some(0), Some(USER)).unwrap();
        set_mode(tmp.path(), 0o2770);
        Self { root, tmp }
    }

    /// Writes a file to /tmp.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.tmp.path().join(name);
        std::fs::write(&file, content).unwrap();
        chown(&file, Some(0), Some(USER)).unwrap();
        set_mode(&file, 0o640);
    }

    /// Writes a recording and its logs to /tmp.
    fn put_recording(&self, name: &str) {
        for ending in ["jsonl", "logs.json"] {
            let file = format!("{name}.{ending}");
            let content = std::fs::read(path(&format!("recordings/{file}"))).unwrap();
            self.put(&file, content);
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", ENTER, "sh"])
            .arg(&self.root)
            .arg(self.tmp.path())
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> Output {
        let ended = tokio::time::timeout(PATIENCE, self.command(args).output());
        ended.await.expect("it ends").unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
#[ignore = "it needs an image: cargo xtask image --check"]
async fn it_starts_alone_and_says_how_it_ended() {
    let image = Image::new();
    let version = image.run(&["--version"]).await;
    assert_eq!(version.status.code(), Some(0), "{version:?}");
    let wanted = concat!("step-observer ", env!("CARGO_PKG_VERSION"), "\n");
    let told = text(&version.stdout);
    assert!(
        told.starts_with(wanted) && !told.contains("missing"),
        "{told}"
    );
    let unknown = image.run(&["observe"]).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let nothing = image.run(&["replay", "/tmp/nothing.jsonl"]).await;
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    // Only mounted folders are writable.
    image.put_recording("leaky");
    let journal = ["replay", "/tmp/leaky.jsonl", "--journal", "/etc/journal"];
    let refused = image.run(&journal).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let problem = text(&refused.stderr);
    assert!(problem.contains("Read-only file system"), "{problem}");
}

#[test]
#[ignore = "it needs an image: cargo xtask image --check"]
fn it_has_the_licences_of_its_dependencies() {
    let root = PathBuf::from(std::env::var_os("STEP_OBSERVER_IMAGE_ROOT").unwrap());
    let folder = root.join("usr/share/doc/step-observer");
    let own = std::fs::read_to_string(folder.join("LICENSE")).unwrap();
    assert!(own.contains("Apache License"));
    let notices = std::fs::read_to_string(folder.join("third-party.txt")).unwrap();
    assert_licences(&notices);
}

/// Checks that the crates of the program and its plugins are named, with the text of each licence.
fn assert_licences(notices: &str) {
    for of in [
        "wasmtime",
        "tokio",
        "ring",
        "kube",
        "async-nats",
        "rskafka",
        "wit-bindgen",
    ] {
        let named = notices.lines().any(|line| {
            let version = line
                .strip_prefix(of)
                .and_then(|rest| rest.strip_prefix(' '));
            version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        });
        assert!(named, "{of}");
    }
    for text in [
        "LLVM Exceptions to the Apache 2.0 License",
        "Permission is hereby granted, free of charge",
        "UNICODE LICENSE V3",
        "GNU LESSER GENERAL PUBLIC LICENSE",
        // Licences of the C code in ring.
        "BoringSSL",
    ] {
        assert!(notices.contains(text), "{text}");
    }
    // No trace of the build machine, and no crate that only tests need.
    for wrong in [
        "/registry/src",
        "step-observer-tests",
        "proptest",
        "\nserde_derive ",
    ] {
        assert!(!notices.contains(wrong), "{wrong}");
    }
}

#[tokio::test]
#[ignore = "it needs an image: cargo xtask image --check"]
async fn it_compiles_its_bundled_plugins() {
    let image = Image::new();
    image.put_recording("leaky");
    let redact = ["--plugin", "bundled:redact-secrets"];
    let replay = ["replay", "/tmp/leaky.jsonl", "--journal", "/tmp/journal"];
    let output = image.run(&[&replay[..], &redact].concat()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert_clean("the events", &output.stdout);
    let expected = step_observer_tests::recording::json("recordings/leaky.expected.json");
    let events = text(&output.stdout);
    assert_eq!(events.lines().count(), expected.as_array().unwrap().len());
    assert!(
        events.contains("[redacted:github-personal-access-token]"),
        "{events}"
    );
}

#[tokio::test]
#[ignore = "it needs an image: cargo xtask image --check"]
async fn it_knows_authorities_and_names_and_trusts_no_other() {
    let image = Image::new();
    image.put_recording("a-success");
    let authority = Authority::default();
    let sink = HttpSink::start_tls(Vec::new(), authority.server_until(4096)).await;
    let replay = ["replay", "/tmp/a-success.jsonl", "--give-up", "1"];
    let output = image
        .run(&[&replay[..], &["--to", &sink.url]].concat())
        .await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let problem = text(&output.stderr);
    assert!(problem.contains("UnknownIssuer"), "{problem}");
    assert_eq!(sink.requests().len(), 0);

    image.put("authority.pem", authority.pem());
    image.put(
        "config.yaml",
        format!(
            "sinks: [{{name: all, to: {{http: {{url: '{}', tls: {{caFile: /tmp/authority.pem}}}}}}}}]\n",
            sink.url
        ),
    );
    let config = ["--config", "/tmp/config.yaml"];
    let output = image.run(&[&replay[..], &config].concat()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!sink.accepted().is_empty());
}

#[tokio::test]
#[ignore = "it needs an image: cargo xtask image --check"]
async fn it_answers_without_a_cluster_until_it_is_stopped() {
    let image = Image::new();
    // A port without a listener.
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    image.put("kubeconfig", kubeconfig.to_string());
    let args = [
        "run",
        "--log",
        "error,step_observer::admin=info",
        "--admin",
        "127.0.0.1:0",
        "--to",
        "stdout",
        "--journal",
        "/tmp/journal",
        "--plugin",
        "bundled:redact-secrets",
    ];
    let mut observer = image
        .command(&args)
        .env("KUBECONFIG", "/tmp/kubeconfig")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(observer.stderr.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, log.next_line()).await;
    let line = line.expect("it starts").unwrap().unwrap();
    let address = line.split("address=").nth(1).expect(&line).trim();
    let (status, metrics) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("step_observer_"), "{metrics}");
    let (status, missing) = get(address, "/readyz").await;
    // The plugins are loaded, so they are not mentioned.
    let lists = "not ready: the first lists are not complete\n";
    assert_eq!((status, missing.as_str()), (503, lists));
    let id = observer.id().unwrap().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().await;
    assert!(told.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, observer.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(0));
}
