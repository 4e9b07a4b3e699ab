//! How far the active observer has come. It is written into the Lease, so that the next holder knows how far
//! it must look back.

use jiff::Timestamp;
use std::time::Duration;

/// What waits in the active observer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// True if the watches show the whole cluster, and everything that they have shown is in the journal.
    pub is_accepted: bool,
    /// Age of the oldest event that waits for a sink; 0 if none waits.
    pub oldest_waiting: Duration,
}

/// Returns the time until which everything is delivered. `before` is the time that was known before; without
/// it and while something is not accepted, it is unknown.
#[must_use]
pub fn delivered_until(
    before: Option<Timestamp>,
    now: Timestamp,
    progress: Progress,
) -> Option<Timestamp> {
    let waiting = now.checked_sub(progress.oldest_waiting);
    let waiting = waiting.unwrap_or(Timestamp::MIN);
    match progress.is_accepted {
        true => Some(waiting),
        // What is not accepted was not delivered either, and nobody knows how old it is.
        false => before.map(|before| before.min(waiting)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_advances_only_as_far_as_everything_is_delivered() {
        let waits = |is_accepted, seconds| Progress {
            is_accepted,
            oldest_waiting: Duration::from_secs(seconds),
        };
        for (before, progress, expected) in [
            (None, waits(true, 0), Some(100)),
            (Some(40), waits(true, 0), Some(100)),
            (Some(40), waits(true, 30), Some(70)),
            (Some(40), waits(false, 30), Some(40)),
            (Some(40), waits(false, 90), Some(10)),
            (None, waits(false, 0), None),
        ] {
            let until = delivered_until(before.map(at), at(100), progress);
            assert_eq!(until, expected.map(at), "{before:?} {progress:?}");
        }
        let endless = Progress {
            is_accepted: true,
            oldest_waiting: Duration::MAX,
        };
        assert_eq!(
            delivered_until(None, at(100), endless),
            Some(Timestamp::MIN)
        );
    }
}
