//! A circuit breaker: while all deliveries to a sink fail, one attempt at a time probes the sink.
//! Pure.

use std::collections::HashSet;
use std::time::Duration;
use step_observer_core::Backoff;

/// Failures in a row at which the breaker opens.
const MAX_FAILURES: u32 = 5;
/// While the breaker is open and attempts of fewer namespaces than this have failed, each other
/// namespace may try once: a sink that fails only on the events of one namespace is not down.
const MIN_FAILED_NAMESPACES: usize = 4;

/// The breaker of one sink. Times are durations since any fixed moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    state: State,
    opened_by: OpenedBy,
    /// Failures in a row. While the breaker is open, only those of probes count.
    failures: u32,
    /// Namespaces with a failed attempt, or with a permitted extra attempt, since the sink last
    /// took an event.
    failed_namespaces: HashSet<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// All attempts are permitted.
    #[default]
    Closed,
    /// Before `until`, attempts are permitted only to a few namespaces without failures. The first
    /// attempt after `until` is a probe.
    Open { until: Duration },
    /// A probe runs. Before `until`, the rules of `Open` hold. The first attempt after `until` is
    /// another probe.
    Probing { until: Duration },
}

/// The cause that opened the breaker, or will open it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OpenedBy {
    /// Attempts failed.
    #[default]
    Failures,
    /// The sink asked for a pause and has taken nothing since: only the probe may try.
    Pause,
    /// The sink responded that it no longer exists. Only the probe may be attempted. The breaker
    /// closes only after the sink accepts or refuses an event; other responses leave it open.
    Suspension,
}

impl Breaker {
    /// Permits an attempt, or returns the time after which to ask again.
    ///
    /// While the breaker is open, one attempt is permitted as the probe, which lasts no longer than
    /// `longest_attempt`. An attempt of a namespace without failures may be permitted, too.
    pub(super) fn permit(
        &mut self,
        now: Duration,
        longest_attempt: Duration,
        namespace: u32,
    ) -> Result<(), Duration> {
        match self.state {
            State::Closed => Ok(()),
            State::Open { until } | State::Probing { until } if now < until => {
                match self.failed_namespaces.len() < MIN_FAILED_NAMESPACES
                    && self.opened_by == OpenedBy::Failures
                    && self.failed_namespaces.insert(namespace)
                {
                    true => Ok(()),
                    false => Err(until - now),
                }
            }
            State::Open { .. } | State::Probing { .. } => {
                let until = now + longest_attempt;
                self.state = State::Probing { until };
                Ok(())
            }
        }
    }

    /// Closes the breaker: the sink took an event. Returns whether the breaker was open.
    pub(super) fn on_success(&mut self) -> bool {
        std::mem::take(self).state != State::Closed
    }

    /// Counts a failed attempt. Returns whether this opens the breaker.
    ///
    /// `after_pause` says that the sink asked for a pause and has taken nothing since: then one
    /// failure opens the breaker, and no other namespace may try.
    pub(super) fn on_failure(
        &mut self,
        now: Duration,
        backoff: Backoff,
        jitter: f64,
        namespace: u32,
        after_pause: bool,
    ) -> bool {
        if self.failed_namespaces.len() < MIN_FAILED_NAMESPACES {
            self.failed_namespaces.insert(namespace);
        }
        let probed_until = match self.state {
            // The attempt began before the breaker opened, for example with an event of the same
            // batch. Its failure proves nothing new.
            State::Open { .. } => return false,
            State::Probing { until } => Some(until),
            State::Closed => None,
        };
        self.failures = self.failures.saturating_add(1);
        if after_pause {
            self.failures = self.failures.max(MAX_FAILURES);
            if self.opened_by == OpenedBy::Failures {
                self.opened_by = OpenedBy::Pause;
            }
        }
        let next_probe = (self.failures >= MAX_FAILURES)
            .then(|| now + backoff.delay(self.failures - MAX_FAILURES + 1, jitter));
        self.state = match next_probe.or(probed_until) {
            Some(until) => State::Open { until },
            None => State::Closed,
        };
        probed_until.is_none() && next_probe.is_some()
    }

    /// Opens the breaker for a time, after which a probe is permitted.
    pub(super) fn suspend(&mut self, now: Duration, length: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.opened_by = OpenedBy::Suspension;
        self.state = State::Open {
            until: now + length,
        };
    }

    /// Closes the breaker: the sink asks for a pause, so it answers. A suspension stays, because
    /// the sink may have asked before the suspension.
    pub(super) fn on_pause(&mut self) {
        if self.opened_by != OpenedBy::Suspension {
            *self = Self::default();
        }
    }

