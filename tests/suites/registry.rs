//! `plugin push`, `plugin pull` and `plugin inspect` with a real registry and clients of others, and with registries that lie.

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::Output;
use step_observer::oci::Digest;
use step_observer_tests::program::Program;
use step_observer_tests::registry::{
    Asked, PASSWORD, RegistryServer, ScriptedRegistry, docker_config, oras, skopeo,
};
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

/// The manifest and the layer of a good artifact.
fn artifact() -> (String, Vec<u8>) {
    let module = module();
    let layer = json!({"mediaType": "application/wasm", "digest": Digest::of(&module), "size": module.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]});
    (manifest.to_string(), module)
}

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body.into()).unwrap()
}

/// Answers with a manifest, and with a layer.
fn contents(asked: &Asked, manifest: impl Into<Body>, layer: impl Into<Body>) -> Response<Body> {
    match asked.path.contains("/manifests/") {
        true => answer(200, &[("content-type", MANIFEST)], manifest),
        false => answer(200, &[], layer),
    }
}

/// A body that does not end.
fn endless() -> Body {
    let chunk = || Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 65536]));
    Body::from_stream(futures::stream::repeat_with(chunk))
}

async fn pull_from(server: &ScriptedRegistry, version: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("oci://127.0.0.1:{}/keep{version}", server.port);
    run(folder.path(), &[&["pull", &*name], more].concat()).await
}

