//! The bodies of the last events, as the journal keeps them for the sinks. Pure.

use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Bounds of the bodies.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Bytes of all bodies.
    pub(super) bytes: usize,
    /// Bodies that are remembered, those that are no longer kept included.
    pub(super) bodies: usize,
}

pub(super) const LIMITS: BodyLimits = BodyLimits {
    bytes: 8 << 20,
    bodies: 4096,
};
/// Bytes of all bodies while nobody looks at the page: enough for the last 300 events of usual size.
const UNWATCHED_BYTES: usize = 1 << 20;
/// Time after the end of the last stream in which as many bodies are kept as for an open page: a page closes
/// its stream while its tab is hidden.
const WATCHED_TIME: Duration = Duration::from_secs(15 * 60);

/// Returns the bound of the bytes of all bodies, with so many open streams, and this time after the last one ended.
pub(super) fn max_bytes(open_streams: usize, since_last: Option<Duration>) -> usize {
    match open_streams > 0 || since_last.is_some_and(|since| since < WATCHED_TIME) {
        true => LIMITS.bytes,
        false => UNWATCHED_BYTES,
    }
}

/// A body for some sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptBody {
    /// Names of the sinks that get it.
    pub sinks: Arc<[String]>,
    /// The event in JSON format. `None` if it is no longer kept.
    pub body: Option<Bytes>,
}

/// The bodies of the last events, by the id of the event.
#[derive(Debug)]
pub(super) struct Bodies {
    limits: BodyLimits,
    of_events: HashMap<Arc<str>, VecDeque<KeptBody>>,
    /// The events of all remembered bodies, the oldest first. An event occurs once for each body.
    remembered: VecDeque<Arc<str>>,
    /// The same for the bodies that are kept.
    kept: VecDeque<(Arc<str>, usize)>,
    bytes: usize,
}

impl Bodies {
    pub(super) fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            of_events: HashMap::new(),
            remembered: VecDeque::new(),
            kept: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Changes the bound of the bytes. Drops the oldest bodies beyond it.
    pub(super) fn limit_bytes(&mut self, bytes: usize) {
        self.limits.bytes = bytes;
        while self.bytes > self.limits.bytes {
            self.drop_oldest();
        }
    }

    /// Keeps a body, and drops the oldest ones at the bound. A body that is larger than the bound is
    /// only remembered.
    pub(super) fn keep(&mut self, id: &str, sinks: &[String], body: Bytes) {
        let id: Arc<str> = match self.of_events.get_key_value(id) {
            Some((known, _)) => known.clone(),
            None => id.into(),
        };
        self.bytes += body.len();
        self.kept.push_back((id.clone(), body.len()));
        self.remembered.push_back(id.clone());
        self.of_events.entry(id).or_default().push_back(KeptBody {
            sinks: sinks.into(),
            body: Some(body),
        });
        while self.bytes > self.limits.bytes {
            self.drop_oldest();
        }
        while self.remembered.len() > self.limits.bodies {
            self.forget_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((id, bytes)) = self.kept.pop_front() else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(bytes);
        let bodies = self.of_events.get_mut(&id).into_iter().flatten();
        if let Some(oldest) = bodies.into_iter().find(|kept| kept.body.is_some()) {
            oldest.body = None;
        }
    }

    fn forget_oldest(&mut self) {
        let Some(id) = self.remembered.pop_front() else {
            return;
        };
        // A body is remembered for longer than it is kept, so `kept` begins with the same body or a
        // later one.
        let is_kept = |bodies: &VecDeque<KeptBody>| {
            bodies.front().is_some_and(|oldest| oldest.body.is_some())
        };
        if self.of_events.get(&id).is_some_and(is_kept) {
            self.drop_oldest();
        }
        if let Some(bodies) = self.of_events.get_mut(&id) {
            bodies.pop_front();
            if bodies.is_empty() {
                self.of_events.remove(&id);
            }
        }
    }

    /// Returns the bodies of an event, the oldest first.
    pub(super) fn of(&self, id: &str) -> Vec<KeptBody> {
        let bodies = self.of_events.get(id).into_iter().flatten();
        bodies.cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let bodies = self.of_events.values().flatten();
        bodies
            .filter_map(|kept| kept.body.as_ref())
            .map(Bytes::len)
            .sum()
    }
}
