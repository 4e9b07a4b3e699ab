//! History of past pauses. An event is given up when it is too old, and the time of these pauses
//! does not count for its age. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Maximum number of pauses that are stored separately. Beyond this number the two oldest are
/// merged, and their total time is kept.
const MAX_SPANS: usize = 256;

/// Past pauses, in the order of time.
#[derive(Debug, Default)]
pub(super) struct PauseHistory(VecDeque<PausedSpan>);

/// Time span of a pause, or of several merged pauses; a merged span also contains time without a
/// pause.
#[derive(Clone, Copy, Debug)]
struct PausedSpan {
    from: Duration,
    to: Duration,
    paused: Duration,
}

impl PausedSpan {
    /// Returns how much of the time from `from` to `to` was paused within this span. Assumes that
    /// merged pauses are spread evenly over the span.
    fn paused_between(self, from: Duration, to: Duration) -> Duration {
        let common = to.min(self.to).saturating_sub(from.max(self.from));
        let length = self.to.saturating_sub(self.from);
        match common == length {
            true => self.paused,
            false => self.paused.mul_f64(common.div_duration_f64(length)),
        }
    }
}

impl PauseHistory {
    pub(super) fn add(&mut self, from: Duration, to: Duration) {
        let paused = to.saturating_sub(from);
        self.0.push_back(PausedSpan { from, to, paused });
        if self.0.len() > MAX_SPANS
            && let Some(oldest) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            next.from = oldest.from;
            next.paused += oldest.paused;
        }
    }

    /// Returns the total time of the pauses between `from` and `to`.
    pub(super) fn paused_between(&self, from: Duration, to: Duration) -> Duration {
        // Searches backwards from the newest pause, because most callers ask about a short recent
        // time.
        let newest = self.0.iter().rev().take_while(|span| span.to > from);
        newest.map(|span| span.paused_between(from, to)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn many_pauses_keep_their_sum_and_the_newest_their_times() {
        let mut history = PauseHistory::default();
        let pauses = 10_000;
        for number in 0..pauses {
            history.add(at(number * 4), at(number * 4 + 1));
        }
        assert_eq!(history.0.len(), MAX_SPANS);
        let end = at(pauses * 4);
        assert_eq!(history.paused_between(at(0), end), at(pauses));
        assert_eq!(history.paused_between(end - at(40), end), at(10));
        assert_eq!(history.paused_between(end - at(40), end - at(39)), at(1));
        let half = history.paused_between(at(0), at(pauses * 2)).as_secs();
        assert!(
            (pauses / 2 - 10..=pauses / 2 + 10).contains(&half),
            "{half}"
        );
        assert_eq!(history.paused_between(end, end + at(5)), Duration::ZERO);
    }
}
