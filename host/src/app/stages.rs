//! The stages themselves: each a function that ends when what it reads from has ended.

use super::{AppError, CHANGES_CAPACITY, CarriedOver, Source};
use crate::clock;
use crate::config::LogConfig;
use crate::event;
use crate::fair::{Admission, Ticket};
use crate::journal::{Journal, JournalError};
use crate::logs::{LogReader, LogSource};
use crate::observe::{
    self, Change, Finding, LogRateLimit, ObserveError, TimedChange, Tracker, UnclaimedPod,
};
use crate::prepare::{AdmittedRecord, PipelineMetrics, PrepareCommand};
use crate::step::StepRecord;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use step_observer_core::{Kind, Ledger, Shard, Transition};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

/// What runs, each under a name for messages.
pub(super) type Stages = JoinSet<(&'static str, Result<(), ObserveError>)>;

/// Seconds since then.
pub(super) fn age(at: Timestamp) -> u64 {
    let seconds = clock::now().duration_since(at).as_secs();
    u64::try_from(seconds).unwrap_or_default()
}

/// What is watched, as a text that is the same for the same.
pub(super) fn watch_scope(source: &Source) -> String {
    match source {
        Source::Cluster { config, .. } => {
            let mut namespaces = config.namespaces.clone();
            namespaces.sort();
            let part = config.own_shard().ok().and_then(Shard::ordinal_and_total);
            let part = part.map(|(shard, shards)| format!(", shard {shard} of {shards}"));
            format!(
                "namespaces {namespaces:?}, labels {:?}{}",
                config.label_selector,
                part.unwrap_or_default()
            )
        }
        Source::Recording { .. } => "a recording".to_owned(),
    }
}

/// What ended before is history, where the journal does not know better.
pub(super) fn horizon(source: &Source) -> Timestamp {
    match source {
        Source::Cluster {
            look_back, started, ..
        } => started.checked_sub(*look_back).unwrap_or(Timestamp::MIN),
        Source::Recording { .. } => Timestamp::MIN,
    }
}

pub(super) fn ledger_and_log_source(
    source: &Source,
    log: &LogConfig,
    carried: &CarriedOver,
) -> (Ledger, LogSource) {
    match source {
        Source::Cluster { log_client, .. } => {
            let timeout = Duration::from_millis(log.timeout_ms.get());
            let logs = observe::ClusterLogs::new(
                log_client.clone(),
                log.concurrency.get(),
                log.followers.get(),
                timeout,
            );
            (carried.ledger(source), LogSource::Cluster(logs))
        }
        Source::Recording { logs, .. } => (
            Ledger::from_stream_start(),
            LogSource::Recorded(Arc::new(logs.clone())),
        ),
    }
}

/// First stage, and the only one that ends with the shutdown.
pub(super) async fn observe(
    source: Source,
    changes: mpsc::Sender<TimedChange>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ObserveError> {
    let watching = async move {
        match source {
            Source::Cluster {
                client,
                config,
                tap,
                ..
            } => {
                observe::watch(client, config, changes, tap).await;
                Ok(())
            }
            Source::Recording { player, .. } => {
                // A blocked reader cannot be stopped, so it must not be what holds `changes`.
                let (played, mut next) = mpsc::channel(CHANGES_CAPACITY);
                let play = tokio::task::spawn_blocking(move || {
                    player(&mut |seen| played.blocking_send(seen).is_ok())
                });
                while let Some(seen) = next.recv().await {
                    if changes.send(seen).await.is_err() {
                        break;
                    }
                }
                match play.await {
                    Ok(Ok(())) => {
                        let end = TimedChange {
                            at: Timestamp::MAX,
                            is_live: false,
                            change: Change::Ended,
                        };
                        changes.send(end).await.ok();
                        Ok(())
                    }
                    Ok(ended) => ended,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
        }
    };
    tokio::select! {
        ended = watching => ended,
        () = shutdown => Ok(()),
    }
}

/// Second stage: changes in, step records out, in the order in which they are found.
///
/// In a recording time passes from event to event, and at its end everything is due; what happens
/// now is due by this machine's clock.
pub(super) async fn track(
    mut tracker: Tracker,
    mut seen: mpsc::Receiver<TimedChange>,
    outputs: TrackOutputs,
) -> (&'static str, Result<(), ObserveError>) {
    let mut live = true;
    let mut aside = tracker.deferred_runs();
    loop {
        let resumes = tracker.can_resume();
        let waits = aside.0 > 0 && !resumes;
        let wake = tracker.next_wake().filter(|_| live);
        let findings = tokio::select! {
            change = seen.recv() => match change {
                None => break,
                Some(TimedChange { at, is_live, change }) => {
                    live = is_live;
                    while let Some(due) = tracker.next_wake().filter(|due| !is_live && *due <= at) {
                        let settled = tracker.tick(due);
                        outputs.forward(settled).await;
                    }
                    outputs.logs.observe_change(&change);
                    let listed =
                        matches!(change, Change::Listed { .. } | Change::NamespaceListed { .. });
                    let findings = tracker.apply(change, at);
                    // What a refused list would have shown is not gone.
                    if listed && tracker.is_listed() {
                        outputs.forget_vanished(&tracker).await;
                        outputs.metrics.listed.store(true, Ordering::Relaxed);
                    }
                    findings
                }
            },
            () = sleep_until(wake), if wake.is_some() => tracker.tick(clock::now()),
            () = std::future::ready(()), if resumes => tracker.resume(clock::now()),
            () = outputs.admission.freed(), if waits => Vec::new(),
        };
        let runs = u64::try_from(tracker.run_count()).unwrap_or(u64::MAX);
        outputs.metrics.runs_tracked.store(runs, Ordering::Relaxed);
        outputs.forward(findings).await;
        if tracker.deferred_runs() != aside {
            aside = tracker.deferred_runs();
            outputs.admission.set_deferred(aside.0, aside.1);
        }
    }
    ("track", Ok(()))
}

/// A log that is being read before its step's end is told.
pub(super) type LogPrefetch = BoxFuture<'static, ()>;

/// Beside the stages: reads logs while their steps run or their pods go, whatever the others wait for.
pub(super) async fn prefetch_logs(mut wanted: mpsc::Receiver<LogPrefetch>) {
    let mut reading = FuturesUnordered::new();
    loop {
        tokio::select! {
            read = wanted.recv() => match read {
                Some(read) => reading.push(read),
                None => break,
            },
            Some(()) = reading.next(), if !reading.is_empty() => {}
        }
    }
    while reading.next().await.is_some() {}
}

/// Where findings go.
pub(super) struct TrackOutputs {
    pub(super) prefetches: mpsc::Sender<LogPrefetch>,
    pub(super) records: mpsc::Sender<(Arc<str>, PrepareCommand)>,
    pub(super) logs: Arc<LogReader>,
    pub(super) metrics: Arc<PipelineMetrics>,
    pub(super) admission: Admission,
    /// Records wait for room here, in their order: the tracker sets no run aside.
    pub(super) blocks_when_full: bool,
    pub(super) journal: Journal,
    /// What is gone does not come again: not so where a recording is played once more.
    pub(super) forgets_vanished: bool,
    /// What was watched when the marks were made is watched now.
    pub(super) same_scope: bool,
    /// So that findings of which a stranger can make many do not fill the log.
    pub(super) unclaimed_log_limit: LogRateLimit,
    pub(super) gave_way_log_limit: LogRateLimit,
}

impl TrackOutputs {
    async fn forward(&self, findings: Vec<Finding>) {
        for read in self.prefetches_of(&findings) {
            // Who reads ends last.
            self.prefetches.send(read).await.ok();
        }
        for finding in findings {
            match finding {
                Finding::ReadLogNow(_) => {}
                Finding::Unclaimed(pod) => self.note_unclaimed(&pod),
                Finding::TextsEvicted(runs) => self.note_gave_way(runs),
                Finding::Record(record) => {
                    self.metrics.transitions.count(&record.transition.kind);
                    self.metrics.pending.fetch_add(1, Ordering::Relaxed);
                    let run = record.transition.run_uid.clone();
                    let ticket = self.admit(&record).await;
                    let wants_log = event::wants_log(&record.transition.kind);
                    let claim = match wants_log {
                        true => self.logs.watch_pod(&record),
                        false => None,
                    };
                    let item = AdmittedRecord {
                        record,
                        claim,
                        ticket,
                    };
                    self.send(run, PrepareCommand::Step(Box::new(item))).await;
                }
                Finding::Forgotten(run) => self.forget(run).await,
            }
        }
    }

    fn note_unclaimed(&self, pod: &UnclaimedPod) {
        self.metrics.unclaimed_pods.fetch_add(1, Ordering::Relaxed);
        if let Some(others) = self.unclaimed_log_limit.pass(Instant::now()) {
            warn!(
                namespace = &*pod.namespace,
                pod = &*pod.name,
                task_run_uid = &*pod.run_uid,
                others,
                "a pod says that it is a TaskRun's, but the TaskRun does not say so: nothing is sent of it"
            );
        }
    }

    fn note_gave_way(&self, runs: usize) {
        let count = u64::try_from(runs).unwrap_or(u64::MAX);
        self.metrics
            .runs_without_texts
            .fetch_add(count, Ordering::Relaxed);
        if let Some(others) = self.gave_way_log_limit.pass(Instant::now()) {
            warn!(
                runs,
                others,
                "TaskRuns together hold more text than is kept: scripts of the largest namespace are left out"
            );
        }
    }

    async fn admit(&self, record: &StepRecord) -> Ticket {
        while self.blocks_when_full && self.admission.is_full() {
            self.admission.freed().await;
        }
        let run = &record.transition.run_uid;
        self.admission.enter(&record.namespace, run, record.size())
    }

    /// Logs of pods that are about to go, and of steps that have started and not ended.
    fn prefetches_of(&self, findings: &[Finding]) -> Vec<LogPrefetch> {
        let ends = |started: &Transition| {
            findings.iter().any(|finding| match finding {
                Finding::Record(other) => {
                    let other = &other.transition;
                    other.kind != Kind::Started
                        && (&other.pod_uid, &other.container)
                            == (&started.pod_uid, &started.container)
                }
                Finding::ReadLogNow(_)
                | Finding::Forgotten(_)
                | Finding::Unclaimed(_)
                | Finding::TextsEvicted(_) => false,
            })
        };
        let reads = findings.iter().filter_map(|finding| match finding {
            Finding::ReadLogNow(target) => self.logs.read_until_pod_gone(target.clone()),
            Finding::Record(record) if !ends(&record.transition) => self.logs.follow(record),
            Finding::Record(_)
            | Finding::Forgotten(_)
            | Finding::Unclaimed(_)
            | Finding::TextsEvicted(_) => None,
        });
        reads.collect()
    }

    /// Runs that are gone since the observer was last here.
    async fn forget_vanished(&self, tracker: &Tracker) {
        for run in self.journal.runs() {
            if self.same_scope && !tracker.tracks(&run) {
                self.forget(run).await;
            }
        }
    }

    async fn forget(&self, run: Arc<str>) {
        if self.forgets_vanished {
            // Behind what the run still has to tell.
            self.send(run.clone(), PrepareCommand::Forget(run)).await;
        }
    }

    async fn send(&self, run: Arc<str>, item: PrepareCommand) {
        if self.records.send((run, item)).await.is_err() {
            warn!("the preparing stage has ended");
        }
    }
}

async fn sleep_until(wake: Option<Timestamp>) {
    if let Some(wake) = wake {
        let wait = Duration::try_from(wake.duration_since(clock::now())).unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}

/// Something that goes on until something else has ended.
pub(super) async fn until(
    end: impl Future<Output = ()>,
    stage: &'static str,
    work: impl Future<Output = ()>,
) -> (&'static str, Result<(), ObserveError>) {
    tokio::select! {
        () = end => {}
        () = work => {}
    }
    (stage, Ok(()))
}

/// Waits until all stages have ended; after a shutdown no longer than the grace period, its own or the one that
/// is configured.
pub(super) async fn supervise(
    stages: &mut Stages,
    shutdown: impl Future<Output = Option<Duration>>,
    grace: Duration,
    broken: impl Future<Output = JournalError>,
) -> Result<Option<ObserveError>, AppError> {
    let mut failure = None;
    let mut broken = std::pin::pin!(broken);
    let deadline = async {
        let grace = shutdown.await.unwrap_or(grace);
        info!(?grace, "stopping: what is left is delivered first");
        tokio::time::sleep(grace).await;
    };
    let mut deadline = std::pin::pin!(deadline);
    loop {
        tokio::select! {
            ended = stages.join_next() => match ended {
                None => return Ok(failure),
                Some(Ok((stage, result))) => {
                    debug!(stage, "stage has ended");
                    if let Err(error) = result {
                        failure = Some(error);
                    }
                }
                Some(Err(error)) => return Err(AppError::Stage(error.to_string())),
            },
            problem = &mut broken => return Err(problem.into()),
            () = &mut deadline => {
                warn!("the grace period is over");
                stages.abort_all();
                return Ok(failure);
            }
        }
    }
}
