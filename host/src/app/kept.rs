//! What outlives a change of the configuration: what was accepted, what is known of it, and where the observer
//! tells about itself.

use super::{AppError, Source, stages};
use crate::admin::{self, Reloads};
use crate::config::{AdminConfig, Config};
use crate::history::{History, Listener};
use crate::journal::{Journal, JournalConfig};
use crate::trace::{Traces, TracesConfig};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use step_observer_core::Ledger;

/// What one run hands on to the next, which has another configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kept {
    pub(super) journal: Journal,
    pub(super) history: History,
    journal_config: JournalConfig,
    admin_config: AdminConfig,
    listener: Option<Arc<TcpListener>>,
    traces_config: Option<TracesConfig>,
    pub(super) traces: Option<Traces>,
    reloads: Arc<Mutex<Reloads>>,
    /// A run has ended before everything that it had seen was in the journal.
    unfinished: Arc<AtomicBool>,
}

impl Kept {
    pub(super) async fn open(source: &Source, config: &Config) -> Result<Self, AppError> {
        let (journal_config, admin_config) = (config.journal.clone(), config.admin.clone());
        let folder = journal_config.directory.as_deref();
        let traces_config = config.traces.clone();
        let traces = traces_config.as_ref().map(Traces::start).transpose()?;
        let is_asked = admin_config.listen.is_some() || traces.is_some();
        let default_bytes = match folder {
            Some(_) => 64 << 20,
            None if is_asked => 4 << 20,
            None => 0,
        };
        let history_bytes = journal_config.history_bytes.unwrap_or(default_bytes);
        let journal = Journal::open(&journal_config, stages::horizon(source))?;
        let also = traces.as_ref();
        let also = also.map(|traces| Box::new(traces.teller()) as Listener);
        // Who holds the journal's lock is alone in its folder.
        let history = History::open(folder, history_bytes, also)?;
        let listener = match admin_config.listen {
            Some(address) => {
                let listening = admin::listen(address).await;
                let listener = listening.and_then(tokio::net::TcpListener::into_std);
                let failed = |source| AppError::Admin { address, source };
                Some(Arc::new(listener.map_err(failed)?))
            }
            None => None,
        };
        Ok(Self {
            journal,
            history,
            journal_config,
            admin_config,
            listener,
            traces_config,
            traces,
            reloads: Arc::default(),
            unfinished: Arc::default(),
        })
    }

    /// For a run with another configuration.
    pub(super) fn under(self, config: &Config) -> Result<Self, AppError> {
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

    /// Where the observer tells about itself; runs listen there one after the other.
    pub(super) fn listener(&self) -> std::io::Result<Option<tokio::net::TcpListener>> {
        let Some(listener) = &self.listener else {
            return Ok(None);
        };
        tokio::net::TcpListener::from_std(listener.try_clone()?).map(Some)
    }

    /// A run ends.
    pub(super) fn end(&self, is_finished: bool) {
        self.unfinished.store(!is_finished, Ordering::Relaxed);
    }

    /// Knows what is history. Of what was not watched before, that is what ended before the look-back, as at a first
    /// start: others may have told it. In memory nobody knows what was told: where everything was, a second run
    /// looks back as far as a first one, and else as far as the first one did.
    pub(super) fn ledger(&self, source: &Source, same_scope: bool) -> Ledger {
        let recent = stages::horizon(source);
        let Some(first) = self.journal.horizon() else {
            return Ledger::new(recent);
        };
        let has_marks = self.journal_config.directory.is_some();
        let finished = !self.unfinished.load(Ordering::Relaxed);
        match has_marks {
            true if same_scope => Ledger::new(first),
            true => Ledger::new(recent.max(first)).with_earlier(self.journal.runs(), first),
            false if finished => Ledger::new(recent.max(first)),
            false => Ledger::new(first),
        }
    }

    /// Notes what became of a change of the configuration.
    pub fn note_reload(&self, outcome: Result<(), String>) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => reloads.applied += 1,
            Err(_) => reloads.refused += 1,
        }
        reloads.last_refusal = outcome.err();
    }

    /// The file says again what is in use: the last refusal is settled.
    pub fn settle_reload(&self) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.last_refusal = None;
    }

    pub(super) fn reloads(&self) -> Reloads {
        let reloads = self.reloads.lock();
        reloads.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
