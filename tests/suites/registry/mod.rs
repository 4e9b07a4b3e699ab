//! Plugins in registries: the commands with a real registry and clients of others, and observers that load from one.

mod dropped_in;
mod loaded;
mod lying;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::Output;
use step_observer::oci::Digest;
use step_observer_tests::program::Program;
use step_observer_tests::registry::{PASSWORD, RegistryServer, docker_config, oras, skopeo};
use step_observer_tests::{available, guest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

async fn run(folder: &Path, args: &[&str]) -> Output {
    Program::new()
        .arg("plugin")
        .args(args)
        .arg("--plain-http")
        .current_dir(folder)
        // Else that of whoever runs the tests.
        .env("HOME", folder)
        .env_remove("DOCKER_CONFIG")
        .output()
        .await
        .unwrap()
}

/// Runs a command, which must succeed, and returns its standard output.
async fn good(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args).await;
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command, which must fail, and returns its standard error.
async fn bad(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args).await;
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Returns the name with the digest, which is the first line of an output.
fn pinned(output: &str) -> String {
    let line = output.lines().next().unwrap();
    assert!(line.contains("@sha256:"), "{output}");
    format!("oci://{line}")
}

fn module() -> Vec<u8> {
    std::fs::read(guest("passthrough")).unwrap()
}

#[tokio::test]
async fn what_is_pushed_has_one_digest_and_is_pulled_and_described() {
    let server = available!(RegistryServer::start().await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, name) = (
        folder.path(),
        format!("oci://{}/plugins/keep:1.0", server.address),
    );
    std::fs::write(folder.join("keep.wasm"), module()).unwrap();
    let first = pinned(&good(folder, &["push", "keep.wasm", &name]).await);
    // The registry has all contents now.
    assert_eq!(
        pinned(&good(folder, &["push", "keep.wasm", &name]).await),
        first
    );
    let said = good(folder, &["pull", &first, "--out", "pulled.wasm", "--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(std::fs::read(folder.join("pulled.wasm")).unwrap(), module());
    let digest = first.rsplit('@').next().unwrap();
    assert_eq!(said["digest"], digest);
    assert_eq!(said["moduleSha256"], Digest::of(&module()).hex());
    let refused = bad(folder, &["pull", &first, "--out", "pulled.wasm"]).await;
    assert!(
        refused.contains("pulled.wasm exists: remove it"),
        "{refused}"
    );
    let described: Value =
        serde_json::from_str(&good(folder, &["inspect", &name, "--json"]).await).unwrap();
    assert_eq!(described["loaded"]["name"], "passthrough");
    assert_eq!(
        format!("oci://{}", described["reference"].as_str().unwrap()),
        first
    );
    let unknown = bad(folder, &["inspect", &name.replace("1.0", "2.0")]).await;
    assert!(
        unknown.contains("answered 404 Not Found (MANIFEST_UNKNOWN): look for typing errors"),
        "{unknown}"
    );
}

#[tokio::test]
async fn only_plugins_are_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("a.wasm"), "(component)").unwrap();
    std::fs::write(folder.join("b.wasm"), "no module").unwrap();
    let name = "oci://127.0.0.1:1/a:1";
    let none = bad(folder, &["push", "a.wasm", name]).await;
    assert!(none.contains("it is WebAssembly, but no plugin"), "{none}");
    bad(folder, &["push", "b.wasm", name]).await;
    std::fs::write(folder.join("a.wasm"), module()).unwrap();
    let unreachable = bad(folder, &["push", "a.wasm", name]).await;
    assert!(
        unreachable.contains("upload to 127.0.0.1:1/a:1: ") && unreachable.contains("refused"),
        "{unreachable}"
    );
}

#[tokio::test]
async fn oras_and_skopeo_read_what_is_pushed_and_write_what_is_pulled() {
    let server = available!(RegistryServer::start().await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, address) = (folder.path(), &*server.address);
    std::fs::write(folder.join("keep.wasm"), module()).unwrap();
    let name = format!("oci://{address}/keep:1.0");
    let pushed = pinned(&good(folder, &["push", "keep.wasm", &name]).await);

    let copied = folder.join("copied");
    let (from, to) = (
        format!("docker://{address}/keep:1.0"),
        format!("dir:{}", copied.display()),
    );
    available!(skopeo(&["copy", "--src-tls-verify=false", &from, &to]).await);
    let manifest = std::fs::read(copied.join("manifest.json")).unwrap();
    assert!(pushed.ends_with(&Digest::of(&manifest).to_string()));
    let again = format!("docker://{address}/again:1.0");
    available!(skopeo(&["copy", "--dest-tls-verify=false", &to, &again]).await);
    let again = good(folder, &["pull", &format!("oci://{address}/again:1.0")]).await;
    assert_eq!(pinned(&again).rsplit('@').next(), pushed.rsplit('@').next());
    assert_eq!(std::fs::read(folder.join("again.wasm")).unwrap(), module());

    available!(
        oras(
            folder,
            &format!("client.pull(target='{address}/keep:1.0', outdir='by-oras')")
        )
        .await
    );
    assert_eq!(
        std::fs::read(folder.join("by-oras/keep.wasm")).unwrap(),
        module()
    );
    let push =
        format!("client.push(target='{address}/oras:1.0', files=['keep.wasm:application/wasm'])");
    available!(oras(folder, &push).await);
    good(folder, &["pull", &format!("oci://{address}/oras:1.0")]).await;
    assert_eq!(std::fs::read(folder.join("oras.wasm")).unwrap(), module());
}

#[tokio::test]
async fn a_plain_image_with_one_module_is_a_plugin() {
    let server = available!(RegistryServer::start().await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, address) = (folder.path(), &*server.address);
    let layer = gzip(&archive("filter.wasm", &module()));
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#
            .to_vec();
    let image = folder.join("image");
    std::fs::create_dir(&image).unwrap();
    let descriptor = |media_type: &str, content: &[u8]| {
        let digest = Digest::of(content);
        std::fs::write(image.join(digest.hex()), content).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    };
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)]});
    std::fs::write(image.join("manifest.json"), manifest.to_string()).unwrap();
    std::fs::write(image.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    let (from, to) = (
        format!("dir:{}", image.display()),
        format!("docker://{address}/image:1.0"),
    );
    available!(skopeo(&["copy", "--dest-tls-verify=false", &from, &to]).await);
    good(folder, &["pull", &format!("oci://{address}/image:1.0")]).await;
    assert_eq!(std::fs::read(folder.join("image.wasm")).unwrap(), module());
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Returns an archive (POSIX.1-1988, ustar) with one file.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(124, &format!("{:011o}", content.len()));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = [&header[..], content].concat();
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

#[tokio::test]
async fn a_registry_gets_the_password_of_its_entry_only() {
    let server = available!(RegistryServer::with_password().await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, address) = (folder.path(), &*server.address);
    std::fs::write(folder.join("keep.wasm"), module()).unwrap();
    let name = format!("oci://{address}/keep:1.0");
    let anonymous = bad(folder, &["push", "keep.wasm", &name]).await;
    assert!(
        anonymous.contains("answered 401 Unauthorized (UNAUTHORIZED): give it credentials"),
        "{anonymous}"
    );
    let other = docker_config(folder, "other.example", PASSWORD);
    let other = bad(
        folder,
        &[
            "push",
            "keep.wasm",
            &name,
            "--docker-config",
            other.to_str().unwrap(),
        ],
    )
    .await;
    assert!(other.contains("401 Unauthorized"), "{other}");
    let wrong = docker_config(folder, address, "wrong-password-7");
    let wrong = bad(
        folder,
        &[
            "push",
            "keep.wasm",
            &name,
            "--docker-config",
            wrong.to_str().unwrap(),
        ],
    )
    .await;
    assert!(
        wrong.contains("401 Unauthorized") && !wrong.contains("wrong-password"),
        "{wrong}"
    );
    let right = docker_config(folder, address, PASSWORD);
    // The folder, as in the variable DOCKER_CONFIG.
    let config = right.parent().unwrap().to_str().unwrap();
    let pushed = pinned(
        &good(
            folder,
            &["push", "keep.wasm", &name, "--docker-config", config],
        )
        .await,
    );
    good(
        folder,
        &[
            "pull",
            &pushed,
            "--docker-config",
            config,
            "--out",
            "back.wasm",
        ],
    )
    .await;
    assert_eq!(std::fs::read(folder.join("back.wasm")).unwrap(), module());
    std::fs::write(folder.join("config.json"), "{").unwrap();
    let broken = bad(folder, &["pull", &pushed, "--docker-config", config]).await;
    assert!(
        broken.contains("config.json: it is no config.json of Docker: line 1, column 1"),
        "{broken}"
    );
}
