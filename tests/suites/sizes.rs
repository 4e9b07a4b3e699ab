//! Events of any size: omissions from events above `event.maxBytes`.
use cloudevents::AttributesReader as _;
use cloudevents::event::Data;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use step_observer::event::{self, Binding, Encoded};
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::example_event;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::recording::watch_events;
use step_observer_tests::sink::{HttpSink, Request};

/// Members that identify an event and its outcome: they are never omitted.
const IDENTITY: [&str; 17] = [
    "/podRef",
    "/taskRun",
    "/stepIndex",
    "/attempt",
    "/exitCode",
    "/reason",
    "/cause",
    "/pipelineRun",
    "/startedAt",
    "/step/name",
    "/step/image",
    "/stepState/name",
    "/stepState/container",
    "/stepState/imageID",
    "/stepState/terminated/exitCode",
    "/stepState/terminated/finishedAt",
    "/logInfo/bytes",
];

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = std::fs::read(path("../deploy/schema/step-event.v1.json")).unwrap();
    jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap()
});

/// Returns the example event with other data members and further attributes.
fn event_with(data: &Value, attributes: &[(String, String)]) -> Encoded {
    let mut event = example_event().event;
    for (name, value) in attributes {
        event.set_extension(name, value.as_str());
    }
    let Some(Data::Json(mut all)) = event.set_data_unchecked(Value::Null) else {
        panic!("the example has data");
    };
    merge(&mut all, data);
    event.set_data_unchecked(all);
    Encoded::from_structured(event::structured(&event).unwrap())
}

fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (name, value) in from {
                merge(to.entry(name).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from.clone(),
    }
}

/// Returns the size of an event in JSON format, or in binary mode over HTTP if that is larger.
fn size(event: &Encoded) -> usize {
    let binary = event.binary(Binding::HTTP).unwrap();
    let headers = binary.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    event.size().max(headers + binary.body.len())
}

fn read(event: &Encoded) -> Value {
    serde_json::from_slice(&event.structured()).unwrap()
}

/// Applies the bound, and checks that the event is within it, valid, and keeps its identity and
/// outcome.
fn cut(before: &Encoded, max_bytes: usize) -> Value {
    let (after, oversize) = before.clone().bounded(max_bytes, 0).unwrap();
    let (was, is) = (read(before), read(&after));
    if size(before) <= max_bytes {
        assert_eq!(after.structured(), before.structured());
        assert_eq!(oversize, None);
        return is;
    }
    let oversize = oversize.unwrap();
    assert!(
        size(&after) <= max_bytes && oversize.fits,
        "{} of {max_bytes}: {:.3000}",
        size(&after),
        is
    );
    assert_eq!(
        (oversize.before, oversize.after),
        (size(before), size(&after))
    );
    for (name, value) in was
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "data")
    {
        assert_eq!(is.get(name), Some(value), "{name}");
    }
    for place in IDENTITY {
        assert_eq!(
            was["data"].pointer(place),
            is["data"].pointer(place),
            "{place}"
        );
    }
    // Members keep the usual order, and a second pass changes nothing.
    assert_eq!(serde_json::to_vec(&is).unwrap().len(), after.size());
    assert_eq!(
        after.clone().bounded(max_bytes, 0).unwrap().0.structured(),
        after.structured()
    );
    let errors: Vec<String> = SCHEMA
        .iter_errors(&is["data"])
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    let event: cloudevents::Event = serde_json::from_value(is.clone()).unwrap();
    assert_eq!(event.id(), was["id"]);
    assert!(!is["data"]["leftOut"].as_array().unwrap().is_empty());
    is
}

/// Returns the number of omitted bytes at a place.
fn left_out<'a>(event: &'a Value, place: &str) -> Option<&'a Value> {
    let entries = event["data"]["leftOut"].as_array()?;
    let entry = entries.iter().find(|entry| entry["path"] == place)?;
    Some(&entry["bytes"])
}

fn results(values: &[(&str, String)]) -> Value {
    let entries: Vec<Value> = values
        .iter()
        .map(|(key, value)| json!({"key": key, "type": 1, "value": value}))
        .collect();
    json!({"stepState": {"terminated": {"message": Value::from(entries).to_string()}}})
}

