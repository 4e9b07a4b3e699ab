//! How long to wait before a list that is begun anew. Pure.

use std::time::Duration;
use step_observer_core::Backoff;

/// Waits between lists that follow each other too fast. A list is the most that an API server can be asked for, and one
/// that forgets a revision right after it has given it would be asked for one list after the other.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(800),
    max: Duration::from_secs(30),
};

/// A list that was good for so long was worth it: the next one waits as after a first failure.
const STEADY: Duration = Duration::from_secs(30);

/// Lists of one watch that were begun anew.
#[derive(Debug, Default)]
pub(super) struct RelistBackoff {
    /// Those that followed each other too fast.
    in_a_row: u32,
}

impl RelistBackoff {
    /// The wait before a new list, if the last complete one was complete so long ago; if there was none, zero.
    pub(super) fn pause(&mut self, age: Duration, random: f64) -> Duration {
        if age >= STEADY {
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
        // A watch that was open for long says that it was a moment of weakness.
        assert_eq!(relists.pause(STEADY, 1.0), BACKOFF.initial);
        let pause = relists.pause(STEADY.mul_f64(0.9), 0.0);
        assert_eq!(pause, BACKOFF.initial, "half of the second wait");
    }
}
