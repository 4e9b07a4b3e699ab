//! Changes of the configuration at run time.
use serde_json::Value;
use std::path::Path;
use step_observer_tests::admin::{admin_address, get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::observer::Observer;
use step_observer_tests::sink::HttpSink;

/// Events of one run of [`finished_run`].
const PER_RUN: usize = 2;

/// Returns a configuration with one sink, and with a plugin that writes a label of the run and a
/// word into its events.
fn config(journal: &Path, sink: &HttpSink, word: &str) -> String {
    format!(
        "lookBack: 1000000h\n\
         journal: {{directory: '{}'}}\n\
         admin: {{listen: '127.0.0.1:0'}}\n\
         plugins: [{{name: enrich, from: {{bundled: enrich-run}}, config: {{constants: {{word: {word}}}}}}}]\n\
         sinks: [{{name: all, to: {{http: {{url: '{}'}}}}}}]\n",
        journal.display(),
        sink.url
    )
}

fn show(server: &ApiServer, number: usize) {
    for event in finished_run(number) {
        server.play(&event);
    }
}

fn words(sink: &HttpSink) -> Vec<String> {
    let requests = sink.requests();
    let words = requests.iter().map(|request| request.header("ce-word"));
    words.map(str::to_owned).collect()
}

/// Waits until `count` changes were applied.
async fn applied(address: &str, count: u64) {
    let line = format!("config_reloads_total{{outcome=\"applied\"}} {count}\n");
    get_until(address, "/metrics", |_, body| body.contains(&line)).await;
}

#[tokio::test]
async fn sinks_and_plugins_change_while_it_runs_and_each_event_comes_once() {
    let (server, journal) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let (first, second) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    let before = config(journal.path(), &first, "before");
    let mut observer = Observer::with_config(&server, &before, &[]);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    show(&server, 1);
    first.wait_for(PER_RUN).await;

    observer.replace_config(&config(journal.path(), &second, "after"));
    applied(&address, 1).await;
    show(&server, 2);
    second.wait_for(PER_RUN).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(words(&first), ["before"; PER_RUN]);
    assert_eq!(words(&second), ["after"; PER_RUN]);
}

#[tokio::test]
async fn series_of_a_removed_sink_end_with_its_configuration() {
    let (server, journal) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let sink = HttpSink::start(vec![]).await;
    let before = config(journal.path(), &sink, "word");
    let mut observer = Observer::with_config(&server, &before, &[]);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    show(&server, 1);
    let delay = |sink: &str, count: usize| {
        format!("step_observer_event_delay_seconds_count{{sink=\"{sink}\"}} {count}\n")
    };
    let delivered = delay("all", PER_RUN);
    get_until(&address, "/metrics", |_, body| body.contains(&delivered)).await;

    observer.replace_config(&before.replace("name: all", "name: other"));
    applied(&address, 1).await;
    let begun = delay("other", 0);
    let (_, metrics) = get_until(&address, "/metrics", |_, body| body.contains(&begun)).await;
    assert!(!metrics.contains("sink=\"all\""), "{metrics}");
    show(&server, 2);
    let delivered = delay("other", PER_RUN);
    get_until(&address, "/metrics", |_, body| body.contains(&delivered)).await;
    observer.stop().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_changes_nothing() {
    let (server, journal) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let (sink, elsewhere) = (HttpSink::start(vec![]).await, tempfile::tempdir().unwrap());
    let good = config(journal.path(), &sink, "good");
    let mut observer = Observer::with_config(&server, &good, &[]);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    let moved = config(elsewhere.path(), &sink, "good");
    for (number, (bad, remedy)) in [
        (good.replace("sinks:", "sink:"), "unknown field"),
        (good.replace("enrich-run", "enrich-rum"), "enrich-rum"),
        (moved, "`journal` cannot change while the observer runs"),
    ]
    .into_iter()
    .enumerate()
    {
        observer.replace_config(&bad);
        let refused = format!(
            "config_reloads_total{{outcome=\"refused\"}} {}\n",
            number + 1
        );
        get_until(&address, "/metrics", |_, body| body.contains(&refused)).await;
        let (_, status) = get(&address, "/status").await;
        let status: Value = serde_json::from_str(&status).unwrap();
        let told = status["configuration"]["lastRefusal"].as_str().unwrap();
        assert!(told.contains(remedy), "{told}");
        assert_eq!(status["ready"], true, "{status:#}");
        show(&server, number);
        sink.wait_for(PER_RUN * (number + 1)).await;
    }
    let (_, metrics) = get(&address, "/metrics").await;
    assert!(metrics.contains("config_last_reload_successful 0\n"));
    // Restores the previous file: nothing to apply, and nothing refused any more.
    observer.replace_config(&good);
    let settled = |_: u16, body: &str| body.contains("config_last_reload_successful 1\n");
    get_until(&address, "/metrics", settled).await;
    assert_eq!(words(&sink), ["good"; 3 * PER_RUN]);
    observer.stop().await;
}

#[tokio::test]
async fn the_backlog_is_delivered_under_the_new_configuration() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let down = HttpSink::start(vec![(503, vec![]); 10_000]).await;
    let text = |sink: &HttpSink| {
        format!(
            "lookBack: 1000000h\nadmin: {{listen: '127.0.0.1:0'}}\n\
             sinks: [{{name: all, to: {{http: {{url: '{}'}}}}}}]\n",
            sink.url
        )
    };
    // Without a journal, only the process has these events.
    let mut observer = Observer::with_config(&server, &text(&down), &[]);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    show(&server, 1);
    down.wait_for(1).await;
    let waiting = format!("sink_waiting{{sink=\"all\"}} {PER_RUN}\n");
    get_until(&address, "/metrics", |_, body| body.contains(&waiting)).await;
    for event in finished_run(1) {
        server.lose(&event);
    }
    observer.replace_config(&text(&sink));
    sink.wait_for(PER_RUN).await;
    observer.stop().await;
}

#[tokio::test]
async fn transitions_during_a_change_are_emitted_once() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let journal = tempfile::tempdir().unwrap();
    let named = |word: &str| config(journal.path(), &sink, word);
    let mut observer = Observer::with_config(&server, &named("w0"), &[]);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    let (changes, runs) = (5, 100);
    let mut number = 0;
    for change in 1..=changes {
        observer.replace_config(&named(&format!("w{change}")));
        let showing = async {
            for _ in 0..runs / changes {
                show(&server, number);
                number += 1;
                sink.wait_for(number * PER_RUN / 2).await;
            }
        };
        tokio::join!(showing, applied(&address, change as u64));
    }
    sink.wait_for(runs * PER_RUN).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let requests = sink.requests();
    let mut ids: Vec<&str> = requests
        .iter()
        .map(|request| request.header("ce-id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        (ids.len(), requests.len()),
        (runs * PER_RUN, runs * PER_RUN)
    );
}

#[tokio::test]
async fn only_plugins_that_changed_are_compiled_again() {
    let (server, journal) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let sink = HttpSink::start(vec![]).await;
    let config = |word| {
        let second = ", {name: mask, from: {bundled: redact-secrets}}, {name: mask-again, from: {bundled: redact-secrets}}]\n";
        config(journal.path(), &sink, word).replace("]\nsinks", &format!("{second}sinks"))
    };
    let log = ["--log", "info,step_observer::plugin=debug"];
    let mut observer = Observer::with_config(&server, &config("before"), &log);
    let address = admin_address(&mut observer).await;
    observer.replace_config(&config("after"));
    applied(&address, 1).await;
    server.wait_for_watches(4).await;
    show(&server, 1);
    sink.wait_for(PER_RUN).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(words(&sink), ["after"; PER_RUN]);
    // The first plugin with both of its configurations, and the file of the others once.
    let compiled = log.matches("the process that compiled a plugin has ended");
    assert_eq!(compiled.count(), 3, "{log}");
}
