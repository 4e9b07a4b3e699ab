//! Not more than so many in a time.

use crate::locked::Locked;
use std::time::Duration;
use tokio::time::Instant;

/// Lets one after the other pass, with a gap between them.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    gap: Duration,
    next: Locked<Instant>,
}

impl RateLimiter {
    /// So many in `per`, at least one.
    pub(crate) fn new(many: u64, per: Duration) -> Self {
        Self {
            gap: per / u32::try_from(many.max(1)).unwrap_or(u32::MAX),
            next: Locked::new(Instant::now()),
        }
    }

    /// Waits for its turn.
    pub(crate) async fn acquire(&self) {
        tokio::time::sleep_until(self.reserve(Instant::now())).await;
    }

    /// When its turn is.
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
    fn so_many_pass_in_a_time() {
        let limiter = RateLimiter::new(10, Duration::from_secs(1));
        let began = Instant::now() + Duration::from_secs(1);
        let turns: Vec<Duration> = (0..21).map(|_| limiter.reserve(began) - began).collect();
        assert_eq!(turns[0], Duration::ZERO);
        assert_eq!(turns[20], Duration::from_secs(2));
        // What was not used is not kept.
        let later = began + Duration::from_secs(60);
        assert_eq!(limiter.reserve(later), later);
        assert_eq!(limiter.reserve(later), later + Duration::from_millis(100));
    }
}
