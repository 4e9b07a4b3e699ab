//! Asks the API server for the Lease, as `elector` decides, and reports what happens.

use super::config::{LeaseTiming, StandbyConfig};
use super::elector::{Elector, LeaseAnswer, LeaseRecord, LeaseRequest, LostLease, Next};
use super::progress::{Progress, delivered_until};
use crate::clock;
use crate::locked::Locked;
use crate::metrics::Registry;
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// Attempts to release the Lease. One fails if a renewal is on its way.
const RELEASE_ATTEMPTS: usize = 3;
/// Longest time for releasing the Lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads and writes one Lease.
pub trait LeaseStore: fmt::Debug + Send + Sync {
    /// Namespace and name of the Lease, for messages.
    fn name(&self) -> &str;

    /// Returns the Lease; `None` if there is none.
    fn read(&self) -> BoxFuture<'_, Result<Option<LeaseRecord>, LeaseError>>;

    /// Creates the Lease, or replaces exactly the version that `write` names. Returns what was stored.
    fn write(&self, write: LeaseWrite) -> BoxFuture<'_, Result<LeaseRecord, LeaseError>>;
}

/// The content of a write.
#[derive(Clone, Debug)]
pub struct LeaseWrite {
    /// The record to replace; `None` creates the Lease.
    pub before: Option<LeaseRecord>,
    /// The new holder; empty to release the Lease.
    pub holder: String,
    /// Time for which it is valid.
    pub duration: Duration,
    /// The time until which everything is delivered, if it is known.
    pub delivered_until: Option<Timestamp>,
}

/// Why a Lease was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The Lease has another version, exists already, or is gone.
    #[error("another one has changed it")]
    Conflict,
    /// The observer has no right.
    #[error(
        "forbidden ({code}): grant {verb} on leases.coordination.k8s.io in its namespace (the component `standby`, \
         `standby.enabled` of the Helm chart)"
    )]
    Forbidden {
        /// HTTP status.
        code: u16,
        /// `get`, `create` or `update`.
        verb: &'static str,
    },
    /// There was no answer, or no usable one.
    #[error("{0}")]
    Failed(String),
}

/// What an observer is, for `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyState {
    /// Namespace and name of the Lease.
    pub lease: String,
    /// Whether this observer holds it.
    pub is_active: bool,
    /// The name of this observer as a holder.
    pub identity: String,
    /// The last known holder.
    pub holder: Option<String>,
    /// When this observer became what it is.
    pub since: Timestamp,
    /// Number of changes of the holder, as the Lease counts them.
    pub transitions: u32,
    /// The last failure, and for how long requests have been failing; `None` while they work.
    pub failing: Option<(String, Duration)>,
}

/// An observer among several. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Standby(Arc<Inner>);

/// Returns what waits in the pipeline.
type ProgressReader = Arc<dyn Fn() -> Progress + Send + Sync>;

struct Inner {
    timing: LeaseTiming,
    store: Arc<dyn LeaseStore>,
    state: Locked<Shared>,
    progress: Locked<Option<ProgressReader>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standby")
            .field("store", &self.store)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared {
    elector: Elector,
    since: Timestamp,
    /// The holder that was logged last.
    logged_holder: Option<String>,
    transitions: u32,
    /// The last failure, and when failures began by the clock of the machine.
    failing: Option<(LeaseError, Duration)>,
    delivered_until: Option<Timestamp>,
}

impl Standby {
    /// Makes an observer that waits. `identity` must differ from that of every other process.
    #[must_use]
    pub fn new(config: &StandbyConfig, identity: String, store: Arc<dyn LeaseStore>) -> Self {
        let timing = config.timing();
        Self(Arc::new(Inner {
            timing,
            store,
            state: Locked::new(Shared {
                elector: Elector::new(identity, timing),
                since: clock::now(),
                logged_holder: None,
                transitions: 0,
                failing: None,
                delivered_until: None,
            }),
            progress: Locked::default(),
        }))
    }

    /// Returns whether an attempt to deliver may start now.
    #[must_use]
    pub fn may_deliver(&self) -> bool {
        let state = self.0.state.lock();
        state.elector.may_deliver(clock::since_boot())
    }

