//! When the allocator of the program returns memory to the system.
//!
//! glibc's allocator returns free pages from the middle of its heaps only when `malloc_trim` is called. After
//! a burst it would keep most of what the burst needed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two trims. A trim takes about a millisecond.
const TRIM_INTERVAL: Duration = Duration::from_secs(5);

/// Sets the options of the allocator. To be called before any thread starts.
#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "the allocator's options are set through a C function"
)]
pub fn configure() {
    /// Heaps that threads share. More would hold more free memory, and few threads allocate at the
    /// same time.
    const MAX_ARENAS: i32 = 2;
    /// Bytes from which an allocation has pages of its own, which return at once. By default glibc
    /// raises this up to 32 MiB, as large allocations are freed.
    const MMAP_THRESHOLD: i32 = 64 * 1024;
    /// Free bytes at the end of the heap that are kept.
    const TRIM_THRESHOLD: i32 = 256 * 1024;
    /// Size up to which free blocks wait in lists until they are merged all at once. Without these lists,
    /// each block is merged with its free neighbours at once. Each thread still has lists of its own.
    const MAX_FAST: i32 = 0;
    for (option, value) in [
        (libc::M_ARENA_MAX, MAX_ARENAS),
        (libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD),
        (libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD),
        (libc::M_MXFAST, MAX_FAST),
    ] {
        // SAFETY: the function only stores a number, and no other thread exists yet. It returns 0
        // if it does not know the option, which then keeps its default.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Does nothing: the allocator of this system has no such options.
#[cfg(not(target_env = "gnu"))]
pub fn configure() {}

/// Returns free memory to the system, at most every five seconds. To be called whenever a thread is
/// about to wait.
pub fn trim_sometimes() {
    static TRIMMED: Mutex<Option<Instant>> = Mutex::new(None);
    // Another thread that holds the lock is about to trim.
    let Ok(mut trimmed) = TRIMMED.try_lock() else {
        return;
    };
    let now = Instant::now();
    let recent = |at: Instant| now.duration_since(at) < TRIM_INTERVAL;
    if !trimmed.is_some_and(recent) {
        *trimmed = Some(now);
        trim();
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a C function without preconditions")]
fn trim() {
    // SAFETY: the function locks each heap while it works on it.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}
