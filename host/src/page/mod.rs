//! What the live page shows: the last runs with their steps, and the bodies of the last events. It
//! outlives a change of the configuration. `admin` serves it; nothing waits for it, and no message is
//! made while no page is connected.

mod bodies;
mod run;
mod sessions;
mod step;
mod stream_log;
mod table;
#[cfg(test)]
mod tests;
mod texts;

pub use bodies::KeptBody;
pub(crate) use stream_log::{Behind, ChangeNumber, message};

use crate::event::{EventConfig, EventIdentity};
use crate::locked::Locked;
use crate::step::{PodSteps, StepRecord};
use bodies::{Bodies, BodyLimits};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use sessions::Sessions;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use stream_log::StreamLog;
use table::Table;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Shortest time between two changes of the stream.
pub(crate) const CHANGE_INTERVAL: Duration = Duration::from_millis(250);
/// Open streams: in all, and of one address. Through `kubectl port-forward` everybody has the same
/// address, so one person must be able to open more pages than one needs.
const MAX_STREAMS: usize = 32;
const MAX_STREAMS_OF_PEER: usize = 16;

/// What the page shows, or nothing if no page is served. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LivePage(Option<Arc<Shown>>);

#[derive(Debug)]
struct Shown {
    started: Instant,
    started_at: Timestamp,
    /// The time in the recording; `None` if the steps happen now.
    recorded: Option<Locked<Timestamp>>,
    process: Arc<str>,
    log: Locked<StreamLog>,
    bodies: Locked<Bodies>,
    sessions: Locked<Sessions>,
    /// The addresses of the open streams.
    streams: Locked<Vec<IpAddr>>,
    /// When the last stream ended.
    last_watched: Locked<Option<Instant>>,
}

/// An open stream. It counts until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    shown: Arc<Shown>,
    peer: IpAddr,
}

/// Where a stream begins.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// The last change that it contains.
    pub(crate) number: ChangeNumber,
    /// Its first message, in parts: a snapshot. Empty if the stream continues.
    pub(crate) parts: Vec<Bytes>,
}

impl LivePage {
    /// Opens a page without runs, for a process that started at `now`. With a recording, the time of the
    /// page is that of the last transition.
    #[must_use]
    pub fn open(now: Timestamp, is_recording: bool) -> Self {
        let process: Arc<str> = format!("{:016x}", fastrand::u64(..)).into();
        let table = Table::new(table::LIMITS);
        Self(Some(Arc::new(Shown {
            started: Instant::now(),
            started_at: now,
            recorded: is_recording.then(|| Locked::new(Timestamp::MIN)),
            log: Locked::new(StreamLog::new(table, process.clone(), stream_log::LIMITS)),
            process,
            bodies: Locked::new(Bodies::new(bodies::LIMITS)),
            sessions: Locked::default(),
            streams: Locked::default(),
            last_watched: Locked::default(),
        })))
    }

    /// Returns the time of the page: `now`, or the time in the recording.
    pub(crate) fn time(&self, now: Timestamp) -> Timestamp {
        self.0.as_ref().map_or(now, |shown| shown.time(now))
    }

    /// Returns whether a page is served.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Shows a transition.
    pub(crate) fn show(&self, record: &StepRecord, config: &EventConfig) {
        if let Some(shown) = &self.0 {
            let id = EventIdentity::new(record, config).id;
            if let Some(recorded) = &shown.recorded {
                let mut recorded = recorded.lock();
                *recorded = (*recorded).max(record.seen_at);
            }
            shown.log.lock().table.apply(record, &id);
        }
    }

    /// Shows the steps of a pod, which wait for their turn.
    pub(crate) fn show_waiting(&self, pod: &PodSteps) {
        if let Some(shown) = &self.0 {
            shown.log.lock().table.add_pod(pod);
        }
    }

    /// Shows that a run was deleted.
    pub(crate) fn show_deleted(&self, run_uid: &Arc<str>) {
        if let Some(shown) = &self.0 {
            shown.log.lock().table.mark_deleted(run_uid);
        }
    }

    /// Keeps the body of an event for these sinks.
    pub(crate) fn keep_body(&self, id: &str, sinks: &[String], body: &Bytes) {
        if let Some(shown) = &self.0 {
            let limits = shown.body_limits();
            let mut bodies = shown.bodies.lock();
            bodies.limit(limits);
            bodies.keep(id, sinks, body);
        }
    }

    /// Returns the bodies of an event, the oldest first.
    pub(crate) fn bodies(&self, id: &str) -> Vec<KeptBody> {
        let shown = self.0.as_ref();
        shown.map_or_else(Vec::new, |shown| shown.bodies.lock().of(id))
    }

    /// Returns whether an event of a run that is shown has this id.
    pub(crate) fn has_event(&self, id: &str) -> bool {
        let shown = self.0.as_ref();
        shown.is_some_and(|shown| shown.log.lock().table.has_event(id))
    }

