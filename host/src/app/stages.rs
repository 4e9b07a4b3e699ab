//! The stages themselves: each a function that ends when what it reads from has ended.

use super::{AppError, CHANGES, Source};
use crate::config::LogConfig;
use crate::logs::{LogSource, Logs};
use crate::observe::{self, Finding, ObserveError, Seen, Tracker};
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

/// Which time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// This machine's.
    Wall,
    /// The recording's: it moves with its events, and at its end everything is due.
    Recorded,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where the clock is read"
)]
fn wall() -> Timestamp {
    Timestamp::now()
}

pub(super) fn beginnings(source: &Source, log: &LogConfig) -> (Ledger, Clock, LogSource) {
    match source {
        Source::Cluster {
            log_client,
            look_back,
            ..
        } => {
            let horizon = wall().checked_sub(*look_back).unwrap_or(Timestamp::MIN);
            let timeout = Duration::from_millis(log.timeout_ms);
            let logs = observe::ClusterLogs::new(log_client.clone(), log.concurrency, timeout);
            (Ledger::new(horizon), Clock::Wall, LogSource::Cluster(logs))
        }
        Source::Recording { logs, live, .. } => {
            let clock = if *live { Clock::Wall } else { Clock::Recorded };
            (
                Ledger::from_the_start(),
                clock,
                LogSource::Recorded(Arc::new(logs.clone())),
            )
        }
    }
}

/// First stage, and the only one that hears the shutdown: then it says so to `stopped`.
pub(super) async fn observe(
    source: Source,
    changes: mpsc::Sender<Seen>,
    shutdown: impl Future<Output = ()>,
    stopped: tokio::sync::oneshot::Sender<()>,
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
                    Ok(ended) => ended,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
        }
    };
    tokio::select! {
        ended = watching => ended,
        () = shutdown => {
            // Nobody waits for it any more where the run has ended otherwise.
            stopped.send(()).ok();
            Ok(())
        }
    }
}

/// Second stage: changes in, step records out, in the order in which they are found.
pub(super) async fn track(
    mut tracker: Tracker,
    clock: Clock,
    mut seen: mpsc::Receiver<Seen>,
    records: mpsc::Sender<(Box<str>, StepRecord)>,
    logs: Arc<Logs>,
    tally: Arc<Tally>,
) -> (&'static str, Result<(), ObserveError>) {
    let mut rescues = FuturesUnordered::new();
    loop {
        let wake = tracker.next_wake().filter(|_| clock == Clock::Wall);
        let findings = tokio::select! {
            change = seen.recv() => match change {
                None => break,
                Some(Seen { at, change }) => {
                    let mut findings = catch_up(&mut tracker, clock, at);
                    findings.extend(tracker.apply(change, at));
                    findings
                }
            },
            () = sleep_until(wake), if wake.is_some() => tracker.tick(wall()),
            Some(_) = rescues.next(), if !rescues.is_empty() => Vec::new(),
        };
        for finding in findings {
            match finding {
                Finding::Rescue(target) => rescues.extend(logs.rescue(target)),
                Finding::Step(record) => send(*record, &records, &tally).await,
            }
        }
    }
    if clock == Clock::Recorded {
        for finding in catch_up(&mut tracker, clock, Timestamp::MAX) {
            if let Finding::Step(record) = finding {
                send(*record, &records, &tally).await;
            }
        }
    }
    ("track", Ok(()))
}

async fn send(record: StepRecord, records: &mpsc::Sender<(Box<str>, StepRecord)>, tally: &Tally) {
    tally.steps.fetch_add(1, Ordering::Relaxed);
    tally.pending.fetch_add(1, Ordering::Relaxed);
    let key = record.transition.run_uid.clone();
    if records.send((key, record)).await.is_err() {
        warn!("the preparing stage has ended");
    }
}

/// In a recording time passes from event to event: what is due before `at` is settled first.
fn catch_up(tracker: &mut Tracker, clock: Clock, at: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    while let Some(due) = tracker
        .next_wake()
        .filter(|due| clock == Clock::Recorded && *due <= at)
    {
        findings.extend(tracker.tick(due));
    }
    findings
}

async fn sleep_until(wake: Option<Timestamp>) {
    if let Some(wake) = wake {
        let wait = Duration::try_from(wake.duration_since(wall())).unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}

/// Waits until all stages have ended; after a shutdown no longer than the grace period.
pub(super) async fn supervise(
    stages: &mut JoinSet<(&'static str, Result<(), ObserveError>)>,
    mut stop: tokio::sync::oneshot::Receiver<()>,
    grace: Duration,
) -> Result<Option<ObserveError>, AppError> {
    let mut failure = None;
    let mut deadline: Option<tokio::time::Instant> = None;
    let mut listening = true;
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
            stopped = &mut stop, if listening => {
                listening = false;
                // A source that has ended by itself sets no deadline: all is delivered or given up.
                if stopped.is_err() {
                    continue;
                }
                info!(?grace, "stopping: what is left is delivered first");
                deadline = Some(tokio::time::Instant::now() + grace);
            }
            () = tokio::time::sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)), if deadline.is_some() => {
                warn!("the grace period is over");
                stages.abort_all();
                return Ok(failure);
            }
        }
    }
}
