//! Configures a plugin once, and makes of its memory afterwards the component that every event
//! starts from.

use super::bindings::exports::step_observer::plugin::transform as wit;
use super::bindings::{Plugin as Guest, PluginPre};
use super::draft::RuleSets;
use super::engine::{Limits, PluginEngine};
use super::failure::Failure;
use super::host::Host;
use super::load::{LoadError, World};
use super::scrub::Scrubber;
use super::spec::PluginSpec;
use super::wasi;
use crate::redact::{MAX_LARGE, MAX_RULES, MAX_VALUES, Rule, Scanner};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::warn;
use wasmtime::component::{Component, Linker};

/// A plugin, configured.
pub(super) struct Configured {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) rule_sets: Arc<RuleSets>,
    /// The rule sets as they were declared: name, ids of the rules, number of values.
    pub(super) declared: Vec<(String, Vec<String>, usize)>,
    pub(super) pre: PluginPre<Host>,
    /// The memory after `configure` could not be kept: each instance must be configured with this.
    pub(super) configure_each: Option<String>,
}

/// Compiles and configures.
pub(super) fn configure(
    engine: &PluginEngine,
    spec: &PluginSpec,
    component: &[u8],
) -> Result<Configured, LoadError> {
    let label: Arc<str> = spec.name.as_str().into();
    let config = spec.config.to_string();
    let compiled = engine
        .compile(component)
        .map_err(|error| compile_error(&error))?;
    let plain = pre(engine, &compiled)?;
    let limits = configure_limits(&spec.limits);
    let mut store = PluginEngine::store(&engine.run, &limits, label.clone(), Arc::default(), None);
    let answer = plain.instantiate(&mut store).and_then(|guest: Guest| {
        guest
            .step_observer_plugin_transform()
            .call_configure(&mut store, &config)
    });
    let setup = match answer {
        Ok(Ok(setup)) => setup,
        Ok(Err(reason)) => {
            // What it says may quote its configuration, which may hold secrets: no rules yet.
            return Err(LoadError::Configure(Scrubber::default().line(&reason, 512)));
        }
        Err(error) => {
            let failure = Failure::of(&error, store.data().limits.refused, &limits);
            return Err(LoadError::ConfigureTrapped(match failure {
                Failure::Time(ms) => {
                    format!("it ran for more than {ms} ms (limits.configureMs)")
                }
                failure => failure.to_string(),
            }));
        }
    };
    drop(store);
    let wit::Setup {
        name,
        version,
        rule_sets,
    } = setup;
    let line = |text: &str| Scrubber::default().line(text, MAX_NAME);
    bound_rules(&rule_sets)?;
    let declared = rule_sets.iter().map(declared).collect();
    let mut compiled_sets = RuleSets::new();
    let mut large = 0;
    for set in rule_sets {
        let (name, scanner) = compile_rules(set)?;
        large += scanner.large_patterns();
        // Before the next set is compiled.
        if large > MAX_LARGE {
            return Err(LoadError::LargeRules);
        }
        compiled_sets.push((name, scanner));
    }
    let rule_sets = compiled_sets;
    let snapshotted = if spec.snapshot {
        take_snapshot(engine, &label, component, &config, &limits)
    } else {
        None
    };
    let (pre, configure_each) = match snapshotted {
        Some(compiled) => (self::pre(engine, &compiled)?, None),
        None => (plain, Some(config)),
    };
    Ok(Configured {
        name: line(&name),
        version: line(&version),
        rule_sets: Arc::new(rule_sets),
        declared,
        pre,
        configure_each,
    })
}

/// Most rule sets of a plugin.
const MAX_SETS: usize = 16;

/// What one set may hold, all may hold together.
fn bound_rules(sets: &[wit::RuleSet]) -> Result<(), LoadError> {
    let rules: usize = sets.iter().map(|set| set.rules.len()).sum();
    let values: usize = sets.iter().map(|set| set.values.len()).sum();
    if sets.len() > MAX_SETS || rules > MAX_RULES || values > MAX_VALUES {
        return Err(LoadError::Rules);
    }
    Ok(())
}

