//! Attributes are masked after the last plugin, and each event says what was masked in it.

use serde_json::{Value, json};
use std::sync::Arc;
use step_observer::event;
use step_observer::plugin::{OnError, Outcome, PluginSource, PluginSpec, sample_event};
use step_observer::step::StringMap;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::masking::redactor_of;
use step_observer_tests::observer::Observer;
use step_observer_tests::plugins::{RELEASE, importing, load, process, read_json, spec, wat};
use step_observer_tests::sink::HttpSink;
use step_observer_tests::{guest, path};

const VALUE: &str = "hunter2222";
const ANNOTATED: &str = "w1nter-3333";

fn configured(name: &str, file: std::path::PathBuf, config: Value) -> PluginSpec {
    let mut spec = PluginSpec::new(name, PluginSource::File(file));
    spec.settings.config = config;
    spec
}

/// Returns redactors of both versions of the contract, which mask [`VALUE`].
fn redactors() -> [PluginSpec; 2] {
    let old = path("corpus/v0.1/redact-secrets/plugin.wasm.gz");
    [
        configured("redactor", old, json!({"values": [VALUE], "logOnly": true})),
        redactor_of(VALUE),
    ]
}

/// Returns a plugin that adds attributes with a constant and a label.
fn enriches() -> PluginSpec {
    let config = json!({"constants": {"note": format!("see {VALUE}")}, "labels": {"team": "team"}});
    configured("enrich", guest("enrich-run"), config)
}

fn event_with_secrets() -> Value {
    let mut event = sample_event();
    event["subject"] = format!("ci/{VALUE}/build").into();
    event["partitionkey"] = VALUE.into();
    event["data"]["labels"] = json!({"team": VALUE});
    event
}

#[test]
fn attributes_and_subject_are_masked_in_any_order_of_the_plugins() {
    for redactor in redactors() {
        for specs in [[enriches(), redactor.clone()], [redactor, enriches()]] {
            let event = process(&load(&specs).unwrap(), &event_with_secrets());
            assert_eq!(event["note"], "see [redacted:known-value]");
            assert_eq!(event["team"], "[redacted:known-value]");
            assert_eq!(event["subject"], "ci/[redacted:known-value]/build");
            assert_eq!(event["partitionkey"], VALUE);
        }
    }
}

#[test]
fn masks_do_not_apply_to_events_that_a_plugin_does_not_want() {
    for mut redactor in redactors() {
        redactor.settings.select = serde_json::from_value(json!({"phases": ["skipped"]})).unwrap();
        let chain = load(&[redactor, enriches()]).unwrap();
        let event = process(&chain, &event_with_secrets());
        assert_eq!(event["note"], format!("see {VALUE}"));
    }
}

#[test]
fn matches_in_attributes_are_counted_in_the_report_and_in_the_context() {
    for redactor in redactors() {
        let chain = load(&[redactor, enriches()]).unwrap();
        let envelope = event::from_json(event_with_secrets()).unwrap();
        let Outcome::Deliver(envelope, report) = chain.process(envelope) else {
            panic!("not delivered");
        };
        let masked = report.calls[0].masked.total();
        assert!(masked >= 3, "{masked}");
        let counted: Vec<_> = envelope.context.masked.iter().collect();
        let [(redactor, counts)] = counted[..] else {
            panic!("{counted:?}");
        };
        assert!(redactor.is_plugin("redactor") && counts.total() == masked);
    }
}

#[test]
fn after_a_redactor_has_failed_no_plugin_sees_an_annotation() {
    let mut crash = spec("crash", &wat("", &format!("{RELEASE} (unreachable)")));
    crash.settings.on_error = Some(OnError::Strip);
    let copies = json!({"annotations": {"note": "note"}, "constants": {"kept": "constant"}});
    let copies = configured("copies", guest("enrich-run"), copies);
    let mut envelope = event::from_json(sample_event()).unwrap();
    Arc::make_mut(&mut envelope.context).annotations =
        StringMap::from_iter([("note".into(), VALUE.into())]);
    let Outcome::Deliver(envelope, _) = load(&[crash, copies]).unwrap().process(envelope) else {
        panic!("not delivered");
    };
    assert!(envelope.event.extension("note").is_none());
    assert!(envelope.event.extension("kept").is_some());
}

