//! Plugins in order: each event passes all of them, or ends at one.

use super::bindings::exports::step_observer::plugin::transform::Verdict;
use super::draft::{Draft, RuleSets};
use super::engine::{Limits, PluginEngine};
use super::failure::Failure;
use super::load::{self, LoadError, PluginSource};
use super::scrub::Scrubber;
use super::setup::{self, Configured};
use super::strip::strip;
use crate::redact::Counts;
use crate::step::Envelope;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use wasmtime::component::Resource;

/// What happens to an event when a plugin fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnError {
    /// It is held and tried again: nothing is lost, later events of its run wait.
    Block,
    /// It ends here.
    Drop,
    /// It goes on without its log and other free text. What redacting plugins default to.
    Strip,
    /// It goes on as it was before the plugin. What all others default to.
    Pass,
}

/// A plugin to load.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSpec {
    /// The operator's name for it.
    pub name: String,
    /// Where it is.
    pub source: PluginSource,
    /// Its configuration.
    pub config: serde_json::Value,
    /// What to do when it fails; the default depends on whether it redacts.
    pub on_error: Option<OnError>,
    /// What it may use.
    pub limits: Limits,
    /// Configure once and start every event from there. Only benchmarks say no.
    pub snapshot: bool,
}

impl PluginSpec {
    /// A plugin with everything at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, source: PluginSource) -> Self {
        Self {
            name: name.into(),
            source,
            config: serde_json::Value::Null,
            on_error: None,
            limits: Limits::default(),
            snapshot: true,
        }
    }
}

/// A plugin that is not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{name}`: {source}")]
pub struct ChainError {
    /// Its name.
    pub name: String,
    /// Why.
    pub source: LoadError,
}

/// A loaded plugin.
pub struct Plugin {
    /// The operator's name for it.
    label: Arc<str>,
    configured: Configured,
    digest: String,
    on_error: OnError,
    limits: Limits,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.label)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Plugins in order.
#[derive(Debug)]
pub struct Chain {
    engine: PluginEngine,
    plugins: Vec<Plugin>,
    scrubber: Arc<Scrubber>,
}

/// What the chain made of an event.
#[derive(Debug)]
pub enum Outcome {
    /// It goes on.
    Deliver(Box<Envelope>, Report),
    /// A plugin dropped it.
    Dropped {
        /// Which.
        plugin: Arc<str>,
        /// Why, masked and cut.
        reason: String,
    },
    /// A plugin failed and says `block`: try again with the event as it was.
    Blocked {
        /// Which.
        plugin: Arc<str>,
        /// How.
        failure: Failure,
        /// The event before the chain touched it.
        envelope: Box<Envelope>,
    },
}

/// What happened to an event on its way.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Per plugin and rule, how much was masked.
    pub redacted: Vec<(Arc<str>, String, u32)>,
    /// Plugins that failed, how, and what was done.
    pub failures: Vec<(Arc<str>, Failure, OnError)>,
}

// === impl Plugin ===

impl Plugin {
    /// Loads and configures a plugin.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it and what to do.
    pub fn load(engine: &PluginEngine, spec: &PluginSpec) -> Result<Self, LoadError> {
        let bytes = read(&spec.source)?;
        let label: Arc<str> = spec.name.as_str().into();
        // The compiler's memory goes with its thread.
        let configured = std::thread::scope(|scope| {
            let compile = || {
                let component = load::component(&bytes)?;
                setup::configure(
                    engine,
                    &label,
                    &component,
                    &spec.config.to_string(),
                    &spec.limits,
                    spec.snapshot,
                )
            };
            let compiler = std::thread::Builder::new()
                .name("plugin-compiler".to_owned())
                .spawn_scoped(scope, compile)?;
            compiler.join().unwrap_or_else(|_| {
                Err(LoadError::Compile(
                    "the compiler panicked; please report this".to_owned(),
                ))
            })
        })?;
        let redacts = !configured.rule_sets.is_empty();
        Ok(Self {
            label,
            configured,
            digest: format!("sha256:{:x}", Sha256::digest(&bytes)),
            on_error: spec.on_error.unwrap_or(if redacts {
                OnError::Strip
            } else {
                OnError::Pass
            }),
            limits: spec.limits.clone(),
        })
    }

    /// The operator's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.label
    }

    /// What it calls itself: name and version.
    #[must_use]
    pub fn identity(&self) -> (&str, &str) {
        (&self.configured.name, &self.configured.version)
    }

    /// SHA-256 of its file.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What happens when it fails.
    #[must_use]
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Does every event start from its configured memory?
    #[must_use]
    pub fn is_snapshotted(&self) -> bool {
        self.configured.configure_each.is_none()
    }

    fn rule_sets(&self) -> Arc<RuleSets> {
        self.configured.rule_sets.clone()
    }

    /// Runs it on an event, in a fresh instance. The draft comes back either way.
    fn call(
        &self,
        engine: &PluginEngine,
        scrubber: &Arc<Scrubber>,
        envelope: Envelope,
    ) -> (Option<Draft>, Result<Verdict, Failure>) {
        let draft = Draft::new(envelope, self.rule_sets(), &self.limits);
        let mut store = PluginEngine::store(
            &engine.run,
            &self.limits,
            self.label.clone(),
            scrubber.clone(),
            Some(draft),
        );
        let answer = self.run(&mut store);
        let refused = store.data().limits.refused;
        let answer = match answer {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(reason)) => Err(Failure::Reported(scrubber.line(&reason, 512))),
            Err(error) => Err(Failure::of(&error, refused, &self.limits)),
        };
        (store.into_data().draft, answer)
    }

    fn run(
        &self,
        store: &mut wasmtime::Store<super::host::Host>,
    ) -> wasmtime::Result<Result<Verdict, String>> {
        let guest = self.configured.pre.instantiate(&mut *store)?;
        let transform = guest.step_observer_plugin_transform();
        if let Some(config) = &self.configured.configure_each
            && let Err(reason) = transform.call_configure(&mut *store, config)?
        {
            return Ok(Err(reason));
        }
        // The guest's handle stands for the store's only draft: its number says nothing.
        transform.call_process(&mut *store, Resource::new_borrow(0))
    }
}