#[test]
fn the_log_is_cut_first_and_no_more_than_it_must() {
    let log = "\u{1b}[31mred\u{1b}[0m and\tmore\n".repeat(48 * 1024 / 20);
    let data = json!({"log": log, "logInfo": {"bytes": log.len(), "truncated": false}, "step": {"script": "x".repeat(16 * 1024)}});
    let event = event_with(&data, &[]);
    assert!(event.size() > 100_000);
    let cut = cut(&event, 65_536);
    assert!(cut.to_string().len() > 65_000, "{}", cut.to_string().len());
    assert_eq!(cut["data"]["step"]["script"], data["step"]["script"]);
    assert_eq!(left_out(&cut, "/log"), Some(&log.len().into()));
    assert_eq!(
        cut["data"]["logInfo"],
        json!({"bytes": log.len(), "truncated": true})
    );
    let (head, tail) = cut["data"]["log"]
        .as_str()
        .unwrap()
        .split_once("[... ")
        .unwrap();
    let (_, tail) = tail.split_once("left out ...]\n").unwrap();
    for part in [head, tail] {
        assert!(
            part.len() > 10_000 && part.lines().all(|line| line == log.lines().next().unwrap())
        );
    }
}

#[test]
fn script_arguments_and_results_go_in_this_order_each_whole() {
    let log = "a line of the log\n".repeat(100);
    let mut data = json!({"log": log, "step": {"script": "s".repeat(120_000), "args": ["a".repeat(9000), "b".repeat(9000)], "env": [{"name": "E", "value": "e".repeat(7000)}]}});
    merge(
        &mut data,
        &results(&[("small", "v".repeat(200)), ("large", "w".repeat(2000))]),
    );
    let event = event_with(&data, &[]);
    let of = |max_bytes| cut(&event, max_bytes);
    // Without the script there is room for the whole log.
    let without_script = of(65_536);
    assert_eq!(
        left_out(&without_script, "/step/script"),
        Some(&120_000.into())
    );
    assert_eq!(
        (
            &without_script["data"]["log"],
            &without_script["data"]["step"]["args"]
        ),
        (&data["log"], &data["step"]["args"])
    );
    assert_eq!(without_script["data"]["stepInfo"]["truncated"], true);
    assert!(without_script["data"]["stepInfo"]["bytes"].as_u64() > Some(145_000));
    let without_args = of(16_384);
    assert_eq!(left_out(&without_args, "/step/args"), Some(&18_007.into()));
    assert_eq!(
        without_args["data"]["stepState"]["terminated"]["message"],
        data["stepState"]["terminated"]["message"]
    );
    let without_a_result = of(11_500);
    let message = without_a_result["data"]["stepState"]["terminated"]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.contains("small") && !message.contains("large"),
        "{message}"
    );
    let entry = json!({"bytes": 2000, "path": "/stepState/terminated/message", "result": "large"});
    let entries = without_a_result["data"]["leftOut"].as_array().unwrap();
    assert!(entries.contains(&entry), "{entries:?}");
    assert_eq!(without_a_result["data"]["step"]["env"], data["step"]["env"]);
    let least = of(4096);
    assert_eq!(left_out(&least, "/step/env"), Some(&7025.into()));
    assert!(
        least["data"]["log"]
            .as_str()
            .unwrap()
            .ends_with("a line of the log\n")
    );
}

#[test]
fn plugin_additions_and_excess_labels_go_after_that() {
    let labels: Map<String, Value> = (0..2000)
        .map(|n| (format!("example.com/label-{n}"), "value".into()))
        .collect();
    let data = json!({"labels": labels, "added/by~plugin": "x".repeat(30_000), "stepState": {"added": "y".repeat(20_000)}});
    let event = event_with(&data, &[]);
    let some = cut(&event, 65_536);
    assert_eq!(left_out(&some, "/added~1by~0plugin"), Some(&30_000.into()));
    assert!(left_out(&some, "/labels").unwrap().as_u64() > Some(1000));
    assert!(some["data"]["labels"].as_object().unwrap().len() > 100);
    let least = cut(&event, 4096);
    assert!(least["data"]["stepState"].get("added").is_none());
}

#[test]
fn attributes_are_never_left_out_and_an_event_that_is_too_large_by_them_says_so() {
    let attributes: Vec<(String, String)> = (0..64)
        .map(|n| (format!("extension{n}"), "é".repeat(1000)))
        .collect();
    let event = event_with(&json!({"log": "one line\n".repeat(100)}), &attributes);
    let (cut, oversize) = event.clone().bounded(65_536, 0).unwrap();
    let oversize = oversize.unwrap();
    assert!(!oversize.fits && oversize.before == size(&event) && oversize.after == size(&cut));
    let (was, is) = (read(&event), read(&cut));
    for (name, _) in attributes {
        assert_eq!(was[&name], is[&name]);
    }
    assert_eq!(left_out(&is, "/log"), Some(&900.into()));
    assert!(is["data"].get("log").is_none());
}

