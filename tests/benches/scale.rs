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
use std::process::ExitCode;
use std::time::{Duration, Instant};
use step_observer_tests::budget::Budget;
use step_observer_tests::load_program::{Load, LoadProgram, Template};
use step_observer_tests::measure::ProcessUsage;
use step_observer_tests::recording::watch_events;

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
    let (seen, time) = feed(RUNS * EVENTS_PER_RUN, move |load| {
        let began = Instant::now();
        for line in 0..lines {
            load.write(&stages[line / RUNS].line(line % RUNS, None));
            let due = Duration::from_secs_f64(line as f64 / pace);
            if line % 100 == 0 {
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            if line % 10_000 == 0 {
                load.measure();
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
    let (seen, time) = feed(runs * EVENTS_PER_RUN, move |load| {
        let mut at: Timestamp = "2026-11-22T15:00:00Z".parse().unwrap();
        for run in 0..runs + RUNS {
            at += between;
            while load.delivered() + MAX_RUNS_AHEAD * EVENTS_PER_RUN
                < run.min(runs) * EVENTS_PER_RUN
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            for template in coming.iter().filter(|_| run < runs) {
                load.write(&template.line(run, Some(at)));
            }
            for template in going.iter().filter(|_| run >= RUNS) {
                load.write(&template.line(run - RUNS, Some(at)));
            }
            if run % 1000 == 0 {
                load.measure();
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

/// Starts the program, plays a load, and waits until its sink has all events.
async fn feed(
    events: usize,
    play: impl FnOnce(&mut Load<'_>) + Send + 'static,
) -> (Vec<ProcessUsage>, Duration) {
    let mut program = LoadProgram::start(&[]).await;
    let began = Instant::now();
    let seen = program.play(play).await;
    let time = began.elapsed();
    program.finish(events).await;
    (seen, time)
}