fn read(source: &PluginSource) -> Result<Vec<u8>, LoadError> {
    match source {
        PluginSource::File(path) => {
            let size = std::fs::metadata(path)?.len();
            if size > load::MAX_FILE {
                return Err(LoadError::TooLarge(load::MAX_FILE));
            }
            Ok(std::fs::read(path)?)
        }
        PluginSource::Bundled(name) => {
            super::bundled::find(name)
                .map(<[u8]>::to_vec)
                .ok_or_else(|| LoadError::NotBundled {
                    name: name.clone(),
                    known: super::bundled::names(),
                })
        }
        PluginSource::Bytes(_, bytes) => Ok(bytes.to_vec()),
    }
}

// === impl Chain ===

impl Chain {
    /// Loads all plugins, or none.
    ///
    /// # Errors
    ///
    /// Names the first that cannot be loaded.
    pub fn load(engine: &PluginEngine, specs: &[PluginSpec]) -> Result<Self, ChainError> {
        let load = |spec: &PluginSpec| {
            Plugin::load(engine, spec).map_err(|source| ChainError {
                name: spec.name.clone(),
                source,
            })
        };
        let plugins: Vec<Plugin> = specs.iter().map(load).collect::<Result<_, _>>()?;
        let scrubber = Arc::new(Scrubber::new(
            plugins.iter().map(Plugin::rule_sets).collect(),
        ));
        Ok(Self {
            engine: engine.clone(),
            plugins,
            scrubber,
        })
    }

    /// The plugins in order.
    #[must_use]
    pub fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }

    /// Passes an event through all plugins. Takes their time: call it on a thread that may wait.
    #[must_use]
    pub fn process(&self, envelope: Envelope) -> Outcome {
        let blocks = self
            .plugins
            .iter()
            .any(|plugin| plugin.on_error == OnError::Block);
        let original = blocks.then(|| envelope.clone());
        let mut report = Report::default();
        let mut envelope = envelope;
        for plugin in &self.plugins {
            let (draft, answer) = plugin.call(&self.engine, &self.scrubber, envelope);
            // The store gives back what was put in; without it there is nothing left to send.
            let Some(draft) = draft else {
                return Outcome::Dropped {
                    plugin: plugin.label.clone(),
                    reason: "the event was lost in the plugin".to_owned(),
                };
            };
            let (unchanged, failure) = match answer {
                Ok(Verdict::Keep) => match draft.apply() {
                    Ok((changed, counts)) => {
                        report.count(&plugin.label, &counts);
                        envelope = changed;
                        continue;
                    }
                    Err(unchanged) => (*unchanged, Failure::Time(plugin.limits.time_ms)),
                },
                Ok(Verdict::Drop(reason)) => {
                    let reason = self.scrubber.line(&reason, 256);
                    return Outcome::Dropped {
                        plugin: plugin.label.clone(),
                        reason,
                    };
                }
                Err(failure) => (draft.discard(), failure),
            };
            report
                .failures
                .push((plugin.label.clone(), failure.clone(), plugin.on_error));
            envelope = match (plugin.on_error, &original) {
                (OnError::Block, Some(original)) => {
                    let (plugin, envelope) = (plugin.label.clone(), Box::new(original.clone()));
                    return Outcome::Blocked {
                        plugin,
                        failure,
                        envelope,
                    };
                }
                (OnError::Drop | OnError::Block, _) => {
                    let reason = format!("the plugin failed: {failure}");
                    return Outcome::Dropped {
                        plugin: plugin.label.clone(),
                        reason,
                    };
                }
                (OnError::Strip, _) => strip(unchanged, &plugin.label),
                (OnError::Pass, _) => mark(unchanged, &plugin.label),
            };
        }
        Outcome::Deliver(Box::new(envelope), report)
    }
}

/// Says in the event that a plugin failed on it.
pub(super) fn mark(mut envelope: Envelope, plugin: &str) -> Envelope {
    let before = envelope
        .event
        .extension("pluginerror")
        .map(|names| format!("{names},"))
        .unwrap_or_default();
    envelope
        .event
        .set_extension("pluginerror", format!("{before}{plugin}"));
    envelope
}

impl Report {
    fn count(&mut self, plugin: &Arc<str>, counts: &Counts) {
        let counts = counts
            .iter()
            .map(|(rule, count)| (plugin.clone(), rule.to_owned(), count));
        self.redacted.extend(counts);
    }
}
