//! State that outlives a change of the configuration: the journal, the history, the admin server's
//! listeners, and the pauses of sinks.

use super::registry_plugins::RegistryPlugins;
use super::{AppError, Source, plugins};
use crate::admin::{AdminConfig, Listeners, ReloadStatus};
use crate::bounded::Bounded;
use crate::clock;
use crate::config::{Config, SinkConfig};
use crate::gap::Gaps;
use crate::history::{History, Listener};
use crate::journal::{Journal, JournalConfig};
use crate::known_secrets::{KnownSecrets, KnownSecretsConfig, KnownSecretsError, SecretReader};
use crate::locked::Locked;
use crate::metrics::Registry;
use crate::page::LivePage;
use crate::plugin::{CrashRecord, PluginEngine};
use crate::sink::{PauseGate, SinkKind};
use crate::standby::{Standby, StandbyConfig};
use crate::trace::{TraceExporter, TracesConfig};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use step_observer_core::{Ledger, Shard};
use tracing::warn;

/// Shortest look-back of a ledger. It exceeds the longest wait for evidence in core, which is 35 s.
const MIN_LOOK_BACK: SignedDuration = SignedDuration::from_mins(1);

/// State that a pipeline hands over to the next one, which has another configuration. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct CarriedOver {
    pub(super) journal: Journal,
    pub(super) history: History,
    journal_config: JournalConfig,
    pub(super) admin_config: AdminConfig,
    /// Listeners of the admin server. One pipeline after the other answers on them.
    pub(super) listeners: Listeners,
    /// What the live page shows.
    pub(super) page: LivePage,
    /// Runs the plugins. What it has compiled stays, if the next configuration names it with the same
    /// settings.
    pub(super) engine: PluginEngine,
    /// Plugins that were pulled from registries, and those that are missing.
    pub(super) registry_plugins: RegistryPlugins,
    traces_config: Option<TracesConfig>,
    pub(super) traces: Option<TraceExporter>,
    reloads: Arc<Locked<ReloadStatus>>,
    /// The pauses that receivers asked for, by name of the sink, each with its destination.
    pauses: Arc<Locked<HashMap<String, (SinkKind, PauseGate)>>>,
    /// The known secrets of the latest pipeline.
    known_secrets: Arc<Locked<Option<KnownSecrets>>>,
    /// The plugins that ran when the process crashed.
    pub(super) crashes: Option<CrashRecord>,
    /// True if the last pipeline had not seen everything when it ended, or not all of it was in the
    /// journal.
    unfinished: Arc<AtomicBool>,
    /// The settings of `standby`, and the shard, whose number is in the name of the Lease.
    standby_config: Option<(StandbyConfig, Shard)>,
    /// This observer among several.
    pub(super) standby: Option<Standby>,
    /// The times in which this process, or one before it with the same journal, did not watch.
    pub(super) gaps: Gaps,
    /// The horizon that a standby began with. It replaces that of the journal, which may be of a time when
    /// this observer was active before.
    handed_over: Arc<Locked<Option<Timestamp>>>,
}

