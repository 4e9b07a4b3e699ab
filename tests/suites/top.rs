//! `step-observer top` in a pseudo terminal, with a real observer.

use std::process::Stdio;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::recording::{set_recorded_logs, watch_events};
use step_observer_tests::sink::HttpSink;
use step_observer_tests::terminal::TerminalSession;

const SIZE: (u16, u16) = (100, 30);

async fn observer_at(server: &ApiServer, sink: &HttpSink, address: &str) -> (Observer, String) {
    let args = ["--admin", address, "--to", &sink.url];
    let config = format!(
        "{UNLIMITED_LOOK_BACK}plugins: [{{name: enrich, from: {{bundled: enrich-run}}}}]\n"
    );
    let mut observer = Observer::with_config(server, &config, &args);
    let address = admin_address(&mut observer).await;
    observer.keep_log();
    (observer, address)
}

/// Starts an observer that has played a recording, and `top` of it.
async fn watched(
    environment: &[(&str, &str)],
) -> (ApiServer, HttpSink, Observer, String, TerminalSession) {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    set_recorded_logs(&server, "b-fail");
    let (observer, address) = observer_at(&server, &sink, ADMIN_ARGS[1]).await;
    let url = format!("http://{address}");
    let top = TerminalSession::start(&["top", "--observer", &url], environment, SIZE);
    top.shows(" ready").await;
    for event in watch_events("b-fail") {
        server.play(&event);
    }
    top.shows("exit 7").await;
    (server, sink, observer, address, top)
}

#[tokio::test]
async fn it_shows_runs_plugins_and_sinks_and_q_leaves_the_terminal_as_it_was() {
    let (_server, sink, observer, _, mut top) = watched(&[]).await;
    sink.wait_for(6).await;
    let drawn = top.shows("6 delivered").await;
    for text in [
        "step-observer 0.1.0 ready",
        "MiB",
        "up ",
        "RUNS 1",
        "+ succeeded",
        "x failed",
        "o skipped",
        "exit 7, Error",
        "PLUGINS 1",
        "enrich",
        "6 calls",
        "SINKS 1",
        "http-1",
    ] {
        assert!(drawn.contains(text), "{text}\n{drawn}");
    }
    assert_ne!(top.modes(), top.modes_before(), "raw mode");
    top.until(|screen| screen.alternate_screen() && screen.hide_cursor())
        .await;
    top.press("/no-such-run\r");
    top.shows("RUNS 0 of 1").await;
    top.press("/\u{1b}");
    top.shows(" RUNS 1 ").await;
    top.press("f");
    top.until(|screen| !screen.contents().contains("+ succeeded"))
        .await;
    // A small screen shows one pane.
    top.resize((40, 10));
    top.until(|screen| !screen.contents().contains("PLUGINS"))
        .await;
    top.press("\t");
    top.shows("PLUGINS 1").await;
    top.resize((250, 80));
    top.until(|screen| {
        screen.contents().contains("RUNS 1") && screen.contents().contains("SINKS 1")
    })
    .await;
    top.press("?");
    top.shows("any key closes this help").await;
    top.press("xq");
    let (status, _) = top.ended().await;
    assert_eq!(status.code(), Some(0));
    observer.stop().await;
}

#[tokio::test]
async fn every_end_leaves_the_terminal_as_it_was() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let (observer, address) = observer_at(&server, &sink, ADMIN_ARGS[1]).await;
    let url = format!("http://{address}");
    let start = async || {
        let top = TerminalSession::start(&["top", "--observer", &url], &[("NO_COLOR", "1")], SIZE);
        top.shows(" ready").await;
        top
    };
    for signal in ["TERM", "HUP", "INT"] {
        let top = start().await;
        send_signal(signal, top.process());
        assert_eq!(top.ended().await.0.code(), Some(0), "SIG{signal}");
    }
    for keys in ["q", "\u{3}", "\u{1b}"] {
        let mut top = start().await;
        top.press(keys);
        assert!(
            !String::from_utf8_lossy(&top.written()).contains("\u{1b}[32m"),
            "NO_COLOR"
        );
        assert_eq!(top.ended().await.0.code(), Some(0), "{keys:?}");
    }
    // Stopped and continued, it draws everything again.
    let mut top = start().await;
    top.press("\u{1a}");
    top.until(|screen| !screen.alternate_screen()).await;
    assert_eq!(top.modes(), top.modes_before());
    send_signal("CONT", top.process());
    top.until(|screen| screen.alternate_screen() && screen.contents().contains("RUNS 0"))
        .await;
    top.press("q");
    assert_eq!(top.ended().await.0.code(), Some(0));
    observer.stop().await;
}

#[tokio::test]
async fn it_reconnects_to_an_observer_that_comes_back() {
    let (server, sink, observer, address, mut top) = watched(&[]).await;
    send_signal("KILL", observer.child.id().unwrap());
    let drawn = top.shows("reconnecting").await;
    assert!(drawn.contains("x failed"), "what was known stays: {drawn}");
    let (next, _) = observer_at(&server, &sink, &address).await;
    top.shows("the observer has restarted").await;
    top.shows("x failed").await;
    top.press("q");
    assert_eq!(top.ended().await.0.code(), Some(0));
    next.stop().await;
}

#[tokio::test]
async fn an_error_is_an_ordinary_line() {
    // Nobody listens there. A free port could be taken by another test meanwhile.
    let url = "http://127.0.0.1:1";
    let top = TerminalSession::start(&["top", "--observer", url], &[], SIZE);
    let (status, text) = top.ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("error: no observer answers at"), "{text}");
    let output = Program::new()
        .args(["top", "--observer", url])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(
        problem.contains("needs a terminal") && problem.contains("step-observer tap --observer"),
        "{problem}"
    );
}
