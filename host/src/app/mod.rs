//! The composition root: the only place that spawns. Stages in a row, each ends when the one before
//! it has ended and it has worked off what it had:
//!
//! observe → track → prepare → journal → one lane set per sink
//!
//! Only `observe` hears the shutdown; everything else flows downhill. Beside the row, until nothing is
//! left to prepare: the plugins that come and go, and what the observer tells about itself.

mod check;
mod drop_ins;
mod memory_limit;
mod plugins;
mod reload;
mod reviewer;
mod sinks;
mod stages;
mod status;
mod tekton;

pub use check::{CheckScope, check};
pub use plugins::{load_plugin, read_plugin};
pub use reload::CarriedOver;

use crate::admin::{AdminError, Subject};
use crate::config::{Config, LogConfig};
use crate::control;
use crate::event::EventConfig;
use crate::fair::{Admission, FairSemaphore};
use crate::history::HistoryError;
use crate::journal::{JournalConfig, JournalError};
use crate::lanes::{self, LaneLimits};
use crate::logs::LogReader;
use crate::observe::{self, ClusterConfig, ObserveError, PluginEventRecorder, Tracker};
use crate::plugin::dropin::Catalog;
use crate::plugin::{ChainError, ChainPool, Compiler};
use crate::prepare::{EventHook, PipelineMetrics, Preparation, PrepareCommand};
use crate::sink::SinkError;
use crate::trace::TraceError;
use drop_ins::DropInSource;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use sinks::ReadySink;
use stages::Stages;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Changes between observe and track: enough to smooth bursts, few enough to stay small.
const CHANGES_CAPACITY: usize = 64;
/// Step records that are prepared at a time: most wait for a log.
const MAX_PREPARING: usize = 64;
/// Step records between track and prepare, which takes them at once: how many there may be is decided before
/// (`fair::Admission`), by namespace.
const RECORDS_CAPACITY: usize = 128;
/// No bound of their own for the lanes of records: those that wait for a turn are admitted.
const UNBOUNDED_LANES: LaneLimits = LaneLimits {
    concurrency: usize::MAX,
    capacity: usize::MAX,
};
/// Longest wait for the journal at the beginning and at the end.
const MAX_SYNC_WAIT: Duration = Duration::from_secs(5);

/// What is observed.
#[expect(
    missing_debug_implementations,
    reason = "a player and a client have nothing to show"
)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub enum Source {
    /// A cluster.
    Cluster {
        /// Its client.
        client: kube::Client,
        /// A client of its own for logs, so that they cannot starve the watches.
        log_client: kube::Client,
        /// How fresh the watches of `client` are.
        watches: observe::Watches,
        /// What to watch.
        config: ClusterConfig,
        /// Runs that ended longer before `started` are history.
        look_back: SignedDuration,
        /// The start, by the cluster's clock.
        started: Timestamp,
        /// Takes what the watches show, to record it.
        tap: Option<observe::RawEventHook>,
    },
    /// A recording or a piped watch stream.
    Recording {
        /// What plays it.
        player: observe::Player,
        /// Its logs.
        logs: observe::RecordedLogs,
        /// It is happening now: where its events have no time, it is this machine's.
        live: bool,
        /// How long a plugin may hold an event.
        hold_for: Duration,
    },
}

/// Everything that a run needs.
#[expect(
    missing_debug_implementations,
    reason = "an event hook has nothing to show"
)]
pub struct App {
    source: Source,
    catalog: Catalog,
    drop_ins: Vec<DropInSource>,
    sinks: Vec<ReadySink>,
    /// What finds out where events go, while there are any.
    url_watchers: Vec<BoxFuture<'static, ()>>,
    carried: CarriedOver,
    /// Folder of the journal.
    folder: Option<PathBuf>,
    event: EventConfig,
    log: LogConfig,
    grace: Duration,
    event_hook: Option<EventHook>,
}

