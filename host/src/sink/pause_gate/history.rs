//! The pauses of the past, for the time that does not count until an event is given up. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Pauses that are kept one by one. The two oldest become one if there are more, which is as long as both.
const MAX_SPANS: usize = 256;

/// Pauses in the order of time.
#[derive(Debug, Default)]
pub(super) struct PauseHistory(VecDeque<PausedSpan>);

/// A time of which a part was a pause: all of it, unless it stands for several pauses.
#[derive(Clone, Copy, Debug)]
struct PausedSpan {
    from: Duration,
    to: Duration,
    paused: Duration,
}

impl PausedSpan {
    /// The paused part of a time, as if pauses were spread evenly.
    fn between(self, from: Duration, to: Duration) -> Duration {
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

    pub(super) fn between(&self, from: Duration, to: Duration) -> Duration {
        // The newest first: most questions are about a short time.
        let newest = self.0.iter().rev().take_while(|span| span.to > from);
        newest.map(|span| span.between(from, to)).sum()
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
        let mut past = PauseHistory::default();
        let pauses = 10_000;
        for number in 0..pauses {
            past.add(at(number * 4), at(number * 4 + 1));
        }
        assert_eq!(past.0.len(), MAX_SPANS);
        let end = at(pauses * 4);
        assert_eq!(past.between(at(0), end), at(pauses));
        assert_eq!(past.between(end - at(40), end), at(10));
        assert_eq!(past.between(end - at(40), end - at(39)), at(1));
        let half = past.between(at(0), at(pauses * 2)).as_secs();
        assert!(
            (pauses / 2 - 10..=pauses / 2 + 10).contains(&half),
            "{half}"
        );
        assert_eq!(past.between(end, end + at(5)), Duration::ZERO);
    }
}