#[test]
fn additions_of_a_sink_count_too() {
    let event = event_with(&json!({"log": "one line\n".repeat(7000)}), &[]);
    let added = [("cluster", "west"), ("team", "größe \"1\"")];
    let extensions = added
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let added: usize = added
        .iter()
        .map(|(name, value)| event::attribute_size(name, value))
        .sum();
    let exact = size(&event.extended(&extensions).unwrap());
    let (same, oversize) = event.clone().bounded(size(&event) + added, added).unwrap();
    assert_eq!((same.structured(), oversize), (event.structured(), None));
    assert!(exact <= size(&event) + added);
    let (cut, _) = event.bounded(exact - 1, added).unwrap();
    assert!(size(&cut.extended(&extensions).unwrap()) < exact);
}

#[test]
fn foreign_data_stays_as_it_is() {
    for data in [
        ",\"data\":[1,2,3]",
        ",\"data\":\"aaaaaaaaa\"",
        ",\"data_base64\":\"AAAA\"",
        "",
    ] {
        let event = format!(
            r#"{{"id":"i","source":"s","type":"t","x":"{}"{data}}}"#,
            "x".repeat(300)
        );
        let (same, oversize) = Encoded::from_structured(event.clone().into())
            .bounded(256, 0)
            .unwrap();
        assert_eq!(same.structured(), event.as_bytes());
        assert!(!oversize.unwrap().fits);
    }
}

/// Texts of any characters: escapes, control characters, several bytes per character, no spaces.
fn a_text(most: usize) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z ]{1,20}",
        "[\\x00-\\x1f]{1,9}",
        "[\"\\\\/é€🦀\\x7f\u{2028}]{1,9}",
        Just("\n".to_owned()),
        Just("x".repeat(300)),
    ];
    (word, 0..most).prop_map(|(word, size)| word.repeat(size / word.len()))
}

/// Values of any type, also where the schema has another type.
fn a_value(most: usize) -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => a_text(most).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(Value::from),
        2 => proptest::collection::btree_map("[a-z/~\"é]{0,9}", a_text(most / 8), 0..9)
            .prop_map(|members| Value::Object(members.into_iter().map(|(name, text)| (name, text.into())).collect())),
        2 => proptest::collection::vec(a_text(most / 8), 0..9).prop_map(Value::from),
    ]
}