    /// Sets what reads the progress of the pipeline. It is called before each renewal.
    pub fn set_progress(&self, progress: ProgressReader) {
        *self.0.progress.lock() = Some(progress);
    }

    /// Waits until this observer holds the Lease. Returns the time until which the last holder had delivered
    /// everything, if it is known.
    pub async fn acquire(&self) -> Option<Timestamp> {
        info!(
            lease = self.0.store.name(),
            identity = self.0.state.lock().elector.identity(),
            "waiting as a standby: nothing is delivered before this observer holds the Lease"
        );
        // Ends only after it was active.
        while !self.0.state.lock().elector.is_active() {
            self.step().await;
        }
        let mut state = self.0.state.lock();
        state.since = clock::now();
        let delivered_until = state.delivered_until;
        info!(
            lease = self.0.store.name(),
            transitions = state.transitions,
            delivered_until = delivered_until.map(tracing::field::display),
            "active: this observer holds the Lease"
        );
        delivered_until
    }

    /// Renews the Lease until it is lost. From then on, nothing may be delivered.
    pub async fn keep(&self) -> LostLease {
        loop {
            if let Some(lost) = self.step().await {
                let (lease, lost_text) = (self.0.store.name(), lost.to_string());
                error!(lease, "{lost_text}");
                return lost;
            }
        }
    }

    /// Hands over: gives up the right to deliver, and lets another observer begin at once.
    pub async fn release(&self) {
        let (was_active, identity) = {
            let mut state = self.0.state.lock();
            (state.elector.release(), state.elector.identity().to_owned())
        };
        if !was_active {
            return;
        }
        let lease = self.0.store.name();
        let released = tokio::time::timeout(RELEASE_TIMEOUT, self.write_release(&identity)).await;
        match released.unwrap_or_else(|_| Err(LeaseError::Failed("there is no answer".to_owned())))
        {
            Ok(()) => info!(lease, "released: another observer may take over at once"),
            Err(problem) => {
                let after = self.0.timing.lease;
                warn!(lease, %problem, ?after, "not released: another observer takes over later");
            }
        }
        // The reader holds the pipeline, and the pipeline holds this.
        *self.0.progress.lock() = None;
    }

    async fn write_release(&self, identity: &str) -> Result<(), LeaseError> {
        let mut last = Ok(());
        for _ in 0..RELEASE_ATTEMPTS {
            let Some(before) = self.0.store.read().await? else {
                return Ok(());
            };
            if before.holder != identity {
                return Ok(());
            }
            let write = LeaseWrite {
                delivered_until: self.delivered_until(),
                before: Some(before),
                holder: String::new(),
                duration: self.0.timing.lease,
            };
            match self.0.store.write(write).await {
                Err(LeaseError::Conflict) => last = Err(LeaseError::Conflict),
                written => return written.map(drop),
            }
        }
        last
    }

    /// Does what is next. Returns why this observer may not deliver any more, if it was active.
    async fn step(&self) -> Option<LostLease> {
        let next = {
            let mut state = self.0.state.lock();
            state.elector.next(clock::since_boot())
        };
        match next {
            Next::End(lost) => return Some(lost),
            Next::WaitUntil(at) => {
                tokio::time::sleep(at.saturating_sub(clock::since_boot())).await;
            }
            Next::Ask(request) => {
                let sent = clock::since_boot();
                let asked = tokio::time::timeout(self.0.timing.renew, self.ask(request)).await;
                let result = asked.unwrap_or_else(|_| {
                    Err(LeaseError::Failed("there is no answer in time".to_owned()))
                });
                self.answered(sent, result);
            }
        }
        None
    }

    async fn ask(&self, request: LeaseRequest) -> Result<LeaseAnswer, LeaseError> {
        let store = &self.0.store;
        let before = match request {
            LeaseRequest::Read => return Ok(LeaseAnswer::Shown(store.read().await?)),
            LeaseRequest::Create => None,
            LeaseRequest::Hold(record) => Some(record),
        };
        let write = LeaseWrite {
            delivered_until: self.delivered_until(),
            before,
            holder: self.0.state.lock().elector.identity().to_owned(),
            duration: self.0.timing.lease,
        };
        Ok(LeaseAnswer::Written(store.write(write).await?))
    }

