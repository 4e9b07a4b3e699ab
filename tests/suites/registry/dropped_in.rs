//! ConfigMaps and folders of plugins that name an artifact in a registry.

use super::loaded::{observer, plugins_when, registry, stamped, stamping};
use super::lying::{answer, contents};
use super::{good, pinned};
use axum::body::{Body, Bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use step_observer::oci::Digest;
use step_observer_tests::admin::get_until;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::api_server::authorise::take_apart;
use step_observer_tests::events::plugin_config_map;
use step_observer_tests::observer::UNLIMITED_LOOK_BACK;
use step_observer_tests::plugins::stamp;
use step_observer_tests::registry::{PASSWORD, RegistryServer, ScriptedRegistry, docker_config};
use step_observer_tests::sink::HttpSink;
use step_observer_tests::{available, path};

/// Returns a configuration that permits plugins from scopes, all of which speak HTTP, and more settings of `dropIn`.
fn config(scopes: &[&str], more: &str) -> String {
    let hosts = scopes.iter().map(|scope| {
        let host = scope.split('/').next().unwrap();
        format!("- {{host: '{host}', plainHttp: true}}\n")
    });
    let hosts: String = hosts.collect();
    format!(
        "{UNLIMITED_LOOK_BACK}registries:\n{hosts}dropIn:\n  namespace: observers\n  registries: {}\n{more}",
        json!(scopes)
    )
}

/// Creates or changes the ConfigMap of a plugin that writes its name into an attribute.
fn put(server: &ApiServer, name: &str, artifact: &str) {
    let artifact = artifact.trim_start_matches("oci://");
    let settings = format!("from: {{oci: '{artifact}'}}\nconfig: {name}\n");
    server.put(plugin_config_map(
        name,
        &[("plugin.yaml", settings.as_bytes())],
    ));
}

/// Pushes a plugin that writes its configuration into an attribute. Returns its name with the digest.
async fn push(folder: &Path, address: &str, attribute: &str, more: &[&str]) -> String {
    std::fs::write(folder.join("stamp.wat"), stamp(attribute)).unwrap();
    let name = format!("oci://{address}/team/{attribute}:1.0");
    pinned(&good(folder, &[&["push", "stamp.wat", &name], more].concat()).await)
}

/// Waits until the Event on a ConfigMap says this.
async fn rejected(server: &ApiServer, expected: &str) {
    let note = server.wait_for_note("PluginRejected").await;
    let text = note["note"].as_str().unwrap();
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn a_config_map_names_an_artifact_and_one_with_other_bytes_changes_nothing() {
    let real = available!(RegistryServer::start().await);
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let (manifest, _) = stamping("squad");
    let digest = Digest::of(manifest.as_bytes());
    let lying =
        ScriptedRegistry::start(move |asked| contents(asked, manifest.clone(), "tampered")).await;
    let config = config(&[&format!("{}/team", real.address), &lying.address], "");
    let journal = tempfile::tempdir().unwrap();
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    assert_eq!(stamped(&server, &sink, 1, "ce-team").await, "");

    let artifact = push(folder.path(), &real.address, "team", &[]).await;
    put(&server, "shop", &artifact);
    server.wait_for_note("PluginLoaded").await;
    assert_eq!(stamped(&server, &sink, 2, "ce-team").await, "shop");
    let plugins = plugins_when(&address, "loaded").await;
    let loaded = &plugins["plugins"][0]["loaded"];
    assert_eq!(
        format!("oci://{}", loaded["artifact"].as_str().unwrap()),
        artifact
    );

    put(
        &server,
        "shop",
        &format!("{}/squad@{digest}", lying.address),
    );
    rejected(
        &server,
        "it cannot be pulled: the layer has 8 bytes and not",
    )
    .await;
    let plugins = plugins_when(&address, "lastGood").await;
    let reason = plugins["plugins"][0]["refused"]["reason"].as_str().unwrap();
    assert!(reason.ends_with("; it is tried again"), "{reason}");
    assert_eq!(stamped(&server, &sink, 3, "ce-team").await, "shop");
    let (code, log) = observing.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn what_was_fetched_needs_no_registry_at_the_next_start() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let permission = Arc::new(AtomicBool::new(true));
    let (manifest, layer) = stamping("team");
    let digest = Digest::of(manifest.as_bytes());
    let registry = registry((manifest, layer), &permission).await;
    let config = config(&[&registry.address], "");
    let journal = tempfile::tempdir().unwrap();
    put(
        &server,
        "shop",
        &format!("{}/stamp@{digest}", registry.address),
    );
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    plugins_when(&address, "loaded").await;
    observing.stop().await;
    assert_eq!(registry.asked().len(), 2);
    permission.store(false, Ordering::Relaxed);
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    plugins_when(&address, "loaded").await;
    assert_eq!(stamped(&server, &sink, 1, "ce-team").await, "shop");
    observing.stop().await;
    assert_eq!(registry.asked().len(), 2);
    let kept = journal.path().join("dropped-in-plugins");
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 1);
}

#[tokio::test]
async fn a_registry_that_is_down_at_the_start_is_tried_again() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let permission = Arc::new(AtomicBool::new(false));
    let (manifest, layer) = stamping("team");
    let digest = Digest::of(manifest.as_bytes());
    let registry = registry((manifest, layer), &permission).await;
    put(
        &server,
        "shop",
        &format!("{}/stamp@{digest}", registry.address),
    );
    let journal = tempfile::tempdir().unwrap();
    let config = config(&[&registry.address], "");
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    // It may be one that redacts.
    assert_eq!(stamped(&server, &sink, 1, "ce-pluginerror").await, "shop");
    let plugins = plugins_when(&address, "standIn").await;
    let reason = plugins["plugins"][0]["refused"]["reason"].as_str().unwrap();
    assert!(reason.contains("503 Service Unavailable"), "{reason}");
    permission.store(true, Ordering::Relaxed);
    plugins_when(&address, "loaded").await;
    assert_eq!(stamped(&server, &sink, 2, "ce-team").await, "shop");
    observing.stop().await;
}