    /// Closes the breaker: the sink refused one event, so it answers.
    pub(super) fn on_refusal(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(30),
    };
    const ATTEMPT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_failures_in_a_row_one_probe_at_a_time_is_sent_until_it_succeeds() {
        let mut breaker = Breaker::default();
        for _ in 1..MAX_FAILURES {
            assert_eq!(breaker.permit(at(0), ATTEMPT, 0), Ok(()));
            assert!(!breaker.on_failure(at(0), BACKOFF, 1.0, 0, false));
        }
        assert!(breaker.on_failure(at(0), BACKOFF, 1.0, 0, false), "opens");
        let wait = breaker.permit(at(0), ATTEMPT, 0).unwrap_err();
        assert!(wait <= at(1), "{wait:?}");
        assert_eq!(breaker.permit(at(1), ATTEMPT, 0), Ok(()), "the probe");
        assert_eq!(
            breaker.permit(at(1), ATTEMPT, 0),
            Err(ATTEMPT),
            "all others wait"
        );
        assert!(
            !breaker.on_failure(at(2), BACKOFF, 1.0, 0, false),
            "it was open before"
        );
        assert!(breaker.permit(at(2), ATTEMPT, 0).is_err());
        assert_eq!(breaker.permit(at(40), ATTEMPT, 0), Ok(()));
        assert!(breaker.on_success());
        assert_eq!(breaker, Breaker::default());
        assert_eq!(breaker.permit(at(40), ATTEMPT, 0), Ok(()));
        assert_eq!(breaker.permit(at(40), ATTEMPT, 0), Ok(()));
    }

    #[test]
    fn failures_of_earlier_requests_do_not_lengthen_the_wait() {
        let mut breaker = Breaker::default();
        let opened = (0..100).filter(|_| breaker.on_failure(at(0), BACKOFF, 1.0, 0, false));
        assert_eq!(opened.count(), 1);
        let wait = breaker.permit(at(0), ATTEMPT, 0).unwrap_err();
        assert!(wait <= BACKOFF.initial, "{wait:?}");
        // A failed probe makes it longer.
        assert_eq!(breaker.permit(at(1), ATTEMPT, 0), Ok(()));
        assert!(!breaker.on_failure(at(1), BACKOFF, 1.0, 0, false));
        let longer = breaker.permit(at(1), ATTEMPT, 0).unwrap_err();
        assert!(longer > wait, "{longer:?}");
    }

    #[test]
    fn a_threshold_of_one_opens_after_one_failure() {
        let mut breaker = Breaker::default();
        assert!(breaker.on_failure(at(0), BACKOFF, 1.0, 0, true));
        for namespace in 0..3 {
            assert!(breaker.permit(at(0), ATTEMPT, namespace).is_err());
        }
        assert_eq!(breaker.permit(at(1), ATTEMPT, 0), Ok(()));
        assert!(!breaker.on_failure(at(2), BACKOFF, 1.0, 0, true));
        assert_eq!(
            breaker.permit(at(3), ATTEMPT, 0),
            Err(at(1)),
            "twice as long"
        );
    }

    #[test]
    fn a_suspended_sink_gets_nothing_until_a_probe() {
        let mut breaker = Breaker::default();
        breaker.suspend(at(0), at(600));
        assert_eq!(breaker.permit(at(1), ATTEMPT, 0), Err(at(599)));
        assert_eq!(breaker.permit(at(600), ATTEMPT, 0), Ok(()));
        assert_eq!(breaker.permit(at(600), ATTEMPT, 0), Err(ATTEMPT));
    }

    #[test]
    fn failures_of_one_namespace_stop_no_other() {
        let mut breaker = Breaker::default();
        for _ in 0..MAX_FAILURES {
            breaker.on_failure(at(0), BACKOFF, 1.0, 0, false);
        }
        assert!(breaker.permit(at(0), ATTEMPT, 0).is_err());
        assert_eq!(
            breaker.permit(at(0), ATTEMPT, 1),
            Ok(()),
            "no attempt of it failed"
        );
        assert!(
            breaker.permit(at(0), ATTEMPT, 1).is_err(),
            "it tries only once"
        );
        assert!(
            !breaker.on_failure(at(0), BACKOFF, 1.0, 1, false),
            "it was open before"
        );
        assert!(breaker.permit(at(0), ATTEMPT, 1).is_err());
        assert_eq!(breaker.permit(at(0), ATTEMPT, 2), Ok(()));
        assert!(breaker.on_success());
        assert_eq!(breaker.permit(at(0), ATTEMPT, 0), Ok(()));
    }

    #[test]
    fn failures_that_are_not_in_a_row_do_not_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..MAX_FAILURES {
                assert!(!breaker.on_failure(at(0), BACKOFF, 1.0, 0, false));
            }
            assert!(!breaker.on_success());
        }
    }
}
