//! A pipeline: its stages and their shared handles.
//!
//! observe → track → prepare → journal → one set of lanes per sink
//!
//! Each stage ends when the stage before it has ended and its own work is done. Services run beside
//! the stages: drop-in plugins, the control socket, the admin server.

use super::deliveries::Deliveries;
use super::gaps::GapStage;
use super::removed_sinks::RemovedSinkBacklog;
use super::status::StatusSources;
use super::supervisor::{Supervisor, Until};
use super::track::{LogPrefetch, TrackOutputs, prefetch_logs, track};
use super::{
    App, AppError, CarriedOver, MAX_SYNC_WAIT, Source, Summary, condition_metrics, drop_ins,
    known_secrets, reviewer,
};
use crate::admin::Subject;
use crate::control;
use crate::deliver::{SinkBacklog, SinkMetrics};
use crate::event::EventConfig;
use crate::fair::{Admission, FairSemaphore};
use crate::journal::JournalError;
use crate::known_secrets::KnownSecrets;
use crate::lanes::{self, LaneLimits};
use crate::logs::{LogConfig, LogReader};
use crate::metrics::Registry;
use crate::observe::{LogRateLimit, Tracker, Watches};
use crate::plugin::ChainPool;
use crate::plugin::dropin::{self, Roster};
use crate::prepare::{
    ChainLogMasks, EventHook, PipelineMetrics, Preparation, PrepareCommand, SinkRoute,
};
use crate::standby::Progress;
use crate::step_metrics::StepMetrics;
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Step records that are prepared at a time. Most of them wait for a log.
const MAX_PREPARING: usize = 64;
/// Changes between observe and track: enough to smooth bursts.
pub(super) const CHANGES_CAPACITY: usize = 64;
/// Step records between track and prepare. `fair::Admission` bounds the records in prepare, by
/// namespace.
const RECORDS_CAPACITY: usize = 128;
/// Lanes of records need no bound of their own, because `fair::Admission` bounds their records.
const UNBOUNDED_LANES: LaneLimits = LaneLimits {
    concurrency: usize::MAX,
    capacity: usize::MAX,
};

/// A pipeline that runs.
pub(super) struct Pipeline {
    stages: Supervisor,
    shared: Shared,
    sink_metrics: Vec<(String, Arc<SinkMetrics>)>,
    /// Names the part of the cluster that is watched.
    scope: String,
}

/// Handles that the stages of a pipeline share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) carried: CarriedOver,
    pub(super) metrics: Arc<PipelineMetrics>,
    pub(super) admission: Admission,
    pub(super) logs: Arc<LogReader>,
    pub(super) known_secrets: KnownSecrets,
    /// The watches of a cluster.
    pub(super) watches: Option<Watches>,
    /// True if all gaps so far are reported, and their events are in the journal.
    pub(super) gaps_reported: Arc<AtomicBool>,
}

// === impl Pipeline ===

