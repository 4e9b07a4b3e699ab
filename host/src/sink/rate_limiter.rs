//! Limits the rate at which requests begin.

use crate::locked::Locked;
use std::time::Duration;
use tokio::time::Instant;

/// Lets requests begin one after the other, with a fixed gap between them.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    gap: Duration,
    next: Locked<Instant>,
}

impl RateLimiter {
    /// Creates a limiter for `count` requests per `period`. A `count` of 0 counts as 1.
    pub(crate) fn new(count: u64, period: Duration) -> Self {
        Self {
            gap: period / u32::try_from(count.max(1)).unwrap_or(u32::MAX),
            next: Locked::new(Instant::now()),
        }
    }

    /// Waits for the caller's turn.
    pub(crate) async fn acquire(&self) {
        tokio::time::sleep_until(self.reserve(Instant::now())).await;
    }

    /// Returns the time at which the caller may begin, and moves the turn of the next caller behind
    /// it.
    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let turn = (*next).max(now);
        *next = turn + self.gap;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_unused_turns_expire() {
        let limiter = RateLimiter::new(10, Duration::from_secs(1));
        let began = Instant::now() + Duration::from_secs(1);
        let turns: Vec<Duration> = (0..21).map(|_| limiter.reserve(began) - began).collect();
        assert_eq!(turns[0], Duration::ZERO);
        assert_eq!(turns[20], Duration::from_secs(2));
        // Unused turns expire: they cannot be used later in a burst.
        let later = began + Duration::from_secs(60);
        assert_eq!(limiter.reserve(later), later);
        assert_eq!(limiter.reserve(later), later + Duration::from_millis(100));
    }
}
