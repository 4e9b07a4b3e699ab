//! Counts the callers that wait for room in the journal, for the status of the observer.

use crate::locked::Locked;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Callers that wait for room. Clones share the state.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<Locked<State>>);

#[derive(Debug, Default)]
struct State {
    /// Number of waiting callers by namespace.
    namespaces: BTreeMap<Arc<str>, usize>,
    /// Number of callers that wait because the journal is full for every namespace.
    full: usize,
}

/// Counts one caller as waiting until this value is dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    waiters: Waiters,
    namespace: Arc<str>,
    is_full: bool,
}

/// Whose events wait for room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// Namespaces of which events wait.
    pub(crate) namespaces: u64,
    /// No event is accepted, of any namespace.
    pub(crate) is_all: bool,
}

impl Waiters {
    /// Counts a caller that waits with an event of a namespace.
    pub(super) fn enter(&self, namespace: &Arc<str>) -> Waiter {
        let mut state = self.0.lock();
        *state.namespaces.entry(namespace.clone()).or_default() += 1;
        drop(state);
        Waiter {
            waiters: self.clone(),
            namespace: namespace.clone(),
            is_full: false,
        }
    }

    /// Returns how many namespaces have events that wait, and whether all events have to wait.
    /// `namespaces` is the number of namespaces that have events in the journal.
    pub(super) fn blocked(&self, namespaces: usize) -> Blocked {
        let state = self.0.lock();
        let blocked = state.namespaces.len();
        Blocked {
            namespaces: blocked as u64,
            is_all: state.full > 0 || blocked > 0 && blocked >= namespaces,
        }
    }
}

impl Waiter {
    /// Notes whether the journal is full for every namespace, or only for the namespace of this
    /// caller.
    pub(super) fn set_full(&mut self, is_full: bool) {
        if std::mem::replace(&mut self.is_full, is_full) != is_full {
            let mut state = self.waiters.0.lock();
            match is_full {
                true => state.full += 1,
                false => state.full -= 1,
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.set_full(false);
        let mut state = self.waiters.0.lock();
        let left = state.namespaces.get_mut(&self.namespace);
        let left = left.map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            state.namespaces.remove(&self.namespace);
        }
    }
}
