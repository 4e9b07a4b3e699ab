//! Time of conditions: `cargo bench -p step-observer-cel --bench conditions`.
//!
//! Fails if an ordinary condition takes more than [`MAX_RATIO`] times as long as the same condition of globs and
//! lookups by JSON Pointer, if a log that no expression names makes it slower, or if an expression is found
//! that takes longer than [`MAX_WORST`]. Times are medians and minima of rounds that take turns, so that a busy machine changes
//! little.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use step_observer_cel::{Attribute, Condition, EventView, Schema};
use step_observer_event_model::{Phase, glob, matches_any};

/// Of an ordinary condition to globs and lookups.
const MAX_RATIO: f64 = 3.0;

/// Of an ordinary condition on an event with a log to one without.
const MAX_LOG_RATIO: f64 = 1.3;

/// Longest evaluation on an event of 64 KiB.
const MAX_WORST: Duration = Duration::from_millis(1);

const ORDINARY: &str = "event.type.endsWith('.failed.v1') && has(labels.team) && labels.team == 'shop' \
    && data.taskRun.namespace.startsWith('ci-') && data.exitCode > 1";

const ROUNDS: usize = 15;
const EVENT_BYTES: usize = 64 * 1024;

struct BenchEvent(Value);

const TYPE: &str = "dev.tekton.event.plugin.step.failed.v1";

impl EventView for BenchEvent {
    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        (name == "type").then(|| Attribute::Text(TYPE.into()))
    }

    fn data(&self) -> &Value {
        &self.0
    }
}

fn main() -> ExitCode {
    let schema = Schema::new(&json!({"type": "object"}), &["type"]);
    let compile = |source: &str| Condition::compile(source, &schema).unwrap();
    let small = BenchEvent(ordinary(""));
    let large = BenchEvent(ordinary(&"a line of a log\n".repeat(EVENT_BYTES / 16)));
    let condition = compile(ORDINARY);
    assert_eq!(condition.matches(&large), Ok(true));
    assert!(structured(&large.0));
    let (mut cel, mut with_log, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        cel.push(time(2000, || condition.matches(black_box(&small)).is_ok()));
        with_log.push(time(2000, || condition.matches(black_box(&large)).is_ok()));
        members.push(time(2000, || structured(black_box(&small.0))));
    }
    let [cel, with_log, members] = [cel, with_log, members].map(median);
    println!("an ordinary condition: {cel:?}, with a log in the event {with_log:?}");
    println!("the same with globs and lookups: {members:?}");
    let ratios = [
        ("to globs and lookups", cel, members, MAX_RATIO),
        ("with a log to without", with_log, cel, MAX_LOG_RATIO),
    ];
    let mut is_within = true;
    for (name, one, other, most) in ratios {
        let ratio = one.as_secs_f64() / other.as_secs_f64();
        println!("ratio {name}: {ratio:.2}, at most {most}");
        is_within &= ratio <= most;
    }
    let compiling = median(
        (0..ROUNDS)
            .map(|_| time(20, || compile(ORDINARY).source().len() > 1))
            .collect(),
    );
    println!("to compile it: {compiling:?}");
    let (worst, source) = worst(&schema);
    println!("longest evaluation found: {worst:?}, at most {MAX_WORST:?}: {source}");
    is_within &= worst <= MAX_WORST;
    match is_within {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn ordinary(log: &str) -> Value {
    json!({
        "labels": {"team": "shop", "tekton.dev/pipeline": "main", "tekton.dev/task": "build"},
        "taskRun": {"name": "main-1-build", "namespace": "ci-shop"},
        "stepState": {"name": "compile"},
        "exitCode": 2,
        "log": log,
    })
}

/// What the members of `match` do.
fn structured(data: &Value) -> bool {
    let text = |pointer: &str| {
        data.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let namespaces = ["ci-*".to_owned()];
    let label = data.get("labels").and_then(|labels| labels.get("team"));
    Phase::of_type(black_box(TYPE)) == Some(Phase::Failed)
        && matches_any(&namespaces, text("/taskRun/namespace"))
        && label
            .and_then(Value::as_str)
            .is_some_and(|label| glob("shop", label))
        && data.pointer("/exitCode").and_then(Value::as_i64) > Some(1)
}

/// Returns the longest time of expressions that use up their steps in different ways. Of each, the shortest of
/// several evaluations counts: the others were interrupted.
fn worst(schema: &Schema) -> (Duration, &'static str) {
    let labels: Map<String, Value> = (0..5000)
        .map(|i| (format!("l{i:05}"), json!("v")))
        .collect();
    let mut state = 1_u32;
    let bits: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 1 { '1' } else { '0' }
    })
    .take(EVENT_BYTES)
    .collect();
    let names: Vec<String> = (0..6000).map(|i| format!("s{i}")).collect();
    let event = BenchEvent(json!({
        "labels": labels,
        "names": names,
        "numbers": (0..6000).collect::<Vec<_>>(),
        "bits": bits,
        "log": "a".repeat(EVENT_BYTES),
        "accents": "é".repeat(EVENT_BYTES / 2),
        "step": {"a": {"b": {"c": {"d": "x"}}}},
    }));
    let sources = [
        "data.labels.all(k, k.startsWith('l'))",
        "data.labels.all(k, data.labels[k] == 'v')",
        "data.labels == data.labels && data.labels == data.labels",
        "data.log.split('').all(c, c == 'a')",
        "data.accents.reverse().reverse().reverse().reverse() == ''",
        "data.accents.lastIndexOf('éé') == 1 || data.accents.lastIndexOf('ée') == 1",
        "data.names.map(s, [s, s, s, s]).size() == 1",
        "data.names.map(s, {s: s}).size() == 1",
        "data.names.map(s, s.split('')).size() == 1",
        "data.names.all(s, s.trim().reverse().lowerAscii().upperAscii() != '')",
        "data.names.map(s, s.replace('', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')).size() == 1",
        "data.numbers.map(x, double(x)).map(y, string(y)).size() == 1",
        "data.numbers.all(x, [1, 2, 3, 4, 5, 6, 7, 8].size() == 8)",
        "data.numbers.all(x, double('1.7976931348623157e308') > 1.0)",
        "data.numbers.all(x, has(step.a.b.c.d))",
        "data.numbers.all(x, int('x') == 0 || true)",
        "data.bits.matches('[01]*1[01]{14}$') || data.bits.matches('[01]*1[01]{15}$')",
        "data.bits.matches('(0|1|01|11){10}x') || data.bits.matches('(0|1|01|111){10}x') || data.bits.matches('(0?1?){40}x') \
         || data.bits.matches('(1|0|10|01|100|001)*x') || data.bits.matches('[01]*1[01]{5}[^1]{2}$')",
    ];
    let measured = sources.map(|source| {
        let condition = Condition::compile(source, schema).unwrap();
        let times = (0..ROUNDS).map(|_| time(1, || condition.matches(&event).is_ok()));
        (times.min().unwrap_or_default(), source)
    });
    measured.into_iter().max().unwrap_or_default()
}

fn time(times: u32, run: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    for _ in 0..times {
        black_box(run());
    }
    began.elapsed() / times
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
