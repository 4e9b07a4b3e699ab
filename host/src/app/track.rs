//! The stage that turns changes from the source into step records, and passes them on.

use crate::clock;
use crate::event::{self, EventConfig};
use crate::fair::{Admission, Ticket};
use crate::journal::Journal;
use crate::known_secrets::{KnownSecrets, PodSecrets, ReadMoment};
use crate::logs::LogReader;
use crate::observe::{Change, Finding, LogRateLimit, TimedChange, Tracker, UnclaimedPod};
use crate::page::LivePage;
use crate::prepare::{AdmittedRecord, Pending, PipelineMetrics, PrepareCommand};
use crate::step::{EndedRun, StepRecord};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use step_observer_core::{Kind, Transition};
use step_observer_otlp::{RunEnd, RunKind};
use tokio::sync::{mpsc, watch};
use tracing::warn;

/// Size of the end of a run as the shares of namespaces count it, in bytes.
const RUN_END_BYTES: usize = 2048;

/// A read of a log. It begins before the end of the step is emitted.
pub(super) type LogPrefetch = BoxFuture<'static, ()>;

/// The consumers of the tracker's findings.
pub(super) struct TrackOutputs {
    pub(super) prefetches: mpsc::Sender<LogPrefetch>,
    pub(super) records: mpsc::Sender<(Arc<str>, PrepareCommand)>,
    pub(super) logs: Arc<LogReader>,
    pub(super) known_secrets: KnownSecrets,
    pub(super) metrics: Arc<PipelineMetrics>,
    pub(super) admission: Admission,
    /// True for a recording or a piped stream: the tracker defers no run, so records wait here for
    /// room, in their order.
    pub(super) blocks_when_full: bool,
    pub(super) journal: Journal,
    pub(super) page: LivePage,
    pub(super) event: EventConfig,
    /// True if the marks of a vanished run are removed; false if the same objects may come again.
    pub(super) forgets_vanished: bool,
    /// True if the source watches the same objects as when the journal's marks were made.
    pub(super) same_scope: bool,
    /// True if PipelineRuns are watched.
    pub(super) awaits_pipeline_runs: bool,
    /// Receives the time at which the first lists were complete.
    pub(super) listed_at: watch::Sender<Option<Timestamp>>,
    /// Bounds the warnings that a tenant can cause.
    pub(super) unclaimed_log_limit: LogRateLimit,
    pub(super) eviction_log_limit: LogRateLimit,
}

/// Runs the stage until `changes` is closed. Records leave in the order in which they are found.
///
/// In a recording, the time advances with each change, and after the last change every deadline has
/// passed. In a live source, deadlines follow the clock of this machine.
pub(super) async fn track(
    mut tracker: Tracker,
    mut changes: mpsc::Receiver<TimedChange>,
    outputs: TrackOutputs,
) {
    let mut live = true;
    let mut deferred = tracker.deferred_runs();
    loop {
        let resumes = tracker.can_resume();
        let waits_for_room = deferred.0 > 0 && !resumes;
        let wake = tracker.next_wake().filter(|_| live);
        let findings = tokio::select! {
            change = changes.recv() => match change {
                None => break,
                Some(TimedChange { at, is_live, change }) => {
                    live = is_live;
                    while let Some(due) = tracker.next_wake().filter(|due| !is_live && *due <= at) {
                        let settled = tracker.tick(due);
                        outputs.forward(settled).await;
                    }
                    outputs.logs.observe_change(&change);
                    let listed = matches!(
                        change,
                        Change::Listed { .. }
                            | Change::NamespaceListed { .. }
                            | Change::PipelineRunsListed
                    );
                    let findings = tracker.apply(change, at);
                    // While the list of a namespace is refused, it is unknown which of its runs
                    // have vanished.
                    if listed && tracker.is_listed() {
                        outputs.forget_vanished(&tracker).await;
                        outputs.metrics.listed.store(true, Ordering::Relaxed);
                        outputs.note_listed();
                    }
                    findings
                }
            },
            () = sleep_until(wake), if wake.is_some() => tracker.tick(clock::now()),
            () = std::future::ready(()), if resumes => tracker.resume(clock::now()),
            () = outputs.admission.freed(), if waits_for_room => Vec::new(),
        };
        let runs = u64::try_from(tracker.run_count()).unwrap_or(u64::MAX);
        outputs.metrics.runs_tracked.set(runs);
        outputs.forward(findings).await;
        if tracker.deferred_runs() != deferred {
            deferred = tracker.deferred_runs();
            outputs.admission.set_deferred(deferred.0, deferred.1);
        }
    }
}

/// Reads logs while the other stages run: logs of steps that run, and of Pods that will soon be
/// gone.
pub(super) async fn prefetch_logs(mut prefetches: mpsc::Receiver<LogPrefetch>) {
    let mut reading = FuturesUnordered::new();
    loop {
        tokio::select! {
            read = prefetches.recv() => match read {
                Some(read) => reading.push(read),
                None => break,
            },
            Some(()) = reading.next(), if !reading.is_empty() => {}
        }
    }
    while reading.next().await.is_some() {}
}

impl TrackOutputs {
    fn note_listed(&self) {
        self.listed_at.send_if_modified(|listed_at| {
            let is_first = listed_at.is_none();
            *listed_at = listed_at.or_else(|| Some(clock::now()));
            is_first
        });
    }

