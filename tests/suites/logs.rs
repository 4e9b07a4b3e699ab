//! Logs of any size: beginning and end are read, and no word is split.
use serde_json::Value;
use step_observer_tests::api_server::{ApiServer, Fault};
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::HttpSink;

/// Positions at which a log is truncated by default: 48 KiB are kept, with room for the marker.
const HEAD: usize = 24 * 1024 - 80;
const TAIL: usize = 24 * 1024;

/// Plays runs whose steps have ended, and returns the data of the end events, in the order of the
/// logs.
async fn ends(server: &ApiServer, config: &str, logs: &[String]) -> Vec<Value> {
    let sink = HttpSink::start(vec![]).await;
    let runs = logs.len().div_ceil(3);
    let name = |number: usize| {
        let step = ["build", "test", "deploy"][number % 3];
        format!("run-{:05}-pod-step-{step}", number / 3)
    };
    for (number, log) in logs.iter().enumerate() {
        server.set_log(&name(number), log);
    }
    for event in copies(&watch_events("a-success"), runs) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    let config = format!("{UNLIMITED_LOOK_BACK}{config}");
    let observer = Observer::with_config(server, &config, &["--to", &sink.url]);
    sink.wait_for(6 * runs).await;
    observer.stop().await;
    let data: Vec<Value> = sink
        .requests()
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let end = |number: usize| {
        let is_it = |data: &&Value| {
            let pod = data["podRef"]["name"].as_str().unwrap();
            let container = data["stepState"]["container"].as_str().unwrap();
            format!("{pod}-{container}") == name(number) && data["logInfo"].is_object()
        };
        data.iter().find(is_it).unwrap().clone()
    };
    (0..logs.len()).map(end).collect()
}

fn log(data: &Value) -> &str {
    data["log"].as_str().unwrap_or_else(|| panic!("{data:#}"))
}

/// Returns a line of at least `length` bytes without a line break: words with colours and
/// multi-byte characters, and each token at its position.
fn line_with(tokens: &[(usize, &str)], length: usize) -> String {
    let mut line = String::new();
    for (at, token) in tokens.iter().copied().chain([(length, "")]) {
        while line.len() + 40 < at {
            line.push_str("\u{1b}[32mgrün\u{1b}[0m \u{1f980}\r ok ");
        }
        line.push_str(&" ".repeat(at.saturating_sub(line.len())));
        line.push_str(token);
    }
    line
}

#[tokio::test]
async fn no_part_of_a_token_is_left_wherever_a_cut_falls() {
    let server = ApiServer::start().await;
    let long = "SECRET".repeat(2000);
    let logs: Vec<String> = (0..42)
        .map(|behind| {
            let token = match behind % 7 {
                0 => long.as_str(),
                _ => "GHP-ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ",
            };
            let length = 200_000;
            let behind = behind * token.len() / 42;
            let places = [HEAD - behind, length - TAIL - behind];
            line_with(&places.map(|at| (at, token)), length)
        })
        .collect();
    let told = ends(&server, "event: {maxBytes: off}\n", &logs).await;
    for (told, whole) in told.iter().zip(&logs) {
        assert!(whole.len() >= 200_000 && told["logInfo"]["bytes"] == whole.len());
        let kept = log(told);
        let (head, tail) = kept.split_once("[... ").unwrap();
        // Each token crosses a cut, so neither part may contain a character of a token.
        for part in [head, tail] {
            assert!(
                !part.contains(|char: char| char.is_ascii_uppercase()),
                "{part}"
            );
        }
        assert!(
            head.len() > 12_000 && tail.len() > 12_000,
            "{} {}",
            head.len(),
            tail.len()
        );
        assert!(whole.starts_with(head.trim_end()) && !kept.contains('\u{fffd}'));
    }
}

