//! From a step record to events at the sinks' lanes: log, event, plugins, match.

use crate::deliver::Account;
use crate::event::{self, Encoded, EventConfig, EventMatch};
use crate::logs::Logs;
use crate::plugin::dropin::Roster;
use crate::plugin::{Chain, ChainPool, OnError, Outcome, Report};
use crate::step::{Envelope, StepRecord};
use cloudevents::AttributesReader as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, warn};

/// How an event that a plugin blocks is tried again.
const BLOCKED: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(30),
};

/// What happened to one step, for whoever looks on.
#[derive(Debug)]
pub enum Happening<'a> {
    /// Its event goes to the sinks.
    Told {
        /// The step.
        record: &'a StepRecord,
        /// The event before any plugin.
        before: &'a Envelope,
        /// The event that goes to the sinks.
        envelope: &'a Envelope,
        /// What the plugins did.
        report: &'a Report,
    },
    /// A plugin dropped its event.
    Dropped {
        /// The step.
        record: &'a StepRecord,
        /// The plugin.
        plugin: &'a str,
        /// Why.
        reason: &'a str,
    },
}

/// Whoever looks on.
pub type Onlooker = Arc<dyn Fn(Happening<'_>) + Send + Sync>;

/// A sink as seen from here.
pub(crate) struct Outlet {
    pub(crate) name: String,
    pub(crate) select: EventMatch,
    pub(crate) chain: Arc<Chain>,
    pub(crate) account: Arc<Account>,
    pub(crate) lane: mpsc::Sender<(Arc<str>, Arc<Encoded>)>,
}

/// Counts of what did not reach a sink's lane.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Step records taken.
    pub(crate) steps: AtomicU64,
    /// Events that a plugin dropped.
    pub(crate) dropped: AtomicU64,
    /// Events that failed before any sink.
    pub(crate) failed: AtomicU64,
    /// Events that are between here and the lanes.
    pub(crate) pending: AtomicU64,
}

/// Which plugins an event passes.
enum Passage<'a> {
    /// Those common to all sinks, as they are at the moment.
    Common,
    /// Those of one sink.
    Own(&'a Arc<Chain>),
}

/// Makes events and hands them to the sinks' lanes.
pub(crate) struct Preparation {
    pub(crate) logs: Arc<Logs>,
    pub(crate) event: EventConfig,
    pub(crate) pool: ChainPool,
    /// The chain of the moment, common to all sinks.
    pub(crate) roster: watch::Receiver<Roster>,
    pub(crate) outlets: Vec<Outlet>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) onlooker: Option<Onlooker>,
    /// How long a plugin may hold an event (`onError: block`); for ever where nothing is given, as a
    /// cluster goes on for ever.
    pub(crate) hold_for: Option<Duration>,
}

impl Preparation {
    pub(crate) async fn prepare(&self, record: StepRecord) {
        let log = if event::wants_log(&record.transition.kind) {
            Some(self.logs.of(&record).await)
        } else {
            None
        };
        let built = event::build(&record, log, &self.event);
        match built {
            Ok(envelope) => self.filter(&record, envelope).await,
            Err(problem) => {
                self.tally.failed.fetch_add(1, Ordering::Relaxed);
                error!(error = %problem, step = record.transition.step(), "no event could be made");
            }
        }
        self.tally.pending.fetch_sub(1, Ordering::Relaxed);
    }

    async fn filter(&self, record: &StepRecord, envelope: Envelope) {
        let before = self.onlooker.is_some().then(|| envelope.clone());
        let Some((envelope, report)) = self.pass(&Passage::Common, envelope, record).await else {
            return;
        };
        if let (Some(onlooker), Some(before)) = (&self.onlooker, &before) {
            onlooker(Happening::Told {
                record,
                before,
                envelope: &envelope,
                report: &report,
            });
        }
        let shared = Arc::new(Encoded::new(envelope));
        // At the same time: a sink whose own plugin holds the event must not keep it from the others.
        let outlets = self
            .outlets
            .iter()
            .map(|outlet| self.hand_to(outlet, &shared, record));
        futures::future::join_all(outlets).await;
    }

