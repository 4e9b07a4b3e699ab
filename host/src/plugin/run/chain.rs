//! Chains of plugins. Each event passes the plugins in order, or ends at one of them.

use super::attributes;
use super::identity::PluginIdentity;
use super::plugin::Plugin;
use super::report::{CallResult, PluginCall, Report};
use super::strip::{mark, strip, strip_again};
use crate::plugin::load::{LoadError, PluginSpec};
use crate::plugin::policy::OnError;
use crate::plugin::sandbox::{CallFailure, OutputMask, PluginEngine, transform::Verdict};
use crate::redact::{Exhausted, RedactionCounts};
use crate::step::Envelope;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Redactors that the events have passed before, in another chain.
    passed: Vec<Arc<Plugin>>,
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

/// An event on its way through a chain.
struct Pass<'c> {
    chain: &'c Chain,
    /// The event as it was before the chain, if a plugin may block it.
    original: Option<Envelope>,
    report: Report,
}

/// The reason why an event does not reach the end of the chain.
enum End {
    /// The last call in the report has the reason.
    Dropped,
    /// See [`Outcome::Blocked`].
    Blocked {
        plugin: Arc<PluginIdentity>,
        failure: CallFailure,
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
            passed: Vec::new(),
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
        plugins.any(|plugin| plugin.may_wait() && plugin.may_want(envelope))
    }

    /// Returns the chain for events that have passed other plugins before. After this chain, the
    /// masks of those plugins are applied again to the attributes of the event. They also apply to
    /// the log lines and errors of the plugins in this chain.
    #[must_use]
    pub(crate) fn after(self: &Arc<Self>, passed: &[Arc<Plugin>]) -> Arc<Self> {
        if passed.is_empty() {
            return self.clone();
        }
        let rule_sets = passed.iter().map(|plugin| plugin.rule_sets());
        Arc::new(Self {
            engine: self.engine.clone(),
            plugins: self.plugins.clone(),
            passed: passed.to_vec(),
            output_mask: Arc::new(self.output_mask.with(rule_sets)),
            generation: self.generation,
        })
    }

    /// Passes an event through all plugins, then masks its attributes. Blocks the thread until this
    /// is done.
    #[must_use]
    pub fn process(&self, envelope: Envelope) -> Outcome {
        let mut all = self.passed.iter().chain(&self.plugins);
        let blocks = all.any(|plugin| plugin.on_error == OnError::Block);
        let mut pass = Pass {
            chain: self,
            original: blocks.then(|| envelope.clone()),
            report: Report {
                calls: Vec::new(),
                redactors: self.passed.clone(),
            },
        };
        let passed = pass
            .call_plugins(envelope)
            .and_then(|envelope| pass.mask_attributes(envelope));
        match passed {
            Ok(envelope) => Outcome::Deliver(Box::new(envelope), pass.report),
            Err(End::Dropped) => Outcome::Dropped(pass.report),
            Err(End::Blocked {
                plugin,
                failure,
                envelope,
            }) => Outcome::Blocked {
                plugin,
                failure,
                envelope,
            },
        }
    }
}

// === impl Pass ===

