//! A connection that all attempts share. The first attempt that needs one connects; a connection that has failed one
//! attempt is never used again.

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
    /// Returns the current connection if it is usable, else connects. One caller connects at a time; if it is cancelled,
    /// the next one does.
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
        // Boxed: the future takes kilobytes, and hardly any attempt needs it.
        let connection = Arc::new(Box::pin(connect()).await?);
        *self.current.lock() = Some(connection.clone());
        Ok(connection)
    }

    /// Takes a connection out of use, if it is still the current one. Attempts that hold it may finish with it.
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
        // A failure of the first connection says nothing about the second one.
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
