//! Measures the speed of masking on one log: `cargo run --release [FILE]`. Compares step-observer's
//! engine with its whole catalogue, `redact` of VRL (the language of Vector) with the same
//! patterns, and detect-secrets if Python has it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};
use step_observer_redact::{Engine, Options, RedactionCounts, ScanLimits, catalog};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, Program, TargetValue, TimeZone};
use vrl::value::{Secrets, Value};

/// Rounds in which the programs take turns.
const ROUNDS: usize = 5;

fn main() {
    let default = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../host/src/cli/plugin/ordinary.log"
    );
    let file = std::env::args()
        .nth(1)
        .unwrap_or_else(|| default.to_owned());
    let once = std::fs::read_to_string(&file).expect("the file is a text");
    let text = once.repeat(1 + 1024 * 1024 / once.len());
    let engine = Engine::new(&Options::default()).expect("the catalogue compiles");
    let program = vrl_program();
    let (mut ours, mut whole, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(speed(&text, || mask(&engine, &text)));
        whole.push(speed(&text, || redact(&program, &text)));
        lines.push(speed(&text, || {
            text.lines().for_each(|line| redact(&program, line))
        }));
    }
    let ours = median(ours);
    println!("{ours:8.2} MiB/s  step-observer, kinds and forms");
    for (name, speeds) in [
        ("VRL, the log as one event", whole),
        ("VRL, an event per line", lines),
    ] {
        let speed = median(speeds);
        println!(
            "{speed:8.2} MiB/s  {name}: {:.0} times slower",
            ours / speed
        );
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/detect_secrets_speed.py");
    let output = Command::new("python3").args([script, &file]).output();
    match output.ok().filter(|output| output.status.success()) {
        Some(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let speed: f64 = text
                .split_whitespace()
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(f64::NAN);
            println!(
                "{speed:8.2} MiB/s  detect-secrets: {:.0} times slower",
                ours / speed
            );
        }
        None => println!("     n/a        detect-secrets: pip install detect-secrets"),
    }
}

fn mask(engine: &Engine, text: &str) {
    let limits = ScanLimits {
        growth: usize::MAX,
        deadline: Instant::now() + Duration::from_secs(600),
    };
    let masked = engine.mask(text, &mut RedactionCounts::default(), limits);
    masked.expect("masked in time");
}

/// Returns a program that redacts a message with the patterns of the catalogue.
fn vrl_program() -> Program {
    // Omits patterns with a quotation mark: a regular expression in VRL is quoted with it, and
    // cannot contain it.
    let patterns = catalog::kinds()
        .map(|kind| kind.pattern)
        .filter(|pattern| !pattern.contains('\''));
    let filters: Vec<String> = patterns.map(|pattern| format!("r'{pattern}'")).collect();
    let source = format!(
        ".message = redact(string!(.message), filters: [{}])",
        filters.join(", ")
    );
    let compiled = vrl::compiler::compile(&source, &vrl::stdlib::all());
    match compiled {
        Ok(compiled) => compiled.program,
        Err(errors) => panic!("{} errors in the program", errors.len()),
    }
}

fn redact(program: &Program, message: &str) {
    let mut target = TargetValue {
        value: Value::from(BTreeMap::from([("message".into(), Value::from(message))])),
        metadata: Value::Object(BTreeMap::new()),
        secrets: Secrets::default(),
    };
    let (mut state, zone) = (RuntimeState::default(), TimeZone::default());
    let mut context = Context::new(&mut target, &mut state, &zone);
    program.resolve(&mut context).expect("redacted");
}

fn speed(text: &str, work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    text.len() as f64 / 1024.0 / 1024.0 / began.elapsed().as_secs_f64()
}

fn median(mut speeds: Vec<f64>) -> f64 {
    speeds.sort_by(f64::total_cmp);
    speeds[speeds.len() / 2]
}