/// Why a run cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Nothing can be observed.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A plugin is not loaded.
    #[error(transparent)]
    Plugin(#[from] ChainError),
    /// WebAssembly does not run here.
    #[error("failed to start the plugin engine: {0}")]
    Engine(String),
    /// A sink is not usable.
    #[error("sink `{name}`: {source}")]
    Sink {
        /// Its name.
        name: String,
        /// Why.
        source: SinkError,
    },
    /// There is no sink.
    #[error(
        "there is no sink: give --to (stdout, file:PATH or a URL), or `sinks` in the configuration"
    )]
    NoSink,
    /// Only a cluster has Tekton.
    #[error("sink `{0}`: only `run` can ask Tekton for its sink; give --to with a URL")]
    NoTekton(String),
    /// A folder of plugins cannot be read.
    #[error("failed to read the plugins in {folder} (--plugin-dir, dropIn.folders): {source}")]
    PluginFolder {
        /// Its path.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The observer cannot tell about itself.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// There is no journal, or it cannot be written any more.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There are no traces.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// There is no history.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// This cannot change while the observer runs.
    #[error("`{0}` cannot change while the observer runs: restart it")]
    NeedsRestart(&'static str),
    /// A thread cannot be started.
    #[error("failed to start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A stage panicked.
    #[error("stage `{0}` ended unexpectedly; please report this")]
    Stage(String),
}

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Transitions of steps.
    pub steps: u64,
    /// Events that plugins dropped.
    pub dropped: u64,
    /// Events that could not be made, or did not get through the plugins before the end.
    pub unprepared: u64,
    /// Per sink: name, delivered, undelivered.
    pub sinks: Vec<(String, u64, u64)>,
}

impl Summary {
    /// Events that some sink should have and has not.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.unprepared
            + self
                .sinks
                .iter()
                .map(|(_, _, undelivered)| undelivered)
                .sum::<u64>()
    }
}

impl App {
    /// Loads plugins, compiled where `compiler` says, and opens sinks.
    ///
    /// # Errors
    ///
    /// The first of them that cannot be used.
    pub async fn build(
        source: Source,
        config: Config,
        compiler: Compiler,
    ) -> Result<Self, AppError> {
        if config.sinks.is_empty() {
            return Err(AppError::NoSink);
        }
        let carried = CarriedOver::open(&source, &config).await?;
        Self::assemble(source, config, compiler, carried).await
    }

    /// The same for a run that is to follow one with another configuration, and takes over what that one has
    /// accepted. Nothing of it is used before it runs, so that the other may go on where this fails.
    ///
    /// # Errors
    ///
    /// As for [`App::build`], or something changes that cannot while the observer runs.
    pub async fn rebuild(
        source: Source,
        config: Config,
        compiler: Compiler,
        carried: CarriedOver,
    ) -> Result<Self, AppError> {
        let carried = carried.for_config(&config)?;
        Self::assemble(source, config, compiler, carried).await
    }

    /// What a run with another configuration takes over.
    #[must_use]
    pub fn carried_over(&self) -> CarriedOver {
        self.carried.clone()
    }

    /// Loads plugins, to see what they would do: nothing is sent anywhere.
    ///
    /// # Errors
    ///
    /// The first of them that cannot be used.
    pub async fn dry_run(source: Source, config: Config) -> Result<Self, AppError> {
        let nothing_sent = Config {
            sinks: Vec::new(),
            journal: JournalConfig::default(),
            ..config
        };
        let carried = CarriedOver::open(&source, &nothing_sent).await?;
        Self::assemble(source, nothing_sent, Compiler::Thread, carried).await
    }

    async fn assemble(
        source: Source,
        config: Config,
        compiler: Compiler,
        carried: CarriedOver,
    ) -> Result<Self, AppError> {
        let Config {
            cluster: _,
            look_back: _,
            log,
            event,
            plugins,
            drop_in,
            plugin_memory,
            trust,
            journal,
            admin: _,
            traces: _,
            sinks,
            shutdown_grace,
        } = config;
        let engine = plugins::engine(&plugin_memory, compiler)?;
        let mut ready = Vec::new();
        let trust = Arc::new(trust);
        let fixed = plugins::load(&engine, &plugins, &trust).await?;
        for folder in &drop_in.folders {
            // Later it may come and go; one that is not there now is a mistake.
            std::fs::read_dir(folder).map_err(|source| AppError::PluginFolder {
                folder: folder.clone(),
                source,
            })?;
        }
        let ceiling = drop_in.limits.clone();
        let drop_ins = plugins::sources(&source, drop_in);
        let catalog = Catalog::new(&engine, trust.clone(), fixed, drop_ins.len());
        let mut catalog = catalog
            .with_ceiling(ceiling)
            .with_crashes(carried.crashes.clone());
        let mut url_watchers = Vec::new();
        let mut opening = sinks::SinkOpener {
            source: &source,
            engine: &engine,
            trust: &trust,
            catalog: &mut catalog,
            url_watchers: &mut url_watchers,
        };
        for config in sinks {
            ready.extend(opening.open(config).await?);
        }
        Ok(Self {
            source,
            catalog,
            drop_ins,
            sinks: ready,
            url_watchers,
            carried,
            folder: journal.directory,
            event,
            log,
            grace: Duration::try_from(shutdown_grace.0).unwrap_or_default(),
            event_hook: None,
        })
    }

