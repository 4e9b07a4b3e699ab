//! A loaded plugin, which is called once per event.

use super::crash_record::CallMarker;
use super::identity::PluginIdentity;
use super::metrics::{PluginCounts, PluginMetrics};
use super::sample;
use crate::event::{Selection, SelectionOwner};
use crate::plugin::load::{
    Compiled, ConfiguredPlugin, FileDigest, Load, LoadError, PluginSpec, SetSummary, compile,
};
use crate::plugin::policy::OnError;
use crate::plugin::sandbox::{
    CallFailure, CallMemory, CodeMemory, Draft, Host, Limits, OutputMask, PluginEngine,
    PluginMemory, RuleSets, transform::Verdict,
};
use crate::redact::ScanLimits;
use crate::step::{Envelope, Redactor};
use std::sync::Arc;
use std::time::{Duration, Instant};
use step_observer_oci::Reference;
use wasmtime::component::Resource;

/// A plugin in a chain.
pub struct Plugin {
    pub(super) identity: Arc<PluginIdentity>,
    select: Selection,
    pub(crate) on_error: OnError,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<PluginMetrics>,
    /// Its name in a registry, with the digest of the manifest.
    artifact: Option<Reference>,
    /// Records running calls, so that a start after a crash can count them.
    call_marker: Option<CallMarker>,
    kind: Kind,
}

enum Kind {
    Ready {
        compiled: Arc<Compiled>,
        /// The shared memory of its calls.
        memory: Arc<PluginMemory>,
        /// The reserved memory of its machine code.
        _code: CodeMemory,
    },
    /// A plugin that could not be loaded, with the reason. It fails on every event.
    StandIn(String),
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// Loads and configures a plugin. This blocks the thread, for minutes in the worst case.
    ///
    /// # Errors
    ///
    /// The reason why the plugin is not loaded, and the remedy.
    pub fn load(engine: &PluginEngine, spec: &PluginSpec) -> Result<Self, LoadError> {
        let Load { compiled, code } = compile(engine, spec)?;
        let configured = &compiled.configured;
        let redacts = !configured.rule_sets.is_empty();
        let default = if redacts {
            OnError::Strip
        } else {
            OnError::Pass
        };
        let metrics = Arc::default();
        Ok(Self {
            identity: Arc::new(PluginIdentity {
                name: spec.name.as_str().into(),
                version: configured.version.clone(),
                digest: Some(compiled.digest.clone()),
            }),
            select: selection(spec, &metrics),
            on_error: spec.settings.on_error.unwrap_or(default),
            limits: spec.settings.limits.clone(),
            metrics,
            artifact: spec.artifact.clone(),
            call_marker: None,
            kind: Kind::Ready {
                compiled,
                memory: Arc::new(engine.budget.plugin_memory()),
                _code: code,
            },
        })
    }

    /// Sets `call_marker`, which records each call of the plugin while it runs.
    #[must_use]
    pub fn with_call_marker(mut self, call_marker: Option<CallMarker>) -> Self {
        self.call_marker = call_marker;
        self
    }

    /// Returns the stand-in of a plugin that could not be loaded when the observer started. Because
    /// the plugin may be one that redacts, its failures strip the event, unless its settings
    /// contain another `onError`.
    pub(crate) fn stand_in(spec: &PluginSpec, reason: String) -> Self {
        let metrics = Arc::default();
        Self {
            identity: Arc::new(PluginIdentity {
                name: spec.name.as_str().into(),
                version: String::new(),
                digest: None,
            }),
            select: selection(spec, &metrics),
            on_error: spec.settings.on_error.unwrap_or(OnError::Strip),
            limits: spec.settings.limits.clone(),
            metrics,
            artifact: spec.artifact.clone(),
            call_marker: None,
            kind: Kind::StandIn(reason),
        }
    }

    /// Continues the counters of an earlier version.
    pub(crate) fn with_metrics(mut self, metrics: Arc<PluginMetrics>) -> Self {
        self.select.count_with(metrics.condition_errors.clone());
        self.metrics = metrics;
        self
    }

    /// Calls the plugin on a sample event of each phase.
    ///
    /// # Errors
    ///
    /// The plugin traps or violates the contract. An error that it returns is allowed, because the
    /// samples may lack what it needs.
    pub fn self_test(&self, engine: &PluginEngine) -> Result<(), LoadError> {
        let output_mask = Arc::new(OutputMask::new(vec![self.rule_sets()]));
        for sample in sample::envelopes() {
            if !self.select.wants_phase(&sample.event) {
                continue;
            }
            let (draft, answer) = self.call(engine, &output_mask, sample);
            let failure = match (answer, draft) {
                (Ok(Verdict::Keep), Some(draft)) => match draft.apply() {
                    Ok(_) => continue,
                    Err(_) => CallFailure::out_of_time(&self.limits),
                },
                (Ok(_) | Err(CallFailure::Reported(_)), _) => continue,
                (Err(failure), _) => failure,
            };
            return Err(LoadError::SelfTest(failure));
        }
        Ok(())
    }

