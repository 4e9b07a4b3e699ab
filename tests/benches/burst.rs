//! Measures whether the memory of the whole program returns to its earlier size after a burst: runs
//! with large scripts, lists of hundreds of MB, large events and loads of plugins. `cargo bench
//! --bench burst`.
//!
//! `STEP_OBSERVER_BURST=scripts,logs,lists,loads` chooses parts of the burst; the default is all.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::budget::Budget;
use step_observer_tests::measure::ProcessUsage;
use step_observer_tests::observer::Observer;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::counting_sink;

/// Events of a run: three steps that start and succeed.
const EVENTS_PER_RUN: usize = 6;
/// Runs before the burst: each part of the program has then worked once.
const FIRST_RUNS: usize = 10;
/// Runs with large scripts.
const SCRIPT_RUNS: usize = 1000;
const SCRIPT_BYTES: usize = 300_000;
/// Runs with large logs: 9,999 events of 64 KB, in groups.
const LOG_RUNS: usize = 3333;
const GROUP: usize = 101;
const LOG_BYTES: usize = 60_000;
/// Number of changes of the configuration, and number of plugins after each change: about 100 loads,
/// 86 of which compile a plugin.
const RELOADS: usize = 10;
const PLUGINS: usize = 10;
/// Time without work after which memory is measured.
const QUIET: Duration = Duration::from_secs(60);
/// Number of measurements after that, and the time between them.
const SAMPLES: u32 = 30;
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait for one part of the burst.
const PATIENCE: Duration = Duration::from_secs(300);

struct Burst {
    server: ApiServer,
    observer: Observer,
    _journal: tempfile::TempDir,
    url: String,
    admin: String,
    delivered: Arc<AtomicUsize>,
    expected: usize,
    /// Number of runs so far, so that no name is used twice.
    runs: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut burst = Burst::start().await;
    burst.play(FIRST_RUNS, |_| {}, 100).await;
    let before = burst.rest("after the start").await;
    if plays("scripts") {
        burst.play(SCRIPT_RUNS, enlarge_script, 100).await;
        burst.usage("1,000 runs with scripts of 300 KB");
    }
    if plays("logs") {
        for _ in 0..LOG_RUNS / GROUP {
            burst.play(GROUP, |_| {}, LOG_BYTES).await;
        }
        burst.usage("9,999 events of 64 KB");
    }
    if plays("lists") {
        burst.list().await;
        burst.usage("lists of 300 MB");
    }
    if plays("loads") {
        burst.load_plugins().await;
        burst.usage("100 loads of plugins");
    }
    let after = burst.rest("after the burst").await;
    let mut budget = Budget::of("burst");
    budget.check("memory after the burst / before it", after / before);
    budget.finish()
}

/// Returns whether this part of the burst is played.
fn plays(part: &str) -> bool {
    let parts = std::env::var("STEP_OBSERVER_BURST");
    parts.map_or(true, |parts| parts.split(',').any(|chosen| chosen == part))
}

impl Burst {
    async fn start() -> Self {
        let server = ApiServer::start().await;
        let (url, delivered) = counting_sink().await;
        let journal = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let folder = journal.path().display().to_string();
        let arguments = [
            "--journal",
            &folder,
            "--log",
            "error,step_observer::admin=info",
        ];
        let arguments = [&arguments[..], &ADMIN_ARGS].concat();
        let mut observer = Observer::with_config(&server, &config(&url, 1, 0), &arguments);
        let admin = admin_address(&mut observer).await;
        server.wait_for_watches(2).await;
        Self {
            server,
            observer,
            _journal: journal,
            url,
            admin,
            delivered,
            expected: 0,
            runs: 0,
        }
    }

    /// Adds runs that have already ended, waits for their events, and deletes these runs.
    async fn play(&mut self, runs: usize, change: fn(&mut Value), log_bytes: usize) {
        let log = "compiling the next module of the widget\n".repeat(log_bytes.div_ceil(40));
        let first = self.runs;
        self.runs += runs;
        let events = copies(&watch_events("a-success"), self.runs);
        let events: Vec<Value> = events[first * 2..]
            .iter()
            .map(|event| {
                let mut event = serde_json::from_str(event).unwrap();
                change(&mut event);
                event
            })
            .collect();
        let pods = || {
            events
                .iter()
                .filter(|event| event["object"]["kind"] == "Pod")
        };
        let containers = |pod: &Value| {
            let name = pod["object"]["metadata"]["name"]
                .as_str()
                .unwrap()
                .to_owned();
            let statuses = pod["object"]["status"]["containerStatuses"].as_array();
            let names = statuses
                .unwrap()
                .iter()
                .map(move |status| format!("{name}-{}", status["name"].as_str().unwrap()));
            names.collect::<Vec<_>>()
        };
        let containers: Vec<String> = pods().flat_map(containers).collect();
        for container in &containers {
            self.server.set_log(container, &log);
        }
        for event in &events {
            self.server.play(event);
        }
        self.expected += runs * EVENTS_PER_RUN;
        self.wait(|burst| burst.delivered.load(Ordering::Relaxed) >= burst.expected)
            .await;
        for container in &containers {
            self.server.set_log(container, "");
        }
        for event in events {
            self.server.delete(event["object"].clone());
        }
    }

