//! An observer that loads plugins of its configuration from a registry.

use super::lying::{answer, contents};
use super::{MANIFEST, good, module, pinned};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use step_observer::oci::Digest;
use step_observer_tests::admin::{admin_address, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::plugins::stamp;
use step_observer_tests::registry::{PASSWORD, RegistryServer, ScriptedRegistry, docker_config};
use step_observer_tests::sink::HttpSink;
use step_observer_tests::{available, path};

/// Each run gives `started` and `succeeded`.
pub(super) const EVENTS: usize = 2;

/// Returns the manifest of a plugin that writes its configuration into an attribute, and the plugin.
pub(super) fn stamping(attribute: &str) -> (String, Vec<u8>) {
    let module = stamp(attribute).into_bytes();
    let layer = json!({"mediaType": "application/wasm", "digest": Digest::of(&module), "size": module.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]});
    (manifest.to_string(), module)
}

/// Starts a registry with this plugin. Without its permission it answers that it is unavailable.
pub(super) async fn registry(
    (manifest, layer): (String, Vec<u8>),
    permission: &Arc<AtomicBool>,
) -> ScriptedRegistry {
    let permission = permission.clone();
    ScriptedRegistry::start(move |asked| match permission.load(Ordering::Relaxed) {
        true => contents(asked, manifest.clone(), layer.clone()),
        false => answer(503, &[], ""),
    })
    .await
}

/// Returns a configuration with a registry and plugins.
fn config(address: &str, plugins: &[(&str, &str)]) -> String {
    let plugins = plugins.iter().map(|(name, version)| {
        format!("- {{name: {name}, from: {{oci: '{address}/stamp{version}'}}, config: {name}}}\n")
    });
    let plugins: String = plugins.collect();
    format!(
        "shutdownGrace: 5s\n{UNLIMITED_LOOK_BACK}registries: [{{host: '{address}', plainHttp: true}}]\nplugins:\n{plugins}"
    )
}

/// Starts an observer with a journal.
pub(super) async fn observer(
    server: &ApiServer,
    sink: &HttpSink,
    config: &str,
    journal: &Path,
) -> (Observer, String) {
    let config = config.replacen("shutdownGrace: 5s\n", "", 1);
    let args = [
        "--to",
        &sink.url,
        "--journal",
        journal.to_str().unwrap(),
        "--admin",
        "127.0.0.1:0",
    ];
    let mut observer = Observer::with_config(server, &config, &args);
    let address = admin_address(&mut observer).await;
    (observer, address)
}

/// Waits until a plugin has a state. Returns the plugins.
pub(super) async fn plugins_when(address: &str, state: &str) -> Value {
    let reached = |_: u16, body: &str| {
        let plugins: Value = serde_json::from_str(body).unwrap_or_default();
        plugins["plugins"][0]["state"] == state
    };
    let (_, body) = get_until(address, "/plugins", reached).await;
    serde_json::from_str(&body).unwrap()
}

/// Waits until the observer has a new pipeline. Before that, its admin server may close a connection without a response.
async fn new_pipeline(observing: &mut Observer) {
    observing.wait_for_log("the new one takes over").await;
    observing.wait_for_log("listed").await;
    observing.keep_log();
}

/// Plays a run, and returns the value of an attribute of its first event.
pub(super) async fn stamped(
    server: &ApiServer,
    sink: &HttpSink,
    number: usize,
    attribute: &str,
) -> String {
    finished_run(number)
        .iter()
        .for_each(|event| server.play(event));
    sink.wait_for(number * EVENTS).await;
    let key = format!("run-uid-{number}");
    let requests = sink.requests();
    let mut of_run = requests
        .iter()
        .filter(|request| request.header("ce-partitionkey") == key);
    of_run.next().unwrap().header(attribute).to_owned()
}

