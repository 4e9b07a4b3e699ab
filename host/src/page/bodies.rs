//! The bodies of the last events, as the journal keeps them for the sinks. Pure.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Bounds of the bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
/// Bounds while nobody looks at the page: enough for the last 300 events of usual size.
pub(super) const UNWATCHED_LIMITS: BodyLimits = BodyLimits {
    bytes: 1 << 20,
    bodies: 1000,
};
/// Time after the end of the last stream in which as many bodies are kept as for an open page: a page closes
/// its stream while its tab is hidden.
const WATCHED_TIME: Duration = Duration::from_secs(15 * 60);

/// Returns the bounds of the bodies, with so many open streams, and this time after the last one ended.
pub(super) fn limits(open_streams: usize, since_last: Option<Duration>) -> BodyLimits {
    match open_streams > 0 || since_last.is_some_and(|since| since < WATCHED_TIME) {
        true => LIMITS,
        false => UNWATCHED_LIMITS,
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

/// An event whose body is or was kept.
#[derive(Debug)]
struct Remembered {
    key: EventKey,
    sinks: Arc<[String]>,
    /// Length of its body.
    length: usize,
}

/// The bodies of the last events.
///
/// All are in one block: small blocks that live long, made between the large ones of a burst, would
/// each hold a page of memory.
#[derive(Debug)]
pub(super) struct Bodies {
    limits: BodyLimits,
    /// The oldest first. The bodies of the newest of them, `kept` in number, are in `bytes`.
    remembered: VecDeque<Remembered>,
    kept: usize,
    /// The bodies that are kept, one after the other.
    bytes: VecDeque<u8>,
}

impl Bodies {
    pub(super) fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            remembered: VecDeque::new(),
            kept: 0,
            bytes: VecDeque::new(),
        }
    }

    /// Changes the bounds. Drops the oldest bodies beyond them.
    pub(super) fn limit(&mut self, limits: BodyLimits) {
        if self.limits == limits {
            return;
        }
        self.limits = limits;
        self.make_room(0);
        while self.remembered.len() > limits.bodies {
            self.forget_oldest();
        }
        self.bytes.shrink_to(limits.bytes);
        self.remembered.shrink_to(limits.bodies);
    }

    /// Keeps a body, and drops the oldest ones at the bound. A body that is larger than the bound is
    /// only remembered.
    pub(super) fn keep(&mut self, id: &str, sinks: &[String], body: &[u8]) {
        // Most events are for the same sinks as the one before.
        let newest = self.remembered.back().map(|newest| &newest.sinks);
        let sinks = match newest.filter(|known| ***known == *sinks) {
            Some(known) => known.clone(),
            None => sinks.into(),
        };
        if self.remembered.len() >= self.limits.bodies {
            self.forget_oldest();
        }
        self.make_room(body.len());
        if body.len() <= self.limits.bytes {
            self.kept += 1;
            self.bytes.extend(body);
        }
        self.remembered.push_back(Remembered {
            key: key(id),
            sinks,
            length: body.len(),
        });
    }

    /// Drops the oldest bodies until there is room for so many bytes more. The block grows up to the
    /// bound, not to a power of two beyond it.
    fn make_room(&mut self, more: usize) {
        while self.kept > 0 && self.bytes.len() + more > self.limits.bytes {
            self.drop_oldest();
        }
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() && needed <= self.limits.bytes {
            let room = needed.max(2 * self.bytes.capacity()).min(self.limits.bytes);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }

    /// Drops the oldest body that is kept.
    fn drop_oldest(&mut self) {
        let gone = self.remembered.len().saturating_sub(self.kept);
        let length = self.remembered.get(gone).map_or(0, |oldest| oldest.length);
        self.bytes.drain(..length.min(self.bytes.len()));
        self.kept = self.kept.saturating_sub(1);
    }

    /// Forgets the oldest event that is remembered.
    fn forget_oldest(&mut self) {
        if self.kept == self.remembered.len() {
            self.drop_oldest();
        }
        self.remembered.pop_front();
    }

    /// Returns the bodies of an event, the oldest first.
    pub(super) fn of(&self, id: &str) -> Vec<KeptBody> {
        let key = key(id);
        let gone = self.remembered.len().saturating_sub(self.kept);
        let mut start = 0;
        let mut found = Vec::new();
        for (number, event) in self.remembered.iter().enumerate() {
            let is_kept = number >= gone;
            if event.key == key {
                let body = self.bytes.iter().skip(start).take(event.length);
                found.push(KeptBody {
                    sinks: event.sinks.clone(),
                    body: is_kept.then(|| body.copied().collect()),
                });
            }
            start += if is_kept { event.length } else { 0 };
        }
        found
    }

    /// Returns the bytes that are kept, and those of their block.
    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize) {
        (self.bytes.len(), self.bytes.capacity())
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
