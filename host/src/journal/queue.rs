//! Who waits for room, for whoever asks how it stands.

use crate::locked::Locked;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who waits for room. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<Locked<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// How many wait, by their namespace.
    namespaces: BTreeMap<Arc<str>, usize>,
    /// How many of them wait because there is no room for anybody.
    full: usize,
}

/// One that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    queue: Queue,
    namespace: Arc<str>,
    is_full: bool,
}

/// How it stands with those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queued {
    /// Namespaces of which events wait.
    pub(crate) namespaces: u64,
    /// Nothing is accepted, of whatever namespace.
    pub(crate) is_all: bool,
}

impl Queue {
    /// An event of a namespace waits.
    pub(super) fn enter(&self, namespace: &Arc<str>) -> Place {
        self.with(|waiting| {
            *waiting.namespaces.entry(namespace.clone()).or_default() += 1;
        });
        Place {
            queue: self.clone(),
            namespace: namespace.clone(),
            is_full: false,
        }
    }

    /// How it stands where the journal holds events of so many namespaces.
    pub(super) fn standing(&self, namespaces: usize) -> Queued {
        self.with(|waiting| {
            let wait = waiting.namespaces.len();
            Queued {
                namespaces: wait as u64,
                is_all: waiting.full > 0 || wait > 0 && wait >= namespaces,
            }
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        work(&mut self.0.lock())
    }
}

impl Place {
    /// Is there no room for anybody, or only none for this namespace?
    pub(super) fn note(&mut self, is_full: bool) {
        if std::mem::replace(&mut self.is_full, is_full) != is_full {
            self.queue.with(|waiting| match is_full {
                true => waiting.full += 1,
                false => waiting.full -= 1,
            });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.note(false);
        self.queue.with(|waiting| {
            let left = waiting.namespaces.get_mut(&self.namespace);
            let left = left.map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                waiting.namespaces.remove(&self.namespace);
            }
        });
    }
}