    /// Adds runs with large scripts, and makes the observer list all objects again.
    async fn list(&mut self) {
        let first = self.runs;
        self.runs += SCRIPT_RUNS;
        let events = copies(&watch_events("a-success"), self.runs);
        let objects = events[first * 2..].iter().map(|event| {
            let mut event: Value = serde_json::from_str(event).unwrap();
            enlarge_script(&mut event);
            event["object"].take()
        });
        let objects: Vec<Value> = objects.collect();
        for object in &objects {
            self.server.put(object.clone());
        }
        self.expected += SCRIPT_RUNS * EVENTS_PER_RUN;
        self.wait(|burst| burst.delivered.load(Ordering::Relaxed) >= burst.expected)
            .await;
        for _ in 0..3 {
            let watches = self.server.watches();
            self.server.forget_history();
            self.server.wait_for_watches(watches + 2).await;
        }
        for object in objects {
            self.server.delete(object);
        }
    }

    async fn load_plugins(&mut self) {
        for reload in 1..=RELOADS {
            // The last change returns to the configuration of the start.
            let plugins = if reload == RELOADS {
                1
            } else {
                PLUGINS + reload % 2
            };
            let folder = self.observer.folder.path();
            // Replaces the file at once, because the observer would read a half-written file as a
            // separate change.
            std::fs::write(folder.join("next.yaml"), config(&self.url, plugins, reload)).unwrap();
            std::fs::rename(folder.join("next.yaml"), folder.join("config.yaml")).unwrap();
            let applied = format!("config_reloads_total{{outcome=\"applied\"}} {reload}\n");
            let wait = async {
                while !get(&self.admin, "/metrics").await.1.contains(&applied) {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            };
            tokio::time::timeout(PATIENCE, wait).await.unwrap();
        }
    }

    async fn wait(&self, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        let delivered = self.delivered.load(Ordering::Relaxed);
        assert!(waited.is_ok(), "{delivered} of {} events", self.expected);
    }

    /// Returns the mean of the resident memory in a time without work, in MiB. It changes while the program
    /// is idle, because the program's text is unmapped at intervals.
    async fn rest(&self, when: &str) -> f64 {
        tokio::time::sleep(QUIET).await;
        self.usage(when);
        let mut sum = 0.0;
        for _ in 0..SAMPLES {
            tokio::time::sleep(SAMPLE_INTERVAL).await;
            sum += ProcessUsage::read(self.observer.child.id().unwrap()).resident_mib;
        }
        let mean = sum / f64::from(SAMPLES);
        println!("{when}, mean of {SAMPLES} s: resident {mean:.1} MiB");
        mean
    }

    fn usage(&self, when: &str) {
        let usage = ProcessUsage::read(self.observer.child.id().unwrap());
        println!("{when}: {usage}");
    }
}

/// Returns a configuration with `plugins` plugins. All but the first have a setting that `version` changes,
/// so that they are compiled again.
fn config(url: &str, plugins: usize, version: usize) -> String {
    let mut text = "lookBack: 1000000h\nlog: {maxBytes: 65536}\nplugins:\n".to_owned();
    for number in 0..plugins {
        let own = match number {
            0 => String::new(),
            _ => format!(", config: {{values: [value-{version}-of-plugin-{number}]}}"),
        };
        writeln!(
            text,
            "- {{name: redact-{number}, from: {{bundled: redact-secrets}}{own}}}"
        )
        .unwrap();
    }
    writeln!(
        text,
        "sinks: [{{name: http, to: {{http: {{url: '{url}'}}}}}}]"
    )
    .unwrap();
    text
}

fn enlarge_script(event: &mut Value) {
    if event["object"]["kind"] == "TaskRun" {
        let script = "echo compiling the next module\n".repeat(SCRIPT_BYTES / 31);
        event["object"]["spec"]["taskSpec"]["steps"][0]["script"] = script.into();
    }
}
