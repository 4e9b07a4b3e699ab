//! What outlives a change of the configuration: what was accepted, what is known of it, and where the observer
//! tells about itself.

use super::{AppError, Source};
use crate::admin::{AdminConfig, Listeners, ReloadStatus};
use crate::bounded::Bounded;
use crate::config::{Config, SinkConfig};
use crate::history::{History, Listener};
use crate::journal::{Journal, JournalConfig};
use crate::locked::Locked;
use crate::plugin::CrashRecord;
use crate::sink::{PauseGate, SinkKind};
use crate::trace::{TraceExporter, TracesConfig};
use jiff::SignedDuration;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use step_observer_core::Ledger;
use tracing::warn;

/// More than a run waits for evidence before it tells something.
const MIN_LOOK_BACK: SignedDuration = SignedDuration::from_mins(1);

/// What one run hands on to the next, which has another configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CarriedOver {
    pub(super) journal: Journal,
    pub(super) history: History,
    journal_config: JournalConfig,
    pub(super) admin_config: AdminConfig,
    /// Where the observer tells about itself; runs answer there one after the other.
    pub(super) listeners: Listeners,
    traces_config: Option<TracesConfig>,
    pub(super) traces: Option<TraceExporter>,
    reloads: Arc<Locked<ReloadStatus>>,
    /// The pauses that sinks have asked for, by name, with where the events go.
    pauses: Arc<Locked<HashMap<String, (SinkKind, PauseGate)>>>,
    /// Which plugins ran when the process died.
    pub(super) crashes: Option<CrashRecord>,
    /// A run has ended before everything that it had seen was in the journal.
    unfinished: Arc<AtomicBool>,
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
        // Who holds the journal's lock is alone in its folder.
        let history = History::open(folder, history_bytes, also)?;
        let crashes = folder.and_then(crashes);
        let listeners = Listeners::open(&admin_config, matches!(source, Source::Cluster { .. }))?;
        Ok(Self {
            journal,
            history,
            journal_config,
            admin_config,
            listeners,
            traces_config,
            traces,
            reloads: Arc::default(),
            pauses: Arc::default(),
            crashes,
            unfinished: Arc::default(),
        })
    }

    /// From now on a death counts for the plugins that run, until what is given back is dropped.
    pub(super) fn count_crashes(&self) -> CrashCounting {
        if let Some(crashes) = &self.crashes {
            crashes.mark_running();
        }
        CrashCounting(self.crashes.clone())
    }

    /// For a run with another configuration.
    pub(super) fn for_config(self, config: &Config) -> Result<Self, AppError> {
        // Files that are open cannot move.
        if config.journal != self.journal_config {
            return Err(AppError::NeedsRestart("journal"));
        }
        if config.admin != self.admin_config {
            return Err(AppError::NeedsRestart("admin"));
        }
        if config.traces != self.traces_config {
            return Err(AppError::NeedsRestart("traces"));
        }
        Ok(self)
    }

    /// A run ends. Has it seen everything, and is all of that in the journal?
    pub(super) fn note_end(&self, is_finished: bool) {
        self.unfinished.store(!is_finished, Ordering::Relaxed);
    }

    /// Knows what is history: what ended before the look-back of the first start. Others may have told what it takes
    /// over from them, and tells again: the ids are the same. In memory nobody knows what was told; where the run
    /// before saw and told everything, this one looks back no further than a first start would.
    pub(super) fn ledger(&self, source: &Source) -> Ledger {
        if source.is_recording() {
            return Ledger::from_stream_start();
        }
        let recent = source.horizon();
        let first = self.journal.horizon().unwrap_or(recent);
        let has_marks = self.journal_config.directory.is_some();
        match has_marks || self.unfinished.load(Ordering::Relaxed) {
            true => Ledger::new(first),
            // What a run waits with for evidence is older than what it tells.
            false => Ledger::new(first.max(recent.checked_sub(MIN_LOOK_BACK).unwrap_or(first))),
        }
    }

    /// The pauses of sinks: one that has asked for a pause under the configuration before goes on with it, if its events
    /// go to the same receiver. Those of sinks that are not named are forgotten.
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

    /// Notes what became of a change of the configuration.
    pub fn note_reload(&self, outcome: Result<(), String>) {
        let mut reloads = self.reloads.lock();
        match outcome {
            Ok(()) => reloads.applied += 1,
            Err(_) => reloads.refused += 1,
        }
        reloads.last_refusal = outcome.err();
    }

    /// The file says again what is in use: the last refusal is settled.
    pub fn clear_last_refusal(&self) {
        let mut reloads = self.reloads.lock();
        reloads.last_refusal = None;
    }

    pub(super) fn reloads(&self) -> ReloadStatus {
        let reloads = self.reloads.lock();
        reloads.clone()
    }
}

/// A run that has not begun to end.
pub(super) struct CrashCounting(Option<CrashRecord>);

impl Drop for CrashCounting {
    fn drop(&mut self) {
        if let Some(crashes) = &self.0 {
            crashes.mark_stopped();
        }
    }
}

/// Beside the journal, which nobody else uses. Without it everything works, but a plugin that ends the process does so
/// again.
fn crashes(folder: &Path) -> Option<CrashRecord> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let opened = CrashRecord::open(folder, boot.as_deref());
    opened
        .inspect_err(|error| {
            warn!(%error, "a plugin that ends the process will not be found out");
        })
        .ok()
}