async fn refused(server: &ScriptedRegistry, version: &str) -> String {
    let output = pull_from(server, version, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn another_content_is_refused_by_its_digest() {
    let (manifest, layer) = artifact();
    let digest = Digest::of(manifest.as_bytes());
    let good = (manifest.clone(), layer.clone());
    let server =
        ScriptedRegistry::start(move |asked| contents(asked, good.0.clone(), good.1.clone())).await;
    assert!(
        pull_from(&server, &format!("@{digest}"), &[])
            .await
            .status
            .success()
    );
    let other = Digest::of(b"other");
    let said = refused(&server, &format!(":1@{other}")).await;
    assert!(
        said.contains(&format!(
            "the manifest has the digest {digest} and not {other}"
        )),
        "{said}"
    );
    let mut changed = layer.clone();
    changed[20] ^= 1;
    let server =
        ScriptedRegistry::start(move |asked| contents(asked, manifest.clone(), changed.clone()))
            .await;
    let said = refused(&server, ":1").await;
    assert!(
        said.contains("the layer has the digest") && said.contains("somebody changed it"),
        "{said}"
    );
}

#[tokio::test]
async fn what_does_not_end_is_not_read_to_its_end() {
    let (manifest, layer) = artifact();
    let server = ScriptedRegistry::start(|asked| contents(asked, endless(), "")).await;
    let said = refused(&server, ":1").await;
    assert!(
        said.contains("the manifest has more than 262144 bytes"),
        "{said}"
    );
    let of = manifest.clone();
    let server = ScriptedRegistry::start(move |asked| contents(asked, of.clone(), endless())).await;
    let said = refused(&server, ":1").await;
    let expected = format!(
        "the layer has {} bytes and not {}",
        layer.len() + 1,
        layer.len()
    );
    assert!(said.contains(&expected), "{said}");
    let server =
        ScriptedRegistry::start(move |asked| contents(asked, manifest.clone(), "short")).await;
    assert!(
        refused(&server, ":1")
            .await
            .contains("the layer has 5 bytes and not"),
        "{said}"
    );
    let large = json!({"layers": [{"mediaType": "application/wasm", "digest": Digest::of(b""), "size": 1_u64 << 40}]});
    let server = ScriptedRegistry::start(move |asked| contents(asked, large.to_string(), "")).await;
    assert!(
        refused(&server, ":1")
            .await
            .contains("its layer has 1099511627776 bytes, and a plugin has at most 33554432")
    );
}

#[tokio::test]
async fn a_redirect_gets_no_credentials_and_ends() {
    let (manifest, layer) = artifact();
    let store = ScriptedRegistry::start(move |_| answer(200, &[], layer.clone())).await;
    let place = format!("http://127.0.0.1:{}/blob?signature=1", store.port);
    let server = ScriptedRegistry::start(move |asked| match asked.headers.get("authorization") {
        None => answer(401, &[("www-authenticate", "Basic realm=x")], ""),
        Some(_) if asked.path.contains("/manifests/") => answer(200, &[], manifest.clone()),
        Some(_) => answer(307, &[("location", &*place)], ""),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let config = docker_config(
        folder.path(),
        &format!("127.0.0.1:{}", server.port),
        PASSWORD,
    );
    let config = ["--docker-config", config.to_str().unwrap()];
    assert!(pull_from(&server, ":1", &config).await.status.success());
    let [asked] = store.asked().try_into().unwrap();
    let Asked { path, headers } = asked;
    assert_eq!(path, "/blob?signature=1");
    assert!(!headers.contains_key("authorization"), "{headers:?}");
    let (manifest, _) = artifact();
    let circle = ScriptedRegistry::start(move |asked| match asked.path.contains("/manifests/") {
        true => answer(200, &[], manifest.clone()),
        false => answer(302, &[("location", "again")], ""),
    })
    .await;
    let said = refused(&circle, ":1").await;
    assert!(
        said.contains("the registry leads to more than 4 places"),
        "{said}"
    );
}

#[tokio::test]
async fn a_token_is_asked_for_where_credentials_may_go() {
    let (manifest, layer) = artifact();
    // The realm has the name of another host.
    let server = ScriptedRegistry::start(move |asked| {
        let host = asked.headers["host"].to_str().unwrap().to_owned();
        let realm = match asked.path.contains("/own/") {
            true => format!("Bearer realm=\"http://{host}/token\",service=tests"),
            false => "Bearer realm=\"http://localhost:1/token\"".to_owned(),
        };
        match asked
            .headers
            .get("authorization")
            .map(|value| value.to_str().unwrap())
        {
            Some(basic) if basic.starts_with("Basic ") && asked.path.starts_with("/token?") => {
                answer(200, &[], json!({"token": "the-token"}).to_string())
            }
            Some("Bearer the-token") => contents(asked, manifest.clone(), layer.clone()),
            _ => answer(401, &[("www-authenticate", &*realm)], ""),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let config = docker_config(
        folder.path(),
        &format!("127.0.0.1:{}", server.port),
        PASSWORD,
    );
    let config = ["--docker-config", config.to_str().unwrap()];
    let own = pull_from(&server, "/own/keep:1", &config).await;
    assert!(own.status.success(), "{own:?}");
    let asked = server.asked();
    let token = asked
        .iter()
        .find(|asked| asked.path.starts_with("/token?"))
        .unwrap();
    assert_eq!(
        token.path,
        "/token?scope=repository%3Akeep%2Fown%2Fkeep%3Apull&service=tests"
    );
    let other = pull_from(&server, "/other:1", &config).await;
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(
        said.contains("the registry sends the credentials to another host (localhost)"),
        "{said}"
    );
    // Listed, but the address has no TLS.
    let listed = pull_from(
        &server,
        "/other:1",
        &[&config[..], &["--token-host", "localhost"]].concat(),
    )
    .await;
    let said = String::from_utf8(listed.stderr).unwrap();
    assert!(
        said.contains("an address without TLS (localhost), so they are not sent"),
        "{said}"
    );
}

#[tokio::test]
async fn other_artifacts_are_refused_by_name() {
    let answer_with = |manifest: Value| {
        ScriptedRegistry::start(move |asked| contents(asked, manifest.to_string(), "x"))
    };
    let layer =
        |media_type: &str| json!({"mediaType": media_type, "digest": Digest::of(b"x"), "size": 1});
    for (manifest, expected) in [
        (
            json!({"manifests": [layer("x")]}),
            "it is an index of 1 manifests",
        ),
        (
            json!({"layers": vec![layer("application/wasm"); 1500]}),
            "it has 1500 layers",
        ),
        (
            json!({"layers": [layer("application/vnd.oci.image.layer.v1.tar+zstd")]}),
            "its layer is `application/vnd.oci.image.layer.v1.tar+zstd`",
        ),
        (
            json!({"layers": [layer("application/vnd.oci.image.layer.v1.tar+gzip")]}),
            "its layer is no readable archive",
        ),
        (
            json!({"layers": [layer("application/wasm")]}),
            "WebAssembly",
        ),
    ] {
        let server = answer_with(manifest).await;
        let said = refused(&server, ":1").await;
        assert!(said.contains(expected), "{said} for {expected}");
    }
    let page = ScriptedRegistry::start(|_| answer(StatusCode::OK.as_u16(), &[], "<html>")).await;
    assert!(
        refused(&page, ":1")
            .await
            .contains("the manifest cannot be read")
    );
    let angry =
        json!({"errors": [{"code": "DENIED", "message": "\u{1b}[31mopen-sesame"}]}).to_string();
    let angry = ScriptedRegistry::start(move |_| answer(403, &[], angry.clone())).await;
    let said = refused(&angry, ":1").await;
    assert!(
        said.contains("answered 403 Forbidden (DENIED)") && !said.contains("sesame"),
        "{said}"
    );
}
