//! Tracks submitted events that are not durable yet: bounds their bytes, and knows their marks so that
//! no transition is submitted twice.

use super::entry::Origin;
use super::index::hash;
use crate::locked::Locked;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of events that may be in flight. A caller that submits more waits.
pub(super) const MAX_IN_FLIGHT_BYTES: usize = 4 * 1024 * 1024;
/// Minimum number of bytes that each submission counts for, even if it is smaller. This bounds the
/// number of submissions that wait while the disk is full, so that the queue of the writer keeps
/// room for acknowledgements.
const MIN_COUNTED_BYTES: usize = 8 * 1024;
/// Maximum number of namespaces that are remembered although none of their events is in flight.
const MAX_IDLE_NAMESPACES: usize = 64;

/// Submitted events that are not durable yet. Clones share the state.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    /// One permit for each byte that may be in flight.
    permits: Arc<Semaphore>,
    state: Arc<Locked<State>>,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    /// Bytes by namespace.
    namespaces: HashMap<Arc<str>, u64>,
    /// Hashes of run and mark.
    marks: HashSet<(u64, u64)>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT_BYTES)),
            state: Arc::default(),
        }
    }
}

impl InFlight {
    /// Waits for room, and counts a submission until the guard is dropped. A submission that is
    /// larger than the bound waits until nothing else is in flight.
    pub(super) async fn enter(
        &self,
        bytes: usize,
        origin: &Origin,
        mark: Option<&str>,
    ) -> InFlightGuard {
        let counted = bytes.clamp(MIN_COUNTED_BYTES, MAX_IN_FLIGHT_BYTES);
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        // Cannot fail: the semaphore is never closed.
        let permit = self.permits.clone().acquire_many_owned(counted).await.ok();
        let guard = InFlightGuard {
            bytes: bytes as u64,
            namespace: origin.namespace.clone(),
            mark: mark.map(|mark| (hash(&origin.run), hash(mark))),
            in_flight: self.clone(),
            _permit: permit,
        };
        let mut state = self.state.lock();
        state.bytes += guard.bytes;
        state.marks.extend(guard.mark);
        match state.namespaces.get_mut(&guard.namespace) {
            Some(bytes) => *bytes += guard.bytes,
            None => drop(
                state
                    .namespaces
                    .insert(guard.namespace.clone(), guard.bytes),
            ),
        }
        drop(state);
        guard
    }

    /// Returns whether nothing is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.permits.available_permits() == MAX_IN_FLIGHT_BYTES
    }

    /// Returns the bytes of all events in flight.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Returns the bytes of the events of a namespace.
    pub(super) fn namespace_bytes(&self, namespace: &str) -> u64 {
        let state = self.state.lock();
        state.namespaces.get(namespace).copied().unwrap_or_default()
    }

    /// Returns whether a transition of a run is in flight.
    pub(super) fn contains(&self, run: &str, mark: &str) -> bool {
        let mark = (hash(run), hash(mark));
        self.state.lock().marks.contains(&mark)
    }
}

/// While the guard exists, the events of one transition count as in flight. It is dropped after
/// they have entered the index.
#[derive(Debug)]
pub(super) struct InFlightGuard {
    bytes: u64,
    namespace: Arc<str>,
    mark: Option<(u64, u64)>,
    in_flight: InFlight,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut state = self.in_flight.state.lock();
        state.bytes -= self.bytes;
        if let Some(bytes) = state.namespaces.get_mut(&self.namespace) {
            *bytes = bytes.saturating_sub(self.bytes);
        }
        // Idle namespaces stay, to save an allocation for the next event; their number is bounded.
        if state.namespaces.len() > MAX_IDLE_NAMESPACES {
            state.namespaces.retain(|_, bytes| *bytes > 0);
        }
        if let Some(mark) = self.mark {
            state.marks.remove(&mark);
        }
    }
}
