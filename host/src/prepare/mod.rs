//! Makes events from step records: reads the log, builds the event, runs the plugins, applies
//! `match`, and submits the event to the journal.

mod encode;
mod event_mask;
mod fan_out;
mod fast_path;
mod log_masks;
mod metrics;
mod pending;
mod run_chain;
mod run_end;
mod submit;
mod withhold;

pub(crate) use log_masks::ChainLogMasks;
pub(crate) use metrics::PipelineMetrics;
pub(crate) use pending::Pending;

use crate::event::{self, EventConfig, EventIdentity, Selection};
use crate::fair::{FairSemaphore, Ticket};
use crate::history::History;
use crate::journal::{Journal, Mark};
use crate::known_secrets::{KnownSecrets, ReadMoment};
use crate::logs::LogReader;
use crate::observe::{LogRateLimit, WatchedPod};
use crate::page::LivePage;
use crate::plugin::dropin::Roster;
use crate::plugin::{Chain, ChainPool, Report};
use crate::step::{EndedRun, Envelope, StepRecord};
use crate::step_metrics::StepMetrics;
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Transition;
use tokio::sync::watch;
use tracing::debug;

/// An event that has passed the common plugins, or that a plugin has dropped, for a hook.
#[derive(Debug)]
pub enum PreparedEvent<'a> {
    /// The event goes to the sinks.
    Passed {
        /// The record from which the event was made.
        record: &'a StepRecord,
        /// The event before the first plugin.
        before: &'a Envelope,
        /// The event after the last plugin.
        envelope: &'a Envelope,
        /// The calls of the plugins.
        report: &'a Report,
    },
    /// A plugin dropped the event.
    Dropped {
        /// The record from which the event was made.
        record: &'a StepRecord,
        /// Name of the plugin.
        plugin: &'a str,
        /// Why the plugin dropped it.
        reason: &'a str,
    },
}

