//! `tap` of a server in place of an observer, which closes connections, refuses requests and sends hostile messages.

use serde_json::{Value, json};
use step_observer_tests::sink::PATIENCE;
use step_observer_tests::tap::{ScriptedObserver, Tap, runs, send, send_empty_snapshot};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

#[tokio::test]
async fn a_lost_connection_is_made_again_and_nothing_is_shown_twice_or_missed() {
    let server = ScriptedObserver::start().await;
    let mut tap = Tap::start(&["--observer", &server.url]);
    let (head, mut first) = server.stream().await;
    assert!(
        head.starts_with("get /page/stream ") && !head.contains("last-event-id"),
        "{head}"
    );
    let snapshot =
        |runs| json!({"process": "a", "now": "2026-11-22T13:00:00Z", "runs": runs, "later": 1});
    send(
        &mut first,
        "snapshot",
        "a-0",
        snapshot(runs("one", &[("x", "running")])),
    )
    .await;
    send(&mut first, "later", "a-7", json!(1)).await;
    send(
        &mut first,
        "change",
        "a-1",
        json!({"runs": runs("one", &[("x", "failed"), ("y", "skipped")])}),
    )
    .await;
    assert_eq!(tap.words(2).await, ["failed ci one x", "skipped ci one y"]);
    drop(first);
    assert!(
        tap.note()
            .await
            .starts_with(&format!("reconnecting to {}: ", server.url))
    );
    server
        .refuse("HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")
        .await;
    // It continues after the last change.
    let (head, mut second) = server.stream().await;
    assert!(head.contains("last-event-id: a-1\r\n"), "{head}");
    send(
        &mut second,
        "change",
        "a-2",
        json!({"gone": ["one"], "runs": runs("two", &[("x", "running")])}),
    )
    .await;
    assert_eq!(tap.words(1).await, ["started ci two x"]);
    assert!(tap.note().await.starts_with("connected to "));
    drop(second);
    assert!(tap.note().await.starts_with("reconnecting to "));
    // The observer has restarted: what was shown before is known.
    let (_, mut third) = server.stream().await;
    send_empty_snapshot(&mut third, "b").await;
    send(
        &mut third,
        "change",
        "b-1",
        json!({"runs": runs("one", &[("x", "failed"), ("y", "skipped")])}),
    )
    .await;
    send(
        &mut third,
        "change",
        "b-2",
        json!({"runs": runs("two", &[("x", "succeeded")])}),
    )
    .await;
    assert_eq!(tap.words(1).await, ["succeeded ci two x"]);
    let (code, rest, _) = tap.interrupt().await;
    assert_eq!((code, &*rest), (Some(0), ""));
}