#[tokio::test]
async fn a_registry_that_never_ends_delays_neither_events_nor_other_plugins() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let (manifest, layer) = stamping("team");
    let digest = Digest::of(manifest.as_bytes());
    let slow = ScriptedRegistry::start(|_| {
        let nothing = futures::stream::pending::<Result<Bytes, std::convert::Infallible>>();
        answer(200, &[], Body::from_stream(nothing))
    })
    .await;
    let permission = Arc::new(AtomicBool::new(true));
    let quick = registry((manifest, layer), &permission).await;
    let config = config(&[&slow.address, &quick.address], "");
    let journal = tempfile::tempdir().unwrap();
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    assert_eq!(stamped(&server, &sink, 1, "ce-team").await, "");
    put(
        &server,
        "a-slow-one",
        &format!("{}/stamp@{digest}", slow.address),
    );
    let plugins = plugins_when(&address, "fetching").await;
    assert_eq!(plugins["plugins"][0]["name"], "a-slow-one");
    put(
        &server,
        "shop",
        &format!("{}/stamp@{digest}", quick.address),
    );
    server.wait_for_note("PluginLoaded").await;
    assert_eq!(stamped(&server, &sink, 2, "ce-team").await, "shop");
    plugins_when(&address, "fetching").await;
    let (code, log) = observing.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn registries_that_are_not_listed_and_local_addresses_are_not_asked() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let (manifest, layer) = stamping("team");
    let digest = Digest::of(manifest.as_bytes());
    let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    let permission = Arc::new(AtomicBool::new(true));
    let local = registry((manifest.clone(), layer), &permission).await;
    let unlisted = registry(stamping("team"), &permission).await;
    // The names lead to the registry, too.
    let place = [
        format!("http://localhost:{}/blob", port(&local.address)),
        format!("http://127.0.0.2:{}/blob", port(&local.address)),
        format!("http://[::ffff:127.0.0.1]:{}/blob", port(&local.address)),
    ];
    let leading =
        ScriptedRegistry::start(move |asked| match asked.path.split('/').nth(2).unwrap() {
            _ if asked.path.contains("/manifests/") => answer(200, &[], manifest.clone()),
            number => answer(
                307,
                &[("location", &place[number.parse::<usize>().unwrap()])],
                "",
            ),
        })
        .await;
    let by_name = format!("localhost:{}", port(&local.address));
    let config = config(&[&by_name, &leading.address], "");
    let journal = tempfile::tempdir().unwrap();
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    let leads = |number: usize| format!("{}/{number}/a", leading.address);
    for (artifact, expected) in [
        (
            format!("{}/stamp", unlisted.address),
            "the operator lists registries in dropIn.registries",
        ),
        (format!("{by_name}/stamp"), "localhost has the address "),
        (leads(0), "localhost has the address "),
        (
            leads(1),
            "127.0.0.2 has the address 127.0.0.2, which is local to this machine",
        ),
        (leads(2), "which is local to this machine"),
    ] {
        put(&server, "shop", &format!("{artifact}@{digest}"));
        let refused = |_: u16, body: &str| {
            let plugins: Value = serde_json::from_str(body).unwrap_or_default();
            let reason = plugins["plugins"][0]["refused"]["reason"].as_str();
            reason.is_some_and(|reason| reason.contains(expected))
        };
        get_until(&address, "/plugins", refused).await;
    }
    assert!(unlisted.asked().is_empty() && local.asked().is_empty());
    assert_eq!(stamped(&server, &sink, 1, "ce-team").await, "");
    observing.stop().await;
}