impl Pipeline {
    /// Starts all stages. They run until the source ends or `shutdown` resolves.
    ///
    /// # Errors
    ///
    /// The journal failed, or a thread or the admin server does not start.
    pub(super) async fn start(
        app: App,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, AppError> {
        let App {
            source,
            catalog,
            drop_ins,
            drop_in_fetcher,
            sinks,
            url_watchers,
            carried,
            folder,
            event,
            known_secrets,
            log,
            step_metrics,
            grace: _,
            event_hook,
            built_at: _,
        } = app;
        let crash_counting = carried.count_crashes();
        let mut registry = Registry::new();
        let shared = Shared::new(&source, &log, known_secrets, carried, &mut registry);
        let mut stages = Supervisor::new();
        let (changes, changes_seen) = mpsc::channel(CHANGES_CAPACITY);
        let (records, commands) = mpsc::channel(RECORDS_CAPACITY);
        let (prefetches, wanted) = mpsc::channel(RECORDS_CAPACITY);
        let (listed_at, listed) = watch::channel(None);
        let mut outputs = shared
            .track_outputs(&source, &event, listed_at, (prefetches, records))
            .await?;

        let backlog = RemovedSinkBacklog::find(&shared.carried.journal, &sinks);
        let rest = shared.dead_letter(backlog).await?;
        stages.spawn("removed sinks", Until::Prepared, rest);
        let deliveries = Deliveries::start(sinks, &shared.carried, &mut registry, &mut stages);
        shared.report_progress(&deliveries);
        let roster = drop_ins::start(
            catalog,
            drop_ins,
            drop_in_fetcher,
            source.client(),
            &mut stages,
        );
        dropin::register_metrics(&mut registry, roster.clone());
        condition_metrics::register(&mut registry, &deliveries.routes, roster.clone());
        for watcher in url_watchers {
            stages.spawn("follow Tekton", Until::Delivered, watcher);
        }
        if let Some(folder) = folder {
            let control = shared.control(folder, &deliveries.routes);
            stages.spawn("control", Until::Delivered, control);
        }
        let step_metrics = step_metrics.map(|config| StepMetrics::register(&config, &mut registry));
        let admin = shared.admin(&source, &deliveries, &roster, registry, &stages)?;
        stages.spawn("admin", Until::Answered, admin);
        let routes = &deliveries.routes;
        let reports_run_ends = routes.iter().any(|route| route.takes_run_ends);
        let pipeline_runs = routes.iter().any(|route| route.takes_pipeline_runs);
        outputs.awaits_pipeline_runs = pipeline_runs;
        if let Some(gaps) = GapStage::new(&shared, &source, &event, routes, listed) {
            stages.spawn("report gaps", Until::Prepared, gaps.run());
        }
        let scope = source.scope_digest();
        let preparation = shared.preparation(
            &source,
            (event, step_metrics),
            event_hook,
            roster,
            deliveries.routes,
        )?;
        stages.spawn("prepare", Until::SourceEnds, prepare(preparation, commands));
        if let (Some(client), true) = (source.client(), shared.known_secrets.reads_pods()) {
            let check = known_secrets::warn_of_wide_rights(client.clone());
            stages.spawn("check rights", Until::Prepared, check);
        }
        stages.spawn("prefetch logs", Until::Prepared, prefetch_logs(wanted));
        let tracker = shared.tracker(&source).with_run_ends(reports_run_ends);
        let tracking = track(tracker, changes_seen, outputs);
        stages.spawn("track", Until::SourceEnds, tracking);
        stages.spawn_source("observe", async move {
            let observed = source.observe(changes, pipeline_runs, shutdown).await;
            // After this, crashes do not count against plugins: a slow stop may end in SIGKILL.
            drop(crash_counting);
            observed
        });
        Ok(Self {
            stages,
            shared,
            sink_metrics: deliveries.sink_metrics,
            scope,
        })
    }

    /// Waits until all stages have ended, or the grace period is over.
    ///
    /// # Errors
    ///
    /// The source or the journal failed, or a stage panicked.
    pub(super) async fn finish(
        self,
        shutdown: impl Future<Output = Option<Duration>>,
        grace: Duration,
    ) -> Result<Summary, AppError> {
        let Self {
            mut stages,
            shared,
            sink_metrics,
            scope,
        } = self;
        let journal = shared.carried.journal.clone();
        let source_failure = stages.wait(shutdown, grace, journal.failed()).await?;
        shared.metrics.keep_pending();
        stages.abort();
        shared.flush().await;
        let is_finished = shared.is_finished();
        shared.carried.note_end(is_finished);
        if is_finished {
            shared.note_watched(scope).await;
        }
        if let Some(error) = source_failure {
            return Err(error.into());
        }
        let metrics = &shared.metrics;
        let sinks = sink_metrics.into_iter().map(|(name, metrics)| {
            let (waiting, _) = journal.counts(&name);
            (name, metrics.delivered(), waiting + metrics.dead_lettered())
        });
        Ok(Summary {
            steps: metrics.transitions.total(),
            dropped: metrics.dropped.get(),
            unprepared: metrics.failed.get() + metrics.pending.get(),
            sinks: sinks.collect(),
        })
    }
}

/// Runs the prepare stage until `commands` is closed and all commands are done.
async fn prepare(preparation: Preparation, commands: mpsc::Receiver<(Arc<str>, PrepareCommand)>) {
    lanes::run(commands, UNBOUNDED_LANES, |command| {
        preparation.handle(command)
    })
    .await;
    // Sinks see the last event only after this flush. Its error is ignored here, because a journal
    // that fails stops the observer.
    preparation.journal.flush_submitted().await.ok();
}

// === impl Shared ===

impl Shared {
    fn new(
        source: &Source,
        log: &LogConfig,
        known_secrets: KnownSecrets,
        carried: CarriedOver,
        registry: &mut Registry,
    ) -> Self {
        carried.register_metrics(registry);
        known_secrets.register_metrics(registry);
        let admission = Admission::default();
        admission.register_metrics(registry);
        let watches = source.watches().cloned();
        if let Some(watches) = &watches {
            watches.register_metrics(registry);
        }
        Self {
            carried,
            metrics: Arc::new(PipelineMetrics::register(registry)),
            admission,
            logs: Arc::new(LogReader::new(source.logs(log), log, registry)),
            known_secrets,
            watches,
            gaps_reported: Arc::default(),
        }
    }

