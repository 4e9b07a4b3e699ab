//! Events and plugins for the suites.

use serde_json::{Value, json};
use step_observer::bounded::Bounded;
use step_observer::event::{self, EventConfig, EventIdentity};
use step_observer::plugin::{
    CallFailure, Chain, ChainError, Limits, Outcome, PluginEngine, PluginSource, PluginSpec,
};
use step_observer::step::Envelope;
use step_observer_core::Kind;
use step_observer_tests::recording::{changes, track};

/// The pod and TaskRun of the example event in the original's README.
pub(crate) fn example_watch() -> Vec<Value> {
    let namespace = "test-event-assertion-success-fail-skip-skip-in-memory-chan7f5q7";
    let image = "busybox@sha256:895ab622e92e18d6b461d671081757af7dbaa3b00e3e28e12505af7817f73649";
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "e2e-test-step-observed-run", "namespace": namespace, "uid": "run-uid",
                     "labels": {"team": "shop"}},
        "spec": {"taskSpec": {"steps": [{
            "name": "", "image": image, "command": ["/bin/sh"], "args": ["-c", "echo hello1"], "computeResources": {},
        }]}},
        "status": {"podName": "e2e-test-step-observed-run-pod-wrpkl"},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "e2e-test-step-observed-run-pod-wrpkl", "namespace": namespace,
            "uid": "50df8d70-8c11-4cd4-8fdf-3aa4cb287408",
            "labels": {"tekton.dev/taskRun": "e2e-test-step-observed-run", "team": "shop"},
            "annotations": {"tekton.dev/ready": "READY"},
            "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "controller": true,
                                 "name": "e2e-test-step-observed-run", "uid": "run-uid"}],
        },
        "spec": {"containers": [{"name": "step-unnamed-0", "image": image,
                                 "args": ["-wait_file", "/tekton/downward/ready", "--", "-c", "echo hello1"]}]},
        "status": {"phase": "Succeeded", "containerStatuses": [{
            "name": "step-unnamed-0",
            "imageID": format!("docker.io/library/{image}"),
            "state": {"terminated": {
                "exitCode": 0, "reason": "Completed",
                "startedAt": "2020-08-12T12:07:54Z", "finishedAt": "2020-08-12T12:07:54Z",
                "containerID": "containerd://3548dcaf6287d647cbd775d9de6488e2024cbb8f436f71f78a1e4e8bab0eece5",
                "message": r#"[{"key":"StartedAt","value":"2020-08-12T12:07:54.217Z","type":3}]"#,
            }},
        }]},
    });
    [run, pod]
        .into_iter()
        .map(|object| json!({"at": "2020-08-12T12:07:55Z", "type": "ADDED", "object": object}))
        .collect()
}

/// The example event, with the log `hello1`.
pub(crate) fn envelope() -> Envelope {
    let records = track(changes(&example_watch()));
    let record = records
        .iter()
        .find(|record| matches!(record.transition.kind, Kind::Succeeded(_)))
        .unwrap();
    let log = step_observer::step::CapturedLog {
        text: "hello1\n".to_owned(),
        bytes: 7,
        ..Default::default()
    };
    event::build(
        record,
        &EventIdentity::new(record, &EventConfig::default()),
        Some(log),
        &EventConfig::default(),
    )
    .unwrap()
}

/// Loads a chain with an engine of its own.
pub(crate) fn load(specs: &[PluginSpec]) -> Result<Chain, ChainError> {
    Chain::load(&PluginEngine::new().unwrap(), specs)
}

/// Why a plugin is not loaded.
pub(crate) fn refusal(spec: &PluginSpec) -> String {
    match load(std::slice::from_ref(spec)) {
        Ok(_) => panic!("{} was loaded", spec.name),
        Err(error) => error.to_string(),
    }
}

/// A core module by hand: no bindings, no metadata. `$keep` is where an answer `keep` stands,
/// `$text` makes an answer `drop` of a text.
pub(crate) fn wat(items: &str, process: &str) -> String {
    format!(
        r#"(module
  (import "step-observer:plugin/events@0.1.0" "[method]event.set-attribute"
    (func $set_attribute (param i32 i32 i32 i32 i32 i32 i32)))
  (import "step-observer:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[resource-drop]event" (func $release (param i32)))
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 65536))
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 16) "hostile")
  (data (i32.const 32) "0.0.1")
  (data (i32.const 48) "aaaaa")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $place i32)
    (local.set $place (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $place) (local.get 3)))
    (local.get $place))
  (func (export "step-observer:plugin/transform@0.1.0#configure") (param i32 i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (i32.const 16)) (i32.store (i32.const 1032) (i32.const 7))
    (i32.store (i32.const 1036) (i32.const 32)) (i32.store (i32.const 1040) (i32.const 5))
    (i32.store (i32.const 1044) (i32.const 0)) (i32.store (i32.const 1048) (i32.const 0))
    (i32.const 1024))
  (func $keep (result i32)
    (i32.store8 (i32.const 2048) (i32.const 0)) (i32.store8 (i32.const 2052) (i32.const 0))
    (i32.const 2048))
  (func $text (param $at i32) (param $length i32) (result i32)
    (i32.store8 (i32.const 2048) (i32.const 0)) (i32.store8 (i32.const 2052) (i32.const 1))
    (i32.store (i32.const 2056) (local.get $at)) (i32.store (i32.const 2060) (local.get $length))
    (i32.const 2048))
  {items}
  (func (export "step-observer:plugin/transform@0.1.0#process") (param $event i32) (result i32)
    {process}))"#
    )
}

