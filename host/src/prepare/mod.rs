//! From a step record to events in the journal: log, event, plugins, match.

mod encode;
mod metrics;
mod run_chain;

use crate::clock;
use crate::event::{self, BuildError, EventConfig, EventMatch};
use crate::fair::{FairSemaphore, Permit, Ticket};
use crate::history::{EventStage, History, PluginResult, PluginVerdict, TraceContext};
use crate::journal::{Accept, Journal, NewEvent, Origin};
use crate::logs::LogReader;
use crate::observe::{LogRateLimit, WatchedPod};
use crate::plugin::dropin::Roster;
use crate::plugin::{CallResult, Chain, ChainPool, OnError, PluginCall, PluginIdentity, Report};
use crate::step::{Envelope, StepRecord};
use cloudevents::AttributesReader as _;
pub(crate) use metrics::PipelineMetrics;
use run_chain::ChainRef;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{debug, error};

/// What happened to one step, for whoever looks on.
#[derive(Debug)]
pub enum PreparedEvent<'a> {
    /// Its event goes to the sinks.
    Passed {
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
pub type EventHook = Arc<dyn Fn(PreparedEvent<'_>) + Send + Sync>;

/// A sink as seen from here.
pub(crate) struct SinkRoute {
    pub(crate) name: String,
    pub(crate) select: EventMatch,
    pub(crate) chain: Arc<Chain>,
    /// Bytes that it adds to each event: attributes of its own.
    pub(crate) added: usize,
}

/// What is to be prepared.
#[derive(Debug)]
pub(crate) enum PrepareCommand {
    /// A step did something.
    Step(Box<AdmittedRecord>),
    /// Nothing more will come of this run.
    Forget(Arc<str>),
}

/// A record with its place among those that are prepared.
#[derive(Debug)]
pub(crate) struct AdmittedRecord {
    pub(crate) record: Box<StepRecord>,
    /// Whose log it is, if one is to be read.
    pub(crate) claim: Option<WatchedPod>,
    pub(crate) ticket: Ticket,
}

impl SinkRoute {
    fn has_own_chain(&self) -> bool {
        !self.chain.plugins().is_empty()
    }
}

/// What the journal does not say of a transition yet.
struct MissingMarks {
    /// To the sinks without plugins of their own.
    shared: bool,
    /// To each of the others.
    own: Vec<bool>,
}

impl MissingMarks {
    fn is_empty(&self) -> bool {
        !self.shared && !self.own.contains(&true)
    }
}

/// The mark of an event that went through a sink's own plugins. An id holds no blank.
fn route_mark(id: &str, route: &SinkRoute) -> String {
    format!("{id} {}", route.name)
}

/// Returns the entry of a plugin call for the history.
fn plugin_result(call: &PluginCall) -> PluginResult {
    let dropped = call.drop_reason().map(Cow::into_owned);
    let (verdict, reason) = match (dropped, &call.result) {
        (Some(reason), _) => (PluginVerdict::Dropped, Some(reason)),
        (None, CallResult::Failed { failure, on_error }) => match on_error {
            OnError::Strip => (PluginVerdict::Stripped, Some(failure.to_string())),
            OnError::Pass | OnError::Drop | OnError::Block => {
                (PluginVerdict::PassedBy, Some(failure.to_string()))
            }
        },
        (None, CallResult::Kept | CallResult::Dropped(_)) => (PluginVerdict::Kept, None),
    };
    let PluginIdentity {
        name,
        version,
        digest,
    } = &*call.plugin;
    PluginResult {
        plugin: name.to_string(),
        version: version.clone(),
        digest: digest.as_ref().map(|digest| digest.as_str().to_owned()),
        verdict,
        micros: u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX),
        masked: u64::from(call.masked.total()),
        reason,
    }
}

/// Makes events and puts them into the journal.
pub(crate) struct Preparation {
    pub(crate) logs: Arc<LogReader>,
    pub(crate) event: EventConfig,
    pub(crate) pool: ChainPool,
    /// Shares the threads of `pool` among namespaces.
    pub(crate) call_permits: FairSemaphore,
    /// Who may prepare a record; an event that a plugin holds does not count.
    pub(crate) record_permits: FairSemaphore,
    /// The chain of the moment, common to all sinks.
    pub(crate) roster: watch::Receiver<Roster>,
    pub(crate) routes: Vec<SinkRoute>,
    pub(crate) journal: Journal,
    pub(crate) history: History,
    /// There are traces.
    pub(crate) traced: bool,
    pub(crate) metrics: Arc<PipelineMetrics>,
    pub(crate) event_hook: Option<EventHook>,
    /// How long a plugin may hold an event (`onError: block`); for ever where nothing is given, as a
    /// cluster goes on for ever.
    pub(crate) hold_for: Option<Duration>,
    /// So that events that are too large, of which a stranger can make many, do not fill the log.
    pub(crate) truncated_log_limit: LogRateLimit,
    pub(crate) oversized_log_limit: LogRateLimit,
}

impl Preparation {
    pub(crate) async fn handle(&self, item: PrepareCommand) {
        match item {
            PrepareCommand::Step(item) => self.prepare(&item).await,
            // Where the journal cannot be written, the observer stops anyway.
            PrepareCommand::Forget(run) => drop(self.journal.forget(run).await),
        }
    }

    async fn prepare(&self, item: &AdmittedRecord) {
        let record = &*item.record;
        let id = event::id(record, &self.event);
        let missing = MissingMarks {
            shared: !self.is_accepted(record, &id),
            own: self
                .own_routes()
                .map(|route| !self.is_accepted(record, &route_mark(&id, route)))
                .collect(),
        };
        if missing.is_empty() {
            self.settled();
            self.metrics.emitted_before.increment();
            debug!(id, "told before");
            return;
        }
        let turn = self.record_permits.acquire(&record.namespace).await;
        let log = if event::wants_log(&record.transition.kind) {
            Some(self.logs.log_of(record, item.claim.as_ref()).await)
        } else {
            None
        };
        if self.is_unread().await {
            let built = event::build_structured(record, log, &self.event);
            return match built.and_then(|body| self.new_event(body, &self.routes)) {
                Ok(event) => {
                    // A namespace that waits for room in the journal keeps no other from being prepared.
                    drop(turn);
                    self.submit(record, &id, id.clone(), Some(event), &Report::default())
                        .await;
                }
                Err(problem) => self.unbuildable(&problem, record),
            };
        }
        match event::build(record, log, &self.event) {
            Ok(envelope) => self.run_plugins(item, envelope, missing, turn).await,
            Err(problem) => self.unbuildable(&problem, record),
        }
    }

    /// Nobody looks into an event on its way to the sinks: no plugin, no condition, no event_hook.
    async fn is_unread(&self) -> bool {
        let wants_all =
            |route: &SinkRoute| !route.has_own_chain() && route.select == EventMatch::default();
        !self.routes.is_empty()
            && self.event_hook.is_none()
            && self.routes.iter().all(wants_all)
            && self
                .chain(&ChainRef::Common)
                .await
                .is_some_and(|chain| chain.plugins().is_empty())
    }

    /// One less is between the watch and the journal.
    fn settled(&self) {
        self.metrics.pending.subtract(1);
    }

    fn is_accepted(&self, record: &StepRecord, mark: &str) -> bool {
        self.journal.is_emitted(&record.transition.run_uid, mark)
    }

    fn own_routes(&self) -> impl Iterator<Item = &SinkRoute> {
        self.routes.iter().filter(|route| route.has_own_chain())
    }

    async fn run_plugins(
        &self,
        item: &AdmittedRecord,
        envelope: Envelope,
        missing: MissingMarks,
        turn: Permit,
    ) {
        let (record, mut turn) = (&*item.record, Some(turn));
        let id = envelope.event.id().to_owned();
        let before = self.event_hook.is_some().then(|| envelope.clone());
        let passed = self
            .run_chain(&ChainRef::Common, envelope, item, &mut turn)
            .await;
        let Some((envelope, report)) = passed else {
            self.settled();
            return;
        };
        // From one record to what is told of it: one for the sinks in common, one for each of the others.
        let told =
            u64::from(missing.shared) + missing.own.iter().map(|own| u64::from(*own)).sum::<u64>();
        self.metrics.pending.add(told.saturating_sub(1));
        if let (Some(event_hook), Some(before), Some(envelope)) =
            (&self.event_hook, &before, &envelope)
        {
            event_hook(PreparedEvent::Passed {
                record,
                before,
                envelope,
                report: &report,
            });
        }
        let shared = async {
            if missing.shared {
                let sinks = self.routes.iter().filter(|route| !route.has_own_chain());
                let event = self.encode(envelope.as_ref(), sinks);
                // A namespace that waits for room in the journal keeps no other from being prepared.
                drop(turn);
                match event {
                    Ok(event) => self.submit(record, &id, id.clone(), event, &report).await,
                    Err(problem) => self.unbuildable(&problem, record),
                }
            }
        };
        // At the same time: a sink whose own plugin holds the event must not keep it from the others.
        let own = self
            .own_routes()
            .zip(&missing.own)
            .filter(|(_, missing)| **missing)
            .map(|(route, _)| self.submit_to_route(route, envelope.as_ref(), item, &id));
        tokio::join!(shared, futures::future::join_all(own));
    }

    /// Through the own plugins of a sink.
    async fn submit_to_route(
        &self,
        route: &SinkRoute,
        shared: Option<&Envelope>,
        item: &AdmittedRecord,
        id: &str,
    ) {
        let record = &*item.record;
        let wanted = shared.filter(|shared| route.select.matches(&shared.event));
        let (passed, report) = match wanted {
            None => (None, Report::default()),
            Some(shared) => {
                let chain_ref = ChainRef::Own(&route.chain);
                let mut no_turn = None;
                let passed = self.run_chain(&chain_ref, shared.clone(), item, &mut no_turn);
                match passed.await {
                    Some(passed) => passed,
                    None => return self.settled(),
                }
            }
        };
        let mark = route_mark(id, route);
        match self.encode(passed.as_ref(), [route]) {
            Ok(event) => self.submit(record, id, mark, event, &report).await,
            Err(problem) => self.unbuildable(&problem, record),
        }
    }

    /// Puts an event, or that there is none, into the journal.
    async fn submit(
        &self,
        record: &StepRecord,
        id: &str,
        mark: String,
        event: Option<NewEvent>,
        report: &Report,
    ) {
        let sinks = event.as_ref().map(|event| event.sinks.clone());
        let now = clock::now();
        let is_event = sinks.is_some();
        let fact = self.history.is_open().then(|| {
            let accepted = EventStage::Accepted {
                observed: record.seen_at,
                ty: event::event_type(record, &self.event),
                subject: event::subject(record),
                plugins: report.calls.iter().map(plugin_result).collect(),
                sinks: sinks.unwrap_or_default(),
                traced: self.traced.then(|| TraceContext {
                    parent: event::trace_context(record, &self.event),
                    filtered: now.checked_sub(report.took()).unwrap_or(now),
                }),
            };
            (id.to_owned(), accepted)
        });
        let (metrics, history) = (self.metrics.clone(), self.history.clone());
        let accepted = move || {
            metrics.pending.subtract(1);
            if is_event {
                metrics.accepted.increment();
            }
            if let Some(fact) = fact {
                history.record(now, || fact);
            }
        };
        let origin = Origin {
            run: record.transition.run_uid.clone(),
            namespace: record.namespace.clone(),
        };
        // It counts as pending until it is on the disk. Nobody waits for that: the next of this run comes
        // behind it.
        let accept = Accept {
            origin,
            mark: Some(mark),
            at: now,
            events: event.into_iter().collect(),
        };
        if let Err(problem) = self.journal.submit(accept, accepted).await {
            self.settled();
            self.metrics.failed.increment();
            error!(error = %problem, "the event is not accepted");
        }
    }

    fn unbuildable(&self, problem: &BuildError, record: &StepRecord) {
        self.settled();
        self.metrics.failed.increment();
        error!(error = %problem, step = record.transition.step(), "no event could be made");
    }
}
