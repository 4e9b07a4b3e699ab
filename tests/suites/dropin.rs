//! Plugins that are dropped in at run time: through a real watch of ConfigMaps, and from folders.
use serde_json::Value;
use std::io::Write as _;
use step_observer_tests::admin::{get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::{finished_run, plugin_config_map};
use step_observer_tests::guest;
use step_observer_tests::observer::Observer;
use step_observer_tests::plugins::stamp;
use step_observer_tests::sink::{HttpSink, Request};

/// Starts an observer that takes plugins from the namespace `observers`.
async fn observer(server: &ApiServer, sink: &HttpSink) -> (Observer, String) {
    let args = ["--plugin-namespace", "observers", "--admin", "127.0.0.1:0"];
    let mut observer = Observer::start(server, sink, &args);
    let line = observer.wait_for_log("admin server listening").await;
    let address = line.split("address=").nth(1).unwrap().trim().to_owned();
    (observer, address)
}

/// Each run gives `started` and `succeeded`.
const EVENTS: usize = 2;

fn play(server: &ApiServer, number: usize) {
    for event in finished_run(number) {
        server.play(&event);
    }
}

/// Returns the events of a run, whose `ce-partitionkey` is run-uid-N.
fn of_run(sink: &HttpSink, number: usize) -> Vec<Request> {
    let key = format!("run-uid-{number}");
    let all = sink.requests().into_iter();
    all.filter(|request| request.header("ce-partitionkey") == key)
        .collect()
}

async fn plugins(address: &str) -> Value {
    let (status, body) = get(address, "/plugins").await;
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

/// Waits until the observer has no plugin.
async fn wait_for_no_plugins(address: &str) {
    let none = |_: u16, body: &str| {
        let plugins: Value = serde_json::from_str(body).unwrap_or_default();
        plugins["plugins"] == Value::Array(Vec::new())
    };
    get_until(address, "/plugins", none).await;
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn a_config_map_changes_the_next_event_and_a_bad_one_changes_nothing() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let (observer, address) = observer(&server, &sink).await;
    server.wait_for_watches(3).await;
    play(&server, 1);
    sink.wait_for(EVENTS).await;
    assert_eq!(of_run(&sink, 1)[0].header("ce-team"), "");

    // `kubectl create configmap shop --from-file=plugin.wasm.gz --from-file=plugin.yaml`, and the label.
    let module = gzip(&std::fs::read(guest("enrich-run")).unwrap());
    let settings = b"config: {labels: {team: team}}\n";
    let map = plugin_config_map(
        "shop",
        &[("plugin.wasm.gz", &module), ("plugin.yaml", settings)],
    );
    server.put(map.clone());
    let note = server.wait_for_note("PluginLoaded").await;
    assert_eq!(note["regarding"]["name"], "shop");
    assert_eq!(note["regarding"]["uid"], "uid-of-shop");
    assert_eq!(note["type"], "Normal");
    let text = note["note"].as_str().unwrap();
    assert!(text.starts_with("enrich-run 0.1.0 (sha256:"), "{text}");
    play(&server, 2);
    sink.wait_for(2 * EVENTS).await;
    assert_eq!(of_run(&sink, 2)[0].header("ce-team"), "shop");

    // A mistake in the settings is reported to the author, and the previous version stays in use.
    let mistake = plugin_config_map(
        "shop",
        &[("plugin.wasm.gz", &module), ("plugin.yaml", b"ordre: 3\n")],
    );
    server.put(mistake);
    let note = server.wait_for_note("PluginRejected").await;
    let text = note["note"].as_str().unwrap();
    assert_eq!(note["type"], "Warning");
    assert!(
        text.contains("plugin.yaml:1:1: ordre: unknown field"),
        "{text}"
    );
    assert!(text.ends_with("; enrich-run 0.1.0 stays"), "{text}");
    play(&server, 3);
    sink.wait_for(3 * EVENTS).await;
    assert_eq!(of_run(&sink, 3)[0].header("ce-team"), "shop");
    let told = plugins(&address).await;
    let shop = &told["plugins"][0];
    assert_eq!(shop["name"], "shop");
    assert_eq!(shop["origin"]["configMap"]["namespace"], "observers");
    assert_eq!(shop["state"], "lastGood");
    assert!(
        shop["refused"]["reason"]
            .as_str()
            .unwrap()
            .contains("ordre")
    );
    assert_eq!(shop["counts"]["kept"], 2 * EVENTS);
    assert_eq!(shop["loaded"]["version"], "0.1.0");
    let (_, metrics) = get(&address, "/metrics").await;
    for line in [
        r#"step_observer_plugin_events_total{plugin="shop",verdict="kept"} 4"#,
        r#"step_observer_plugin_state{plugin="shop",state="lastGood"} 1"#,
        r#"step_observer_plugin_duration_seconds_count{plugin="shop"} 4"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }

    // Removing the label removes the plugin.
    let mut unlabelled = map;
    unlabelled["metadata"]["labels"] = Value::Null;
    server.put(unlabelled);
    wait_for_no_plugins(&address).await;
    // The plugin's series are removed as well: names of removed plugins do not accumulate.
    let (_, metrics) = get(&address, "/metrics").await;
    assert!(!metrics.contains("shop"), "{metrics}");
    play(&server, 4);
    sink.wait_for(4 * EVENTS).await;
    assert_eq!(of_run(&sink, 4)[0].header("ce-team"), "");
    observer.stop().await;
}

#[tokio::test]
async fn no_event_passes_before_the_plugins_are_known() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.deny("configmaps", true);
    let stamp = stamp("stamp");
    server.put(plugin_config_map(
        "stamp",
        &[
            ("plugin.wat", stamp.as_bytes()),
            ("plugin.yaml", b"config: here\n"),
        ],
    ));
    play(&server, 1);
    let (mut observer, address) = observer(&server, &sink).await;
    let line = observer
        .wait_for_log("plugins in ConfigMaps cannot be read")
        .await;
    assert!(
        line.contains("grant get, list and watch on configmaps"),
        "{line}"
    );
    // Pods and TaskRuns are listed meanwhile.
    server.wait_for_watches(2).await;
    assert_eq!(get(&address, "/readyz").await.0, 503);
    assert_eq!(sink.requests().len(), 0);
    server.deny("configmaps", false);
    sink.wait_for(EVENTS).await;
    assert_eq!(of_run(&sink, 1)[0].header("ce-stamp"), "here");
    assert_eq!(get(&address, "/readyz").await.0, 200);
    observer.stop().await;
}

#[tokio::test]
async fn a_plugin_that_is_broken_at_the_start_lets_no_text_through() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.put(plugin_config_map("redact", &[("plugin.wat", b"(module)")]));
    let (observer, address) = observer(&server, &sink).await;
    play(&server, 1);
    sink.wait_for(EVENTS).await;
    let event = &of_run(&sink, 1)[0];
    assert_eq!(event.header("ce-pluginerror"), "redact");
    let data: Value = serde_json::from_slice(&event.body).unwrap();
    assert_eq!(data.get("step").and_then(|step| step.get("args")), None);
    assert_eq!(plugins(&address).await["plugins"][0]["state"], "standIn");

    // The broken plugin has no effect any more once it is removed.
    server.delete(plugin_config_map("redact", &[]));
    wait_for_no_plugins(&address).await;
    play(&server, 2);
    sink.wait_for(2 * EVENTS).await;
    assert_eq!(of_run(&sink, 2)[0].header("ce-pluginerror"), "");
    observer.stop().await;
}

#[tokio::test]
async fn a_held_event_goes_on_as_soon_as_its_plugin_is_mended() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let broken: &[(&str, &[u8])] = &[
        ("plugin.wat", b"(module)"),
        ("plugin.yaml", b"{onError: block, config: mended}\n"),
    ];
    server.put(plugin_config_map("gate", broken));
    let (mut observer, _) = observer(&server, &sink).await;
    play(&server, 1);
    let line = observer
        .wait_for_log("the event is held and tried again")
        .await;
    assert!(line.contains("it is not loaded"), "{line}");
    let stamp = stamp("stamp");
    let mended: &[(&str, &[u8])] = &[("plugin.wat", stamp.as_bytes()), broken[1]];
    server.put(plugin_config_map("gate", mended));
    sink.wait_for(EVENTS).await;
    assert_eq!(of_run(&sink, 1)[0].header("ce-stamp"), "mended");
    observer.stop().await;
}