prop_compose! {
    fn any_event()(
        log in proptest::option::of(a_text(120_000)),
        script in a_value(60_000),
        args in a_value(30_000),
        env in a_value(20_000),
        step_info in proptest::option::of(Just(json!({"bytes": 99_999, "truncated": true}))),
        results in proptest::collection::vec(("[a-z\"]{0,200}", a_value(3000)), 0..20),
        odd_message in proptest::option::of(a_text(20_000)),
        label in a_text(300),
        labels in 0..900_usize,
        added in proptest::collection::btree_map("[a-zé\"]{5,9}", a_value(20_000), 0..9),
        in_state in a_value(9000),
        team in "[a-zé \"%]{0,99}",
    ) -> Encoded {
        let entries: Vec<Value> = results.into_iter().map(|(key, value)| json!({"key": key, "type": 1, "value": value})).collect();
        let message = odd_message.unwrap_or_else(|| Value::from(entries).to_string());
        let labels: Map<String, Value> = (0..labels).map(|n| (format!("label-{n}"), label.clone().into())).collect();
        let mut data = json!({
            "step": {"script": script, "args": args, "env": env},
            "stepState": {"terminated": {"message": message, "added": in_state}, "added": in_state},
            "labels": labels,
        });
        let text = log.unwrap_or_default();
        data["logInfo"] = json!({"bytes": text.len(), "truncated": false});
        data["log"] = text.into();
        if let Some(info) = step_info {
            data["stepInfo"] = info;
        }
        for (name, value) in added {
            data[format!("added-{name}")] = value;
        }
        event_with(&data, &[("team".to_owned(), team)])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_event_is_within_the_bound_and_keeps_identity_and_outcome(event in any_event(), max_bytes in 4096..100_000_usize) {
        cut(&event, max_bytes);
    }
}

/// Returns the sizes of a run's events: in binary mode, in structured mode, in batches, and in a
/// file. The run has three steps, and the first step has this log.
async fn replayed(log: &str, config: &str) -> [Vec<usize>; 4] {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let run: Vec<String> = watch_events("a-success")
        .iter()
        .map(Value::to_string)
        .collect();
    std::fs::write(file("run.jsonl"), run.join("\n")).unwrap();
    let logs = json!({"a-success-pod-step-build": log});
    std::fs::write(file("run.logs.json"), logs.to_string()).unwrap();
    let mut sinks = Vec::new();
    for _ in 0..3 {
        sinks.push(HttpSink::start(vec![]).await);
    }
    let http = |mode: usize, further: &str| {
        let (url, cluster) = (&sinks[mode].url, "größe ".repeat(50));
        let mode = ["binary", "structured", "batch"][mode];
        format!(
            "- {{name: {mode}, to: {{http: {{url: '{url}', mode: {mode}, extensions: {{cluster: '{cluster}'}}}}}}{further}}}\n"
        )
    };
    let own = format!(", plugins: [{}]", GROW.replace("grow", "own"));
    let grow = GROW.replace('%', &"g\\n".repeat(100));
    let own = own.replace('%', "y");
    let config = format!(
        "{config}plugins: [{grow}]\nsinks:\n{}{}{}- {{name: file, to: {{file: {{path: '{}'}}}}}}\n",
        http(0, ""),
        http(1, &own),
        http(2, ""),
        file("events.jsonl").display()
    );
    std::fs::write(file("config.yaml"), config).unwrap();
    let mut command = Program::new();
    command
        .arg("replay")
        .arg(file("run.jsonl"))
        .arg("--config")
        .arg(file("config.yaml"));
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = std::fs::read_to_string(file("events.jsonl")).unwrap();
    let attributes = |request: &Request| {
        let headers = request.headers.iter();
        let those =
            headers.filter(|(name, _)| name.as_str().starts_with("ce-") || *name == "content-type");
        those
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
    };
    let bodies = |mode: usize| sinks[mode].requests().into_iter();
    let batched =
        bodies(2).flat_map(|request| serde_json::from_slice::<Vec<Value>>(&request.body).unwrap());
    [
        bodies(0)
            .map(|request| attributes(&request) + request.body.len())
            .collect(),
        bodies(1).map(|request| request.body.len()).collect(),
        batched.map(|event| event.to_string().len()).collect(),
        lines.lines().map(str::len).collect(),
    ]
}

/// A plugin that makes a log larger: each `x` becomes 200 bytes.
const GROW: &str = "{name: grow, from: {bundled: redact-secrets}, config: {rules: [{id: grow, pattern: 'x', \
                    replacement: \"%\"}]}}";

#[tokio::test]
async fn every_sink_gets_events_within_the_bound_after_the_last_plugin() {
    let log = "x \u{1b}[31mred\u{1b}[0m\n".repeat(1500);
    let grow = |config: &'static str| replayed(&log, config);
    for sizes in grow("").await {
        assert!(
            sizes.len() == 6 && sizes.iter().all(|size| *size <= 65_536),
            "{sizes:?}"
        );
        assert!(sizes.iter().any(|size| *size > 64_000), "{sizes:?}");
    }
    for sizes in grow("event: {maxBytes: 8192}\n").await {
        assert!(
            sizes.len() == 6 && sizes.iter().all(|size| *size <= 8192),
            "{sizes:?}"
        );
    }
    for sizes in grow("event: {maxBytes: off}\n").await {
        assert!(
            sizes.len() == 6 && sizes.iter().any(|size| *size > 70_000),
            "{sizes:?}"
        );
    }
}

#[tokio::test]
async fn events_that_are_too_large_are_counted_and_reported_with_their_size() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let log = ("\u{1b}".repeat(40) + "\n").repeat(1000);
    server.set_log("a-success-pod-step-build", &log);
    let args = [&ADMIN_ARGS[..], &["--to", &sink.url]].concat();
    let mut observer = Observer::with_config(&server, UNLIMITED_LOOK_BACK, &args);
    let address = admin_address(&mut observer).await;
    watch_events("a-success")
        .iter()
        .for_each(|event| server.play(event));
    let cut = r#"step_observer_events_oversized_total{outcome="cut"} 1"#;
    let (_, metrics) = get_until(&address, "/metrics", |_, metrics| metrics.contains(cut)).await;
    assert!(
        metrics.contains(r#"step_observer_events_oversized_total{outcome="sent"} 0"#),
        "{metrics}"
    );
    let line = observer
        .wait_for_line(&["larger than event.maxBytes", "max_bytes=65536"])
        .await;
    let bytes = line
        .split(" bytes=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!(bytes.parse::<usize>().unwrap() > 200_000, "{line}");
    observer.stop().await;
}
