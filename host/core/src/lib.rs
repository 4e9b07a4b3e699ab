//! Decides which transitions the observed state of TaskRuns and Pods means.
//!
//! Pure: no clock, no randomness, no environment, no I/O. The input is observations and the
//! current time, the output is transitions. The rules are those of `docs/tekton-semantics.md`;
//! comments cite its sections, the rows of its truth table (§6) and its decisions.
//!
//! Laws that hold for every stream of observations (`tests/suites/laws.rs`):
//!
//! 1. *Quiet*: a repeated observation emits nothing.
//! 2. *Forward only*: an older observation emits nothing.
//! 3. *Coalescing*: skipped observations do not change how a step ends.
//! 4. *Restart*: a new ledger derives the same ids.
//! 5. *Order*: per pod, steps are in order, each `started` is before its end, every step ends
//!    exactly once, and `sequence` rises.
//! 6. *Locality*: observations of one run do not change the events of another.
//! 7. *Total*: no observation causes a panic.
//! 8. *Times*: an end is not before its start; no time is the Unix epoch or before the pod.
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
