//! Events in a stream of a real NATS server.
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use futures::StreamExt as _;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use step_observer_tests::available;
use step_observer_tests::nats::{NatsServer, Operator, messages};
use step_observer_tests::replay::{Replay, count_dead_letters, file_sink_lines, write_runs};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use step_observer_tests::tls::Authority;
use tokio::time::timeout;

/// Returns a sink with further settings.
fn sink(server: &NatsServer, settings: &str) -> String {
    let address = server.address();
    format!("nats: {{subject: steps, servers: ['nats://{address}']{settings}}}")
}

fn header<'a>(message: &'a StreamMessage, name: &str) -> Option<&'a str> {
    message.headers.get(name).map(|value| value.as_str())
}

/// Checks that each id occurs once, and that every run has six messages in order. `read` returns
/// run and position of a message. Returns the number of runs.
fn check(messages: &[StreamMessage], read: impl Fn(&StreamMessage) -> (String, String)) -> usize {
    let mut ids = HashSet::new();
    let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in messages {
        let id = header(message, "Nats-Msg-Id").unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        let (run, sequence) = read(message);
        runs.entry(run).or_default().push(sequence);
    }
    for (run, sequences) in &runs {
        assert!(sequences.is_sorted(), "{run}: {sequences:?}");
        assert_eq!(sequences.len(), 6, "{run}");
    }
    runs.len()
}

/// Returns run and position of a message in structured mode.
fn structured(message: &StreamMessage) -> (String, String) {
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(event["id"], header(message, "Nats-Msg-Id").unwrap());
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    (text("partitionkey"), text("sequence"))
}

