//! Compares the cost of an event in step-observer and in two other plugin systems, all measured
//! together: `./run.sh`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]

mod peers;

use peers::Peer;
use serde_json::Value;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;
use step_observer::event::structured;
use step_observer::plugin::{Chain, Outcome, PluginEngine, PluginSource, PluginSpec};
use step_observer::step::{Envelope, EventContext};

/// A failed step, as an event of step-observer.
const EVENT: &str = include_str!("../../../plugins/filter-events/cases/kept/in.json");

/// Number of rounds; all systems run in each round.
const ROUNDS: usize = 15;

/// Target duration of one measurement in microseconds. A measurement has 1 to 500 calls, so it may
/// be longer or shorter.
const SLICE_US: f64 = 10_000.0;

/// Distance between secrets in the log, in bytes.
const SECRET_EVERY: usize = 2048;

/// One row of the tables.
struct Case {
    task: &'static str,
    what: &'static str,
    size: usize,
    envelope: Envelope,
    /// The event as the peers receive it.
    bytes: Vec<u8>,
    /// Expected result; `None` if the event is dropped.
    expected: Option<Value>,
}

enum System {
    Ours(Chain),
    Peer(Peer),
}

/// The measured part of the work.
#[derive(Clone, Copy)]
enum Span {
    /// The call only, from input to output: an event in step-observer, JSON in the peers.
    Call,
    /// The work from an event in memory to the JSON that is sent.
    Whole,
}

fn main() {
    let guests: PathBuf = std::env::args_os().nth(1).unwrap_or_default().into();
    let engine = PluginEngine::new().unwrap();
    println!("{}\n", versions());
    let mut call = Vec::new();
    let mut whole = Vec::new();
    let mut names = Vec::new();
    for task in ["only-failures", "mask"] {
        let mut systems = systems(&engine, &guests, task);
        names = systems.iter().map(|(name, _)| *name).collect();
        for case in cases(task) {
            for (name, system) in &mut systems {
                check(name, system, &case);
            }
            call.push(row(&case, &measure(&mut systems, &case, Span::Call)));
            whole.push(row(&case, &measure(&mut systems, &case, Span::Whole)));
        }
    }
    println!(
        "Microseconds per event: median of {ROUNDS} rounds that take turns (least of them), ratio to step-observer in the same round.\n"
    );
    table(
        "The plugin call alone: event to event here, JSON to JSON in the peers",
        &names,
        &call,
    );
    table(
        "From an event in memory to the JSON that is sent",
        &names,
        &whole,
    );
}

fn systems(engine: &PluginEngine, guests: &Path, task: &str) -> Vec<(&'static str, System)> {
    let module = |system: &str| guests.join(format!("{system}-{task}.wasm"));
    let spec = PluginSpec::new(task, PluginSource::File(module("step-observer")));
    let ours = System::Ours(Chain::load(engine, &[spec]).unwrap());
    let extism = std::fs::read(module("extism")).unwrap();
    let wapc = std::fs::read(module("wapc")).unwrap();
    let mut systems = vec![("step-observer (fresh)", ours)];
    let peers = [
        ("extism, reused", Peer::extism_reused(&extism)),
        ("extism, fresh", Peer::extism_fresh(&extism, false)),
        ("extism, fresh, pooled", Peer::extism_fresh(&extism, true)),
        ("waPC, reused", Peer::wapc_reused(&wapc)),
        ("waPC, fresh", Peer::wapc_fresh(&wapc, false)),
        ("waPC, fresh, pooled", Peer::wapc_fresh(&wapc, true)),
    ];
    systems.extend(peers.map(|(name, peer)| (name, System::Peer(peer))));
    systems
}

fn cases(task: &'static str) -> Vec<Case> {
    let kinds: &[_] = match task {
        "mask" => &[("masked", "failed")],
        _ => &[("kept", "failed"), ("dropped", "succeeded")],
    };
    let mut cases = Vec::new();
    for &(what, phase) in kinds {
        for size in [0, 4 * 1024, 256 * 1024] {
            let (log, masked) = log(size);
            let event = event(phase, &log);
            let expected = match what {
                "masked" => Some(self::event(phase, &masked)),
                "kept" => Some(event.clone()),
                _ => None,
            };
            let envelope = Envelope {
                event: serde_json::from_value(event).unwrap(),
                context: EventContext::default().into(),
            };
            let bytes = structured(&envelope.event).unwrap().to_vec();
            cases.push(Case {
                task,
                what,
                size,
                envelope,
                bytes,
                expected,
            });
        }
    }
    cases
}

fn event(phase: &str, log: &str) -> Value {
    let text = EVENT.replace(".step.failed.v1", &format!(".step.{phase}.v1"));
    let mut event: Value = serde_json::from_str(&text).unwrap();
    *event.pointer_mut("/data/log").unwrap() = log.into();
    event
}

