//! The source of a pipeline, and its first stage.

use super::{AppError, CHANGES_CAPACITY, instance};
use crate::config::Config;
use crate::known_secrets::SecretReader;
use crate::logs::{LogConfig, LogSource};
use crate::observe::{self, Change, ClusterConfig, ObserveError, TimedChange};
use crate::standby::Standby;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Shard;
use tokio::sync::mpsc;

/// The source of a pipeline.
#[expect(
    missing_debug_implementations,
    reason = "a player and a client have nothing to show"
)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub enum Source {
    /// A cluster.
    Cluster {
        /// The client that watches.
        client: kube::Client,
        /// A second client that reads logs, so that they cannot starve the watches.
        log_client: kube::Client,
        /// Measures how fresh the watches of `client` are.
        watches: observe::Watches,
        /// The scope of the watches.
        config: ClusterConfig,
        /// Limits how far the observer looks back: no event is emitted for a run that ended more
        /// than this duration before `started`.
        look_back: SignedDuration,
        /// The start, by the cluster's clock.
        started: Timestamp,
        /// Records what the watches show.
        tap: Option<observe::RawEventHook>,
    },
    /// A recording or a piped watch stream.
    Recording {
        /// Plays the recording.
        player: observe::Player,
        /// The logs in it.
        logs: observe::RecordedLogs,
        /// True for a stream that is happening now: a change without a time gets the current time
        /// of this machine.
        live: bool,
        /// Longest time for which a plugin may hold an event.
        hold_for: Duration,
    },
}

impl Source {
    /// Returns a text that describes what is watched. Two sources that watch the same objects
    /// return the same text.
    pub(super) fn watch_scope(&self) -> String {
        match self {
            Self::Cluster { config, .. } => {
                let mut namespaces = config.namespaces.clone();
                namespaces.sort();
                let shard = config.own_shard().ok().and_then(Shard::ordinal_and_total);
                let shard = shard.map(|(shard, shards)| format!(", shard {shard} of {shards}"));
                format!(
                    "namespaces {namespaces:?}, labels {:?}{}",
                    config.label_selector,
                    shard.unwrap_or_default()
                )
            }
            Self::Recording { .. } => "a recording".to_owned(),
        }
    }

