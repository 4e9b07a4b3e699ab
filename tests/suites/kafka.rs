//! Events in a topic, as an independent client (librdkafka) reads them.
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use step_observer_tests::available;
use step_observer_tests::kafka::KafkaCluster;
use step_observer_tests::replay::{Replay, count_dead_letters, file_sink_lines, write_runs};
use step_observer_tests::tls::Authority;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Error codes of the protocol.
const NOT_LEADER: u32 = 6;
const TOO_LARGE: u32 = 10;

fn sink(cluster: &KafkaCluster, settings: &str) -> String {
    let brokers = cluster.brokers.replace(',', "', '");
    format!("kafka: {{topic: steps, brokers: ['{brokers}']{settings}}}")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value[name].as_str();
    text.unwrap_or_else(|| panic!("{name} in {value}"))
}

/// Checks that every run is complete, in order, in one partition, and under its key. Returns the
/// number of repeated records.
fn check(records: &[Value], runs: usize) -> usize {
    let mut order: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut partitions: HashMap<&str, HashSet<&Value>> = HashMap::new();
    let mut ids: HashMap<&str, &Value> = HashMap::new();
    for record in records {
        let (key, headers) = (text(record, "key"), &record["headers"]);
        assert_eq!(text(headers, "ce_partitionkey"), key);
        let of_run = partitions.entry(key).or_default();
        of_run.insert(&record["partition"]);
        if let Some(first) = ids.insert(text(headers, "ce_id"), record) {
            assert_eq!(first, record, "a repeat is the same");
        } else {
            let order = order.entry(key).or_default();
            order.push(text(headers, "ce_sequence"));
        }
    }
    assert_eq!(order.len(), runs);
    for (run, sequences) in &order {
        assert!(sequences.is_sorted(), "{run}: {sequences:?}");
        assert_eq!(sequences.len(), 6, "{run}");
        assert_eq!(partitions[run].len(), 1, "{run}");
    }
    records.len() - ids.len()
}

#[tokio::test]
async fn a_topic_has_every_event_once_in_order_in_both_modes() {
    let cluster = available!(KafkaCluster::start().await);
    let folder = tempfile::tempdir().unwrap();
    let expected: Vec<Value> = file_sink_lines(folder.path())
        .await
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let replay = Replay::start(folder.path(), &sink(&cluster, ""));
    replay.finish(true).await;
    let binary = cluster.records().await;
    assert_eq!(check(&binary, 1), 0);
    for (record, event) in binary.iter().zip(&expected) {
        let headers = record["headers"].as_object().unwrap();
        let data: Value = serde_json::from_str(text(record, "value")).unwrap();
        assert_eq!(data, event["data"]);
        assert_eq!(headers["content-type"], event["datacontenttype"]);
        // Each member except the data has a header: specversion, id and so on. The header of the
        // data's type is `content-type`.
        assert_eq!(headers.len(), event.as_object().unwrap().len() - 1);
        for (name, value) in event.as_object().unwrap() {
            if !["data", "datacontenttype"].contains(&name.as_str()) {
                assert_eq!(&headers[&format!("ce_{name}")], value);
            }
        }
    }

    let own = tempfile::tempdir().unwrap();
    let structured = sink(&cluster, ", mode: structured");
    Replay::start(own.path(), &structured).finish(true).await;
    let records = cluster.records().await;
    assert_eq!(records.len(), 12);
    for (record, event) in records[6..].iter().zip(&expected) {
        let value: Value = serde_json::from_str(text(record, "value")).unwrap();
        assert_eq!(&value, event);
        assert_eq!(text(record, "key"), text(event, "partitionkey"));
        let content_type = serde_json::json!({
            "content-type": "application/cloudevents+json; charset=UTF-8"
        });
        assert_eq!(record["headers"], content_type);
    }
}

#[tokio::test]
async fn many_runs_fill_all_partitions_and_a_change_of_leaders_loses_nothing() {
    let mut cluster = available!(KafkaCluster::start().await);
    let folder = tempfile::tempdir().unwrap();
    for partition in 0..4 {
        cluster.order(&format!("leader {partition} 1")).await;
    }
    cluster.order(&format!("fail {NOT_LEADER} 200")).await;
    let recording = write_runs(folder.path(), 100);
    let settings = sink(&cluster, "");
    let mut replay =
        Replay::with_recording(&recording, folder.path(), &settings, ", maxPerSecond: 1000");
    replay.wait_for_log("delivery failed").await;
    for partition in 0..4 {
        cluster.order(&format!("leader {partition} 2")).await;
    }
    replay.finish(true).await;
    let records = cluster.records().await;
    assert_eq!(check(&records, 100), 0);
    let used: HashSet<_> = records.iter().map(|record| &record["partition"]).collect();
    assert_eq!(used.len(), 4);
}

