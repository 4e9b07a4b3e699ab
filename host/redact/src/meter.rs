//! Counts the work of a search, and checks whether the search may go on.

use crate::Exhausted;
use std::time::Instant;

/// Work between two checks, in steps of an automaton: 10 to 30 ms of the slowest steps.
const BETWEEN: usize = 1 << 19;

/// Counts the work of a search, and asks at intervals whether it may go on.
pub(crate) struct Meter<F> {
    left: usize,
    may_go_on: F,
}

impl<F: FnMut() -> bool> Meter<F> {
    /// Starts to count.
    pub(crate) fn new(may_go_on: F) -> Self {
        Self {
            left: BETWEEN,
            may_go_on,
        }
    }
}

/// Takes the work that a search has done.
pub(crate) trait Work {
    /// Counts `steps`, each of a few nanoseconds.
    ///
    /// # Errors
    ///
    /// The search may not go on.
    fn spend(&mut self, steps: usize) -> Result<(), Exhausted>;

    /// Asks at once whether the search may go on.
    ///
    /// # Errors
    ///
    /// The search may not go on.
    fn ask(&mut self) -> Result<(), Exhausted>;
}

impl<F: FnMut() -> bool> Work for Meter<F> {
    fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        if let Some(left) = self.left.checked_sub(steps) {
            self.left = left;
            Ok(())
        } else {
            self.ask()
        }
    }

    fn ask(&mut self) -> Result<(), Exhausted> {
        self.left = BETWEEN;
        if (self.may_go_on)() {
            Ok(())
        } else {
            Err(Exhausted)
        }
    }
}

/// Returns a meter that ends a search at a deadline, or never.
pub(crate) fn until(deadline: Option<Instant>) -> Meter<impl FnMut() -> bool> {
    Meter::new(move || deadline.is_none_or(|deadline| Instant::now() <= deadline))
}