    /// Makes dead letters of as many events as the journal has room for. Returns a future that does
    /// the same with the rest.
    async fn dead_letter(
        &self,
        mut backlog: RemovedSinkBacklog,
    ) -> Result<impl Future<Output = ()> + Send + use<>, JournalError> {
        let (journal, history) = (self.carried.journal.clone(), self.carried.history.clone());
        backlog.dead_letter_first(&journal, &history).await?;
        Ok(backlog.dead_letter_rest(journal, history))
    }

    /// Lets a standby know how far this pipeline has come.
    fn report_progress(&self, deliveries: &Deliveries) {
        let Some(standby) = &self.carried.standby else {
            return;
        };
        let shared = self.clone();
        let sinks = deliveries.sink_metrics.iter();
        let sinks: Vec<String> = sinks.map(|(name, _)| name.clone()).collect();
        standby.set_progress(Arc::new(move || {
            let journal = &shared.carried.journal;
            let ages = sinks
                .iter()
                .map(|sink| SinkBacklog::read(journal, sink).oldest);
            Progress {
                is_accepted: shared.is_finished(),
                oldest_waiting: ages.max().unwrap_or_default(),
            }
        }));
    }

    /// Answers on the control socket in the journal's folder.
    fn control(
        &self,
        folder: PathBuf,
        routes: &[SinkRoute],
    ) -> impl Future<Output = ()> + Send + use<> {
        // Excludes sinks with plugins of their own: a dead letter of another sink has not passed
        // these plugins.
        let plain = routes
            .iter()
            .filter(|route| route.chain.plugins().is_empty());
        let sinks = plain.map(|route| route.name.clone()).collect();
        let (journal, history) = (self.carried.journal.clone(), self.carried.history.clone());
        async move { control::serve(&folder, &journal, &history, sinks).await }
    }

    /// Answers on the admin server.
    fn admin(
        &self,
        source: &Source,
        deliveries: &Deliveries,
        roster: &watch::Receiver<Roster>,
        registry: Registry,
        stages: &Supervisor,
    ) -> Result<impl Future<Output = ()> + Send + use<>, AppError> {
        let carried = &self.carried;
        let sources = StatusSources {
            metrics: self.metrics.clone(),
            sink_metrics: deliveries.sink_metrics.clone(),
            logs: self.logs.clone(),
            admission: self.admission.clone(),
            watches: self.watches.clone(),
            carried: carried.clone(),
        };
        let subject = Subject {
            roster: roster.clone(),
            status: sources.into_provider(),
            registry,
            history: carried.history.clone(),
            page: carried.page.clone(),
            sinks: deliveries.page_sinks.clone(),
        };
        let auth = carried.admin_config.auth.as_ref();
        let reviewer = reviewer::reviewer(source, auth);
        let delivered = stages.delivered();
        Ok(carried
            .listeners
            .serve(auth, reviewer, subject, &delivered)?)
    }

