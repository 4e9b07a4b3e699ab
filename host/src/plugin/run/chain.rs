//! Plugins in order: each event passes all of them, or ends at one.

use super::plugin::Plugin;
use crate::plugin::bindings::exports::step_observer::plugin::transform::Verdict;
use crate::plugin::load::{LoadError, PluginSpec};
use crate::plugin::policy::OnError;
use crate::plugin::sandbox::{CallFailure, OutputMask, PluginEngine};
use crate::plugin::strip::{mark, strip};
use crate::redact::Counts;
use crate::step::Envelope;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A plugin that is not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{name}`: {source}")]
pub struct ChainError {
    /// Its name.
    pub name: String,
    /// Why.
    pub source: LoadError,
}

/// Plugins in order. It never changes: where plugins come and go, another chain takes over between
/// two events.
#[derive(Debug)]
pub struct Chain {
    engine: PluginEngine,
    plugins: Vec<Arc<Plugin>>,
    output_mask: Arc<OutputMask>,
    generation: u64,
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
        /// What happened before.
        report: Report,
    },
    /// A plugin failed and says `block`: try again with the event as it was.
    Blocked {
        /// Which.
        plugin: Arc<str>,
        /// How.
        failure: CallFailure,
        /// The event before the chain touched it.
        envelope: Box<Envelope>,
    },
}

/// What happened to an event on its way.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The plugins that got the event, in order.
    pub called: Vec<Arc<Plugin>>,
    /// How long each of them took.
    pub times: Vec<Duration>,
    /// Per plugin and rule, how much was masked.
    pub redacted: Vec<(Arc<str>, String, u32)>,
    /// Plugins that failed, how, and what was done.
    pub failures: Vec<(Arc<str>, CallFailure, OnError)>,
    /// Why the last of them dropped it.
    pub dropped: Option<String>,
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
            let loaded = Plugin::load(engine, spec);
            loaded.map(Arc::new).map_err(|source| ChainError {
                name: spec.name.clone(),
                source,
            })
        };
        let plugins = specs.iter().map(load).collect::<Result<_, _>>()?;
        Ok(Self::new(engine, plugins, 0))
    }

    /// A chain of loaded plugins.
    #[must_use]
    pub fn new(engine: &PluginEngine, plugins: Vec<Arc<Plugin>>, generation: u64) -> Self {
        let rule_sets = plugins.iter().map(|plugin| plugin.rule_sets()).collect();
        let unknown = plugins.iter().any(|plugin| plugin.not_loaded().is_some());
        Self {
            engine: engine.clone(),
            output_mask: Arc::new(OutputMask::new(rule_sets).withhold_all_if(unknown)),
            plugins,
            generation,
        }
    }

    /// The plugins in order.
    #[must_use]
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// The version that a plugin says it has.
    #[must_use]
    pub fn version(&self, name: &str) -> &str {
        let found = self.plugins.iter().find(|plugin| plugin.name() == name);
        found.map_or("", |plugin| plugin.identity().1)
    }

    /// How many chains there were before this one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Will this event meet a plugin that may wait for memory?
    pub(crate) fn may_wait(&self, envelope: &Envelope) -> bool {
        let mut plugins = self.plugins.iter();
        plugins.any(|plugin| plugin.may_wait() && plugin.wants(envelope))
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
            if !plugin.wants(&envelope) {
                continue;
            }
            report.called.push(plugin.clone());
            let began = Instant::now();
            let (draft, answer) = plugin.call(&self.engine, &self.output_mask, envelope);
            report.times.push(began.elapsed());
            // The store gives back what was put in; without it there is nothing left to send.
            let Some(draft) = draft else {
                return Outcome::Dropped {
                    plugin: plugin.label.clone(),
                    reason: "the event was lost in the plugin".to_owned(),
                    report,
                };
            };
            let (unchanged, failure) = match answer {
                Ok(Verdict::Keep) => match draft.apply() {
                    Ok((changed, counts)) => {
                        plugin.metrics.kept(began.elapsed());
                        report.count(&plugin.label, &counts);
                        envelope = changed;
                        continue;
                    }
                    Err(unchanged) => (*unchanged, CallFailure::Time(plugin.limits.time_ms.get())),
                },
                Ok(Verdict::Drop(reason)) => {
                    plugin.metrics.dropped(began.elapsed());
                    let reason = self.output_mask.mask_line(&reason, 256);
                    return Outcome::Dropped {
                        plugin: plugin.label.clone(),
                        reason,
                        report,
                    };
                }
                Err(failure) => (draft.discard(), failure),
            };
            plugin.metrics.failed(&failure, began.elapsed());
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
                        report,
                    };
                }
                (OnError::Strip, _) => strip(unchanged, &plugin.label),
                (OnError::Pass, _) => mark(unchanged, &plugin.label),
            };
        }
        Outcome::Deliver(Box::new(envelope), report)
    }
}

impl Report {
    fn count(&mut self, plugin: &Arc<str>, counts: &Counts) {
        let counts = counts
            .iter()
            .map(|(rule, count)| (plugin.clone(), rule.to_owned(), count));
        self.redacted.extend(counts);
    }
}