impl CarriedOver {
    pub(super) async fn open(source: &Source, config: &Config) -> Result<Self, AppError> {
        let (journal_config, admin_config) = (config.journal.clone(), config.admin.clone());
        let folder = journal_config.directory.as_deref();
        let traces_config = config.traces.clone();
        let traces = traces_config
            .as_ref()
            .map(TraceExporter::start)
            .transpose()?;
        let is_asked = admin_config.listen.is_some() || traces.is_some();
        let default_bytes = match folder {
            Some(_) => 64 << 20,
            None if is_asked => 4 << 20,
            None => 0,
        };
        let history_bytes = journal_config
            .history_bytes
            .map_or(default_bytes, Bounded::get);
        let journal = Journal::open(&journal_config, source.horizon())?;
        let also = traces.as_ref();
        let also = also.map(|traces| Box::new(traces.recorder()) as Listener);
        // The lock of the journal also protects the other files in its folder.
        let history = History::open(folder, history_bytes, also)?;
        let crashes = folder.and_then(crashes);
        let gaps = match source {
            Source::Cluster { .. } => Gaps::open(folder),
            Source::Recording { .. } => Gaps::default(),
        };
        let listeners = Listeners::open(&admin_config, matches!(source, Source::Cluster { .. }))?;
        let page = match listeners.show_runs() {
            true => LivePage::open(clock::now(), source.is_recording()),
            false => LivePage::default(),
        };
        Ok(Self {
            engine: plugins::engine()?,
            registry_plugins: RegistryPlugins::open(folder),
            journal,
            history,
            journal_config,
            admin_config,
            listeners,
            page,
            traces_config,
            traces,
            reloads: Arc::default(),
            pauses: Arc::default(),
            known_secrets: Arc::default(),
            crashes,
            unfinished: Arc::default(),
            standby_config: standby_config(config)?,
            standby: source.standby(config)?,
            gaps,
            handed_over: Arc::default(),
        })
    }

    /// Attributes a crash of the process to the plugins that run, until the returned guard is
    /// dropped.
    pub(super) fn count_crashes(&self) -> CrashCounting {
        if let Some(crashes) = &self.crashes {
            crashes.mark_running();
        }
        CrashCounting(self.crashes.clone())
    }

    /// Checks that a pipeline with another configuration can take over.
    pub(super) fn for_config(self, config: &Config) -> Result<Self, AppError> {
        // A reload cannot replace open files and sockets: these settings need a restart.
        if config.journal != self.journal_config {
            return Err(AppError::NeedsRestart("journal"));
        }
        if config.admin != self.admin_config {
            return Err(AppError::NeedsRestart("admin"));
        }
        if config.traces != self.traces_config {
            return Err(AppError::NeedsRestart("traces"));
        }
        let standby = standby_config(config)?;
        if standby != self.standby_config {
            let is_shard =
                config.standby.as_ref() == self.standby_config.as_ref().map(|(standby, _)| standby);
            let what = if is_shard {
                "cluster.shards"
            } else {
                "standby"
            };
            return Err(AppError::NeedsRestart(what));
        }
        Ok(self)
    }

    /// Sets the horizon of a standby that becomes active.
    pub(super) fn begin_at(&self, horizon: Timestamp) {
        *self.handed_over.lock() = Some(horizon);
    }

    /// Notes whether a pipeline that ends has seen everything, and all of that is in the journal.
    pub(super) fn note_end(&self, is_finished: bool) {
        self.unfinished.store(!is_finished, Ordering::Relaxed);
    }

    /// Returns a ledger that emits no transition of a TaskRun that ended before the look-back of
    /// the first start. With a journal in a folder, older TaskRuns can be looked at again: the
    /// journal has marks, and rejects events that it has already accepted. A journal in memory has
    /// no marks. If the previous pipeline has emitted all that it saw, the ledger looks back no
    /// further than necessary.
    pub(super) fn ledger(&self, source: &Source) -> Ledger {
        if source.is_recording() {
            return Ledger::from_stream_start();
        }
        let recent = source.horizon();
        let handed_over = *self.handed_over.lock();
        let first = handed_over.or_else(|| self.journal.horizon());
        let first = first.unwrap_or(recent);
        let has_marks = self.journal_config.directory.is_some();
        match has_marks || self.unfinished.load(Ordering::Relaxed) {
            true => Ledger::new(first),
            // A TaskRun may have ended this long before its last transition is emitted.
            false => Ledger::new(first.max(recent.checked_sub(MIN_LOOK_BACK).unwrap_or(first))),
        }
    }

