//! A mutex that survives a panic.
//!
//! `std::sync::Mutex` returns an error after a thread has panicked while it held the lock. In this
//! program, a panic leaves no value half changed, so each caller would ignore that error.

use std::sync::{LockResult, Mutex, MutexGuard};

/// A mutex whose value stays usable after a panic of a thread that held the lock.
#[derive(Debug, Default)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Guards a value.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        unpoisoned(self.0.lock())
    }
}

/// Returns the guard from the result of locking a mutex or waiting for a condition variable, even
/// if the mutex is poisoned.
pub(crate) fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_stays_usable_after_a_panic_under_the_lock() {
        let value = Locked::new(1);
        let panicked = std::thread::scope(|scope| {
            let holds = scope.spawn(|| {
                let _guard = value.lock();
                panic!("while it holds the lock");
            });
            holds.join().is_err()
        });
        assert!(panicked);
        *value.lock() += 1;
        assert_eq!(*value.lock(), 2);
    }
}