    async fn forward(&self, findings: Vec<Finding>) {
        for read in self.prefetches_of(&findings) {
            // Cannot fail: the log reader outlives this stage.
            self.prefetches.send(read).await.ok();
        }
        for finding in findings {
            match finding {
                Finding::ReadLogNow(_) | Finding::ReadSecretsNow(_) => {}
                Finding::Unclaimed(pod) => self.warn_unclaimed(&pod),
                Finding::TextsEvicted(runs) => self.warn_texts_evicted(runs),
                Finding::PodSteps(steps) => self.page.show_waiting(&steps),
                Finding::Record(record) => {
                    self.page.show(&record, &self.event);
                    self.metrics.transitions.count(&record.transition.kind);
                    let pending = Pending::new(&self.metrics);
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
                    self.send(run, PrepareCommand::Step(Box::new(item), pending))
                        .await;
                }
                Finding::RunEnded(ended) => self.send_end(ended).await,
                Finding::Forgotten(run) => {
                    self.page.show_deleted(&run);
                    self.forget(run).await;
                }
            }
        }
    }

    /// Passes on the end of a run. It takes a share of the records in preparation like a step.
    async fn send_end(&self, ended: Box<EndedRun>) {
        let run: Arc<str> = ended.end.uid.as_str().into();
        let namespace: Arc<str> = ended.end.namespace.as_str().into();
        let ticket = self.admission.enter(&namespace, &run, RUN_END_BYTES);
        let pending = Pending::new(&self.metrics);
        self.send(run, PrepareCommand::RunEnd(ended, ticket, pending))
            .await;
    }

    fn warn_unclaimed(&self, pod: &UnclaimedPod) {
        self.metrics.unclaimed_pods.increment();
        if let Some(others) = self.unclaimed_log_limit.pass(Instant::now()) {
            warn!(
                namespace = &*pod.namespace,
                pod = &*pod.name,
                task_run_uid = &*pod.run_uid,
                others,
                "unclaimed pod: the TaskRun that it names as its owner does not name it, so it gives no events"
            );
        }
    }

    fn warn_texts_evicted(&self, runs: usize) {
        let count = u64::try_from(runs).unwrap_or(u64::MAX);
        self.metrics.runs_without_texts.add(count);
        if let Some(others) = self.eviction_log_limit.pass(Instant::now()) {
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

    /// Starts to read the logs of Pods that will soon be gone, and of steps that have started but
    /// not ended.
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
                | Finding::ReadSecretsNow(_)
                | Finding::PodSteps(_)
                | Finding::RunEnded(_)
                | Finding::Forgotten(_)
                | Finding::Unclaimed(_)
                | Finding::TextsEvicted(_) => false,
            })
        };
        let reads = findings.iter().filter_map(|finding| match finding {
            Finding::ReadLogNow(target) => self.logs.read_until_pod_gone(target.clone()),
            Finding::ReadSecretsNow(pod) => Some(self.read_secrets(pod.clone())),
            Finding::Record(record) if !ends(&record.transition) => self.logs.follow(record),
            Finding::Record(_)
            | Finding::PodSteps(_)
            | Finding::RunEnded(_)
            | Finding::Forgotten(_)
            | Finding::Unclaimed(_)
            | Finding::TextsEvicted(_) => None,
        });
        reads.collect()
    }

    fn read_secrets(&self, pod: PodSecrets) -> LogPrefetch {
        let known_secrets = self.known_secrets.clone();
        async move { known_secrets.read(&pod, ReadMoment::First).await }.boxed()
    }

    /// Forgets the runs that vanished while the observer was stopped.
    async fn forget_vanished(&self, tracker: &Tracker) {
        for run in self.journal.runs() {
            // The PipelineRuns may be listed later.
            let is_pipeline_run = || {
                let id = RunEnd::id_of(RunKind::PipelineRun, &run, 0);
                self.journal.is_emitted(&run, &id)
            };
            let is_unknown =
                self.awaits_pipeline_runs && !tracker.has_pipeline_runs() && is_pipeline_run();
            if self.same_scope && !tracker.tracks(&run) && !is_unknown {
                self.forget(run).await;
            }
        }
    }

    async fn forget(&self, run: Arc<str>) {
        if self.forgets_vanished {
            // The lanes handle this command after the records of the same run.
            self.send(run.clone(), PrepareCommand::Forget(run)).await;
        }
    }

    async fn send(&self, run: Arc<str>, item: PrepareCommand) {
        if self.records.send((run, item)).await.is_err() {
            warn!("the prepare stage has ended");
        }
    }
}

/// Sleeps until a time. Returns at once if it has passed: many runs are due together after the first
/// lists, and a timer takes at least a millisecond.
async fn sleep_until(wake: Option<Timestamp>) {
    if let Some(wake) = wake {
        let wait = Duration::try_from(wake.duration_since(clock::now())).unwrap_or_default();
        match wait.is_zero() {
            true => tokio::task::coop::consume_budget().await,
            false => tokio::time::sleep(wait).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_time_that_has_passed_needs_no_timer() {
        let second = Duration::from_secs(1);
        let is_over = |at| sleep_until(Some(at)).now_or_never().is_some();
        assert!(is_over(clock::now() - second));
        assert!(!is_over(clock::now() + 60 * second));
    }
}
