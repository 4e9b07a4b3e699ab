//! Measures processor time and resident memory of the whole program: with 10,000 runs at a time and 1,000 transitions a
//! second, and during an hour of runs that come and go. `cargo xtask bench`.
//!
//! `STEP_OBSERVER_CHURN=600000` simulates the hour; the default simulates six minutes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use step_observer_tests::budget::Budget;
use step_observer_tests::measure::ProcessUsage;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{renamed, watch_events};
use step_observer_tests::sink::counting_sink;

const RUNS: usize = 10_000;
/// Events of a run: three steps that start and succeed.
const EVENTS_PER_RUN: usize = 6;
const TRANSITIONS_PER_SECOND: f64 = 1000.0;
/// Default number of runs that come and go.
const CHURN_RUNS: usize = 60_000;
/// Limit of runs whose events the sink has not received yet, because the backlog is not measured
/// here.
const MAX_RUNS_AHEAD: usize = 1000;
/// Runs of a simulated hour.
const CHURN_PER_HOUR: usize = 600_000;

#[tokio::main]
async fn main() -> ExitCode {
    let mut budget = Budget::of("scale");
    live(&mut budget).await;
    churn(&mut budget).await;
    budget.finish()
}

/// All runs go through the whole recording at the same time.
async fn live(budget: &mut Budget) {
    let stages: Vec<Template> = watch_events("a-success")
        .iter()
        .map(Template::new)
        .collect();
    let lines = stages.len() * RUNS;
    let pace = TRANSITIONS_PER_SECOND * stages.len() as f64 / EVENTS_PER_RUN as f64;
    let (seen, time) = feed(RUNS * EVENTS_PER_RUN, move |write, sample, _| {
        let began = Instant::now();
        for line in 0..lines {
            write(&stages[line / RUNS].line(line % RUNS, None));
            let due = Duration::from_secs_f64(line as f64 / pace);
            if line % 100 == 0 {
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            if line % 10_000 == 0 {
                sample();
            }
        }
    })
    .await;
    let rate = (RUNS * EVENTS_PER_RUN) as f64 / time.as_secs_f64();
    let last = seen.last().unwrap();
    println!(
        "{RUNS} runs of three steps side by side, {lines} watch events, {rate:.0} transitions/s for {:.0} s",
        time.as_secs_f64(),
    );
    let most = seen
        .iter()
        .map(|usage| usage.resident_mib)
        .fold(0.0, f64::max);
    let processors = last.processor_seconds / time.as_secs_f64();
    budget.check("processors for 1,000 transitions per second", processors);
    budget.check("MiB with 10,000 runs side by side", most);
}

/// Each run appears in its final state, and is deleted when 10,000 others have appeared.
async fn churn(budget: &mut Budget) {
    let wanted = std::env::var("STEP_OBSERVER_CHURN");
    let runs = wanted.map_or(CHURN_RUNS, |runs| runs.parse().unwrap());
    let events = watch_events("a-success");
    let ended = |kind: &str, what: &str| {
        let mut event = events
            .iter()
            .rfind(|event| event["object"]["kind"] == kind)
            .unwrap()
            .clone();
        event["type"] = what.into();
        Template::new(&event)
    };
    let coming = [ended("TaskRun", "ADDED"), ended("Pod", "ADDED")];
    let going = [ended("Pod", "DELETED"), ended("TaskRun", "DELETED")];
    let between = SignedDuration::from_micros(3_600_000_000 / CHURN_PER_HOUR as i64);
    let (seen, time) = feed(runs * EVENTS_PER_RUN, move |write, sample, delivered| {
        let mut at: Timestamp = "2026-11-22T15:00:00Z".parse().unwrap();
        for run in 0..runs + RUNS {
            at += between;
            while delivered.load(Ordering::Relaxed) + MAX_RUNS_AHEAD * EVENTS_PER_RUN
                < run.min(runs) * EVENTS_PER_RUN
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            for template in coming.iter().filter(|_| run < runs) {
                write(&template.line(run, Some(at)));
            }
            for template in going.iter().filter(|_| run >= RUNS) {
                write(&template.line(run - RUNS, Some(at)));
            }
            if run % 1000 == 0 {
                sample();
            }
        }
    })
    .await;
    // Compares the peaks of two periods, because a compaction of the journal briefly needs more
    // memory. Only samples taken while runs still come count: after that, deletions follow at full
    // speed.
    let coming = runs / 1000;
    let most = |from: usize, to: usize| {
        let part = seen[coming * from / 10..coming * to / 10].iter();
        part.map(|usage| usage.resident_mib).fold(0.0, f64::max)
    };
    let (fifth, end) = (most(2, 4), most(8, 10));
    println!(
        "{runs} runs come and go, {RUNS} at a time, {:.0} simulated minutes in {:.0} s: {fifth:.1} MiB resident in the \
         second fifth, {end:.1} MiB in the last",
        runs as f64 / CHURN_PER_HOUR as f64 * 60.0,
        time.as_secs_f64()
    );
    budget.check("MiB in the last fifth of the churn", end);
    budget.check(
        "memory in the last fifth of the churn / in the second",
        end / fifth,
    );
}

/// A watch event as text, to be copied for many runs.
struct Template {
    text: String,
}

impl Template {
    fn new(event: &Value) -> Self {
        let mut event = event.clone();
        let at = event["at"].as_str().unwrap().to_owned();
        event["at"] = format!("@{at}@").into();
        Self {
            text: event.to_string(),
        }
    }

    /// Returns the line for the run with this number; `at` replaces the time of the recording.
    fn line(&self, run: usize, at: Option<Timestamp>) -> String {
        let (before, rest) = self.text.split_once('@').unwrap();
        let (own, after) = rest.split_once('@').unwrap();
        let at = at.map_or_else(|| own.to_owned(), |at| at.to_string());
        let text = format!("{before}{at}{after}\n");
        renamed(&text, &format!("run-{run:06}"), run)
    }
}

/// Starts the program with a pipe as input, to which `play` writes, and waits until its sink has
/// all events.
async fn feed(
    events: usize,
    play: impl FnOnce(&mut dyn FnMut(&str), &mut dyn FnMut(), &AtomicUsize) + Send + 'static,
) -> (Vec<ProcessUsage>, Duration) {
    let (url, count) = counting_sink().await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = "2026-11-22T13:04:10Z compiling another module of the widget\n".repeat(37);
    let logs = json!({"before-build": log, "before-test": log, "before-deploy": log});
    let file = folder.path().join("logs.json");
    std::fs::write(&file, logs.to_string()).unwrap();
    let mut observer = Program::new()
        .args(["replay", "-", "--log", "error", "--to", &url, "--logs"])
        .arg(&file)
        .arg("--journal")
        .arg(folder.path().join("journal"))
        .stdin(Stdio::piped())
        .spawn_std()
        .unwrap();
    let pipe = observer.stdin.take().unwrap();
    let id = observer.id();
    let began = Instant::now();
    let delivered = count.clone();
    let playing = tokio::task::spawn_blocking(move || {
        let mut pipe = BufWriter::new(pipe);
        let mut seen = Vec::new();
        play(
            &mut |line| pipe.write_all(line.as_bytes()).unwrap(),
            &mut || seen.push(ProcessUsage::read(id)),
            &delivered,
        );
        // The program ends when the pipe closes, so the last sample is taken before.
        seen.push(ProcessUsage::read(id));
        seen
    });
    let seen = playing.await.unwrap();
    let time = began.elapsed();
    let ended = tokio::task::spawn_blocking(move || wait(&mut observer));
    ended.await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), events);
    (seen, time)
}

fn wait(observer: &mut Child) {
    assert!(observer.wait().unwrap().success());
}
