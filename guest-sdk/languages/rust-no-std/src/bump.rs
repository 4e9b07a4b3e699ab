//! Allocator that never frees memory. The host processes every event in a fresh instance, so all
//! memory is released after the event; freeing single blocks would only need more code.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PAGE: usize = 64 * 1024;

/// End address of the last block; 0 before the first block. The address is stored in the instance's
/// memory. The host starts each instance from the memory after `configure`, so blocks that
/// `configure` allocated stay allocated.
struct Bump {
    end: AtomicUsize,
}

#[global_allocator]
static ALLOCATOR: Bump = Bump {
    end: AtomicUsize::new(0),
};

// SAFETY: a block begins at or after the end of the previous block (and of the linker's data), at a
// multiple of its alignment, and ends within the memory; otherwise the result is null. A block
// never moves and is never reused. No other code grows the memory, and without threads nothing runs
// between reading and writing `end`.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // The first block begins at the end of the memory that the linker has laid out.
        let end = match self.end.load(Relaxed) {
            0 => memory_size(0) * PAGE,
            end => end,
        };
        let start = end.checked_next_multiple_of(layout.align());
        let next = start.and_then(|start| start.checked_add(layout.size()));
        let (Some(start), Some(next)) = (start, next) else {
            return core::ptr::null_mut();
        };
        let missing = next.saturating_sub(memory_size(0) * PAGE).div_ceil(PAGE);
        if missing > 0 && memory_grow(0, missing) == usize::MAX {
            return core::ptr::null_mut();
        }
        self.end.store(next, Relaxed);
        start as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