#[tokio::test]
async fn the_tail_is_that_of_the_whole_log_and_its_size_is_known() {
    let server = ApiServer::start().await;
    let line = "not the end\n";
    let long = line.repeat(20 * 1024 * 1024 / line.len());
    let logs = [
        long + "the end",
        "x".repeat(20 * 1024 * 1024),
        "x".repeat(48 * 1024),
    ];
    let told = ends(&server, "", &logs).await;
    for (told, whole) in told.iter().zip(&logs) {
        assert_eq!(told["logInfo"]["bytes"], whole.len());
        assert_eq!(told["logInfo"]["truncated"], whole.len() > 48 * 1024);
        assert!(told["logInfo"].get("atLeast").is_none() && log(told).len() <= 48 * 1024);
    }
    assert!(log(&told[0]).ends_with("not the end\nthe end"));
    // One word of 20 MiB: no part of it can be kept.
    assert_eq!(
        log(&told[1]),
        "[... 20971520 bytes of the log left out ...]\n"
    );
    assert_eq!(log(&told[2]), logs[2]);
}

#[tokio::test]
async fn both_ends_of_a_log_that_is_too_long_are_read() {
    let server = ApiServer::start().await;
    let log_of = |size: usize| {
        "the beginning\n".to_owned() + &"all the others\n".repeat(size / 15) + "the end\n"
    };
    // A log that is read up to its bound, a log that is read until half of the time has passed, and
    // a log that is only slow.
    let logs = [
        log_of(33 * 1024 * 1024),
        log_of(1_000_000),
        "one line\nand the end\n".to_owned(),
    ];
    let pod = "log run-00000-pod";
    server.script(&format!("{pod} step-test"), [Fault::StallAfter(500_000)]);
    server.script(&format!("{pod} step-deploy"), [Fault::StallAfter(12)]);
    let config = "log: {timeoutMs: 4000}\n";
    let told = ends(&server, config, &logs).await;
    for told in &told[..2] {
        assert!(
            log(told).starts_with("the beginning\n") && log(told).ends_with("others\nthe end\n")
        );
        assert_eq!(
            (&told["logInfo"]["truncated"], &told["logInfo"]["atLeast"]),
            (&true.into(), &true.into())
        );
        assert!(log(told).contains("[... at least ") && log(told).len() <= 48 * 1024);
        assert!(
            told["logInfo"].get("incomplete").is_none(),
            "{}",
            told["logInfo"]
        );
    }
    assert_eq!(log(&told[2]), logs[2]);
    assert_eq!(told[2]["logInfo"]["truncated"], false);
    assert_eq!(server.unused_faults(), 0);
}

#[tokio::test]
async fn an_incomplete_log_is_marked_and_delays_nothing() {
    let server = ApiServer::start().await;
    let logs = [
        "one line\nand another\n",
        "on and on\n",
        "one line\nand half of another\n",
    ]
    .map(str::to_owned);
    let pod = "log run-00000-pod";
    server.script(&format!("{pod} step-build"), [Fault::StallAfter(14); 2]);
    server.script(&format!("{pod} step-test"), [Fault::Endless; 2]);
    server.script(&format!("{pod} step-deploy"), [Fault::Cut(20)]);
    let told = ends(&server, "log: {timeoutMs: 1500}\n", &logs).await;
    for (told, reason) in told
        .iter()
        .zip(["not read within 1.5s", "not read within 1.5s", "error"])
    {
        let info = &told["logInfo"];
        let incomplete = info["incomplete"].as_str().unwrap();
        assert!(incomplete.contains(reason), "{info}");
        assert_eq!(
            (&info["truncated"], &info["atLeast"]),
            (&true.into(), &true.into())
        );
        assert!(
            log(told)
                .lines()
                .all(|line| logs.concat().contains(line) || line.starts_with("[... at least "))
        );
    }
    assert_eq!(log(&told[0]), "one line\n");
    assert_eq!(log(&told[2]), "one line\n");
    assert!(
        told[1]["logInfo"]["bytes"].as_u64() > Some(100_000),
        "{}",
        told[1]["logInfo"]
    );
    assert_eq!(server.unused_faults(), 0);
}