    /// Returns the operator's name for the plugin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Returns the name and version that the plugin declares.
    #[must_use]
    pub fn identity(&self) -> (&str, &str) {
        match &self.kind {
            Kind::Ready { compiled, .. } => (&compiled.configured.name, &self.identity.version),
            Kind::StandIn(_) => ("", ""),
        }
    }

    /// Returns the SHA-256 of its file.
    #[must_use]
    pub fn digest(&self) -> Option<&FileDigest> {
        self.identity.digest.as_ref()
    }

    /// Returns its name in a registry, with the digest of the manifest. `None` for a plugin from elsewhere.
    #[must_use]
    pub fn artifact(&self) -> Option<&Reference> {
        self.artifact.as_ref()
    }

    /// Returns the size of its file in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::Ready { compiled, .. } => compiled.size,
            Kind::StandIn(_) => 0,
        }
    }

    /// Returns the consequence of a failed call.
    #[must_use]
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Returns whether every event starts from the configured memory, so that the plugin is not
    /// configured again for each event.
    #[must_use]
    pub fn is_snapshotted(&self) -> bool {
        match &self.kind {
            Kind::Ready { compiled, .. } => compiled.configured.configure_per_call.is_none(),
            Kind::StandIn(_) => false,
        }
    }

    /// Returns why the plugin could not be loaded, `None` if it is loaded.
    #[must_use]
    pub fn not_loaded(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ready { .. } => None,
            Kind::StandIn(reason) => Some(reason),
        }
    }

    /// Describes the plugin's rule sets and mask sets.
    #[must_use]
    pub fn sets(&self) -> &[SetSummary] {
        match &self.kind {
            Kind::Ready { compiled, .. } => &compiled.configured.declared,
            Kind::StandIn(_) => &[],
        }
    }

    /// Returns its counters.
    #[must_use]
    pub fn counts(&self) -> PluginCounts {
        self.metrics.counts()
    }

    /// Returns whether it declares rules that mask texts.
    #[must_use]
    pub fn redacts(&self) -> bool {
        !self.rule_sets().is_empty()
    }

    pub(crate) fn rule_sets(&self) -> Arc<RuleSets> {
        match &self.kind {
            Kind::Ready { compiled, .. } => compiled.configured.rule_sets.clone(),
            Kind::StandIn(_) => Arc::default(),
        }
    }

    /// Returns the name and version of the plugin, which identify it as the origin of its masks.
    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::Plugin {
            name: self.identity.name.clone(),
            version: self.identity.version.as_str().into(),
        }
    }

    /// Returns the limits for masking with the plugin's rules outside of its calls. They are the
    /// same as for one call.
    pub(super) fn scan_limits(&self) -> ScanLimits {
        ScanLimits {
            growth: usize::try_from(self.limits.output_bytes.get()).unwrap_or(usize::MAX),
            deadline: Instant::now() + Duration::from_millis(self.limits.time_ms.get()),
        }
    }

    /// Returns whether it is called for an event.
    pub(crate) fn wants(&self, envelope: &Envelope) -> bool {
        self.select.wants(&envelope.event)
    }

    /// Returns whether it may be called for an event, before it is decided.
    pub(super) fn may_want(&self, envelope: &Envelope) -> bool {
        self.select.may_want(&envelope.event)
    }

    /// Returns whether calls of this plugin may block their thread while they wait for shared
    /// memory.
    pub(crate) fn may_wait(&self) -> bool {
        match &self.kind {
            Kind::Ready { memory, .. } => memory.is_large(),
            Kind::StandIn(_) => false,
        }
    }

    /// Calls the plugin with an event, in a fresh instance. Returns the draft together with the
    /// verdict or the failure. The draft is `None` only if the event was lost.
    pub(super) fn call(
        &self,
        engine: &PluginEngine,
        output_mask: &Arc<OutputMask>,
        envelope: Envelope,
    ) -> (Option<Draft>, Result<Verdict, CallFailure>) {
        let (configured, memory) = match &self.kind {
            Kind::Ready {
                compiled, memory, ..
            } => (&compiled.configured, memory),
            Kind::StandIn(reason) => {
                let failure = CallFailure::NotLoaded(reason.clone());
                return (Some(self.draft(envelope)), Err(failure));
            }
        };
        let patience = Duration::from_millis(self.limits.time_ms.get());
        let began = Instant::now();
        let Some(call_memory) = memory.reserve_usual(began + patience) else {
            return (Some(self.draft(envelope)), Err(self.no_memory(memory)));
        };
        let waited = began.elapsed();
        let attempt = self.attempt(engine, output_mask, configured, envelope, call_memory);
        // If the free memory was not enough, the call runs once more, with all the memory that it
        // may need.
        let envelope = match attempt {
            (Some(draft), Err(CallEnd::Starved)) => draft.discard(),
            (draft, answer) => return (draft, answer.map_err(|end| self.failure(end, memory))),
        };
        let deadline = Instant::now() + patience.saturating_sub(waited);
        let Some(call_memory) = memory.reserve_whole(self.limits.all_bytes(), deadline) else {
            return (Some(self.draft(envelope)), Err(self.no_memory(memory)));
        };
        let (draft, answer) = self.attempt(engine, output_mask, configured, envelope, call_memory);
        (draft, answer.map_err(|end| self.failure(end, memory)))
    }

    fn draft(&self, envelope: Envelope) -> Draft {
        Draft::new(envelope, self.rule_sets(), &self.limits)
    }

    /// Runs the plugin in a fresh instance. Its memory is freed when this returns.
    fn attempt(
        &self,
        engine: &PluginEngine,
        output_mask: &Arc<OutputMask>,
        configured: &ConfiguredPlugin,
        envelope: Envelope,
        call_memory: CallMemory,
    ) -> (Option<Draft>, Result<Verdict, CallEnd>) {
        let mut store = engine.store(
            &engine.run,
            &self.limits,
            self.identity.name.clone(),
            output_mask.clone(),
            Some(self.draft(envelope)),
            Some(call_memory),
        );
        let running = self.call_marker.as_ref().map(CallMarker::begin);
        let answer = run(configured, &mut store);
        drop(running);
        let limits = &store.data().limits;
        self.metrics.note_memory(limits.used);
        let starved = limits
            .call_memory
            .as_ref()
            .is_some_and(|call_memory| call_memory.starved);
        let refused = limits.refused;
        let answer = match answer {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(reason)) => {
                let reason = match &configured.configure_per_call {
                    // The reason may come from `configure`, and quote the configuration.
                    Some(config) => OutputMask::for_config(config).mask_line(&reason, 512),
                    None => reason,
                };
                let reason = output_mask.mask_line(&reason, 512);
                Err(CallEnd::Failed(CallFailure::Reported(reason)))
            }
            Err(_) if starved => Err(CallEnd::Starved),
            Err(error) => {
                let failure = CallFailure::classify(&error, refused, &self.limits);
                Err(CallEnd::Failed(failure))
            }
        };
        // Drops the instance before its memory is returned to the budget.
        let Host { draft, limits, .. } = store.into_data();
        drop(limits);
        (draft, answer)
    }

    fn failure(&self, end: CallEnd, memory: &PluginMemory) -> CallFailure {
        match end {
            CallEnd::Failed(failure) => failure,
            CallEnd::Starved => self.no_memory(memory),
        }
    }

    /// Returns the failure of a call that took more than its time.
    pub(super) fn out_of_time(&self) -> CallFailure {
        CallFailure::out_of_time(&self.limits)
    }

    fn no_memory(&self, memory: &PluginMemory) -> CallFailure {
        CallFailure::SharedMemory {
            waited_ms: self.limits.time_ms.get(),
            total: memory.budget().total(),
        }
    }
}

fn selection(spec: &PluginSpec, metrics: &PluginMetrics) -> Selection {
    let name = spec.name.as_str().to_owned();
    let select = spec.settings.select.clone();
    let mut selection = Selection::new(select, SelectionOwner::Plugin, name);
    selection.count_with(metrics.condition_errors.clone());
    selection
}

/// Why an attempt ended without an answer.
enum CallEnd {
    /// The failure is final.
    Failed(CallFailure),
    /// It needs more memory than was free.
    Starved,
}

fn run(
    configured: &ConfiguredPlugin,
    store: &mut wasmtime::Store<Host>,
) -> wasmtime::Result<Result<Verdict, String>> {
    let guest = configured.instance_pre.instantiate(&mut *store)?;
    let transform = guest.step_observer_plugin_transform();
    if let Some(config) = &configured.configure_per_call
        && let Err(reason) = transform.call_configure(&mut *store, config)?
    {
        return Ok(Err(reason));
    }
    // The store has only one draft, so the number of the handle has no meaning.
    transform.call_process(&mut *store, Resource::new_borrow(0))
}