/// Called for each event that has passed the common plugins, and for each event that a plugin has
/// dropped.
pub type EventHook = Arc<dyn Fn(PreparedEvent<'_>) + Send + Sync>;

/// The way of events to one sink.
pub(crate) struct SinkRoute {
    pub(crate) name: String,
    pub(crate) select: Arc<Selection>,
    /// Plugins of this sink. Events pass them after the plugins for all sinks.
    pub(crate) chain: Arc<Chain>,
    /// Bytes of the attributes that the sink adds to each event.
    pub(crate) added: usize,
    /// Whether the sink takes the ends of runs.
    pub(crate) takes_run_ends: bool,
    /// Whether the sink takes the ends of PipelineRuns.
    pub(crate) takes_pipeline_runs: bool,
    /// Whether the sink takes gaps.
    pub(crate) takes_gaps: bool,
}

/// Input of the prepare stage.
#[derive(Debug)]
pub(crate) enum PrepareCommand {
    /// Make the events of a record. They are pending until the journal has accepted them.
    Step(Box<AdmittedRecord>, Pending),
    /// Submit the end of a run for the sinks that take it.
    RunEnd(Box<EndedRun>, Ticket, Pending),
    /// Remove the marks of a run: it has no further transitions.
    Forget(Arc<str>),
}

/// A record that has been admitted.
#[derive(Debug)]
pub(crate) struct AdmittedRecord {
    pub(crate) record: Box<StepRecord>,
    /// The Pod whose log is read, if the event has a log.
    pub(crate) claim: Option<WatchedPod>,
    pub(crate) ticket: Ticket,
}

impl SinkRoute {
    fn has_own_chain(&self) -> bool {
        !self.chain.plugins().is_empty()
    }

    /// Returns the mark of an event that passed the plugins of this sink. The mark differs from all
    /// marks of other sinks, because neither an id nor the name of a transition contains a space.
    fn mark(&self, id_or_name: &str) -> String {
        format!("{id_or_name} {}", self.name)
    }
}

/// Returns the mark of a transition whose event has this id.
fn transition_mark(transition: &Transition, id: &str) -> Mark {
    Mark {
        id: id.to_owned(),
        name: Some(transition.name()),
    }
}

/// Shows which marks of a transition are not yet in the journal.
struct MissingMarks {
    /// True if the mark of the shared event is missing. All sinks without plugins of their own get
    /// this event.
    shared: bool,
    /// For each other sink, true if the mark of its event is missing.
    own: Vec<bool>,
}

impl MissingMarks {
    fn is_empty(&self) -> bool {
        !self.shared && !self.own.contains(&true)
    }
}

/// Makes events and submits them to the journal.
pub(crate) struct Preparation {
    pub(crate) logs: Arc<LogReader>,
    pub(crate) known_secrets: KnownSecrets,
    pub(crate) event: EventConfig,
    pub(crate) pool: ChainPool,
    /// Shares the threads of `pool` among namespaces.
    pub(crate) call_permits: FairSemaphore,
    /// Bounds the number of records that are prepared at a time. A record does not count while a
    /// plugin holds its event.
    pub(crate) record_permits: FairSemaphore,
    /// The current common plugins.
    pub(crate) roster: watch::Receiver<Roster>,
    pub(crate) routes: Vec<SinkRoute>,
    pub(crate) journal: Journal,
    pub(crate) history: History,
    /// Keeps the bodies of events, if the live page is served.
    pub(crate) page: LivePage,
    /// Whether traces are exported.
    pub(crate) traced: bool,
    pub(crate) metrics: Arc<PipelineMetrics>,
    /// `None` if steps are not counted by their names.
    pub(crate) step_metrics: Option<StepMetrics>,
    pub(crate) event_hook: Option<EventHook>,
    /// Longest time for which a plugin may hold an event (`onError: block`). `None` if there is no
    /// bound. This is the case for a cluster, which does not end as a recording does, so the event
    /// can wait.
    pub(crate) hold_for: Option<Duration>,
    /// Limits the rate of log lines about large events, because a tenant can cause them.
    pub(crate) truncated_log_limit: LogRateLimit,
    pub(crate) oversized_log_limit: LogRateLimit,
}

impl Preparation {
    pub(crate) async fn handle(&self, command: PrepareCommand) {
        match command {
            PrepareCommand::Step(item, pending) => self.prepare(&item, pending).await,
            PrepareCommand::RunEnd(ended, _ticket, pending) => {
                self.submit_end(*ended, pending).await;
            }
            // The error is ignored here: if the journal cannot be written, the observer stops
            // anyway.
            PrepareCommand::Forget(run) => drop(self.journal.forget(run).await),
        }
    }

    async fn prepare(&self, item: &AdmittedRecord, pending: Pending) {
        let record = &*item.record;
        let identity = EventIdentity::new(record, &self.event);
        let missing = self.missing_marks(record, &identity.id);
        if missing.is_empty() {
            self.metrics.emitted_before.increment();
            debug!(id = identity.id, "event was emitted before");
            return;
        }
        // A sink with plugins of its own may still wait for an event that was counted before.
        if let Some(step_metrics) = self.step_metrics.as_ref().filter(|_| missing.shared) {
            step_metrics.count(record, &self.event);
        }
        let permit = self.record_permits.acquire(&record.namespace).await;
        let has_log = event::wants_log(&record.transition.kind);
        if let Some(secrets) = &record.pod_secrets {
            let moment = match has_log {
                true => ReadMoment::StepEnd,
                false => ReadMoment::First,
            };
            self.known_secrets.read(secrets, moment).await;
        }
        let log = if has_log {
            Some(self.logs.log_of(record, item.claim.as_ref()).await)
        } else {
            None
        };
        let mask = self.event_mask(record);
        let withholds = self.withholds(record);
        if mask.is_none() && !withholds && self.is_unread().await {
            return self
                .submit_unread(item, &identity, log, pending, permit)
                .await;
        }
        match event::build(record, &identity, log, &self.event) {
            Ok(envelope) => {
                let envelope = match withholds {
                    true => self.without_texts(envelope),
                    false => envelope,
                };
                let envelope = self.masked(mask.as_ref(), envelope);
                self.fan_out(item, &identity, envelope, missing, pending, permit)
                    .await;
            }
            Err(error) => self.report_unbuildable(&error, record),
        }
    }

    fn missing_marks(&self, record: &StepRecord, id: &str) -> MissingMarks {
        let transition = &record.transition;
        let is_emitted = |mark: &str| self.journal.is_emitted(&transition.run_uid, mark);
        // A transition that was derived without its Pod has another id than before the Pod was gone,
        // but the same name.
        let name = transition.pod_uid.is_none().then(|| transition.name());
        let marks = || [Some(id), name.as_deref()].into_iter().flatten();
        let own = self
            .own_routes()
            .map(|route| !marks().any(|mark| is_emitted(&route.mark(mark))));
        MissingMarks {
            shared: !marks().any(is_emitted),
            own: own.collect(),
        }
    }

    /// Returns the routes of sinks that have plugins of their own.
    fn own_routes(&self) -> impl Iterator<Item = &SinkRoute> {
        self.routes.iter().filter(|route| route.has_own_chain())
    }
}
