//! A plugin that is ready: configured, with its limits, and called once per event.

use super::crash_record::CallMarker;
use super::metrics::{PluginCounts, PluginMetrics};
use super::report::PluginIdentity;
use super::sample;
use crate::event::EventMatch;
use crate::plugin::load::{Compiled, ConfiguredPlugin, FileDigest, LoadError, PluginSpec, compile};
use crate::plugin::policy::OnError;
use crate::plugin::sandbox::{
    CallFailure, CallMemory, CodeMemory, Draft, Host, Limits, OutputMask, PluginEngine,
    PluginMemory, RuleSets, transform::Verdict,
};
use crate::step::Envelope;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::Resource;

/// A plugin in a chain.
pub struct Plugin {
    pub(super) identity: Arc<PluginIdentity>,
    select: EventMatch,
    pub(crate) on_error: OnError,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<PluginMetrics>,
    /// Notes while a call of it runs, so that a start after a crash knows of it.
    call_marker: Option<CallMarker>,
    kind: Kind,
}

enum Kind {
    Ready {
        configured: Box<ConfiguredPlugin>,
        size: usize,
        /// What its calls take of the memory that all plugins call_memory.
        memory: Arc<PluginMemory>,
        /// Room that its machine code takes.
        _code: CodeMemory,
    },
    /// It could not be loaded, and fails on every event for this reason.
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
    /// Loads and configures a plugin. Takes its time: call it on a thread that may wait.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it and what to do.
    pub fn load(engine: &PluginEngine, spec: &PluginSpec) -> Result<Self, LoadError> {
        let Compiled {
            configured,
            digest,
            size,
            code,
        } = compile(engine, spec)?;
        let redacts = !configured.rule_sets.is_empty();
        let default = if redacts {
            OnError::Strip
        } else {
            OnError::Pass
        };
        Ok(Self {
            identity: Arc::new(PluginIdentity {
                name: spec.name.as_str().into(),
                version: configured.version.clone(),
                digest: Some(digest),
            }),
            select: spec.select.clone(),
            on_error: spec.on_error.unwrap_or(default),
            limits: spec.limits.clone(),
            metrics: Arc::default(),
            call_marker: None,
            kind: Kind::Ready {
                configured: Box::new(configured),
                size,
                memory: Arc::new(engine.budget.plugin_memory()),
                _code: code,
            },
        })
    }

    /// The same, noting each call of it in `call_marker` while it runs.
    #[must_use]
    pub fn with_call_marker(mut self, call_marker: Option<CallMarker>) -> Self {
        self.call_marker = call_marker;
        self
    }

    /// What stands in the chain instead of a plugin that could not be loaded when the observer
    /// started. Whether it redacts is not known: unless its settings say otherwise, no text passes.
    pub(crate) fn stand_in(spec: &PluginSpec, reason: String) -> Self {
        Self {
            identity: Arc::new(PluginIdentity {
                name: spec.name.as_str().into(),
                version: String::new(),
                digest: None,
            }),
            select: spec.select.clone(),
            on_error: spec.on_error.unwrap_or(OnError::Strip),
            limits: spec.limits.clone(),
            metrics: Arc::default(),
            call_marker: None,
            kind: Kind::StandIn(reason),
        }
    }