    fn preparation(
        &self,
        source: &Source,
        (event, step_metrics): (EventConfig, Option<StepMetrics>),
        event_hook: Option<EventHook>,
        roster: watch::Receiver<Roster>,
        routes: Vec<SinkRoute>,
    ) -> Result<Preparation, AppError> {
        let own = routes.iter().map(|route| route.chain.clone()).collect();
        let masks = ChainLogMasks::new(roster.clone(), own, self.known_secrets.clone());
        self.logs.set_masks(Arc::new(masks));
        Ok(Preparation {
            logs: self.logs.clone(),
            known_secrets: self.known_secrets.clone(),
            event,
            pool: ChainPool::new(ChainPool::THREADS)?,
            call_permits: FairSemaphore::new(ChainPool::THREADS),
            record_permits: FairSemaphore::new(MAX_PREPARING),
            roster,
            routes,
            journal: self.carried.journal.clone(),
            history: self.carried.history.clone(),
            page: self.carried.page.clone(),
            traced: self.carried.traces.is_some(),
            metrics: self.metrics.clone(),
            step_metrics,
            event_hook,
            hold_for: source.hold_for(),
            truncated_log_limit: LogRateLimit::default(),
            oversized_log_limit: LogRateLimit::default(),
        })
    }

    fn tracker(&self, source: &Source) -> Tracker {
        let tracker = Tracker::new(self.carried.ledger(source))
            .with_known_secrets(self.known_secrets.clone())
            .with_waiting_steps(self.carried.page.is_open());
        match source.is_recording() {
            // A recording has no tenants: its records wait for room instead of being deferred, so
            // its events are the same at any speed.
            true => tracker,
            false => tracker.with_admission(self.admission.clone()),
        }
    }

    async fn track_outputs(
        &self,
        source: &Source,
        event: &EventConfig,
        listed_at: watch::Sender<Option<Timestamp>>,
        (prefetches, records): (
            mpsc::Sender<LogPrefetch>,
            mpsc::Sender<(Arc<str>, PrepareCommand)>,
        ),
    ) -> Result<TrackOutputs, JournalError> {
        let journal = self.carried.journal.clone();
        Ok(TrackOutputs {
            prefetches,
            records,
            logs: self.logs.clone(),
            known_secrets: self.known_secrets.clone(),
            metrics: self.metrics.clone(),
            admission: self.admission.clone(),
            blocks_when_full: source.is_recording(),
            forgets_vanished: !source.repeats(),
            same_scope: journal.set_scope(&source.watch_scope()).await?,
            journal,
            page: self.carried.page.clone(),
            event: event.clone(),
            awaits_pipeline_runs: false,
            listed_at,
            unclaimed_log_limit: LogRateLimit::default(),
            eviction_log_limit: LogRateLimit::default(),
        })
    }

    /// Writes the data that the stages have not written. Otherwise the next run would send the last
    /// events again.
    async fn flush(&self) {
        let written = async {
            self.carried.journal.sync().await.ok();
            self.carried.history.flush().await;
            if let Some(traces) = &self.carried.traces {
                traces.flush().await;
            }
        };
        tokio::time::timeout(MAX_SYNC_WAIT, written).await.ok();
    }

    /// Returns whether the pipeline has seen the whole cluster, as far as it can tell, and everything
    /// that it has seen is in the journal.
    fn is_finished(&self) -> bool {
        let nothing_waits =
            self.metrics.pending.get() == 0 && self.admission.status().deferred == 0;
        let health = self.watches.as_ref().map(Watches::health);
        let works = health
            .unwrap_or_default()
            .iter()
            .all(|watch| watch.failing.is_none());
        nothing_waits && works && self.metrics.listed.load(Ordering::Relaxed)
    }
}