#[tokio::test]
async fn brokers_that_are_gone_for_a_while_lose_nothing() {
    let mut cluster = available!(KafkaCluster::start().await);
    cluster.order("down").await;
    let folder = tempfile::tempdir().unwrap();
    let recording = write_runs(folder.path(), 50);
    let settings = sink(&cluster, "");
    let mut replay =
        Replay::with_recording(&recording, folder.path(), &settings, ", maxPerSecond: 500");
    replay.wait_for_log("the sink is down").await;
    cluster.order("up").await;
    replay.wait_for_log("the sink is up again").await;
    cluster.order("down").await;
    replay.wait_for_new_log("the sink is down").await;
    cluster.order("up").await;
    replay.finish(true).await;
    // Records without an acknowledgement may have arrived.
    let repeats = check(&cluster.records().await, 50);
    assert!(repeats <= 16, "{repeats}");
}

#[tokio::test]
async fn a_silent_broker_delays_events_no_longer_than_the_timeout() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let silent = format!("kafka: {{topic: steps, brokers: ['{address}'], timeoutMs: 100}}");
    let mut replay = Replay::start(folder.path(), &silent);
    replay.wait_for_log("no answer within 100 ms").await;
    replay.wait_for_log("failures=3").await;
}

#[tokio::test]
async fn an_oversized_event_becomes_a_dead_letter() {
    let mut cluster = available!(KafkaCluster::start().await);
    cluster.order(&format!("fail {TOO_LARGE} 2")).await;
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::start(folder.path(), &sink(&cluster, ""));
    let log = replay.finish(false).await;
    assert!(log.contains("raise the topic's max.message.bytes"), "{log}");
    assert_eq!(count_dead_letters(folder.path()).await, 2);
    assert_eq!(cluster.records().await.len(), 4);
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_waited_for_and_named() {
    let mut cluster = available!(KafkaCluster::start().await);
    let folder = tempfile::tempdir().unwrap();
    let settings = sink(&cluster, "").replace("topic: steps", "topic: later");
    let mut replay = Replay::start(folder.path(), &settings);
    replay.wait_for_log("there is no topic `later`").await;
    cluster.order("topic later").await;
    replay.finish(true).await;
}

/// Runs a TLS server in front of a broker, on another port.
async fn tls_before(broker: String, tls: rustls::ServerConfig, servers: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut broker = TcpStream::connect(&broker).await.unwrap();
            connections.spawn(async move {
                // Either side ends the connection.
                let copied = tokio::io::copy_bidirectional(&mut stream, &mut broker);
                copied.await.ok();
            });
        }
    });
    port
}

#[tokio::test]
async fn tls_with_an_own_authority_and_a_certificate_of_the_observer() {
    let mut cluster = available!(KafkaCluster::start().await);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (authority, other) = (Authority::default(), Authority::default());
    let (certificate, key) = authority.sign("observer");
    let ca = write("ca.pem", authority.pem());
    let wrong_ca = write("wrong.pem", other.pem());
    let certificate = write("tls.crt", certificate.pem());
    let key = write("tls.key", key.serialize_pem());
    let plain: Vec<String> = cluster.brokers.split(',').map(ToOwned::to_owned).collect();
    let mut servers = JoinSet::new();
    let mut port = 0;
    for (index, broker) in plain.iter().enumerate() {
        port = tls_before(broker.clone(), authority.server(), &mut servers).await;
        let order = format!("address {} localhost {port}", index + 1);
        cluster.order(&order).await;
    }
    let sink = |ca: &str, rest: &str| {
        let tls = format!("{{caFile: '{ca}'{rest}}}");
        format!("kafka: {{topic: steps, brokers: ['localhost:{port}'], tls: {tls}}}")
    };
    let shown = format!(", certificateFile: '{certificate}', keyFile: '{key}'");
    for (wrong, expected) in [
        (sink(&wrong_ca, &shown), "invalid peer certificate"),
        (sink(&ca, ""), "delivery failed"),
    ] {
        let own = tempfile::tempdir().unwrap();
        Replay::start(own.path(), &wrong)
            .wait_for_log(expected)
            .await;
    }
    let replay = Replay::start(folder.path(), &sink(&ca, &shown));
    let log = replay.finish(true).await;
    assert!(!log.contains("BEGIN"), "{log}");
    for (index, broker) in plain.iter().enumerate() {
        let (host, port) = broker.split_once(':').unwrap();
        let order = format!("address {} {host} {port}", index + 1);
        cluster.order(&order).await;
    }
    assert_eq!(check(&cluster.records().await, 1), 0);
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_named() {
    for (wrong, expected) in [
        ("brokers: [], topic: steps", "brokers: list 1 to 16"),
        (
            "brokers: ['kafka://ci:secret@broker'], topic: steps",
            "such as broker:9092",
        ),
        ("brokers: ['broker:9092'], topic: 'a b'", "a topic is"),
        (
            "brokers: ['broker:9092'], topic: steps, tls: {caFile: /nowhere}",
            "failed to read /nowhere",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let wrong = format!("kafka: {{{wrong}}}");
        let log = Replay::start(folder.path(), &wrong).finish(false).await;
        assert!(log.contains(expected), "{wrong}: {log}");
        assert!(!log.contains("secret"), "{log}");
    }
}
