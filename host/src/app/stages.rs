//! The stages themselves: each a function that ends when what it reads from has ended.

use super::{AppError, CHANGES, Source};
use crate::config::LogConfig;
use crate::logs::{LogSource, Logs};
use crate::observe::{self, Change, Finding, ObserveError, Seen, Tracker};
use crate::prepare::Tally;
use crate::step::StepRecord;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use step_observer_core::Ledger;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where the clock is read"
)]
fn wall() -> Timestamp {
    Timestamp::now()
}

pub(super) fn beginnings(source: &Source, log: &LogConfig) -> (Ledger, LogSource) {
    match source {
        Source::Cluster {
            log_client,
            look_back,
            ..
        } => {
            let horizon = wall().checked_sub(*look_back).unwrap_or(Timestamp::MIN);
            let timeout = Duration::from_millis(log.timeout_ms);
            let logs = observe::ClusterLogs::new(log_client.clone(), log.concurrency, timeout);
            (Ledger::new(horizon), LogSource::Cluster(logs))
        }
        Source::Recording { logs, .. } => (
            Ledger::from_the_start(),
            LogSource::Recorded(Arc::new(logs.clone())),
        ),
    }
}

/// First stage, and the only one that ends with the shutdown.
pub(super) async fn observe(
    source: Source,
    changes: mpsc::Sender<Seen>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ObserveError> {
    let watching = async move {
        match source {
            Source::Cluster { client, config, .. } => {
                observe::watch(client, config, changes).await;
                Ok(())
            }
            Source::Recording {
                name,
                reader,
                speed,
                live,
                ..
            } => {
                let clock = move || live.then(wall);
                // A blocked reader cannot be stopped, so it must not be what holds `changes`.
                let (played, mut next) = mpsc::channel(CHANGES);
                let play = tokio::task::spawn_blocking(move || {
                    observe::play(&name, reader, speed, clock, |seen| {
                        played.blocking_send(seen).is_ok()
                    })
                });
                while let Some(seen) = next.recv().await {
                    if changes.send(seen).await.is_err() {
                        break;
                    }
                }
                match play.await {
                    Ok(Ok(())) => {
                        let end = Seen {
                            at: Timestamp::MAX,
                            now: false,
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
    mut seen: mpsc::Receiver<Seen>,
    records: mpsc::Sender<(Arc<str>, StepRecord)>,
    logs: Arc<Logs>,
    tally: Arc<Tally>,
) -> (&'static str, Result<(), ObserveError>) {
    let mut rescues = Rescues::new();
    let mut live = true;
    loop {
        let wake = tracker.next_wake().filter(|_| live);
        let findings = tokio::select! {
            change = seen.recv() => match change {
                None => break,
                Some(Seen { at, now, change }) => {
                    live = now;
                    while let Some(due) = tracker.next_wake().filter(|due| !now && *due <= at) {
                        let settled = tracker.tick(due);
                        hand_on(settled, &records, &tally, &logs, &rescues).await;
                    }
                    tracker.apply(change, at)
                }
            },
            () = sleep_until(wake), if wake.is_some() => tracker.tick(wall()),
            Some(_) = rescues.next(), if !rescues.is_empty() => Vec::new(),
        };
        hand_on(findings, &records, &tally, &logs, &rescues).await;
    }
    ("track", Ok(()))
}

/// Logs that are being read before their pods are gone.
type Rescues = FuturesUnordered<crate::logs::Rescue>;

async fn hand_on(
    findings: Vec<Finding>,
    records: &mpsc::Sender<(Arc<str>, StepRecord)>,
    tally: &Tally,
    logs: &Logs,
    rescues: &Rescues,
) {
    for finding in findings {
        match finding {
            Finding::Rescue(target) => logs
                .rescue(target)
                .into_iter()
                .for_each(|rescue| rescues.push(rescue)),
            Finding::Step(record) => send(*record, records, tally).await,
        }
    }
}

async fn send(record: StepRecord, records: &mpsc::Sender<(Arc<str>, StepRecord)>, tally: &Tally) {
    tally.steps.fetch_add(1, Ordering::Relaxed);
    tally.pending.fetch_add(1, Ordering::Relaxed);
    let key = record.transition.run_uid.clone();
    if records.send((key, record)).await.is_err() {
        warn!("the preparing stage has ended");
    }
}

async fn sleep_until(wake: Option<Timestamp>) {
    if let Some(wake) = wake {
        let wait = Duration::try_from(wake.duration_since(wall())).unwrap_or_default();
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

/// Waits until all stages have ended; after a shutdown no longer than the grace period.
pub(super) async fn supervise(
    stages: &mut JoinSet<(&'static str, Result<(), ObserveError>)>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> Result<Option<ObserveError>, AppError> {
    let mut failure = None;
    let deadline = async {
        shutdown.await;
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
            () = &mut deadline => {
                warn!("the grace period is over");
                stages.abort_all();
                return Ok(failure);
            }
        }
    }
}
