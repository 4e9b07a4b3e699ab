//! The decisions of step-observer: what a step does, and which event that is.
//!
//! Pure: no clock, no randomness, no environment, no I/O. Observations and the time go in,
//! transitions come out. The rules are those of `tekton-semantics` §6, its row numbers stand in
//! the code.
//!
//! The laws that hold for every stream (`tests/laws.rs`):
//!
//! 1. *Quiet*: the same observation twice tells nothing the second time.
//! 2. *Forward only*: an older observation tells nothing.
//! 3. *Coalescing*: leaving observations out changes no step's end.
//! 4. *Restart*: a new ledger gives the same ids.
//! 5. *Order*: per pod, steps in order, each `started` before its end, exactly one end; `sequence` rises.
//! 6. *Locality*: one run's observations say nothing about another.
//! 7. *Total*: no observation panics.
//! 8. *Times*: an end is not before its start, and no time is from the epoch or from before the pod.
//! 9. *Failure*: a TaskRun that failed because of a container has a failed step.

#![forbid(unsafe_code)]

mod assess;
mod backoff;
mod diff;
mod ledger;
mod reported;
mod run;
mod shard;
mod snapshot;
mod times;
mod transition;

pub use backoff::Backoff;
pub use diff::{FIRST_WHEN_START_DELAY, WHEN_START_DELAY};
pub use ledger::{Ledger, Observation};
pub use run::{LONG_PATIENCE, SHORT_PATIENCE};
pub use shard::Shard;
pub use snapshot::*;
pub use transition::{Kind, Outcome, PodOrder, SkipCause, Start, StartSource, Transition};