    /// Lets somebody look on.
    #[must_use]
    pub fn with_event_hook(mut self, event_hook: EventHook) -> Self {
        self.event_hook = Some(event_hook);
        self
    }

    /// Runs until the source ends, or `shutdown` does; then delivers what is left within the grace
    /// period.
    ///
    /// # Errors
    ///
    /// The source fails, or a stage panics.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Summary, AppError> {
        self.run_until(shutdown.map(|()| None)).await
    }

    /// The same where `shutdown` may give a grace period of its own.
    ///
    /// # Errors
    ///
    /// As for [`App::run`].
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = Option<Duration>> + Send + 'static,
    ) -> Result<Summary, AppError> {
        let Self {
            source,
            catalog,
            drop_ins,
            sinks,
            url_watchers,
            carried,
            folder,
            event,
            log,
            grace,
            event_hook,
        } = self;
        let mut running = Stages::new();
        // However it ends: from then on a death is no plugin's fault.
        let in_order = carried.count_crashes();
        let metrics = Arc::new(PipelineMetrics::default());
        let admission = Admission::default();
        let (changes, seen) = mpsc::channel(CHANGES_CAPACITY);
        let (records, to_prepare) = mpsc::channel(RECORDS_CAPACITY);
        let (journal, history) = (carried.journal.clone(), carried.history.clone());
        let same_scope = journal.set_scope(&stages::watch_scope(&source)).await?;
        let (ledger, log_source) = stages::ledger_and_log_source(&source, &log, &carried);
        let logs = Arc::new(LogReader::new(log_source, &log));

        let hold_for = match &source {
            Source::Cluster { .. } => None,
            Source::Recording { hold_for, .. } => Some(*hold_for),
        };
        let watches = match &source {
            Source::Cluster { watches, .. } => Some(watches.clone()),
            Source::Recording { .. } => None,
        };
        // A recording can be played once more, what happens now cannot.
        let forgets_vanished = !matches!(source, Source::Recording { live: false, .. });
        // What only serves the others ends when there is nothing left to prepare.
        let (preparing, prepared) = oneshot::channel::<()>();
        let prepared = prepared.map(drop).boxed().shared();
        let mut removed = sinks::RemovedSinkBacklog::find(&journal, &sinks);
        removed.dead_letter_first(&journal, &history).await?;
        let dead_lettering = removed.dead_letter_rest(journal.clone(), history.clone());
        running.spawn(stages::until(
            prepared.clone(),
            "removed sinks",
            dead_lettering,
        ));
        let sinks::Deliveries {
            sink_metrics,
            routes,
            over: delivered,
        } = sinks::Deliveries::start(sinks, &prepared, &carried, &mut running);
        let (rosters, roster) = watch::channel(catalog.roster());
        let notices = match &source {
            Source::Cluster { client, .. } => {
                let (notices, told) = mpsc::channel(drop_ins::NOTICES_CAPACITY);
                let notes = PluginEventRecorder::new(client.clone(), plugins::instance());
                let publishing = drop_ins::publish_events(notes, told);
                running.spawn(stages::until(prepared.clone(), "plugin events", publishing));
                notices
            }
            Source::Recording { .. } => mpsc::channel(1).0,
        };
        let keeping = drop_ins::watch_drop_ins(catalog, drop_ins, rosters, notices);
        running.spawn(stages::until(prepared.clone(), "plugins", keeping));
        for watcher in url_watchers {
            running.spawn(stages::until(delivered.clone(), "follow Tekton", watcher));
        }
        if let Some(folder) = folder {
            // What goes elsewhere has not passed the plugins there.
            let plain = routes
                .iter()
                .filter(|route| route.chain.plugins().is_empty());
            let sinks = plain.map(|route| route.name.clone()).collect();
            let journal = journal.clone();
            let history = history.clone();
            let answering = async move { control::serve(&folder, &journal, &history, sinks).await };
            running.spawn(stages::until(delivered.clone(), "control", answering));
        }
        let sources = status::StatusSources {
            journal: journal.clone(),
            history: history.clone(),
            sink_metrics: sink_metrics.clone(),
            metrics: metrics.clone(),
            logs: logs.clone(),
            admission: admission.clone(),
            watches: watches.clone(),
            carried: carried.clone(),
        };
        let subject = Subject {
            roster: roster.clone(),
            status: sources.into_provider(),
            history: history.clone(),
        };
        let auth = carried.admin_config.auth.as_ref();
        let reviewer = reviewer::reviewer(&source, auth);
        let serving = carried
            .listeners
            .serve(auth, reviewer, subject, &delivered)?;
        running.spawn(serving.map(|()| ("admin", Ok(()))));
        let pool = ChainPool::new(ChainPool::THREADS)?;
        let preparation = Preparation {
            logs: logs.clone(),
            event,
            pool,
            call_permits: FairSemaphore::new(ChainPool::THREADS),
            record_permits: FairSemaphore::new(MAX_PREPARING),
            roster,
            routes,
            journal: journal.clone(),
            history: history.clone(),
            traced: carried.traces.is_some(),
            metrics: metrics.clone(),
            event_hook,
            hold_for,
            truncated_log_limit: observe::LogRateLimit::default(),
            oversized_log_limit: observe::LogRateLimit::default(),
        };
        running.spawn(async move {
            lanes::run(to_prepare, UNBOUNDED_LANES, |item: PrepareCommand| {
                preparation.handle(item)
            })
            .await;
            // Sinks see what was handed over last only after this. Where it fails, the observer stops anyway.
            preparation.journal.flush_submitted().await.ok();
            drop(preparing);
            ("prepare", Ok(()))
        });
        let (prefetches, wanted) = mpsc::channel(RECORDS_CAPACITY);
        let reading = stages::prefetch_logs(wanted);
        running.spawn(stages::until(prepared.clone(), "prefetch logs", reading));
        let mut tracker = Tracker::new(ledger);
        // A recording has no strangers, and waits: its events are the same at any pace.
        let blocks_when_full = matches!(source, Source::Recording { .. });
        if !blocks_when_full {
            tracker = tracker.with_admission(admission.clone());
        }
        let outputs = stages::TrackOutputs {
            prefetches,
            records,
            logs,
            metrics: metrics.clone(),
            admission: admission.clone(),
            blocks_when_full,
            journal: journal.clone(),
            forgets_vanished,
            same_scope,
            unclaimed_log_limit: observe::LogRateLimit::default(),
            gave_way_log_limit: observe::LogRateLimit::default(),
        };
        running.spawn(stages::track(tracker, seen, outputs));
        let shutdown = shutdown.boxed().shared();
        let stop = shutdown.clone();
        running.spawn(async move {
            let observed = stages::observe(source, changes, shutdown.map(drop)).await;
            // Who stops may be killed for taking too long.
            drop(in_order);
            ("observe", observed)
        });

        let failure = stages::supervise(&mut running, stop, grace, journal.failed()).await?;
        // What was delivered last is sent again after a start where this is not waited for.
        let last = async {
            journal.sync().await.ok();
            history.flush().await;
            if let Some(traces) = &carried.traces {
                traces.flush().await;
            }
        };
        tokio::time::timeout(MAX_SYNC_WAIT, last).await.ok();
        let nothing_waits =
            metrics.pending.load(Ordering::Relaxed) == 0 && admission.status().deferred == 0;
        carried.note_end(nothing_waits && saw_everything(&metrics, watches.as_ref()));
        let summary = Summary {
            steps: metrics.transitions.all(),
            dropped: metrics.dropped.load(Ordering::Relaxed),
            unprepared: metrics.failed.load(Ordering::Relaxed)
                + metrics.pending.load(Ordering::Relaxed),
            sinks: sink_metrics
                .into_iter()
                .map(|(name, metrics)| {
                    let (waiting, _) = journal.counts(&name);
                    (name, metrics.delivered(), waiting + metrics.dead_lettered())
                })
                .collect(),
        };
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(summary),
        }
    }
}

/// Is all of the cluster known, as far as one can know?
fn saw_everything(metrics: &PipelineMetrics, watches: Option<&observe::Watches>) -> bool {
    let health = watches.map(observe::Watches::health).unwrap_or_default();
    let works = health.iter().all(|watch| watch.failing.is_none());
    works && metrics.listed.load(Ordering::Relaxed)
}
