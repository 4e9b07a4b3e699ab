//! Exponential backoff between retries. Pure: the random number is an argument.

use std::time::Duration;

/// Exponential backoff, with jitter in the upper half of each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait before the second attempt.
    pub initial: Duration,
    /// Longest wait before any attempt.
    pub max: Duration,
}

impl Backoff {
    /// Returns the wait after `failures` failures in a row (from 1): between half and all of
    /// `initial · 2^(failures-1)`, at most `max`. `random` is between 0 and 1.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let ceiling = self
            .initial
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
            .min(self.max);
        ceiling.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(5),
    };

    #[test]
    fn doubles_until_the_maximum() {
        assert_eq!(BACKOFF.delay(1, 1.0), Duration::from_millis(100));
        assert_eq!(BACKOFF.delay(2, 1.0), Duration::from_millis(200));
        assert_eq!(BACKOFF.delay(1, 0.0), Duration::from_millis(50));
        assert_eq!(BACKOFF.delay(40, 1.0), Duration::from_secs(5));
        assert_eq!(BACKOFF.delay(u32::MAX, 0.0), Duration::from_millis(2500));
    }
}