    /// Goes on with the counts of an earlier version.
    pub(crate) fn with_metrics(mut self, metrics: Arc<PluginMetrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Calls it on an event of each kind, as it will be called.
    ///
    /// # Errors
    ///
    /// It crashes or breaks the contract. That it answers with an error is its right: the samples
    /// may lack what it looks for.
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
                    Err(_) => CallFailure::Time(self.limits.time_ms.get()),
                },
                (Ok(_) | Err(CallFailure::Reported(_)), _) => continue,
                (Err(failure), _) => failure,
            };
            return Err(LoadError::SelfTest(failure));
        }
        Ok(())
    }

    /// The operator's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// What it calls itself: name and version.
    #[must_use]
    pub fn identity(&self) -> (&str, &str) {
        match &self.kind {
            Kind::Ready { configured, .. } => (&configured.name, &self.identity.version),
            Kind::StandIn(_) => ("", ""),
        }
    }

    /// SHA-256 of its file.
    #[must_use]
    pub fn digest(&self) -> Option<&FileDigest> {
        self.identity.digest.as_ref()
    }

    /// Size of its file in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::Ready { size, .. } => *size,
            Kind::StandIn(_) => 0,
        }
    }

    /// What happens when it fails.
    #[must_use]
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Does every event start from its configured memory?
    #[must_use]
    pub fn is_snapshotted(&self) -> bool {
        match &self.kind {
            Kind::Ready { configured, .. } => configured.configure_per_call.is_none(),
            Kind::StandIn(_) => false,
        }
    }

    /// Why it stands in for a plugin that could not be loaded.
    #[must_use]
    pub fn not_loaded(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ready { .. } => None,
            Kind::StandIn(reason) => Some(reason),
        }
    }

    /// Names of its rule sets, with the ids of their rules and the number of known values.
    #[must_use]
    pub fn rules(&self) -> Vec<(String, Vec<String>, usize)> {
        match &self.kind {
            Kind::Ready { configured, .. } => configured.declared.clone(),
            Kind::StandIn(_) => Vec::new(),
        }
    }

    /// What it has done.
    #[must_use]
    pub fn counts(&self) -> PluginCounts {
        self.metrics.read()
    }

    /// Has it rules that mask something?
    #[must_use]
    pub fn redacts(&self) -> bool {
        !self.rule_sets().is_empty()
    }

    pub(crate) fn rule_sets(&self) -> Arc<RuleSets> {
        match &self.kind {
            Kind::Ready { configured, .. } => configured.rule_sets.clone(),
            Kind::StandIn(_) => Arc::default(),
        }
    }

    /// Does it want this event?
    pub(crate) fn wants(&self, envelope: &Envelope) -> bool {
        self.select.matches(&envelope.event)
    }

    /// Will it take memory that all plugins share, and so perhaps wait for it on the thread that runs it?
    pub(crate) fn may_wait(&self) -> bool {
        match &self.kind {
            Kind::Ready { memory, .. } => memory.is_large(),
            Kind::StandIn(_) => false,
        }
    }

    /// Runs it on an event, in a fresh instance. The draft comes back either way.
    pub(super) fn call(
        &self,
        engine: &PluginEngine,
        output_mask: &Arc<OutputMask>,
        envelope: Envelope,
    ) -> (Option<Draft>, Result<Verdict, CallFailure>) {
        let (configured, memory) = match &self.kind {
            Kind::Ready {
                configured, memory, ..
            } => (configured, memory),
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
        // What others have left does not suffice: once more, with all that it may need.
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

    /// One run in a fresh instance. Its memory is given back when this returns.
    fn attempt(
        &self,
        engine: &PluginEngine,
        output_mask: &Arc<OutputMask>,
        configured: &ConfiguredPlugin,
        envelope: Envelope,
        call_memory: CallMemory,
    ) -> (Option<Draft>, Result<Verdict, CallEnd>) {
        let mut store = PluginEngine::store(
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
        self.metrics.used(limits.used);
        let starved = limits
            .call_memory
            .as_ref()
            .is_some_and(|call_memory| call_memory.starved);
        let refused = limits.refused;
        let answer = match answer {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(reason)) => {
                let reason = match &configured.configure_per_call {
                    // It may be what `configure` says, which may quote the configuration.
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
        // First its memory, then what counts it.
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

    fn no_memory(&self, memory: &PluginMemory) -> CallFailure {
        CallFailure::SharedMemory {
            waited_ms: self.limits.time_ms.get(),
            total: memory.budget().total(),
        }
    }
}

/// How an attempt ended without an answer.
enum CallEnd {
    /// For good.
    Failed(CallFailure),
    /// It needs more memory than there was at once.
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
    // The guest's handle stands for the store's only draft: its number says nothing.
    transform.call_process(&mut *store, Resource::new_borrow(0))
}