#[tokio::test]
async fn a_refusal_or_a_hostile_server_ends_it_with_a_clear_error() {
    for (answer, expected) in [
        (
            "HTTP/1.1 403 No\r\ncontent-length: 9\r\n\r\nno \u{1b}[2J!",
            &[
                "(403): no \\u{1b}[2J",
                "nonResourceURLs",
                "/page/events/*",
                "--token-file",
            ][..],
        ),
        ("HTTP/1.1 421 No\r\ncontent-length: 0\r\n\r\n", &["(421)"]),
        (
            "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            &["404", "no observer"],
        ),
        (
            "HTTP/1.1 302 No\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n",
            &["302", "no observer"],
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nevent: snapshot\ndata: {\"process\": secret\n\n",
            &["no JSON"],
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nevent: change\ndata: {\"runs\": \"secret\"}\n\n",
            &["another type"],
        ),
        ("SSH-2.0-server\r\n", &["no observer answers"]),
    ] {
        let server = ScriptedObserver::start().await;
        let tap = Tap::start(&["--observer", &server.url]);
        server.refuse(answer).await;
        let (code, output, notes) = tap.end().await;
        assert_eq!((code, &*output), (Some(1), ""), "{answer}");
        for text in expected {
            assert!(notes.contains(text), "{answer}: {notes}");
        }
        assert!(
            !notes.contains('\u{1b}') && !notes.contains("secret"),
            "{notes}"
        );
    }
    let server = ScriptedObserver::start().await;
    let tap = Tap::start(&["--observer", &server.url]);
    let (_, mut endless) = server.stream().await;
    endless.write_all(b"data: ").await.unwrap();
    let piece = vec![b'x'; 64 * 1024];
    // Ends when the tap closes the connection.
    let flooded = async {
        loop {
            if endless.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    let flooded = timeout(PATIENCE, flooded).await;
    flooded.expect("the connection is closed at the bound");
    let (code, _, notes) = tap.end().await;
    assert_eq!(code, Some(1));
    assert!(notes.contains("more than 8388608 bytes"), "{notes}");
}

#[tokio::test]
async fn an_event_is_waited_for_and_one_that_is_no_longer_kept_is_named() {
    let server = ScriptedObserver::start().await;
    let mut tap = Tap::start(&["--observer", &server.url, "--json"]);
    let (_, mut stream) = server.stream().await;
    let run = |uid: &str, id: &str| {
        let event = json!({"id": id, "phase": "failed"});
        let step = json!({"key": "k", "name": "k", "state": "failed", "events": [event]});
        json!([{"uid": uid, "namespace": "ci", "taskRun": uid, "steps": [step]}])
    };
    send_empty_snapshot(&mut stream, "a").await;
    send(
        &mut stream,
        "change",
        "a-1",
        json!({"runs": run("one", "a b/c")}),
    )
    .await;
    let answer = async |body: Value| {
        let body = body.to_string();
        let (head, mut connection) = server.request().await;
        let head_of_answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        connection
            .write_all((head_of_answer + &body).as_bytes())
            .await
            .unwrap();
        head
    };
    let head = answer(json!({"sinks": [{"name": "late"}]})).await;
    assert!(
        head.starts_with("get /page/events/a%20b%2fc http"),
        "{head}"
    );
    let body = json!({"mode": "structured", "text": "{\"id\":\"a b/c\u{202e}\"}", "bytes": 17});
    answer(json!({"sinks": [{"name": "late", "body": 0}], "bodies": [body]})).await;
    assert_eq!(tap.line().await, "{\"id\":\"a b/c\\u202e\"}");
    send(
        &mut stream,
        "change",
        "a-2",
        json!({"runs": run("two", "gone")}),
    )
    .await;
    answer(json!({"sinks": [{"name": "late", "gone": true}]})).await;
    assert_eq!(
        tap.note().await,
        "event gone is left out: it is no longer kept"
    );
    send(
        &mut stream,
        "change",
        "a-3",
        json!({"runs": run("three", "unknown")}),
    )
    .await;
    server
        .refuse("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(
        tap.note().await,
        "event unknown is left out: it is no longer kept"
    );
    // A sink that gets no event is waited for no longer than until the event is accepted.
    send(
        &mut stream,
        "change",
        "a-4",
        json!({"runs": run("four", "dropped")}),
    )
    .await;
    answer(json!({"sinks": [], "history": [{"is": "accepted", "sinks": []}]})).await;
    send(
        &mut stream,
        "change",
        "a-5",
        json!({"runs": run("five", "cut")}),
    )
    .await;
    let cut = json!({"mode": "structured", "text": "{\"id", "bytes": 2_000_000});
    answer(json!({"sinks": [{"name": "late", "body": 0}], "bodies": [cut]})).await;
    assert!(
        tap.note()
            .await
            .contains("the event has 2000000 bytes, of which")
    );
    let (code, rest, notes) = tap.interrupt().await;
    assert_eq!((code, &*rest, &*notes), (Some(0), "", ""));
}

#[tokio::test]
async fn hostile_names_reach_no_terminal_unescaped() {
    let server = ScriptedObserver::start().await;
    let mut tap = Tap::start(&["--observer", &server.url]);
    let (_, mut stream) = server.stream().await;
    send_empty_snapshot(&mut stream, "a").await;
    let text = "evil\u{1b}]0;title\u{7}\r\nforged\u{202e}".to_owned() + &"x".repeat(70_000);
    let step = json!({"key": "k", "name": text, "state": "failed", "reason": text});
    let run = json!({"uid": "u", "namespace": text, "taskRun": text, "pipelineRun": text, "pipelineTask": text, "steps": [step]});
    send(&mut stream, "change", "a-1", json!({"runs": [run]})).await;
    let line = tap.line().await;
    assert!(
        line.contains("evil\\u{1b}]0;title\\u{7}\\r\\nforged\\u{202e}"),
        "{line}"
    );
    assert!(
        !line.contains(char::is_control) && line.len() < 4_000,
        "{line}"
    );
    tap.interrupt().await;
}

#[tokio::test]
async fn several_observers_are_merged() {
    let servers = [
        ScriptedObserver::start().await,
        ScriptedObserver::start().await,
    ];
    let mut tap = Tap::start(&["--observer", &servers[0].url, "--observer", &servers[1].url]);
    for (server, name) in servers.iter().zip(["one", "two"]) {
        let (_, mut stream) = server.stream().await;
        send_empty_snapshot(&mut stream, "a").await;
        send(
            &mut stream,
            "change",
            "a-1",
            json!({"runs": runs(name, &[("x", "running")])}),
        )
        .await;
        assert_eq!(tap.words(1).await, [format!("started ci {name} x")]);
    }
    tap.interrupt().await;
}
