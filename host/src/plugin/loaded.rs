//! A plugin that is ready: configured, with its limits, and called once per event.

use super::aside::{self, Made};
use super::bindings::exports::step_observer::plugin::transform::Verdict;
use super::budget::{Account, CodeShare, Share};
use super::crash::CrashMark;
use super::draft::{Draft, RuleSets};
use super::engine::{Limits, PluginEngine};
use super::failure::Failure;
use super::host::Host;
use super::load::LoadError;
use super::metrics::{PluginCounts, PluginMetrics};
use super::scrub::Scrubber;
use super::setup::Configured;
use super::spec::{OnError, PluginSpec};
use super::trust::FileDigest;
use crate::event::EventMatch;
use crate::step::Envelope;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::Resource;

/// A plugin in a chain.
pub struct Plugin {
    /// The operator's name for it.
    pub(super) label: Arc<str>,
    select: EventMatch,
    pub(super) on_error: OnError,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<PluginMetrics>,
    /// Notes while a call of it runs, so that a start after a crash knows of it.
    mark: Option<CrashMark>,
    body: Body,
}

enum Body {
    Ready {
        configured: Box<Configured>,
        digest: FileDigest,
        size: usize,
        /// What its calls take of the memory that all plugins share.
        memory: Arc<Account>,
        /// Room that its machine code takes.
        _code: CodeShare,
    },
    /// It could not be loaded, and fails on every event for this reason.
    StandIn(String),
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.label)
            .field("digest", &self.digest())
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
        let Made {
            configured,
            digest,
            size,
            code,
        } = aside::make(engine, spec)?;
        let redacts = !configured.rule_sets.is_empty();
        let default = if redacts {
            OnError::Strip
        } else {
            OnError::Pass
        };
        Ok(Self {
            label: spec.name.as_str().into(),
            select: spec.select.clone(),
            on_error: spec.on_error.unwrap_or(default),
            limits: spec.limits.clone(),
            metrics: Arc::default(),
            mark: None,
            body: Body::Ready {
                configured: Box::new(configured),
                digest,
                size,
                memory: Arc::new(engine.budget.account()),
                _code: code,
            },
        })
    }

    /// The same, noting each call of it in `mark` while it runs.
    #[must_use]
    pub fn marked(mut self, mark: Option<CrashMark>) -> Self {
        self.mark = mark;
        self
    }

    /// What stands in the chain instead of a plugin that could not be loaded when the observer
    /// started. Whether it redacts is not known: unless its settings say otherwise, no text passes.
    pub(super) fn stand_in(spec: &PluginSpec, reason: String) -> Self {
        Self {
            label: spec.name.as_str().into(),
            select: spec.select.clone(),
            on_error: spec.on_error.unwrap_or(OnError::Strip),
            limits: spec.limits.clone(),
            metrics: Arc::default(),
            mark: None,
            body: Body::StandIn(reason),
        }
    }

    /// Goes on with the counts of an earlier version.
    pub(super) fn with_metrics(mut self, metrics: Arc<PluginMetrics>) -> Self {
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
        let scrubber = Arc::new(Scrubber::new(vec![self.rule_sets()]));
        for sample in super::sample::envelopes() {
            if !self.select.wants_phase(&sample.event) {
                continue;
            }
            let (draft, answer) = self.call(engine, &scrubber, sample);
            let failure = match (answer, draft) {
                (Ok(Verdict::Keep), Some(draft)) => match draft.apply() {
                    Ok(_) => continue,
                    Err(_) => Failure::Time(self.limits.time_ms.get()),
                },
                (Ok(_) | Err(Failure::Reported(_)), _) => continue,
                (Err(failure), _) => failure,
            };
            return Err(LoadError::SelfTest(failure));
        }
        Ok(())
    }

    /// The operator's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.label
    }

    /// What it calls itself: name and version.
    #[must_use]
    pub fn identity(&self) -> (&str, &str) {
        match &self.body {
            Body::Ready { configured, .. } => (&configured.name, &configured.version),
            Body::StandIn(_) => ("", ""),
        }
    }

    /// SHA-256 of its file.
    #[must_use]
    pub fn digest(&self) -> Option<&FileDigest> {
        match &self.body {
            Body::Ready { digest, .. } => Some(digest),
            Body::StandIn(_) => None,
        }
    }

    /// Size of its file in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Ready { size, .. } => *size,
            Body::StandIn(_) => 0,
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
        match &self.body {
            Body::Ready { configured, .. } => configured.configure_each.is_none(),
            Body::StandIn(_) => false,
        }
    }

    /// Why it stands in for a plugin that could not be loaded.
    #[must_use]
    pub fn not_loaded(&self) -> Option<&str> {
        match &self.body {
            Body::Ready { .. } => None,
            Body::StandIn(reason) => Some(reason),
        }
    }

    /// Names of its rule sets, with the ids of their rules and the number of known values.
    #[must_use]
    pub fn rules(&self) -> Vec<(String, Vec<String>, usize)> {
        match &self.body {
            Body::Ready { configured, .. } => configured.declared.clone(),
            Body::StandIn(_) => Vec::new(),
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
        match &self.body {
            Body::Ready { configured, .. } => configured.rule_sets.clone(),
            Body::StandIn(_) => Arc::default(),
        }
    }

    /// Does it want this event?
    pub(super) fn wants(&self, envelope: &Envelope) -> bool {
        self.select.matches(&envelope.event)
    }

    /// Will it take memory that all plugins share, and so perhaps wait for it on the thread that runs it?
    pub(super) fn may_wait(&self) -> bool {
        match &self.body {
            Body::Ready { memory, .. } => memory.is_large(),
            Body::StandIn(_) => false,
        }
    }

    /// Runs it on an event, in a fresh instance. The draft comes back either way.
    pub(super) fn call(
        &self,
        engine: &PluginEngine,
        scrubber: &Arc<Scrubber>,
        envelope: Envelope,
    ) -> (Option<Draft>, Result<Verdict, Failure>) {
        let (configured, account) = match &self.body {
            Body::Ready {
                configured, memory, ..
            } => (configured, memory),
            Body::StandIn(reason) => {
                let failure = Failure::NotLoaded(reason.clone());
                return (Some(self.draft(envelope)), Err(failure));
            }
        };
        let patience = Duration::from_millis(self.limits.time_ms.get());
        let began = Instant::now();
        let Some(share) = account.share(began + patience) else {
            return (Some(self.draft(envelope)), Err(self.no_memory(account)));
        };
        let waited = began.elapsed();
        let attempt = self.attempt(engine, scrubber, configured, envelope, share);
        // What others have left does not suffice: once more, with all that it may need.
        let envelope = match attempt {
            (Some(draft), Err(Attempt::Starved)) => draft.discard(),
            (draft, answer) => return (draft, answer.map_err(|end| self.failure(end, account))),
        };
        let deadline = Instant::now() + patience.saturating_sub(waited);
        let Some(share) = account.whole_share(self.limits.all_bytes(), deadline) else {
            return (Some(self.draft(envelope)), Err(self.no_memory(account)));
        };
        let (draft, answer) = self.attempt(engine, scrubber, configured, envelope, share);
        (draft, answer.map_err(|end| self.failure(end, account)))
    }

    fn draft(&self, envelope: Envelope) -> Draft {
        Draft::new(envelope, self.rule_sets(), &self.limits)
    }

    /// One run in a fresh instance. Its memory is given back when this returns.
    fn attempt(
        &self,
        engine: &PluginEngine,
        scrubber: &Arc<Scrubber>,
        configured: &Configured,
        envelope: Envelope,
        share: Share,
    ) -> (Option<Draft>, Result<Verdict, Attempt>) {
        let mut store = PluginEngine::store(
            &engine.run,
            &self.limits,
            self.label.clone(),
            scrubber.clone(),
            Some(self.draft(envelope)),
            Some(share),
        );
        let running = self.mark.as_ref().map(CrashMark::begin);
        let answer = run(configured, &mut store);
        drop(running);
        let limits = &store.data().limits;
        self.metrics.used(limits.used);
        let starved = limits.share.as_ref().is_some_and(|share| share.starved);
        let refused = limits.refused;
        let answer = match answer {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(reason)) => {
                let reason = match &configured.configure_each {
                    // It may be what `configure` says, which may quote the configuration.
                    Some(config) => Scrubber::of_config(config).line(&reason, 512),
                    None => reason,
                };
                let reason = scrubber.line(&reason, 512);
                Err(Attempt::Failed(Failure::Reported(reason)))
            }
            Err(_) if starved => Err(Attempt::Starved),
            Err(error) => {
                let failure = Failure::of(&error, refused, &self.limits);
                Err(Attempt::Failed(failure))
            }
        };
        // First its memory, then what counts it.
        let Host { draft, limits, .. } = store.into_data();
        drop(limits);
        (draft, answer)
    }

    fn failure(&self, end: Attempt, account: &Account) -> Failure {
        match end {
            Attempt::Failed(failure) => failure,
            Attempt::Starved => self.no_memory(account),
        }
    }

    fn no_memory(&self, account: &Account) -> Failure {
        Failure::SharedMemory {
            waited_ms: self.limits.time_ms.get(),
            total: account.budget().total(),
        }
    }
}

/// How an attempt ended without an answer.
enum Attempt {
    /// For good.
    Failed(Failure),
    /// It needs more memory than there was at once.
    Starved,
}

fn run(
    configured: &Configured,
    store: &mut wasmtime::Store<Host>,
) -> wasmtime::Result<Result<Verdict, String>> {
    let guest = configured.pre.instantiate(&mut *store)?;
    let transform = guest.step_observer_plugin_transform();
    if let Some(config) = &configured.configure_each
        && let Err(reason) = transform.call_configure(&mut *store, config)?
    {
        return Ok(Err(reason));
    }
    // The guest's handle stands for the store's only draft: its number says nothing.
    transform.call_process(&mut *store, Resource::new_borrow(0))
}
