//! Shares costly answers among clients.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Shortest time between two reads of the state. A read takes locks that events wait for.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(20);

/// A value that is read at most once per [`MIN_READ_INTERVAL`]. Clients that ask in between wait, and share
/// the next read. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Paced<T>(Arc<Mutex<Option<TimedValue<T>>>>);

#[derive(Debug)]
struct TimedValue<T> {
    /// When the read began.
    at: Instant,
    value: T,
}

impl<T> Default for Paced<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Paced<T> {
    /// Returns a value that was read no earlier than this call.
    pub(super) async fn get(&self, read: impl FnOnce() -> T) -> T {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(timed) = last.as_ref() {
            if timed.at >= asked {
                return timed.value.clone();
            }
            tokio::time::sleep_until(timed.at + MIN_READ_INTERVAL).await;
        }
        let at = Instant::now();
        let value = read();
        *last = Some(TimedValue {
            at,
            value: value.clone(),
        });
        value
    }
}