impl Pass<'_> {
    fn call_plugins(&mut self, mut envelope: Envelope) -> Result<Envelope, End> {
        for plugin in &self.chain.plugins {
            if plugin.wants(&envelope) {
                if plugin.redacts() {
                    self.report.redactors.push(plugin.clone());
                }
                envelope = self.call(plugin, envelope)?;
            }
        }
        Ok(envelope)
    }

    fn call(&mut self, plugin: &Plugin, envelope: Envelope) -> Result<Envelope, End> {
        let began = Instant::now();
        let (draft, answer) = plugin.call(&self.chain.engine, &self.chain.output_mask, envelope);
        let took = began.elapsed();
        // The draft was put into the store and normally comes back from it. Without the draft the
        // event is lost.
        let Some(draft) = draft else {
            let reason = "the event was lost in the plugin".to_owned();
            self.record(plugin, took, CallResult::Dropped(reason));
            return Err(End::Dropped);
        };
        let (unchanged, failure) = match answer {
            Ok(Verdict::Keep) => match draft.apply() {
                Ok((mut changed, mut masked)) => {
                    changed.count_masked(&plugin.redactor(), &masked);
                    // Adds the matches that the rules of the plugin masked while the log was read.
                    for (redactor, counts) in changed.context.masked_in_log.iter() {
                        if redactor.is_plugin(&plugin.identity.name) {
                            masked.merge(counts);
                        }
                    }
                    plugin.metrics.count_kept(began.elapsed());
                    self.record(plugin, took, CallResult::Kept);
                    self.report.count_masked(&plugin.identity, &masked);
                    return Ok(changed);
                }
                Err(unchanged) => (*unchanged, plugin.out_of_time()),
            },
            Ok(Verdict::Drop(reason)) => {
                plugin.metrics.count_dropped(began.elapsed());
                let output_mask = &self.chain.output_mask;
                let reason = output_mask.mask_line(&reason, MAX_REASON_BYTES);
                self.record(plugin, took, CallResult::Dropped(reason));
                return Err(End::Dropped);
            }
            Err(failure) => (draft.discard(), failure),
        };
        plugin.metrics.count_failed(&failure, began.elapsed());
        self.fail(plugin, took, failure, unchanged)
    }

    /// Masks the attributes with the sets of all redactors. A redactor whose sets cannot be applied
    /// in time counts as failed on the event.
    fn mask_attributes(&mut self, mut envelope: Envelope) -> Result<Envelope, End> {
        for plugin in self.report.redactors.clone() {
            let began = Instant::now();
            let sets = plugin.rule_sets();
            match attributes::mask(&mut envelope.event, &sets, plugin.scan_limits()) {
                Ok(masked) => {
                    envelope.count_masked(&plugin.redactor(), &masked);
                    self.report.count_masked(&plugin.identity, &masked);
                }
                Err(Exhausted) if self.has_stripped(&plugin) => {
                    envelope = strip_again(envelope, &plugin.identity.name);
                }
                Err(Exhausted) => {
                    let (failure, took) = (plugin.out_of_time(), began.elapsed());
                    plugin.metrics.count_failed(&failure, took);
                    envelope = self.fail(&plugin, took, failure, envelope)?;
                }
            }
        }
        Ok(envelope)
    }

    /// Returns whether the plugin has failed in its call, and the event was stripped.
    fn has_stripped(&self, plugin: &Plugin) -> bool {
        let mut calls = self.report.calls.iter();
        plugin.on_error == OnError::Strip
            && calls.any(|call| {
                Arc::ptr_eq(&call.plugin, &plugin.identity)
                    && matches!(call.result, CallResult::Failed { .. })
            })
    }

    /// Applies the failed plugin's `onError` to the event.
    fn fail(
        &mut self,
        plugin: &Plugin,
        took: Duration,
        failure: CallFailure,
        unchanged: Envelope,
    ) -> Result<Envelope, End> {
        let on_error = plugin.on_error;
        let failed = CallResult::Failed {
            failure: failure.clone(),
            on_error,
        };
        self.record(plugin, took, failed);
        match (on_error, &self.original) {
            (OnError::Block, Some(original)) => Err(End::Blocked {
                plugin: plugin.identity.clone(),
                failure,
                envelope: Box::new(original.clone()),
            }),
            (OnError::Drop | OnError::Block, _) => Err(End::Dropped),
            (OnError::Strip, _) => Ok(strip(unchanged, &plugin.identity.name)),
            (OnError::Pass, _) => Ok(mark(unchanged, &plugin.identity.name)),
        }
    }

    fn record(&mut self, plugin: &Plugin, took: Duration, result: CallResult) {
        self.report.calls.push(PluginCall {
            plugin: plugin.identity.clone(),
            took,
            masked: RedactionCounts::default(),
            result,
        });
    }
}
