//! Cost of plugins, as ratios within one run: `cargo xtask bench`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use cloudevents::event::Data;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use step_observer::plugin::{Chain, Outcome, PluginEngine, PluginSource, PluginSpec};
use step_observer::redact::{Engine as Redactor, Options, RedactionCounts, ScanLimits};
use step_observer::step::{Envelope, EventContext};
use step_observer_tests::budget::Budget;
use step_observer_tests::measure::median;
use step_observer_tests::{guest, path};
use wasmtime::component::{Component, ComponentType, Lift, Linker, Resource, ResourceType};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

/// The smallest component of the same world: it keeps every event and reads nothing.
const EMPTY: &str = include_str!("empty.wat");

fn main() -> ExitCode {
    let engine = PluginEngine::new().unwrap();
    let passthrough = std::fs::read(guest("passthrough")).unwrap();
    let bare_rust = bare_call(&step_observer_tests::wrap(&passthrough), "0.1.1");
    let bare_wat = bare_call(&step_observer_tests::component(EMPTY), "0.1.0");
    let mut ours_rust = chain(&engine, "passthrough", true);
    let empty = PluginSource::bytes(EMPTY.as_bytes());
    let mut ours_wat = Chain::load(&engine, &[PluginSpec::new("empty", empty)]).unwrap();
    let started = Instant::now();
    let mut configured = chain(&engine, "redact-secrets", true);
    let loading = started.elapsed();
    let mut each = chain(&engine, "redact-secrets", false);

    println!("plugin cost, per event, median of rounds that take turns\n");
    let small = envelope("hello1\n");
    let mut times: [Vec<f64>; 6] = Default::default();
    for _ in 0..15 {
        let round = [
            time(200, &bare_rust),
            events(200, &mut ours_rust, &small),
            time(200, &bare_wat),
            events(200, &mut ours_wat, &small),
            events(200, &mut configured, &small),
            // Configures the plugin for every event. The time is the sum of the cost in the
            // instance and the cost of its rules in the host.
            events(20, &mut each, &small) + time(2, || drop(black_box(native_redactor()))),
        ];
        times
            .iter_mut()
            .zip(round)
            .for_each(|(all, one)| all.push(one));
    }
    let [bare_rust, ours_rust, bare_wat, ours_wat, once, each] = times.map(median);
    line(
        "bare wasmtime: instantiate and call an empty plugin in Rust",
        bare_rust,
    );
    line(
        "passthrough, fresh and configured, with its event",
        ours_rust,
    );
    line(
        "bare wasmtime: instantiate and call 500 bytes of WAT",
        bare_wat,
    );
    line("the same, fresh and configured, with its event", ours_wat);
    line(
        "redact-secrets: compile, configure",
        loading.as_secs_f64() * 1e6,
    );
    line("redact-secrets, configured once", once);
    line("redact-secrets, configured for every event", each);

    let log = noise(1024 * 1024);
    let large = envelope(&log);
    let redactor = native_redactor();
    let data = data_without_log(&large);
    let (mut plugin_us, mut native_us) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        plugin_us.push(events_from(3, &configured, &large));
        native_us.push(time(3, || {
            let limits = ScanLimits {
                growth: usize::MAX,
                deadline: Instant::now() + Duration::from_secs(60),
            };
            let mut counts = RedactionCounts::default();
            let mut data = data.clone();
            redactor.mask_json(&mut data, &mut counts, limits).unwrap();
            black_box((
                redactor
                    .mask(&log, &mut counts, limits)
                    .unwrap()
                    .into_owned(),
                data,
            ));
        }));
    }
    let [plugin, native] = [plugin_us, native_us].map(median);
    line("redact-secrets on a log of 1 MiB", plugin);
    line("the same rules called natively", native);

    println!();
    let mut budget = Budget::of("cost");
    budget.check("passthrough / bare wasmtime", ours_rust / bare_rust);
    budget.check("500 bytes of WAT / bare wasmtime", ours_wat / bare_wat);
    budget.check("configured for every event / configured once", each / once);
    budget.check("native time / plugin time on 1 MiB", native / plugin);
    budget.check("microseconds of passthrough with its event", ours_rust);
    budget.check("microseconds of redact-secrets on an event of 2 KiB", once);
    let loading_ms = loading.as_secs_f64() * 1e3;
    budget.check("milliseconds to load redact-secrets", loading_ms);
    budget.finish()
}

fn line(what: &str, micros: f64) {
    println!("{what:<60}{micros:>12.1} us");
}

/// Returns microseconds per call.
fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    micros(start.elapsed(), calls)
}

