//! Shares bounded resources among namespaces, so that no namespace blocks another.
//!
//! All types here follow one rule, the dynamic threshold of shared switch buffers: what a namespace
//! may take depends on what is still free. So one namespace alone can use most of a resource,
//! several share it, and a namespace that has nothing finds something free.

mod admission;
mod queue;
mod semaphore;

pub(crate) use admission::{Admission, Ticket};
pub(crate) use semaphore::{FairSemaphore, Permit};