#[tokio::test]
async fn a_plugin_is_pulled_once_and_kept_for_the_next_start() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let permission = Arc::new(AtomicBool::new(true));
    let (manifest, layer) = stamping("team");
    let digest = Digest::of(manifest.as_bytes());
    let registry = registry((manifest, layer.clone()), &permission).await;
    let journal = tempfile::tempdir().unwrap();
    let version = format!(":1.0@{digest}");
    let config = config(&registry.address, &[("one", &version), ("two", &version)]);

    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    let plugins = plugins_when(&address, "loaded").await;
    let loaded = &plugins["plugins"][0]["loaded"];
    assert_eq!(loaded["sha256"], Digest::of(&layer).hex());
    assert_eq!(
        loaded["artifact"],
        format!("{}/stamp{version}", registry.address)
    );
    assert_eq!(stamped(&server, &sink, 1, "ce-team").await, "two");
    assert_eq!(registry.asked().len(), 2, "{:?}", registry.asked());
    observing.stop().await;

    // The registry is down, and nobody asks it.
    permission.store(false, Ordering::Relaxed);
    let (observing, address) = observer(&server, &sink, &config, journal.path()).await;
    plugins_when(&address, "loaded").await;
    observing.stop().await;
    assert_eq!(registry.asked().len(), 2);

    let file = journal
        .path()
        .join("plugins")
        .join(format!("{}.artifact", digest.hex()));
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    permission.store(true, Ordering::Relaxed);
    let config = config.replacen("shutdownGrace: 5s\n", "", 1);
    let args = [
        "--to",
        &sink.url,
        "--journal",
        journal.path().to_str().unwrap(),
    ];
    let mut observing = Observer::with_config(&server, &config, &args);
    observing
        .wait_for_line(&["a cached plugin is damaged", "its layer has another digest"])
        .await;
    observing.wait_for_log("listed").await;
    observing.stop().await;
    assert_eq!(registry.asked().len(), 4);
    assert_ne!(std::fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn an_observer_starts_without_its_registry_and_takes_the_plugin_when_it_comes() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let permission = Arc::new(AtomicBool::new(false));
    let registry = registry(stamping("team"), &permission).await;
    let journal = tempfile::tempdir().unwrap();
    let config = config(&registry.address, &[("one", ":1.0")]);
    let (mut observing, address) = observer(&server, &sink, &config, journal.path()).await;
    let plugins = plugins_when(&address, "standIn").await;
    let reason = plugins["plugins"][0]["refused"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("it cannot be pulled") && reason.contains("503"),
        "{reason}"
    );
    // It may be one that redacts.
    assert_eq!(stamped(&server, &sink, 1, "ce-pluginerror").await, "one");
    permission.store(true, Ordering::Relaxed);
    observing
        .wait_for_log("write the name with its digest")
        .await;
    new_pipeline(&mut observing).await;
    plugins_when(&address, "loaded").await;
    assert_eq!(stamped(&server, &sink, 2, "ce-team").await, "one");
    let (code, log) = observing.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_change_to_a_plugin_that_cannot_be_pulled_changes_nothing_until_it_can() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let permission = Arc::new(AtomicBool::new(true));
    let (first, second) = (stamping("team"), stamping("squad"));
    let [one, two] =
        [&first, &second].map(|(manifest, _)| format!("@{}", Digest::of(manifest.as_bytes())));
    let (good, may) = (one.clone(), permission.clone());
    // The second version has other bytes than its digest says, until it may be had.
    let registry = ScriptedRegistry::start(move |asked| {
        let is_first =
            asked.path.contains(&good[1..]) || asked.path.contains(&Digest::of(&first.1).hex());
        let (manifest, layer) = match is_first {
            true => first.clone(),
            false => second.clone(),
        };
        match is_first || may.load(Ordering::Relaxed) {
            true => contents(asked, manifest, layer),
            false => contents(asked, manifest, "tampered"),
        }
    })
    .await;
    permission.store(false, Ordering::Relaxed);
    let journal = tempfile::tempdir().unwrap();
    let before = config(&registry.address, &[("one", &one)]);
    let (mut observing, address) = observer(&server, &sink, &before, journal.path()).await;
    assert_eq!(stamped(&server, &sink, 1, "ce-team").await, "one");
    let after = format!(
        "{}journal: {{}}\n",
        config(&registry.address, &[("one", &two)])
    );
    observing.replace_config(&after);
    let line = observing
        .wait_for_log("the changed configuration is refused")
        .await;
    assert!(line.contains("plugin `one`: it cannot be pulled"), "{line}");
    assert!(line.contains("the layer has 8 bytes and not"), "{line}");
    assert_eq!(stamped(&server, &sink, 2, "ce-team").await, "one");
    permission.store(true, Ordering::Relaxed);
    new_pipeline(&mut observing).await;
    let plugins = plugins_when(&address, "loaded").await;
    let artifact = plugins["plugins"][0]["loaded"]["artifact"].as_str();
    assert!(artifact.unwrap().ends_with(&two), "{plugins}");
    assert_eq!(stamped(&server, &sink, 3, "ce-squad").await, "one");
    observing.stop().await;
}

