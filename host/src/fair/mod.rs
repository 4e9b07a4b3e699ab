//! Shares bounded resources among namespaces, so that no namespace blocks another.
//!
//! All types here follow one rule, the dynamic threshold of shared switch buffers: the share of a
//! namespace depends on the amount that is still free. So one namespace alone can use most of a
//! resource, several namespaces share it, and some is always free for a namespace that has none
//! yet.

mod admission;
mod queue;
mod semaphore;

pub(crate) use admission::{Admission, Ticket};
pub(crate) use semaphore::{FairSemaphore, Permit};