    /// Counts a stream to an address. `None` if there are too many, or no page is served.
    pub(crate) fn stream(&self, peer: IpAddr) -> Option<StreamPermit> {
        let shown = self.0.as_ref()?;
        let mut streams = shown.streams.lock();
        let own = streams.iter().filter(|other| **other == peer).count();
        if streams.len() >= MAX_STREAMS || own >= MAX_STREAMS_OF_PEER {
            return None;
        }
        streams.push(peer);
        let shown = shown.clone();
        Some(StreamPermit { shown, peer })
    }

    /// Begins a session. The name must be random.
    pub(crate) fn begin_session(&self, name: String, token: Zeroizing<String>) {
        self.with_sessions(|sessions, now| sessions.begin(name, token, now));
    }

    /// Returns the token that a session stands for.
    pub(crate) fn session_token(&self, name: &str) -> Option<Zeroizing<String>> {
        self.with_sessions(|sessions, now| sessions.token(name, now))?
    }

    /// Ends a session.
    pub(crate) fn end_session(&self, name: &str) {
        self.with_sessions(|sessions, _| sessions.end(name));
    }

    /// Returns whether an address may try to sign in: it has not been refused too often.
    pub(crate) fn may_sign_in(&self, peer: IpAddr) -> bool {
        self.with_sessions(|sessions, now| sessions.may_try(peer, now))
            .unwrap_or(false)
    }

    /// Counts a refused attempt to sign in.
    pub(crate) fn note_refused_sign_in(&self, peer: IpAddr) {
        self.with_sessions(|sessions, now| sessions.note_refusal(peer, now));
    }

    fn with_sessions<T>(&self, use_: impl FnOnce(&mut Sessions, Instant) -> T) -> Option<T> {
        let shown = self.0.as_ref()?;
        Some(use_(&mut shown.sessions.lock(), Instant::now()))
    }
}

impl Shown {
    fn body_limits(&self) -> BodyLimits {
        let since_last = self.last_watched.lock().map(|last| last.elapsed());
        bodies::limits(self.streams.lock().len(), since_last)
    }

    fn time(&self, now: Timestamp) -> Timestamp {
        let recorded = self.recorded.as_ref().map(|recorded| *recorded.lock());
        let recorded = recorded.filter(|recorded| *recorded > Timestamp::MIN);
        recorded.unwrap_or(now)
    }
}

impl StreamPermit {
    /// Returns the start of the next interval, at which all streams look for changes.
    pub(crate) fn next_interval(&self) -> Instant {
        let next = self.interval() + 1;
        let since = CHANGE_INTERVAL.saturating_mul(u32::try_from(next).unwrap_or(u32::MAX));
        self.shown.started + since
    }

    /// Returns the number of the current interval.
    pub(crate) fn interval(&self) -> u64 {
        let since = self.shown.started.elapsed().as_millis() / CHANGE_INTERVAL.as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// Begins a stream. `None` if the table has just changed: the next interval shows it.
    pub(crate) fn begin(
        &self,
        last_event_id: Option<&str>,
        is_session: bool,
        now: Timestamp,
    ) -> Option<Beginning> {
        let now = self.shown.time(now);
        let mut log = self.shown.log.lock();
        log.publish(now, self.interval());
        if let Some(number) = last_event_id.and_then(|id| log.resume(id)) {
            let parts = Vec::new();
            return Some(Beginning { number, parts });
        }
        let (runs, number) = (log.snapshot()?, log.last());
        let id = log.id(number);
        let facts = SnapshotFacts {
            process: &self.shown.process,
            started_at: self.shown.started_at,
            now,
            session: is_session,
        };
        let facts = serde_json::to_string(&facts).ok()?;
        let facts = facts.strip_suffix('}')?;
        let head = stream_log::head("snapshot", Some(&id));
        let head = format!("{head}{facts},\"runs\":");
        let parts = vec![head.into(), runs, Bytes::from_static(b"}\n\n")];
        Some(Beginning { number, parts })
    }

    /// Returns the changes after a number, and the number of the last one.
    pub(crate) fn changes(
        &self,
        after: ChangeNumber,
        now: Timestamp,
    ) -> Result<(ChangeNumber, Vec<Bytes>), Behind> {
        let now = self.shown.time(now);
        let mut log = self.shown.log.lock();
        log.publish(now, self.interval());
        let changes = log.after(after)?.collect();
        Ok((log.last(), changes))
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut streams = self.shown.streams.lock();
        if let Some(own) = streams.iter().position(|peer| *peer == self.peer) {
            streams.swap_remove(own);
        }
        if streams.is_empty() {
            *self.shown.last_watched.lock() = Some(Instant::now());
            self.shown.log.lock().drop_snapshot();
        }
    }
}

/// A snapshot without its runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotFacts<'a> {
    process: &'a str,
    started_at: Timestamp,
    now: Timestamp,
    session: bool,
}
