//! The stage that reports gaps, and that keeps until when the observer has watched.

use super::Source;
use super::pipeline::Shared;
use crate::clock;
use crate::event::{self, EventConfig, Selection, ShardRef};
use crate::gap::{Gap, Note};
use crate::history::{EventStage, History};
use crate::journal::{Accept, Journal, JournalError, Mark, NewEvent, Origin};
use crate::prepare::SinkRoute;
use cloudevents::AttributesReader as _;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::error;

/// Time between two notes of until when the observer has watched. After a kill, the gap is longer by at most
/// this time, and the time since the API server sent anything.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);

/// Reports gaps until it is dropped.
pub(super) struct GapStage {
    shared: Shared,
    /// Names the part of the cluster that is watched.
    scope: String,
    listed_at: watch::Receiver<Option<Timestamp>>,
    /// `None` if no event is wanted.
    events: Option<GapEvents>,
}

/// Makes events of gaps.
struct GapEvents {
    config: EventConfig,
    shard: Option<ShardRef>,
    namespaces: Vec<String>,
    /// Names and conditions of the sinks.
    sinks: Vec<(String, Arc<Selection>)>,
}

impl GapStage {
    /// Makes the stage for the watches of a cluster; `None` for a recording.
    pub(super) fn new(
        shared: &Shared,
        source: &Source,
        event: &EventConfig,
        routes: &[SinkRoute],
        listed_at: watch::Receiver<Option<Timestamp>>,
    ) -> Option<Self> {
        let Source::Cluster { config, .. } = source else {
            return None;
        };
        let takes = routes.iter().filter(|route| route.takes_gaps);
        let (shard, of) = (config.shard.get(), config.shards.get());
        let events = event.gap.then(|| GapEvents {
            config: event.clone(),
            shard: (of > 1).then_some(ShardRef { of, shard }),
            namespaces: config.namespaces.clone(),
            sinks: takes
                .map(|route| (route.name.clone(), route.select.clone()))
                .collect(),
        });
        Some(Self {
            shared: shared.clone(),
            scope: source.scope_digest(),
            listed_at,
            events,
        })
    }

    pub(super) async fn run(mut self) {
        let Some(to) = self.listed().await else {
            return;
        };
        let gap = self.shared.carried.gaps.started(&self.scope, to);
        self.report(gap).await;
        let Some(watches) = self.shared.watches.clone() else {
            return;
        };
        let mut ticks = tokio::time::interval(NOTE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = watches.list_completed() => {}
            }
            if let Some(missed) = watches.take_missed() {
                let gaps = &self.shared.carried.gaps;
                let gap = gaps.interrupted(Some(missed.from), missed.to);
                self.report(gap).await;
            }
            if self.shared.accepts() {
                self.shared.note_watched(self.scope.clone()).await;
            }
        }
    }

    /// Waits for the first lists.
    async fn listed(&mut self) -> Option<Timestamp> {
        let listed = self.listed_at.wait_for(Option::is_some).await;
        // Fails if the tracker has ended before.
        *listed.ok()?
    }

    /// Makes the event of a gap, if it is wanted, and waits until the journal has it. Before that, no later
    /// time is noted: after a crash, the next start reports this gap as a part of its own.
    async fn report(&self, gap: Gap) {
        let is_reported = &self.shared.gaps_reported;
        is_reported.store(false, Ordering::Relaxed);
        let (Some(events), Some(from)) = (&self.events, gap.from) else {
            is_reported.store(true, Ordering::Relaxed);
            return;
        };
        let carried = &self.shared.carried;
        let accepted = events.submit(&carried.journal, &carried.history, from, gap.to);
        match accepted.await {
            Ok(()) => is_reported.store(true, Ordering::Relaxed),
            Err(problem) => error!(error = %problem, "the event of a gap is not accepted"),
        }
    }
}

impl GapEvents {
    async fn submit(
        &self,
        journal: &Journal,
        history: &History,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(), JournalError> {
        let built = event::gap_event(from, to, self.shard, &self.namespaces, &self.config);
        let event = match built {
            Ok(event) => event,
            Err(problem) => {
                // The next one would fail in the same way: `source` cannot be used, and no event of a step
                // can be made either.
                error!(error = %problem, "no event of a gap could be made");
                return Ok(());
            }
        };
        let wanting = self.sinks.iter().filter(|(_, select)| select.wants(&event));
        let sinks: Vec<String> = wanting.map(|(name, _)| name.clone()).collect();
        let body = match event::structured(&event) {
            Ok(body) => body,
            Err(problem) => {
                error!(error = %problem, "no event of a gap could be made");
                return Ok(());
            }
        };
        if sinks.is_empty() {
            return Ok(());
        }
        let key = event
            .extension("partitionkey")
            .map(ToString::to_string)
            .unwrap_or_default();
        let run: Arc<str> = key.into();
        let (id, history, listed) = (event.id().to_owned(), history.clone(), sinks.clone());
        let record = move || {
            let stage = EventStage::Accepted {
                observed: to,
                ty: event::GAP_TYPE.to_owned(),
                subject: "gap".to_owned(),
                plugins: Vec::new(),
                sinks: listed,
                traced: None,
            };
            history.record(clock::now(), || (id, stage));
        };
        let accept = Accept {
            origin: Origin::from(run.clone()),
            mark: Some(Mark {
                id: event.id().to_owned(),
                name: None,
            }),
            at: clock::now(),
            events: vec![NewEvent { sinks, body }],
        };
        journal.submit(accept, record).await?;
        journal.sync().await?;
        // The same gap is never found again.
        journal.forget(run).await
    }
}

impl Shared {
    /// Returns whether what the watches have shown reaches the journal. What is on its way there does not
    /// count: it arrives within seconds.
    fn accepts(&self) -> bool {
        let (admission, journal) = (self.admission.status(), &self.carried.journal);
        let blocked = journal.blocked();
        let is_full = blocked.is_all || blocked.namespaces > 0 || journal.is_disk_full();
        admission.held == 0 && admission.deferred == 0 && !is_full
    }

    /// Keeps until when the observer has watched, unless a gap is not reported yet.
    pub(super) async fn note_watched(&self, scope: String) {
        let Some(watches) = &self.watches else {
            return;
        };
        let is_reported = self.gaps_reported.load(Ordering::Relaxed) && watches.missed().is_none();
        let Some(watched_until) = watches.watched_until().filter(|_| is_reported) else {
            return;
        };
        let note = Note {
            watched_until,
            scope,
        };
        let gaps = self.carried.gaps.clone();
        // Writing to a disk blocks. It fails only if the runtime ends.
        tokio::task::spawn_blocking(move || gaps.keep(&note))
            .await
            .ok();
    }
}
