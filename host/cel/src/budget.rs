//! The steps that one evaluation may take.

use crate::failure::{Failure, FailureKind};
use crate::limits::{BUDGET, BYTES_PER_STEP};
use std::cell::Cell;

/// The steps that are left.
#[derive(Debug)]
pub(crate) struct Budget(Cell<u32>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(BUDGET))
    }
}

impl Budget {
    /// Takes steps.
    pub(crate) fn take(&self, steps: usize, at: usize) -> Result<(), Failure> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match self.0.get().checked_sub(steps) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => {
                self.0.set(0);
                Err(Failure::new(at, FailureKind::Budget))
            }
        }
    }

    /// Takes the steps for reading or writing text.
    pub(crate) fn take_bytes(&self, bytes: usize, at: usize) -> Result<(), Failure> {
        self.take(bytes / BYTES_PER_STEP, at)
    }
}
