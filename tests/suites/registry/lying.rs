//! Registries that lie, or send what is no plugin.

use super::{MANIFEST, module, run};
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::process::Output;
use step_observer::oci::Digest;
use step_observer_tests::registry::{Asked, PASSWORD, ScriptedRegistry, docker_config};

/// The manifest and the layer of a good artifact.
fn artifact() -> (String, Vec<u8>) {
    let module = module();
    let layer = json!({"mediaType": "application/wasm", "digest": Digest::of(&module), "size": module.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]});
    (manifest.to_string(), module)
}

pub(super) fn answer(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response<Body> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body.into()).unwrap()
}

/// Answers with a manifest, and with a layer.
pub(super) fn contents(
    asked: &Asked,
    manifest: impl Into<Body>,
    layer: impl Into<Body>,
) -> Response<Body> {
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
    let name = format!("oci://{}/keep{version}", server.address);
    run(folder.path(), &[&["pull", &*name], more].concat()).await
}

/// Pulls with a password for this registry.
async fn pull_with_password(server: &ScriptedRegistry, version: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let config = docker_config(folder.path(), &server.address, PASSWORD);
    let config = ["--docker-config", config.to_str().unwrap()];
    pull_from(server, version, &[&config, more].concat()).await
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
    let place = format!("http://{}/blob?signature=1", store.address);
    let server = ScriptedRegistry::start(move |asked| match asked.headers.get("authorization") {
        None => answer(401, &[("www-authenticate", "Basic realm=x")], ""),
        Some(_) if asked.path.contains("/manifests/") => answer(200, &[], manifest.clone()),
        Some(_) => answer(307, &[("location", &*place)], ""),
    })
    .await;
    let pulled = pull_with_password(&server, ":1", &[]).await;
    assert!(pulled.status.success(), "{pulled:?}");
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
    let own = pull_with_password(&server, "/own/keep:1", &[]).await;
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
    let other = pull_with_password(&server, "/other:1", &[]).await;
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(
        said.contains("the registry sends the credentials to another host (localhost)"),
        "{said}"
    );
    // Listed, but the address has no TLS.
    let listed = ["--token-host", "localhost"];
    let listed = pull_with_password(&server, "/other:1", &listed).await;
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