    /// Returns a short text of fixed length for the same purpose: the names of all namespaces may be long.
    pub(super) fn scope_digest(&self) -> String {
        let digest = Sha256::digest(self.watch_scope());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the horizon. The observer emits no events for a run that ended before the horizon,
    /// unless the journal has an earlier one.
    pub(super) fn horizon(&self) -> Timestamp {
        match self {
            Self::Cluster {
                look_back, started, ..
            } => started.checked_sub(*look_back).unwrap_or(Timestamp::MIN),
            Self::Recording { .. } => Timestamp::MIN,
        }
    }

    /// Begins `waited` later than it was made, and looks back to `lookBack` before `delivered_until` if that
    /// is earlier than the start. Returns the horizon.
    pub(super) fn begin(
        &mut self,
        waited: Duration,
        delivered_until: Option<Timestamp>,
    ) -> Timestamp {
        if let Self::Cluster {
            look_back, started, ..
        } = self
        {
            *started = started.checked_add(waited).unwrap_or(*started);
            let from = delivered_until.map_or(*started, |until| until.min(*started));
            let horizon = from.checked_sub(*look_back).unwrap_or(Timestamp::MIN);
            *look_back = started.duration_since(horizon);
        }
        self.horizon()
    }

    pub(super) fn is_recording(&self) -> bool {
        matches!(self, Self::Recording { .. })
    }

    /// Returns whether the same objects may come again: a recording can be played twice, a cluster or a pipe
    /// cannot.
    pub(super) fn repeats(&self) -> bool {
        matches!(self, Self::Recording { live: false, .. })
    }

    /// Returns the longest time for which a plugin may hold an event. `None` means no bound.
    pub(super) fn hold_for(&self) -> Option<Duration> {
        match self {
            Self::Cluster { .. } => None,
            Self::Recording { hold_for, .. } => Some(*hold_for),
        }
    }

    pub(super) fn client(&self) -> Option<&kube::Client> {
        match self {
            Self::Cluster { client, .. } => Some(client),
            Self::Recording { .. } => None,
        }
    }

    /// Returns this observer among several, if `standby` is configured and this is a cluster. Each shard has a Lease.
    pub(super) fn standby(&self, config: &Config) -> Result<Option<Standby>, AppError> {
        let (Some(standby), Some(client)) = (&config.standby, self.client()) else {
            return Ok(None);
        };
        let shard = Shard::ordinal_and_total(config.cluster.own_shard()?);
        let name = match shard {
            Some((shard, _)) => format!("{}-{shard}", standby.lease),
            None => standby.lease.clone(),
        };
        let lease = observe::ClusterLease::new(client.clone(), name);
        let holder = instance::lease_holder();
        Ok(Some(Standby::new(standby, holder, Arc::new(lease))))
    }

    /// Returns the reader of the Secrets of Pods. It uses the client of the logs, so that it cannot
    /// starve the watches.
    pub(super) fn secrets(&self) -> Option<Arc<dyn SecretReader>> {
        match self {
            Self::Cluster { log_client, .. } => {
                Some(Arc::new(observe::ClusterSecrets::new(log_client.clone())))
            }
            Self::Recording { .. } => None,
        }
    }

    pub(super) fn watches(&self) -> Option<&observe::Watches> {
        match self {
            Self::Cluster { watches, .. } => Some(watches),
            Self::Recording { .. } => None,
        }
    }

    pub(super) fn logs(&self, config: &LogConfig) -> LogSource {
        match self {
            Self::Cluster { log_client, .. } => LogSource::Cluster(observe::ClusterLogs::new(
                log_client.clone(),
                config.concurrency.get(),
                config.followers.get(),
                Duration::from_millis(config.timeout_ms.get()),
            )),
            Self::Recording { logs, .. } => LogSource::Recorded(Arc::new(logs.clone())),
        }
    }

    /// Sends changes, those of PipelineRuns if they are wanted, until the source ends or `shutdown` resolves. It is the only stage that a
    /// shutdown stops.
    ///
    /// # Errors
    ///
    /// The source cannot be read.
    pub(super) async fn observe(
        self,
        changes: mpsc::Sender<TimedChange>,
        pipeline_runs: bool,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ObserveError> {
        let watching = async move {
            match self {
                Self::Cluster {
                    client,
                    config,
                    tap,
                    ..
                } => {
                    observe::watch(client, config, changes, tap, pipeline_runs).await;
                    Ok(())
                }
                Self::Recording { player, .. } => play(player, changes).await,
            }
        };
        tokio::select! {
            ended = watching => ended,
            () = shutdown => Ok(()),
        }
    }
}

/// Plays a recording to its end, and sends `Change::Ended` after the last change.
async fn play(
    player: observe::Player,
    changes: mpsc::Sender<TimedChange>,
) -> Result<(), ObserveError> {
    // Uses a channel of its own for the thread: the thread cannot be stopped while it reads a pipe,
    // and if it held `changes`, that channel would stay open.
    let (played, mut next) = mpsc::channel(CHANGES_CAPACITY);
    let playing = tokio::task::spawn_blocking(move || {
        player(&mut |change| played.blocking_send(change).is_ok())
    });
    while let Some(change) = next.recv().await {
        if changes.send(change).await.is_err() {
            break;
        }
    }
    match playing.await {
        Ok(Ok(())) => {
            let end = TimedChange {
                at: Timestamp::MAX,
                is_live: false,
                change: Change::Ended,
            };
            changes.send(end).await.ok();
            Ok(())
        }
        Ok(failed) => failed,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