/// Returns a Secret with a password for a registry.
fn pull_secret(folder: &Path, name: &str, registry: &str, password: &str) -> Value {
    let content = std::fs::read(docker_config(folder, registry, password)).unwrap();
    json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"namespace": "observers", "name": name, "uid": format!("uid-of-{name}")},
        "data": {".dockerconfigjson": STANDARD.encode(content)}})
}

/// Returns the names of the Secrets that were requested, each once.
fn secrets_read(server: &ApiServer) -> Vec<String> {
    let requests = server.requests().into_iter();
    let names = requests.filter_map(|request| {
        let (verb, rest) = request.split_once(" secrets ")?;
        assert_eq!(verb, "get", "{request}");
        Some(rest.split(' ').next()?.to_owned())
    });
    let names: BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

#[tokio::test]
async fn only_listed_secrets_are_read_and_only_if_a_registry_asks() {
    let real = available!(RegistryServer::with_password().await);
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, registry) = (folder.path(), &*real.address);
    let credentials = docker_config(folder, registry, PASSWORD);
    let credentials = credentials.to_str().unwrap();
    let artifact = push(folder, registry, "team", &["--docker-config", credentials]).await;
    put(&server, "shop", &artifact);
    server.put(pull_secret(folder, "unlisted", registry, PASSWORD));
    // The operator's own password is for the plugins of the configuration.
    let own_folder = tempfile::tempdir().unwrap();
    let credentials = docker_config(own_folder.path(), registry, PASSWORD);
    let credentials = credentials.to_str().unwrap();
    let own = format!("plainHttp: true, credentialsFile: {credentials}");
    let config = |more: &str| config(&[registry], more).replacen("plainHttp: true", &own, 1);
    let journal = tempfile::tempdir().unwrap();
    let (observing, address) = observer(&server, &sink, &config(""), journal.path()).await;
    let plugins = plugins_when(&address, "standIn").await;
    let reason = plugins["plugins"][0]["refused"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("answered 401 Unauthorized (UNAUTHORIZED): give it credentials"),
        "{reason}"
    );
    observing.stop().await;
    assert_eq!(secrets_read(&server), [""; 0]);

    let listed = config("  pullSecrets: [missing, other, pull]\n");
    let (observing, address) = observer(&server, &sink, &listed, journal.path()).await;
    let plugins = plugins_when(&address, "standIn").await;
    let reason = plugins["plugins"][0]["refused"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("Secret observers/missing: it does not exist"),
        "{reason}"
    );
    server.put(pull_secret(
        folder,
        "other",
        "other.example",
        "wrong-password-7",
    ));
    server.put(pull_secret(folder, "pull", registry, PASSWORD));
    plugins_when(&address, "loaded").await;
    assert_eq!(secrets_read(&server), ["missing", "other", "pull"]);
    let (_, log) = observing.stop().await;
    assert!(
        !log.contains(PASSWORD) && !log.contains("wrong-password"),
        "{log}"
    );
}

