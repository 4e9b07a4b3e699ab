//! A connection that all attempts share. It is made when one needs it, and never used again once it
//! has failed one.

use crate::locked::Locked;
use std::sync::Arc;

/// The connection of the moment.
#[derive(Debug)]
pub(super) struct SharedConnection<C> {
    connection: Locked<Option<Arc<C>>>,
    /// Held by the attempt that makes another.
    making: tokio::sync::Mutex<()>,
}

impl<C> Default for SharedConnection<C> {
    fn default() -> Self {
        Self {
            connection: Locked::default(),
            making: tokio::sync::Mutex::default(),
        }
    }
}

impl<C> SharedConnection<C> {
    /// The one that is there, where it is usable, or another. Whoever gives up waiting leaves the making to the next.
    pub(super) async fn get_or_connect<E, F>(
        &self,
        usable: impl Fn(&C) -> bool,
        make: impl FnOnce() -> F,
    ) -> Result<Arc<C>, E>
    where
        F: Future<Output = Result<C, E>>,
    {
        if let Some(connection) = self.get(&usable) {
            return Ok(connection);
        }
        let _making = self.making.lock().await;
        if let Some(connection) = self.get(&usable) {
            return Ok(connection);
        }
        // On its own: it takes kilobytes, and hardly any attempt needs it.
        let made = Arc::new(Box::pin(make()).await?);
        *self.slot() = Some(made.clone());
        Ok(made)
    }

    /// Takes it out of use, if it is still this one. Attempts that hold it go on with it.
    pub(super) fn forget(&self, failed: &Arc<C>) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|it| Arc::ptr_eq(it, failed)) {
            *slot = None;
        }
    }

    fn get(&self, usable: impl Fn(&C) -> bool) -> Option<Arc<C>> {
        self.slot().clone().filter(|connection| usable(connection))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<C>>> {
        self.connection.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn one_is_made_for_all_and_another_only_after_it_has_failed() {
        let current = SharedConnection::default();
        let get = |number| {
            current
                .get_or_connect(|_| true, || async move { Ok::<_, ()>(number) })
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        let first = get(1);
        assert_eq!(*get(2), 1);
        current.forget(&first);
        let second = get(3);
        assert_eq!(*second, 3);
        // Who failed with the one before says nothing of this one.
        current.forget(&first);
        assert_eq!(*get(4), 3);
        let refused = || async { Err(()) };
        current.forget(&second);
        assert!(
            current
                .get_or_connect(|_| true, refused)
                .now_or_never()
                .unwrap()
                .is_err()
        );
        assert_eq!(*get(5), 5);
        let lost = current.get_or_connect(|number| *number != 5, || async { Ok::<_, ()>(6) });
        assert_eq!(*lost.now_or_never().unwrap().unwrap(), 6);
    }
}
