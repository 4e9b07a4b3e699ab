//! The bodies of the last events, as the journal keeps them for the sinks. Pure.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
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

/// SHA-256 of the id of an event, the first half.
type EventKey = [u8; 16];

/// The bodies of the last events.
///
/// They are in one ring without allocations of their own: small blocks that live long, made between
/// the large ones of a burst, would each hold a page of memory.
#[derive(Debug)]
pub(super) struct Bodies {
    limits: BodyLimits,
    /// The oldest first. The newest of them, `kept` in number, have their body.
    remembered: VecDeque<(EventKey, KeptBody)>,
    kept: usize,
    bytes: usize,
}

impl Bodies {
    pub(super) fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            remembered: VecDeque::new(),
            kept: 0,
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
        // Most events are for the same sinks as the one before.
        let newest = self.remembered.back().map(|(_, newest)| &newest.sinks);
        let sinks = match newest.filter(|known| ***known == *sinks) {
            Some(known) => known.clone(),
            None => sinks.into(),
        };
        self.bytes += body.len();
        self.kept += 1;
        let body = Some(body);
        self.remembered
            .push_back((key(id), KeptBody { sinks, body }));
        while self.bytes > self.limits.bytes {
            self.drop_oldest();
        }
        while self.remembered.len() > self.limits.bodies {
            if self.kept == self.remembered.len() {
                self.drop_oldest();
            }
            self.remembered.pop_front();
        }
    }

    /// Drops the oldest body that is kept.
    fn drop_oldest(&mut self) {
        let gone = self.remembered.len().saturating_sub(self.kept);
        self.kept = self.kept.saturating_sub(1);
        let oldest = self.remembered.get_mut(gone);
        let body = oldest.and_then(|(_, oldest)| oldest.body.take());
        self.bytes = self.bytes.saturating_sub(body.map_or(0, |body| body.len()));
    }

    /// Returns the bodies of an event, the oldest first.
    pub(super) fn of(&self, id: &str) -> Vec<KeptBody> {
        let key = key(id);
        let of_event = self.remembered.iter().filter(|(of, _)| *of == key);
        of_event.map(|(_, kept)| kept.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let bodies = self.remembered.iter();
        bodies
            .filter_map(|(_, kept)| kept.body.as_ref())
            .map(Bytes::len)
            .sum()
    }
}

fn key(id: &str) -> EventKey {
    let digest = Sha256::digest(id);
    let mut key = EventKey::default();
    for (to, from) in key.iter_mut().zip(digest) {
        *to = from;
    }
    key
}