fn micros(elapsed: Duration, calls: u32) -> f64 {
    elapsed.as_secs_f64() * 1e6 / f64::from(calls)
}

fn chain(engine: &PluginEngine, name: &str, snapshot: bool) -> Chain {
    let mut spec = PluginSpec::new(name, PluginSource::File(guest(name)));
    spec.snapshot = snapshot;
    Chain::load(engine, &[spec]).unwrap()
}

/// Passes the result of one call to the next, so that no event is copied.
fn events(calls: u32, chain: &mut Chain, event: &Envelope) -> f64 {
    let mut envelope = event.clone();
    let start = Instant::now();
    for _ in 0..calls {
        let Outcome::Deliver(next, _) = chain.process(envelope) else {
            panic!("not delivered")
        };
        envelope = *next;
    }
    micros(start.elapsed(), calls)
}

/// Passes a copy of the same event to each call; the copies are made before the measurement.
fn events_from(calls: u32, chain: &Chain, event: &Envelope) -> f64 {
    let copies: Vec<Envelope> = (0..calls).map(|_| event.clone()).collect();
    let start = Instant::now();
    for envelope in copies {
        let Outcome::Deliver(next, report) = chain.process(envelope) else {
            panic!("not delivered")
        };
        assert!(
            report.calls.iter().any(|call| call.masked.total() > 0)
                && report.failures().next().is_none(),
            "{report:?}"
        );
        black_box(next);
    }
    micros(start.elapsed(), calls)
}

fn envelope(log: &str) -> Envelope {
    let case = std::fs::read(path("../plugins/passthrough/cases/keeps/in.json")).unwrap();
    let mut event: cloudevents::Event = serde_json::from_slice(&case).unwrap();
    let (datacontenttype, _, data) = event.take_data();
    let Some(Data::Json(mut data)) = data else {
        panic!("no data")
    };
    if let Some(members) = data.as_object_mut() {
        members.insert("log".to_owned(), log.into());
    }
    event.set_data(datacontenttype.unwrap_or_default(), data);
    Envelope {
        event,
        context: EventContext::default().into(),
    }
}

fn data_without_log(envelope: &Envelope) -> serde_json::Value {
    let Some(Data::Json(data)) = envelope.event.data() else {
        panic!("no data")
    };
    let mut data = data.clone();
    if let Some(members) = data.as_object_mut() {
        members.remove("log");
    }
    data
}

/// Returns output of real tools, with a secret after every 500 lines.
fn noise(size: usize) -> String {
    let lines = include_str!("../../host/src/cli/plugin/ordinary.log").split_inclusive('\n');
    let mut log = String::with_capacity(size + 200);
    for (number, line) in lines.cycle().enumerate() {
        if log.len() >= size {
            break;
        }
        log.push_str(line);
        if number % 500 == 0 {
            log.push_str("registry token is npm_9z8y7x6w5v4u3t2s1r0qponmlkjihgfedcba\n");
        }
    }
    log
}

/// The engine of `redact-secrets` without configuration.
fn native_redactor() -> Redactor {
    Redactor::new(&Options::default()).unwrap()
}

enum BareEvent {}

#[derive(ComponentType, Lift)]
#[component(variant)]
#[allow(dead_code, reason = "only its shape matters")]
enum Verdict {
    #[component(name = "keep")]
    Keep,
    #[component(name = "drop")]
    Drop(String),
}

/// Calls the component of a version of the contract with bare wasmtime: no limits, no deadline, no
/// event.
fn bare_call(bytes: &[u8], contract: &str) -> impl Fn() + use<> {
    let mut config = Config::new();
    config.wasm_component_model(true).concurrency_support(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(
        PoolingAllocationConfig::new(),
    ));
    let engine = Engine::new(&config).unwrap();
    let component = Component::new(&engine, bytes).unwrap();
    let mut linker: Linker<()> = Linker::new(&engine);
    let mut events = linker
        .instance(&format!("step-observer:plugin/events@{contract}"))
        .unwrap();
    events
        .resource("event", ResourceType::host::<BareEvent>(), |_, _| Ok(()))
        .unwrap();
    linker.define_unknown_imports_as_traps(&component).unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let transform = component
        .get_export_index(None, format!("step-observer:plugin/transform@{contract}"))
        .unwrap();
    let process = component
        .get_export_index(Some(&transform), "process")
        .unwrap();
    move || {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let process = instance
            .get_typed_func::<(Resource<BareEvent>,), (Result<Verdict, String>,)>(
                &mut store, process,
            )
            .unwrap();
        let (answer,) = process
            .call(&mut store, (Resource::new_borrow(0),))
            .unwrap();
        black_box(answer.is_ok());
    }
}