#[test]
fn a_plugin_cannot_write_the_receipt() {
    // Sets /redaction to 9, and crashes if that is refused: plugins of 0.1.0 may use the name.
    let forges = importing(
        "set",
        "(param i32 i32 i32 i32 i32 i32 i32)",
        "(data (i32.const 64) \"/redaction\") (data (i32.const 80) \"9\")",
        &format!(
            "(call $more (local.get $event) (i32.const 64) (i32.const 10) (i32.const 1)
               (i32.const 80) (i32.const 1) (i32.const 4096))
             (if (i32.load8_u (i32.const 4096)) (then (unreachable)))
             {RELEASE} (call $keep)"
        ),
    );
    let chain = load(&[spec("forges", &forges)]).unwrap();
    let mut event = sample_event();
    assert_eq!(process(&chain, &event), event);
    // As a case may have it.
    event["data"]["redaction"] = json!({"rules": {"a": 1}, "values": 0});
    assert_eq!(process(&chain, &event), event);
}

/// Shows a run whose log, label and annotations hold secrets.
fn show(server: &ApiServer) {
    let [mut run, pod] = <[Value; 2]>::try_from(finished_run(1)).unwrap();
    run["object"]["metadata"]["labels"]["team"] = VALUE.into();
    run["object"]["metadata"]["annotations"] =
        json!({"note": format!("a {VALUE}"), "more": format!("{VALUE} {ANNOTATED}")});
    let name = pod["object"]["metadata"]["name"].as_str().unwrap();
    let log = format!("user {VALUE}\nsee badge-77 and badge-78\nid {ANNOTATED}\n");
    server.set_log(&format!("{name}-step-unnamed-0"), &log);
    server.play(&run);
    server.play(&pod);
}

