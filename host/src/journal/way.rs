//! What is on its way to the disk: no more than so many bytes, and nothing of it a second time.

use super::book::hash;
use super::entry::Origin;
use crate::locked::Locked;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of events that may be on their way. Where there are more, who brings the next waits.
pub(super) const ON_THE_WAY: usize = 4 * 1024 * 1024;
/// What one counts for at least, in bytes: where a full disk takes none of them, there is room for what says that
/// something is delivered.
const LEAST: usize = 8 * 1024;

/// So many namespaces are remembered that have nothing on it.
const NAMESPACES: usize = 64;

/// The way. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// A permit for each byte that may be on it.
    permits: Arc<Semaphore>,
    on_it: Arc<Locked<OnIt>>,
}

#[derive(Debug, Default)]
struct OnIt {
    bytes: u64,
    /// Of each namespace.
    namespaces: HashMap<Arc<str>, u64>,
    /// Of a run, what is told of it.
    marks: HashSet<(u64, u64)>,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(ON_THE_WAY)),
            on_it: Arc::default(),
        }
    }
}

impl Way {
    /// Waits for room for so many bytes. One that is larger than the way goes alone.
    pub(super) async fn enter(&self, bytes: usize, origin: &Origin, mark: Option<&str>) -> Part {
        let part = u32::try_from(bytes.clamp(LEAST, ON_THE_WAY)).unwrap_or(u32::MAX);
        // Never closed.
        let permit = self.permits.clone().acquire_many_owned(part).await.ok();
        let part = Part {
            bytes: bytes as u64,
            namespace: origin.namespace.clone(),
            mark: mark.map(|mark| (hash(&origin.run), hash(mark))),
            way: self.clone(),
            _permit: permit,
        };
        self.on_it(|on_it| {
            on_it.bytes += part.bytes;
            on_it.marks.extend(part.mark);
            match on_it.namespaces.get_mut(&part.namespace) {
                Some(bytes) => *bytes += part.bytes,
                None => drop(on_it.namespaces.insert(part.namespace.clone(), part.bytes)),
            }
        });
        part
    }

    /// Is nothing on it?
    pub(super) fn is_empty(&self) -> bool {
        self.permits.available_permits() == ON_THE_WAY
    }

    /// Bytes of events that are on it.
    pub(super) fn bytes(&self) -> u64 {
        self.on_it(|on_it| on_it.bytes)
    }

    /// Bytes of a namespace's events that are on it.
    pub(super) fn bytes_of(&self, namespace: &str) -> u64 {
        self.on_it(|on_it| on_it.namespaces.get(namespace).copied().unwrap_or_default())
    }

    /// Is this of this run on it?
    pub(super) fn has(&self, run: &str, mark: &str) -> bool {
        let mark = (hash(run), hash(mark));
        self.on_it(|on_it| on_it.marks.contains(&mark))
    }

    fn on_it<T>(&self, work: impl FnOnce(&mut OnIt) -> T) -> T {
        work(&mut self.on_it.lock())
    }
}

/// What the events of one transition take of the way, until the book has them.
#[derive(Debug)]
pub(super) struct Part {
    bytes: u64,
    namespace: Arc<str>,
    mark: Option<(u64, u64)>,
    way: Way,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.way.on_it(|on_it| {
            on_it.bytes -= self.bytes;
            if let Some(bytes) = on_it.namespaces.get_mut(&self.namespace) {
                *bytes = bytes.saturating_sub(self.bytes);
            }
            // Those with nothing on it are kept for the next, but not all that there ever were.
            if on_it.namespaces.len() > NAMESPACES {
                on_it.namespaces.retain(|_, bytes| *bytes > 0);
            }
            if let Some(mark) = self.mark {
                on_it.marks.remove(&mark);
            }
        });
    }
}