    /// Returns the time until which everything is delivered.
    fn delivered_until(&self) -> Option<Timestamp> {
        let reader = self.0.progress.lock().clone();
        let progress = reader.map(|read| read());
        let mut state = self.0.state.lock();
        if let Some(progress) = progress {
            state.delivered_until = delivered_until(state.delivered_until, clock::now(), progress);
        }
        state.delivered_until
    }

    fn answered(&self, sent: Duration, result: Result<LeaseAnswer, LeaseError>) {
        let mut state = self.0.state.lock();
        let now = clock::since_boot();
        let lease = self.0.store.name();
        let answer = match result {
            Ok(answer) => {
                if state.failing.take().is_some() {
                    info!(lease, "the Lease can be read and written again");
                }
                answer
            }
            // Two waiting observers write at the same time: one of them is refused.
            Err(LeaseError::Conflict) => LeaseAnswer::Refused,
            Err(problem) => {
                let is_new = state
                    .failing
                    .as_ref()
                    .is_none_or(|(last, _)| *last != problem);
                if is_new {
                    warn!(lease, %problem, "failed to read or write the Lease");
                }
                let since = state.failing.as_ref().map_or(now, |(_, since)| *since);
                state.failing = Some((problem, since));
                LeaseAnswer::Failed
            }
        };
        state.elector.answered(sent, now, answer);
        let Some(record) = state.elector.record().cloned() else {
            return;
        };
        state.transitions = record.transitions;
        if !state.elector.is_active() {
            state.delivered_until = record.delivered_until;
        }
        if state.logged_holder.as_ref() != Some(&record.holder) {
            let holder = record.holder.as_str();
            info!(lease, holder, "the Lease has this holder");
            state.logged_holder = Some(record.holder);
        }
    }

    /// Returns the present state.
    #[must_use]
    pub fn state(&self) -> StandbyState {
        let state = self.0.state.lock();
        let record = state.elector.record();
        let now = clock::since_boot();
        StandbyState {
            lease: self.0.store.name().to_owned(),
            is_active: state.elector.may_deliver(now),
            identity: state.elector.identity().to_owned(),
            holder: record
                .map(|record| record.holder.clone())
                .filter(|holder| !holder.is_empty()),
            since: state.since,
            transitions: state.transitions,
            failing: state
                .failing
                .as_ref()
                .map(|(problem, since)| (problem.to_string(), now.saturating_sub(*since))),
        }
    }

    /// Registers the metrics. An observer without a standby is always active.
    pub fn register_metrics(standby: Option<&Self>, registry: &mut Registry) {
        let standby = standby.cloned();
        registry.register_samples(move |samples| {
            let state = standby.as_ref().map(Self::state);
            samples.gauge(
                "standby_active",
                "1 while this observer may deliver; 0 while it waits as a standby. Always 1 without `standby`",
                state.as_ref().is_none_or(|state| state.is_active),
            )?;
            samples.counter(
                "standby_transitions",
                "Changes of the observer that is active, as the Lease counts them; 0 without `standby`",
                state.map_or(0, |state| u64::from(state.transitions)),
            )
        });
    }
}

impl std::error::Error for LostLease {}

impl fmt::Display for LostLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRenewed => f.write_str(
                "this observer has lost the Lease: no renewal succeeded for `standby.giveUpMs`. It delivers nothing \
                 more and ends; another observer, or this one after its restart, continues",
            ),
            Self::Taken { holder } if holder.is_empty() => f.write_str(
                "this observer has lost the Lease: somebody has removed the holder. It delivers nothing more and ends",
            ),
            Self::Taken { holder } => write!(
                f,
                "this observer has lost the Lease to {holder}. It delivers nothing more and ends",
            ),
            Self::Released => f.write_str("this observer has released the Lease"),
        }
    }
}