#[tokio::test]
async fn a_stream_has_every_event_once_in_order_in_both_modes() {
    let server = available!(NatsServer::start("").await);
    let client = server.client().await;
    let stream = server.make_stream(&client, Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let expected = file_sink_lines(folder.path()).await;

    for _ in 0..2 {
        // The stream knows earlier messages by their ids.
        let own = tempfile::tempdir().unwrap();
        let replay = Replay::start(own.path(), &sink(&server, ""));
        replay.finish(true).await;
        let messages = messages(&stream).await;
        assert_eq!(check(&messages, structured), 1);
        for (message, line) in messages.iter().zip(&expected) {
            assert_eq!(message.payload, line.as_bytes());
            let content_type = header(message, "Content-Type");
            assert_eq!(content_type, Some("application/cloudevents+json"));
        }
    }

    stream.purge().await.unwrap();
    let jetstream = async_nats::jetstream::new(client.clone());
    jetstream.delete_stream("STEPS").await.unwrap();
    let stream = server.make_stream(&client, Config::default()).await;
    let own = tempfile::tempdir().unwrap();
    let binary = sink(&server, ", mode: binary");
    Replay::start(own.path(), &binary).finish(true).await;
    let messages = messages(&stream).await;
    let attributes = |message: &StreamMessage| {
        let text = |name: &str| header(message, name).unwrap().to_owned();
        (text("ce-partitionkey"), text("ce-sequence"))
    };
    assert_eq!(check(&messages, attributes), 1);
    for (message, line) in messages.iter().zip(&expected) {
        let event: Value = serde_json::from_str(line).unwrap();
        let data: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(data, event["data"]);
        for (name, value) in event.as_object().unwrap() {
            if name != "data" {
                assert_eq!(header(message, &format!("ce-{name}")), value.as_str());
            }
        }
        // A content type would mean that the body is the whole event.
        assert_eq!(header(message, "Content-Type"), None);
    }
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_loses_nothing() {
    let mut server = available!(NatsServer::start("").await);
    let client = server.client().await;
    let mut arriving = client.subscribe("steps").await.unwrap();
    server.make_stream(&client, Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let recording = write_runs(folder.path(), 100);
    let slow = ", maxPerSecond: 2000";
    let mut replay = Replay::with_recording(&recording, folder.path(), &sink(&server, ""), slow);
    for _ in 0..50 {
        timeout(PATIENCE, arriving.next()).await.unwrap().unwrap();
    }
    server.kill().await;
    replay.wait_for_log("the sink is down").await;
    server.start_again().await;
    replay.finish(true).await;
    let jetstream = async_nats::jetstream::new(server.client().await);
    let stream = jetstream.get_stream("STEPS").await.unwrap();
    assert_eq!(check(&messages(&stream).await, structured), 100);
}

#[tokio::test]
async fn an_unacknowledged_event_is_sent_again_and_stored_once() {
    let server = available!(NatsServer::start("").await);
    let client = server.client().await;
    let mut arriving = client.subscribe("steps").await.unwrap();
    let stream = server.make_stream(&client, Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let recording = write_runs(folder.path(), 100);
    let settings = sink(&server, ", timeoutMs: 300");
    let mut replay =
        Replay::with_recording(&recording, folder.path(), &settings, ", maxPerSecond: 2000");
    for _ in 0..50 {
        timeout(PATIENCE, arriving.next()).await.unwrap().unwrap();
    }
    server.signal("STOP");
    replay.wait_for_log("no answer within 300 ms").await;
    replay.wait_for_log("the sink is down").await;
    server.signal("CONT");
    replay.finish(true).await;
    assert_eq!(check(&messages(&stream).await, structured), 100);
}

#[tokio::test]
async fn a_silent_server_delays_events_no_longer_than_the_timeout() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let silent = format!("nats: {{subject: steps, servers: ['nats://{address}'], timeoutMs: 100}}");
    let mut replay = Replay::start(folder.path(), &silent);
    replay.wait_for_log("failures=3").await;
}

#[tokio::test]
async fn events_wait_for_a_server_and_for_a_stream() {
    let mut server = available!(NatsServer::start("").await);
    server.kill().await;
    let folder = tempfile::tempdir().unwrap();
    let mut replay = Replay::start(folder.path(), &sink(&server, ""));
    replay.wait_for_log("failed to connect").await;
    server.start_again().await;
    replay.wait_for_log("nats stream add").await;
    let client = server.client().await;
    let stream = server.make_stream(&client, Config::default()).await;
    replay.finish(true).await;
    assert_eq!(check(&messages(&stream).await, structured), 1);
}

#[tokio::test]
async fn credentials_are_read_again_for_the_next_connection() {
    let server = available!(NatsServer::start("authorization: { token: right-token }").await);
    let client = async_nats::ConnectOptions::with_token("right-token".to_owned());
    let client = client.connect(server.address()).await.unwrap();
    let stream = server.make_stream(&client, Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "wrong-token\n").unwrap();
    let auth = format!(", auth: {{token: {{file: '{}'}}}}", token.display());
    let auth = sink(&server, &auth);
    let mut replay = Replay::start(folder.path(), &auth);
    replay.wait_for_log("authorization violation").await;
    std::fs::write(&token, "right-token\n").unwrap();
    let log = replay.finish(true).await;
    assert!(!log.contains("-token"), "{log}");
    assert_eq!(check(&messages(&stream).await, structured), 1);

    std::fs::remove_file(&token).unwrap();
    let log = Replay::start(folder.path(), &auth).finish(false).await;
    assert!(
        log.contains("to.nats.auth.token.file: sink `all`: failed to read"),
        "{log}"
    );
}

#[tokio::test]
async fn a_user_and_a_key_are_let_in() {
    let (seed, public) = (
        "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
        "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
    );
    let users = format!(
        "authorization: {{ users: [ {{user: ci, password: 'pass word'}}, {{nkey: {public}}} ] }}"
    );
    let server = available!(NatsServer::start(&users).await);
    let user = async_nats::ConnectOptions::with_user_and_password("ci".into(), "pass word".into());
    let client = user.connect(server.address()).await.unwrap();
    let stream = server.make_stream(&client, Config::default()).await;
    for (name, secret, auth) in [
        (
            "password",
            "pass word\n",
            "user: {name: ci, passwordFile: 'FILE'}",
        ),
        ("seed", seed, "nkey: {seedFile: 'FILE'}"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, secret).unwrap();
        let auth = auth.replace("FILE", &file.display().to_string());
        let nats = sink(&server, &format!(", auth: {{{auth}}}"));
        let log = Replay::start(folder.path(), &nats).finish(true).await;
        assert!(!log.contains(secret.trim()), "{log}");
        assert_eq!(check(&messages(&stream).await, structured), 1, "{name}");
    }
}

#[tokio::test]
async fn credentials_of_an_operators_user_are_let_in() {
    let operator = Operator::default();
    let server = available!(NatsServer::start(&operator.settings()).await);
    let client = async_nats::ConnectOptions::with_credentials(&operator.credentials()).unwrap();
    let client = client.connect(server.address()).await.unwrap();
    let stream = server.make_stream(&client, Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("observer.creds");
    let auth = format!(", auth: {{credentials: {{file: '{}'}}}}", file.display());
    let cut = operator.credentials();
    std::fs::write(&file, cut.split("-----BEGIN USER").next().unwrap()).unwrap();
    let log = Replay::start(folder.path(), &sink(&server, &auth));
    let log = log.finish(false).await;
    assert!(log.contains("write it with `nsc generate creds`"), "{log}");
    // Credentials of a foreign operator.
    std::fs::write(&file, Operator::default().credentials()).unwrap();
    let mut replay = Replay::start(folder.path(), &sink(&server, &auth));
    replay.wait_for_log("authorization violation").await;
    std::fs::write(&file, operator.credentials()).unwrap();
    let log = replay.finish(true).await;
    assert!(!log.contains("eyJ"), "{log}");
    assert_eq!(check(&messages(&stream).await, structured), 1);
}

#[tokio::test]
async fn an_oversized_event_becomes_a_dead_letter_and_a_full_stream_is_retried() {
    let server = available!(NatsServer::start("max_payload: 400").await);
    let client = server.client().await;
    let folder = tempfile::tempdir().unwrap();
    let log = Replay::start(folder.path(), &sink(&server, ""));
    let log = log.finish(false).await;
    assert!(log.contains("raise max_payload"), "{log}");
    assert_eq!(count_dead_letters(folder.path()).await, 6, "{log}");

    let server = available!(NatsServer::start("").await);
    drop(client);
    let client = server.client().await;
    let small = Config {
        max_message_size: 400,
        ..Config::default()
    };
    let mut stream = server.make_stream(&client, small).await;
    let folder = tempfile::tempdir().unwrap();
    let log = Replay::start(folder.path(), &sink(&server, ""));
    let log = log.finish(false).await;
    assert!(log.contains("raise the stream's largest message"), "{log}");
    assert_eq!(count_dead_letters(folder.path()).await, 6, "{log}");

    let full = Config {
        max_messages: 2,
        discard: DiscardPolicy::New,
        max_message_size: -1,
        ..stream.info().await.unwrap().config.clone()
    };
    let jetstream = async_nats::jetstream::new(client.clone());
    jetstream.update_stream(&full).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut replay = Replay::start(folder.path(), &sink(&server, ""));
    replay.wait_for_log("maximum messages exceeded").await;
    let roomy = Config {
        max_messages: -1,
        ..full
    };
    jetstream.update_stream(&roomy).await.unwrap();
    replay.finish(true).await;
    assert_eq!(check(&messages(&stream).await, structured), 1);
}

#[tokio::test]
async fn tls_with_an_own_authority_and_a_certificate_of_the_observer() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (authority, other) = (Authority::default(), Authority::default());
    let ca = write("ca.pem", authority.pem());
    let wrong_ca = write("wrong.pem", other.pem());
    let [(server_crt, server_key), (crt, key)] = ["localhost", "observer"].map(|name| {
        let (certificate, key) = authority.sign(name);
        (
            write(&format!("{name}.crt"), certificate.pem()),
            write(&format!("{name}.key"), key.serialize_pem()),
        )
    });
    let settings = format!(
        "tls {{ cert_file: '{server_crt}', key_file: '{server_key}', ca_file: '{ca}', verify: true }}"
    );
    let server = available!(NatsServer::start(&settings).await);
    let client = async_nats::ConnectOptions::new()
        .add_root_certificates(ca.clone().into())
        .add_client_certificate(crt.clone().into(), key.clone().into());
    let client = client.connect(server.address()).await.unwrap();
    let stream = server.make_stream(&client, Config::default()).await;
    let nats = |ca: &str, rest: &str| {
        let address = server.address();
        format!(
            "nats: {{subject: steps, servers: ['tls://{address}'], tls: {{caFile: '{ca}'{rest}}}}}"
        )
    };
    let shown = format!(", certificateFile: '{crt}', keyFile: '{key}'");
    for (wrong, expected) in [
        (nats(&wrong_ca, &shown), "invalid peer certificate"),
        (nats(&ca, ""), "failed to connect"),
    ] {
        let own = tempfile::tempdir().unwrap();
        Replay::start(own.path(), &wrong)
            .wait_for_log(expected)
            .await;
    }
    for (wrong, expected) in [
        (nats(&key, ""), "is no PEM that can be used"),
        (nats(&ca, &format!(", keyFile: '{key}'")), "belong together"),
    ] {
        let own = tempfile::tempdir().unwrap();
        let log = Replay::start(own.path(), &wrong).finish(false).await;
        assert!(log.contains(expected) && !log.contains("BEGIN"), "{log}");
    }
    assert_eq!(messages(&stream).await.len(), 0, "nothing came yet");
    let own = tempfile::tempdir().unwrap();
    Replay::start(own.path(), &nats(&ca, &shown))
        .finish(true)
        .await;
    assert_eq!(check(&messages(&stream).await, structured), 1);
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_named() {
    for (wrong, expected) in [
        ("servers: []", "servers: list 1 to 16"),
        (
            "servers: ['http://localhost']",
            "write nats://host:4222 or tls://host:4222",
        ),
        ("servers: ['nats://ci:secret@localhost']", "use auth"),
        (
            "servers: ['nats://localhost'], mode: batch",
            "unknown variant",
        ),
        (
            "servers: ['nats://localhost'], timeoutMs: 0",
            "not between 1 and 600000",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let wrong = format!("nats: {{subject: steps, {wrong}}}");
        let log = Replay::start(folder.path(), &wrong).finish(false).await;
        assert!(log.contains(expected), "{wrong}: {log}");
        assert!(!log.contains("secret"), "{log}");
    }
}

#[tokio::test]
async fn a_stream_that_has_the_event_gets_its_dead_letter_too() {
    let server = available!(NatsServer::start("").await);
    let client = server.client().await;
    let stream = server.make_stream(&client, Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    // Sends the events to the stream first, so that the stream knows them. Then the HTTP sink
    // refuses all of them.
    Replay::start(folder.path(), &sink(&server, ""))
        .finish(true)
        .await;
    let refuses = HttpSink::start(vec![(400, Vec::new()); 6]).await;
    let other = tempfile::tempdir().unwrap();
    let dead_letter_sink = sink(&server, "");
    let to = format!(
        "http: {{url: '{}'}}}}, deadLetterSink: {{to: {{{dead_letter_sink}}}",
        refuses.url
    );
    Replay::start(other.path(), &to).finish(false).await;
    let dead = |message: &StreamMessage| -> bool {
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        event["knativeerrorcode"] == 400
    };
    let messages = messages(&stream).await;
    assert_eq!(messages.len(), 12);
    assert_eq!(messages.iter().filter(|message| dead(message)).count(), 6);
}