#[tokio::test]
async fn the_rights_of_the_component_are_enough_for_its_secret_and_for_no_other() {
    let real = available!(RegistryServer::with_password().await);
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let rights = ["base", "components/pull-secrets"].map(|part| {
        let text = std::fs::read_to_string(path(&format!("../deploy/{part}/rbac.yaml"))).unwrap();
        take_apart(&serde_saphyr::from_multiple::<Value>(&text).unwrap())
    });
    server.authorise(&rights.concat(), "step-observer/step-observer");
    let folder = tempfile::tempdir().unwrap();
    let (folder, registry) = (folder.path(), &*real.address);
    let credentials = docker_config(folder, registry, PASSWORD);
    let credentials = credentials.to_str().unwrap();
    let artifact = push(folder, registry, "team", &["--docker-config", credentials]).await;
    let settings = format!("from: {{oci: '{artifact}'}}\nconfig: shop\n");
    let mut map = plugin_config_map("shop", &[("plugin.yaml", settings.as_bytes())]);
    let mut secret = pull_secret(folder, "plugin-registry", registry, PASSWORD);
    for object in [&mut map, &mut secret] {
        object["metadata"]["namespace"] = "step-observer".into();
    }
    server.put(map);
    let config = config(&[registry], "  pullSecrets: [other, plugin-registry]\n");
    let config = config.replace("namespace: observers", "namespace: step-observer");
    let journal = tempfile::tempdir().unwrap();
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    let plugins = plugins_when(&address, "standIn").await;
    let reason = plugins["plugins"][0]["refused"]["reason"].as_str().unwrap();
    let expected =
        "Secret step-observer/other: the observer must not read it: grant get on this Secret";
    assert!(reason.contains(expected), "{reason}");
    server.put(secret);
    plugins_when(&address, "loaded").await;
    observing.stop().await;
}

#[tokio::test]
async fn a_folder_names_an_artifact_and_signatures_are_required_of_it() {
    let real = available!(RegistryServer::start().await);
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, registry) = (folder.path(), &*real.address);
    let signed = |name: &str| path(&format!("corpus/signed/{name}"));
    std::fs::copy(signed("keep.wat"), folder.join("keep.wat")).unwrap();
    let unsigned = format!("oci://{registry}/unsigned:1.0");
    let unsigned = pinned(&good(folder, &["push", "keep.wat", &unsigned]).await);
    std::fs::copy(signed("keep.wat.minisig"), folder.join("keep.wat.minisig")).unwrap();
    let name = format!("oci://{registry}/signed:1.0");
    let name = pinned(&good(folder, &["push", "keep.wat", &name]).await);
    let key = std::fs::read_to_string(signed("author.pub")).unwrap();
    let trust = format!(
        "trust: {{requireSignature: true, publicKeys: ['{}']}}\n",
        key.lines().nth(1).unwrap()
    );
    let plugins = folder.join("plugins");
    std::fs::create_dir_all(plugins.join("keep")).unwrap();
    let write = |artifact: &str| {
        let settings = format!("from: {{oci: '{artifact}'}}\n");
        std::fs::write(plugins.join("keep/plugin.yaml"), settings).unwrap();
    };
    write(&unsigned);
    let folders = format!("  folders: ['{}']\n{trust}", plugins.display());
    let config = config(&[registry], &folders);
    let journal = tempfile::tempdir().unwrap();
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    let found = plugins_when(&address, "standIn").await;
    let reason = found["plugins"][0]["refused"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("it is not signed"), "{reason}");
    write(&name);
    plugins_when(&address, "loaded").await;
    observing.stop().await;
}
