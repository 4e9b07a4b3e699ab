//! Speed of masking: `cargo bench -p step-observer-redact --bench masking [-- [sweep] [FILE…]]`.
//!
//! Prints MiB/s of the whole catalogue on an ordinary log (the given files, or a generated text),
//! with and without characters outside ASCII. Also prints the slowdown on adversarial texts of 0.5,
//! 1 and 2 MiB.
//!
//! With `sweep`, prints instead the slowdown on repetitions of each keyword of each kind and form,
//! and of each example. They are repeated alone, and with texts that can stand before and after
//! them.
//!
//! Times are the CPU time of the process, so that a busy machine changes little.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a benchmark"
)]

mod sweep;
mod texts;

use std::hint::black_box;
use std::time::{Duration, Instant};
use step_observer_redact::{Engine, Options, RedactionCounts, ScanLimits};
use texts::{adversarial, fill, ordinary_log, word};

const MIB: usize = 1024 * 1024;

/// Largest slowdown on an adversarial text.
const MAX_SLOWDOWN: f64 = 10.0;

fn main() {
    let began = cpu_time();
    let engine = Engine::new(&Options::default()).unwrap();
    let built = cpu_time() - began;
    let values: Vec<String> = (0..1000)
        .map(|n| format!("kn0wn-{n}-{}", word(n, 18)))
        .collect();
    let valued = Engine::new(&Options {
        values,
        ..Options::default()
    })
    .unwrap();
    let args = std::env::args().skip(1);
    let (modes, files): (Vec<String>, Vec<String>) = args
        .filter(|arg| !arg.starts_with("--"))
        .partition(|arg| arg == "sweep");
    let ordinary = if files.is_empty() {
        ordinary_log(4 * MIB)
    } else {
        let texts = files.iter().map(|file| std::fs::read(file).unwrap());
        texts
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    };
    let marked: String = ordinary.lines().map(|line| format!("✓ {line}\n")).collect();
    let ascii: String = ordinary.chars().filter(char::is_ascii).collect();
    if !modes.is_empty() {
        sweep::sweep(&engine, &ascii);
        return;
    }
    println!(
        "building the engine: {:.1} ms\n",
        built.as_secs_f64() * 1000.0
    );
    println!("catalogue on an ordinary log\n");
    for (name, text) in [("ASCII", &ascii), ("with a ✓ in every line", &marked)] {
        let speed = median_speed(&engine, text);
        println!(
            "{speed:8.0} MiB/s  {name}, {:.1} MiB",
            text.len() as f64 / MIB as f64
        );
        let speed = median_speed(&valued, text);
        println!("{speed:8.0} MiB/s  the same with 1,000 known values");
    }
    println!("\nslowdown on adversarial texts: 0.5, 1 and 2 MiB; at most {MAX_SLOWDOWN}\n");
    let mut worst: f64 = 0.0;
    for (name, unit) in adversarial() {
        for (kind, engine) in [("", &engine), (", 1,000 known values", &valued)] {
            let base = median_speed(engine, &ascii);
            let slowdowns: Vec<f64> = [MIB / 2, MIB, 2 * MIB]
                .iter()
                .map(|size| {
                    let text = fill(&unit, *size);
                    base / speed_of(engine, &text).max(speed_of(engine, &text))
                })
                .collect();
            worst = slowdowns.iter().copied().fold(worst, f64::max);
            let shown: Vec<String> = slowdowns
                .iter()
                .map(|ratio| format!("{ratio:6.1}"))
                .collect();
            println!("{}  {name}{kind}", shown.join(" "));
        }
    }
    println!("\nworst {worst:.1}");
}

/// Returns the speed in MiB/s, the median of five scans.
fn median_speed(engine: &Engine, text: &str) -> f64 {
    let mut speeds: Vec<f64> = (0..5).map(|_| speed_of(engine, text)).collect();
    speeds.sort_by(f64::total_cmp);
    speeds[2]
}

fn speed_of(engine: &Engine, text: &str) -> f64 {
    let limits = ScanLimits {
        growth: usize::MAX,
        deadline: Instant::now() + Duration::from_secs(300),
    };
    let began = cpu_time();
    black_box(
        engine
            .mask(text, &mut RedactionCounts::default(), limits)
            .ok(),
    );
    text.len() as f64 / MIB as f64 / (cpu_time() - began).as_secs_f64()
}

/// Returns the CPU time that this process has taken.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap())
}
