//! Connection that all attempts of a sink share. It is opened by the first attempt that needs it.
//! After a failed attempt, a connection is never used again.

use crate::locked::Locked;
use std::sync::Arc;

/// The connection of the moment.
#[derive(Debug)]
pub(super) struct SharedConnection<C> {
    current: Locked<Option<Arc<C>>>,
    /// Held by the attempt that connects.
    connecting: tokio::sync::Mutex<()>,
}

impl<C> Default for SharedConnection<C> {
    fn default() -> Self {
        Self {
            current: Locked::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }
}

impl<C> SharedConnection<C> {
    /// Returns the current connection if it is usable; otherwise connects. Only one caller connects
    /// at a time. If this caller is cancelled, the next one connects.
    pub(super) async fn get_or_connect<E, F>(
        &self,
        is_usable: impl Fn(&C) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Arc<C>, E>
    where
        F: Future<Output = Result<C, E>>,
    {
        if let Some(connection) = self.get(&is_usable) {
            return Ok(connection);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.get(&is_usable) {
            return Ok(connection);
        }
        // Boxed, because the future takes kilobytes, and few attempts need to connect.
        let connection = Arc::new(Box::pin(connect()).await?);
        *self.current.lock() = Some(connection.clone());
        Ok(connection)
    }

    /// Stops using a connection for new attempts, if it is still the current one. Attempts that
    /// already use it may finish.
    pub(super) fn invalidate(&self, failed: &Arc<C>) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, failed)) {
            *current = None;
        }
    }

    fn get(&self, is_usable: impl Fn(&C) -> bool) -> Option<Arc<C>> {
        let current = self.current.lock().clone();
        current.filter(|connection| is_usable(connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn all_share_one_connection_until_it_fails() {
        let shared = SharedConnection::default();
        let get = |number| {
            shared
                .get_or_connect(|_| true, || async move { Ok::<_, ()>(number) })
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        let first = get(1);
        assert_eq!(*get(2), 1);
        shared.invalidate(&first);
        let second = get(3);
        assert_eq!(*second, 3);
        // The failure of an old connection does not invalidate the current one.
        shared.invalidate(&first);
        assert_eq!(*get(4), 3);
        let refused = || async { Err(()) };
        shared.invalidate(&second);
        assert!(
            shared
                .get_or_connect(|_| true, refused)
                .now_or_never()
                .unwrap()
                .is_err()
        );
        assert_eq!(*get(5), 5);
        let lost = shared.get_or_connect(|number| *number != 5, || async { Ok::<_, ()>(6) });
        assert_eq!(*lost.now_or_never().unwrap().unwrap(), 6);
    }
}
