//! Computes the delay before a new list. Pure.

use std::time::Duration;
use step_observer_core::Backoff;

/// Delays between lists that follow each other too fast. A list is the most expensive request to an
/// API server. Without a delay, a server that drops each revision right after returning it would
/// get one list after another.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(800),
    max: Duration::from_secs(30),
};

/// Age of the last list after which the delay starts again at its initial value.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// Counts the repeated lists of one watch.
#[derive(Debug, Default)]
pub(super) struct RelistBackoff {
    /// Number of lists that followed each other too fast.
    in_a_row: u32,
}

impl RelistBackoff {
    /// Returns the delay before a new list. `age` is the time since the last list was complete, or
    /// zero if none was.
    pub(super) fn pause(&mut self, age: Duration, random: f64) -> Duration {
        if age >= STABLE_AFTER {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        BACKOFF.delay(self.in_a_row, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_a_row_wait_longer_each_time_up_to_a_bound() {
        let mut relists = RelistBackoff::default();
        let pauses: Vec<u64> = (0..8)
            .map(|_| relists.pause(Duration::from_secs(1), 1.0).as_millis() as u64)
            .collect();
        assert_eq!(
            pauses,
            [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]
        );
        // A watch that lasted long resets the pause: the earlier failure was temporary.
        assert_eq!(relists.pause(STABLE_AFTER, 1.0), BACKOFF.initial);
        let pause = relists.pause(STABLE_AFTER.mul_f64(0.9), 0.0);
        assert_eq!(pause, BACKOFF.initial, "half of the second wait");
    }
}