/// Longest name, version or rule id in bytes, where they are shown.
const MAX_NAME: usize = 128;

fn declared(set: &wit::RuleSet) -> (String, Vec<String>, usize) {
    let line = |text: &String| Scrubber::default().line(text, MAX_NAME);
    let rules = set.rules.iter().map(|rule| line(&rule.id)).collect();
    (line(&set.name), rules, set.values.len())
}

fn configure_limits(limits: &Limits) -> Limits {
    Limits {
        time_ms: limits.configure_ms,
        memory_bytes: limits.memory_bytes,
        ..Limits::default()
    }
}

fn pre(engine: &PluginEngine, component: &Component) -> Result<PluginPre<Host>, LoadError> {
    engine
        .linker(component)
        .and_then(|linker| linker.instantiate_pre(component))
        .and_then(PluginPre::new)
        .map_err(|error| LoadError::Contract(format!("{error:#}")))
}

fn compile_error(error: &wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}

fn compile_rules(set: wit::RuleSet) -> Result<(String, Scanner), LoadError> {
    let wit::RuleSet {
        name,
        rules,
        values,
    } = set;
    let rules: Vec<Rule> = rules
        .into_iter()
        .map(
            |wit::Rule {
                 id,
                 pattern,
                 keywords,
                 replacement,
             }| Rule {
                id,
                pattern,
                keywords,
                replacement,
            },
        )
        .collect();
    match Scanner::new(&rules, &values) {
        Ok(scanner) => Ok((name, scanner)),
        Err(source) => Err(LoadError::RuleSet { set: name, source }),
    }
}

/// `None` where the memory cannot be kept; the plugin then works, only slower.
fn take_snapshot(
    engine: &PluginEngine,
    label: &Arc<str>,
    component: &[u8],
    config: &str,
    limits: &Limits,
) -> Option<Component> {
    let mut store = PluginEngine::store(&engine.setup, limits, label.clone(), Arc::default(), None);
    // What is handed over is the memory to keep, which `memory_bytes` bounds.
    store.set_hostcall_fuel(usize::MAX);
    let mut wizer = wasmtime_wizer::Wizer::new();
    // `package:name/interface.function@version`, of the version that the guest exports.
    let world = World::of(component).ok()?;
    let (interface, version) = world.transform()?.split_once('@')?;
    let config = wave_string(config);
    wizer.init_func(format!("{interface}.configure@{version}({config})"));
    wizer.keep_init_func(true);
    let ticks = limits.ticks();
    let snapshot = wizer.run_component(&mut store, component, async |store, component| {
        // Compiling took time that is not the guest's.
        store.set_epoch_deadline(ticks);
        // `configure` may not call the host: what it would see would not be there for the events.
        let mut linker = Linker::new(component.engine());
        wasi::deny(&mut linker, component)?;
        linker.define_unknown_imports_as_traps(component)?;
        linker.instantiate(store, component)
    });
    // It has panicked on what it did not expect; without it the plugin works, only slower.
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| futures::executor::block_on(snapshot)))
        .unwrap_or_else(|_| Err(wasmtime::format_err!("the snapshot panicked")));
    // A handle is worth nothing in the instances that start from this memory.
    let made = made.and_then(|(bytes, _)| match store.data().wasi_handles {
        0 => Ok(bytes),
        _ => Err(wasmtime::format_err!("it opens WASI handles")),
    });
    let compiled = made.and_then(|bytes| engine.compile(&bytes));
    match compiled {
        Ok(component) => Some(component),
        Err(error) => {
            // Not the error's text: it quotes the call, and with it the plugin's configuration.
            let failure = Failure::of(&error, store.data().limits.refused, limits).label();
            warn!(
                plugin = &**label,
                failure,
                "the configured plugin cannot be kept, it is configured anew for every event"
            );
            None
        }
    }
}

/// A string of the WebAssembly value encoding (WAVE).
fn wave_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
