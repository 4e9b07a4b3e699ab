//! Chains of plugins. Each event passes the plugins in order, or ends at one of them.

use super::plugin::Plugin;
use super::report::{CallResult, PluginCall, PluginIdentity, Report};
use super::strip::{mark, strip};
use crate::plugin::load::{LoadError, PluginSpec};
use crate::plugin::policy::OnError;
use crate::plugin::sandbox::{CallFailure, OutputMask, PluginEngine, transform::Verdict};
use crate::redact::RedactionCounts;
use crate::step::Envelope;
use std::sync::Arc;
use std::time::Instant;

/// A plugin that could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{name}`: {source}")]
pub struct ChainError {
    /// Its name.
    pub name: String,
    /// The reason.
    pub source: LoadError,
}

/// Longest reason for which a plugin drops an event, in bytes.
const MAX_REASON_BYTES: usize = 256;

/// Plugins in order. A chain is immutable: when plugins change, another chain replaces it between
/// two events.
#[derive(Debug)]
pub struct Chain {
    engine: PluginEngine,
    plugins: Vec<Arc<Plugin>>,
    output_mask: Arc<OutputMask>,
    generation: u64,
}

/// The result of a chain for an event.
#[derive(Debug)]
pub enum Outcome {
    /// The event passed the chain.
    Deliver(Box<Envelope>, Report),
    /// A plugin dropped the event. The last call in the report has the reason.
    Dropped(Report),
    /// A plugin with `onError: block` failed: the original event must be tried again.
    Blocked {
        /// The plugin.
        plugin: Arc<PluginIdentity>,
        /// Failure of the call.
        failure: CallFailure,
        /// The original event.
        envelope: Box<Envelope>,
    },
}

// === impl Chain ===

impl Chain {
    /// Loads all plugins, or none.
    ///
    /// # Errors
    ///
    /// The name and the error of the first plugin that cannot be loaded.
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

    /// Returns a chain of loaded plugins.
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

    /// Returns the plugins in order.
    #[must_use]
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Returns the number of chains before this one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns whether a plugin that gets this event may wait for memory.
    pub(crate) fn may_wait(&self, envelope: &Envelope) -> bool {
        let mut plugins = self.plugins.iter();
        plugins.any(|plugin| plugin.may_wait() && plugin.wants(envelope))
    }

    /// Passes an event through all plugins. This blocks the thread while they run.
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
            let began = Instant::now();
            let (draft, answer) = plugin.call(&self.engine, &self.output_mask, envelope);
            let took = began.elapsed();
            let mut record = |masked: RedactionCounts, result: CallResult| {
                report.calls.push(PluginCall {
                    plugin: plugin.identity.clone(),
                    took,
                    masked,
                    result,
                });
            };
            // The draft was put into the store and normally comes back from it. Without the draft
            // the event is lost.
            let Some(draft) = draft else {
                let reason = "the event was lost in the plugin".to_owned();
                record(RedactionCounts::default(), CallResult::Dropped(reason));
                return Outcome::Dropped(report);
            };
            let (unchanged, failure) = match answer {
                Ok(Verdict::Keep) => match draft.apply() {
                    Ok((changed, mut masked)) => {
                        // What the rules of the plugin masked while the log was read.
                        for (name, counts) in &changed.context.masked {
                            if **name == *plugin.identity.name {
                                masked.merge(counts);
                            }
                        }
                        plugin.metrics.count_kept(began.elapsed());
                        record(masked, CallResult::Kept);
                        envelope = changed;
                        continue;
                    }
                    Err(unchanged) => (*unchanged, CallFailure::Time(plugin.limits.time_ms.get())),
                },
                Ok(Verdict::Drop(reason)) => {
                    plugin.metrics.count_dropped(began.elapsed());
                    let reason = self.output_mask.mask_line(&reason, MAX_REASON_BYTES);
                    record(RedactionCounts::default(), CallResult::Dropped(reason));
                    return Outcome::Dropped(report);
                }
                Err(failure) => (draft.discard(), failure),
            };
            plugin.metrics.count_failed(&failure, began.elapsed());
            let on_error = plugin.on_error;
            let failed = CallResult::Failed {
                failure: failure.clone(),
                on_error,
            };
            record(RedactionCounts::default(), failed);
            envelope = match (on_error, &original) {
                (OnError::Block, Some(original)) => {
                    return Outcome::Blocked {
                        plugin: plugin.identity.clone(),
                        failure,
                        envelope: Box::new(original.clone()),
                    };
                }
                (OnError::Drop | OnError::Block, _) => return Outcome::Dropped(report),
                (OnError::Strip, _) => strip(unchanged, &plugin.identity.name),
                (OnError::Pass, _) => mark(unchanged, &plugin.identity.name),
            };
        }
        Outcome::Deliver(Box::new(envelope), report)
    }
}