fn extensions(headers: &reqwest::header::HeaderMap) -> Vec<String> {
    let headers = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("ce-"));
    headers
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn every_sink_gets_masked_attributes_and_the_receipt() {
    let (server, temp) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let (common, own) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    std::fs::write(temp.path().join("token"), ANNOTATED).unwrap();
    // The common plugins enrich events, then redact them. The plugins of the sink `own` then add an
    // attribute, and redact with the plugin of 0.1.0. The rule `seen` of that plugin would match
    // the receipt of the common plugins.
    let config = format!(
        "lookBack: 1000000h\nknownSecrets: {{files: ['{token}']}}\n\
         plugins:\n\
         - {{name: enrich, from: {{bundled: enrich-run}}, config: {{annotations: {{note: note}}, labels: {{team: team}}}}}}\n\
         - {{name: redact, from: {{bundled: redact-secrets}}, config: {{values: [{VALUE}], rules: [{{id: badge, pattern: 'badge-[0-9]+'}}]}}}}\n\
         sinks:\n\
         - {{name: common, to: {{http: {{url: '{}'}}}}}}\n\
         - name: own\n  to: {{http: {{url: '{}'}}}}\n  plugins:\n\
         \x20 - {{name: copy, from: {{bundled: enrich-run}}, config: {{annotations: {{more: more}}}}}}\n\
         \x20 - {{name: old, from: {{file: '{old}'}}, config: {{values: [constant], rules: [{{id: hello, pattern: 'user'}}, {{id: seen, pattern: '^redact$'}}]}}}}\n",
        common.url,
        own.url,
        token = temp.path().join("token").display(),
        old = path("corpus/v0.1/redact-secrets/plugin.wasm.gz").display(),
    );
    let observer = Observer::with_config(&server, &config, &[]);
    server.wait_for_watches(2).await;
    show(&server);
    common.wait_for(2).await;
    own.wait_for(2).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");

    let schema = read_json(&path("../deploy/schema/step-event.v1.json"));
    let schema = jsonschema::validator_for(&schema).unwrap();
    let mut ids = Vec::new();
    for (sink, is_own) in [(&common, false), (&own, true)] {
        let requests = sink.accepted();
        let ended = requests.iter().find(|request| {
            let data: Value = serde_json::from_slice(&request.body).unwrap();
            data["log"].is_string()
        });
        let ended = ended.unwrap();
        ids.push(ended.header("ce-id").to_owned());
        let attributes = extensions(&ended.headers);
        let body = String::from_utf8(ended.body.to_vec()).unwrap();
        for secret in [VALUE, ANNOTATED, "badge-77"] {
            assert!(!body.contains(secret), "{body}");
            assert!(!attributes.concat().contains(secret), "{attributes:?}");
        }
        assert!(
            attributes.contains(&"ce-team: [redacted:known-value]".to_owned()),
            "{attributes:?}"
        );
        let more = attributes.iter().find(|line| line.starts_with("ce-more"));
        assert_eq!(more.is_some(), is_own);
        let data: Value = serde_json::from_str(&body).unwrap();
        assert!(schema.is_valid(&data), "{data:#}");
        let receipt = &data["redaction"];
        assert_eq!(receipt["plugin"], "redact");
        assert_eq!(receipt["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(receipt["rules"]["badge"], 2);
        let known = receipt["knownSecrets"].as_u64().unwrap();
        assert!(
            known >= 1 && receipt["values"].as_u64().unwrap() >= known + 3,
            "{receipt}"
        );
        assert_eq!(receipt["rules"].get("seen"), None, "{receipt}");
        let others: Vec<&str> = receipt["others"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|other| other["plugin"].as_str())
            .collect();
        match is_own {
            true => assert_eq!(
                (others, &receipt["rules"]["hello"]),
                (vec!["old"], &json!(1))
            ),
            false => assert!(others.is_empty(), "{receipt}"),
        }
    }
    assert_eq!(ids[0], ids[1]);
}

/// Returns, for each of two sinks, the data of the event with a log. The second sink has the
/// plugins `own`.
async fn data_of_two_sinks(common: &str, own: &str) -> [Value; 2] {
    let server = ApiServer::start().await;
    let sinks = [HttpSink::start(vec![]).await, HttpSink::start(vec![]).await];
    let config = format!(
        "lookBack: 1000000h\nplugins: [{common}]\nsinks:\n\
         - {{name: common, to: {{http: {{url: '{}'}}}}}}\n\
         - {{name: own, to: {{http: {{url: '{}'}}}}, plugins: [{own}]}}\n",
        sinks[0].url, sinks[1].url,
    );
    let observer = Observer::with_config(&server, &config, &[]);
    server.wait_for_watches(2).await;
    let [run, pod] = <[Value; 2]>::try_from(finished_run(1)).unwrap();
    let name = pod["object"]["metadata"]["name"].as_str().unwrap();
    let log = format!("a {VALUE}\nb {VALUE}\n");
    server.set_log(&format!("{name}-step-unnamed-0"), &log);
    server.play(&run);
    server.play(&pod);
    for sink in &sinks {
        sink.wait_for(2).await;
    }
    observer.stop().await;
    sinks.map(|sink| {
        let data = sink.accepted().into_iter();
        let mut data = data.map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
        data.find(|data| data["log"].is_string()).unwrap()
    })
}

async fn receipts(common: &str, own: &str) -> [Value; 2] {
    let mut data = data_of_two_sinks(common, own).await;
    data.each_mut().map(|data| data["redaction"].take())
}

#[tokio::test]
async fn the_key_of_tokens_comes_from_a_file() {
    let temp = tempfile::tempdir().unwrap();
    let redactor = |name: &str, key: &str| {
        let file = temp.path().join(name);
        std::fs::write(&file, format!("{key}\n")).unwrap();
        format!(
            "{{name: {name}, from: {{bundled: redact-secrets}}, config: {{values: [{VALUE}]}}, \
             configFrom: [{{path: /replacement/token, fromFile: '{}'}}]}}",
            file.display()
        )
    };
    let logs_with = async |key: &str| {
        let data = data_of_two_sinks(&redactor("common", key), &redactor("own", key)).await;
        data.map(|mut data| data["log"].take())
    };
    let [common, own] = logs_with("a key of 16 bytes").await;
    assert_eq!(common, own);
    let log = common.as_str().unwrap();
    let digits = log.strip_prefix("a [redacted:known-value:").unwrap();
    let (digits, rest) = digits.split_once(']').unwrap();
    assert_eq!(digits.len(), 10, "{log}");
    assert_eq!(rest, format!("\nb [redacted:known-value:{digits}]\n"));
    let [other, _] = logs_with("another key of 16 bytes").await;
    assert!(!other.as_str().unwrap().contains(digits), "{other}");
}

#[tokio::test]
async fn each_match_is_counted_once_and_only_where_it_was_masked() {
    let PluginSource::Bytes { module, .. } = redactor_of(VALUE).source else {
        panic!("no bytes");
    };
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("redactor.wat");
    std::fs::write(&file, module).unwrap();
    let plugin = format!("{{name: ours, from: {{file: '{}'}}}}", file.display());
    let expected = json!({"plugin": "ours", "version": "0.0.1", "rules": {}, "values": 2});
    // Masked while the log is read.
    let both = receipts(&plugin, "").await;
    assert_eq!(both, [expected.clone(), expected.clone()]);
    // Masked in the event of one sink.
    assert_eq!(receipts("", &plugin).await, [Value::Null, expected]);
}

#[tokio::test]
async fn an_event_in_which_nothing_is_masked_has_no_receipt() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!(
        "lookBack: 1000000h\nplugins: [{{name: redact, from: {{bundled: redact-secrets}}}}]\n\
         sinks: [{{name: http, to: {{http: {{url: '{}'}}}}}}]\n",
        sink.url
    );
    let observer = Observer::with_config(&server, &config, &[]);
    server.wait_for_watches(2).await;
    for event in finished_run(1) {
        server.play(&event);
    }
    sink.wait_for(2).await;
    observer.stop().await;
    for request in sink.accepted() {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(data.get("redaction"), None, "{data:#}");
    }
}
