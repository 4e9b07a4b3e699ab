//! Cost of a chain by its length, and latency of events while a plugin is loaded: `cargo xtask
//! bench`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use step_observer::event;
use step_observer::plugin::{
    Chain, Compiler, CompilerProgram, Outcome, Plugin, PluginEngine, PluginSource, PluginSpec,
    sample_event,
};
use step_observer::step::Envelope;
use step_observer_tests::budget::Budget;
use step_observer_tests::guest;
use step_observer_tests::program::Program;

/// Lengths of chains.
const LENGTHS: [usize; 4] = [1, 2, 4, 8];
/// Number of measured windows. During every second window, plugins are loaded.
const WINDOWS: usize = 60;
const WINDOW: Duration = Duration::from_secs(2);
/// Time between two events: the machine is busy, but not fully loaded.
const PAUSE: Duration = Duration::from_micros(500);

fn main() -> ExitCode {
    let program = CompilerProgram::new(Program::path(), vec!["compile-plugin".into()]);
    let engine = PluginEngine::new().unwrap();
    let engine = engine.with_compiler(Compiler::Process(program));
    let envelope = event::from_json(sample_event()).unwrap();
    let mut budget = Budget::of("chains");
    growth(&engine, &envelope, &mut budget);
    while_loading(&engine, &envelope, &mut budget);
    budget.finish()
}

fn plugin(engine: &PluginEngine, number: usize) -> Arc<Plugin> {
    let source = PluginSource::File(guest("passthrough"));
    let spec = PluginSpec::new(format!("passthrough-{number}"), source);
    Arc::new(Plugin::load(engine, &spec).unwrap())
}

/// Checks that each further plugin costs as much as the first.
fn growth(engine: &PluginEngine, envelope: &Envelope, budget: &mut Budget) {
    let plugins: Vec<_> = (0..8).map(|number| plugin(engine, number)).collect();
    let chains = LENGTHS.map(|length| Chain::new(engine, plugins[..length].to_vec(), 0));
    let mut times: [Vec<f64>; LENGTHS.len()] = Default::default();
    for _ in 0..25 {
        for (chain, times) in chains.iter().zip(&mut times) {
            let mut event = envelope.clone();
            let began = Instant::now();
            for _ in 0..100 {
                let Outcome::Deliver(next, _) = chain.process(event) else {
                    panic!("not delivered")
                };
                event = *next;
            }
            times.push(began.elapsed().as_secs_f64() * 1e4);
        }
    }
    println!("plugins in the chain, us per event, us per plugin");
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    for (length, time) in LENGTHS.into_iter().zip(medians) {
        println!("{length:>4}{time:>12.1}{:>12.1}", per(time, length));
    }
    let ratio = per(medians[3], 8) / per(medians[0], 1);
    // The memory of a single plugin stays in the caches of the processor. Eight plugins need 1.5
    // MiB, so each of them may cost more.
    budget.check("plugin in a chain of 8 / alone", ratio);
}

fn per(time: f64, length: usize) -> f64 {
    time / f64::from(u32::try_from(length).unwrap())
}

/// Measures latencies with and without a plugin being compiled in the background.
fn while_loading(engine: &PluginEngine, envelope: &Envelope, budget: &mut Budget) {
    let chain = Chain::new(engine, vec![plugin(engine, 0)], 0);
    let (mut alone, mut beside, mut loads) = (Vec::new(), Vec::new(), 0);
    for window in 0..WINDOWS {
        if window % 2 == 0 {
            alone.push(latencies(&chain, envelope));
            continue;
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let source = PluginSource::File(guest("redact-secrets"));
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    black_box(
                        Plugin::load(engine, &PluginSpec::new("other", source.clone())).unwrap(),
                    );
                    count += 1;
                }
                count
            });
            beside.push(latencies(&chain, envelope));
            stop.store(true, Ordering::Relaxed);
            loads += loading.join().unwrap();
        });
    }
    // Uses the middle windows only, because other load causes outliers.
    let (alone, beside) = (middle(alone), middle(beside));
    println!(
        "\np99 of an event: {alone:.1} us, {beside:.1} us while plugins are loaded ({loads} loads)"
    );
    budget.check("p99 while plugins are loaded / otherwise", beside / alone);
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Returns the 99th percentile in microseconds.
fn latencies(chain: &Chain, envelope: &Envelope) -> f64 {
    let mut times = Vec::new();
    let end = Instant::now() + WINDOW;
    while Instant::now() < end {
        let event = envelope.clone();
        let began = Instant::now();
        black_box(chain.process(event));
        times.push(began.elapsed().as_secs_f64() * 1e6);
        std::thread::sleep(PAUSE);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}
