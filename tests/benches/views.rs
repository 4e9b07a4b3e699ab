//! Measures what the views of the steps cost: the live page, without a reader and with ten, and the metrics
//! of steps at their bound. `cargo bench --bench views`.
//!
//! `STEP_OBSERVER_ROUNDS` is the number of rounds with the live page; the default is 5.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use serde_json::Value;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use step_observer_tests::admin::{ADMIN_ARGS, get};
use step_observer_tests::budget::Budget;
use step_observer_tests::live_page::PageStream;
use step_observer_tests::load_program::{Load, LoadProgram, Template};
use step_observer_tests::measure::median;
use step_observer_tests::recording::watch_events;
use tokio::task::JoinSet;

/// Default number of rounds. Each plays the same load three times.
const ROUNDS: usize = 5;
/// Runs that go through the whole recording at the same time.
const GROUP: usize = 100;
/// Groups, one after the other: 15,000 transitions in 15 s.
const GROUPS: usize = 25;
/// Events of a run: three steps that start and succeed.
const EVENTS_PER_RUN: usize = 6;
const TRANSITIONS_PER_SECOND: f64 = 1000.0;
/// Open pages of one round.
const PAGES: usize = 10;
/// Pipelines and tasks of the metrics: with three steps 12,000 label sets.
const PIPELINES: usize = 200;
const TASKS: usize = 20;
/// Bound of label sets per metric.
const LABEL_SETS: f64 = 1000.0;
/// Requests for the metrics.
const SCRAPES: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let rounds = std::env::var("STEP_OBSERVER_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut budget = Budget::of("views");
    pages(&mut budget, rounds).await;
    metrics(&mut budget).await;
    budget.finish()
}

/// Compares the processor time of the same load without the admin server, with the live page and no
/// reader, and with ten readers.
async fn pages(budget: &mut Budget, rounds: usize) {
    let (mut unused, mut open) = (Vec::new(), Vec::new());
    let mut memory = 0.0_f64;
    for round in 1..=rounds {
        let without = page_load(&[], 0).await;
        let no_reader = page_load(&ADMIN_ARGS, 0).await;
        let readers = page_load(&ADMIN_ARGS, PAGES).await;
        println!(
            "round {round}, seconds of processor time: {:.2} without an admin server, {:.2} with a live page that nobody reads, \
             {:.2} with {PAGES} readers",
            without.0, no_reader.0, readers.0
        );
        unused.push(no_reader.0 / without.0);
        open.push(readers.0 / no_reader.0);
        memory = memory.max(readers.1 - no_reader.1);
    }
    println!("{PAGES} readers: {memory:.1} MiB more at most");
    budget.check("live page without a reader / no live page", median(unused));
    budget.check("ten readers of the live page / none", median(open));
}

/// Plays the load once. Returns the processor time in seconds, and the resident memory at the end in MiB.
async fn page_load(arguments: &[&str], pages: usize) -> (f64, f64) {
    let mut program = LoadProgram::start(arguments).await;
    let mut readers = JoinSet::new();
    if !arguments.is_empty() {
        let address = program.admin_address().await;
        for _ in 0..pages {
            let mut page = PageStream::open(&address, &[]).await;
            assert_eq!(page.status, 200);
            readers.spawn(async move {
                let mut messages = 0;
                while page.skip().await {
                    messages += 1;
                }
                messages
            });
        }
    }
    let seen = program.play(groups).await;
    program.finish(GROUPS * GROUP * EVENTS_PER_RUN).await;
    for messages in readers.join_all().await {
        assert!(messages > GROUPS, "{messages} messages");
    }
    let last = seen.last().unwrap();
    (last.processor_seconds, last.resident_mib)
}

fn groups(load: &mut Load<'_>) {
    let stages: Vec<Template> = watch_events("a-success")
        .iter()
        .map(Template::new)
        .collect();
    let pace = TRANSITIONS_PER_SECOND * stages.len() as f64 / EVENTS_PER_RUN as f64;
    let began = Instant::now();
    let mut line = 0;
    for group in 0..GROUPS {
        for stage in &stages {
            for run in 0..GROUP {
                load.write(&stage.line(group * GROUP + run, None));
                line += 1;
                if line % 50 == 0 {
                    let due = Duration::from_secs_f64(f64::from(line) / pace);
                    std::thread::sleep(due.saturating_sub(began.elapsed()));
                }
            }
        }
    }
}

/// Measures `/metrics` after more runs of pipelines, tasks and steps than label sets are kept.
async fn metrics(budget: &mut Budget) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let config = folder.path().join("config.yaml");
    let settings = "stepMetrics: {labels: [namespace, pipeline, task, step]}\n";
    std::fs::write(&config, settings).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let mut program = LoadProgram::start(&[&config[..], &ADMIN_ARGS].concat()).await;
    let address = program.admin_address().await;
    program.play(ended_runs).await;
    let events = PIPELINES * TASKS * EVENTS_PER_RUN;
    program.wait_for(events).await;
    let mut times = Vec::new();
    let mut text = String::new();
    for _ in 0..SCRAPES {
        let began = Instant::now();
        text = get(&address, "/metrics").await.1;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    program.finish(events).await;
    let sets = text
        .lines()
        .filter(|line| line.starts_with("step_observer_step_label_sets{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .fold(0.0, f64::max);
    println!(
        "{PIPELINES} pipelines of {TASKS} tasks with three steps: {sets:.0} label sets of a metric, {} KiB of metrics",
        text.len() / 1024
    );
    budget.check("label sets of a metric / bound", sets / LABEL_SETS);
    budget.check("milliseconds for all metrics", median(times));
}

/// Each run appears in its final state, with a pipeline and a task of its own.
fn ended_runs(load: &mut Load<'_>) {
    let events = watch_events("a-success");
    let templates = ["TaskRun", "Pod"].map(|kind| {
        let last = events
            .iter()
            .rfind(|event| event["object"]["kind"] == kind)
            .unwrap();
        let mut event = last.clone();
        event["type"] = "ADDED".into();
        let labels = &mut event["object"]["metadata"]["labels"];
        for (label, value) in [("pipeline", "pipeline=of=run"), ("task", "task=of=run")] {
            labels[format!("tekton.dev/{label}")] = Value::from(value);
        }
        Template::new(&event)
    });
    for run in 0..PIPELINES * TASKS {
        for template in &templates {
            let line = template.line(run, None);
            let line = line.replace("pipeline=of=run", &format!("pipeline-{}", run % PIPELINES));
            load.write(&line.replace("task=of=run", &format!("task-{}", run / PIPELINES)));
        }
    }
}