/// Returns a build log, and the same log with its secrets masked.
fn log(size: usize) -> (String, String) {
    let (mut log, mut masked) = (String::new(), String::new());
    let mut secrets = 0;
    let mut number = 0;
    while log.len() < size {
        number += 1;
        let line = format!(
            "[{number}] compiling module {number} of shop/web, 0 warnings, key points: none\n"
        );
        log.push_str(&line);
        masked.push_str(&line);
        if log.len() / SECRET_EVERY > secrets {
            secrets += 1;
            let secret = if secrets % 2 == 0 {
                format!("password=hunter2-{secrets}")
            } else {
                format!("ghp_abcdefghijklmnopqrstuvwxyz{secrets:010}")
            };
            log.push_str(&format!("registry login with {secret} succeeded\n"));
            masked.push_str("registry login with [redacted] succeeded\n");
        }
    }
    (log, masked)
}

/// Checks that all systems give the same result: otherwise a comparison has no meaning.
fn check(name: &str, system: &mut System, case: &Case) {
    // Twice, because a reused instance must not keep data of the first event.
    for _ in 0..2 {
        let found = match system {
            System::Ours(chain) => match chain.process(case.envelope.clone()) {
                Outcome::Deliver(envelope, report) => {
                    assert!(report.failures().next().is_none(), "{report:?}");
                    Some(structured(&envelope.event).unwrap().to_vec())
                }
                Outcome::Dropped(_) | Outcome::Blocked { .. } => None,
            },
            System::Peer(peer) => Some(peer.call(&case.bytes)).filter(|bytes| !bytes.is_empty()),
        };
        let found = found.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
        assert!(
            found == case.expected,
            "{name} is wrong in {} {} with a log of {} bytes",
            case.task,
            case.what,
            case.size
        );
    }
}

/// Measured times of one system.
struct Times {
    median: f64,
    least: f64,
    /// Time of the system divided by the time of step-observer in the same round: the median of all
    /// rounds.
    ratio: f64,
}

fn measure(systems: &mut [(&str, System)], case: &Case, span: Span) -> Vec<Times> {
    let calls: Vec<usize> = systems
        .iter_mut()
        .map(|(_, system)| {
            let once = time(system, case, span, 3);
            ((SLICE_US / once) as usize).clamp(1, 500)
        })
        .collect();
    let mut times = vec![Vec::new(); systems.len()];
    let mut ratios = times.clone();
    for _ in 0..ROUNDS {
        let mut ours = None;
        for (index, (_, system)) in systems.iter_mut().enumerate() {
            let time = time(system, case, span, calls[index]);
            times[index].push(time);
            ratios[index].push(time / *ours.get_or_insert(time));
        }
    }
    times
        .into_iter()
        .zip(ratios)
        .map(|(times, ratios)| Times {
            least: times.iter().copied().fold(f64::INFINITY, f64::min),
            median: median(times),
            ratio: median(ratios),
        })
        .collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Measures microseconds per event.
fn time(system: &mut System, case: &Case, span: Span, calls: usize) -> f64 {
    let start;
    match system {
        System::Ours(chain) => {
            // The call consumes the event, so its copies are made before the measurement.
            let copies = vec![case.envelope.clone(); calls];
            start = Instant::now();
            for envelope in copies {
                let outcome = chain.process(envelope);
                if let (Span::Whole, Outcome::Deliver(envelope, _)) = (span, &outcome) {
                    black_box(structured(&envelope.event).unwrap());
                }
                black_box(outcome);
            }
        }
        System::Peer(peer) => {
            start = Instant::now();
            for _ in 0..calls {
                black_box(match span {
                    Span::Call => peer.call(&case.bytes),
                    Span::Whole => peer.call(&structured(&case.envelope.event).unwrap()),
                });
            }
        }
    }
    start.elapsed().as_secs_f64() * 1e6 / calls as f64
}

fn row(case: &Case, systems: &[Times]) -> String {
    let size = match case.size {
        0 => "none".to_owned(),
        size => format!("{} KiB", size / 1024),
    };
    let mut row = format!("| {}, {} | {size} |", case.task, case.what);
    for Times {
        median,
        least,
        ratio,
    } in systems
    {
        row.push_str(&format!(" {median:.1} ({least:.1}) ×{ratio:.1} |"));
    }
    row
}

fn table(title: &str, names: &[&str], rows: &[String]) {
    println!("**{title}**\n");
    println!("| task | log | {} |", names.join(" | "));
    println!("|---|---|{}", "--:|".repeat(names.len()));
    for row in rows {
        println!("{row}");
    }
    println!();
}

/// Returns the compared versions, from the lock file.
fn versions() -> String {
    let lock = include_str!("../Cargo.lock");
    let find = |name: &str| {
        let mut found = Vec::new();
        let mut lines = lock.lines();
        while let Some(line) = lines.next() {
            if line == format!("name = \"{name}\"") {
                let version = lines.next().unwrap_or_default();
                found.push(version.replace("version = ", "").replace('"', ""));
            }
        }
        format!("{name} {}", found.join(" and "))
    };
    [
        "step-observer",
        "extism",
        "wapc",
        "wasmtime-provider",
        "wasmtime",
    ]
    .map(find)
    .join(", ")
}