    async fn hand_to(&self, outlet: &Outlet, shared: &Arc<Encoded>, record: &StepRecord) {
        if !outlet.select.matches(&shared.envelope().event) {
            return;
        }
        let encoded = if outlet.chain.plugins().is_empty() {
            shared.clone()
        } else {
            match self
                .pass(
                    &Passage::Own(&outlet.chain),
                    shared.envelope().clone(),
                    record,
                )
                .await
            {
                Some((envelope, _)) => Arc::new(Encoded::new(envelope)),
                None => return,
            }
        };
        outlet.account.accept();
        let key = shared.envelope().context.run_uid.clone();
        if outlet.lane.send((key, encoded)).await.is_err() {
            error!(sink = outlet.name, "the sink's lane has ended");
        }
    }

    /// Waits until it is known which plugins there are: before, none may be left out.
    async fn chain(&self, passage: &Passage<'_>) -> Option<Arc<Chain>> {
        match passage {
            Passage::Own(chain) => Some((*chain).clone()),
            Passage::Common => {
                let mut roster = self.roster.clone();
                let known = roster.wait_for(|roster| roster.chain.is_some()).await;
                known.ok().and_then(|roster| roster.chain.clone())
            }
        }
    }

    /// Waits for the next try; where the plugins change meanwhile, no longer.
    async fn wait(&self, passage: &Passage<'_>, delay: Duration) {
        let mut roster = self.roster.clone();
        roster.mark_unchanged();
        let changed = async {
            match passage {
                // Where nothing changes any more, only the time passes.
                Passage::Common if roster.changed().await.is_ok() => {}
                Passage::Common | Passage::Own(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    /// Passes an event through a chain; where a plugin blocks it, again from the beginning, through
    /// the chain of that moment. So whatever leaves here has passed one chain whole.
    async fn pass(
        &self,
        passage: &Passage<'_>,
        envelope: Envelope,
        record: &StepRecord,
    ) -> Option<(Envelope, Report)> {
        let id = envelope.event.id().to_owned();
        let mut envelope = envelope;
        let mut failures = 0_u32;
        let give_up = self.hold_for.map(|hold| tokio::time::Instant::now() + hold);
        loop {
            let Some(chain) = self.chain(passage).await else {
                self.tally.failed.fetch_add(1, Ordering::Relaxed);
                warn!(
                    id,
                    "stopped before the plugins were known: the event is not sent"
                );
                return None;
            };
            match self.pool.process(chain.clone(), envelope).await {
                Ok(Outcome::Deliver(envelope, report)) => {
                    for (plugin, failure, on_error) in &report.failures {
                        let what = match on_error {
                            OnError::Strip => {
                                "plugin failed, the event goes without its log and texts"
                            }
                            OnError::Pass | OnError::Drop | OnError::Block => {
                                "plugin failed, the event goes as it was before"
                            }
                        };
                        let version = chain.version(plugin);
                        warn!(plugin = &**plugin, version, id, failure = failure.label(), detail = %failure, "{what}");
                    }
                    return Some((*envelope, report));
                }
                Ok(Outcome::Dropped { plugin, reason }) => {
                    self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                    debug!(plugin = &*plugin, id, reason, "plugin drops the event");
                    if let Some(onlooker) = &self.onlooker {
                        onlooker(Happening::Dropped {
                            record,
                            plugin: &plugin,
                            reason: &reason,
                        });
                    }
                    return None;
                }
                Ok(Outcome::Blocked {
                    plugin,
                    failure,
                    envelope: original,
                }) => {
                    failures = failures.saturating_add(1);
                    if give_up.is_some_and(|at| tokio::time::Instant::now() >= at) {
                        self.tally.failed.fetch_add(1, Ordering::Relaxed);
                        let version = chain.version(&plugin);
                        error!(plugin = &*plugin, version, id, detail = %failure, failures, "the held event is given up");
                        return None;
                    }
                    let delay = BLOCKED.delay(failures, fastrand::f64());
                    let version = chain.version(&plugin);
                    warn!(
                        plugin = &*plugin, version, id, failure = failure.label(), detail = %failure, failures, ?delay,
                        "plugin failed, the event is held and tried again"
                    );
                    envelope = *original;
                    self.wait(passage, delay).await;
                }
                Err(problem) => {
                    self.tally.failed.fetch_add(1, Ordering::Relaxed);
                    error!(error = %problem, id, "the event is lost: please report this");
                    return None;
                }
            }
        }
    }
}