#[tokio::test]
async fn a_real_registry_gets_the_password_of_the_configuration() {
    let registry = available!(RegistryServer::with_password().await);
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, address) = (folder.path(), &*registry.address);
    std::fs::write(folder.join("keep.wasm"), module()).unwrap();
    let credentials = docker_config(folder, address, PASSWORD);
    let credentials = credentials.to_str().unwrap();
    let name = format!("oci://{address}/keep:1.0");
    let pushed = good(
        folder,
        &["push", "keep.wasm", &name, "--docker-config", credentials],
    )
    .await;
    let config = format!(
        "{UNLIMITED_LOOK_BACK}registries: [{{host: '{address}', plainHttp: true, credentialsFile: {credentials}}}]\n\
         plugins: [{{name: keep, from: {{oci: '{}'}}}}]\n",
        pinned(&pushed)
    );
    let journal = tempfile::tempdir().unwrap();
    let (mut observing, admin) = observer(&server, &sink, &config, journal.path()).await;
    observing.keep_log();
    plugins_when(&admin, "loaded").await;
    assert_eq!(stamped(&server, &sink, 1, "ce-pluginerror").await, "");
    let (_, log) = observing.stop().await;
    assert!(!log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn a_signature_comes_with_the_plugin_and_is_required_if_the_configuration_says_so() {
    let registry = available!(RegistryServer::start().await);
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let (folder, address) = (folder.path(), &*registry.address);
    let signed = |name: &str| path(&format!("corpus/signed/{name}"));
    let key = std::fs::read_to_string(signed("author.pub")).unwrap();
    let key = key.lines().nth(1).unwrap();
    let start = |artifact: String| {
        let config = format!(
            "{UNLIMITED_LOOK_BACK}registries: [{{host: '{address}', plainHttp: true}}]\n\
             trust: {{requireSignature: true, publicKeys: ['{key}']}}\n\
             plugins: [{{name: keep, from: {{oci: '{artifact}'}}}}]\n"
        );
        let args = ["--to", &sink.url, "--admin", "127.0.0.1:0"];
        Observer::with_config(&server, &config, &args)
    };
    std::fs::copy(signed("keep.wat"), folder.join("keep.wat")).unwrap();
    let unsigned = format!("oci://{address}/unsigned:1.0");
    let unsigned = pinned(&good(folder, &["push", "keep.wat", &unsigned]).await);
    let log = start(unsigned).ended().await;
    assert!(log.contains("plugin `keep`: it is not signed"), "{log}");

    std::fs::copy(signed("keep.wat.minisig"), folder.join("keep.wat.minisig")).unwrap();
    let name = format!("oci://{address}/signed:1.0");
    let name = pinned(&good(folder, &["push", "keep.wat", &name]).await);
    let mut observing = start(name.clone());
    let admin = admin_address(&mut observing).await;
    plugins_when(&admin, "loaded").await;
    observing.stop().await;

    // The signature of another file.
    let other = std::fs::read_to_string(signed("keep.wat")).unwrap();
    std::fs::write(folder.join("keep.wat"), format!("{other} ")).unwrap();
    let forged = format!("oci://{address}/forged:1.0");
    let forged = pinned(&good(folder, &["push", "keep.wat", &forged]).await);
    let log = start(forged).ended().await;
    assert!(
        log.contains("plugin `keep`: its signature does not hold"),
        "{log}"
    );
}
