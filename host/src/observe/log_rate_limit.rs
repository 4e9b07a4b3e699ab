//! Limits log lines that a tenant can cause. Without a limit, a tenant could cause any number of
//! them.

use crate::locked::Locked;
use std::time::{Duration, Instant};

/// Minimum time between two lines that pass the same [`LogRateLimit`].
const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// Limits repeated log lines to one per minute.
#[derive(Debug, Default)]
pub(crate) struct LogRateLimit(Locked<(Option<Instant>, u64)>);

impl LogRateLimit {
    /// Returns `Some` if this line may be written, with the number of lines that were suppressed
    /// since the last written line.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let (last, suppressed) = &mut *state;
        if last.is_some_and(|last| now.duration_since(last) < MIN_INTERVAL) {
            *suppressed += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_is_written() {
        let limit = LogRateLimit::default();
        let start = Instant::now();
        assert_eq!(limit.pass(start), Some(0));
        assert_eq!((limit.pass(start), limit.pass(start)), (None, None));
        assert_eq!(limit.pass(start + MIN_INTERVAL), Some(2));
    }
}
