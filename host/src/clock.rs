//! The only place that reads the time of day.

use jiff::Timestamp;
use std::time::Duration;

/// Returns the current time.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that reads the clock"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns the time since `at`; 0 if `at` lies in the future.
pub(crate) fn since(at: Timestamp) -> Duration {
    Duration::try_from(now().duration_since(at)).unwrap_or_default()
}

/// Returns the time since the machine was booted. It never goes back, and it includes the time for
/// which the machine was suspended. (The clock of `std::time::Instant` does not include it.)
#[expect(unsafe_code, reason = "a C function that writes to its own argument")]
pub(crate) fn since_boot() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a value that lives during the call. The call fails only for an unknown clock.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}
