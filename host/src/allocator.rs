//! When the allocator of the program returns memory to the system.
//!
//! mimalloc keeps a heap for each thread, and returns free memory only while a thread allocates or
//! frees: after a burst, a thread would keep what it has freed last, and what others have freed of
//! its heap.

use libmimalloc_sys as mi;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// `mi_option_purge_delay` of mimalloc.h, which the bindings lack.
const OPTION_PURGE_DELAY: mi::mi_option_t = 15;

/// Milliseconds until free memory goes back to the system. Without a delay, fewer events per second
/// are delivered, because most of the memory is needed again (`cargo bench --bench delivery`).
const PURGE_DELAY_MS: std::ffi::c_long = 20;

/// Time between two collections of one thread.
const COLLECT_INTERVAL: Duration = Duration::from_secs(5);

/// Sets the time until free memory returns to the system. To be called before any thread starts.
#[expect(
    unsafe_code,
    reason = "the allocator's options are set through C functions without preconditions"
)]
pub fn set_purge_delay() {
    // SAFETY: the function only stores a number, and no other thread exists yet.
    unsafe { mi::mi_option_set(OPTION_PURGE_DELAY, PURGE_DELAY_MS) }
}

thread_local! {
    /// When this thread last returned memory.
    static COLLECTED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Returns the free memory of this thread's heap, and all free memory that no thread owns. It takes
/// less than a millisecond.
#[expect(unsafe_code, reason = "a C function without preconditions")]
pub(crate) fn collect() {
    // SAFETY: the function works on the heap of this thread and on free memory.
    unsafe { mi::mi_collect(true) }
}

/// Does the same, at most every five seconds. To be called whenever a thread is about to wait.
pub fn collect_sometimes() {
    let now = Instant::now();
    let recent = |at: Instant| now.duration_since(at) < COLLECT_INTERVAL;
    COLLECTED.with(|collected| {
        if !collected.get().is_some_and(recent) {
            collected.set(Some(now));
            collect();
        }
    });
}