/// Gives the event back, as every call must.
pub(crate) const RELEASE: &str = "(call $release (local.get $event))";

/// A plugin with tight limits.
pub(crate) fn spec(name: &str, wat: &str) -> PluginSpec {
    let mut spec = PluginSpec::new(name, PluginSource::bytes(wat.as_bytes()));
    spec.settings.limits = Limits {
        time_ms: Bounded::new(500),
        memory_bytes: Bounded::new(8 * 1024 * 1024),
        configure_ms: Bounded::new(2000),
        ..Limits::default()
    };
    spec
}

/// A plugin that writes its configuration, a JSON string, into an extension. 700 bytes.
pub(crate) fn stamp(attribute: &str) -> String {
    let length = attribute.len();
    let process = format!(
        "(call $set_attribute (local.get $event) (i32.const 64) (i32.const {length})
           (i32.const 1) (i32.add (global.get $at) (i32.const 1)) (i32.sub (global.get $length) (i32.const 2))
           (i32.const 3072))
         {RELEASE} (call $keep)"
    );
    let items = format!(
        "(global $at (mut i32) (i32.const 0)) (global $length (mut i32) (i32.const 0))
         (data (i32.const 64) \"{attribute}\")"
    );
    wat(&items, &process).replace(
        "transform@0.1.0#configure\") (param i32 i32) (result i32)",
        "transform@0.1.0#configure\") (param $a i32) (param $l i32) (result i32)
           (global.set $at (local.get $a)) (global.set $length (local.get $l))",
    )
}

/// A run of one step that has ended well: its TaskRun and its pod, as watch events.
pub(crate) fn finished_run(number: usize) -> Vec<Value> {
    let text = serde_json::to_string(&example_watch()).unwrap();
    let text = text
        .replace("e2e-test-step-observed-run", &format!("run-{number}"))
        .replace("\"run-uid\"", &format!("\"run-uid-{number}\""))
        .replace("50df8d70-8c11-4cd4", &format!("{number:08x}-8c11-4cd4"));
    serde_json::from_str(&text).unwrap()
}

/// A ConfigMap that is a plugin.
pub(crate) fn plugin_map(name: &str, files: &[(&str, &[u8])]) -> Value {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (mut texts, mut binaries) = (serde_json::Map::new(), serde_json::Map::new());
    for (file, content) in files {
        match std::str::from_utf8(content) {
            Ok(text) => drop(texts.insert((*file).to_owned(), text.into())),
            Err(_) => drop(binaries.insert((*file).to_owned(), encode(content).into())),
        }
    }
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "observers", "name": name, "uid": format!("uid-of-{name}"),
                     "labels": {"step-observer.dev/plugin": "true"}},
        "data": texts, "binaryData": binaries,
    })
}

/// Asks with GET, and gives status and body.
pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The first line of a program's log that has a text.
pub(crate) async fn line_of(program: &mut tokio::process::Child, text: &str) -> String {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(text) {
                return Some(line);
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        None
    };
    let found = tokio::time::timeout(step_observer_tests::sink::PATIENCE, found).await;
    found
        .ok()
        .flatten()
        .unwrap_or_else(|| panic!("no line with {text}:\n{seen}"))
}

/// A file of JSON.
pub(crate) fn read(file: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// What a chain makes of an event, as `out.json` of a case says it.
pub(crate) fn process(chain: &Chain, event: &Value) -> Value {
    let envelope = event::from_json(event.clone()).unwrap();
    match chain.process(envelope) {
        Outcome::Deliver(envelope, report) => match report.failures().next() {
            Some((_, CallFailure::Reported(reason), _)) => json!({"error": reason}),
            Some((_, failure, _)) => panic!("{failure}"),
            None => serde_json::from_slice(&event::structured(&envelope.event).unwrap()).unwrap(),
        },
        Outcome::Dropped(report) => json!({"dropped": report.dropped().unwrap().1}),
        Outcome::Blocked { failure, .. } => json!({"error": failure.to_string()}),
    }
}

/// Runs all cases below a folder with a plugin.
pub(crate) fn check_cases(engine: &PluginEngine, spec: &PluginSpec, folder: &std::path::Path) {
    let mut count = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let mut spec = spec.clone();
        let config = case.join("config.json");
        if config.exists() {
            spec.settings.config = read(&config);
        }
        let chain = Chain::load(engine, &[spec]).unwrap();
        let told = process(&chain, &read(&case.join("in.json")));
        // `UPDATE_CASES=1` writes what is; read the difference before you commit it.
        let ours = folder.starts_with(step_observer_tests::path("../plugins"));
        if ours && std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(case.join("out.json"), format!("{told:#}\n")).unwrap();
        }
        let expected = read(&case.join("out.json"));
        assert_eq!(told, expected, "{}\n{told:#}", case.display());
        count += 1;
    }
    assert!(count > 0, "{}", folder.display());
}