    /// Returns the pause of each sink. A sink keeps the pause that its receiver asked for under the
    /// previous configuration, if it has the same destination. Pauses of removed sinks are dropped.
    pub(super) fn pauses(&self, sinks: &[&SinkConfig]) -> Vec<PauseGate> {
        let mut kept = self.pauses.lock();
        let mut before = std::mem::take(&mut *kept);
        let each = sinks.iter().map(|sink| {
            let longest = Duration::from_millis(sink.retry.max_pause_ms.get());
            let pause = match before.remove(&sink.name) {
                Some((to, pause)) if to == sink.to => pause.bounded(longest),
                Some(_) | None => PauseGate::new(longest),
            };
            kept.insert(sink.name.clone(), (sink.to.clone(), pause.clone()));
            pause
        });
        each.collect()
    }

    /// Reads the known secrets of a configuration. Values that the previous pipeline knew stay known
    /// for a while.
    pub(super) fn open_known_secrets(
        &self,
        config: &KnownSecretsConfig,
        reader: Option<Arc<dyn SecretReader>>,
    ) -> Result<KnownSecrets, KnownSecretsError> {
        let mut latest = self.known_secrets.lock();
        let opened = KnownSecrets::open(config, latest.as_ref(), reader)?;
        *latest = Some(opened.clone());
        Ok(opened)
    }

    /// Records the outcome of a change of the configuration.
    pub fn note_reload(&self, outcome: Result<(), String>) {
        let mut reloads = self.reloads.lock();
        match outcome {
            Ok(()) => reloads.applied += 1,
            Err(_) => reloads.refused += 1,
        }
        reloads.last_refusal = outcome.err();
    }

    /// Waits until a plugin that could not be pulled from its registry was pulled: a pipeline with the same configuration then has it.
    /// Waits for ever if none is missing.
    pub async fn plugin_pulled(&self) {
        self.registry_plugins.pulled().await;
    }

    /// Clears the last refusal, because the file again matches the configuration in use.
    pub fn clear_last_refusal(&self) {
        let mut reloads = self.reloads.lock();
        reloads.last_refusal = None;
        drop(reloads);
        self.registry_plugins.forget_refused();
    }

    pub(super) fn reloads(&self) -> ReloadStatus {
        let reloads = self.reloads.lock();
        reloads.clone()
    }

    /// Registers the metrics of everything that outlives a change of the configuration. Their counters
    /// continue.
    pub(super) fn register_metrics(&self, registry: &mut Registry) {
        self.journal.register_metrics(registry);
        self.history.register_metrics(registry);
        Standby::register_metrics(self.standby.as_ref(), registry);
        self.gaps.register_metrics(registry);
        let carried = self.clone();
        registry.register_samples(move |samples| {
            let reloads = carried.reloads();
            samples.gauge(
                "config_last_reload_successful",
                "1 if the last change of the configuration was applied, or if there was none; 0 if it was refused",
                reloads.last_refusal.is_none(),
            )?;
            samples.counters(
                "config_reloads",
                "Changes of the configuration, by outcome",
                ["outcome"],
                [
                    (["applied"], reloads.applied),
                    (["refused"], reloads.refused),
                ],
            )
        });
    }
}

/// Returns what decides on the Lease of an observer. Without `standby`, its shard may change while it runs.
fn standby_config(config: &Config) -> Result<Option<(StandbyConfig, Shard)>, AppError> {
    let Some(standby) = &config.standby else {
        return Ok(None);
    };
    Ok(Some((standby.clone(), config.cluster.own_shard()?)))
}

/// Guard: while it exists, a crash of the process counts against the plugins that run.
pub(super) struct CrashCounting(Option<CrashRecord>);

impl Drop for CrashCounting {
    fn drop(&mut self) {
        if let Some(crashes) = &self.0 {
            crashes.mark_stopped();
        }
    }
}

/// Opens the record of crashes in the journal's folder, which is locked for this process. If that
/// fails, the observer works without the record, and a plugin that crashes the process is loaded
/// again after every restart.
fn crashes(folder: &Path) -> Option<CrashRecord> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let opened = CrashRecord::open(folder, boot.as_deref());
    opened
        .inspect_err(|error| {
            warn!(%error, "crashes of the process are not attributed to plugins");
        })
        .ok()
}
