//! Configures a plugin once, and makes of its memory afterwards the component that every event
//! starts from.

use super::bindings::exports::step_observer::plugin::transform as wit;
use super::bindings::{Plugin as Guest, PluginPre};
use super::draft::RuleSets;
use super::engine::{Limits, PluginEngine};
use super::failure::Failure;
use super::host::Host;
use super::load::{self, LoadError, World};
use super::refusals::Refusals;
use super::scrub::Scrubber;
use super::spec::{PluginSpec, Wasi};
use super::wasi;
use crate::redact::{MAX_LARGE, MAX_RULES, MAX_VALUES, Rule, RuleError, Scanner};
use serde::{Deserialize, Serialize};
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

/// What to compile, and what with. It crosses to another process: the configuration is not in its
/// arguments or environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    name: String,
    /// JSON text.
    config: String,
    limits: Limits,
    wasi: Wasi,
    snapshot: bool,
}

impl Order {
    pub(super) fn of(spec: &PluginSpec) -> Self {
        Self {
            name: spec.name.clone(),
            config: spec.config.to_string(),
            limits: spec.limits.clone(),
            wasi: spec.wasi,
            snapshot: spec.snapshot,
        }
    }
}

/// What `configure` answered, and whether its memory was kept. Goes with the machine code.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Prepared {
    name: String,
    version: String,
    rule_sets: Vec<DeclaredRules>,
    snapshotted: bool,
}

/// The contract's `rule-set`.
#[derive(Debug, Serialize, Deserialize)]
struct DeclaredRules {
    name: String,
    rules: Vec<Rule>,
    values: Vec<String>,
}

/// Compiles a module, configures it, and compiles it again with the memory that it then has. What
/// takes long and much memory is done here; the machine code fits every engine of this program.
pub(super) fn prepare(
    engine: &PluginEngine,
    order: &Order,
    module: &[u8],
) -> Result<(Prepared, Vec<u8>), LoadError> {
    let Order {
        name,
        config,
        limits,
        wasi,
        snapshot,
    } = order;
    let component = load::component(module, *wasi)?;
    let label: Arc<str> = name.as_str().into();
    let compiled = engine
        .compile(&component)
        .map_err(|error| compile_error(&error))?;
    let plain = pre(engine, &compiled)?;
    let limits = configure_limits(limits);
    let about_config = Arc::new(Scrubber::of_config(config));
    let configure = |config: &str| {
        let mut store = PluginEngine::store(
            &engine.run,
            &limits,
            label.clone(),
            about_config.clone(),
            None,
            None,
        );
        let answer = plain.instantiate(&mut store).and_then(|guest: Guest| {
            guest
                .step_observer_plugin_transform()
                .call_configure(&mut store, config)
        });
        answer.map_err(|error| Failure::of(&error, store.data().limits.refused, &limits))
    };
    let setup = match configure(config) {
        Ok(Ok(setup)) => setup,
        Ok(Err(reason)) => {
            let again = |config: &str| configure(config).ok()?.err();
            // What it says may quote its configuration, which may hold secrets.
            let masked = |reason: &str| about_config.line(reason, MAX_REASON);
            let refusals = Refusals::find(config, reason, again, masked);
            return Err(LoadError::Configure(refusals));
        }
        Err(failure) => {
            return Err(LoadError::ConfigureTrapped(match failure {
                Failure::Time(ms) => {
                    format!("it ran for more than {ms} ms (limits.configureMs)")
                }
                failure => about_config.line(&failure.to_string(), 512),
            }));
        }
    };
    let wit::Setup {
        name,
        version,
        rule_sets,
    } = setup;
    bound_rules(&rule_sets)?;
    let rule_sets: Vec<_> = rule_sets.into_iter().map(DeclaredRules::from).collect();
    check_patterns(&rule_sets)?;
    let snapshotted = snapshot
        .then(|| take_snapshot(engine, &label, &component, config, &limits))
        .flatten();
    let prepared = Prepared {
        name,
        version,
        rule_sets,
        snapshotted: snapshotted.is_some(),
    };
    let code = snapshotted.as_ref().unwrap_or(&compiled).serialize();
    Ok((prepared, code.map_err(|error| compile_error(&error))?))
}

/// Makes what was prepared ready to be called.
pub(super) fn finish(
    engine: &PluginEngine,
    order: &Order,
    prepared: Prepared,
    code: &[u8],
) -> Result<Configured, LoadError> {
    let Prepared {
        name,
        version,
        rule_sets: sets,
        snapshotted,
    } = prepared;
    let declared = sets.iter().map(DeclaredRules::shown).collect();
    let mut rule_sets = RuleSets::new();
    for set in sets {
        let scanner = Scanner::checked_before(&set.rules, &set.values);
        let scanner = scanner.map_err(|source| set.refused(source))?;
        rule_sets.push((set.name, scanner));
    }
    let component = engine
        .restore(code)
        .map_err(|error| compile_error(&error))?;
    let line = |text: &str| Scrubber::default().line(text, MAX_NAME);
    Ok(Configured {
        name: line(&name),
        version: line(&version),
        rule_sets: Arc::new(rule_sets),
        declared,
        pre: pre(engine, &component)?,
        configure_each: (!snapshotted).then(|| order.config.clone()),
    })
}

/// Longest reason that a plugin gives for refusing its configuration, in bytes.
const MAX_REASON: usize = 1024;

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

/// Compiles all patterns, and forgets them: the host compiles what its events call for.
fn check_patterns(sets: &[DeclaredRules]) -> Result<(), LoadError> {
    let mut large = 0;
    for set in sets {
        let scanner = Scanner::new(&set.rules, &set.values);
        large += scanner
            .map_err(|source| set.refused(source))?
            .large_patterns();
        // Before the next set is compiled.
        if large > MAX_LARGE {
            return Err(LoadError::LargeRules);
        }
    }
    Ok(())
}

impl DeclaredRules {
    fn refused(&self, source: RuleError) -> LoadError {
        LoadError::RuleSet {
            set: self.name.clone(),
            source,
        }
    }

    /// Name, ids of the rules, number of values.
    fn shown(&self) -> (String, Vec<String>, usize) {
        let line = |text: &String| Scrubber::default().line(text, MAX_NAME);
        let rules = self.rules.iter().map(|rule| line(&rule.id)).collect();
        (line(&self.name), rules, self.values.len())
    }
}

impl From<wit::RuleSet> for DeclaredRules {
    fn from(set: wit::RuleSet) -> Self {
        let rule = |rule: wit::Rule| Rule {
            id: rule.id,
            pattern: rule.pattern,
            keywords: rule.keywords,
            replacement: rule.replacement,
        };
        Self {
            name: set.name,
            rules: set.rules.into_iter().map(rule).collect(),
            values: set.values,
        }
    }
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

/// `None` where the memory cannot be kept; the plugin then works, only slower.
fn take_snapshot(
    engine: &PluginEngine,
    label: &Arc<str>,
    component: &[u8],
    config: &str,
    limits: &Limits,
) -> Option<Component> {
    let about_config = Arc::new(Scrubber::of_config(config));
    let mut store = PluginEngine::store(
        &engine.setup,
        limits,
        label.clone(),
        about_config,
        None,
        None,
    );
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
